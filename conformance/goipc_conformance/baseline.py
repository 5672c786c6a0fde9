# SPDX-License-Identifier: MIT
"""Writes an expectation file from a run, keeping the reasons of an earlier one."""

import collections
import dataclasses
import itertools
import json
from collections.abc import Iterable

from .engine import Result
from .expectations import Entry, Expectations, Race
from .outcome import Verdict
from .selection import matcher

UNEXPLAINED = "recorded, not explained yet"
DEVIATING = (Verdict.FAIL, Verdict.CRASH, Verdict.HANG, Verdict.XFAIL, Verdict.XDIFF, Verdict.FLAKY)


def entries_for(results: Iterable[Result], earlier: Expectations | None) -> list[Entry]:
    """One entry per case and outcome; all instances of a case that behave alike share one."""
    judged: dict[tuple[str, str], list[Result]] = collections.defaultdict(list)
    for result in results:
        if result.verdict.counts_as != "skipped" and result.verdict is not Verdict.ERROR:
            judged[result.instance.case.id, result.instance.role].append(result)
    written: list[Entry] = []
    for (case_id, role), group in judged.items():
        deviating = [r for r in group if r.verdict in DEVIATING]
        kept = {
            id(entry): entry
            for r in group
            if (entry := _earlier(earlier, r)) is not None and entry.flaky and (r.outcome in entry.outcome)
        }
        # An entry with a wide pattern belongs to several groups.
        written += [entry for entry in kept.values() if not any(entry is other for other in written)]
        deviating = [r for r in deviating if not any(r.outcome in e.outcome and e.matches(r) for e in kept.values())]
        written += [_flaky(r) for r in deviating if r.verdict is Verdict.FLAKY]
        deviating = [r for r in deviating if r.verdict is not Verdict.FLAKY]
        written += _grouped(case_id, role, group, deviating, earlier)
    return written


def _flaky(result: Result) -> Entry:
    """Everything that was seen of a case that came out differently when it was asked again."""
    seen = [result.outcome, *(repeat.outcome for repeat in result.repeats)]
    return Entry(
        case=result.instance.id,
        role=result.instance.role,
        outcome=tuple(dict.fromkeys(seen)),
        reason=UNEXPLAINED,
        rate=f"not as required {len(seen) - 1} of {len(seen)} times",
    )


def _patterns(case_id: str, group: list[Result]) -> list[str]:
    """Globs over a case's parameters, the widest first."""
    choices: list[list[tuple[str, object]]] = [[]]
    values = sorted({(key, str(value)) for result in group for key, value in result.instance.params.items()})
    choices += [[one] for one in values]
    choices += [[a, b] for a, b in itertools.combinations(values, 2) if a[0] != b[0]]
    return [
        case_id if not chosen else f"{case_id}[*{'*'.join(f'{key}={value}' for key, value in chosen)}*]"
        for chosen in choices
    ]


def _grouped(
    case_id: str, role: str, group: list[Result], deviating: list[Result], earlier: Expectations | None
) -> list[Entry]:
    """As few entries as possible, each of which covers only instances with one outcome."""
    entries, left = [], {result.instance.id: result for result in deviating}
    for pattern in _patterns(case_id, group):
        matches = matcher(pattern)
        covered = [result for result in group if matches(result.instance)]
        fresh = [result for result in covered if result.instance.id in left]
        if len({result.outcome for result in covered}) != 1 or len(fresh) < 2 or len(fresh) != len(covered):
            continue
        entries.append(_entry(pattern, role, fresh[0], earlier))
        for result in fresh:
            del left[result.instance.id]
    return entries + [_entry(key, role, result, earlier) for key, result in left.items()]


def _earlier(earlier: Expectations | None, result: Result) -> Entry | None:
    found = [entry for entry in earlier.entries if entry.matches(result)] if earlier else []
    return found[-1] if found else None


def _entry(pattern: str, role: str, result: Result, earlier: Expectations | None) -> Entry:
    known = _earlier(earlier, result)
    if known is not None and result.outcome in known.outcome:
        return dataclasses.replace(known, case=pattern, role=role)
    return Entry(case=pattern, role=role, outcome=(result.outcome,), reason=UNEXPLAINED)


def render(entries: Iterable[Entry], implementation: dict[str, str], header: str, races: Iterable[Race] = ()) -> str:
    lines = [f"# {line}" for line in header.splitlines()] + ["", "[implementation]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in implementation.items()]
    for race in races:
        lines += ["", "[[race]]", f"case = {json.dumps(race.case)}"]
        if race.role:
            lines.append(f"role = {json.dumps(race.role)}")
        lines.append(f"outcome = {json.dumps(list(race.words))}")
        lines.append(f"reason = {json.dumps(race.reason, ensure_ascii=False)}")
        lines.append(f"rate = {json.dumps(race.rate)}")
        if race.bug:
            lines.append(f"bug = {json.dumps(race.bug)}")
    for entry in sorted(entries, key=lambda e: (e.case, e.role or "")):
        lines += ["", "[[entry]]", f"case = {json.dumps(entry.case)}"]
        if entry.role:
            lines.append(f"role = {json.dumps(entry.role)}")
        lines.append(f"outcome = {json.dumps(list(entry.outcome))}")
        lines.append(f"reason = {json.dumps(entry.reason, ensure_ascii=False)}")
        for name in ("bug", "since", "rate"):
            if getattr(entry, name):
                lines.append(f"{name} = {json.dumps(getattr(entry, name))}")
        if entry.until:
            lines.append(f"until = {entry.until.isoformat()}")
    return "\n".join(lines) + "\n"

# SPDX-License-Identifier: MIT
"""Writes an expectation file from a run, keeping the reasons of an earlier one."""

import collections
import dataclasses
import itertools
import json
from collections.abc import Iterable

from .engine import Result
from .expectations import Entry, Expectations
from .outcome import Verdict
from .selection import matcher

UNEXPLAINED = "recorded, not explained yet"


def entries_for(results: Iterable[Result], earlier: Expectations | None) -> list[Entry]:
    """One entry per case and outcome; all instances of a case that behave alike share one."""
    judged: dict[tuple[str, str], list[Result]] = collections.defaultdict(list)
    for result in results:
        if result.verdict.counts_as != "skipped" and result.verdict is not Verdict.ERROR:
            judged[result.instance.case.id, result.instance.role].append(result)
    written = []
    for (case_id, role), group in judged.items():
        deviating = [
            r for r in group if r.verdict in (Verdict.FAIL, Verdict.CRASH, Verdict.HANG, Verdict.XFAIL, Verdict.XDIFF)
        ]
        kept = {
            id(entry): entry
            for r in group
            if (entry := _earlier(earlier, r)) is not None and entry.flaky and (r.outcome in entry.outcome)
        }
        written += kept.values()
        deviating = [r for r in deviating if not any(r.outcome in e.outcome and e.matches(r) for e in kept.values())]
        written += _grouped(case_id, role, group, deviating, earlier)
    return written


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


def render(entries: Iterable[Entry], implementation: dict[str, str], header: str) -> str:
    lines = [f"# {line}" for line in header.splitlines()] + ["", "[implementation]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in implementation.items()]
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

# SPDX-License-Identifier: MIT
"""Writes an expectation file from a run, keeping the reasons of an earlier one."""

import collections
import dataclasses
import itertools
from collections.abc import Iterable

import tomlkit
from tomlkit.items import Comment, Item, Table, Whitespace

from .engine import Result
from .expectations import Entry, Expectations
from .outcome import Verdict
from .selection import matcher

UNEXPLAINED = "recorded, not explained yet"
FIELDS = ("case", "role", "outcome", "reason", "bug", "since", "rate", "until")
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


def render(entries: Iterable[Entry], implementation: dict[str, str], header: str, earlier: str = "") -> str:
    """The text of the file: the earlier text with its order and its comments, brought up to date. New entries come
    last."""
    document = tomlkit.parse(earlier or "".join(f"# {line}\n" for line in header.splitlines()) + "\n")
    document.setdefault("implementation", tomlkit.table()).update(implementation)
    new = {(entry.case, entry.role): entry for entry in sorted(entries, key=lambda e: (e.case, e.role or ""))}
    above = document["race"][-1] if document.get("race") else document["implementation"]
    # What stands between two entries belongs to the file, not to the entry above it, and stays when that one goes.
    tails = [(above, _cut_tail(above))]
    if "entry" not in document:
        document["entry"] = tomlkit.aot()
    written = document["entry"]
    for table in list(written):
        entry, tail = new.pop((table.get("case"), table.get("role")), None), _cut_tail(table)
        if entry is None:
            written.remove(table)
            tails[-1][1].extend(tail)
        else:
            _update(table, entry)
            tails.append((table, tail))
    for entry in new.values():
        table = tomlkit.table()
        _update(table, entry)
        if earlier:  # new lists of tables are spaced by the library
            tails[-1][1].append(tomlkit.nl())
        tails.append((table, []))
        written.append(table)
    for table, tail in tails:
        for item in tail:
            table.add(item)
    if not written:
        document.remove("entry")
    return tomlkit.dumps(document)


def _cut_tail(table: Table) -> list[Item]:
    """Takes comments and blank lines off the end of a table."""
    tail: list[Item] = []
    while table.value.body and isinstance(table.value.body[-1][1], Comment | Whitespace):
        tail.insert(0, table.value.body.pop()[1])
    return tail


def _update(table: Table, entry: Entry) -> None:
    """A value that stays keeps its form and its comment."""
    fields = {field: getattr(entry, field) for field in FIELDS if getattr(entry, field)}
    fields["outcome"] = list(entry.outcome)
    for field in [field for field in table if field not in fields]:
        table.remove(field)
    for field, value in fields.items():
        if table.get(field) != value:
            table[field] = value

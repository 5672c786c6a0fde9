# SPDX-License-Identifier: MIT
"""What an implementation is known to do, case by case. The record pins the outcome, not just the failure: failing
in another way is news, and so is passing."""

import dataclasses
import datetime
import functools
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .case import Instance
from .engine import Result
from .outcome import Verdict, canonical, known
from .selection import all_instances, matcher

FIELDS = {"case", "role", "outcome", "reason", "bug", "since", "until", "rate"}
RACE_FIELDS = {"case", "role", "outcome", "reason", "bug", "rate"}
# Each pattern is held against each instance.
_matcher = functools.cache(matcher)


class ExpectationError(Exception):
    """A file that cannot be used."""


@dataclasses.dataclass
class Entry:
    case: str
    outcome: tuple[str, ...]
    reason: str
    role: str | None = None
    bug: str | None = None
    since: str | None = None
    until: datetime.date | None = None
    rate: str | None = None  # how often, when there is more than one outcome
    used: bool = False

    @property
    def flaky(self) -> bool:
        return len(self.outcome) > 1

    def matches(self, result: Result) -> bool:
        return _covers(self, result.instance)


@dataclasses.dataclass
class Race:
    """Words that may be seen instead of, or besides, what a case asks for or the record has: once, and not again
    when the case is repeated."""

    case: str
    words: tuple[str, ...]
    reason: str
    rate: str
    role: str | None = None
    bug: str | None = None

    def matches(self, result: Result) -> bool:
        return _covers(self, result.instance)


def _covers(row: Entry | Race, instance: Instance) -> bool:
    return (row.role is None or instance.role == row.role) and bool(_matcher(row.case)(instance))


@dataclasses.dataclass
class Expectations:
    path: Path
    entries: list[Entry]
    implementation: dict[str, str]
    races: list[Race] = dataclasses.field(default_factory=list)

    def entry_for(self, result: Result) -> Entry | None:
        """The last entry that matches decides, so that a general rule can be refined below it."""
        found = [entry for entry in self.entries if entry.matches(result)]
        return found[-1] if found else None

    def race_for(self, result: Result) -> Race | None:
        """The recorded race by which this outcome came about, if there is one."""
        case = result.instance.case
        entry = self.entry_for(result)
        usual = {
            word
            for outcome in case.expect + case.also + (entry.outcome if entry else ())
            for word in outcome.split("+")
        }
        for race in self.races:
            if race.matches(result) and set(result.outcome.split("+")) <= usual | set(race.words):
                return race
        return None


def parse(path: Path) -> Expectations:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExpectationError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExpectationError(f"{path}: {error}") from None
    rows = document.get("entry", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ExpectationError(f"{path}: entries are written as [[entry]]")
    races = document.get("race", [])
    if not isinstance(races, list) or not all(isinstance(row, dict) for row in races):
        raise ExpectationError(f"{path}: races are written as [[race]]")
    found = Expectations(
        path,
        [_entry(path, number, row) for number, row in enumerate(rows, 1)],
        document.get("implementation", {}),
        [_race(path, number, row) for number, row in enumerate(races, 1)],
    )
    covering: tuple[Entry | Race, ...] = (*found.entries, *found.races)
    for row in covering:
        # Whatever is selected: a slip of the pen must not hide in runs that would not have asked the case anyway.
        if not any(_covers(row, instance) for instance in all_instances()):
            where = f"{row.role}:{row.case}" if row.role else row.case
            raise ExpectationError(f"{path}: no case matches {where!r}; `goipc-conformance list` shows them all")
    return found


def _race(path: Path, number: int, row: dict[str, Any]) -> Race:
    where = f"{path}: race {number} ({row.get('case', 'no case')})"
    if set(row) - RACE_FIELDS:
        raise ExpectationError(f"{where}: unknown field {', '.join(sorted(set(row) - RACE_FIELDS))}")
    words = row.get("outcome")
    if (
        not isinstance(words, list)
        or not words
        or not all(isinstance(w, str) and known(w) and "+" not in w for w in words)
    ):
        raise ExpectationError(f"{where}: outcome is a list of single words of outcomes")
    for name in ("case", "reason", "rate"):
        if not isinstance(row.get(name), str) or not str(row[name]).strip():
            raise ExpectationError(f"{where}: needs a {name}")
    if row.get("role") not in (None, "server", "client", "codec"):
        raise ExpectationError(f"{where}: the role is server, client or codec")
    return Race(
        case=str(row["case"]),
        words=tuple(words),
        reason=str(row["reason"]),
        rate=str(row["rate"]),
        role=row.get("role"),
        bug=row.get("bug"),
    )


def _entry(path: Path, number: int, row: dict[str, Any]) -> Entry:
    where = f"{path}: entry {number} ({row.get('case', 'no case')})"
    unknown = set(row) - FIELDS
    if unknown:
        raise ExpectationError(f"{where}: unknown field {', '.join(sorted(unknown))}")
    outcome = row.get("outcome")
    outcome = [outcome] if isinstance(outcome, str) else outcome
    if not isinstance(row.get("case"), str) or not isinstance(outcome, list) or not outcome:
        raise ExpectationError(f"{where}: needs case and outcome")
    for word in outcome:
        if not isinstance(word, str) or not known(word):
            raise ExpectationError(f"{where}: {word!r} is not an outcome")
    if not isinstance(row.get("reason"), str) or not str(row["reason"]).strip():
        raise ExpectationError(f"{where}: needs a reason")
    if len(outcome) > 1 and not row.get("rate"):
        raise ExpectationError(f'{where}: several outcomes need a rate, such as "1/256"')
    if row.get("role") not in (None, "server", "client", "codec"):
        raise ExpectationError(f"{where}: the role is server, client or codec")
    until = row.get("until")
    if isinstance(until, str):
        try:
            until = datetime.date.fromisoformat(until)
        except ValueError:
            raise ExpectationError(f"{where}: until is a date such as 2027-01-01") from None
    return Entry(
        case=str(row["case"]),
        outcome=tuple(map(canonical, outcome)),
        reason=str(row["reason"]),
        role=row.get("role"),
        bug=row.get("bug"),
        since=row.get("since"),
        until=until,
        rate=row.get("rate"),
    )


def apply(
    expectations: Expectations, results: Iterable[Result], *, complete: bool, today: datetime.date | None = None
) -> list[str]:
    """Turns verdicts into XFAIL, XPASS and XDIFF. Returns what is stale in the file: expired entries and, when the
    run was complete, entries for which no case was judged."""
    today = today or datetime.date.today()
    stale = []
    asked: set[int] = set()
    for result in results:
        for entry in expectations.entries:
            if entry.matches(result):
                asked.add(id(entry))
                entry.used = entry.used or is_used(entry, result.verdict)
        judge_by(expectations, result)
    for entry in expectations.entries:
        if entry.until and entry.until < today:
            stale.append(f"{entry.case}: expired on {entry.until}")
        elif complete and not entry.used:
            stale.append(f"{entry.case}: {UNJUDGED if id(entry) in asked else UNASKED}")
    return stale


UNASKED = "matches no case of this run"
UNJUDGED = "what it is about was not asked: every case that it matches was skipped or unsupported"


def was_judged(verdict: Verdict) -> bool:
    """Whether the implementation was asked. SKIP, UNSUPPORTED and ERROR say nothing about it."""
    return verdict.counts_as != "skipped" and verdict is not Verdict.ERROR


def is_used(entry: Entry, verdict: Verdict) -> bool:
    """What depends on timing may on some days be no question at all (SKIP); what is unsupported never is one."""
    return was_judged(verdict) or (entry.flaky and verdict is Verdict.SKIP)


def unused(expectations: Expectations, verdicts: dict[str, str]) -> list[str]:
    """What `apply` says of a whole run, of the verdicts of a joined one, by the keys of its cases."""
    asked = [(instance, Verdict(verdicts[instance.key])) for instance in all_instances() if instance.key in verdicts]
    return [
        f"{entry.case}: {UNJUDGED}"
        for entry in expectations.entries
        if not any(_covers(entry, instance) and is_used(entry, verdict) for instance, verdict in asked)
    ]


def judge_by(expectations: Expectations, result: Result) -> None:
    """Turns the verdict on one result into what it is in view of the record."""
    entry = expectations.entry_for(result)
    if entry is None or not is_used(entry, result.verdict):
        return
    result.expectation = entry
    if not was_judged(result.verdict):
        return
    passed = result.verdict.counts_as == "passed"
    if result.outcome not in entry.outcome:
        result.verdict = Verdict.XPASS if passed else Verdict.XDIFF
    elif not passed:
        result.verdict = Verdict.XFAIL
    elif not entry.flaky:
        result.verdict = Verdict.XPASS  # recorded as a deviation, yet it conforms

# SPDX-License-Identifier: MIT
"""What an implementation is known to do, case by case. The record pins the outcome, not just the failure: failing
in another way is news, and so is passing."""

import dataclasses
import datetime
import tomllib
from collections.abc import Iterable
from pathlib import Path

from .engine import Result
from .outcome import Verdict, canonical, known
from .selection import matcher

FIELDS = {"case", "role", "outcome", "reason", "bug", "since", "until", "rate"}


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
        if self.role is not None and result.instance.role != self.role:
            return False
        return bool(matcher(self.case)(result.instance))


@dataclasses.dataclass
class Expectations:
    path: Path
    entries: list[Entry]
    implementation: dict[str, str]


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
    return Expectations(
        path, [_entry(path, number, row) for number, row in enumerate(rows, 1)], document.get("implementation", {})
    )


def _entry(path: Path, number: int, row: dict[str, object]) -> Entry:
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
    )  # type: ignore[arg-type]


def apply(
    expectations: Expectations, results: Iterable[Result], *, complete: bool, today: datetime.date | None = None
) -> list[str]:
    """Turns verdicts into XFAIL, XPASS and XDIFF. Returns what is stale in the file: expired entries and, when the
    run was complete, entries that match no case that was judged."""
    today = today or datetime.date.today()
    stale = []
    for result in results:
        if result.verdict.counts_as == "skipped" or result.verdict is Verdict.ERROR:
            for entry in expectations.entries:
                entry.used = entry.used or entry.matches(result)
            continue
        # The last entry that matches decides, so that a general rule can be refined below it.
        found = [entry for entry in expectations.entries if entry.matches(result)]
        for entry in found:
            entry.used = True
        if not found:
            continue
        entry = found[-1]
        result.expectation = entry
        passed = result.verdict.counts_as == "passed"
        if result.outcome in entry.outcome:
            if not passed:
                result.verdict = Verdict.XFAIL
        elif passed:
            result.verdict = Verdict.XPASS
        else:
            result.verdict = Verdict.XDIFF
        if passed and not entry.flaky and result.outcome in entry.outcome:
            result.verdict = Verdict.XPASS  # recorded as a deviation, yet it conforms
    for entry in expectations.entries:
        if entry.until and entry.until < today:
            stale.append(f"{entry.case}: expired on {entry.until}")
        elif complete and not entry.used:
            stale.append(f"{entry.case}: matches no case of this run")
    return stale

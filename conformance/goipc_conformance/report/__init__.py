# SPDX-License-Identifier: MIT
"""Telling what was found, one module per form."""

import collections
import dataclasses

from ..engine import Result
from ..outcome import Verdict


@dataclasses.dataclass
class Run:
    """Everything a report may tell about one run."""

    results: list[Result]
    command: str
    identity: dict[str, str]
    seed: str
    started: str
    duration: float
    suite_version: str
    spec_edition: str
    fault: str = ""  # why nothing could be asked
    fault_code: int = 3
    stale: list[str] = dataclasses.field(default_factory=list)
    expectations: str = ""
    interrupted: bool = False
    roles: tuple[str, ...] = ()
    shard: str | None = None
    selection: tuple[str, ...] = ()

    def count(self, kind: str) -> int:
        return sum(1 for result in self.results if result.verdict.counts_as == kind)

    @property
    def totals(self) -> dict[str, int]:
        # A stale expectation is a failure of its own.
        return {
            "passed": self.count("passed"),
            "failed": self.count("failed") + len(self.stale) + bool(self.fault),
            "skipped": self.count("skipped"),
        }

    @property
    def verdicts(self) -> dict[str, int]:
        counted = collections.Counter(result.verdict for result in self.results)
        return {verdict.value: counted[verdict] for verdict in Verdict if counted[verdict]}

    @property
    def figures(self) -> dict[str, int]:
        """What two runs agree on, whatever was settled by a race: a result of which the record speaks counts as
        known, even where it conforms or was no question this time."""
        counted = collections.Counter(
            "known" if result.expectation and result.verdict.counts_as != "failed" else result.verdict.counts_as
            for result in self.results
        )
        counted["failed"] += len(self.stale) + bool(self.fault)
        return {name: counted[name] for name in ("passed", "known", "failed", "skipped")}

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 130
        if self.fault:
            return self.fault_code
        verdicts = {result.verdict for result in self.results}
        if Verdict.ERROR in verdicts:
            return 3
        if verdicts & {Verdict.FAIL, Verdict.CRASH, Verdict.HANG, Verdict.XDIFF, Verdict.FLAKY}:
            return 1
        if self.stale or Verdict.XPASS in verdicts:
            return 4
        if not any(result.verdict.counts_as == "passed" for result in self.results):
            return 2
        return 0


def wanted(result: Result) -> tuple[str, ...]:
    """The outcomes with which it would have passed: where one is recorded, it alone."""
    return result.expectation.outcome if result.expectation else result.instance.case.expect


def totals_line(totals: dict[str, int]) -> str:
    return f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped"

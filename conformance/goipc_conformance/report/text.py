# SPDX-License-Identifier: MIT
"""The report for a reader at a terminal or in a log."""

import collections
import shlex
import sys
import textwrap
import time
from collections.abc import Callable
from typing import TextIO

import rich.progress
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.text import Text

from .. import requirements
from ..case import AREAS
from ..engine import WEAK_CUTS, Result
from ..outcome import Verdict
from ..selection import all_instances
from ..wire import LogEntry
from . import Run, totals_line, wanted

STYLES = {
    Verdict.PASS: "green",
    Verdict.PASS_LENIENT: "green",
    Verdict.XFAIL: "yellow",
    Verdict.XFLAKY: "yellow",
    Verdict.SKIP: "dim",
    Verdict.UNSUPPORTED: "dim",
}
PACE_S = 5.0
ERRORS_SHOWN = 2  # of one kind: the harness failed, and a thousand times the same says no more
ARROWS = {">": "->", "<": "<-", "!": "--"}


def printable(line: str) -> str:
    """What a program under test wrote must not steer the reader's terminal."""
    return "".join(char if char.isprintable() or char == " " else "\ufffd" for char in line)


def wire_lines(entries: list[LogEntry], limit: int = 12) -> list[str]:
    """The end of the octet log: the last steps are where a case turns."""
    shown = entries[-limit:]
    lines = [f"... {len(entries) - limit} earlier steps"] if len(entries) > limit else []
    for entry in shown:
        octets = entry.data[:24].hex(" ") + (" ..." if entry.size > 24 else "")
        lines.append(
            f"{entry.at * 1000:8.1f} ms #{entry.peer} {ARROWS[entry.direction]} {entry.label}"
            + (f" ({entry.size} B) {octets}" if entry.size else "")
        )
    return lines


def failure_lines(result: Result, run_command: str, verbose: bool = False) -> list[str]:
    case = result.instance.case
    lines = [f"  {case.title}"]
    if result.reason:
        lines.append(f"  reason    {printable(result.reason)}")
    else:
        lines.append(f"  expected  {' or '.join(case.expect)}")
        lines.append(f"  observed  {result.outcome}")
        lines += [f"            {printable(detail)}" for detail in result.details]
    if result.expectation is not None:
        lines.append(f"  recorded  {' or '.join(result.expectation.outcome)} ({result.expectation.reason})")
    lines += [f"  note      {printable(note)}" for note in result.notes]
    if result.repeats:
        lines.append(f"  repeated  {repeated(result)}")
    for identifier in case.reqs[:3]:
        sentence = requirements.sentence(identifier)
        if sentence:
            lines += textwrap.wrap(
                f"{identifier}: {sentence}", 110, initial_indent="  clause    ", subsequent_indent="            "
            )
    lines.append(f"  why       {case.why}")
    if case.hint:
        lines.append(f"  hint      {case.hint}")
    # The check for a fresh peer is of interest only when it is what failed.
    own = result.wire if "refused-new-peer" in result.outcome or not result.turn else result.wire[: result.turn]
    lines += [
        f"  wire      {line}" if index == 0 else f"            {line}"
        for index, line in enumerate(wire_lines(own, 40 if verbose else 8))
    ]
    if result.started:
        lines.append(f"  started   {printable(result.started)}")
    tail = [line for line in result.output.strip().splitlines() if line.strip()][-(20 if verbose else 4) :]
    lines += [f"  stderr    {printable(line[:160])}" for line in tail]
    if run_command:
        lines.append(f"  again     {run_command}")
    return lines


def repeated(result: Result) -> str:
    """What came when the case was asked again, each time on a fresh process."""
    return "then " + ", then ".join(
        f"{printable(repeat.outcome)} ({repeat.verdict.value})" for repeat in result.repeats
    )


def simplest_first(results: list[Result]) -> list[Result]:
    """What any peer does before what only a hostile one does, and a handshake before what comes after it: the first
    failure is the one to mend first."""
    areas = list(AREAS)
    return sorted(results, key=lambda one: (not one.instance.case.positive, areas.index(one.instance.case.area)))


def brief_lines(run: "Run", limit: int = 12) -> list[str]:
    """What is not as required, a line each: for the end of a report, where the end of a log shows it."""
    failed = [result for result in simplest_first(run.results) if result.verdict.counts_as == "failed"]
    lines = []
    for result in failed[:limit]:
        seen = result.outcome or printable(result.reason)
        line = f"{result.verdict.value} {result.key}: {seen}, not {' or '.join(wanted(result))}"
        if result.repeats:
            line += f"; {repeated(result)}"
        if result.details:
            line += f"; {printable(result.details[0])[:120]}"
        lines.append(line)
    if len(failed) > limit:
        lines.append(f"and {len(failed) - limit} more that are not as required")
    return lines + [f"STALE {run.expectations}: {line}" for line in run.stale[:limit]]


def race_lines(run: "Run") -> list[str]:
    return [
        f"XFLAKY {result.key}: {result.outcome}, {repeated(result)}; "
        f"recorded race ({result.race.rate}): {result.race.reason}"
        for result in run.results
        if result.race is not None
    ]


def again(result: Result, run: "Run") -> str:
    """The command that asks this one question again."""
    key = shlex.quote(f"{result.instance.role}:{result.instance.id}")
    return f"goipc-conformance run {key} --seed {shlex.quote(run.seed)} {run.command}"


class Pace:
    """Says when a line about the progress is due, where there is no terminal to show it all the time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._last = clock()

    def is_due(self) -> bool:
        if self._clock() - self._last < PACE_S:
            return False
        self._last = self._clock()
        return True


def console_on(stream: TextIO) -> Console:
    """Colours as the stream and NO_COLOR, FORCE_COLOR and TERM want them; the text stays as it is."""
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


class Progress:
    """Where the run is, and what it asks of whom: on a terminal a line that changes, elsewhere plain lines, one at the
    beginning and one every few seconds. A failure is told as it comes. The report tells failures again, with all that
    belongs to them."""

    def __init__(self, stream: TextIO, name: str, total: int, quiet: bool, pace: Pace | None = None):
        self._console = console_on(stream)
        self._console.quiet = quiet
        self._name, self._total = name, total
        self._live = stream.isatty() and not quiet and not self._console.is_dumb_terminal
        self._done: collections.Counter[str] = collections.Counter()
        self._pace = pace or Pace()
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            MofNCompleteColumn(),
            "{task.fields[now]}",
        )
        self._bar = rich.progress.Progress(*columns, console=self._console, transient=True, disable=not self._live)
        self._task = self._bar.add_task(name, total=total, now="")
        self._bar.start()
        if not self._live:
            self.say(f"{total} questions")

    def say(self, line: str) -> None:
        self._console.print(f"{self._name}: {line}")

    def __call__(self, result: Result) -> None:
        self._done[result.verdict.counts_as] += 1
        if result.verdict.counts_as == "failed":
            self.say(f"{result.verdict.value} {result.key}: {result.outcome or printable(result.reason)}")
        now = f"{self._done['failed']} not as required, last {result.key}"
        self._bar.update(self._task, advance=1, now=escape(now))
        if not self._live and self._pace.is_due():
            self.say(f"{sum(self._done.values())}/{self._total} asked, {now}")

    def finish(self) -> None:
        self._bar.stop()


def skip_lines(results: list[Result]) -> list[str]:
    """One line per reason, so that nothing is skipped silently and nobody scrolls."""
    reasons: dict[str, list[Result]] = collections.defaultdict(list)
    for result in results:
        if result.verdict.counts_as == "skipped":
            reasons[result.reason].append(result)
    lines = []
    for reason, skipped in sorted(reasons.items()):
        ids = sorted({result.instance.case.id for result in skipped})
        shown = ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")
        lines.append(f"SKIP {len(skipped)} of {shown}: {reason}")
    return lines


def write(run: Run, stream: TextIO = sys.stdout, verbose: bool = False, totals: bool = True) -> None:
    console = console_on(stream)
    errors: collections.Counter[str] = collections.Counter()
    for result in simplest_first(run.results):
        verdict = result.verdict
        if verdict is Verdict.ERROR:
            errors[result.reason] += 1
            if errors[result.reason] > ERRORS_SHOWN:
                continue
        bad = verdict.counts_as == "failed"
        if bad or verbose:
            level = result.instance.case.level.upper()
            clause = f" [{result.instance.case.reqs[0]} {level}]" if result.instance.case.reqs else ""
            outcome = f"  {result.outcome}" if verbose and not bad else ""
            verdict_text = (verdict.value, STYLES.get(verdict, "bold red"))
            console.print(Text.assemble(verdict_text, f" {result.key}{clause}{outcome}"))
        if bad:
            stream.write("\n".join(failure_lines(result, again(result, run), verbose)) + "\n\n")
    for reason, count in errors.items():
        if count > ERRORS_SHOWN:
            stream.write(f"ERROR {count - ERRORS_SHOWN} more cases: {reason}\n")
    _summary(run, stream)
    if totals:
        for line in brief_lines(run):
            stream.write(line + "\n")
        stream.write(totals_line(run.totals) + "\n")


def _summary(run: Run, stream: TextIO) -> None:
    areas: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for result in run.results:
        areas[result.instance.case.area][result.verdict.counts_as] += 1
    stream.write(
        f"{run.identity.get('name', '?')} {run.identity.get('version', '')} against edition "
        f"{run.spec_edition}, suite {run.suite_version}, seed {run.seed}, {run.duration:.1f} s\n"
    )
    for area, counted in areas.items():
        stream.write(
            f"  {area:6} {counted['passed']:4} passed {counted['failed']:4} failed {counted['skipped']:4} skipped\n"
        )
    for line in skip_lines(run.results):
        stream.write(line + "\n")
    known = sum(1 for result in run.results if result.verdict is Verdict.XFAIL)
    lenient = sum(1 for result in run.results if result.verdict is Verdict.PASS_LENIENT)
    left_out = {one.case.id for one in all_instances() if "long" in one.case.tags} - {
        result.instance.case.id for result in run.results
    }
    if left_out and not run.selection:
        stream.write(f"{len(left_out)} cases that take long were not asked: --long\n")
    if known:
        stream.write(f"{known} known deviations, each exactly as recorded in {run.expectations}, count as passed\n")
    for line in race_lines(run):
        stream.write(line + "\n")
    weak = sum(1 for result in run.results if WEAK_CUTS in result.notes and result.verdict.counts_as == "passed")
    if weak:
        stream.write(f"{weak} passed with this note: {WEAK_CUTS}\n")
    if lenient:
        stream.write(f"{lenient} passed leniently: what was seen is tolerated, not asked for (--strict refuses it)\n")
    slow = sorted((r for r in run.results if r.duration > 1.0), key=lambda r: -r.duration)[:5]
    if slow:
        stream.write("slowest: " + ", ".join(f"{r.key} {r.duration:.1f} s" for r in slow) + "\n")

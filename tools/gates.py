# SPDX-License-Identifier: MIT
"""Runs the gates that tools/gates.d/*.toml declare and adds up what they report.

A gate is a command run by the shell from the root of the project. Its last line of output must be
`N passed, N failed, N skipped`, with a line `SKIP name: reason` above for what was skipped. A gate
that prints no such line, counts nothing, skips without a reason, contradicts its own exit code or
runs into its time limit is an error and counts as one failure: silence never passes.

Several gates run at once (--jobs). What a gate changes in build/ it names in `builds`, what it needs to stay as it
is meanwhile in `uses`; of two gates where one builds what the other builds or uses, the one declared later waits for
the end of the other. A gate with `alone` has the machine to itself. Otherwise gates start in the order of their
declaration, except that those with `long` do not wait to be the last that run.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import FrameType

from gatelib import job_count

ROOT = Path(__file__).resolve().parent.parent
TOTALS = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
TIMEOUT_S = 600
FAILURE = re.compile(r"(?:FAIL|CRASH|HANG|ERROR|FLAKY|XDIFF|XPASS|STALE)\b.*")  # a line that names what failed
FAILURES_SHOWN = 5
FAILURE_SIZE_MAX = 300
TAIL_LINES = 40
JOBS_MAX = 4  # many gates use every processor themselves
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DeclarationError(Exception):
    """A file of gates that cannot be used."""


@dataclasses.dataclass(frozen=True)
class Gate:
    name: str
    command: str
    quick: bool = False
    nightly: bool = False  # long, or wants a quiet machine: only with --all or by name
    needs: str = ""
    timeout_s: float = TIMEOUT_S
    builds: tuple[str, ...] = ()  # what no other gate may build or use meanwhile; mostly folders under build/
    uses: tuple[str, ...] = ()  # what no other gate may build meanwhile
    alone: bool = False  # measures time, or keeps every processor busy by itself
    long: bool = False

    def excludes(self, other: Gate) -> bool:
        ours, theirs = set(self.builds), set(other.builds)
        return bool(ours & theirs or ours & set(other.uses) or theirs & set(self.uses))


@dataclasses.dataclass
class Result:
    gate: Gate
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    error: str = ""
    seconds: float = 0.0
    reasons: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    log: Path = Path()

    @property
    def status(self) -> str:
        if self.failed:
            return "failed"
        return "ok" if self.passed else "skipped"

    def as_json(self, root: Path) -> dict:
        return {
            "name": self.gate.name,
            "command": self.gate.command,
            "status": self.status,
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
            "error": self.error,
            "reasons": self.reasons,
            "seconds": round(self.seconds, 3),
            "log": os.path.relpath(self.log, root),
        }


# ---- declarations -----------------------------------------------------------------------------------


def _gate(table: dict, where: str) -> Gate:
    kinds = {
        "name": str,
        "command": (str, list),
        "quick": bool,
        "nightly": bool,
        "needs": str,
        "timeout_s": (int, float),
        "builds": list,
        "uses": list,
        "alone": bool,
        "long": bool,
    }
    for key, value in table.items():
        if key not in kinds:
            raise DeclarationError(f"{where}: unknown key {key}")
        if not isinstance(value, kinds[key]) or (key == "timeout_s" and isinstance(value, bool)):
            raise DeclarationError(f"{where}: {key} has the wrong type")
        if key in ("builds", "uses") and not all(isinstance(word, str) and word for word in value):
            raise DeclarationError(f"{where}: {key} is a list of names")
    for key in ("name", "command"):
        if not table.get(key):
            raise DeclarationError(f"{where}: {key} is missing")
    # The name becomes the name of a log file.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", table["name"]):
        raise DeclarationError(f"{where}: {table['name']!r} is no usable name")
    command = table["command"]
    if isinstance(command, list):
        command = shlex.join(command)
    lists = {key: tuple(table.get(key, ())) for key in ("builds", "uses")}
    return Gate(**{**table, **lists, "command": command})


def load_gates(folder: Path) -> list[Gate]:
    """All gates, in the order of the file names and then of the declarations."""
    gates: dict[str, Gate] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            declared = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise DeclarationError(f"{path.name}: {problem}") from problem
        if set(declared) - {"gate"}:
            raise DeclarationError(f"{path.name}: only [[gate]] tables are allowed")
        tables = declared.get("gate", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise DeclarationError(f"{path.name}: gates are written as [[gate]]")
        for number, table in enumerate(tables, start=1):
            gate = _gate(table, f"{path.name}, gate {number}")
            if gate.name in gates:
                raise DeclarationError(f"{path.name}: gate {gate.name} is declared twice")
            gates[gate.name] = gate
    if not gates:
        raise DeclarationError(f"no gates in {folder}")
    return list(gates.values())


def select(gates: Sequence[Gate], only: Sequence[str], quick: bool, nightly: bool = False) -> list[Gate]:
    """The gates to run; a name also selects every gate below it: `lint` means `lint.*`."""
    chosen = [gate for gate in gates if gate.quick or not quick]
    if not only:
        return [gate for gate in chosen if nightly or not gate.nightly]
    for name in only:
        if not any(_below(gate.name, name) for gate in gates):
            raise DeclarationError(f"no gate {name}; --list shows them")
    return [gate for gate in chosen if any(_below(gate.name, name) for name in only)]


def _below(gate_name: str, name: str) -> bool:
    return gate_name == name or gate_name.startswith(name + ".")


# ---- running ----------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The tools of the Python environment come first; no text depends on the machine's language."""
    found = dict(os.environ)
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", os.defpath)])
    found.setdefault("LC_ALL", "C.UTF-8")
    found["PYTHONUNBUFFERED"] = "1"
    return found


def end_group(process: subprocess.Popen) -> bool:
    """Ends what is left of the gate's process group; true if there was anything."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Running:
    """A gate that has been started."""

    def __init__(self, gate: Gate, root: Path, logs: Path) -> None:
        self.gate = gate
        self.result = Result(gate, log=logs / f"{gate.name}.log")
        self.started = time.monotonic()
        logs.mkdir(parents=True, exist_ok=True)
        # Output goes to a file, not a pipe: a stray child that keeps it open cannot hold up the run.
        with self.result.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", gate.command],
                cwd=root,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> Result:
        timed_out = False
        try:
            self.process.wait(timeout=self.gate.timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            end_group(self.process)
            self.process.wait()
        self.result.seconds = time.monotonic() - self.started
        try:
            output = self.result.log.read_text(encoding="utf-8", errors="replace")
        except OSError as problem:
            output = f"the log is gone: {problem}"
        judge(self.result, output, self.process.returncode, timed_out)
        return self.result


def run_gate(gate: Gate, root: Path, logs: Path) -> Result:
    return Running(gate, root, logs).wait()


def choose(waiting: Sequence[Gate], running: Collection[Gate]) -> Gate | None:
    """The gate to start next, or None while all have to wait. Both are in the order of the declarations."""
    if any(gate.alone for gate in running):
        return None
    ready = [
        gate for at, gate in enumerate(waiting) if not any(gate.excludes(other) for other in (*waiting[:at], *running))
    ]
    together = [gate for gate in ready if not gate.alone]
    if together:
        # One place is for the long ones, so that none is left to run by itself at the end; the others are quick to
        # say what is wrong.
        wanted = not any(gate.long for gate in running)
        return next((gate for gate in together if gate.long is wanted), together[0])
    return ready[0] if ready and not running else None


@contextlib.contextmanager
def interrupts(events: queue.SimpleQueue[Result | None]) -> Iterator[None]:
    """What would end this program becomes an event, so that it never comes between starting a gate and knowing it."""

    def note(number: int, frame: FrameType | None) -> None:
        events.put(None)

    before = {number: signal.signal(number, note) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_gates(gates: Sequence[Gate], root: Path, jobs: int, display: Display) -> list[Result]:
    """Results in the order in which the gates ended; fewer than gates after an interrupt, which ends what runs."""
    events: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
    waiting = list(gates)
    running: dict[Gate, tuple[Running, threading.Thread]] = {}
    results: list[Result] = []
    with interrupts(events):
        try:
            while waiting or running:
                while len(running) < jobs and (gate := choose(waiting, running)):
                    waiting.remove(gate)
                    started = Running(gate, root, root / "build/gates")
                    thread = threading.Thread(target=lambda one=started: events.put(one.wait()))
                    running[gate] = (started, thread)
                    thread.start()
                display.running([gate.name for gate in running])
                result = events.get()
                if result is None:
                    break
                running.pop(result.gate)[1].join()
                results.append(result)
                display.done(result)
                if result.failed:
                    show_failure(result, root)
        finally:
            for one, _ in running.values():
                end_group(one.process)
            for _, thread in running.values():
                thread.join()
    return results


def judge(result: Result, output: str, exit_code: int, timed_out: bool) -> None:
    """Reads the totals and refuses whatever does not add up."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    result.reasons = [line.removeprefix("SKIP ") for line in lines if line.startswith("SKIP ")]
    result.failures = [line for line in lines if FAILURE.fullmatch(line)]
    totals = TOTALS.fullmatch(lines[-1]) if lines else None
    if totals:
        result.passed, result.failed, result.skipped = (int(number) for number in totals.groups())
    if timed_out:
        result.error = f"still running after {result.gate.timeout_s:g} s"
    elif totals is None:
        result.error = f"printed no totals (exit code {exit_code})"
    elif result.passed + result.failed + result.skipped == 0:
        result.error = "counted nothing"
    elif exit_code != 0 and not result.failed:
        result.error = f"exit code {exit_code} without a counted failure"
    elif exit_code == 0 and result.failed:
        result.error = "exit code 0 in spite of failures"
    elif result.skipped and not result.reasons:
        result.error = "skipped without a reason"
    if result.error and not result.failed:
        result.failed = 1


# ---- showing ----------------------------------------------------------------------------------------


class Display:
    """One line when a gate ends."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.number = 0

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def running(self, names: Sequence[str]) -> None:
        pass

    def done(self, result: Result) -> None:
        self.number += 1
        print(f"[{self.number:{len(str(self.total))}}/{self.total}] {summary(result)}", flush=True)


class RichDisplay(Display):
    """A progress bar with the running gates below the finished ones."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(highlight=False),
            transient=True,
        )
        self.task = self.progress.add_task("", total=total)

    def __enter__(self) -> Display:
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def running(self, names: Sequence[str]) -> None:
        self.progress.update(self.task, description=", ".join(names))

    def done(self, result: Result) -> None:
        style = {"ok": "green", "skipped": "yellow", "failed": "red"}[result.status]
        self.progress.advance(self.task)
        self.progress.console.print(summary(result), style=style, markup=False)


def summary(result: Result) -> str:
    counts = f"{result.passed} passed, {result.failed} failed, {result.skipped} skipped"
    line = f"{result.status:7} {result.gate.name:28} {counts:40} {result.seconds:7.1f} s"
    return f"{line}  {result.error}" if result.error else line


def show_failure(result: Result, root: Path) -> None:
    with contextlib.suppress(OSError):
        _show_end(result, root)


def _show_end(result: Result, root: Path) -> None:
    lines = result.log.read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"--- {result.gate.name}: the end of {os.path.relpath(result.log, root)}", flush=True)
    for line in lines[-TAIL_LINES:]:
        print(f"    {line}")
    print(f"--- again: ./dev test --only {result.gate.name}", flush=True)


def show_list(gates: Sequence[Gate]) -> None:
    for gate in gates:
        print(f"{gate.name:28} {'quick' if gate.quick else 'nightly' if gate.nightly else '':7}  {gate.command}")
        if gate.needs:
            print(f"{'':28}        skipped where absent: {gate.needs}")


def show_totals(results: Sequence[Result], gates: Sequence[Gate]) -> int:
    """Reasons of skips, names of failures, and the last line; returns the exit code."""
    unfinished = [gate.name for gate in gates if gate not in [result.gate for result in results]]
    for result in results:
        for reason in result.reasons:
            print(f"SKIP {result.gate.name}: {reason}")
    for result in results:
        if result.failed:
            print(f"FAIL {result.gate.name}: {result.error or f'{result.failed} failed'}")
            for line in result.failures[-FAILURES_SHOWN:]:  # the summary of a suite comes last
                print(f"     {line[:FAILURE_SIZE_MAX]}")
    if unfinished:
        print(f"interrupted: {len(unfinished)} of {len(gates)} gates did not finish: {', '.join(unfinished)}")
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    skipped = sum(result.skipped for result in results)
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    if unfinished:
        return 130
    return 1 if failed or not passed else 0


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev test", description="Run the gates and add up what they report.")
    parser.add_argument("--quick", action="store_true", help="only the gates marked quick (under three minutes)")
    parser.add_argument(
        "--all", action="store_true", help="also the gates marked nightly: long, or for a quiet machine"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="this gate, or all below NAME (repeatable)"
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=min(job_count(), JOBS_MAX),
        metavar="N",
        help=f"gates at once (default: processors, at most {JOBS_MAX})",
    )
    parser.add_argument("--list", action="store_true", help="show the gates instead of running them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE as well")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    root = options.root.resolve()
    try:
        declared = load_gates(root / "tools/gates.d")
        gates = select(declared, options.only, options.quick, options.all)
    except DeclarationError as problem:
        print(f"gates: {problem}", file=sys.stderr)
        return 2
    if options.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # for ./dev test --list | head
        show_list(gates if options.only or options.quick else declared)
        return 0
    left_out = [gate.name for gate in declared if gate.nightly and gate not in gates]
    if left_out and not options.only:
        print(f"left out, for ./dev test --all: {', '.join(left_out)}", flush=True)
    with RichDisplay(len(gates)) if sys.stdout.isatty() else Display(len(gates)) as display:
        ended = run_gates(gates, root, options.jobs, display)
    results = sorted(ended, key=lambda result: gates.index(result.gate))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps([result.as_json(root) for result in results], indent=2) + "\n", encoding="utf-8"
        )
    return show_totals(results, gates)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Runs one check for ctest and judges it: `check.py --name NAME --expect TEXT [option...] -- COMMAND...`.

What counts nothing has failed. A command counts in one of three ways: it writes JUnit to the file that it is given as
{junit}; or its last line is `N passed, N failed, N skipped`; or, with --counts exit, its exit code counts as one,
and with --counts hooks each hook of pre-commit. What is skipped says why, in a line `SKIP name: reason`.

The exit code is 0, 1, or 77 where all was skipped. A failure ends with what was expected, what was seen, and the
command that runs it alone. What hangs is ended, after its stacks have been written to the log.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from tally import ROOT, Tally

TOTALS = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
FAILURE = re.compile(r"(?:FAIL|CRASH|HANG|ERROR|FLAKY|XDIFF|XPASS|STALE)\b.*")
SKIPPED = 77
FAILURES_SHOWN, FAILURE_SIZE_MAX, TAIL_LINES = 5, 400, 40
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    "LC_ALL": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
}


# ---- processes --------------------------------------------------------------------------------------


def children(of: int) -> list[tuple[int, float]]:
    """Process IDs and ages in seconds of the direct children."""
    found = []
    ticks, now = os.sysconf("SC_CLK_TCK"), float(Path("/proc/uptime").read_text().split()[0])
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == of:
            found.append((int(stat.parent.name), now - int(fields[19]) / ticks))
    return found


def tree(root: int) -> list[int]:
    """A process and all below it."""
    return [root] + [one for child, _ in children(root) for one in tree(child)]


def stacks(process: int) -> str:
    """Every thread's stack of a process and of those below it, by py-spy or gdb."""
    parts = []
    for one in tree(process):
        try:
            name = Path(f"/proc/{one}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
            python = "python" in Path(f"/proc/{one}/exe").resolve().name
        except OSError:
            continue
        command = ["gdb", "-p", str(one), "-batch", "-nx", "-ex", "thread apply all backtrace"]
        if python:
            command = ["py-spy", "dump", "--pid", str(one)]
        if shutil.which(command[0]) is None:
            parts.append(f"--- process {one}: {name}\n{command[0]} is not installed: no stacks")
            continue
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
            text = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("[New LWP"))
        except subprocess.TimeoutExpired:
            text = f"{command[0]} did not end"
        parts.append(f"--- process {one}: {name}\n{text}")
    return "\n".join(parts)


def end(process: subprocess.Popen) -> None:
    """Ends all that is left of the command's session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def watch(process: subprocess.Popen, log: Path, timeout_s: float, each_s: float | None) -> str:
    """Waits for the end; ends what takes too long and says so."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            process.wait(timeout=min(1.0, timeout_s))
            return ""
        except subprocess.TimeoutExpired:
            pass
        with log.open("a", encoding="utf-8") as out:
            if time.monotonic() > deadline:
                out.write(f"\nstill running after {timeout_s:g} s; the stacks:\n{stacks(process.pid)}\n")
                end(process)
                process.wait()
                return f"still running after {timeout_s:g} s (stacks in {log.relative_to(ROOT)})"
            for child, age in children(process.pid) if each_s else []:
                if age > each_s:
                    out.write(f"\nprocess {child} still runs after {each_s:g} s; the stacks:\n{stacks(child)}\n")
                    out.flush()
                    for one in reversed(tree(child)):
                        os.kill(one, signal.SIGKILL)


# ---- counting ---------------------------------------------------------------------------------------


def last_words(text: str) -> str:
    """What a C test or a program says at its end."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r": expected |ERROR: |runtime error|WARNING: ThreadSanitizer", line)]
    return (told or lines or ["no output"])[-1]


def skip_reason(text: str, fallback: str) -> str:
    found = re.search(r"^SKIP (?:\S+: )?(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else fallback


def count_junit(junit: Path, folder: str, tally: Tally) -> list[str]:
    """Counts the tests of ctest or pytest; returns the command that runs each failed one alone."""
    alone = []
    for case in ET.parse(junit).getroot().iter("testcase"):
        name, status = case.get("name", "?"), case.get("status")
        output = case.findtext("system-out") or ""
        failure = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
        skipped = case.find("skipped")
        reason = skipped.get("message", "") if skipped is not None else ""
        # A program that is not there is no skip: the build has a hole.
        hole = status == "notrun" and re.search("not run|unable to find|missing", reason, re.IGNORECASE)
        if skipped is not None and not hole:
            tally.skip(name, skip_reason(output, reason or "it gives no reason"))
        elif failure is None and not hole and status in (None, "run"):
            tally.ok()
        elif status:  # ctest
            print("\n".join(f"    {line}" for line in output.splitlines()[-TAIL_LINES:]))
            tally.fail(name, f"{reason or last_words(output)} (after {float(case.get('time', 0)):.0f} s)")
            alone.append(f"ctest --test-dir {folder} --output-on-failure -R '^{re.escape(name)}$'")
        else:  # pytest
            module = case.get("classname", "").removeprefix((case.get("file") or "")[:-3].replace("/", ".")).strip(".")
            node = "::".join(filter(None, (case.get("file"), module, name)))
            tally.fail(name, (failure.get("message") or "").strip().splitlines()[0] if failure is not None else "")
            alone.append(f"build/venv/bin/python -m pytest {shlex.quote(node)}")
    return alone


def missing(needs: list[str]) -> list[str]:
    """What is not here of `program`, `program=Debian package` and `./path`."""
    found = []
    for program, _, package in (need.partition("=") for need in needs):
        if program.startswith("./"):
            found += [] if (ROOT / program).exists() else [program]
        elif shutil.which(program) is None:
            found.append(f"{program} (Debian package {package or program})")
    return found


# ---- one check --------------------------------------------------------------------------------------


class Check:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.tally = Tally()
        self.log = ROOT / "build/checks/log" / f"{options.name}.log"
        self.junit = ROOT / "build/checks/junit" / f"{options.name}.xml"
        self.again: list[str] = []
        self.seen: list[str] = []
        self.problems: list[str] = []  # of the check itself, not of what it counts

    def run(self) -> int:
        absent = missing(self.options.needs)
        if absent:
            self.tally.skip(self.options.name, f"not here: {', '.join(absent)}")
            return self.close()
        command = [word.replace("{junit}", str(self.junit)) for word in self.options.command]
        for path in (self.log, self.junit):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        # To a file, not a pipe: a stray child that keeps it open cannot hold up the run.
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: (end(process), os._exit(130)))
        late = watch(process, self.log, self.options.timeout, self.options.each)
        end(process)
        self.judge(self.log.read_text(encoding="utf-8", errors="replace"), process.returncode, late)
        return self.close()

    def judge(self, output: str, code: int, late: str) -> None:
        """Counts, and refuses whatever does not add up."""
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        totals = TOTALS.fullmatch(lines[-1]) if lines else None
        skips = [line for line in lines if line.startswith("SKIP ")]
        if "{junit}" in " ".join(self.options.command):
            if self.junit.exists():
                folder = next((word for word in self.options.command if word.startswith("build/")), "")
                self.again = count_junit(self.junit, folder, self.tally)
            elif code == SKIPPED and skips:
                self.tally.skip(self.options.name, skips[-1].partition(": ")[2])
            elif not late:
                self.problem(f"no results were written (exit code {code}): {last_words(output)}")
        elif self.options.counts == "exit":
            if code == SKIPPED and skips:
                self.tally.skip(self.options.name, skips[-1].partition(": ")[2])
            elif code == 0:
                self.tally.ok()
            elif not late:
                self.problem(f"exit code {code}: {last_words(output)}")
        elif self.options.counts == "hooks":
            self.count_hooks(output)
        elif totals:
            self.tally.passed, self.tally.failed, self.tally.skipped = (int(number) for number in totals.groups())
            self.seen = [line for line in lines if FAILURE.fullmatch(line)]
            print("\n".join(skips), end="\n" if skips else "")
            if self.tally.skipped and not skips:
                self.problem("skipped without a reason")
        elif not late:
            self.problem(f"printed no totals (exit code {code})")
        if late:
            self.problem(late)
        elif self.problems:
            pass
        elif code not in (0, SKIPPED) and not self.tally.failed:
            self.problem(f"exit code {code} without a counted failure")
        elif code == 0 and self.tally.failed:
            self.problem("exit code 0 in spite of failures")
        elif self.tally.passed + self.tally.failed + self.tally.skipped == 0:
            self.problem("counted nothing")
        if self.tally.failed:
            print(f"--- {self.options.name}: the end of {self.log.relative_to(ROOT)}")
            print("\n".join(f"    {line}" for line in output.splitlines()[-TAIL_LINES:]))

    def count_hooks(self, output: str) -> None:
        """A hook without files has counted nothing. What a failed one says stands below it."""
        for name, verdict, said in re.findall(
            r"^(\S.*?)\.{3,}.*?(Passed|Failed|Skipped)$\n?((?:(?!.*\.\.\.).*\n)*)", output, re.MULTILINE
        ):
            if verdict == "Passed":
                self.tally.ok()
                continue
            said = [line for line in said.splitlines() if line and not line.startswith("- ")]
            self.tally.fail(name, said[0] if said else verdict)
            hook = re.search(rf"{re.escape(name)}.*\n- hook id: (\S+)", output)
            self.again.append(f"PATH=build/venv/bin:$PATH pre-commit run --all-files {hook.group(1) if hook else ''}")

    def problem(self, why: str) -> None:
        self.tally.failed = max(self.tally.failed, 1)
        self.problems.append(why)

    def close(self) -> int:
        for left_out in self.options.skip:
            self.tally.skip(*left_out.split(": ", 1))
        tally, name = self.tally, self.options.name
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"CPU {usage.ru_utime + usage.ru_stime:.1f} s")
        if tally.failed:
            print(f"FAILED {name}\n  expected: {self.options.expect}")
            for line in [*(self.seen or tally.failures), *self.problems][-FAILURES_SHOWN:]:
                print(f"  seen: {line[:FAILURE_SIZE_MAX]}")
            print(f"  alone: {self.again[-1] if self.again else f'./dev test --only {name}'}")
        print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
        return 1 if tally.failed else 0 if tally.passed else SKIPPED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--expect", required=True, help="what holds when it passes, in a sentence")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS")
    parser.add_argument("--each", type=float, metavar="SECONDS", help="limit of each child of the command")
    parser.add_argument("--needs", action="append", default=[], metavar="PROGRAM[=PACKAGE]")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME: REASON", help="what it leaves out")
    parser.add_argument("--counts", choices=("totals", "exit", "hooks"), default="totals")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.environ.update({name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()})
    return Check(options).run()


if __name__ == "__main__":
    sys.exit(main())

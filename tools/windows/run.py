# SPDX-License-Identifier: MIT
"""./dev windows: builds for Windows and runs what was built under Wine.

The steps: what MSVC would refuse (msvc.py), the unit tests with their vectors, the command line tool, live messages
with upstream golang-ipc built for windows/amd64 (rows with "os": "windows" in build/interop/results.json), and the
conformance suite through the relay.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from tally import Tally, fetch_cross_sources, job_count  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))
import msvc  # noqa: E402

BUILD = ROOT / "build" / "windows"
STATIC, DLL = BUILD / "static", BUILD / "dll"
WINE = ROOT / "tools" / "windows" / "wine"
PREFIX = BUILD / "prefix"
TOTALS = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
SKIPPED = 77
START_LIMIT_S = 120  # for a program to come up; a second on a quiet machine
# What cannot be seen through the relay, and why.
NOT_VISIBLE = {
    "res.*": "the suite measures the process it talks to, which is not the one under Wine",
    "end.in-use": "about a file in the way of a socket; test_endpoints_windows.c asks it of a pipe",
    "end.occupied": "about a file in the way of a socket",
    "end.removed": "about the file of a socket",
    "close.no-reset": "a pipe has no half and no reset; a reset seen here is that of the relay's socket",
    "end.name.too-long": "about the longest path of a socket; test_transport_windows.c asks it of a pipe",
}
QUICK_CASES = ("hs.*", "seal.tag.*", "close.*", "api.*")


class StepError(Exception):
    """A step that cannot go on."""


def environment() -> dict[str, str]:
    return {**os.environ, "WINEPREFIX": str(PREFIX), "WINEDEBUG": "-all"}


def run(command: list, timeout_s: float, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(word) for word in command], check=False, cwd=ROOT, env=environment(), timeout=timeout_s, **options
    )


def relay_totals(tally: Tally, name: str, command: list, timeout_s: float) -> None:
    """Runs something that ends with totals of its own, shows what it says and adds them up."""
    try:
        done = run(command, timeout_s, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except subprocess.TimeoutExpired:
        tally.fail(name, f"took longer than {timeout_s:g} s")
        return
    lines = done.stdout.rstrip().splitlines()
    found = TOTALS.fullmatch(lines[-1].strip()) if lines else None
    print("\n".join(lines[:-1] if found else lines), flush=True)
    if not found:
        tally.fail(name, f"exit status {done.returncode} without totals")
        return
    passed, failed, skipped = map(int, found.groups())
    tally.passed += passed
    tally.failed += failed
    tally.skipped += skipped
    tally.check((done.returncode == 0) == (failed == 0), f"{name}: exit status", f"{done.returncode}")


def what_msvc_refuses(tally: Tally, args: argparse.Namespace) -> None:
    msvc.check(tally)


def unit_tests(tally: Tally, args: argparse.Namespace) -> None:
    report = STATIC / "ctest.xml"
    report.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", STATIC, "--output-on-failure", "-L", "unit", "-j", job_count()]
    done = run([*command, "--output-junit", report], 900, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not report.exists():
        tally.fail("unit tests", done.stdout[-2000:])
        return
    for case in ET.parse(report).getroot().iter("testcase"):
        name = case.get("name", "?")
        output = case.findtext("system-out") or ""
        if case.find("skipped") is not None or case.get("status") == "notrun":
            reason = re.search(r"SKIP [^:\n]*: (.*)", output)
            tally.skip(name, reason.group(1).strip() if reason else "it skipped itself")
        else:
            tally.check(case.get("status") == "run" and case.find("failure") is None, name, output[-2000:])


@contextlib.contextmanager
def serving(program: Path, name: str) -> Iterator[None]:
    """`goipc serve NAME --echo`; entered once it listens."""
    server = subprocess.Popen(
        [str(WINE), str(program), "serve", name, "--echo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    guard = threading.Timer(START_LIMIT_S, server.kill)
    guard.start()
    try:
        for line in server.stderr:
            if "listening at" in line:
                break
        yield
    finally:
        guard.cancel()
        server.kill()
        server.wait()


def command_line(tally: Tally, args: argparse.Namespace) -> None:
    """The tool of the static build and that of the DLL build, each against the other."""
    static, dll = STATIC / "ref" / "cli" / "goipc.exe", DLL / "bin" / "goipc.exe"
    for server, client in ((static, dll), (dll, static)):
        name = f"goipc-cli-{os.getpid()}-{secrets.token_hex(4)}"
        title = f"goipc.exe: {client.relative_to(BUILD)} to {server.relative_to(BUILD)}"
        with serving(server, name):
            done = run(
                [WINE, client, "connect", name, "--quiet", "--timeout", "60000", "--linger", "1000"],
                START_LIMIT_S,
                input=b"one\nzwei \xc3\xa4\n",
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        tally.check(
            done.returncode == 0 and done.stdout == b"one\nzwei \xc3\xa4\n",
            title,
            f"exit status {done.returncode}, {done.stdout!r}, {done.stderr!r}",
        )
    version = run([WINE, dll, "version"], START_LIMIT_S, stdout=subprocess.PIPE, text=True).stdout
    tally.check(version.startswith("goipc "), "goipc.exe version", repr(version))


def interop(tally: Tally, args: argparse.Namespace) -> None:
    if shutil.which("go") is None:
        tally.skip("interop under Wine", "Go is not installed")
        return
    for build in (STATIC / "conformance", DLL / "bin") if not args.quick else (STATIC / "conformance",):
        command = [sys.executable, ROOT / "interop" / "run.py", "--wine", "--plain", "-j", "2"]
        command += ["--adapter", build / "goipc-adapter-c.exe"]
        # A handshake under Wine takes some 30 ms.
        command += ["--quick"] if args.quick or build.name == "bin" else ["--handshakes", "300"]
        if build.name == "bin":
            # The same pairs once more with the DLL; the rows of the static build are the ones to keep.
            command += ["--results", BUILD / "interop-dll.json"]
        relay_totals(tally, f"interop ({build.name})", command, 900)


def suite(tally: Tally, args: argparse.Namespace) -> None:
    for case, reason in NOT_VISIBLE.items():
        tally.skip(f"conformance suite: {case}", reason)
    races = ROOT / "tools" / "windows" / "relay.toml"  # of the relay; nothing that happens twice is forgiven
    relay_totals(
        tally,
        "conformance suite",
        [
            Path(sys.executable).with_name("goipc-conformance"),
            "run",
            "-q",
            "-j",
            "3",
            "--timeout-scale",
            "10",  # starting a program under Wine on a busy machine; what is asked is not changed by it
            "--json",
            BUILD / ("conformance-quick.json" if args.quick else "conformance.json"),
            "--expect",
            races,
            *(QUICK_CASES if args.quick else ()),
            *(f"!{case}" for case in NOT_VISIBLE),
            "--",
            sys.executable,
            ROOT / "tools" / "windows" / "adapter.py",
            STATIC / "conformance" / "goipc-adapter-c.exe",
        ],
        2700,
    )


STEPS: dict[str, Callable[[Tally, argparse.Namespace], None]] = {
    "msvc": what_msvc_refuses,
    "unit": unit_tests,
    "cli": command_line,
    "interop": interop,
    "suite": suite,
}
WITHOUT_WINE = {"msvc"}


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two runs in one tree would build into the same folders and end each other's programs."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("-- waiting for another run to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def relay() -> Iterator[str]:
    """The relay, which ends with its standard input; gives its control port."""
    with subprocess.Popen(
        [str(WINE), str(BUILD / "relay.exe")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        guard = threading.Timer(START_LIMIT_S, process.kill)
        guard.start()
        try:
            word, port = (process.stdout.readline().split() + ["", ""])[:2]
            if word != "control":
                raise StepError("the relay did not start")
            guard.cancel()
            yield port
        finally:
            guard.cancel()
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def end_wine() -> None:
    subprocess.run(["wineserver", "-k"], check=False, env=environment(), stderr=subprocess.DEVNULL, timeout=60)


@contextlib.contextmanager
def wine_kept_up() -> Iterator[None]:
    """The relay runs through all steps: else each program that starts alone starts Windows first, for seconds."""
    end_wine()  # what a run that was killed has left
    try:
        with relay() as port:
            os.environ["GOIPC_RELAY"] = port
            yield
    finally:
        end_wine()


def perform(tally: Tally, args: argparse.Namespace, name: str) -> None:
    print(f"-- {name}", flush=True)
    start = time.monotonic()
    try:
        STEPS[name](tally, args)
    except (StepError, OSError, subprocess.TimeoutExpired) as problem:
        tally.fail(name, str(problem))
    print(f"   {time.monotonic() - start:.0f} s", flush=True)


def run_steps(tally: Tally, args: argparse.Namespace) -> None:
    chosen = [name for name in STEPS if not args.only or name in args.only]
    under_wine = [name for name in chosen if name not in WITHOUT_WINE]
    for name in chosen:
        if name in WITHOUT_WINE:
            perform(tally, args, name)
    if not under_wine:
        return
    try:
        with wine_kept_up():
            for name in under_wine:
                perform(tally, args, name)
    except (StepError, OSError, subprocess.TimeoutExpired) as problem:
        tally.fail("Wine", str(problem))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev windows", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer messages and cases")
    parser.add_argument("--only", action="append", choices=sorted(STEPS), help="these steps")
    parser.add_argument("--build", action="store_true", help="build and stop")
    return parser.parse_args()


def main() -> int:
    args = parse()
    tally = Tally()
    with alone():
        print("-- build", flush=True)
        fetch_cross_sources()
        built = subprocess.run(["sh", str(ROOT / "tools" / "windows" / "build.sh")], check=False, cwd=ROOT)
        if built.returncode == SKIPPED:
            tally.skipped += 1  # the script has said why
            return tally.finish()
        tally.check(built.returncode == 0, "build", f"exit status {built.returncode}")
        if built.returncode == 0 and not args.build:
            run_steps(tally, args)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

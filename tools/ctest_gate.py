# SPDX-License-Identifier: MIT
"""Builds a CMake preset, runs its tests with ctest and reports them as a gate.

    ctest_gate.py PRESET [--valgrind | --whole-valgrind] [--label REGEX] [--exclude-label REGEX] [--soak]

With --valgrind the test programs are run under valgrind's memcheck instead of by ctest, with
GOIPC_TEST_SLOW in their environment: they repeat less and leave a few checks out; what they say of that is
printed. Without `whole` those that are about load and time are left out (LEFT_TO_WHOLE), and said so.
With --soak only those run that are registered for the configuration `soak`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from gatelib import ROOT, Tally, job_count

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
# Under valgrind these take longest; begun first, they leave no core idle at the end. Order only: what is
# not listed runs too, after them.
SLOWEST_FIRST = (
    "ref.session_faults",
    "fuzz.pair",
    "ref.fault",
    "ref.connection",
    "ref.crypto",
    "ref.session_parts",
    "ref.endpoints",
    "ref.threads",
    "ref.hostile",
    "ref.session",
    "ref.vectors",
)
# Under valgrind these mostly wait or keep others waiting.
LEFT_TO_WHOLE = {
    "ref.fault": "a handshake that loses a byte waits for its end, a hundred times: valgrind.whole",
    "ref.hostile": "load from many threads and processes, which valgrind runs one at a time: valgrind.whole",
    "ref.threads": "threads at once, which valgrind runs one at a time: valgrind.whole; races are found by ctest.tsan",
}
# What a test that skips itself exits with; the tests are registered with SKIP_RETURN_CODE.
SKIP_CODE = 77


def wanted_compiler(preset: str) -> str | None:
    """The compiler that a preset names itself, following `inherits`."""
    presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))["configurePresets"]
    by_name = {entry["name"]: entry for entry in presets}
    name: str | None = preset
    while name:
        entry = by_name[name]
        compiler = entry.get("cacheVariables", {}).get("CMAKE_C_COMPILER")
        if compiler:
            return compiler
        parents = entry.get("inherits")
        name = parents[0] if isinstance(parents, list) else parents
    return None


def build(preset: str) -> str | None:
    """Configures and builds; returns the end of the output if that failed."""
    commands = [
        ["cmake", "--preset", preset],
        ["cmake", "--build", f"build/{preset}", "-j", str(job_count()), "--", "-k", "0"],
    ]
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            return "\n".join(done.stdout.splitlines()[-60:])
    return None


def steady_addresses() -> list[str]:
    """ThreadSanitizer of older compilers cannot live with many bits of address randomisation."""
    if shutil.which("setarch") and subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0:
        return ["setarch", "-R"]
    return []


def skip_reason(output: str, fallback: str) -> str:
    """The reason as the test printed it: a line that begins with SKIP, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        found = re.match(r"skip(?:ped)?\b[ :]*(.*)", line, re.IGNORECASE)
        if found and found.group(1):
            return found.group(1)
    return lines[-1] if lines else fallback


def report(junit: Path, tally: Tally, *, shows_all: bool = False) -> None:
    for case in ET.parse(junit).getroot().iter("testcase"):
        name = case.get("name", "?")
        output = case.findtext("system-out") or ""
        status = case.get("status")
        skipped = case.find("skipped")
        if status == "run":
            tally.ok()
            if shows_all:
                print(output.rstrip())
        elif status in ("notrun", "disabled") and skipped is not None:
            message = skipped.get("message", "")
            # A program that is not there is no skip: the build has a hole.
            if "not run" in message.lower() or "unable to find" in message.lower() or "missing" in message.lower():
                tally.fail(name, message)
            else:
                tally.skip(name, skip_reason(output, message))
        else:
            print("\n".join(f"    {line}" for line in output.splitlines()[-60:]))
            failure = case.find("failure")
            message = failure.get("message", "") if failure is not None else ""
            tally.fail(name, f"{message or status} after {float(case.get('time', 0)):.1f} s")


def run_ctest(preset: str, options: argparse.Namespace, tally: Tally) -> None:
    junit = ROOT / "build" / preset / "junit.xml"
    junit.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", f"build/{preset}", "-j", str(job_count())]
    command += ["--output-junit", str(junit), "--test-output-size-passed", "65536"]
    command += ["--no-tests=error", "--timeout", str(options.test_timeout)]
    if options.label:
        command += ["-L", options.label]
    if options.exclude_label:
        command += ["-LE", options.exclude_label]
    if options.soak:
        command += ["-C", "soak", "-L", "soak"]
    if preset.startswith("tsan"):
        command = steady_addresses() + command
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **SANITIZER_OPTIONS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if not junit.exists():
        print(done.stdout)
        tally.fail(f"ctest {preset}", "no results were written")
        return
    report(junit, tally, shows_all=options.soak)
    if done.returncode != 0 and not tally.failed:
        print(done.stdout)
        tally.fail(f"ctest {preset}", f"exit code {done.returncode}")


def listed_tests(preset: str) -> list[dict]:
    listing = subprocess.run(
        ["ctest", "--test-dir", f"build/{preset}", "--show-only=json-v1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(listing.stdout)["tests"]


def properties(test: dict) -> dict:
    return {entry["name"]: entry["value"] for entry in test.get("properties", [])}


def rank(test: dict) -> int:
    name = test["name"]
    return SLOWEST_FIRST.index(name) if name in SLOWEST_FIRST else len(SLOWEST_FIRST)


def run_under_valgrind(test: dict, timeout_s: float) -> tuple[str, int | str, str]:
    found = properties(test)
    environment = {**os.environ, "GOIPC_TEST_SLOW": "1"}
    for pair in found.get("ENVIRONMENT", []):
        key, _, value = pair.partition("=")
        environment[key] = value
    command = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full"]
    command += ["--show-leak-kinds=definite,indirect,possible"]
    command += ["--errors-for-leak-kinds=definite,indirect,possible", "--track-fds=no", *test["command"]]
    try:
        done = subprocess.run(
            command,
            cwd=found.get("WORKING_DIRECTORY", ROOT),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return test["name"], f"still running after {timeout_s:g} s", ""
    return test["name"], done.returncode, done.stdout


def run_valgrind(preset: str, options: argparse.Namespace, tally: Tally) -> None:
    chosen = []
    for test in listed_tests(preset):
        labels = properties(test).get("LABELS", [])
        if not str(test.get("command", [""])[0]).startswith(str(ROOT / "build" / preset)):
            continue  # a script or a tool, not a program of ours
        if "no-valgrind" in labels:
            tally.skip(test["name"], "labelled no-valgrind: see the reason where it is registered")
        elif not options.whole_valgrind and test["name"] in LEFT_TO_WHOLE:
            tally.skip(test["name"], LEFT_TO_WHOLE[test["name"]])
        elif not options.label or any(re.search(options.label, label) for label in labels):
            chosen.append(test)
    chosen.sort(key=rank)
    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:
        for name, code, output in pool.map(lambda test: run_under_valgrind(test, options.test_timeout), chosen):
            for line in output.splitlines():
                if line.startswith("slow: "):
                    print(f"{name}: {line}")
            if code == 0:
                tally.ok()
            elif code == SKIP_CODE:
                tally.skip(name, skip_reason(output, "skipped itself"))
            else:
                print("\n".join(f"    {line}" for line in output.splitlines()[-60:]))
                tally.fail(name, f"exit code {code}" if isinstance(code, int) else code)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--valgrind", action="store_true")
    parser.add_argument("--whole-valgrind", action="store_true")
    parser.add_argument("--label")
    parser.add_argument("--exclude-label")
    parser.add_argument("--soak", action="store_true", help="only the long tests, and what they measure")
    parser.add_argument("--test-timeout", type=float, default=240, metavar="SECONDS")
    options = parser.parse_args()
    under_valgrind = options.valgrind or options.whole_valgrind
    tally = Tally()
    compiler = wanted_compiler(options.preset)
    for tool in ["valgrind"] if under_valgrind else []:
        if not shutil.which(tool):
            tally.skip(f"{tool}.{options.preset}", f"{tool} is not installed")
            return tally.finish()
    if compiler and not shutil.which(compiler):
        tally.skip(f"ctest.{options.preset}", f"{compiler} is not installed")
        return tally.finish()
    problem = build(options.preset)
    if problem:
        print(problem)
        tally.fail(f"build {options.preset}")
    elif under_valgrind:
        run_valgrind(options.preset, options, tally)
    else:
        run_ctest(options.preset, options, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

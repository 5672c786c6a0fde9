# SPDX-License-Identifier: MIT
"""./dev test: runs the checks of tools/checks with ctest, and adds up what they count.

The last line is `N passed, N failed, N skipped`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

from check import TOTALS
from tally import ROOT, job_count

BUILD = ROOT / "build/checks"
JUNIT = BUILD / "results.xml"
SETS = ("quick", "default", "all")
FAILED = re.compile(r"^FAILED .*(?:\n  .*)*", re.MULTILINE)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev test", description="Run the checks and add up what they count.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", dest="set", action="store_const", const="quick", help="at most three minutes")
    which.add_argument("--all", dest="set", action="store_const", const="all", help="everything, the long ones too")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="this check, or those of the set below NAME (repeatable)"
    )
    parser.add_argument("--list", action="store_true", help="show the checks instead of running them")
    parser.add_argument("--jobs", type=int, default=job_count(), metavar="N", help="checks at once (processors)")
    parser.set_defaults(set="default")
    return parser.parse_args(arguments)


def declared() -> dict[str, tuple[list[str], str]]:
    """Name -> the sets that a check is part of, and what it expects. Builds are part of none."""
    listing = subprocess.run(
        ["ctest", "--test-dir", BUILD, "--show-only=json-v1"], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for test in json.loads(listing)["tests"]:
        properties = {entry["name"]: entry["value"] for entry in test["properties"]}
        expect = test["command"][test["command"].index("--expect") + 1]
        found[test["name"]] = (properties.get("LABELS", []), expect)
    return found


def select(checks: dict[str, tuple[list[str], str]], options: argparse.Namespace) -> list[str]:
    """A name given in full runs whatever set it is part of."""
    names = options.only or []
    for name in names:
        if not any(f"{check}.".startswith(f"{name}.") for check in checks):
            sys.exit(f"there is no check {name}; ./dev test --list shows them")
    return [
        check
        for check, (sets, _) in checks.items()
        if check in names
        or (options.set in sets and (not names or any(check.startswith(f"{name}.") for name in names)))
    ]


def close(interrupted: bool) -> int:
    """Why something was skipped, what failed, and the totals."""
    totals = [0, 0, 0]
    skips, failures = [], []
    for case in ET.parse(JUNIT).getroot().iter("testcase"):
        name, output = case.get("name", "?"), case.findtext("system-out") or ""
        lines = output.strip().splitlines()
        found = TOTALS.fullmatch(lines[-1].strip()) if lines else None
        skips += [f"SKIP {name}: {line.removeprefix('SKIP ')}" for line in lines if line.startswith("SKIP ")]
        if found:
            totals = [before + int(number) for before, number in zip(totals, found.groups())]
            failures += FAILED.findall(output)
        else:  # a build that failed, or ctest had to end it
            totals[1] += 1
            why = "a build that it needs failed" if case.get("status") == "notrun" else "it ended without totals"
            failures.append(f"FAILED {name}\n  seen: {why}\n  alone: ./dev test --only {name}")
    print("\n".join(skips + failures))
    if interrupted:
        print("interrupted: not every check has ended")
    print("{} passed, {} failed, {} skipped".format(*totals), flush=True)
    return 130 if interrupted else 1 if totals[1] or not totals[0] else 0


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    configure = ["cmake", "-G", "Ninja", "-S", str(ROOT / "tools/checks"), "-B", str(BUILD)]
    done = subprocess.run(configure, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    checks = declared()
    chosen = select(checks, options)
    if options.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # for ./dev test --list | head
        for name, (sets, expect) in checks.items():
            if sets and (name in chosen or not (options.only or options.set != "default")):
                print(f"{name:28} {next(one for one in SETS if one in sets):8} {expect}")
        return 0
    JUNIT.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(BUILD), "-j", str(options.jobs), "--output-on-failure", "--no-label-summary"]
    command += ["--output-junit", str(JUNIT), "--no-tests=error", "--test-output-size-passed", "1000000"]
    command += ["--test-output-size-failed", "1000000", "-R", f"^({'|'.join(map(re.escape, chosen))})$"]
    try:
        code = subprocess.run(command, cwd=ROOT).returncode
    except KeyboardInterrupt:
        code = 130
    if not JUNIT.exists():
        print(f"ctest wrote no results (exit code {code}); ./dev test --list shows the checks")
        print("0 passed, 1 failed, 0 skipped")
        return 2
    result = close(code == 130)
    return result if result or code == 0 else 1


if __name__ == "__main__":
    os.environ.setdefault("GOIPC_JOBS", str(job_count()))
    sys.exit(main())

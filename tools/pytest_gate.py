# SPDX-License-Identifier: MIT
"""Runs pytest and reports it as a gate: pytest_gate.py PATH... [-- pytest options]."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from gatelib import ROOT, Tally


def report(junit: Path, tally: Tally) -> None:
    for case in ET.parse(junit).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '?')}".lstrip(".")
        failure = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        skipped = case.find("skipped")
        if failure is not None:
            tally.fail(name, failure.get("message", "").splitlines()[0] if failure.get("message") else "")
        elif skipped is not None:
            tally.skip(name, skipped.get("message", "no reason given"))
        else:
            tally.ok()


def main() -> int:
    arguments = sys.argv[1:]
    paths = arguments[: arguments.index("--")] if "--" in arguments else arguments
    extra = arguments[len(paths) + 1 :]
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="goipc-") as folder:
        junit = Path(folder, "junit.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={junit}"]
        done = subprocess.run([*command, *extra, *paths], cwd=ROOT)
        if junit.exists():
            report(junit, tally)
        if done.returncode != 0 and not tally.failed:
            tally.fail("pytest", f"exit code {done.returncode}")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

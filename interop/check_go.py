#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gofmt, go vet and go test over every Go module of the project; the last line counts."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

from run import ROOT, find_go

MODULES = (
    "conformance/adapters/go",
    "conformance/adapters/go/forks/*",
)


def check(module: pathlib.Path, go: str) -> list[str]:
    """Outcomes ("pass", "fail", "skip") of everything that ran in one module."""
    outcomes = []
    gofmt = pathlib.Path(go).resolve().with_name("gofmt")
    for command in ([str(gofmt), "-l", "."], [go, "vet", "./..."]):
        done = subprocess.run(command, check=False, cwd=module, capture_output=True, text=True)
        # gofmt lists what it would change and is content with itself all the same.
        bad = done.returncode != 0 or (command[0] == str(gofmt) and done.stdout != "")
        outcomes.append("fail" if bad else "pass")
        if bad:
            print(f"FAIL {module}: {' '.join(command)}\n{done.stdout}{done.stderr}")
    command = [go, "test", "-count=1", "-json", "./..."]
    done = subprocess.run(command, check=False, cwd=module, capture_output=True, text=True)
    tests = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    outcomes += [line["Action"] for line in tests if "Test" in line and line["Action"] in ("pass", "fail", "skip")]
    if done.returncode != 0:
        print(f"FAIL {module}: go test\n{done.stderr}" + "".join(line.get("Output", "") for line in tests))
        if "fail" not in outcomes:
            outcomes.append("fail")
    return outcomes


def main() -> int:
    go = find_go()
    modules = sorted(file.parent for pattern in MODULES for file in ROOT.glob(f"{pattern}/go.mod"))
    if go is None:
        print("SKIP go: Go is not installed")
        print(f"0 passed, 0 failed, {len(modules)} skipped")
        return 0
    outcomes = [outcome for module in modules for outcome in check(module, go)]
    counts = [outcomes.count(outcome) for outcome in ("pass", "fail", "skip")]
    print("{} passed, {} failed, {} skipped".format(*counts))
    return 1 if counts[1] or not counts[0] else 0


if __name__ == "__main__":
    sys.exit(main())

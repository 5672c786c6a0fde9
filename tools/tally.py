# SPDX-License-Identifier: MIT
"""What the checks share: the tally with its last line.

A check prints a line `FAIL name: why` per failure, `SKIP name: reason` per skip, and as its last line
`N passed, N failed, N skipped`; it exits with 1 if anything failed. `check.py` relies on that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Tally:
    """Counts outcomes and prints them in the one form that `check.py` understands."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.failures: list[str] = []

    def ok(self, count: int = 1) -> None:
        self.passed += count

    def fail(self, name: str, why: str = "") -> None:
        self.failed += 1
        self.failures.append(f"{name}: {why}" if why else name)
        print(f"FAIL {self.failures[-1]}", flush=True)

    def skip(self, name: str, reason: str) -> None:
        self.skipped += 1
        print(f"SKIP {name}: {reason}", flush=True)

    def check(self, condition: object, name: str, why: str = "") -> None:
        if condition:
            self.ok()
        else:
            self.fail(name, why)

    def finish(self) -> int:
        """Prints the totals and returns the exit code; having done nothing is a failure."""
        if self.passed + self.failed + self.skipped == 0:
            self.fail("nothing", "there was nothing to check")
        sys.stderr.flush()
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0


def relative(path: Path, root: Path = ROOT) -> str:
    return str(path.relative_to(root))


def job_count() -> int:
    return int(os.environ.get("GOIPC_JOBS") or os.cpu_count() or 2)

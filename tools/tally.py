# SPDX-License-Identifier: MIT
"""What the checks share: the tally with its last line, and the list of the project's files.

A check prints a line `FAIL name: why` per failure, `SKIP name: reason` per skip, and as its last line
`N passed, N failed, N skipped`; it exits with 1 if anything failed. `check.py` relies on that.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Never part of the project's own text, whatever git says of them.
OUTSIDE = {".git", "build", "__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache", "node_modules"}


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


def find_tool(name: str) -> str | None:
    """The tool as installed in the Python environment, else on PATH."""
    beside = Path(sys.executable).parent / name
    if beside.exists():
        return str(beside)
    return shutil.which(name)


def _from_git(root: Path) -> list[Path] | None:
    """Tracked and new files, as git sees them; None outside a work tree."""
    # safe.directory: a container often runs as another user than the owner of the clone.
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root)]
    command += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    names = sorted({name for name in listing.decode().split("\0") if name})
    return [root / name for name in names]


def _from_walk(root: Path) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in OUTSIDE and not name.endswith(".egg-info")]
        found += [Path(folder) / name for name in names]
    return sorted(found)


def project_files(patterns: Iterable[str] = ("*",), root: Path = ROOT) -> list[Path]:
    """The project's files whose name or path (relative to the root) matches one of the patterns."""
    patterns = list(patterns)
    files = _from_git(root)
    if files is None:
        files = _from_walk(root)
    chosen = []
    for path in files:
        relative = path.relative_to(root)
        if OUTSIDE & set(relative.parts) or not path.is_file() or path.is_symlink():
            continue
        if any(fnmatch.fnmatch(path.name, p) or fnmatch.fnmatch(str(relative), p) for p in patterns):
            chosen.append(path)
    return chosen


def relative(path: Path, root: Path = ROOT) -> str:
    return str(path.relative_to(root))


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Waits until no other program of this tree holds the lock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch_cross_sources(root: Path = ROOT) -> None:
    """The sources that Windows, macOS and the emulations share, once; why they cannot be had is said by who needs
    them."""
    script = root / "tools/cross/sources.sh"
    if script.exists():
        with only_one(root / "build/cross/lock"):
            subprocess.run(["sh", str(script)], cwd=root, capture_output=True, check=False)


def job_count() -> int:
    return int(os.environ.get("GOIPC_JOBS") or os.cpu_count() or 2)

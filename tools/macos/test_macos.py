# SPDX-License-Identifier: MIT
"""Where zig cannot be had `./dev macos` says so and skips."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The programs in a tree of their own, and a machine with nothing but a few tools: `bin`."""
    (tmp_path / "tools/macos").mkdir(parents=True)
    for name in ("macos/run.py", "macos/build.sh", "tally.py"):
        shutil.copy(HERE.parent / name, tmp_path / "tools" / name)
    (tmp_path / "bin").mkdir()
    for name in ("sh", "dirname", "mkdir", "rm", "cat", "tail"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    return tmp_path


def macos(tree: Path) -> tuple[int, list[str]]:
    command = [sys.executable, str(tree / "tools/macos/run.py")]
    done = subprocess.run(
        command, env={"PATH": str(tree / "bin")}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.splitlines()


def test_without_python_it_skips(tree):
    status, lines = macos(tree)
    assert "SKIP macos: python3 is not here" in lines
    assert (status, lines[-1]) == (0, "0 passed, 0 failed, 1 skipped")


def test_without_a_package_index_it_skips(tree):
    stub = tree / "bin/python3"
    stub.write_text("#!/bin/sh\necho no index\nexit 1\n", encoding="utf-8")
    stub.chmod(0o755)
    status, lines = macos(tree)
    assert "no index" in lines
    assert "SKIP macos: the Python package ziglang could not be installed" in lines
    assert (status, lines[-1]) == (0, "0 passed, 0 failed, 1 skipped")

# SPDX-License-Identifier: MIT
"""Runs the Go check of the vectors, spec/tools/go, or says why it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys

import specdoc


def main() -> int:
    if not shutil.which("go"):
        print("SKIP go: no Go")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    command = ["go", "run", ".", str(specdoc.SPEC_DIR / "vectors")]
    return subprocess.run(command, cwd=specdoc.SPEC_DIR / "tools" / "go", check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

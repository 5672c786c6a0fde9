# SPDX-License-Identifier: MIT
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SUITE = HERE.parent
TOY = [sys.executable, str(HERE / "toy.py")]


@pytest.fixture
def suite(tmp_path):
    """Runs the command line in a folder of its own; no output may ever hold a stack trace."""

    def run(*arguments, check_trace=True, timeout=600):
        # Byte code is kept, outside the source: most of a start would be compiling it.
        kept = {"PYTHONPYCACHEPREFIX": str(SUITE.parent / "build/pycache")}
        environment = {**kept, **os.environ, "PYTHONPATH": str(SUITE)}
        done = subprocess.run(
            [sys.executable, "-m", "goipc_conformance", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=False,
        )
        if check_trace:
            assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done

    os.environ["PYTHONPATH"] = str(SUITE)
    return run


@pytest.fixture
def toy():
    def words(*faults):
        return ["--", *TOY, *faults]

    return words

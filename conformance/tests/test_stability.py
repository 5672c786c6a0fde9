# SPDX-License-Identifier: MIT
"""The program that asks everything many times notices when the answers differ."""

import subprocess
import sys

from conftest import SUITE, TOY


def stability(tmp_path, *words):
    return subprocess.run(
        [sys.executable, SUITE / "stability.py", "--times", "2", "--load", "1", "server:hs.complete", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_steady_answers_pass(tmp_path):
    done = stability(tmp_path, "--quiet-only", "--", *TOY)
    assert done.returncode == 0 and done.stdout.strip().endswith("2 passed, 0 failed, 0 skipped"), done.stdout


def test_other_answers_later_are_noticed(tmp_path):
    done = stability(tmp_path, "--", *TOY, f"altered-once={tmp_path / 'done'}")
    assert done.returncode == 1 and "DIFFERS server:hs.complete" in done.stdout, done.stdout
    assert "PASS conforms (3 times)" in done.stdout and "loaded run 2" in done.stdout


def test_a_program_that_cannot_be_asked(tmp_path):
    done = stability(tmp_path, "--", "/no/such/program")
    assert done.returncode == 1 and "No such file" in done.stderr

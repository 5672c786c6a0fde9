# SPDX-License-Identifier: MIT
"""Goal: no check passes that has counted nothing, and a failure says what to do. Method: small commands as checks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import check
import pytest
import test as front

TOOL = Path(check.__file__)
NAME = f"selftest.{os.getpid()}"  # of a log, which no other process writes into


def run(command: str, *options: str, junit: bool = False) -> tuple[int, list[str]]:
    """The exit code and the lines of a check that is a Python program."""
    words = [sys.executable, "-c", command, *(["{junit}"] if junit else [])]
    done = subprocess.run(
        [sys.executable, TOOL, "--name", NAME, "--expect", "all is well", *options, "--", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("command", "options", "code", "totals"),
    [
        ("print('3 passed, 0 failed, 0 skipped')", [], 0, "3 passed, 0 failed, 0 skipped"),
        ("print('SKIP a: no x\\n1 passed, 0 failed, 1 skipped')", [], 0, "1 passed, 0 failed, 1 skipped"),
        ("print('SKIP a: no x\\n0 passed, 0 failed, 1 skipped')", [], 77, "0 passed, 0 failed, 1 skipped"),
        ("", ["--counts", "exit"], 0, "1 passed, 0 failed, 0 skipped"),
        ("print('SKIP a: no x'); exit(77)", ["--counts", "exit"], 77, "0 passed, 0 failed, 1 skipped"),
        ("", ["--needs", "goipc-no-such"], 77, "0 passed, 0 failed, 1 skipped"),
    ],
)
def test_what_adds_up_is_taken(command, options, code, totals):
    status, lines = run(command, *options)
    assert (status, lines[-1]) == (code, totals)


@pytest.mark.parametrize(
    ("command", "options", "why"),
    [
        ("", [], "printed no totals (exit code 0)"),
        ("print('0 passed, 0 failed, 0 skipped')", [], "counted nothing"),
        ("print('1 passed, 0 failed, 1 skipped')", [], "skipped without a reason"),
        ("print('1 passed, 0 failed, 0 skipped'); exit(3)", [], "exit code 3 without a counted failure"),
        ("print('1 passed, 1 failed, 0 skipped')", [], "exit code 0 in spite of failures"),
        ("print('it broke'); exit(1)", ["--counts", "exit"], "exit code 1: it broke"),
        (
            "print('FAIL x: 4 expected, 5 seen\\n0 passed, 1 failed, 0 skipped'); exit(1)",
            [],
            "FAIL x: 4 expected, 5 seen",
        ),
    ],
)
def test_a_failure_ends_with_what_was_expected_and_seen(command, options, why):
    status, lines = run(command, *options)
    assert status == 1
    assert lines[lines.index(f"FAILED {NAME}") :][1:4] == [
        "  expected: all is well", f"  seen: {why}", f"  alone: ./dev test --only {NAME}",
    ]  # fmt: skip
    assert " 1 failed, " in lines[-1]


def test_a_hang_shows_its_stack_and_is_ended():
    status, lines = run("def stuck():\n    import threading; threading.Event().wait()\nstuck()", "--timeout", "2")
    assert status == 1
    assert any("still running after 2 s" in line for line in lines)
    assert any("stuck" in line or "is not installed" in line or "Permission" in line for line in lines)


def test_a_test_below_that_hangs_is_ended_alone():
    command = "import subprocess, sys; c = subprocess.run(['sleep', '100']).returncode; print(f'FAIL below: {c}'); "
    status, lines = run(command + "print('0 passed, 1 failed, 0 skipped'); exit(1)", "--each", "2")
    assert status == 1
    assert "  seen: FAIL below: -9" in lines


def junit(cases: str) -> str:
    return f"import sys; open(sys.argv[1], 'w').write('''<testsuite>{cases}</testsuite>'''); exit(1)"


def test_junit_of_ctest_is_counted_test_by_test():
    cases = (
        '<testcase name="a" status="run"/><testcase name="b" status="fail" time="1"><failure message="Failed"/>'
        "<system-out>b.c:3: expected x == y</system-out></testcase>"
        '<testcase name="c" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>'
        "<system-out>SKIP c: no x</system-out></testcase>"
        '<testcase name="d" status="notrun"><skipped message="Unable to find executable"/></testcase>'
    )
    status, lines = run(junit(cases), junit=True)
    assert (status, lines[-1]) == (1, "1 passed, 2 failed, 1 skipped")
    assert "SKIP c: no x" in lines
    assert any(line.startswith("  seen: b: b.c:3: expected x == y") for line in lines)


def test_junit_of_pytest_names_the_command_of_the_failed_test():
    cases = (
        '<testcase classname="tools.test_x.TestA" file="tools/test_x.py" name="test_y[1]">'
        '<failure message="assert 3 == 4"/></testcase>'
    )
    status, lines = run(junit(cases), junit=True)
    assert "  seen: test_y[1]: assert 3 == 4" in lines
    assert lines[-2] == "  alone: build/venv/bin/python -m pytest 'tools/test_x.py::TestA::test_y[1]'"


def test_no_results_is_a_failure():
    status, lines = run("", junit=True)
    assert status == 1
    assert any("no results were written" in line for line in lines)


CHECKS = {
    "a.b": (["quick", "default", "all"], ""),
    "a.long": (["all"], ""),
    "ab": (["default", "all"], ""),
    "build.x": ([], ""),
}


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ([], ["a.b", "ab"]),
        (["--quick"], ["a.b"]),
        (["--all"], ["a.b", "a.long", "ab"]),
        (["--only", "a"], ["a.b"]),
        (["--only", "a", "--all"], ["a.b", "a.long"]),
        (["--only", "a.long"], ["a.long"]),
        (["--only", "build.x"], ["build.x"]),
    ],
)
def test_sets_and_names_select(arguments, chosen):
    assert front.select(CHECKS, front.parse(arguments)) == chosen


def test_an_unknown_name_is_refused():
    with pytest.raises(SystemExit, match="there is no check nix"):
        front.select(CHECKS, front.parse(["--only", "nix"]))


def test_a_check_that_ctest_had_to_end_has_failed(tmp_path, monkeypatch, capsys):
    results = tmp_path / "results.xml"
    results.write_text(
        '<testsuite><testcase name="x" status="fail"><system-out>nothing</system-out></testcase><testcase name="y">'
        "<system-out>2 passed, 0 failed, 0 skipped</system-out></testcase></testsuite>"
    )
    monkeypatch.setattr(front, "JUNIT", results)
    assert front.close(False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["  alone: ./dev test --only x", "2 passed, 1 failed, 0 skipped"]

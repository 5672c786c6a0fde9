# SPDX-License-Identifier: MIT
"""gates.py must never pass what it cannot account for; each test here is one way of being fooled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import gates
import pytest


def declare(root: Path, text: str, name: str = "10-some.toml") -> None:
    folder = root / "tools/gates.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def gate(name: str, command: str, **more: object) -> str:
    lines = ["[[gate]]", f"name = {json.dumps(name)}", f"command = {json.dumps(command)}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    return "\n".join(lines) + "\n"


def run(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = gates.main([*arguments, "--root", str(root)])
    return code, capsys.readouterr().out.splitlines()


def run_one(tmp_path: Path, command: str, **more: object) -> gates.Result:
    return gates.run_gate(gates.Gate("one", command, **more), tmp_path, tmp_path / "logs")


def test_totals_are_summed_and_come_last(tmp_path, capsys):
    declare(
        tmp_path,
        gate("a", "echo noise; echo '3 passed, 0 failed, 0 skipped'")
        + gate("b", "echo 'SKIP x: no tool'; echo '4 passed, 0 failed, 1 skipped'"),
    )
    code, lines = run(tmp_path, capsys)
    assert code == 0
    assert lines[-1] == "7 passed, 0 failed, 1 skipped"
    assert "SKIP b: x: no tool" in lines


def test_a_failure_fails_the_run_and_shows_the_log(tmp_path, capsys):
    declare(tmp_path, gate("bad", "echo the culprit; echo '1 passed, 2 failed, 0 skipped'; exit 1"))
    code, lines = run(tmp_path, capsys)
    assert code == 1
    assert lines[-1] == "1 passed, 2 failed, 0 skipped"
    assert any("the culprit" in line for line in lines)
    assert "FAIL bad: 2 failed" in lines


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("true", "printed no totals"),
        ("echo hello", "printed no totals"),
        ("echo '1 passed, 0 failed, 0 skipped'; echo more", "printed no totals"),
        ("echo 'about 1 passed, 0 failed, 0 skipped'", "printed no totals"),
        ("echo '1 passed, 0 failed, 0 skipped in 3 s'", "printed no totals"),
        ("exit 3", "printed no totals (exit code 3)"),
        ("/no/such/program", "printed no totals"),
        ("echo '0 passed, 0 failed, 0 skipped'", "counted nothing"),
        ("echo '1 passed, 0 failed, 0 skipped'; exit 1", "without a counted failure"),
        ("echo '1 passed, 0 failed, 0 skipped'; kill -SEGV $$", "without a counted failure"),
        ("echo '1 passed, 1 failed, 0 skipped'", "in spite of failures"),
        ("echo '1 passed, 0 failed, 1 skipped'", "skipped without a reason"),
    ],
)
def test_what_does_not_add_up_is_a_failure(tmp_path, command, error):
    result = run_one(tmp_path, command)
    assert error in result.error
    assert result.failed == 1
    assert result.status == "failed"


def test_a_gate_that_does_not_end_is_ended_with_its_children(tmp_path):
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    result = run_one(tmp_path, f"sleep 100 & echo $! > {pid_file}; wait", timeout_s=0.5)
    assert time.monotonic() - started < 30
    assert "still running after 0.5 s" in result.error
    assert result.failed == 1
    assert gone(int(pid_file.read_text()))


def test_totals_printed_before_a_timeout_do_not_count_as_a_pass(tmp_path):
    result = run_one(tmp_path, "echo '9 passed, 0 failed, 0 skipped'; sleep 100", timeout_s=0.5)
    assert result.failed == 1


def test_a_child_left_behind_neither_holds_up_the_run_nor_survives_it(tmp_path):
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    result = run_one(tmp_path, f"sleep 100 & echo $! > {pid_file}; echo '1 passed, 0 failed, 0 skipped'")
    assert result.status == "ok"
    assert time.monotonic() - started < 30
    assert gone(int(pid_file.read_text()))


def gone(pid: int) -> bool:
    """True once the process has ended; it may still have to be reaped by whoever adopted it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_everything_skipped_is_not_a_pass(tmp_path, capsys):
    declare(tmp_path, gate("s", "echo 'SKIP s: not here'; echo '0 passed, 0 failed, 1 skipped'"))
    code, lines = run(tmp_path, capsys)
    assert code == 1
    assert lines[-1] == "0 passed, 0 failed, 1 skipped"


def test_output_that_is_no_text_is_survived(tmp_path):
    result = run_one(tmp_path, "printf '\\377\\376\\n1 passed, 0 failed, 0 skipped\\n'")
    assert result.status == "ok"


def test_order_follows_file_names_then_declarations(tmp_path):
    declare(tmp_path, gate("z", "true") + gate("y", "true"), "10-first.toml")
    declare(tmp_path, gate("a", "true"), "20-second.toml")
    assert [found.name for found in gates.load_gates(tmp_path / "tools/gates.d")] == ["z", "y", "a"]


def test_selection(tmp_path):
    declare(
        tmp_path,
        gate("lint.a", "true", quick=True) + gate("lint.b", "true") + gate("linter", "true", quick=True),
    )
    found = gates.load_gates(tmp_path / "tools/gates.d")
    assert [g.name for g in gates.select(found, [], quick=True)] == ["lint.a", "linter"]
    assert [g.name for g in gates.select(found, ["lint"], quick=False)] == ["lint.a", "lint.b"]
    assert [g.name for g in gates.select(found, ["lint.b", "linter"], quick=False)] == ["lint.b", "linter"]
    with pytest.raises(gates.DeclarationError, match="no gate nothing"):
        gates.select(found, ["nothing"], quick=False)


def test_nothing_selected_is_not_a_pass(tmp_path, capsys):
    declare(tmp_path, gate("slow", "echo '1 passed, 0 failed, 0 skipped'"))
    code, lines = run(tmp_path, capsys, "--quick")
    assert code == 1
    assert lines[-1] == "0 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gate = 3",
        "[[gate]]\nname = 'x'\n",
        "[[gate]]\ncommand = 'true'\n",
        "[[gate]]\nname = '../x'\ncommand = 'true'\n",
        "[[gate]]\nname = 'x'\ncommand = 'true'\nquik = true\n",
        "[[gate]]\nname = 'x'\ncommand = 'true'\nquick = 'yes'\n",
        "[[gate]]\nname = 'x'\ncommand = 'true'\ntimeout_s = true\n",
        "[[gate]]\nname = 'x'\ncommand = 'true'\n[[gate]]\nname = 'x'\ncommand = 'true'\n",
        "[other]\n",
        "not toml",
    ],
)
def test_bad_declarations_are_refused(tmp_path, text):
    declare(tmp_path, text)
    assert gates.main(["--root", str(tmp_path)]) == 2


def test_a_command_may_be_a_list(tmp_path):
    declare(tmp_path, "[[gate]]\nname = 'x'\ncommand = ['echo', 'a b']\n")
    assert gates.load_gates(tmp_path / "tools/gates.d")[0].command == "echo 'a b'"


def test_json_says_what_happened(tmp_path, capsys):
    declare(tmp_path, gate("good", "echo '2 passed, 0 failed, 0 skipped'") + gate("bad", "true"))
    target = tmp_path / "build/out.json"
    code, _ = run(tmp_path, capsys, "--json", str(target))
    assert code == 1
    rows = json.loads(target.read_text())
    assert [(row["name"], row["status"], row["passed"], row["failed"]) for row in rows] == [
        ("good", "ok", 2, 0),
        ("bad", "failed", 0, 1),
    ]
    assert (tmp_path / rows[0]["log"]).read_text() == "2 passed, 0 failed, 0 skipped\n"


def test_interrupt_keeps_what_is_done_and_fails(tmp_path, capsys, monkeypatch):
    declare(tmp_path, gate("a", "echo '2 passed, 0 failed, 0 skipped'") + gate("b", "true"))
    real = gates.run_gate

    def interrupted(one: gates.Gate, root: Path, logs: Path) -> gates.Result:
        if one.name == "b":
            raise KeyboardInterrupt
        return real(one, root, logs)

    monkeypatch.setattr(gates, "run_gate", interrupted)
    code, lines = run(tmp_path, capsys)
    assert code == 130
    assert lines[-1] == "2 passed, 0 failed, 0 skipped"
    assert any("1 of 2 gates did not finish" in line for line in lines)


def test_on_a_terminal_the_last_line_is_still_the_totals(tmp_path):
    """Under a pseudo-terminal the display is another one; the contract is the same."""
    declare(tmp_path, gate("a", "echo '2 passed, 0 failed, 0 skipped'"))
    pty = pytest.importorskip("pty")
    main_end, child_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, gates.__file__, "--root", str(tmp_path)], stdout=child_end, stderr=child_end
    )
    os.close(child_end)
    output = b""
    while True:
        try:
            piece = os.read(main_end, 65536)
        except OSError:  # Linux reports the end of a pseudo-terminal as EIO
            break
        if not piece:
            break
        output += piece
    os.close(main_end)
    assert process.wait() == 0
    assert output.decode().strip().splitlines()[-1].endswith("2 passed, 0 failed, 0 skipped")


def test_the_projects_own_gates_can_be_read():
    assert gates.load_gates(gates.ROOT / "tools/gates.d")

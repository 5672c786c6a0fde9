# SPDX-License-Identifier: MIT
"""gates.py must never pass what it cannot account for; each test here is one way of being fooled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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


def test_the_end_names_what_failed(tmp_path, capsys):
    words = " ".join(f"'FAIL case {number}: why'" for number in range(9))
    declare(
        tmp_path,
        gate(
            "bad",
            f"printf '%s\\n' {words} 'FAILURE is no line of a result'; echo '1 passed, 9 failed, 0 skipped'; exit 1",
        )
        + gate("good", "echo 'FAIL is shown of gates that failed'; echo '1 passed, 0 failed, 0 skipped'"),
    )
    _, lines = run(tmp_path, capsys)
    named = [line.strip() for line in lines[lines.index("FAIL bad: 9 failed") :]]
    assert named == [
        "FAIL bad: 9 failed",
        *[f"FAIL case {number}: why" for number in range(4, 9)],
        "2 passed, 9 failed, 0 skipped",
    ]


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


def eventually(condition: Callable[[], bool], wait_s: float = 20) -> bool:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def gone(pid: int, wait_s: float = 20) -> bool:
    """True once the process has ended; it may still have to be reaped by whoever adopted it."""
    return eventually(lambda: ended(pid), wait_s)


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
        "[[gate]]\nname = 'x'\ncommand = 'true'\nbuilds = 'release'\n",
        "[[gate]]\nname = 'x'\ncommand = 'true'\nuses = [1]\n",
        "[[gate]]\nname = 'x'\ncommand = 'true'\nalone = 1\n",
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


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_that_runs_keeps_what_is_done_and_fails(tmp_path, how):
    forever = "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000"
    pid_files = [tmp_path / "b.pid", tmp_path / "c.pid"]
    declare(
        tmp_path,
        gate("a", "echo '2 passed, 0 failed, 0 skipped'")
        + gate("b", forever.format(pid_files[0]))
        + gate("c", forever.format(pid_files[1]))
        + gate("d", "echo '1 passed, 0 failed, 0 skipped'"),
    )
    target = tmp_path / "out.json"
    command = [sys.executable, gates.__file__, "--root", str(tmp_path), "--jobs", "2", "--json", str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert eventually(lambda: all(path.exists() for path in pid_files))
        process.send_signal(how)
        lines = process.communicate(timeout=30)[0].splitlines()
    finally:
        process.kill()
        for path in pid_files:
            if path.exists() and not gone(int(path.read_text()), wait_s=5):
                os.kill(int(path.read_text()), signal.SIGKILL)
                pytest.fail(f"{path.stem} was not ended")
    assert process.returncode == 130
    assert lines[-1] == "2 passed, 0 failed, 0 skipped"
    assert "interrupted: 3 of 4 gates did not finish: b, c, d" in lines
    assert [row["name"] for row in json.loads(target.read_text())] == ["a"]


def meeting(tmp_path: Path) -> str:
    """Two gates that end only when both run."""
    os.mkfifo(tmp_path / "fifo")
    totals = "echo '1 passed, 0 failed, 0 skipped'"
    return gate("a", f"echo x > {tmp_path}/fifo; {totals}", timeout_s=20) + gate(
        "b", f"cat {tmp_path}/fifo && {totals}", timeout_s=20
    )


def test_two_gates_run_at_once(tmp_path, capsys):
    declare(tmp_path, meeting(tmp_path))
    code, lines = run(tmp_path, capsys, "--jobs", "2")
    assert (code, lines[-1]) == (0, "2 passed, 0 failed, 0 skipped")


def test_a_failing_gate_beside_others_is_reported_and_ends_none_of_them(tmp_path, capsys):
    declare(
        tmp_path,
        gate("bad", "echo the culprit; echo '0 passed, 1 failed, 0 skipped'; exit 1") + meeting(tmp_path),
    )
    target = tmp_path / "out.json"
    code, lines = run(tmp_path, capsys, "--jobs", "2", "--json", str(target))
    assert (code, lines[-1]) == (1, "2 passed, 1 failed, 0 skipped")
    assert any("the culprit" in line for line in lines)
    assert "FAIL bad: 1 failed" in lines
    assert [row["name"] for row in json.loads(target.read_text())] == ["bad", "a", "b"]


def test_results_are_in_the_order_of_the_declarations(tmp_path, capsys):
    totals = "echo '1 passed, 0 failed, 0 skipped'"
    os.mkfifo(tmp_path / "fifo")
    # The second holds up the first, which nevertheless comes first.
    declare(
        tmp_path,
        gate("slow", f"cat {tmp_path}/fifo; echo 'SKIP x: y'; echo '1 passed, 0 failed, 1 skipped'", timeout_s=20)
        + gate("early", totals, long=True)
        + gate("late", f"echo x > {tmp_path}/fifo; {totals}", timeout_s=20),
    )
    target = tmp_path / "out.json"
    code, lines = run(tmp_path, capsys, "--jobs", "2", "--json", str(target))
    assert (code, lines[-1]) == (0, "3 passed, 0 failed, 1 skipped")
    assert [row["name"] for row in json.loads(target.read_text())] == ["slow", "early", "late"]
    finished = [line.split()[2] for line in lines if line.startswith("[")]
    assert sorted(finished) == ["early", "late", "slow"] and finished != ["slow", "early", "late"]


@pytest.mark.parametrize(
    "first, second",
    [
        ({"builds": ["x"]}, {"builds": ["x", "y"]}),
        ({"builds": ["x"]}, {"uses": ["x"]}),
        ({"uses": ["x"]}, {"builds": ["x"]}),
        ({"alone": True}, {}),
        ({}, {"alone": True}),
    ],
)
def test_what_must_not_run_at_once_does_not(tmp_path, capsys, first, second):
    # The pause stands for work; whoever works in the same place meanwhile finds the folder there.
    work = f"mkdir {tmp_path}/place && sleep 0.3 && rmdir {tmp_path}/place && echo '1 passed, 0 failed, 0 skipped'"
    declare(tmp_path, gate("a", work, **first) + gate("b", work, **second))
    code, lines = run(tmp_path, capsys, "--jobs", "4")
    assert (code, lines[-1]) == (0, "2 passed, 0 failed, 0 skipped")


def test_two_that_only_use_the_same_run_at_once(tmp_path, capsys):
    text = meeting(tmp_path).replace("timeout_s", 'uses = ["x"]\ntimeout_s')
    declare(tmp_path, text)
    assert run(tmp_path, capsys, "--jobs", "2")[0] == 0


@pytest.mark.parametrize("seed", range(200))
def test_the_order_keeps_its_rules(seed):
    """Any gates that end in any order: all run, none beside what it must not run beside, users after builders."""
    luck = random.Random(seed)

    def some() -> tuple[str, ...]:
        return tuple(luck.sample("xyz", luck.choice((0, 0, 0, 1, 2))))

    everything = [
        gates.Gate(str(n), "true", builds=some(), uses=some(), alone=luck.random() < 0.1, long=luck.random() < 0.2)
        for n in range(15)
    ]
    jobs = luck.randint(1, 4)
    waiting, running, started = list(everything), [], []
    while waiting or running:
        while len(running) < jobs and (gate := gates.choose(waiting, running)):
            for other in running:
                assert not (gate.alone or other.alone), "alone"
                assert not set(gate.builds) & {*other.builds, *other.uses}
                assert not set(other.builds) & {*gate.builds, *gate.uses}
            waiting.remove(gate)
            running.append(gate)
            started.append(gate)
        assert running, "nothing runs and nothing can start"
        running.remove(luck.choice(running))
    assert sorted(started, key=everything.index) == everything
    for at, gate in enumerate(everything):
        for earlier in everything[:at]:
            if gate.excludes(earlier):
                assert started.index(earlier) < started.index(gate)


def test_one_place_is_for_the_long_ones_and_the_others_keep_their_order():
    short = [gates.Gate(f"short{n}", "true") for n in range(3)]
    long = [gates.Gate(f"long{n}", "true", long=True) for n in range(2)]
    waiting = [*short, *long]
    assert gates.choose(waiting, []) is long[0]
    assert gates.choose([*short, long[1]], [long[0]]) is short[0]
    assert gates.choose([short[2], long[1]], [short[0]]) is long[1]
    assert gates.choose([long[1]], [long[0]]) is long[1]
    assert gates.choose([short[1]], [short[0]]) is short[1]
    assert gates.choose([], [short[0]]) is None
    assert gates.choose(short, [gates.Gate("alone", "true", alone=True)]) is None


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

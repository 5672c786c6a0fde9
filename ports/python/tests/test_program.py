# SPDX-License-Identifier: MIT
"""The program, the examples, and what README.md shows."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import goipc
import pytest

PACKAGE = Path(__file__).resolve().parents[1]
EXAMPLES = PACKAGE / "examples"
PROGRAM = (sys.executable, "-m", "goipc")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(goipc.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}


def run(*command: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)


@contextlib.contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A program that is interrupted at the end, as by Ctrl-C, and must end then."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT) as process:
        watch = threading.Timer(60, process.kill)
        watch.start()
        try:
            yield process
            process.send_signal(signal.SIGINT)
            process.wait(20)
        finally:
            watch.cancel()
            process.kill()


def line_of(stream: IO[str] | None) -> str:
    line = stream.readline() if stream else ""
    assert line, "the program ended, or said nothing in a minute"
    return line.rstrip("\n")


def first_program(readme: str) -> str:
    found = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert found
    return found[1]


def test_the_first_program_of_the_readme_works_as_typed() -> None:
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert readme.index("```python") < 800
    done = run(sys.executable, "-c", first_program(readme))
    assert (done.stdout, done.stderr) == ("Message(type=1, data=b'hello')\n", "")


def test_the_readme_is_one_screen_and_names_the_edition() -> None:
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 60
    assert f"edition {goipc.SPECIFICATION_EDITION}" in readme
    assert goipc.__version__.rsplit(".", 1)[0] == goipc.SPECIFICATION_EDITION.rsplit(".", 1)[0]
    specification = (PACKAGE.parents[1] / "spec" / "goipc.md").read_text(encoding="utf-8")
    assert f"edition: {goipc.SPECIFICATION_EDITION}\n" in specification
    assert f"\n## {goipc.__version__}\n" in (PACKAGE / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("client", ["client.py", "script.py"])
def test_examples(name: str, client: str) -> None:
    with running(sys.executable, EXAMPLES / "echo_server.py", name) as server:
        assert line_of(server.stdout) == f"listening at /tmp/{name}.sock"
        done = run(sys.executable, EXAMPLES / client, name, "over there")
        assert (done.stdout, done.stderr, done.returncode) == ("1 over there\n", "", 0)
    assert server.returncode == 0


def test_the_example_that_connects_again(name: str) -> None:
    with running(sys.executable, EXAMPLES / "reconnecting.py", name) as client:
        assert line_of(client.stdout).startswith("[Connecting]")
        for turn in ("one", "two"):
            with running(*PROGRAM, "serve", name) as server:
                line_of(server.stderr)
                assert line_of(client.stdout).startswith("[Connected]")
                print(turn, file=server.stdin, flush=True)
                assert line_of(client.stdout) == f"1 {turn}"
            assert line_of(client.stdout).startswith("[Disconnected]")
            assert line_of(client.stdout).startswith("[Reconnecting]")


@pytest.mark.parametrize("example", ["client.py", "script.py"])
def test_an_example_says_what_is_wrong(name: str, example: str) -> None:
    with running(*PROGRAM, "serve", name, "--encryption", "off") as server:
        line_of(server.stderr)
        done = run(sys.executable, EXAMPLES / example, name)
        wrong = "the server has encryption off, and encryption is required here; give both sides the same encryption\n"
        assert (done.stdout, done.stderr, done.returncode) == ("", wrong, 1)


def test_program(name: str) -> None:
    with running(*PROGRAM, "serve", name, "--show-types") as server:
        assert line_of(server.stderr) == f"listening at /tmp/{name}.sock"
        with running(*PROGRAM, "connect", name, "--type", "7") as client:
            assert [line_of(client.stderr), line_of(client.stderr)] == ["Connecting", "Connected"]
            print("to the server \x1b[31m\\", file=client.stdin, flush=True)
            assert line_of(server.stdout) == "7\tto the server \\x1b[31m\\"
            print("to all", file=server.stdin, flush=True)
            assert line_of(client.stdout) == "to all"
        assert client.returncode == 130


def test_program_with_a_pipe(name: str) -> None:
    with running(*PROGRAM, "serve", name, "--echo", "--quiet"):
        wait_for(name)
        done = run(*PROGRAM, "connect", name, "--quiet", "--linger", "1", text="a\nb\n")
        assert (done.stdout, done.stderr, done.returncode) == ("a\nb\n", "", 0)


def wait_for(name: str) -> None:
    """Until the server listens; by files, since golang-ipc does not like to be asked."""
    until = time.monotonic() + 20
    while not os.path.exists(f"/tmp/{name}.sock"):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_terminated_program_leaves_no_socket(name: str) -> None:
    with running(*PROGRAM, "serve", name) as server:
        line_of(server.stderr)
        server.terminate()
        assert server.wait(20) == 143


def test_program_says_what_is_wrong(name: str) -> None:
    done = run(*PROGRAM, "connect", name, "--timeout", "0.1", "--quiet")
    assert done.returncode == 1
    assert done.stderr == (
        f"goipc: no connection in 0.1 s: there is no socket /tmp/{name}.sock; "
        "start the server, and give both sides the same name and directory\n"
    )
    done = run(*PROGRAM, "serve", "a/b")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert run(*PROGRAM, "--version").stdout == "goipc 1.0.0 (specification edition 1.0.0, protocol 2)\n"

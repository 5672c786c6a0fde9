# SPDX-License-Identifier: MIT
"""Programs of golang-ipc's own README and example talk to the examples of this package, unchanged."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import goipc
import golang
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(goipc.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
PIPE = subprocess.PIPE


def start(*words: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(words, stdout=PIPE, stderr=PIPE, stdin=PIPE, text=True, env=ENVIRONMENT)


def end_of(process: "subprocess.Popen[str]") -> tuple[str, str]:
    try:
        return process.communicate(timeout=60)
    finally:
        process.kill()


def await_socket(name: str) -> None:
    """golang-ipc may stop serving when it is asked by connecting."""
    until = time.monotonic() + 30
    while not os.path.exists(f"/tmp/{name}.sock"):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_client_of_the_readme_and_the_echo_server(name: str, tmp_path: Path) -> None:
    go = golang.build(golang.readme_program("client"), tmp_path, name)
    with start(sys.executable, EXAMPLES / "echo_server.py", name) as server:
        await_socket(name)
        out, errors = end_of(start(go))
        assert out == "1 <Message for server\n" or out == "1 <Message for server>\n", errors
        server.terminate()
    os.unlink(f"/tmp/{name}.sock")


@pytest.mark.parametrize("example", ["client.py", "script.py"])
def test_a_server_of_the_readme_and_the_clients(name: str, tmp_path: Path, example: str) -> None:
    go = golang.build(golang.readme_program("server"), tmp_path, name)
    with start(go) as server:
        await_socket(name)
        out, errors = end_of(start(sys.executable, EXAMPLES / example, name, "hello, Go"))
        assert out.startswith("1 <Message for client"), errors
        assert end_of(server)[0] == "1 hello, Go\n"
    os.unlink(f"/tmp/{name}.sock")


def test_a_server_of_the_readme_and_the_client_that_connects_again(name: str, tmp_path: Path) -> None:
    go = golang.build(golang.readme_program("server"), tmp_path, name)
    with start(sys.executable, EXAMPLES / "reconnecting.py", name) as client:
        assert client.stdout
        lines = []
        for _ in range(2):
            with start(go) as server:
                while not (line := client.stdout.readline()).startswith("1 "):
                    lines.append(line)
                lines.append(line)
                server.kill()
        client.kill()
    assert "".join(lines).count("[Connected]") == 2 and "".join(lines).count("Message for client") == 2
    os.unlink(f"/tmp/{name}.sock")


@pytest.mark.parametrize(
    ("make", "spoken"),
    [
        (golang.example_server, "Server received: hello - Message type:  1"),
        (golang.example_client, "Client received: server - PING - Message type:  1"),
    ],
)
def test_the_example_of_golang_ipc(name: str, tmp_path: Path, make: Callable[[], str], spoken: str) -> None:
    """Its server sends PING to a client of ours; its client answers PONG to a server of ours."""
    go = golang.build(make(), tmp_path, name)
    if make is golang.example_server:
        with start(go) as theirs:
            await_socket(name)
            out, _ = end_of(start(sys.executable, EXAMPLES / "client.py", name))
            assert out == "1 server - PING\n"
            assert spoken in end_of(theirs)[1]
        return
    with start(sys.executable, "-m", "goipc", "serve", name, "-T") as ours:
        await_socket(name)
        with start(go) as theirs:
            assert ours.stdin and ours.stdout and ours.stderr and theirs.stderr
            while "Connected" not in (line := theirs.stderr.readline()):
                assert line
            print("server - PING", file=ours.stdin, flush=True)
            assert ours.stdout.readline() == "5\tMessage from client - PONG\n"
            ours.terminate()
            assert spoken in end_of(theirs)[1]

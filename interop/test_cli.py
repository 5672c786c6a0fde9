# SPDX-License-Identifier: MIT
"""The command line tool and upstream golang-ipc talk, as a person at two terminals would have them do."""

from __future__ import annotations

import json
import os
import pathlib
import secrets
import subprocess

import pytest
import run

LIMIT_S = 30
OFF = {"on": [], "off": ["--no-encryption"]}


def content(size: int, kind: int, from_server: bool = False) -> bytes:
    """What both sides of a run know to be in a message; a third, independent edition of it."""
    state = (size * 2654435761 ^ kind * 40503 ^ (0x5BD1E995 if from_server else 0)) % 2**32
    data = bytearray()
    for _ in range(size):
        state = (state * 1664525 + 1013904223) % 2**32
        data.append(state >> 24)
    return bytes(data)


@pytest.fixture(scope="module")
def goipc() -> str:
    for preset in ("release", "debug"):
        if (program := run.BUILD / preset / "ref" / "cli" / "goipc").exists():
            return str(program)
    pytest.skip("the command line tool is not built")


@pytest.fixture(scope="module")
def upstream() -> str:
    if (go := run.find_go()) is None:
        pytest.skip("Go is not installed")
    driver = run.go_program(run.ROOT / "interop" / "go", go, wine=False)
    assert not driver.missing, driver.missing
    return driver.command[0]


@pytest.fixture
def name():
    made = f"goipc-cli-{os.getpid()}-{secrets.token_hex(4)}"
    yield made
    for left_behind in pathlib.Path("/tmp").glob(f"{made}*.sock"):
        left_behind.unlink()


@pytest.mark.parametrize("encryption", ["on", "off"])
def test_upstream_client_is_answered_by_serve(goipc, upstream, name, encryption):
    command = [goipc, "serve", name, "--echo", "--clients-max", "8", *OFF[encryption]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert "listening" in server.stderr.readline()
            client = subprocess.run(
                [upstream, "client", name, encryption, str(run.MESSAGE_SIZE_MAX), "handshakes", "5", "same"],
                check=False,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
            )
            assert client.returncode == 0, client.stdout + client.stderr
            assert '"received":5' in client.stdout
        finally:
            server.kill()


@pytest.mark.parametrize("encryption", ["on", "off"])
def test_connect_is_answered_by_an_upstream_server(goipc, upstream, name, encryption):
    command = [upstream, "server", name, encryption, str(run.MESSAGE_SIZE_MAX), "handshakes", "1", "fresh"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert json.loads(server.stdout.readline()) == {"ready": True}
            line = content(5, 1).hex() + "\n"
            command = [goipc, "connect", f"{name}.0", "--hex", "--linger", "0", *OFF[encryption]]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
                client.stdin.write(line)
                client.stdin.flush()
                assert client.stdout.readline() == line
                client.stdin.close()
                assert client.wait(LIMIT_S) == 0
            rest, _ = server.communicate(timeout=LIMIT_S)
            assert '"received":1' in rest, rest
        finally:
            server.kill()

# SPDX-License-Identifier: MIT
"""The command line tool and upstream golang-ipc talk, as a person at two terminals would have them do."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import subprocess
import threading

import pytest
import run

LIMIT_S = 30
OFF = {"on": [], "off": ["--no-encryption"]}


@pytest.fixture(scope="module")
def goipc() -> str:
    for preset in ("release", "debug"):
        if (program := run.BUILD / preset / "ref" / "cli" / "goipc").exists():
            return str(program)
    pytest.skip("the command line tool is not built")


@pytest.fixture(scope="module")
def upstream() -> run.Implementation:
    if (go := run.find_go()) is None:
        pytest.skip("Go is not installed")
    built = run.go_program("golang-ipc", (), go, wine=False)
    assert not built.missing, built.missing
    return built


@pytest.fixture
def name():
    made = f"goipc-cli-{os.getpid()}-{secrets.token_hex(4)}"
    yield made
    for left_behind in pathlib.Path("/tmp").glob(f"{made}*.sock"):
        left_behind.unlink()


@contextlib.contextmanager
def side(upstream, role):
    one = run.Side(upstream, role)
    try:
        one.adapter.say_hello()
        yield one
    finally:
        one.adapter.end(graceful=False)


@pytest.mark.parametrize("encryption", ["on", "off"])
def test_upstream_client_is_answered_by_serve(goipc, upstream, name, encryption):
    command = [goipc, "serve", name, "--echo", "--clients-max", "8", *OFF[encryption]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert "listening" in server.stderr.readline()
            with side(upstream, "client") as client:
                client.must("connect", endpoint={"name": name}, encryption=run.SETTINGS[encryption], timeout_ms=20000)
                client.must("send", type=5, data=b"hello".hex())
                client.expect(5, b"hello")
        finally:
            server.kill()


@pytest.mark.parametrize("encryption", ["on", "off"])
def test_connect_is_answered_by_an_upstream_server(goipc, upstream, name, encryption):
    with side(upstream, "server") as server:
        server.must("serve", endpoint={"name": name}, encryption=run.SETTINGS[encryption], echo=True)
        line = b"hello".hex() + "\n"
        command = [goipc, "connect", name, "--hex", "--linger", "0", *OFF[encryption]]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            client.stdin.write(line)
            client.stdin.flush()
            assert client.stdout.readline() == line
            client.stdin.close()
            assert client.wait(LIMIT_S) == 0
        server.expect(1, b"hello")


class Server:
    """`goipc serve --echo`, and whether it still serves."""

    def __init__(self, goipc, name):
        self.goipc, self.name = goipc, name
        command = [goipc, "serve", name, "--echo", "--clients-max", "4"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "listening" in self.process.stderr.readline()

    def serves(self):
        command = [self.goipc, "connect", self.name, "--linger", "500"]
        done = subprocess.run(command, input="after\n", capture_output=True, text=True, timeout=LIMIT_S, check=False)
        return done.returncode == 0 and done.stdout == "after\n"


@pytest.fixture
def server(goipc, name):
    one = Server(goipc, name)
    yield one
    one.process.kill()
    one.process.communicate()


def talk(server, stdout, lines, **options):
    command = [server.goipc, "connect", server.name, "--linger", "500"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, text=True, **options
    ), "".join(f"{line}\n" for line in lines)


def is_an_answer(code, err):
    """Ended by itself, with a word about it unless all is well; a person may also have it end by SIGPIPE."""
    return code == 0 or (code in (1, 2) and err.strip() and "Sanitizer" not in err)


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_the_output_is_said_once_and_the_server_goes_on(server):
    with open("/dev/full", "w", encoding="ascii") as full:
        client, text = talk(server, full, ["one", "two"])
        _, err = client.communicate(text, timeout=LIMIT_S)
    assert client.returncode == 1 and "goipc" in err, (client.returncode, err)
    assert server.serves()


def test_a_reader_that_has_gone_ends_the_client_and_the_server_goes_on(server):
    reading, writing = os.pipe()
    client, text = talk(server, writing, ["one", "two"])
    os.close(writing)
    os.close(reading)
    _, err = client.communicate(text, timeout=LIMIT_S)
    assert is_an_answer(client.returncode, err) and client.returncode != 0, (client.returncode, err)
    assert server.serves()


def test_without_any_output_the_client_does_not_write_into_the_connection(server):
    """Descriptor 1 is closed: what is opened next must not become it."""
    client, text = talk(server, None, ["one", "two"], preexec_fn=lambda: os.close(1))
    _, err = client.communicate(text, timeout=LIMIT_S)
    assert is_an_answer(client.returncode, err), (client.returncode, err)
    assert server.serves()


def test_a_pipe_that_nobody_empties_holds_up_this_client_only(server):
    """More echoes than the pipe holds: others are served meanwhile, and when it is emptied all lines are there."""
    lines = [f"{number:05} {'x' * 994}" for number in range(300)]
    client, text = talk(server, subprocess.PIPE, lines)

    def feed():
        client.stdin.write(text)
        client.stdin.close()

    feeder = threading.Thread(target=feed, daemon=True)  # it stops, too, when the client no longer reads
    feeder.start()
    assert server.serves()
    assert client.stdout.read() == text
    assert client.wait(LIMIT_S) == 0
    feeder.join(LIMIT_S)
    client.stderr.close()
    client.stdout.close()

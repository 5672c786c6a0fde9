# SPDX-License-Identifier: MIT
"""The endpoint against itself, over real sockets."""

import itertools
import os
import queue
import socket
import stat
import struct
import threading
import time
import uuid

import pytest
from goipc_py import Closed, Fault, LocalError, Server, codec, connect
from goipc_py.handshake import Session


class Application:
    """What a server's application is told, and echoes."""

    def __init__(self, echo=True):
        self.told: queue.Queue = queue.Queue()
        self.echo = echo

    def serve(self, connection):
        self.told.put(("connected", connection))
        try:
            while True:
                message = connection.receive()
                self.told.put(("message", message))
                if self.echo:
                    connection.send(*message)
        except Fault as fault:
            self.told.put(("failed", fault.kind))
        except Closed:
            self.told.put(("closed", None))

    def failed(self, connection, fault):
        self.told.put(("handshake failed", fault.kind))

    def next(self, wanted):
        word, value = self.told.get(timeout=5)
        assert word == wanted, value
        return value


@pytest.fixture
def name():
    return f"goipc-py-{os.getpid()}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def start(name):
    servers = []

    def make(**options):
        application = Application(options.pop("echo", True))
        servers.append(Server(name, application.serve, application.failed, **options))
        return application, servers[-1]

    yield make
    for server in servers:
        server.close()
        assert not os.path.exists(server.path)


def raw(server):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(5)
    sock.connect(server.path)
    return sock


def exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"the stream ended after {len(data)} of {size} bytes"
        data += piece
    return data


def plain_handshake(server):
    sock = raw(server)
    assert exactly(sock, 2) == b"\2\0"
    sock.sendall(b"\0")
    exactly(sock, 8)
    sock.sendall(b"\0")
    return sock


@pytest.mark.parametrize("encryption", ["on", "off"])
@pytest.mark.parametrize("size", [0, 1, 65536, 3145728])
def test_echo(start, name, encryption, size):
    start(encryption=encryption)
    client = connect(name, encryption="optional", timeout_ms=5000)
    assert client.encrypted == (encryption == "on")
    data = os.urandom(size)
    client.send(7, data)
    assert client.receive(10) == (7, data)
    client.close()
    with pytest.raises(Closed):
        client.receive(1)


def test_many_clients_at_once(start, name):
    start()
    failures = []

    def talk(number):
        client = connect(name, timeout_ms=10000)
        for turn in range(20):
            message = (number + 1, f"{number} {turn}".encode())
            client.send(*message)
            if client.receive(10) != message:
                failures.append(number)
        client.close()

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures and not any(thread.is_alive() for thread in threads)


def test_local_errors_leave_the_connection(start, name):
    start(limit_bytes=1024)
    client = connect(name)
    for kind, size, error in [(0, 1, "reserved-type"), (1, 1025, "too-large"), (2**31, 1, "other")]:
        with pytest.raises(LocalError) as caught:
            client.send(kind, bytes(size))
        assert caught.value.kind == error
    client.send(1, bytes(1024))
    assert client.receive(5) == (1, bytes(1024))
    client.close()
    client.close()
    with pytest.raises(Closed):
        client.send(1, b"")


def test_full_server_says_nothing_and_serves_the_next(start, name):
    application, server = start(clients_max=1)
    first = connect(name)
    with raw(server) as second:
        assert second.recv(1) == b""
    first.close(abort=True)
    third = connect(name, timeout_ms=3000)
    third.send(1, b"x")
    assert third.receive(5) == (1, b"x")
    third.close()


def test_silent_client_times_out_and_disturbs_nobody(start, name):
    application, server = start(handshake_timeout_ms=300)
    with raw(server) as silent:
        client = connect(name)
        client.send(1, b"x")
        assert client.receive(5) == (1, b"x")
        assert exactly(silent, 2) == b"\2\1"
        assert silent.recv(1) == b""
    client.close()
    told = [application.told.get(timeout=5) for _ in range(4)]
    assert ("handshake failed", "timeout") in told


def test_a_fault_is_told_once_after_the_messages(start):
    application, server = start(encryption="off", echo=False)
    with plain_handshake(server) as sock:
        connection = application.next("connected")
        sock.sendall(codec.plain_frame(1, b"a") + codec.u32(3))
        assert application.next("message") == (1, b"a")
        assert application.next("failed") == "framing"
        for _ in range(2):
            with pytest.raises(Closed):
                connection.receive(1)
        assert sock.recv(1) == b""


def test_messages_in_one_write_keep_their_order(start):
    application, server = start(encryption="off")
    frames = b"".join(codec.plain_frame(n, b"") for n in range(1, 101))
    with plain_handshake(server) as sock:
        application.next("connected")
        sock.sendall(frames)
        assert [application.next("message")[0] for _ in range(100)] == list(range(1, 101))
        assert exactly(sock, len(frames)) == frames


def test_client_does_not_try_again_after_a_timeout(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(f"/tmp/{name}.sock")
        try:
            silent.listen()
            began = time.monotonic()
            with pytest.raises(Fault) as caught:
                connect(name, timeout_ms=5000, handshake_timeout_ms=200)
            assert caught.value.kind == "timeout"
            assert 0.15 < time.monotonic() - began < 3
        finally:
            os.unlink(f"/tmp/{name}.sock")


def test_everything_in_one_write(start):
    application, server = start(encryption="off", echo=False)
    with raw(server) as sock:
        sock.sendall(b"\0\0" + codec.plain_frame(5, b"early"))
        application.next("connected")
        assert application.next("message") == (5, b"early")
    assert application.next("closed") is None


def test_receives_while_it_cannot_send(start):
    application, server = start(encryption="off")
    frame = codec.plain_frame(1, bytes(65536))
    with plain_handshake(server) as sock:
        application.next("connected")
        for _ in range(40):  # far more than the buffers between the two hold
            sock.sendall(frame)
        for _ in range(40):
            application.next("message")
        assert exactly(sock, 40 * len(frame)) == frame * 40


def test_client_tries_until_there_is_a_server(start, name):
    found = queue.Queue()
    thread = threading.Thread(target=lambda: found.put(connect(name, timeout_ms=5000)))
    thread.start()
    application, _ = start()
    found.get(timeout=5).close()
    thread.join(5)
    application.next("connected")


def test_client_gives_up(name):
    began = time.monotonic()
    with pytest.raises(Fault) as caught:
        connect(name, timeout_ms=200)
    assert caught.value.kind == "timeout"
    assert 0.15 < time.monotonic() - began < 2


def test_client_does_not_try_again_after_a_refusal(start, name):
    application, _ = start(encryption="off")
    with pytest.raises(Fault) as caught:
        connect(name, encryption="required", timeout_ms=3000)
    assert caught.value.kind == "encryption"
    assert application.next("handshake failed") == "encryption"
    assert application.told.empty()


@pytest.mark.parametrize("bad", ["", "a/b", "a\0b", "x" * 98, "\ud800" * 40])
def test_bad_names(bad):
    with pytest.raises(LocalError):
        Server(bad, lambda connection: None)
    with pytest.raises(LocalError):
        connect(bad, timeout_ms=100)


@pytest.mark.parametrize("limit", [0, 1023, 2**31])
def test_bad_limits(name, limit):
    with pytest.raises(LocalError):
        Server(name, lambda connection: None, limit_bytes=limit)


def test_the_place_in_the_file_system(start, name):
    _, server = start()
    there = os.lstat(server.path)
    assert stat.S_ISSOCK(there.st_mode) and stat.S_IMODE(there.st_mode) == 0o600
    with pytest.raises(LocalError) as caught:
        Server(name, lambda connection: None)
    assert caught.value.kind == "in-use"
    assert os.lstat(server.path).st_ino == there.st_ino


def test_a_file_is_left_alone(name):
    path = f"/tmp/{name}.sock"
    with open(path, "x", encoding="ascii") as file:
        file.write("precious")
    try:
        with pytest.raises(LocalError):
            Server(name, lambda connection: None)
        with open(path, encoding="ascii") as file:
            assert file.read() == "precious"
    finally:
        os.unlink(path)


def test_a_stale_socket_is_replaced(start, name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(f"/tmp/{name}.sock")
    start()
    connect(name).close()


def test_another_file_at_the_path_is_not_removed(name):
    server = Server(name, lambda connection: None)
    os.unlink(server.path)
    with open(server.path, "x", encoding="ascii"):
        pass
    server.close()
    assert os.path.exists(server.path)
    os.unlink(server.path)


def test_nothing_is_left_of_a_connection(start, name):
    application, server = start()
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        client = connect(name)
        application.next("connected")
        client.close()
        assert client.join(5)
        application.next("closed")
    deadline = time.monotonic() + 5
    while server.connections() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_no_frame_is_sealed_without_a_nonce():
    """SE-008: the last counter is used, and then the connection fails."""
    session = Session("server", "on")
    session.start()
    session.feed(b"\0" + codec.public_bytes(codec.private_key(codec.draw_private())) + b"\0")
    session._nonces.count = codec.SEALED_COUNT_MAX - 1
    assert session.frame(1, b"")[12:16] == struct.pack(">I", codec.SEALED_COUNT_MAX - 1)
    with pytest.raises(Fault) as caught:
        session.frame(1, b"")
    assert caught.value.kind == "other"


@pytest.mark.parametrize("role,hello", [("server", b"\0"), ("client", b"\2\1")])
def test_no_randomness_no_connection(role, hello):
    def broken(size):
        raise OSError("no entropy")

    session = Session(role, "on" if role == "server" else "required", draw=broken)
    events = session.start() + session.feed(hello)
    assert [(e[0], e[1].kind) for e in events[-1:]] == [("failed", "other")]


def test_a_private_key_is_drawn_again():
    draws = itertools.chain([bytes(48), codec.N.to_bytes(48, "big")], [b"\0" * 47 + b"\2"])
    assert codec.draw_private(lambda size: next(draws)) == b"\0" * 47 + b"\2"

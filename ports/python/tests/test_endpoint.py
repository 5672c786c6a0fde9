# SPDX-License-Identifier: MIT
"""Servers and clients against each other and against raw peers, over real sockets."""

import asyncio
import contextlib
import itertools
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Literal

import goipc
import pytest
from goipc import codec, keys
from goipc.codec import plain_frame
from goipc.session import Failed, Session
from support import Application, Raw, in_loop, listening, serving


@pytest.mark.parametrize("encryption", ["required", "off"])
@pytest.mark.parametrize("size", [0, 1, 65536, 3145728])
@in_loop
async def test_echo(name: str, encryption: Literal["required", "off"], size: int) -> None:
    async with serving(name, encryption=encryption), goipc.connect(name, encryption="optional") as client:
        assert client.encrypted == (encryption == "required") and client.send_size_max == 3145728
        data = os.urandom(size)
        await client.send(7, memoryview(data))
        assert await client.receive(timeout_s=10) == (7, data)
    with pytest.raises(goipc.Closed):
        await client.receive()


@in_loop
async def test_many_clients_at_once(name: str) -> None:
    async def talk(number: int) -> None:
        async with goipc.connect(name) as client:
            for turn in range(20):
                message = (number + 1, f"{number} {turn}".encode())
                await client.send(*message)
                assert await client.receive(timeout_s=10) == message

    async with serving(name):
        await asyncio.gather(*(talk(number) for number in range(16)))


@in_loop
async def test_local_errors_leave_the_connection(name: str) -> None:
    async with serving(name, message_size_max=1024):
        async with goipc.connect(name) as client:
            for kind, size, error in [
                (0, 1, "reserved-type"),
                (1, 1025, "too-large"),
                (2**31, 1, "other"),
                (-1, 1, "other"),
            ]:
                with pytest.raises(goipc.Error) as caught:
                    await client.send(kind, bytes(size))
                assert caught.value.error_class == error and caught.value.remedy
            with pytest.raises(goipc.OptionError, match="encode"):
                await client.send(1, "text")  # type: ignore[arg-type]
            await client.send(1, bytearray(1024))
            assert await client.receive(timeout_s=5) == (1, bytes(1024))
            await client.close()
        with pytest.raises(goipc.Closed):
            await client.send(0, b"")


@in_loop
async def test_full_server_says_nothing_and_serves_the_next(name: str) -> None:
    async with serving(name, clients_max=1) as application:
        first = await goipc.connect(name)
        await application.next("connected")
        with Raw(name) as second:
            assert await second.some() == b""
        first.abort()
        async with goipc.connect(name, timeout_s=3) as third:
            await third.send(1, b"x")
            assert await third.receive(timeout_s=5) == (1, b"x")


@in_loop
async def test_silent_client_times_out_and_disturbs_nobody(name: str) -> None:
    async with serving(name, handshake_timeout_s=0.3) as application:
        with Raw(name) as silent:
            async with goipc.connect(name) as client:
                await application.next("connected")
                await client.send(1, b"x")
                assert await client.receive(timeout_s=5) == (1, b"x")
                assert (await application.next("message")).type == 1
                assert await silent.exactly(2) == b"\2\1"
                assert await silent.some() == b""
                assert await application.next("handshake failed") == "timeout"


@in_loop
async def test_a_failure_is_told_once_after_the_messages(name: str) -> None:
    async with serving(name, echo=False, encryption="off") as application:
        with Raw(name) as peer:
            await peer.shake_hands()
            connection = await application.next("connected")
            await peer.send(plain_frame(1, b"a") + codec.u32(3))
            assert await application.next("message") == (1, b"a")
            assert await application.next("failed") == "framing"
            for _ in range(2):
                with pytest.raises(goipc.Closed):
                    await connection.receive(timeout_s=1)
            assert await peer.some() == b""


@in_loop
async def test_messages_in_one_write_keep_their_order(name: str) -> None:
    async with serving(name, encryption="off") as application:
        frames = b"".join(plain_frame(number, b"") for number in range(1, 101))
        with Raw(name) as peer:
            await peer.shake_hands()
            await application.next("connected")
            await peer.send(frames)
            assert [(await application.next("message")).type for _ in range(100)] == list(range(1, 101))
            assert await peer.exactly(len(frames)) == frames


@in_loop
async def test_everything_in_one_write(name: str) -> None:
    async with serving(name, echo=False, encryption="off") as application:
        with Raw(name) as peer:
            await peer.send(b"\0\0" + plain_frame(5, b"early"))
            await application.next("connected")
            assert await application.next("message") == (5, b"early")
        assert await application.next("closed") is None


@in_loop
async def test_receives_while_it_cannot_send(name: str) -> None:
    async with serving(name, encryption="off") as application:
        frame = plain_frame(1, bytes(65536))
        with Raw(name) as peer:
            await peer.shake_hands()
            await application.next("connected")
            for _ in range(40):  # far more than the buffers between the two hold
                await peer.send(frame)
            for _ in range(40):
                await application.next("message")
            assert await peer.exactly(40 * len(frame)) == frame * 40


# Connecting


@in_loop
async def test_client_tries_until_there_is_a_server(name: str) -> None:
    waiting = asyncio.create_task(goipc.connect(name, timeout_s=10)._open())
    await asyncio.sleep(0)  # it has tried once
    async with serving(name) as application:
        client = await waiting
        await application.next("connected")
        await client.close()


@in_loop
async def test_missing_server(name: str) -> None:
    with pytest.raises(goipc.TimedOut, match=f"no connection in 0.2 s: there is no socket /tmp/{name}.sock; start"):
        await goipc.connect(name, timeout_s=0.2)
    with pytest.raises(TimeoutError):
        await goipc.connect(name, timeout_s=0)


@in_loop
async def test_server_that_turns_away(name: str) -> None:
    async with serving(name, clients_max=1), goipc.connect(name):
        with pytest.raises(goipc.TimedOut, match="before it said anything; it is full"):
            await goipc.connect(name, timeout_s=0.3)


@in_loop
async def test_client_does_not_try_again_after_a_refusal(name: str) -> None:
    async with serving(name, encryption="off") as application:
        with pytest.raises(goipc.EncryptionError, match="has encryption off.*; give both sides the same"):
            await goipc.connect(name, timeout_s=5)
        assert await application.next("handshake failed") == "encryption"
        assert application.told.empty()
    async with serving(name) as application:
        with pytest.raises(goipc.EncryptionError, match="has encryption on"):
            await goipc.connect(name, encryption="off")
        assert await application.next("handshake failed") == "encryption"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"\3\0", goipc.VersionError),
        (b"\2\2", goipc.EncryptionError),
        (b"\2\1" + b"\4" + bytes(96), goipc.PublicKeyError),
        (b"\2\0\0\0\0\5", goipc.FramingError),
        (b"\2", goipc.ConnectionLost),
    ],
)
@in_loop
async def test_bad_server(name: str, said: bytes, error: type[goipc.Error]) -> None:
    loop = asyncio.get_running_loop()
    with listening(name) as listener:
        waiting = asyncio.create_task(goipc.connect(name, encryption="optional", timeout_s=5)._open())
        peer, _ = await loop.sock_accept(listener)
        with peer:
            await loop.sock_sendall(peer, said)
            peer.shutdown(socket.SHUT_WR)
            with pytest.raises(error) as caught:
                await waiting
            assert caught.value.cause
        with pytest.raises(BlockingIOError):
            listener.accept()  # it has not tried again


@in_loop
async def test_silent_server(name: str) -> None:
    with listening(name), pytest.raises(goipc.TimedOut, match="the handshake was not complete in 0.2 s"):
        await goipc.connect(name, timeout_s=5, handshake_timeout_s=0.2)


@pytest.mark.parametrize("bad", ["", "a/b", "a\0b", "x" * 98, "\ud800" * 40])
@in_loop
async def test_bad_names(bad: str) -> None:
    with pytest.raises(goipc.NameNotAllowed):
        goipc.serve(bad, lambda connection: asyncio.sleep(0))
    with pytest.raises(goipc.NameNotAllowed):
        goipc.connect(bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"message_size_max": 1023},
        {"message_size_max": 2**31},
        {"clients_max": 0},
        {"encryption": "optional"},
        {"encryption": "on"},
        {"peers": "me"},
        {"close_timeout_s": -1},
        {"close_timeout_s": "1"},
        {"no_such": 1},
    ],
)
def test_bad_options(bad: Any) -> None:
    with pytest.raises(goipc.OptionError) as caught:
        goipc.serve("x", lambda connection: asyncio.sleep(0), **bad)
    assert isinstance(caught.value, ValueError) and caught.value.remedy


# Connecting again


@in_loop
async def test_reconnect(name: str) -> None:
    told: list[goipc.StatusChange] = []
    async with serving(name) as application:
        client = await goipc.connect(name, reconnect=True, on_status=told.append)
        (await application.next("connected")).abort()
        await application.next("closed")
        again = await application.next("connected")
        await client.send(1, b"after")
        assert await client.receive(timeout_s=5) == (1, b"after")
        assert again.status is goipc.Status.CONNECTED
    await client.close()
    names = [change.status.name for change in told]
    assert names[:5] == ["CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED"]
    assert names[-1] == "CLOSED"


@in_loop
async def test_send_waits_for_the_next_connection(name: str) -> None:
    async with serving(name) as application:
        client = await goipc.connect(name, reconnect=True, timeout_s=20)
        await application.next("connected")
    while client.status is not goipc.Status.RECONNECTING:
        await asyncio.sleep(0)
    with pytest.raises(goipc.TimedOut):
        await client.send(1, b"never", timeout_s=0.05)
    sending = asyncio.create_task(client.send(1, b"later"))
    async with serving(name) as application:
        await application.next("connected")
        await sending
        assert await application.next("message") == (1, b"later")
        await client.close()


@in_loop
async def test_reconnecting_ends(name: str) -> None:
    """After timeout_s, and at once when the server refuses; then the reason is told once."""
    told: list[goipc.StatusChange] = []
    async with serving(name):
        client = await goipc.connect(name, reconnect=True, timeout_s=0.2, on_status=told.append)
    with pytest.raises(goipc.TimedOut):
        await client.receive()
    with pytest.raises(goipc.Closed):
        await client.receive()
    assert told[-1].status is goipc.Status.TIMEOUT
    await client.close()
    async with serving(name):
        client = await goipc.connect(name, reconnect=True, timeout_s=20)
    async with serving(name, encryption="off"):
        with pytest.raises(goipc.EncryptionError):
            await client.receive()
    await client.close()


@in_loop
async def test_status_comes_after_the_messages_before_it(name: str) -> None:
    told: list[Any] = []
    async with serving(name, echo=False) as application:
        client = await goipc.connect(name, on_status=told.append)
        server_side = await application.next("connected")
        for number in range(1, 4):
            await server_side.send(number, b"")
        await server_side.close()
        async for message in client:
            told.append(message.type)
        await client.close()
    assert [getattr(one, "status", one) for one in told[2:]] == [
        *(1, 2, 3),
        goipc.Status.DISCONNECTED,
        goipc.Status.CLOSED,
    ]


# Waiting


@in_loop
async def test_receive_times_out_and_is_cancelled_without_loss(name: str) -> None:
    async with serving(name, echo=False) as application, goipc.connect(name) as client:
        server_side = await application.next("connected")
        with pytest.raises(goipc.TimedOut):
            await client.receive(timeout_s=0.01)
        for number in range(1, 20):
            waiting = asyncio.create_task(client.receive())
            await asyncio.sleep(0)
            await server_side.send(number, b"")
            for _ in range(number % 5):
                await asyncio.sleep(0)
            waiting.cancel()
            try:
                message = await waiting
            except asyncio.CancelledError:
                message = await client.receive(timeout_s=5)
            assert message.type == number


@in_loop
async def test_send_waits_for_a_slow_reader(name: str) -> None:
    async with serving(name, encryption="off", queue_size_max=1 << 20, echo=False) as application:
        with Raw(name) as peer:
            await peer.shake_hands()
            connection = await application.next("connected")
            sent = 0
            with pytest.raises(goipc.TimedOut, match="does the peer read"):
                while True:
                    await connection.send(1, bytes(65536), timeout_s=0.1)
                    sent += 1
            assert 16 <= sent < 64 and connection.queued <= 1 << 20
            waiting = asyncio.create_task(connection.send(2, bytes(65536)))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(goipc.TimedOut):
                await connection.drain(timeout_s=0.05)
            draining = asyncio.create_task(connection.drain())
            frame = plain_frame(1, bytes(65536))
            assert await peer.exactly(sent * len(frame)) == frame * sent  # and nothing of the cancelled one
            await draining
            assert connection.queued == 0


@in_loop
async def test_sending_without_end_leaves_turns_to_others(name: str) -> None:
    async with serving(name, echo=False), goipc.connect(name) as client:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        for _ in range(1000):
            await client.send(1, bytes(1024))
        counting.cancel()
        assert turns > 10


@in_loop
async def test_a_slow_reader_holds_its_peer_back(name: str) -> None:
    """The memory for what was received and not fetched is bounded (SC-003)."""
    async with serving(name, encryption="off", echo=False) as application:
        with Raw(name) as peer:
            await peer.shake_hands()
            connection = await application.next("connected")
            # The application has not been cancelled; it just never gets a message out of its queue.
            pieces = asyncio.create_task(peer.send(plain_frame(1, bytes(65536)) * 200))
            fetched = 0
            while fetched < 200:
                await application.next("message")
                fetched += 1
                assert connection._inbox_size <= (1 << 20) + (1 << 19)
            await pieces


@in_loop
async def test_unfetched_messages_are_bounded(name: str) -> None:
    async with serving(name, echo=True) as application:
        client = await goipc.connect(name)
        connection = await application.next("connected")
        with contextlib.suppress(goipc.TimedOut):
            while True:  # the client fetches nothing of what comes back
                await client.send(1, bytes(65536), timeout_s=0.2)
        assert client._inbox_size <= 3 << 20 and connection._inbox_size <= 3 << 20
        client.abort()


@pytest.mark.parametrize("after", range(6))
@in_loop
async def test_a_cancelled_connect_leaves_nothing(name: str, after: int) -> None:
    """in_loop requires that neither a descriptor nor a task stays behind."""
    async with serving(name):
        waiting = asyncio.create_task(goipc.connect(name)._open())
        for _ in range(after):
            await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await waiting).close()


@in_loop
async def test_a_cancelled_serve_leaves_nothing(name: str) -> None:
    async with serving(name, echo=False):
        second = asyncio.create_task(goipc.serve(name, lambda connection: asyncio.sleep(0))._start())
        await asyncio.sleep(0.05)
        second.cancel()
        with pytest.raises((asyncio.CancelledError, goipc.NameInUse)):
            await second


# Closing


@in_loop
async def test_close_sends_what_was_accepted(name: str) -> None:
    async with serving(name, echo=False) as application:
        async with goipc.connect(name) as client:
            await application.next("connected")
            for number in range(1, 101):
                await client.send(number, bytes(10000))
        for number in range(1, 101):
            assert (await application.next("message")).type == number
        await application.next("closed")


@in_loop
async def test_close_says_when_the_peer_did_not_take_everything(name: str) -> None:
    async with serving(name, encryption="off", echo=False, close_timeout_s=0.2) as application:
        with Raw(name) as peer:
            await peer.shake_hands()
            connection = await application.next("connected")
            await connection.send(1, bytes(3 << 20))
            with pytest.raises(goipc.ConnectionLost, match="did not take the last"):
                await connection.close()
            await connection.close()


@in_loop
async def test_a_cancelled_close_closes_at_once(name: str) -> None:
    async with serving(name, encryption="off", echo=False, close_timeout_s=30) as application:
        with Raw(name) as peer:
            await peer.shake_hands()
            connection = await application.next("connected")
            closing = asyncio.create_task(connection.close())
            await asyncio.sleep(0.01)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert await peer.some() == b""


@in_loop
async def test_messages_before_a_failed_send_are_delivered(name: str) -> None:
    """CL-006: the peer sent, closed, and does not read."""
    async with serving(name, encryption="off", echo=False) as application:
        peer = Raw(name)
        await peer.shake_hands()
        connection = await application.next("connected")
        await peer.send(plain_frame(1, b"last words"))
        peer.sock.close()
        with contextlib.suppress(goipc.Closed):
            for _ in range(100):
                await connection.send(2, bytes(65536))
        assert await application.next("message") == (1, b"last words")
        await application.next("closed")


@in_loop
async def test_a_handler_that_raises_ends_its_connection_only(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(connection: goipc.Connection) -> None:
        if (await connection.receive()).type == 1:
            raise RuntimeError("a fault of the application")
        await connection.send(2, b"well")

    async with goipc.serve(name, handler), goipc.connect(name) as good:
        async with goipc.connect(name) as bad:
            await bad.send(1, b"")
            with pytest.raises(goipc.Closed):
                await bad.receive(timeout_s=5)
        await good.send(2, b"")
        assert await good.receive(timeout_s=5) == (2, b"well")
    assert "a fault of the application" in caplog.text


@in_loop
async def test_server_close_ends_handlers_that_wait_for_something_else(name: str) -> None:
    started = asyncio.Event()

    async def handler(connection: goipc.Connection) -> None:
        started.set()
        await asyncio.Event().wait()

    async with goipc.serve(name, handler, close_timeout_s=0.1), goipc.connect(name) as client:
        await started.wait()
    with pytest.raises(goipc.Closed):
        await client.receive()


@in_loop
async def test_nothing_is_left_of_a_connection(name: str) -> None:
    async with serving(name) as application:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            async with goipc.connect(name):
                await application.next("connected")
            await application.next("closed")
        while len(os.listdir("/proc/self/fd")) > before:
            await asyncio.sleep(0)


# The session


def test_no_frame_is_sealed_without_a_nonce() -> None:
    """SE-008: the last counter is used, and then the connection fails."""
    session = Session("server", "required")
    session.start()
    session.feed(b"\0" + keys.public_bytes(keys.private_key(keys.draw_private())) + b"\0")
    assert isinstance(session._nonces, codec.Nonces)
    session._nonces.count = codec.SEALED_COUNT_MAX - 1
    head, _ = session.frame(1, b"")
    assert head[12:16] == struct.pack(">I", codec.SEALED_COUNT_MAX - 1)
    with pytest.raises(goipc.OtherError, match="no nonce is left"):
        session.frame(1, b"")


@pytest.mark.parametrize(("role", "hello"), [("server", b"\0"), ("client", b"\2\1")])
def test_no_randomness_no_connection(role: Literal["server", "client"], hello: bytes) -> None:
    def broken(size: int) -> bytes:
        raise OSError("no entropy")

    session = Session(role, "required", draw=broken)
    last = (session.start() + session.feed(hello))[-1]
    assert isinstance(last, Failed) and last.error.error_class == "other"


def test_a_private_key_is_drawn_again() -> None:
    draws = itertools.chain([bytes(48), keys.N.to_bytes(48, "big")], [b"\0" * 47 + b"\2"])
    assert keys.draw_private(lambda size: next(draws)) == b"\0" * 47 + b"\2"


def in_child(work: Callable[[], object]) -> int:
    """The exit status of a child process that does it: 7 where it raises OtherError."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except goipc.OtherError:
            status = 7
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_process_cannot_use_a_session_of_its_parent() -> None:
    """SE-015."""
    session = Session("server", "off")
    session.start()
    session.feed(b"\0\0")
    assert in_child(lambda: session.frame(1, b"")) == 7
    session.frame(1, b"")


@in_loop
async def test_a_child_process_changes_nothing_for_its_parent(name: str) -> None:
    application = Application()
    async with goipc.serve(name, application.serve) as server, goipc.connect(name) as client:

        def leave() -> None:
            for one in (client, *server.connections):
                link = one.link
                assert link
                with pytest.raises(goipc.OtherError):
                    link.write(1, b"from the child")
                one.abort()
            server._stop_listening()

        await application.next("connected")
        assert in_child(leave) == 0
        await client.send(2, b"still there")
        assert await client.receive(timeout_s=5) == (2, b"still there")
        async with goipc.connect(name):
            pass

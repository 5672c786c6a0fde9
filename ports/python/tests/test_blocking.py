# SPDX-License-Identifier: MIT
"""The client without asyncio, and Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import goipc
import pytest
from support import Application, descriptors


@contextlib.contextmanager
def server_thread(name: str, echo: bool = True, **options: Any) -> Iterator[Application]:
    """A server in an event loop of another thread."""
    loop = asyncio.new_event_loop()
    ready: list[Application] = []
    stop = asyncio.Event()
    listening = threading.Event()

    async def run() -> None:
        ready.append(Application(echo))
        async with goipc.serve(name, ready[0].serve, on_failure=ready[0].failed, **options):
            listening.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert listening.wait(10)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def test_echo(name: str) -> None:
    before = descriptors()
    with server_thread(name), goipc.Client(name) as client:
        assert client.encrypted and client.status is goipc.Status.CONNECTED and client.send_size_max == 3145728
        assert client.peer and client.peer.process == os.getpid()
        client.send(7, b"hello")
        assert client.receive(timeout_s=10) == (7, b"hello")
        for number in range(1, 2001):
            client.send(number, bytes(number))
        client.drain(timeout_s=10)
        for number in range(1, 2001):
            assert client.receive(timeout_s=10) == (number, bytes(number))
        with pytest.raises(goipc.TimedOut):
            client.receive(timeout_s=0.01)
    with pytest.raises(goipc.Closed):
        client.receive()
    with pytest.raises(goipc.Closed):
        client.send(1, b"")
    client.close()
    assert descriptors() == before


def test_many_threads_use_one_client(name: str) -> None:
    with server_thread(name), goipc.Client(name) as client:

        def send(kind: int) -> None:
            for _ in range(200):
                client.send(kind, bytes(1000))

        threads = [threading.Thread(target=send, args=(kind,)) for kind in range(1, 6)]
        for thread in threads:
            thread.start()
        got = [client.receive(timeout_s=10).type for _ in range(1000)]
        for thread in threads:
            thread.join()
        assert sorted(got) == sorted([1, 2, 3, 4, 5] * 200)


def test_an_iteration_ends_with_the_server(name: str) -> None:
    with server_thread(name, echo=False):
        client = goipc.Client(name)
    assert list(client) == []
    client.close()


def test_errors(name: str) -> None:
    before = descriptors()
    with pytest.raises(goipc.TimedOut, match="start the server"):
        goipc.Client(name, timeout_s=0.1)
    with pytest.raises(goipc.NameNotAllowed):
        goipc.Client("a/b")
    with pytest.raises(goipc.OptionError):
        goipc.Client(name, clients_max=3)  # type: ignore[call-arg]
    with server_thread(name, encryption="off", message_size_max=1024):
        with pytest.raises(goipc.EncryptionError):
            goipc.Client(name)
        with goipc.Client(name, encryption="off") as client:
            for kind, data, error in [(0, b"", "reserved-type"), (1, bytes(1025), "too-large"), (2**32, b"", "other")]:
                with pytest.raises(goipc.Error) as caught:
                    client.send(kind, data)
                assert caught.value.error_class == error
            client.send(1, b"still there")
            assert client.receive(timeout_s=5) == (1, b"still there")
    assert descriptors() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("goipc")]


def test_a_full_queue_waits(name: str) -> None:
    """Nothing is lost, nothing changes its order, and the memory for it is bounded."""
    with server_thread(name), goipc.Client(name, queue_size_max=65536) as client:
        received: list[int] = []
        thread = threading.Thread(target=lambda: received.extend(client.receive(timeout_s=30).type for _ in range(500)))
        thread.start()
        for number in range(1, 501):
            client.send(number, bytes(10000))
            assert client._handed_size <= 65536
        thread.join(60)
        assert received == list(range(1, 501))


def test_a_child_process_does_not_wait_for_a_thread_that_it_has_not(name: str) -> None:
    with server_thread(name), goipc.Client(name) as client:
        child = os.fork()
        if child == 0:
            refused = 0
            for call in (lambda: client.send(1, b""), lambda: client.receive(), lambda: client.drain()):
                try:
                    call()
                except goipc.OtherError:
                    refused += 1
            client.close()
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        client.send(1, b"still there")
        assert client.receive(timeout_s=5) == (1, b"still there")


WAITS = {
    "blocking connect": "goipc.Client(name + 'x', timeout_s=None)",
    "blocking handshake": "goipc.Client(name + '-silent', timeout_s=None, handshake_timeout_s=100)",
    "blocking receive": "goipc.Client(name).receive()",
    "blocking iteration": "list(goipc.Client(name))",
    "blocking send": """
        client = goipc.Client(name)
        while True:
            client.send(1, bytes(65536))
    """,
    "blocking drain": """
        client = goipc.Client(name)
        for _ in range(40):
            client.send(1, bytes(65536))
        client.drain()
    """,
    "blocking close": """
        client = goipc.Client(name, close_timeout_s=100)
        for _ in range(40):
            client.send(1, bytes(65536))
        client.close()
    """,
    "connect": "asyncio.run(run(goipc.connect(name + 'x', timeout_s=None)))",
    "receive": "asyncio.run(run(goipc.connect(name), lambda one: one.receive()))",
    "send": "asyncio.run(run(goipc.connect(name), flood))",
    "serve": "asyncio.run(run(goipc.serve(name + 'y', None), lambda one: one.serve_forever()))",
}


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_every_wait(name: str, wait: str) -> None:
    """A program that waits is sent SIGINT, and ends at once with KeyboardInterrupt."""
    program = (
        textwrap.dedent("""
        import asyncio, sys, threading, goipc
        name = sys.argv[1]
        async def run(opening, use=None):
            async with opening as opened:
                await use(opened)
        async def flood(connection):
            while True:
                await connection.send(1, bytes(65536))
        def tell():
            print("waiting", flush=True)
        threading.Timer(0.5, tell).start()
        try:
    """)
        + textwrap.indent(textwrap.dedent(WAITS[wait]).strip(), "    ")
        + textwrap.dedent("""
        except KeyboardInterrupt:
            print("interrupted")
    """)
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as mute, deaf_server(name):
        mute.bind(f"/tmp/{name}-silent.sock")
        mute.listen()
        try:
            child = subprocess.Popen(
                [sys.executable, "-c", program, name],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": str(Path(goipc.__file__).parents[1])},
            )
            assert child.stdout and child.stdout.readline() == "waiting\n"
            child.send_signal(signal.SIGINT)
            out, errors = child.communicate(timeout=20)
            assert (out, child.returncode) == ("interrupted\n", 0), errors
        finally:
            child.kill()
            os.unlink(f"/tmp/{name}-silent.sock")


@contextlib.contextmanager
def deaf_server(name: str) -> Iterator[None]:
    """A server that takes clients and never reads what they send."""
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def handler(connection: goipc.Connection) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        async with goipc.serve(name, handler, close_timeout_s=0.1):
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert started.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()

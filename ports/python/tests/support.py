# SPDX-License-Identifier: MIT
"""What the tests have in common."""

import asyncio
import contextlib
import functools
import gc
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec

import goipc

P = ParamSpec("P")
ROOT = Path(__file__).resolve().parents[3]


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"))


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs a test in an event loop, within a minute, and requires that it leaves no descriptor and no task."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        async def run() -> None:
            await asyncio.wait_for(test(*args, **kwargs), 60)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.wait(left, timeout=5) if left else None
            assert not [task for task in left if not task.done()]

        before = descriptors()
        asyncio.run(run())
        assert descriptors() == before

    return wrapper


class Application:
    """What the application of a server is told, and echoes."""

    def __init__(self, echo: bool = True) -> None:
        self.told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.echo = echo

    async def serve(self, connection: goipc.Connection) -> None:
        self.told.put_nowait(("connected", connection))
        try:
            async for message in connection:
                self.told.put_nowait(("message", message))
                if self.echo:
                    await connection.send(message.type, message.data)
            self.told.put_nowait(("closed", None))
        except goipc.Error as error:
            self.told.put_nowait(("failed", error.error_class))

    def failed(self, connection: goipc.Connection, error: goipc.Error) -> None:
        self.told.put_nowait(("handshake failed", error.error_class))

    async def next(self, wanted: str) -> Any:
        word, value = await asyncio.wait_for(self.told.get(), 10)
        assert word == wanted, value
        return value


@contextlib.asynccontextmanager
async def serving(name: str, echo: bool = True, **options: Any) -> AsyncIterator[Application]:
    application = Application(echo)
    async with goipc.serve(name, application.serve, on_failure=application.failed, **options):
        yield application


class Raw:
    """A peer that is moved by hand."""

    def __init__(self, name: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.connect(f"/tmp/{name}.sock")
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await asyncio.wait_for(self._loop.sock_sendall(self.sock, data), 10)

    async def some(self, size: int = 65536) -> bytes:
        try:
            return await asyncio.wait_for(self._loop.sock_recv(self.sock, size), 10)
        except ConnectionResetError:
            return b""

    async def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await self.some(size - len(data))
            assert piece, f"the stream ended after {len(data)} of {size} bytes"
            data += piece
        return data

    async def shake_hands(self) -> None:
        """The plain handshake of a client."""
        assert await self.exactly(2) == b"\2\0"
        await self.send(b"\0")
        await self.exactly(8)
        await self.send(b"\0")

    def reset(self) -> None:
        """Closes so that the other side sees a reset, where data of it is unread."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


@contextlib.contextmanager
def listening(name: str) -> Any:
    """A socket at the name, on which the test is the server."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(f"/tmp/{name}.sock")
        try:
            sock.listen()
            sock.setblocking(False)
            yield sock
        finally:
            os.unlink(f"/tmp/{name}.sock")

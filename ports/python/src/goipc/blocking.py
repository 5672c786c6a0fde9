# SPDX-License-Identifier: MIT
"""A client for scripts that do not use asyncio."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar

from .client import ClientConnection, connect_with
from .codec import Message
from .connection import Data, Status, bytes_of
from .errors import Closed, ConnectionLost, Error
from .fork import Process
from .link import Link
from .options import ClientOptions, with_options
from .peers import Credentials

T = TypeVar("T")


class Client:
    """A connection to a server, whose calls wait. It takes the options of `connect`, and connects at once.

    An iterator of messages. Leaving `with` closes it. Several threads may use it. What the protocol does meanwhile
    happens in a thread of its own, where on_status is called, too. Ctrl-C ends every wait.
    """

    @with_options(ClientOptions)
    def __init__(self, name: str, options: ClientOptions) -> None:
        self._received: collections.deque[Message] = collections.deque()
        self._handed: list[tuple[Link, int, bytes]] = []  # for the other thread to send
        self._handed_size = 0
        self._lock = threading.Lock()  # of these two
        self._queue_size_max = options.queue_size_max
        self._process = Process()  # a child has this object, but not the thread
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"goipc {name}", daemon=True)
        self._thread.start()
        try:
            self._connection: ClientConnection = self._wait(connect_with(name, options))
        except BaseException:
            self._stop()
            raise

    @property
    def status(self) -> Status:
        """What the connection is now."""
        return self._connection.status

    @property
    def encrypted(self) -> bool:
        """Whether frames are sealed; False while there is no open connection."""
        return self._connection.encrypted

    @property
    def send_size_max(self) -> int:
        """The most bytes of data that the server takes in one message; 0 while there is no open connection."""
        return self._connection.send_size_max

    @property
    def peer(self) -> Credentials | None:
        """Who the server is by the kernel's word."""
        return self._connection.peer

    def send(self, type: int, data: Data, *, timeout_s: float | None = None) -> None:
        """As Connection.send."""
        data = bytes_of(data)
        if not self._hand(type, data):
            self._wait(self._send(type, data, timeout_s))

    def _hand(self, type: int, data: bytes) -> bool:
        """Accepts a message without waiting for the other thread, where there is room and an open connection."""
        self._process.check()
        link = self._connection.link
        if link is None or not link.is_open:
            return False
        with self._lock:
            if link.queued + self._handed_size + len(data) > self._queue_size_max:
                return False
            link.session.check(type, len(data))
            self._handed.append((link, type, data))
            self._handed_size += len(data)
            first = len(self._handed) == 1
        if first:
            self._loop.call_soon_threadsafe(self._take_handed)
        return True

    def _take_handed(self) -> None:
        """In the other thread. A connection that has ended meanwhile says so to receive."""
        with self._lock:
            handed, self._handed = self._handed, []
            self._handed_size = 0
        for link, type, data in handed:
            if link.is_open:
                with contextlib.suppress(Error):
                    link.write(type, data)

    async def _send(self, type: int, data: bytes, timeout_s: float | None) -> None:
        self._take_handed()
        await self._connection.send(type, data, timeout_s=timeout_s)

    def drain(self, *, timeout_s: float | None = None) -> None:
        """As Connection.drain."""
        self._wait(self._drain(timeout_s))

    async def _drain(self, timeout_s: float | None) -> None:
        self._take_handed()
        await self._connection.drain(timeout_s=timeout_s)

    def receive(self, *, timeout_s: float | None = None) -> Message:
        """As Connection.receive."""
        while True:
            try:
                return self._received.popleft()
            except IndexError:
                self._wait(self._fetch(timeout_s))

    async def _fetch(self, timeout_s: float | None) -> None:
        # Kept here and not returned, so that Ctrl-C in this moment loses no message. Many are fetched at once.
        self._received.append(await self._connection.receive(timeout_s=timeout_s))
        self._received.extend(self._connection.take_ready())

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        """As receive; an orderly end ends the iteration."""
        try:
            return self.receive()
        except Closed as error:
            if isinstance(error, ConnectionLost):
                raise
            raise StopIteration from None

    def close(self) -> None:
        """As Connection.close."""
        if self._loop.is_closed() or not self._process.is_current:
            return
        try:
            self._wait(self._close())
        finally:
            self._stop()

    async def _close(self) -> None:
        self._take_handed()
        self._received.clear()
        await self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except ConnectionLost:
            if error is None:
                raise

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it in the other thread, and waits for it; an exception here, such as Ctrl-C, cancels it there."""
        if self._loop.is_closed() or not self._process.is_current:
            work.close()
            self._process.check()
            raise Closed
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel_all)
        self._thread.join()
        self._loop.close()

    def _cancel_all(self) -> None:
        """Lets what was cancelled come to its end, then stops the loop."""
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.call_soon(self._cancel_all)
        else:
            self._loop.stop()

# SPDX-License-Identifier: MIT
"""A connection as an application sees it."""

from __future__ import annotations

import asyncio
import collections
import enum
import logging
import socket
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from .codec import Message
from .errors import Closed, ConnectionLost, Error, OptionError, TimedOut
from .link import Link, Signal
from .options import Options
from .peers import Credentials
from .session import Session

INBOX_SIZE_MAX, INBOX_COUNT_MAX = 1 << 20, 8192  # received and not fetched, before the peer has to wait (SC-003)

log = logging.getLogger("goipc")

Data = bytes | bytearray | memoryview


class Status(enum.Enum):
    """The states of an endpoint, with golang-ipc's texts."""

    NOT_CONNECTED = "Not Connected"
    LISTENING = "Listening"
    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    RECONNECTING = "Reconnecting"
    CLOSED = "Closed"
    ERROR = "Error"
    TIMEOUT = "Timeout"
    DISCONNECTED = "Disconnected"


class StatusChange(NamedTuple):
    """What a connection has become, and why: `error` is None where nothing went wrong."""

    status: Status
    error: Error | None = None


class Connection:
    """One side of a connection. It belongs to the event loop and the process in which it was made.

    An asynchronous iterator of messages. Leaving `async with` closes it.
    """

    def __init__(self, options: Options, number: int = 1) -> None:
        self.number = number  # of this connection among those of its server, from 1
        self.status = Status.NOT_CONNECTED
        self.peer: Credentials | None = None  # who the other side is by the kernel's word
        self._options = options
        self._on_status: Callable[[StatusChange], None] | None = None
        self._link: Link | None = None
        self._inbox: collections.deque[Message | StatusChange] = collections.deque()
        self._inbox_size = 0
        self._paused = False
        self._outcome: Error | None = None  # what receive raises once the inbox is empty
        self._changed = Signal()  # a message, a change of status, or the end

    def attach(self, sock: socket.socket, session: Session) -> Link:
        """Gives the connection a socket, which it owns from now on. For servers and clients."""
        self._link = Link(sock, session, self, self._options)
        return self._link

    @property
    def link(self) -> Link | None:
        """For the other modules: what the newest connection runs on."""
        return self._link

    def is_leaving(self) -> bool:
        """Whether either side has begun to close."""
        return self._link is None or self._link.hung_up()

    # Sending

    @property
    def encrypted(self) -> bool:
        """Whether frames are sealed; False while there is no open connection."""
        return bool(self._link and self._link.is_open and self._link.session.sealed)

    @property
    def send_size_max(self) -> int:
        """The most bytes of data that the peer takes in one message; 0 while there is no open connection."""
        return self._link.session.send_limit if self._link and self._link.is_open else 0

    @property
    def queued(self) -> int:
        """Bytes of output that the system has not taken yet."""
        return self._link.queued if self._link else 0

    async def send(self, type: int, data: Data, *, timeout_s: float | None = None) -> None:
        """Sends one message: a type from 1 to 2147483647, and its data.

        Returns when the message is accepted, which means that it goes out with this turn of the event loop, or as
        soon as the peer reads on. Waits while queue_size_max bytes are queued, and, of a client that is connecting
        again, for the connection; `timeout_s` bounds that. A call that raises, or is cancelled, has sent nothing.

        Raises Closed, ReservedTypeError, TooLargeError, OptionError or TimedOut.
        """
        data = bytes_of(data)
        size = len(data)
        link = self._link
        # One turn for the event loop after each 64 KiB; else a loop that only sends would starve everything else.
        if link and link.is_due:
            link.give_turn()
            await asyncio.sleep(0)
        if link is None or not link.is_open or (link.queued and link.queued + size > self._options.queue_size_max):
            link = await self._wait_for_room(type, size, timeout_s)
        link.session.check(type, size)
        link.write(type, data)

    async def _wait_for_room(self, type: int, size: int, timeout_s: float | None) -> Link:
        deadline = _deadline(timeout_s)
        while True:
            link = await self._open_link(deadline)
            link.session.check(type, size)
            if not link.queued or link.queued + size <= self._options.queue_size_max:
                return link
            if not await link.changed.wait(deadline):
                raise TimedOut(f"the peer took too little in {timeout_s:g} s", "does the peer read its messages?")

    async def _open_link(self, deadline: float | None) -> Link:
        """The link to send on. Raises Closed; a client that connects again waits for it."""
        if self._link is None or not self._link.is_open:
            raise Closed
        return self._link

    async def drain(self, *, timeout_s: float | None = None) -> None:
        """Waits until the system has taken everything that was sent. Raises Closed or TimedOut."""
        deadline = _deadline(timeout_s)
        link = self._link
        while link and link.queued:
            if not await link.changed.wait(deadline):
                raise TimedOut(f"the peer took too little in {timeout_s:g} s", "does the peer read its messages?")
        if link is None or not link.is_open:
            raise Closed

    # Receiving

    async def receive(self, *, timeout_s: float | None = None) -> Message:
        """The next message. A call that raises TimedOut, or is cancelled, has taken none.

        When the connection has failed, raises why, once; then, and after an orderly end, Closed.
        """
        deadline = _deadline(timeout_s)
        while True:
            message = self._next()
            if message is not None:
                return message
            if not await self._changed.wait(deadline):
                raise TimedOut(f"no message came in {timeout_s:g} s")

    def __aiter__(self) -> Connection:
        return self

    async def __anext__(self) -> Message:
        """As receive; an orderly end ends the iteration."""
        try:
            while (message := self._next()) is None:
                await self._changed.wait()
            return message
        except Closed as error:
            if isinstance(error, ConnectionLost):
                raise
            raise StopAsyncIteration from None

    def _next(self) -> Message | None:
        """A message that is here already. Raises the outcome when nothing more will come."""
        while self._inbox:
            entry = self._inbox.popleft()
            if entry.__class__ is Message:
                self._inbox_size -= len(entry.data)
                if self._paused:
                    self._read_on()
                return entry
            self._tell(entry)  # type: ignore[arg-type]
        if self._outcome:
            outcome, self._outcome = self._outcome, Closed()
            raise outcome
        return None

    def take_ready(self) -> list[Message]:
        """The messages that can be had without waiting."""
        ready = []
        while self._inbox and self._inbox[0].__class__ is Message and (message := self._next()):
            ready.append(message)
        return ready

    def _read_on(self) -> None:
        if self._inbox_size <= INBOX_SIZE_MAX // 2 and len(self._inbox) <= INBOX_COUNT_MAX // 2:
            self._paused = False
            if self._link:
                self._link.read_on()

    # Closing

    async def close(self) -> None:
        """Sends what is queued, and closes, within close_timeout_s. May be called at any time, and again.

        Raises ConnectionLost when the peer did not take everything in time. Cancelled, it closes at once.
        """
        self._finish()
        if link := self._link:
            link.close()
            await link.wait_released()
            lost, link.unsent = link.unsent, None
            if lost:
                raise lost

    def abort(self) -> None:
        """Closes at once, and drops what is not sent."""
        self._finish()
        if self._link:
            self._link.abort()

    def _finish(self) -> None:
        """Nothing more is delivered."""
        if self.status is Status.CLOSED:
            return
        self._inbox.clear()
        self._inbox_size = 0
        self._outcome = Closed()
        self._change(Status.CLOSED)
        self._changed.wake()

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except ConnectionLost as lost:
            if error is None:
                raise
            log.warning("%s", lost)

    # What the link tells

    def on_connected(self, link: Link) -> None:
        self._change(Status.CONNECTED)
        self._changed.wake()

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        if self.status is Status.CLOSED:
            return
        self._inbox.extend(messages)
        self._inbox_size += sum(len(message.data) for message in messages)
        if self._inbox_size > INBOX_SIZE_MAX or len(self._inbox) > INBOX_COUNT_MAX:
            self._paused = True
            link.pause()
        self._changed.wake()

    def on_end(self, link: Link, error: Error | None) -> None:
        if self.status is not Status.CLOSED:
            self._outcome = error or Closed("the peer closed the connection")
            self._change(Status.DISCONNECTED, error)
        self._changed.wake()

    def _change(self, status: Status, error: Error | None = None) -> None:
        """Tells the application of a new status after the messages that came before it."""
        self.status = status
        log.debug("connection %d: %s%s", self.number, status.value, f": {error}" if error else "")
        if self._on_status:
            change = StatusChange(status, error)
            if self._inbox:
                self._inbox.append(change)
            else:
                self._tell(change)

    def _tell(self, change: StatusChange) -> None:
        assert self._on_status
        try:
            self._on_status(change)
        except Exception:
            log.exception("on_status raised")


def bytes_of(data: Data) -> bytes:
    """Raises OptionError for what is not bytes."""
    if data.__class__ is bytes:
        return data
    if isinstance(data, (bytearray, memoryview, bytes)):
        return bytes(data)
    raise OptionError(f"the data of a message is {type(data).__name__}", "encode it to bytes first")


def _deadline(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s

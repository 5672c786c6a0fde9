# SPDX-License-Identifier: MIT
"""A session on a socket of an asyncio event loop: receiving, sending and closing (Section 12.6)."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import threading
from typing import Protocol

from .codec import Message
from .errors import Closed, ConnectionLost, Error, TimedOut
from .fork import Process
from .options import Options
from .outbox import Outbox
from .session import Connected, Event, Failed, Send, Session

HANDSHAKE_CHUNK, CHUNK = 4096, 262144  # bytes of one read (SC-004)
FLUSH_SIZE = 65536  # bytes of output that are handed over at once, without waiting for the event loop
RESCUE_SIZE = 4 << 20  # bytes that are still read after sending has failed (CL-006)
HANGUP = getattr(select, "POLLRDHUP", 0)  # Linux reports the end of input without a read


class _Input(threading.local):
    """Where bytes are received to, in every thread that runs an event loop."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(CHUNK))


_input = _Input()


class Signal:
    """Wakes coroutines that wait for a change. They look at what has changed themselves."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[bool]] = []

    def wake(self) -> None:
        for waiter in self._waiters:
            _resolve(waiter, True)
        self._waiters.clear()

    async def wait(self, deadline: float | None = None) -> bool:
        """False when the loop's clock has passed `deadline`."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        timer = None if deadline is None else loop.call_at(deadline, _resolve, waiter, False)
        self._waiters.append(waiter)
        try:
            return await waiter
        finally:
            if timer:
                timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)


def _resolve(waiter: asyncio.Future[bool], value: bool) -> None:
    if not waiter.done():
        waiter.set_result(value)


class Owner(Protocol):
    """Who is told what happens on a link; at most one on_end, after on_connected if that came."""

    def on_connected(self, link: Link) -> None: ...

    def on_messages(self, link: Link, messages: list[Message]) -> None: ...

    def on_end(self, link: Link, error: Error | None) -> None:
        """An open connection has ended: in order, by the peer, when there is no error."""


class Link:
    """Owns the socket until it is released."""

    def __init__(self, sock: socket.socket, session: Session, owner: Owner, options: Options) -> None:
        self.session = session
        self.released = False
        self.error: Error | None = None  # what the connection failed with
        self.unsent: ConnectionLost | None = None  # closing could not send everything (CL-003)
        self.changed = Signal()  # opened, room for output, everything sent, or released
        self._sock, self._owner, self._options = sock, owner, options
        self._loop = asyncio.get_running_loop()
        self._process = Process()
        self._out = Outbox()  # what was accepted and not yet taken by the system
        self._flushing = False  # a flush is due in this turn of the loop
        self._burst = 0  # bytes accepted since the event loop had its turn
        self._told = False  # the owner knows the end
        self._leaving = self._half_closed = self._peer_ended = self._broken = False
        self._reading = self._writing = False
        self._timer: asyncio.TimerHandle | None = None

    # The handshake

    async def open(self, deadline: float) -> None:
        """Completes the handshake before the loop's clock says `deadline`, or raises; then nothing is left open."""
        self._timer = self._loop.call_at(deadline, self._handshake_late, deadline - self._loop.time())
        try:
            self.read_on()
            self._handle(self.session.start())
            while not self.session.connected and not self.released:
                await self.changed.wait()
        except BaseException:
            self.abort()
            raise
        if not self.session.connected:
            raise self.error or Closed()

    def _handshake_late(self, allowed_s: float) -> None:
        late = f"the handshake was not complete in {allowed_s:.3g} s"
        self._handle(self.session.fail(TimedOut(late, "is the peer busy, or another program?")))

    # Receiving

    def read_on(self) -> None:
        """Receives again after `pause`."""
        if not self._reading and not self.released and not self._peer_ended:
            self._reading = True
            self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def pause(self) -> None:
        """Receives nothing until `read_on`, so that the peer has to wait."""
        if self._reading and not self._leaving:
            self._stop_reading()

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock.fileno())

    def _on_readable(self) -> None:
        data = self._receive()
        if data is None:
            return
        if not data:
            self._peer_ended = True
            self._stop_reading()
        if self._leaving:  # what comes now is dropped (CL-004)
            self._leave_on()
        else:
            self._handle(self.session.feed(data) if data else self.session.end())

    def _receive(self) -> memoryview | None:
        """What has arrived, until the next call in this thread; empty at the end of the stream, None for nothing."""
        size = CHUNK if self.session.connected else HANDSHAKE_CHUNK
        try:
            return _input.view[: self._sock.recv_into(_input.view, size)]
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return _input.view[:0]  # CL-005

    def _handle(self, events: list[Event]) -> None:
        messages: list[Message] = []
        for event in events:
            if isinstance(event, Message):
                messages.append(event)
            elif isinstance(event, Send):
                self._out.add(event.data)
                self._flush()
            elif isinstance(event, Connected):
                self._opened()
            else:
                if messages:
                    self._owner.on_messages(self, messages)
                self._end(event.error if isinstance(event, Failed) else None)
                return
        if messages:
            self._owner.on_messages(self, messages)

    def _opened(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._owner.on_connected(self)
        self.changed.wake()

    def hung_up(self) -> bool:
        """Whether either side has begun to close, also while nothing is read here."""
        if self._leaving or self._told or self.released:
            return True
        poll = select.poll()
        poll.register(self._sock, HANGUP)
        return any(what & (HANGUP | select.POLLHUP | select.POLLERR) for _, what in poll.poll(0))

    # Sending

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self.session.connected and not (self._leaving or self._told or self._broken)

    @property
    def queued(self) -> int:
        """Bytes that the system has not taken yet."""
        return self._out.size

    @property
    def is_due(self) -> bool:
        """Whether the event loop should have its turn before more is written."""
        return self._burst >= FLUSH_SIZE

    def give_turn(self) -> None:
        """To be called before the event loop gets its turn."""
        self._burst = 0
        self._flush()

    def write(self, kind: int, data: bytes) -> None:
        """Accepts a message that the session's `check` has allowed. It is sent in this turn of the event loop."""
        self._process.check()
        try:
            head, body = self.session.frame(kind, data)
        except Error as error:
            self._handle(self.session.fail(error))
            raise
        self._out.add(head, body)
        self._burst += len(head) + len(body)
        if not self._flushing and not self._writing:
            self._flushing = True
            self._loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        self._flushing = False
        self._burst = 0
        if not self._writing:
            self._flush()

    def _flush(self) -> None:
        if self.released:
            return
        try:
            self._out.flush(self._sock)
        except (BlockingIOError, InterruptedError):
            self._write_later(True)
        except OSError as error:
            self._sending_failed(error)
            return
        else:
            self._write_later(False)
        self.changed.wake()
        if self._leaving and not self._out.size:
            self._leave_on()

    def _write_later(self, later: bool) -> None:
        if later == self._writing or self.released:
            return
        self._writing = later
        if later:
            self._loop.add_writer(self._sock.fileno(), self._flush)
        else:
            self._loop.remove_writer(self._sock.fileno())

    def _sending_failed(self, error: OSError) -> None:
        """CL-006: what has arrived already is processed first, and may say how the connection ended."""
        self._broken = True
        if self._leaving:
            self._give_up("before it went away")
        self._out.clear()
        self._write_later(False)
        left = RESCUE_SIZE
        while not self._told and not self._leaving and left > 0 and (data := self._receive()) is not None:
            left -= len(data)
            self._handle(self.session.feed(data) if data else self.session.end())
        if not self._told:
            self._handle(self.session.fail(ConnectionLost(f"sending failed: {error.strerror}")))
        if self._leaving:
            self._release()

    # Closing

    def _end(self, error: Error | None) -> None:
        """The connection has failed, or the peer has closed it in order."""
        if self._told:
            return
        self._told = True
        if error is None:
            self._peer_ended = True
            self._leave()  # what was accepted may still reach a peer that only sends no more (CL-003)
        else:
            self.error = error
            self._out.clear()
            self._release()
        if self.session.connected:
            self._owner.on_end(self, error)

    def close(self) -> None:
        """Closes in order, or at once before the connection is open. May be called at any time."""
        if not self.session.connected:
            self.abort()
        elif not self._leaving and not self.released:
            self._told = True
            self._leave()

    def abort(self) -> None:
        """Closes at once, and drops what is not sent."""
        self._told = True
        self._out.clear()
        self._release()

    async def wait_released(self) -> None:
        """Until nothing is left. A caller that is cancelled meanwhile gets the connection closed at once."""
        try:
            while not self.released:
                await self.changed.wait()
        except BaseException:
            self.abort()
            raise

    def _leave(self) -> None:
        self._leaving = True
        if not self._process.is_current:
            self._release()
            return
        self.session.fail(Closed())
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._options.close_timeout_s, self._leave_late)
        self.changed.wake()
        self.read_on()
        if self._writing:
            return
        self._flush()  # goes on with _leave_on when everything is out

    def _leave_on(self) -> None:
        if self._out.size or self.released:
            return
        if self._peer_ended or self._broken:
            self._release()
        elif not self._half_closed:
            self._half_closed = True
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def _leave_late(self) -> None:
        self._give_up(f"in {self._options.close_timeout_s:g} s")
        self._release()

    def _give_up(self, why: str) -> None:
        if self._out.size and not self._peer_ended:
            self.unsent = ConnectionLost(
                f"the peer did not take the last {self._out.size} bytes {why}",
                "await drain() before closing, or raise close_timeout_s",
            )

    def _release(self) -> None:
        if self.released:
            return
        if not self._process.is_current:  # neither the connection nor the event loop is ours to change
            self.released = True
            self._sock.close()
            return
        self._stop_reading()
        self._write_later(False)
        self.released = True
        if self._timer:
            self._timer.cancel()
        self.session.fail(Closed())
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # a child process may have the socket open, too
        self._sock.close()
        self.changed.wake()

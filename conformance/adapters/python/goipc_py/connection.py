# SPDX-License-Identifier: MIT
"""A session on a socket. The caller of receive() is the reader; one thread writes (FR-016)."""

import collections
import os
import select
import socket
import threading
import time

from .codec import Closed, Fault

HANDSHAKE_CHUNK, CHUNK = 4096, 65536
QUEUE_MAX = 8 << 20  # bytes waiting to be sent before send() waits
LINGER_S = 1.0  # CL-004, and the bound of CL-003
HANGUP = getattr(select, "POLLRDHUP", 0)  # Linux tells a reader-less poll that the peer has stopped sending


class Connection:
    def __init__(self, sock: socket.socket, session, number: int = 0):
        sock.setblocking(False)
        self.sock, self.session, self.number = sock, session, number
        self.on_end = lambda: None
        self._reading = threading.Lock()
        self._lock = threading.Condition()
        self._messages: collections.deque = collections.deque()
        self._queue: collections.deque = collections.deque()
        self._queued = 0
        self._outcome = None  # Closed, or a Fault that is told once
        self._closing = self._dead = self._send_failed = self._ended = self._released = False
        self._writer = None
        # Its writing end is closed once, which wakes every poll on the reading end for good.
        self._wake, self._waker = os.pipe()

    # The application's side

    @property
    def encrypted(self) -> bool:
        return self.session.sealed

    @property
    def message_size_max(self) -> int:
        return self.session.send_limit

    def handshake(self, deadline: float) -> None:
        """Complete the handshake or raise; the connection is released when it fails."""
        with self._reading:
            self._handle(self.session.start())
            while not self.session.connected and not self._outcome and not self._closing:
                if time.monotonic() >= deadline or not self._fill(deadline, HANDSHAKE_CHUNK):
                    self._handle(self.session.fail(Fault("timeout", "the handshake took too long")))
            with self._lock:
                if not self._outcome and not self._closing:
                    self._writer = threading.Thread(target=self._write, daemon=True)
                    self._writer.start()
                    return
                # A peer can complete the handshake, send and fail in one breath: what it sent is delivered first.
                delivers = self.session.connected and not self._closing
                outcome = self._outcome or Closed()
        self._release()
        if not delivers:
            raise outcome

    def receive(self, timeout_s: float | None = None) -> tuple[int, bytes]:
        """The next message. Raises the Fault of the connection once, and Closed from then on."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._reading:
            while True:
                if self._closing and not self._outcome:
                    raise Closed
                if self._messages:
                    return self._messages.popleft()
                if self._outcome:
                    outcome, self._outcome = self._outcome, Closed()
                    raise outcome
                if self._send_failed:
                    self._drain()
                elif not self._fill(deadline, CHUNK):
                    raise TimeoutError

    def send(self, kind: int, data: bytes, timeout_s: float | None = None) -> None:
        """Put a message in line; waits, at most timeout_s, while too much is in line already."""
        with self._lock:
            self._check_open()
            self.session.check(kind, len(data))
            if not self._lock.wait_for(lambda: self._shut() or self._room(len(data)), timeout_s):
                raise TimeoutError
            self._check_open()
            try:
                frame = self.session.frame(kind, data)
            except Fault as fault:
                self._handle(self.session.fail(fault))
                raise Closed from fault
            self._queue.append(frame)
            self._queued += len(frame)
            self._lock.notify_all()

    def close(self, abort: bool = False) -> None:
        """Close in order, or at once; at any time, by any thread, and more than once."""
        with self._lock:
            if abort:
                self._dead = True
                self._shutdown(socket.SHUT_RDWR)
            self._closing = True
            self._awake()
            self._lock.notify_all()

    def join(self, timeout_s: float | None = None) -> bool:
        with self._lock:
            return self._lock.wait_for(lambda: self._released, timeout_s)

    def leaving(self) -> bool:
        """Whether either side has begun to close: then another may take the place (CN-006)."""
        with self._lock:
            if self._closing or self._released or self._outcome:
                return True
            poll = select.poll()
            poll.register(self.sock, HANGUP)
            return any(what & (HANGUP | select.POLLHUP | select.POLLERR) for _, what in poll.poll(0))

    # The reader

    def _fill(self, deadline: float | None, size: int) -> bool:
        """Wait for bytes and handle one piece; False when the time is over."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(self._wake, 0)
        left = None if deadline is None else max(0, deadline - time.monotonic())
        ready = dict(poll.poll(None if left is None else left * 1000 + 1))
        if not ready:
            return False
        if self._wake not in ready:
            self._take(size)
        return True

    def _take(self, size: int) -> bool:
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # CL-005
        self._handle(self.session.feed(data) if data else self.session.end())
        return True

    def _drain(self) -> None:
        """CL-006: sending has failed; deliver what is here already, then fail."""
        while not self._outcome and self._take(CHUNK):
            pass
        self._handle(self.session.fail(Fault("closed", "sending failed")))

    def _handle(self, events: list[tuple]) -> None:
        for event in events:
            if event[0] == "send":
                self._send_now(event[1])
            elif event[0] == "message":
                self._messages.append(event[1:])
            elif event[0] == "closed":
                self._finish(Closed("the peer closed the connection"), abort=False)
            elif event[0] == "failed":
                self._finish(event[1], abort=True)

    def _send_now(self, data: bytes) -> None:
        # A message of the handshake, in one write; a new socket has room for all of them.
        try:
            while data and not self._outcome:
                data = data[self.sock.send(data) :]
        except OSError as error:
            self._handle(self.session.fail(Fault("closed", f"sending failed: {error.strerror}")))

    def _finish(self, outcome, abort: bool) -> None:
        with self._lock:
            if self._outcome is None:
                self._outcome = outcome
            self._ended = not abort
            if abort:
                self._dead = True
                self._queue.clear()
                self._shutdown(socket.SHUT_RDWR)
            self._awake()
            self._lock.notify_all()

    # The writer, which ends every connection that was open

    def _write(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._queue or self._shut())
                if self._dead or not self._queue:
                    break
                frame = self._queue[0]
            if not self._write_frame(memoryview(frame)):
                self._sending_failed()
                break
            with self._lock:
                if self._queue:
                    self._queue.popleft()
                self._queued -= len(frame)
                self._lock.notify_all()
        if not self._dead and not self._ended:
            self._linger()
        self._release()

    def _write_frame(self, left: memoryview) -> bool:
        while left:
            try:
                left = left[self.sock.send(left) :]
            except BlockingIOError:
                if not self._wait_writable():
                    return False
            except OSError:
                return False
        return True

    def _wait_writable(self) -> bool:
        # A peer that has stopped sending, or is being left, has a bounded time to read on.
        poll = select.poll()
        if not self._shut():
            poll.register(self.sock, select.POLLOUT | HANGUP)
            poll.register(self._wake, 0)
            ready = dict(poll.poll())
            if ready.get(self.sock.fileno(), 0) & ~HANGUP:
                return True
            poll = select.poll()
        poll.register(self.sock, select.POLLOUT)
        return bool(poll.poll(LINGER_S * 1000))

    def _sending_failed(self) -> None:
        with self._lock:
            if self._dead:
                return
            self._send_failed = True
            self._awake()
            self._lock.notify_all()
        with self._reading:
            if not self._ended:
                self._drain()

    def _linger(self) -> None:
        """CL-004: end the sending direction, then drop what comes, for a second at most."""
        self._shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER_S
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        with self._reading:
            while not self._dead and (left := deadline - time.monotonic()) > 0 and poll.poll(left * 1000):
                try:
                    if not self.sock.recv(CHUNK):
                        break
                except BlockingIOError:
                    continue
                except OSError:
                    break

    def _release(self) -> None:
        with self._lock:
            if self._released:
                return
            self._closing = True if not self._outcome else self._closing
            self._awake()
            self._shutdown(socket.SHUT_RDWR)
            self.session.fail(Fault("closed"))
        with self._reading, self._lock:  # nobody polls the descriptors any more
            self._released = True
            self._queue.clear()
            self.sock.close()
            os.close(self._wake)
            self._lock.notify_all()
        self.on_end()

    # Small things, all under the lock

    def _shut(self) -> bool:
        return bool(self._closing or self._dead or self._ended or self._send_failed)

    def _check_open(self) -> None:
        if self._shut() or not self.session.connected:
            raise Closed

    def _room(self, size: int) -> bool:
        return not self._queue or self._queued + size <= QUEUE_MAX

    def _awake(self) -> None:
        if self._waker is not None:
            os.close(self._waker)
            self._waker = None

    def _shutdown(self, how: int) -> None:
        try:
            self.sock.shutdown(how)
        except OSError:
            pass  # the peer was faster

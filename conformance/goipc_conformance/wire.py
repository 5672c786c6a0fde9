# SPDX-License-Identifier: MIT
"""One stream socket with deadlines, a log of every byte, and cuts that really arrive apart."""

import array
import dataclasses
import errno
import fcntl
import math
import os
import select
import socket
import termios
import time

LOGGED_MAX = 70000  # bytes kept per entry while a case runs: the largest frame of most cases
KEPT_MAX = 2048  # bytes kept of a case that passed
RECEIVED_MAX = 16 << 20  # bytes taken in advance; whoever sends more has to wait
# An implementation may send without end. After so many bytes in a log only the beginning of each entry is kept, and
# after so many entries none.
LOG_BYTES_MAX = 1 << 20
LOG_ENTRIES_MAX = 20000
LOG_HEAD = 64


class Closed(Exception):
    """The implementation ended the connection. How the system tells it (end of file, reset, broken pipe) is
    one and the same outcome; `partial` holds what had arrived of the item being read."""

    def __init__(self, how: str, partial: bytes = b""):
        super().__init__(how)
        self.how = how
        self.partial = partial


def _how_it_ended(error: OSError) -> str:
    """A word for a failed call. A peer that closed without reading all is told as a reset or as a broken pipe,
    depending on who was faster."""
    if error.errno in (errno.ECONNRESET, errno.EPIPE):
        return "reset"
    return errno.errorcode.get(error.errno or 0, "error").lower()


class Silent(Exception):
    """Nothing came before the deadline, and the connection is still open."""

    def __init__(self, waiting_for: str, partial: bytes = b""):
        super().__init__(waiting_for)
        self.waiting_for = waiting_for
        self.partial = partial


@dataclasses.dataclass
class LogEntry:
    at: float
    direction: str  # ">" to the implementation, "<" from it, "!" something that is not bytes
    data: bytes
    size: int
    label: str
    peer: int


class Log:
    """What happened on all connections of one case, in order."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.over = math.inf  # when the case has to be over, whatever still comes
        self.entries: list[LogEntry] = []
        self._bytes = 0

    def add(self, direction: str, data: bytes, label: str, peer: int) -> None:
        if len(self.entries) >= LOG_ENTRIES_MAX:
            return
        kept = bytes(data[: LOGGED_MAX if self._bytes < LOG_BYTES_MAX else LOG_HEAD])
        self._bytes += len(kept)
        self.entries.append(LogEntry(time.monotonic() - self.started, direction, kept, len(data), label, peer))


class Wire:
    def __init__(self, sock: socket.socket, log: Log, number: int, timeout: float):
        self._sock = sock
        self._sock.setblocking(False)
        self._log = log
        self.number = number
        self.timeout = timeout
        self._received = bytearray()
        self._ended: str | None = None
        self._open = True
        self.weak_cuts = False

    # Sending

    def send(self, data: bytes, label: str, cuts: "Cuts | None" = None) -> None:
        """Writes everything. Every cut is a write of its own that the other side has consumed before the next
        one begins, so that its reads really end there."""
        pieces = cuts.split(data) if cuts else [data]
        for index, piece in enumerate(pieces):
            self._log.add(
                ">", piece, label if len(pieces) == 1 else f"{label} ({index + 1} of {len(pieces)})", self.number
            )
            self._send_all(piece)
            if index + 1 < len(pieces):
                self.wait_consumed()

    def _send_all(self, data: bytes) -> None:
        view, deadline = memoryview(data), time.monotonic() + self.timeout
        while view:
            try:
                view = view[self._sock.send(view, socket.MSG_NOSIGNAL) :]
                continue
            except BlockingIOError:
                pass
            except OSError as error:
                self._drain()
                raise Closed(_how_it_ended(error)) from None
            # A peer that echoes while we still write must not be left waiting for us to read.
            if self._is_late(deadline) or not self._poll(select.POLLOUT | select.POLLIN, deadline):
                raise Silent("room to send")
            self._drain()

    def send_without_reading(self, data: bytes, patience: float) -> bool:
        """Sends as long as there is room, and does not read meanwhile. False when the other side stopped reading."""
        self._log.add(">", data, "message, while not reading", self.number)
        view, deadline = memoryview(data), time.monotonic() + patience
        while view:
            try:
                view = view[self._sock.send(view, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                if not self._poll(select.POLLOUT, deadline):
                    return False
            except OSError as error:
                raise Closed(_how_it_ended(error)) from None
        return True

    def wait_readable(self) -> None:
        """Waits until something has arrived, and leaves it unread in the system's buffer."""
        if not self._poll(select.POLLIN, time.monotonic() + self.timeout):
            raise Silent("something to read")

    def wait_consumed(self) -> None:
        """Waits until the peer has read all we wrote. Where the system cannot tell, a short pause has to do and
        the report says so (`weak_cuts`)."""
        # Whoever has left one piece unread reads no more: further pieces need not wait as long for it.
        deadline = time.monotonic() + (0.05 if self.weak_cuts else self.timeout)
        unread = array.array("i", [0])
        while time.monotonic() < deadline:
            try:
                fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, unread)
            except OSError:
                break
            if unread[0] == 0:
                return
            if self._poll(select.POLLIN, time.monotonic() + 0.0002):
                self._drain()
                if self._ended:
                    return
                time.sleep(0.0001)
        self.weak_cuts = True
        time.sleep(0.005)

    # Receiving

    def _poll(self, events: int, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._sock.fileno(), events)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def _is_late(self, deadline: float) -> bool:
        """Asked wherever bytes that come without end would let nobody wait, and so never be late."""
        return time.monotonic() > min(deadline, self._log.over)

    def _drain(self) -> None:
        """Takes whatever has arrived without waiting, up to a limit."""
        while self._ended is None and len(self._received) < RECEIVED_MAX:
            try:
                piece = self._sock.recv(262144)
            except BlockingIOError:
                return
            except OSError as error:
                self._ended = _how_it_ended(error)
                return
            if not piece:
                self._ended = "eof"
                return
            self._received += piece

    def _fill(self, size: int, deadline: float, waiting_for: str) -> None:
        if self._is_late(math.inf):
            raise Silent(waiting_for, bytes(self._received))
        while len(self._received) < size:
            self._drain()
            if len(self._received) >= size:
                return
            if self._ended is not None:
                partial = bytes(self._received)
                self._received.clear()
                if partial:
                    self._log.add("<", partial, f"{waiting_for}, cut short", self.number)
                raise Closed(self._ended, partial)
            if self._is_late(deadline) or not self._poll(select.POLLIN, deadline):
                raise Silent(waiting_for, bytes(self._received))

    def receive(self, size: int, label: str, timeout: float | None = None) -> bytes:
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        self._fill(size, deadline, label)
        data = bytes(self._received[:size])
        del self._received[:size]
        self._log.add("<", data, label, self.number)
        return data

    def waiting(self, quiet: float) -> bytes:
        """What arrives within a short time, without taking it; empty when nothing or the end does."""
        try:
            self._fill(1, time.monotonic() + quiet, "anything")
        except (Closed, Silent):
            pass
        return bytes(self._received)

    def first_arrival(self, size: int) -> int:
        """How many of so many bytes are there at the very moment when the first is. Watching closely finds
        a message that was written in parts; one that was written whole is never mistaken for it."""
        deadline = time.monotonic() + self.timeout
        waiting = array.array("i", [0])
        while len(self._received) < size and time.monotonic() < deadline:
            fcntl.ioctl(self._sock.fileno(), termios.FIONREAD, waiting)
            if waiting[0] > 0:
                return min(size, len(self._received) + waiting[0])
            if self.ended_within(0.0) or self._received:
                break
        return min(size, len(self._received)) or size

    def ended_within(self, quiet: float) -> bool:
        """Whether the end of the stream arrives within a short time; what arrives meanwhile stays readable."""
        deadline = time.monotonic() + quiet
        while self._ended is None and self._poll(select.POLLIN, deadline):
            self._drain()
            if self._is_late(deadline):
                break
        return self._ended is not None

    def wait_end(self, timeout: float | None = None) -> tuple[str, bytes]:
        """Reads to the end of the stream; raises Silent when it does not come."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        rest = bytearray()
        while True:
            try:
                self._fill(1, deadline, "the end of the connection")
            except Closed as closed:
                return closed.how, bytes(rest)
            except Silent:
                raise Silent("the end of the connection", bytes(rest)) from None
            if len(rest) < RECEIVED_MAX:
                rest += self._received
            self._log.add("<", bytes(self._received), "more", self.number)
            self._received.clear()
            if self._is_late(deadline):
                raise Silent("the end of the connection", bytes(rest))

    def shrink_receive_buffer(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    # Ending

    def finish_sending(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
            self._log.add("!", b"", "suite ends its direction", self.number)
        except OSError:
            pass

    def close(self) -> None:
        if self._open:
            self._open = False
            self._sock.close()
            self._log.add("!", b"", "suite closes", self.number)

    @property
    def is_open(self) -> bool:
        return self._open

    def finish(self, timeout: float) -> bool:
        """An orderly end that no implementation can misread: no more from us, read what is left, wait for its end,
        close. True when the other side has closed."""
        if not self._open:
            return True
        self.finish_sending()
        try:
            self.wait_end(timeout)
            return True
        except Silent:
            return False
        finally:
            self.close()


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Where to cut a piece of output: after these offsets, or after every `every` bytes."""

    at: tuple[int, ...] = ()
    every: int = 0

    def split(self, data: bytes) -> list[bytes]:
        offsets = set(self.at)
        if self.every:
            offsets.update(range(self.every, len(data), self.every))
        bounds = [0, *sorted(offset for offset in offsets if 0 < offset < len(data)), len(data)]
        return [data[a:b] for a, b in zip(bounds, bounds[1:])]


def connect_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    except ValueError as error:  # characters that no path has
        sock.close()
        raise OSError(errno.EINVAL, str(error)) from None
    return sock


class Listener:
    """A server's socket of ours, for a client under test."""

    def __init__(self, path: str):
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.bind(path)
        self._sock.listen(16)

    def accept(self, timeout: float) -> socket.socket | None:
        self._sock.settimeout(timeout)
        try:
            return self._sock.accept()[0]
        except (TimeoutError, BlockingIOError):
            return None

    def close(self) -> None:
        self._sock.close()
        try:
            os.unlink(self.path)
        except OSError:
            pass

# SPDX-License-Identifier: MIT
"""Servers and clients (Sections 5 and 12)."""

import errno
import itertools
import os
import random
import secrets
import select
import socket
import threading
import time

from . import codec
from .codec import Closed, Error, Fault, LocalError
from .connection import Connection
from .handshake import Session
from .path import Listener, admit, socket_path

HANDSHAKE_TIMEOUT_MS = 10000
ALIVE_S = 0.1  # EP-022
PLACE_S = 0.8  # how long a client waits for the place of one that is leaving
RETRY_ERRNO = (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN)
RETRY_FIRST_S, RETRY_LAST_S = 0.005, 0.2


def check_limit(limit_bytes: int, server: bool) -> int:
    """LM-011 and LM-012 for servers; a client's limit is its own affair, but finite."""
    floor = codec.MESSAGE_SIZE_FLOOR if server else 0
    if not floor <= limit_bytes <= codec.TYPE_MAX:
        raise LocalError("other", f"a limit is from {floor} to {codec.TYPE_MAX} bytes")
    return limit_bytes


class Server:
    """Calls serve(connection) in a thread for every client, and failed(connection, fault)
    in its place when the handshake fails."""

    def __init__(
        self,
        name: str,
        serve,
        failed=lambda connection, fault: None,
        *,
        directory: str = "/tmp",
        encryption: str = "on",
        limit_bytes: int = codec.MESSAGE_SIZE_DEFAULT,
        clients_max: int = 64,
        handshake_timeout_ms: int = HANDSHAKE_TIMEOUT_MS,
        numbers=None,
        seed: dict | None = None,
        draw=secrets.token_bytes,
    ):
        self._limit = check_limit(limit_bytes, True)
        self._serve, self._failed = serve, failed
        self._encryption, self._clients_max = encryption, clients_max
        self._timeout_s = handshake_timeout_ms / 1000
        self._numbers = numbers or itertools.count(1)
        self._seed, self._draw = seed, draw
        self._changed = threading.Condition()
        self._connections: list[Connection] = []
        self._waiting = 0
        self._stop = threading.Event()
        self.path = socket_path(name, directory)
        self._listener = Listener(self.path, somebody_listens)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def connections(self) -> list[Connection]:
        with self._changed:
            return list(self._connections)

    def close(self) -> None:
        with self._changed:
            if self._stop.is_set():
                return
            self._stop.set()
            os.close(self._waker)
            self._changed.notify_all()
        self._thread.join()
        self._listener.close()
        os.close(self._wake)
        connections = self.connections()
        for connection in connections:
            connection.close()
        for connection in connections:
            connection.join(3)

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener.sock, select.POLLIN)
        poll.register(self._wake, 0)
        while not self._stop.is_set():
            poll.poll()
            try:
                sock, _ = self._listener.sock.accept()
            except BlockingIOError:
                continue
            except OSError:  # CN-008: no descriptor or memory is left; later there may be
                self._stop.wait(0.05)
                continue
            try:
                self._admit(sock)
            except (OSError, RuntimeError, MemoryError):
                sock.close()
                self._stop.wait(0.05)

    def _admit(self, sock: socket.socket) -> None:
        made = time.monotonic()
        with self._changed:
            place = len(self._connections) < self._clients_max
            if not place:
                hope = any(c.leaving() for c in self._connections) and self._waiting < self._clients_max
                if not hope:
                    sock.close()  # CN-002: not a byte
                    return
                self._waiting += 1
            else:
                connection = self._enter(sock)
        try:
            if place:
                threading.Thread(target=self._run, args=(connection, made), daemon=True).start()
            else:
                threading.Thread(target=self._wait_for_place, args=(sock, made), daemon=True).start()
        except RuntimeError:
            if place:
                connection._release()
            else:
                self._waiting -= 1
            raise

    def _enter(self, sock: socket.socket) -> Connection:
        seed, self._seed = self._seed, None
        session = Session("server", self._encryption, self._limit, draw=self._draw, seed=seed)
        connection = Connection(sock, session, next(self._numbers))
        self._connections.append(connection)
        connection.on_end = lambda: self._leave(connection)
        return connection

    def _leave(self, connection: Connection) -> None:
        with self._changed:
            if connection in self._connections:
                self._connections.remove(connection)
            self._changed.notify_all()

    def _wait_for_place(self, sock: socket.socket, made: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stop.is_set() or len(self._connections) < self._clients_max, PLACE_S)
            self._waiting -= 1
            # The one that leaves may still be busy with its last messages: its place is given anyhow.
            if self._stop.is_set():
                sock.close()
                return
            connection = self._enter(sock)
        self._run(connection, made)

    def _run(self, connection: Connection, made: float) -> None:
        try:
            try:
                admit(connection.sock)
            except Fault as fault:
                connection.session.fail(fault)
                connection._release()
                raise
            connection.handshake(made + self._timeout_s)
        except Fault as fault:
            self._failed(connection, fault)
            return
        except Closed:
            return
        try:
            self._serve(connection)
        finally:
            connection.close()


def connect(
    name: str,
    *,
    directory: str = "/tmp",
    encryption: str = "required",
    limit_bytes: int = codec.MESSAGE_SIZE_DEFAULT,
    timeout_ms: int = 10000,
    handshake_timeout_ms: int = HANDSHAKE_TIMEOUT_MS,
    numbers=None,
    seed: dict | None = None,
    draw=secrets.token_bytes,
    cancelled: threading.Event | None = None,
) -> Connection:
    """Connect, trying again until timeout_ms is over; what ends the waiting is the last error."""
    check_limit(limit_bytes, False)
    path = socket_path(name, directory)
    numbers = numbers or itertools.count(1)
    cancelled = cancelled or threading.Event()
    deadline = time.monotonic() + timeout_ms / 1000
    wait_s = RETRY_FIRST_S
    while True:
        session = Session("client", encryption, limit_bytes, draw=draw, seed=seed)
        try:
            return _attempt(path, session, min(deadline, time.monotonic() + handshake_timeout_ms / 1000), numbers)
        except OSError as error:
            denied = error.errno in (errno.EACCES, errno.EPERM)
            last: Error = Fault("permission" if denied else "other", str(error))
            again = error.errno in RETRY_ERRNO
        except Fault as fault:
            last, again = fault, fault.kind == "closed" and not session.heard  # before HELLO
        pause = wait_s * random.uniform(0.5, 1.0)
        wait_s = min(wait_s * 2, RETRY_LAST_S)
        if not again:
            raise last
        if time.monotonic() + pause >= deadline:
            cancelled.wait(max(0, deadline - time.monotonic()))
            raise Fault("timeout", f"no connection in {timeout_ms} ms; last: {last}")
        if cancelled.wait(pause):
            raise Closed


def _attempt(path: str, session: Session, deadline: float, numbers) -> Connection:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(path)
        admit(sock)
        connection = Connection(sock, session, next(numbers))
    except BaseException:
        sock.close()
        raise
    connection.handshake(deadline)
    return connection


def somebody_listens(path: str) -> bool:
    """EP-012 and EP-022: only ECONNREFUSED says that nobody does."""
    try:
        probe = _attempt(path, Session("client", "optional"), time.monotonic() + 1, itertools.count(1))
    except ConnectionRefusedError:
        return False
    except FileNotFoundError:
        return False
    except (OSError, Error):
        return True
    threading.Event().wait(ALIVE_S)
    probe.close()
    probe.join(2)
    return True

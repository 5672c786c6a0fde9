# SPDX-License-Identifier: MIT
"""A server and its clients (Section 12.4 of the specification)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any

from .codec import Message
from .connection import Connection, Status, log
from .errors import Closed, ConnectionLost, Error, TimedOut
from .fork import Process
from .link import Link, Signal
from .listener import Listener, ServerAlive, listen
from .options import Options, ServerOptions, with_options
from .path import socket_path
from .peers import check_peer
from .session import Session

ALIVE_S, PROBE_S = 0.1, 1.0  # EP-022, EP-012
PLACE_S = 0.8  # how long a new client waits for the place of one that is leaving (CN-006)
ACCEPT_COUNT_MAX = 32  # connections taken in one turn of the event loop
PAUSE_S = 0.05  # before accepting again, when the system has no descriptor left (CN-008)

Handler = Callable[[Connection], Awaitable[object]]


class Server:
    """A name that is listened at, with all its clients. To be made by `goipc.serve`."""

    def __init__(self, path: str, handler: Handler, options: ServerOptions) -> None:
        self.path = path
        self.refusals = 0  # clients turned away: no room, another user, or a handshake that failed
        self._handler, self._options = handler, options
        self._listener: Listener | None = None
        self._loop = asyncio.get_running_loop()
        self._process = Process()
        self._retry: asyncio.TimerHandle | None = None
        self._starved = False  # the system had no descriptor for the last client
        self._tasks: dict[asyncio.Task[None], Connection] = {}  # one place each
        self._waiting: set[asyncio.Task[None]] = set()  # for a place
        self._changed = Signal()  # a place is free, or the server is closed
        self._count = 0
        self._closed = False

    @property
    def connections(self) -> list[Connection]:
        """The clients that are connected now, the newest last."""
        return [one for one in self._tasks.values() if one.status is Status.CONNECTED]

    @property
    def status(self) -> Status:
        """LISTENING, CONNECTED while a client is, or CLOSED."""
        if self._closed:
            return Status.CLOSED
        return Status.CONNECTED if self.connections else Status.LISTENING

    async def start(self) -> None:
        """Listens. Raises NameInUse, PermissionDenied or EndpointError."""
        try:
            self._listener = await listen(self.path, self._options.socket_mode)
        except ServerAlive as alive:
            if alive.probe:
                await _leave_alive(alive.probe)
            raise
        self._accept_on()
        log.info("listening at %s", self.path)

    async def serve_forever(self) -> None:
        """Until the server is closed, or this is cancelled."""
        while not self._closed:
            await self._changed.wait()

    async def close(self) -> None:
        """Stops listening, closes every connection in order within close_timeout_s, and ends the handlers."""
        if not self._closed:
            self._closed = True
            self._stop_listening()
            self._changed.wake()
        pending = {*self._tasks, *self._waiting} - {asyncio.current_task()}
        for task in self._waiting:
            task.cancel()
        leaving = [self._loop.create_task(_close(one)) for one in self._tasks.values()]
        try:
            if leaving:
                await asyncio.wait(leaving)
            if pending:
                await asyncio.wait(pending, timeout=self._options.close_timeout_s)
        except BaseException:
            for one in list(self._tasks.values()):
                one.abort()
            raise
        finally:
            for task in pending:
                task.cancel()
        if pending:
            await asyncio.wait(pending)

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Accepting

    def _accept_on(self) -> None:
        self._retry = None
        if self._listener:
            self._loop.add_reader(self._listener.sock.fileno(), self._on_acceptable)

    def _stop_listening(self) -> None:
        if self._retry:
            self._retry.cancel()
        if self._listener:
            if self._process.is_current:
                self._loop.remove_reader(self._listener.sock.fileno())
            self._listener.close()
            self._listener = None

    def _on_acceptable(self) -> None:
        for _ in range(ACCEPT_COUNT_MAX):
            if self._listener is None:
                return
            try:
                sock, _address = self._listener.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if not self._starved:
                    log.warning("cannot accept a client: %s; trying again until it works", error.strerror)
                self._starved = True
                self._loop.remove_reader(self._listener.sock.fileno())
                self._retry = self._loop.call_later(PAUSE_S, self._accept_on)
                return
            self._starved = False
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        made = self._loop.time()
        sock.setblocking(False)
        self._count += 1
        connection = Connection(self._options, self._count)
        try:
            connection.peer = check_peer(sock, self._options.peers)
        except Error as error:  # EP-023: such a client never takes a place
            sock.close()
            self._tell_failure(connection, error)
            return
        if len(self._tasks) < self._options.clients_max:
            self._enter(connection, sock, made)
        elif self._has_leaving() and len(self._waiting) < self._options.clients_max:
            task = self._loop.create_task(self._wait_for_place(connection, sock, made))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
        else:
            log.info("a client was turned away: %d are served", len(self._tasks))
            self.refusals += 1
            sock.close()  # CN-002: not a byte

    def _has_leaving(self) -> bool:
        return any(one.is_leaving() for one in self._tasks.values())

    async def _wait_for_place(self, connection: Connection, sock: socket.socket, made: float) -> None:
        try:
            while len(self._tasks) >= self._options.clients_max and not self._closed:
                if not await self._changed.wait(made + PLACE_S):
                    break
        except BaseException:
            sock.close()
            raise
        # The client that leaves may still be busy with its last messages: its place is given anyhow.
        if self._closed:
            sock.close()
        else:
            self._enter(connection, sock, made)

    def _enter(self, connection: Connection, sock: socket.socket, made: float) -> None:
        session = self._options.session("server", self._options.encryption, self._options.message_size_max)
        link = connection.attach(sock, session)
        task = self._loop.create_task(self._run(connection, link, made))
        self._tasks[task] = connection
        task.add_done_callback(self._leave)

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task).abort()  # a task that was cancelled before it began has not closed it
        self._changed.wake()

    # One client

    async def _run(self, connection: Connection, link: Link, made: float) -> None:
        try:
            await link.open(made + self._options.handshake_timeout_s)
        except Error as error:
            if link.error:  # else this side has closed
                self._tell_failure(connection, error)
            return
        try:
            await self._handler(connection)
        except Closed as error:
            log.debug("connection %d: %s", connection.number, error)
        except Error as error:
            log.warning("connection %d: %s", connection.number, error)
        except Exception:
            log.exception("connection %d: the handler raised", connection.number)
        finally:
            await _close(connection)

    def _tell_failure(self, connection: Connection, error: Error) -> None:
        self.refusals += 1
        log.warning("connection %d: %s", connection.number, error)
        if self._options.on_failure:
            try:
                self._options.on_failure(connection, error)
            except Exception:
                log.exception("on_failure raised")


async def _close(connection: Connection) -> None:
    try:
        await connection.close()
    except ConnectionLost as lost:
        log.warning("connection %d: %s", connection.number, lost)


class _Probe:
    """The owner of a link that is opened only to be polite."""

    def on_connected(self, link: Link) -> None: ...

    def on_messages(self, link: Link, messages: list[Message]) -> None: ...

    def on_end(self, link: Link, error: Error | None) -> None: ...


async def _leave_alive(sock: socket.socket) -> None:
    """EP-022: completes the handshake with the other server, and stays a moment, since golang-ipc may stop serving
    otherwise."""
    link = Link(sock, Session("client", "optional"), _Probe(), Options())
    with contextlib.suppress(TimedOut, Error):
        await link.open(asyncio.get_running_loop().time() + PROBE_S)
        try:
            await asyncio.sleep(ALIVE_S)
            link.close()
            await link.wait_released()
        finally:
            link.abort()


class Serving:
    """What `serve` gives: `await` it for a server, or enter it with `async with`, which closes it, too."""

    def __init__(self, name: str, handler: Handler, options: ServerOptions) -> None:
        self._path = socket_path(name, os.fspath(options.directory))
        self._handler, self._options = handler, options
        self._server: Server | None = None

    def __await__(self) -> Generator[Any, None, Server]:
        return self._start().__await__()

    async def _start(self) -> Server:
        self._server = Server(self._path, self._handler, self._options)
        await self._server.start()
        return self._server

    async def __aenter__(self) -> Server:
        return await self._start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            await self._server.close()


@with_options(ServerOptions)
def serve(name: str, handler: Handler, options: ServerOptions) -> Serving:
    """Listens at a name, and runs `handler(connection)` in a task of its own for each client.

    A handler that returns closes its connection. What it raises is logged, and ends its connection only.
    """
    return Serving(name, handler, options)

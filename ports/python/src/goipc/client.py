# SPDX-License-Identifier: MIT
"""A client: connecting, and connecting again (Section 12.5 of the specification)."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
from collections.abc import Generator
from types import TracebackType
from typing import Any

from .connection import Connection, Status, log
from .errors import (
    AuthenticationError,
    ConnectionLost,
    EncryptionError,
    Error,
    PeerRefused,
    PublicKeyError,
    TimedOut,
    VersionError,
)
from .link import Link
from .options import ClientOptions, with_options
from .path import error_of, socket_path
from .peers import check_peer

RETRY_ERRNO = (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN)
RETRY_FIRST_S = 0.005
FOR_GOOD = (VersionError, EncryptionError, PublicKeyError, AuthenticationError, PeerRefused)  # CN-014


class ClientConnection(Connection):
    """The connection of a client. To be made by `goipc.connect`."""

    def __init__(self, path: str, options: ClientOptions) -> None:
        super().__init__(options)
        self.path = path
        self._client_options = options
        self._on_status = options.on_status
        self._task: asyncio.Task[None] | None = None  # connects again
        self._connected_at = 0.0
        self._pause_s = RETRY_FIRST_S

    async def open(self) -> None:
        """Connects for the first time. Raises the last error; then nothing is left open."""
        self._change(Status.CONNECTING)
        try:
            await self._dial()
        except Error as error:
            self._change(Status.TIMEOUT if isinstance(error, TimedOut) else Status.ERROR, error)
            raise
        except BaseException:
            self.abort()
            raise

    async def _dial(self) -> None:
        """Tries until timeout_s is over (CN-011 to CN-013)."""
        options, loop = self._client_options, asyncio.get_running_loop()
        deadline = None if options.timeout_s is None else loop.time() + options.timeout_s
        pause_s = RETRY_FIRST_S
        while True:
            try:
                return await self._attempt(deadline)
            except _TryAgain as reason:
                last = reason.error
            nap_s = min(pause_s, options.retry_interval_s) * random.uniform(0.5, 1.0)
            pause_s = min(pause_s * 2, options.retry_interval_s)
            if deadline is not None and loop.time() + nap_s >= deadline:
                await asyncio.sleep(max(0, deadline - loop.time()))
                raise TimedOut(f"no connection in {options.timeout_s:g} s: {last.cause}", last.remedy) from last
            log.debug("%s; trying again", last.cause)
            await asyncio.sleep(nap_s)

    async def _attempt(self, deadline: float | None) -> None:
        options, loop = self._client_options, asyncio.get_running_loop()
        handshake_deadline = loop.time() + options.handshake_timeout_s
        session = options.session("client", options.encryption, options.message_size_max)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.connect(self.path)
            self.peer = check_peer(sock, options.peers)
        except OSError as error:
            sock.close()
            raise self._refused(error) from error
        except BaseException:
            sock.close()
            raise
        link = self.attach(sock, session)
        try:
            await link.open(handshake_deadline if deadline is None else min(deadline, handshake_deadline))
        except ConnectionLost as lost:
            if session.heard:
                raise
            raise _TryAgain(
                ConnectionLost(
                    f"the server at {self.path} closed the connection before it said anything",
                    "it is full, or does not admit this user",
                )
            ) from lost

    def _refused(self, error: OSError) -> Exception:
        if error.errno not in RETRY_ERRNO:
            return error_of(error, f"cannot connect to {self.path}")
        cause = {
            errno.ENOENT: f"there is no socket {self.path}",
            errno.ECONNREFUSED: f"nobody listens at {self.path}",
            errno.EAGAIN: f"the server at {self.path} accepts nobody",
        }[error.errno]
        return _TryAgain(ConnectionLost(cause, "start the server, and give both sides the same name and directory"))

    # Connecting again

    def on_end(self, link: Link, error: Error | None) -> None:
        again = self._client_options.reconnect and self.status is Status.CONNECTED and not isinstance(error, FOR_GOOD)
        if not again:
            super().on_end(link, error)
            return
        self._change(Status.DISCONNECTED, error)
        self._change(Status.RECONNECTING)
        self._task = asyncio.get_running_loop().create_task(self._connect_again(link))
        self._changed.wake()

    async def _connect_again(self, ended: Link) -> None:
        await ended.wait_released()
        try:
            await asyncio.sleep(self._next_pause())
            await self._dial()
        except Error as error:
            if self.status is not Status.CLOSED:
                self._outcome = error
                self._change(Status.TIMEOUT if isinstance(error, TimedOut) else Status.ERROR, error)
                self._changed.wake()

    def _next_pause(self) -> float:
        """Seconds before connecting again: longer each time, while connections end soon after they were made."""
        now = asyncio.get_running_loop().time()
        longest = self._client_options.retry_interval_s
        self._pause_s = RETRY_FIRST_S if now - self._connected_at > longest else min(2 * self._pause_s, longest)
        return self._pause_s * random.uniform(0.5, 1.0)

    def on_connected(self, link: Link) -> None:
        self._connected_at = asyncio.get_running_loop().time()
        super().on_connected(link)

    async def _open_link(self, deadline: float | None) -> Link:
        while self.status is Status.RECONNECTING:
            if not await self._changed.wait(deadline):
                raise TimedOut("there is no connection yet", "start the server again, or wait longer")
        return await super()._open_link(deadline)

    async def close(self) -> None:
        self._finish()
        if task := self._task:
            task.cancel()
            try:
                await asyncio.wait([task])
            except BaseException:
                self.abort()
                raise
        await super().close()

    def abort(self) -> None:
        if self._task:
            self._task.cancel()
        super().abort()


class _TryAgain(Exception):
    def __init__(self, error: Error) -> None:
        self.error = error


async def connect_with(name: str, options: ClientOptions) -> ClientConnection:
    """An open connection. Raises Error; then nothing is left open."""
    connection = ClientConnection(socket_path(name, os.fspath(options.directory)), options)
    await connection.open()
    return connection


class Connecting:
    """What `connect` gives: `await` it for a connection, or enter it with `async with`, which closes it, too."""

    @with_options(ClientOptions)
    def __init__(self, name: str, options: ClientOptions) -> None:
        self.connection = ClientConnection(socket_path(name, os.fspath(options.directory)), options)

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._open().__await__()

    async def _open(self) -> ClientConnection:
        await self.connection.open()
        return self.connection

    async def __aenter__(self) -> ClientConnection:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.__aexit__(kind, error, trace)


connect = Connecting

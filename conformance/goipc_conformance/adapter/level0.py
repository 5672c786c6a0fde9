# SPDX-License-Identifier: MIT
"""Level 0: an echo program, judged by the socket alone."""

import os
import shlex
import socket
import time

from ..wire import connect_unix
from . import placeholders
from .process import Exit, Process
from .subject import ConnectConfig, Identity, Pending, ServeConfig, Subject

MAXIMUM_DEFAULT = 3145728


class EchoProgram(Subject):
    """Starts the server command on `serve`, the client command on every `connect`."""

    level = 0

    def __init__(self, server: str | None, client: str | None, plain_only: bool = False, umask: int = -1):
        self._umask = umask
        self._commands = {"server": server, "client": client}
        self.roles = frozenset(role for role, command in self._commands.items() if command)
        command = server or client or ""
        caps = {"plain"} if plain_only else {"enc"}
        if not plain_only and any(mark in command for mark in ("{plain:", "{encrypted:", "{encryption}")):
            caps.add("plain")
        if all(placeholders.mentions(c, "max") for c in (server, client) if c):
            caps.add("max")
        self.caps = frozenset(caps)
        self.identity = Identity(os.path.basename(command.split()[0]) if command.split() else "unknown", "unknown")
        self._process: Process | None = None
        self._ended: list[Process] = []
        self._serving = False

    def serve(self, config: ServeConfig) -> str:
        path = f"/tmp/{config.name}.sock"
        self._start("server", config.name, path, config.encryption, config.maximum)
        self._serving = True
        return path

    def connect(self, config: ConnectConfig) -> Pending:
        if self._process:
            self._retire()
        self._start("client", config.name, config.path, config.encryption, config.maximum)
        return Pending()

    def _start(self, role: str, name: str, path: str, encryption: str, maximum: int | None) -> None:
        command = self._commands[role] or ""
        words = placeholders.expand(
            command, name=name, path=path, encryption=encryption, maximum=maximum or MAXIMUM_DEFAULT
        )
        self.started = shlex.join(words)
        self._process = Process(words, control=False, umask=self._umask)

    def _retire(self) -> None:
        assert self._process is not None
        exit_ = self._process.end()
        if exit_ is not None and exit_.is_crash:
            self._crash = exit_
        self._process.close_streams()

    _crash: Exit | None = None

    def dial(self, path: str, timeout: float) -> socket.socket | None:
        """Connects as soon as the program listens. The connection is used: a stray probe could harm a server."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return connect_unix(path)
            except (FileNotFoundError, ConnectionRefusedError):
                pass
            if self.exited() is not None or time.monotonic() >= deadline:
                return None
            time.sleep(0.002)

    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def exited(self, timeout: float = 0.0) -> Exit | None:
        if self._crash:
            return self._crash
        exit_ = self._process.exited(timeout) if self._process else None
        # A client may leave when its connection ends; a server may not.
        if exit_ is not None and not self._serving and not exit_.is_crash:
            return None
        return exit_

    def ended(self) -> Exit | None:
        """Whatever the exit: before it was of any use, none is in order."""
        return self._process.exited() if self._process else None

    def output(self) -> str:
        return self._process.captured() if self._process else ""

    def end(self, graceful: bool) -> Exit | None:
        if not self._process:
            return None
        exit_ = self._process.end()
        self._last_output = self._process.captured()
        self._process.close_streams()
        if self._crash:
            return self._crash
        if exit_ is not None and (self._serving or exit_.is_crash):
            return exit_
        return None

    def kill(self) -> None:
        if self._process:
            self._process.kill()

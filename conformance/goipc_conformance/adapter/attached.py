# SPDX-License-Identifier: MIT
"""An implementation that already runs, perhaps under a debugger: nobody starts it, ends it or hurries it."""

import dataclasses
import functools
import os
import socket
import stat
from typing import Any

from ..wire import connect_unix
from .level1 import Adapter, Control
from .process import Exit, StartError
from .subject import Identity, ServeConfig, Subject, Unsupported

# Seconds for one answer: whoever sits at a breakpoint is not late.
PATIENCE = 3600.0
FORM = "attach:unix:PATH (a server), attach:ctl:PATH (an adapter), or attach:unix:PATH,ctl:PATH (both)"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where it can be reached: its server's socket, and the socket on which it speaks HP/1."""

    path: str | None
    control: str | None


def parse(text: str) -> Place:
    """`text` is what stands behind `attach:`."""
    found: dict[str, str] = {}
    for part in text.split(","):
        kind, _, path = part.partition(":")
        if kind not in ("unix", "ctl") or not path or kind in found:
            raise StartError(f"cannot attach to {text!r}; write {FORM}")
        found[kind] = path
    return Place(found.get("unix"), found.get("ctl"))


def is_socket(path: str) -> bool:
    """Without connecting: a stray connection could harm a server."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def connect(path: str) -> socket.socket:
    try:
        return connect_unix(path)
    except OSError as error:
        raise StartError(f"cannot connect to {path}: {error.strerror}") from None


class AttachedServer(Subject):
    """Only the socket of a server: level 0."""

    level = 0
    attached = True
    roles = frozenset({"server"})
    identity = Identity("attached", "unknown")

    def __init__(self, path: str, plain_only: bool):
        self._path = path
        # Its configuration is fixed, so that only one of the two modes can be asked.
        self.caps = frozenset({"plain" if plain_only else "enc"})

    def serve(self, config: ServeConfig) -> str:
        return self._path

    def dial(self, path: str, timeout: float) -> socket.socket | None:
        return connect(path)


class AttachedAdapter(Adapter):
    """An adapter that speaks HP/1 on a socket. One conversation serves all cases, one after the other."""

    attached = True

    def __init__(self, place: Place, plain_only: bool):
        self._process = None
        self._timeout = PATIENCE
        self._path = place.path
        self._plain_only = plain_only
        self._socket = connect(place.control or "")
        self.control = Control(self._socket.fileno(), self._socket.fileno())

    def say_hello(self) -> dict[str, Any]:
        reply = super().say_hello()
        if self._path:
            # That server was opened by somebody else: nothing about it can be chosen any more.
            self.roles &= {"server"}
            self.caps = frozenset({"plain" if self._plain_only else "enc"})
        return reply

    def begin_case(self) -> None:
        """What was said before belongs to an earlier case."""
        try:
            self.call("echo", self._timeout, on=True)
        except Unsupported:
            pass
        self.control.forget()

    def serve(self, config: ServeConfig) -> str:
        return self._path or super().serve(config)

    def exited(self, timeout: float = 0.0) -> Exit | None:
        return Exit(1, "the control socket was closed") if self.control.ended else None

    def end(self, graceful: bool) -> Exit | None:
        return None


@functools.cache
def conversation(place: Place, plain_only: bool) -> AttachedAdapter:
    """The one conversation with the adapter at this place."""
    adapter = AttachedAdapter(place, plain_only)
    adapter.say_hello()
    return adapter


def attach(text: str, plain_only: bool) -> Subject:
    place = parse(text)
    for path in (place.path, place.control):
        if path is not None and not is_socket(path):
            raise StartError(f"nothing to attach to: {path} is not a socket; start the program first")
    if place.control is None:
        return AttachedServer(place.path or "", plain_only)
    adapter = conversation(place, plain_only)
    adapter.begin_case()
    return adapter

# SPDX-License-Identifier: MIT
"""What an endpoint is told."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from .codec import MESSAGE_SIZE_DEFAULT, MESSAGE_SIZE_FLOOR, TYPE_MAX
from .errors import Error, OptionError
from .peers import Peers
from .session import Encryption, Role, Session

if TYPE_CHECKING:
    from .connection import Connection, StatusChange

SessionFactory = Callable[[Role, Encryption, int], Session]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What servers and clients have in common. Sizes are in bytes, times in seconds."""

    encryption: Encryption = "required"
    """"required": sealed, and a client refuses a server that is not. "optional": a client follows the server, as
    golang-ipc's `false` does. "off": plain, and a client refuses a server that is not."""
    directory: str | os.PathLike[str] = "/tmp"
    """Where the socket is. The other side needs the same directory."""
    message_size_max: int = MESSAGE_SIZE_DEFAULT
    """The most data of one message that is received here. A server announces it, and sends no more itself."""
    queue_size_max: int = 4 << 20
    """Bytes of output that wait for the peer before `send` waits, too."""
    handshake_timeout_s: float = 10.0
    """How long the handshake of one connection may take."""
    close_timeout_s: float = 1.0
    """How long closing goes on sending what is queued, and waits for the peer to close."""
    peers: Peers = "same-user"
    """Which users the other side may run as, by the kernel's word: "same-user" (and the superuser), "any", or a
    collection of user ids that are admitted besides."""
    session: SessionFactory = Session
    """For tests: what makes the protocol of a connection."""

    def __post_init__(self) -> None:
        if self.encryption not in ("required", "optional", "off"):
            raise OptionError(f"encryption is {self.encryption!r}", "use 'required', 'optional' or 'off'")
        self._check_number("message_size_max", 0, TYPE_MAX)
        self._check_number("queue_size_max", 1, sys.maxsize)
        self._check_number("handshake_timeout_s", 0)
        self._check_number("close_timeout_s", 0)
        if isinstance(self.peers, str) and self.peers not in ("same-user", "any"):
            raise OptionError(f"peers is {self.peers!r}", "use 'same-user', 'any' or a collection of user ids")

    def _check_number(self, name: str, least: float, most: float = float("inf")) -> None:
        value = getattr(self, name)
        if not isinstance(value, (int, float)) or not least <= value <= most:
            raise OptionError(f"{name} is {value!r}", f"use a number from {least:g} to {most:g}")


@dataclass(frozen=True, kw_only=True)
class ClientOptions(Options):
    """What a client is told."""

    timeout_s: float | None = 10.0
    """The total time for connecting, and for each connecting again. None: without end."""
    reconnect: bool = False
    """Whether to connect again when an open connection has ended."""
    retry_interval_s: float = 1.0
    """The longest pause between two attempts. The first is a few milliseconds, and each next one is longer."""
    on_status: Callable[[StatusChange], None] | None = None
    """Called for each change of status, after the messages that came before it were received."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.timeout_s is not None:
            self._check_number("timeout_s", 0)
        self._check_number("retry_interval_s", 0)


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """What a server is told."""

    clients_max: int = 64
    """How many clients are served at once. Further ones are turned away: they see the end of the stream."""
    unmask_permissions: bool = False
    """golang-ipc's UnmaskPermissions: every user may connect. The same as socket_mode=0o777, peers="any"."""
    socket_mode: int = 0o600
    """The permissions of the socket. Other users also need to be admitted by `peers`."""
    on_failure: Callable[[Connection, Error], None] | None = None
    """Called for each client whose handshake failed. It is logged in any case."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encryption == "optional":
            raise OptionError("encryption is 'optional' for a server", "use 'required' or 'off'")
        self._check_number("message_size_max", MESSAGE_SIZE_FLOOR, TYPE_MAX)
        self._check_number("clients_max", 1, sys.maxsize)
        self._check_number("socket_mode", 0, 0o777)
        if self.unmask_permissions:
            object.__setattr__(self, "socket_mode", 0o777)
            object.__setattr__(self, "peers", "any")


P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
Some = TypeVar("Some", bound=Options)


def with_options(
    kind: Callable[P, Some],
) -> Callable[[Callable[[A, B, Some], R]], Callable[Concatenate[A, B, P], R]]:
    """Lets a function that takes options as its third argument take each option by its keyword instead."""

    def decorate(function: Callable[[A, B, Some], R]) -> Callable[Concatenate[A, B, P], R]:
        @functools.wraps(function)
        def wrapper(first: A, second: B, /, *args: P.args, **given: P.kwargs) -> R:
            if args:
                raise OptionError("options are given by keyword", "for example encryption='off'")
            return function(first, second, _options_of(kind, given))

        named = list(inspect.signature(function).parameters.values())[:2]
        wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            named + list(inspect.signature(kind).parameters.values())
        )
        return wrapper

    return decorate


def _options_of(kind: Callable[P, Some], given: dict[str, Any]) -> Some:
    known = inspect.signature(kind).parameters
    unknown = [name for name in given if name not in known]
    if unknown:
        raise OptionError(f"there is no option {', '.join(unknown)}", f"the options are {', '.join(known)}")
    return kind(**given)  # type: ignore[call-arg]

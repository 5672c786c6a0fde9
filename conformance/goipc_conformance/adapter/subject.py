# SPDX-License-Identifier: MIT
"""What every adapter offers to a case, and the faults that are its own and not the implementation's."""

import dataclasses
from typing import Any

from .process import Exit


class AdapterError(Exception):
    """The adapter breaks the harness protocol. Never blamed on a case."""


class Unsupported(Exception):
    """The adapter said that the implementation has no such thing."""


class Hung(Exception):
    """The adapter did not answer in time though its process lives."""


class Died(Exception):
    """The process ended while something was expected of it."""

    def __init__(self, exit_: Exit):
        super().__init__(exit_.describe)
        self.exit = exit_


@dataclasses.dataclass(frozen=True)
class Identity:
    name: str
    version: str
    details: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ServeConfig:
    name: str
    encryption: str = "required"
    maximum: int | None = None
    clients_max: int | None = None
    handshake_timeout_ms: int | None = None
    echo: bool = True


@dataclasses.dataclass(frozen=True)
class ConnectConfig:
    name: str
    path: str
    encryption: str = "required"
    maximum: int | None = None
    timeout_ms: int = 3000
    handshake_timeout_ms: int | None = None
    reconnect: bool | None = None
    echo: bool = True


class Subject:
    """One running implementation. Server and client calls of a level that lacks them raise Unsupported."""

    level = 0
    identity = Identity("unknown", "unknown")
    roles: frozenset[str] = frozenset()
    caps: frozenset[str] = frozenset()
    isolation = "process"
    attached = False
    start_s = 0.0  # how long a program of level 0 took to start, on a first try
    started = ""  # the command line of the program that was started last; level 0 only

    def serve(self, config: ServeConfig) -> str:
        """Opens a server and returns the path of its socket."""
        raise NotImplementedError

    def connect(self, config: ConnectConfig) -> "Pending":
        """Tells the client to connect; does not wait."""
        raise NotImplementedError

    def call(self, command: str, timeout: float, **fields: Any) -> dict[str, Any]:
        raise Unsupported("needs an adapter of level 1")

    def request(self, command: str, timeout: float, **fields: Any) -> int:
        """Sends a request without waiting; `timeout` seconds are for the sending."""
        raise Unsupported("needs an adapter of level 1")

    def wait_reply(self, request: int, timeout: float) -> dict[str, Any] | None:
        """The reply to an earlier request; None when it does not come in time."""
        raise Unsupported("needs an adapter of level 1")

    def forget(self) -> None:
        """What was said so far belongs to an earlier case."""

    def events(self) -> list[dict[str, Any]]:
        return []

    def pid(self) -> int | None:
        return None

    def exited(self, timeout: float = 0.0) -> Exit | None:
        """The exit of a process that should be running."""
        return None

    def output(self) -> str:
        return ""

    def last_words(self) -> str:
        """What it said last before it died, as the end of a sentence about that."""
        said = [line for line in self.output().splitlines() if line.strip()]
        return f"; it said: {said[-1].strip()[:80]!r}" if said else ""

    def end(self, graceful: bool) -> Exit | None:
        """Ends the implementation; returns an exit that counts as a crash, if that is what happened."""
        return None

    def kill(self) -> None:
        """Ends it at once, whatever somebody else is doing with it, who will see that it has died."""


class Pending:
    """The answer to `connect`, which comes when the handshake is over."""

    def result(self, timeout: float) -> dict[str, Any] | None:
        """None when no answer came in time, or when this level gives none."""
        return None

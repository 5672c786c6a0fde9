# SPDX-License-Identifier: MIT
"""Turns what the command line says into something that can be asked."""

import dataclasses
import socket
import time
from collections.abc import Callable

from ..run_folder import fresh_name
from ..wire import Listener
from . import attached, reference
from .level0 import EchoProgram
from .level1 import Adapter
from .process import StartError, split_command
from .subject import AdapterError, ConnectConfig, Died, Hung, ServeConfig, Subject


@dataclasses.dataclass(frozen=True)
class Target:
    """How the implementation under test is reached."""

    words: tuple[str, ...] = ()  # level 1
    server: str | None = None  # level 0
    client: str | None = None
    plain_only: bool = False
    attach: str | None = None  # what stands behind `attach:`

    @property
    def describe(self) -> str:
        if self.attach is not None:
            return f"attach:{self.attach}"
        if self.words:
            return " ".join(self.words)
        return "; ".join(
            f"{role}: {command}" for role, command in (("server", self.server), ("client", self.client)) if command
        )

    def maker(self, timeout: float) -> Callable[..., Subject]:
        def make(role: str, umask: int = -1) -> Subject:
            if self.attach is not None:
                return attached.attach(self.attach, self.plain_only)
            if not self.words:
                return EchoProgram(self.server, self.client, self.plain_only, umask)
            adapter = Adapter(list(self.words), timeout, umask)
            try:
                adapter.say_hello()
            except BaseException:
                adapter.end(graceful=False)
                raise
            return adapter

        return make


def target_from(words: list[str], server: str | None, client: str | None, plain_only: bool = False) -> Target:
    if words and (server or client):
        raise StartError("give either --server and --client (level 0) or -- CMD (level 1), not both")
    if words:
        if words[0].startswith("exec:"):
            words = split_command(words[0].removeprefix("exec:")) + words[1:]
        if words[0].startswith("attach:"):
            return attached_target(words, plain_only)
        if plain_only:
            raise StartError("--plain is for programs of level 0; an adapter says in hello what it knows")
        if words[0] == "ref":
            words = [str(reference.find()), *words[1:]]
        return Target(words=tuple(words))
    if not server and not client:
        raise StartError("no implementation given: end the command with `-- CMD`, or use --server or --client")
    if server and server.startswith("attach:"):
        return attached_target(split_command(server), plain_only)
    return Target(server=server, client=client, plain_only=plain_only)


def attached_target(words: list[str], plain_only: bool) -> Target:
    if len(words) > 1:
        raise StartError(f"{words[0]} takes no arguments: what runs already is not started")
    text = words[0].removeprefix("attach:")
    attached.parse(text)
    return Target(attach=text, plain_only=plain_only)


def start_patience(timeout: float, learned: float = 0.0) -> float:
    """Seconds for a program to start and to say so, from the time for one answer: starting is the slowest thing that
    programs do on a loaded machine. `learned` is how long the first start took, of one program at a time."""
    return max(5.0, 7 * timeout, 6 * learned)


def say_hello(target: Target, patience: float) -> Subject:
    """Starts the implementation once and makes sure within `patience` seconds for each answer that it can be talked
    to. Every problem found here is the adapter's or the command's, never a case's."""
    subject = target.maker(patience)("")
    try:
        if isinstance(subject, Adapter):
            try:
                subject.check_refusal()
            except (Died, Hung) as error:
                raise AdapterError(f"the adapter did not survive an unknown command: {error}") from None
            if not subject.roles:
                raise AdapterError("the adapter declares no role")
    finally:
        subject.end(graceful=False)
    if isinstance(subject, EchoProgram):
        began = time.monotonic()
        check_echo_program(target, patience)
        subject.start_s = time.monotonic() - began
    return subject


def accept_or_end(listener: Listener, program: EchoProgram, patience: float) -> socket.socket | None:
    """The client's connection; none when it ends without one, or takes too long."""
    deadline = time.monotonic() + patience
    while True:
        gone = program.ended() is not None or time.monotonic() >= deadline
        sock = listener.accept(0.0 if gone else 0.05)  # one that connected and left at once did connect
        if sock is not None or gone:
            return sock


def check_echo_program(target: Target, patience: float) -> None:
    """A level 0 program that is not ready is reported before any case runs."""
    if target.server:
        program = EchoProgram(target.server, None)
        try:
            path = program.serve(ServeConfig(name=fresh_name(), maximum=65536))
            sock = program.dial(path, patience)
            if sock is None:
                exit_ = program.exited()
                raise AdapterError(
                    f"the server ended before it listened at {path} ({exit_.describe}){program.last_words()}"
                    if exit_
                    else f"the server did not listen at {path} within {patience:g} s"
                )
            sock.close()
        finally:
            program.end(graceful=False)
    if target.client:
        program = EchoProgram(None, target.client)
        name = fresh_name()
        listener = Listener(f"/tmp/{name}.sock")
        try:
            program.connect(ConnectConfig(name=name, path=listener.path, maximum=65536))
            sock = accept_or_end(listener, program, patience)
            if sock is None:
                exit_ = program.ended()
                raise AdapterError(
                    f"the client ended before it connected to {listener.path} ({exit_.describe}){program.last_words()}"
                    if exit_
                    else f"the client did not connect to {listener.path} within {patience:g} s"
                )
            sock.close()
        finally:
            listener.close()
            program.end(graceful=False)


__all__ = ["Target", "say_hello", "target_from"]

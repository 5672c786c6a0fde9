# SPDX-License-Identifier: MIT
"""Level 1: the harness protocol HP/1, JSON lines on the adapter's standard input and output (or a socket)."""

import json
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any

from .process import Exit, Process
from .subject import AdapterError, ConnectConfig, Died, Hung, Identity, Pending, ServeConfig, Subject, Unsupported

LINE_MAX = 16 << 20
EVENTS_MAX = 200000  # of one case, and more than any case asks for
PROTOCOL = 1


class Control:
    """The two pipes. A thread reads, so that a talkative adapter never has to wait for us."""

    def __init__(self, read_fd: int, write_fd: int):
        self._read_fd, self._write_fd = read_fd, write_fd
        os.set_blocking(write_fd, False)
        self._changed = threading.Condition()
        self._replies: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.fault: str | None = None
        self.ended = False
        self.transcript: list[tuple[str, str]] = []
        self._next_id = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        pending = b""
        while True:
            try:
                piece = os.read(self._read_fd, 262144)
            except BlockingIOError:  # where both directions are one socket
                select.select([self._read_fd], [], [])
                continue
            except OSError:
                piece = b""
            if not piece:
                break
            *lines, pending = (pending + piece).split(b"\n")
            with self._changed:
                for line in lines:
                    if line.strip():
                        self._take(line)
                if len(pending) > LINE_MAX:
                    self.fault = self.fault or f"a line longer than {LINE_MAX} bytes"
                    pending = b""
                self._changed.notify_all()
        with self._changed:
            if pending.strip():
                self.fault = self.fault or f"the output ends inside a line: {_shown(pending)}"
            self.ended = True
            self._changed.notify_all()

    def _take(self, line: bytes) -> None:
        if len(self.transcript) < 2000:
            self.transcript.append(("<", line[:2000].decode("utf-8", "replace")))
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self.fault = self.fault or f"a line that is not JSON: {_shown(line)}"
            return
        if not isinstance(message, dict):
            self.fault = self.fault or f"a line that is not an object: {_shown(line)}"
        elif misfit := misfit_of(message):
            self.fault = self.fault or f"{misfit}: {_shown(line)}"
        elif "ev" in message:
            if len(self.events) < EVENTS_MAX:
                self.events.append(message)
            else:
                self.fault = self.fault or f"more than {EVENTS_MAX} events"
        elif "id" in message and isinstance(message.get("ok"), bool):
            if isinstance(message["id"], int) and message["id"] <= self._next_id:
                self._replies[message["id"]] = message
        else:
            self.fault = self.fault or f"a line that is neither reply nor event: {_shown(line)}"

    def request(self, command: str, timeout: float, **fields: Any) -> int:
        self._next_id += 1
        line = json.dumps({"id": self._next_id, "cmd": command, **fields})
        self.transcript.append((">", line[:2000]))
        data, deadline = memoryview(line.encode() + b"\n"), time.monotonic() + timeout
        while data:
            try:
                data = data[os.write(self._write_fd, data) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Hung(f"the adapter does not read its input ({command})") from None
                select.select([], [self._write_fd], [], left)
            except OSError:
                break  # it has gone; whoever waits for the reply will learn it
        return self._next_id

    def wait_reply(self, request: int, timeout: float) -> dict[str, Any] | None:
        """None when the deadline passes or the adapter ends."""
        with self._changed:
            self._changed.wait_for(lambda: request in self._replies or self.ended or self.fault, timeout)
            if self.fault:
                raise AdapterError(self.fault)
            return self._replies.get(request)

    def wait_event(self, matches: Callable[[dict[str, Any]], bool], timeout: float) -> bool:
        with self._changed:
            return bool(
                self._changed.wait_for(lambda: any(map(matches, self.events)) or self.ended or self.fault, timeout)
            ) and any(map(matches, self.events))

    def event_after(
        self, start: int, matches: Callable[[dict[str, Any]], bool], timeout: float
    ) -> tuple[int, dict[str, Any]] | None:
        """The first matching event from index `start` on, with the index of the one behind it; None when none comes."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for index, event in enumerate(self.events[start:], start=start):
                    if matches(event):
                        return index + 1, event
                start = len(self.events)
                if self.fault:
                    raise AdapterError(self.fault)
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    return None
                self._changed.wait(left)

    def snapshot(self) -> list[dict[str, Any]]:
        with self._changed:
            return list(self.events)

    def forget(self) -> None:
        """What was said before belongs to an earlier case."""
        with self._changed:
            self.events.clear()
            self._replies.clear()
            self.transcript.clear()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)


KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
# What the fields of replies and events have to be, where they are there at all.
FIELDS: dict[str, type] = {
    "endpoint": dict,
    "frames": list,
    **dict.fromkeys(("data", "sha256", "hex", "key", "state", "class", "path"), str),
}
OCTETS = ("data", "hex")


def misfit_of(message: dict[str, Any]) -> str:
    """What is wrong with the type of a field, or nothing."""
    for name, value in message.items():
        if name in FIELDS and not isinstance(value, FIELDS[name]):
            return f"{name!r} is not {KINDS[FIELDS[name]]}"
        if name in OCTETS and not is_hexadecimal(value):
            return f"{name!r} is not hexadecimal"
    for frame in message.get("frames", ()):
        if not isinstance(frame, dict) or not {"type", "data"} <= frame.keys():
            return "a frame needs type and data"
    return ""


def is_hexadecimal(text: str) -> bool:
    try:
        return bytes.fromhex(text).hex() == text.lower()
    except ValueError:
        return False


def _shown(line: bytes) -> str:
    return repr(line[:80].decode("utf-8", "replace"))


class PendingReply(Pending):
    def __init__(self, subject: "Adapter", request: int):
        self._subject, self._request = subject, request

    def result(self, timeout: float) -> dict[str, Any] | None:
        reply = self._subject.control.wait_reply(self._request, timeout)
        if reply is None:
            self._subject.raise_if_dead()
        elif reply.get("unsupported"):
            raise Unsupported(str(reply.get("reason", "the adapter says so")))
        return reply


class Adapter(Subject):
    level = 1

    def __init__(self, words: list[str], timeout: float, umask: int = -1):
        self._process: Process | None = Process(words, control=True, umask=umask)
        self._timeout = timeout
        self.control = Control(self._process.stdout.fileno(), self._process.stdin.fileno())

    def say_hello(self) -> dict[str, Any]:
        """hello, and the check that a made-up command is refused."""
        try:
            reply = self.call("hello", self._timeout, hp=PROTOCOL)
        except Unsupported as error:
            raise AdapterError(f"hello was refused: {error}") from None
        except Died as died:
            ended = f"the program ended before it answered hello ({died.exit.describe})"
            raise AdapterError(ended + self.last_words()) from None
        if not reply["ok"]:
            raise AdapterError(f"hello failed: {error_of(reply)}")
        implementation = reply.get("impl")
        if reply.get("hp") != PROTOCOL:
            raise AdapterError(f'hello must say "hp": {PROTOCOL}, it says {reply.get("hp")!r}')
        if not isinstance(implementation, dict) or not all(
            isinstance(implementation.get(key), str) for key in ("name", "version")
        ):
            raise AdapterError("hello must name the implementation: impl.name and impl.version")
        for key in ("roles", "caps"):
            if not isinstance(reply.get(key), list) or not all(isinstance(item, str) for item in reply[key]):
                raise AdapterError(f"hello must hold a list of strings as {key!r}")
        self.identity = Identity(
            implementation["name"],
            implementation["version"],
            {key: str(value) for key, value in implementation.items()},
        )
        self.roles, self.caps = frozenset(reply["roles"]), frozenset(reply["caps"])
        if "max-fixed" not in self.caps:
            self.caps |= {"max"}
        self.isolation = str(reply.get("isolation", "process"))
        return reply

    def check_refusal(self) -> None:
        try:
            self.call("x-not-a-command", self._timeout)
        except Unsupported:
            return
        raise AdapterError('a made-up command was not refused with "unsupported": true')

    def request(self, command: str, timeout: float, **fields: Any) -> int:
        return self.control.request(command, timeout, **fields)

    def wait_reply(self, request: int, timeout: float) -> dict[str, Any] | None:
        return self.control.wait_reply(request, timeout)

    def call(self, command: str, timeout: float, **fields: Any) -> dict[str, Any]:
        request = self.control.request(command, timeout, **fields)
        reply = self.control.wait_reply(request, timeout)
        if reply is None:
            self.raise_if_dead()
            raise Hung(f"no reply to {command!r} within {timeout:g} s")
        if reply.get("unsupported"):
            raise Unsupported(str(reply.get("reason", "the adapter says so")))
        return reply

    def raise_if_dead(self) -> None:
        if self.control.ended:
            exit_ = self.exited(1.0)
            raise Died(exit_ or Exit(0, "closed its standard output"))

    def serve(self, config: ServeConfig) -> str:
        fields = _present(
            endpoint={"transport": "unix", "name": config.name},
            encryption=config.encryption,
            max_message_size=config.maximum,
            clients_max=config.clients_max,
            handshake_timeout_ms=config.handshake_timeout_ms,
            echo=config.echo,
        )
        reply = self.call("serve", self._timeout, **fields)
        if not reply["ok"]:
            raise ServeRefused(error_of(reply), error_class(reply))
        path = (reply.get("endpoint") or {}).get("path")
        if not isinstance(path, str):
            raise AdapterError("the reply to serve must hold endpoint.path")
        return path

    def connect(self, config: ConnectConfig) -> Pending:
        fields = _present(
            endpoint={"transport": "unix", "name": config.name, "path": config.path},
            encryption=config.encryption,
            max_message_size=config.maximum,
            timeout_ms=config.timeout_ms,
            reconnect=config.reconnect,
            handshake_timeout_ms=config.handshake_timeout_ms,
            echo=config.echo,
        )
        return PendingReply(self, self.control.request("connect", self._timeout, **fields))

    def forget(self) -> None:
        self.control.forget()

    def close_input(self) -> None:
        if self._process:
            self._process.stdin.close()

    def events(self) -> list[dict[str, Any]]:
        return self.control.snapshot()

    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def exited(self, timeout: float = 0.0) -> Exit | None:
        return self._process.exited(timeout) if self._process else None

    def output(self) -> str:
        return self._process.captured() if self._process else ""

    def end(self, graceful: bool) -> Exit | None:
        if self._process is None:
            return None
        process, wrong = self._process, None
        if process.exited() is not None:
            wrong = process.exited()
        elif graceful:
            # `stop` lets leak checkers have their say at exit.
            try:
                self.control.request("stop", 1.0)
                # Not the whole patience for a start: whoever hangs here has hung before, and is killed.
                exit_ = process.exited(max(5.0, self._timeout / 3))
            except Hung:
                exit_ = None
            if exit_ is not None and (exit_.is_crash or exit_.status != 0):
                wrong = exit_
        process.end()
        self.control.join(1.0)
        process.close_streams()
        return wrong

    def kill(self) -> None:
        if self._process:
            self._process.kill()


class ServeRefused(Exception):
    """The implementation would not open the server."""

    def __init__(self, message: str, error_class_: str):
        super().__init__(message)
        self.error_class = error_class_


def _present(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def error_class(reply: dict[str, Any]) -> str:
    error = reply.get("error")
    return str(error.get("class", "other")) if isinstance(error, dict) else "other"


def error_of(reply: dict[str, Any]) -> str:
    error = reply.get("error")
    return f"{error_class(reply)}: {error.get('message', '')}" if isinstance(error, dict) else "no error given"

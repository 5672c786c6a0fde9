# SPDX-License-Identifier: MIT
"""Checks an adapter, before a failure is blamed on the implementation behind it, and says what to fix."""

import argparse
import functools
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import jsonschema

from . import codec, data_files
from .adapter import choose
from .adapter.level1 import Adapter, ServeRefused
from .adapter.process import StartError
from .adapter.subject import AdapterError, ConnectConfig, Died, Hung, ServeConfig, Unsupported
from .case import Case, Instance
from .context import Context, RefusedPeer
from .peer import Malformed, Refused
from .run_folder import fresh_name
from .wire import Closed, Silent, connect_unix


class Complaint(Exception):
    def __init__(self, text: str, fix: str):
        super().__init__(text)
        self.fix = fix


class Notice(Exception):
    """Nothing to examine here, and why."""


@functools.cache
def validators() -> dict[str, Any]:
    schema = json.loads(data_files.read_text("schemas/hp1.schema.json") or "{}")

    def make(name: str) -> Any:
        return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})

    return {name: make(name) for name in ("reply", "hello", "event")}


def check_lines(adapter: Adapter) -> None:
    """Every line the adapter has written, against the schema."""
    for arrow, line in adapter.control.transcript:
        if arrow != "<" or len(line) >= 2000:
            continue
        try:
            message = json.loads(line)
        except ValueError:
            raise Complaint(
                f"not JSON: {line[:100]!r}",
                "write one JSON object per line and nothing else to standard output; logs belong on standard error",
            ) from None
        kind = "event" if isinstance(message, dict) and "ev" in message else "reply"
        if isinstance(message, dict) and "impl" in message:
            kind = "hello"
        error = next(iter(validators()[kind].iter_errors(message)), None)
        if error is not None:
            where = "/".join(map(str, error.absolute_path)) or kind
            raise Complaint(
                f"{where}: {error.message[:160]} in {line[:160]}",
                "see schemas/hp1.schema.json and docs/harness-protocol.md",
            )


class Doctor:
    def __init__(self, words: list[str], timeout: float):
        self.words, self.timeout = words, timeout
        self.adapter: Adapter | None = None
        self.hello: dict[str, Any] = {}

    def fresh(self) -> Adapter:
        adapter = Adapter(self.words, self.timeout)
        self.adapter = adapter
        self.hello = adapter.say_hello()
        return adapter

    def encryption(self) -> str:
        return "required" if "enc" in self.hello.get("caps", ()) else "off"

    def check_hello(self) -> None:
        """it starts, and answers hello"""
        self.fresh()

    def check_unknown_command(self) -> None:
        """an unknown command is refused with "unsupported": true"""
        self.fresh().check_refusal()

    def check_unknown_field(self) -> None:
        """unknown fields are ignored"""
        adapter = self.fresh()
        reply = adapter.call("hello", self.timeout, hp=1, x_unknown={"a": [1]})
        if not reply["ok"]:
            raise Complaint("hello failed because of a field it does not know", "ignore fields you do not know")

    def check_ids(self) -> None:
        """the reply repeats the id, of whatever type"""
        adapter = self.fresh()
        wanted = "text id"
        line = json.dumps({"id": wanted, "cmd": "x-other"}).encode() + b"\n"
        try:
            os.write(adapter.control._write_fd, line)
        except OSError as error:
            raise Complaint(
                f"it cannot be written to after hello: {error.strerror}", "read standard input up to its end"
            ) from None
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            if any(arrow == "<" and '"text id"' in text for arrow, text in list(adapter.control.transcript)):
                return
            time.sleep(0.005)
        raise Complaint(
            "a request with a text as its id was not answered with the same id",
            "copy the id of the request into the reply as it is",
        )

    def context(self, adapter: Adapter, role: str) -> Context:
        encrypted = self.encryption() == "required"
        case = Case(id="doctor", title="", why="", hint="", reqs=(), expect=(), body=lambda t: None)
        params = {"enc": "on" if encrypted else "off"}
        return Context(Instance(case, role, params), adapter, seed="doctor", timeout=self.timeout)

    def check_server(self) -> None:
        """the server: serve, a handshake, an echo, and the event before the echo"""
        adapter = self.fresh()
        if "server" not in adapter.roles:
            raise Notice("the adapter has no server role")
        self.exchange(adapter, "server")

    def check_client(self) -> None:
        """the client: connect, a handshake, an echo, and the event before the echo"""
        adapter = self.fresh()
        if "client" not in adapter.roles:
            raise Notice("the adapter has no client role")
        self.exchange(adapter, "client")

    def exchange(self, adapter: Adapter, role: str) -> None:
        context = self.context(adapter, role)
        try:
            context.start()
            peer = context.open()
            peer.send(5, b"doctor")
            message = peer.receive()
            if message != (5, b"doctor"):
                raise Complaint(
                    f"the echo is type {message[0]}, {len(message[1])} bytes", "send back the same type and data"
                )
            context.catch_up()
            if not any(event.get("type") == 5 and event.get("len") == 6 for event in context.messages()):
                raise Complaint(
                    "the echo came, but no message event before it",
                    "write and flush the message event first, then echo",
                )
            if role == "client":
                reply = context.connect_result()
                if reply is None or not reply["ok"]:
                    raise Complaint(f"connect was answered {reply}", "reply when the handshake is over")
        except (Closed, Silent, Malformed, Refused) as error:
            raise Complaint(
                f"no whole exchange: {type(error).__name__.lower()} ({error})",
                f"the {role} must hand every message back; try it by hand with the session in docs/harness-protocol.md",
            ) from None
        except ServeRefused as error:
            raise Complaint(f"serve failed: {error}", "serve must open an endpoint with the given name") from None
        except RefusedPeer as error:
            raise Complaint(
                f"no client can connect at {context.path!r}: {error}",
                "reply to serve with the path of the socket, and only when a peer can connect there",
            ) from None
        finally:
            context.close_all()

    def check_codec(self) -> None:
        """the codec decodes its own frames, and encodes the expected bytes"""
        adapter = self.fresh()
        if "codec" not in adapter.roles:
            raise Notice("the adapter has no codec role")
        wanted = codec.frame(codec.message_plaintext(5, b"doctor")).hex()
        reply = adapter.call("encode", self.timeout, type=5, data=b"doctor".hex(), dir="c2s")
        if reply.get("hex") != wanted:
            raise Complaint(
                f"encode was answered {reply}", f"the frame of type 5 with the data doctor is {wanted}, without a key"
            )
        reply = adapter.call("decode", self.timeout, hex=wanted + "00", max=65536, dir="c2s")
        if (reply.get("frames"), reply.get("rest")) != ([{"type": 5, "data": b"doctor".hex()}], 1):
            raise Complaint(
                f"decode of one frame and a byte was answered {reply}",
                "list the messages in frames, and count the bytes of an unfinished frame in rest",
            )

    def check_reuse(self) -> None:
        """a second serve closes the first"""
        adapter = self.fresh()
        if "server" not in adapter.roles:
            raise Notice("the adapter has no server role")
        fix = "serve or connect while an endpoint is open closes that endpoint first"
        paths = []
        for which in ("first", "second"):
            try:
                paths.append(adapter.serve(ServeConfig(fresh_name(), encryption=self.encryption(), maximum=65536)))
            except ServeRefused as error:
                raise Complaint(f"the {which} serve was refused: {error}", fix) from None
        try:
            connect_unix(paths[0]).close()
        except OSError:
            return
        raise Complaint("the first endpoint is still open after the second serve", fix)

    def check_connect_timeout(self) -> None:
        """connect without a server fails at its timeout, and other requests are answered meanwhile"""
        adapter = self.fresh()
        if "client" not in adapter.roles:
            raise Notice("the adapter has no client role")
        name = fresh_name()
        pending = adapter.connect(
            ConnectConfig(name=name, path=f"/tmp/{name}.sock", encryption=self.encryption(), timeout_ms=700)
        )
        try:
            adapter.call("x-meanwhile", 0.5)
        except Unsupported:
            pass
        except Hung:
            raise Complaint(
                "no request is answered while connect waits", "run connect beside the loop that reads requests"
            ) from None
        reply = pending.result(0.7 + self.timeout)
        if reply is None:
            raise Complaint("connect was not answered at its timeout", "keep to timeout_ms")
        if reply["ok"]:
            raise Complaint("connect succeeded without a server", "reply when the handshake is over")

    def check_stop(self) -> None:
        """stop ends it with status 0 within a second"""
        adapter = self.fresh()
        adapter.control.request("stop", self.timeout)
        self.expect_exit(adapter, 0, "exit with status 0 after replying to stop")

    def check_end_of_input(self) -> None:
        """the end of its input ends it with status 0 within a second"""
        adapter = self.fresh()
        adapter.close_input()
        self.expect_exit(adapter, 0, "exit with status 0 when standard input ends")

    def check_sigterm(self) -> None:
        """SIGTERM ends it"""
        adapter = self.fresh()
        os.kill(adapter.pid() or 0, signal.SIGTERM)
        if adapter.exited(max(1.0, self.timeout)) is None:
            raise Complaint("it still runs after SIGTERM", "leave SIGTERM to the system, or exit at once")

    def expect_exit(self, adapter: Adapter, status: int, fix: str) -> None:
        started = time.monotonic()
        exit_ = adapter.exited(max(2.0, self.timeout))
        if exit_ is None:
            raise Complaint("it still runs", fix)
        if exit_.status != status or exit_.is_crash:
            raise Complaint(exit_.describe, fix)
        if time.monotonic() - started > 1.0 * max(1.0, self.timeout / 5):
            raise Complaint(f"it took {time.monotonic() - started:.1f} s", fix)

    def checks(self) -> list[Callable[[], None]]:
        return [
            self.check_hello,
            self.check_unknown_command,
            self.check_unknown_field,
            self.check_ids,
            self.check_server,
            self.check_client,
            self.check_codec,
            self.check_reuse,
            self.check_connect_timeout,
            self.check_stop,
            self.check_end_of_input,
            self.check_sigterm,
        ]

    def run(self, check: Callable[[], None]) -> None:
        try:
            check()
            if self.adapter is not None:
                check_lines(self.adapter)
        finally:
            if self.adapter is not None:
                self.adapter.end(graceful=False)
                self.adapter = None


def command(options: argparse.Namespace) -> int:
    target = choose.target_from(options.words, options.server, options.client, options.plain)
    timeout = 5.0 * options.timeout_scale
    if not target.words:
        choose.say_hello(target, timeout)
        print("ok   the echo program starts and is ready")
        print("1 passed, 0 failed, 0 skipped")
        return 0
    doctor = Doctor(list(target.words), timeout)
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for check in doctor.checks():
        name = (check.__doc__ or "").strip()
        try:
            doctor.run(check)
        except StartError:
            raise
        except Notice as notice:
            totals["skipped"] += 1
            print(f"SKIP {name}: {notice}")
        except Complaint as complaint:
            totals["failed"] += 1
            print(f"FAIL {name}\n     found: {complaint}\n     fix:   {complaint.fix}")
        except (AdapterError, Died, Hung, Unsupported) as error:
            totals["failed"] += 1
            print(f"FAIL {name}\n     found: {error}\n     fix:   see docs/harness-protocol.md")
            if not totals["passed"]:
                break  # it does not even answer hello: the rest would say the same
        else:
            totals["passed"] += 1
            print(f"ok   {name}")
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 3 if totals["failed"] else 0

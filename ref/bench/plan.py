# SPDX-License-Identifier: MIT
"""Who takes part in the benchmark, and what they do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
SIZES = (16, 64, KIB, 64 * KIB, MIB, 3 * MIB)


@dataclass(frozen=True)
class Contestant:
    """One way of moving messages: a program, and what it is told."""

    name: str
    program: str
    mode: str = ""
    crypto: str = ""
    encrypted: bool = False
    limit: str = ""  # the bare socket that moves the same bytes in the same way
    cipher: str = ""  # the bare cipher that does the same work besides

    def command(self, workload: str, size: int, count: int, clients: int = 1) -> list[str]:
        words = [self.program, workload, str(size), str(count)]
        if self.crypto:
            words.append(f"crypto={self.crypto}")
        if self.mode:
            words.append(f"mode={self.mode}")
        if self.encrypted:
            words.append("encrypted=1")
        if clients > 1:
            words.append(f"clients={clients}")
        return words


KINDS = {
    "oneway": "one way",
    "back": "one way back",
    "roundtrip": "round trip",
    "turns": "round trip in turn",
    "handshake": "handshake",
    "idle": "idle clients",
}


@dataclass(frozen=True)
class Workload:
    """What is done, by whom."""

    kind: str  # of KINDS
    size: int
    contestants: tuple[str, ...]
    clients: int = 1  # connections of the server: all take part in turns and idle, one in the others
    beside: tuple[Workload, ...] = ()  # run in turn with this one, because they are held against it

    @property
    def label(self) -> str:
        size = "" if self.kind == "handshake" else f" {size_text(self.size)}"
        more = "" if self.clients == 1 else f", {self.clients} clients"
        return f"{KINDS[self.kind]}{size}{more}{', one of them active' if more and self.kind == 'roundtrip' else ''}"

    def limits(self, contestant: Contestant) -> tuple[str, str]:
        """The socket and the cipher that limit a contestant here, either '' for none."""
        socket, cipher = contestant.limit, contestant.cipher
        if self.kind == "idle":  # takes no time
            return "", ""
        if self.kind == "handshake" and cipher:
            return "", cipher
        if self.kind == "handshake" and socket:
            return "socket", ""
        if self.kind in ("roundtrip", "turns"):  # one message at a time
            socket = socket.removesuffix(" batch")
        if self.kind == "turns" and socket:  # nobody serves many without waiting for all of them
            socket = f"{socket} epoll"
        return "" if socket == contestant.name else socket, cipher


def size_text(size: int) -> str:
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def contestants(binaries: Path) -> dict[str, Contestant]:
    """Those whose program was built."""

    def of(program: str) -> str:
        return str(binaries / f"bench_{program}")

    def modes(name: str, crypto: str, socket: str, cipher: str) -> list[Contestant]:
        """libgoipc in all ways of handing messages over; gathered, it is held against the gathering socket."""
        sealed = bool(cipher)
        return [
            Contestant(name, of("goipc"), "single", crypto, sealed, socket, cipher),
            Contestant(f"{name} cork", of("goipc"), "cork", crypto, sealed, f"{socket} batch", cipher),
            Contestant(f"{name} batch", of("goipc"), "batch", crypto, sealed, f"{socket} batch", cipher),
        ]

    every = (
        Contestant("socket", of("socket"), "single"),
        # What interruptible waiting costs without any protocol: wherever goipc waits, it can be interrupted.
        Contestant("socket epoll", of("socket"), "epoll", limit="socket"),
        Contestant("socket batch", of("socket"), "batch"),
        Contestant("socket sealed", of("socket"), "single", encrypted=True),
        Contestant("socket sealed epoll", of("socket"), "epoll", encrypted=True, limit="socket sealed"),
        Contestant("socket sealed batch", of("socket"), "batch", encrypted=True),
        *modes("goipc", "", "socket", ""),
        Contestant("goipc sleep", of("goipc"), "sleep", limit="socket"),
        # What an endpoint uses by default: the best curve and the best cipher that are there.
        *modes("goipc best", "", "socket sealed", "best"),
        *modes("goipc nettle", "nettle", "socket sealed", "best"),
        *modes("goipc nettle+openssl", "nettle+openssl", "socket sealed", "evp"),
        *modes("goipc openssl", "openssl", "socket sealed", "evp"),
        *modes("goipc tomcrypt", "tomcrypt", "socket sealed", "tomcrypt"),
        Contestant("golang-ipc", of("go"), limit="socket"),
        Contestant("golang-ipc encrypted", of("go"), encrypted=True, limit="socket sealed", cipher="evp"),
        Contestant("python", of("python"), limit="socket"),
        Contestant("python blocking", of("python"), "blocking", limit="socket"),
        Contestant("python encrypted", of("python"), encrypted=True, limit="socket sealed", cipher="evp"),
        Contestant("node", of("node"), limit="socket"),
        Contestant("node encrypted", of("node"), encrypted=True, limit="socket sealed", cipher="evp"),
        Contestant("zeromq", of("zmq"), limit="socket batch"),
        Contestant("nng", of("nng"), limit="socket"),
        Contestant("best", of("crypto"), crypto="best"),
        Contestant("evp", of("crypto"), crypto="openssl"),
        Contestant("tomcrypt", of("crypto"), crypto="tomcrypt"),
    )
    return {one.name: one for one in every if Path(one.program).exists()}


LIMITS = ("socket", "socket epoll", "socket batch", "socket sealed", "socket sealed batch", "best", "evp", "tomcrypt")
GOIPC = ("goipc", "goipc sleep", "goipc cork", "goipc batch")
PEERS = ("golang-ipc", "golang-ipc encrypted", "zeromq", "nng")
# Measured where they are held against golang-ipc.
PORTS = ("python", "python blocking", "python encrypted", "node", "node encrypted")
PORT_SIZES = (64, MIB)


def ports(size: int) -> tuple[str, ...]:
    return PORTS if size in PORT_SIZES else ()


# The bare curve, ours by library, and in the same table golang-ipc's.
HANDSHAKE = (
    *("socket", "best", "evp", "tomcrypt"),
    *("goipc", "goipc best", "goipc openssl", "goipc tomcrypt"),
)


def workloads(quick: bool) -> list[Workload]:
    return quick_workloads() if quick else all_workloads()


def all_workloads() -> list[Workload]:
    sealed = tuple(
        f"goipc {crypto}{mode}"
        for crypto in ("best", "nettle", "nettle+openssl", "openssl", "tomcrypt")
        for mode in ("", " cork", " batch")
    )
    turns = (
        *("socket", "socket epoll", "socket sealed", "best", "evp", "tomcrypt"),
        *("goipc", "goipc sleep", "goipc best", "goipc openssl", "goipc tomcrypt", *PEERS),
    )
    back = (
        *LIMITS[:-1],
        "goipc",
        "goipc batch",
        "goipc best",
        "goipc best batch",
        "goipc openssl",
        "goipc openssl batch",
        *PEERS,
    )
    crowded = tuple(Workload("roundtrip", 64, ("goipc", "goipc openssl"), clients) for clients in (100, 1000))
    return [
        *(Workload("oneway", size, (*LIMITS, *GOIPC, *sealed, *PEERS, *ports(size))) for size in SIZES),
        *(Workload("back", size, back) for size in (64, 64 * KIB, MIB)),
        Workload("roundtrip", 64, (*turns, *PORTS), beside=crowded),
        Workload("roundtrip", 64 * KIB, turns),
        Workload("turns", 64, ("socket epoll", "socket sealed epoll", "evp", "goipc", "goipc openssl"), 100),
        Workload("turns", 64, ("socket epoll", "goipc"), 1000),
        Workload("handshake", 0, (*HANDSHAKE, "goipc nettle", *PEERS)),
        Workload("idle", 64, ("goipc", "goipc best", "goipc openssl", "goipc tomcrypt"), 200),
    ]


def quick_workloads() -> list[Workload]:
    """What the targets need."""
    oneway = (
        *LIMITS,
        *GOIPC,
        "goipc best",
        "goipc best batch",
        "goipc openssl",
        "goipc openssl batch",
        "goipc tomcrypt batch",
        *PEERS,
    )
    turns = (
        "socket",
        "socket epoll",
        "socket sealed",
        "best",
        "evp",
        "goipc",
        "goipc sleep",
        "goipc best",
        "goipc openssl",
        *PEERS,
    )
    return [
        *(Workload("oneway", size, (*oneway, *ports(size))) for size in (64, MIB)),
        Workload("back", 64, ("socket", "socket batch", "goipc", "goipc batch", "golang-ipc")),
        Workload("roundtrip", 64, (*turns, *PORTS), beside=(Workload("roundtrip", 64, ("goipc",), 1000),)),
        Workload("turns", 64, ("socket epoll", "goipc"), 100),
        Workload("handshake", 0, (*HANDSHAKE, "golang-ipc encrypted")),
        Workload("idle", 64, ("goipc", "goipc best", "goipc openssl"), 100),
        Workload("idle", 64, ("goipc tomcrypt",), 30),
    ]

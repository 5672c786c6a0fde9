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
    limit: str = ""  # the contestant whose figure is the physical limit of this one

    def command(self, workload: str, size: int, count: int, clients: int = 0) -> list[str]:
        words = [self.program, workload, str(size), str(count)]
        if self.mode:
            words.append(f"mode={self.mode}")
        if self.crypto:
            words.append(f"crypto={self.crypto}")
        if self.encrypted:
            words.append("encrypted=1")
        if clients:
            words.append(f"clients={clients}")
        return words


@dataclass(frozen=True)
class Workload:
    """What is done, by whom."""

    kind: str  # oneway, back, roundtrip, handshake
    size: int
    contestants: tuple[str, ...]
    clients: int = 0
    beside: tuple[Workload, ...] = ()  # run in turn with this one, because they are held against it

    @property
    def label(self) -> str:
        text = {"oneway": "one way", "back": "one way back", "roundtrip": "round trip", "handshake": "handshake"}[
            self.kind
        ]
        size = "" if self.kind == "handshake" else f" {size_text(self.size)}"
        clients = f", {self.clients} idle clients" if self.clients else ""
        return f"{text}{size}{clients}"


def size_text(size: int) -> str:
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def contestants(binaries: Path) -> dict[str, Contestant]:
    """Those whose program was built."""

    def of(program: str) -> str:
        return str(binaries / f"bench_{program}")

    every = (
        Contestant("socket", of("socket"), "single"),
        # What interruptible waiting costs without any protocol: wherever goipc waits, it can be interrupted.
        Contestant("socket epoll", of("socket"), "epoll", limit="socket"),
        Contestant("socket batch", of("socket"), "batch"),
        Contestant("socket sealed", of("socket"), "single", encrypted=True),
        Contestant("socket sealed batch", of("socket"), "batch", encrypted=True),
        Contestant("goipc", of("goipc"), "single", limit="socket"),
        Contestant("goipc cork", of("goipc"), "cork", limit="socket batch"),
        Contestant("goipc batch", of("goipc"), "batch", limit="socket batch"),
        Contestant("goipc openssl", of("goipc"), "single", "openssl", True, "socket sealed"),
        Contestant("goipc openssl batch", of("goipc"), "batch", "openssl", True, "evp"),
        Contestant("goipc tomcrypt batch", of("goipc"), "batch", "tomcrypt", True, "tomcrypt"),
        Contestant("golang-ipc", of("go"), limit="socket"),
        Contestant("golang-ipc encrypted", of("go"), encrypted=True, limit="socket sealed"),
        Contestant("zeromq", of("zmq"), limit="socket batch"),
        Contestant("nng", of("nng"), limit="socket"),
        Contestant("evp", of("crypto"), crypto="openssl"),
        Contestant("tomcrypt", of("crypto"), crypto="tomcrypt"),
    )
    return {one.name: one for one in every if Path(one.program).exists()}


def workloads(quick: bool) -> list[Workload]:
    oneway = (
        "socket",
        "socket epoll",
        "socket batch",
        "goipc",
        "goipc cork",
        "goipc batch",
        "goipc openssl",
        "goipc openssl batch",
        "goipc tomcrypt batch",
        "golang-ipc",
        "golang-ipc encrypted",
        "zeromq",
        "nng",
        "socket sealed",
        "evp",
        "tomcrypt",
    )
    turns = ("socket", "socket epoll", "goipc", "goipc openssl", "golang-ipc", "golang-ipc encrypted", "zeromq", "nng")
    sizes = (64, MIB) if quick else SIZES
    made = [Workload("oneway", size, oneway) for size in sizes]
    made.append(Workload("back", 64, ("socket", "goipc", "goipc batch", "golang-ipc")))
    idle = tuple(
        Workload("roundtrip", 64, ("goipc", "goipc openssl"), clients)
        for clients in ((1000,) if quick else (100, 1000))
    )
    made.append(Workload("roundtrip", 64, turns, beside=idle))
    if not quick:
        made.append(Workload("roundtrip", 64 * KIB, turns))
    made.append(
        Workload("handshake", 0, ("socket", "goipc", "goipc openssl", "goipc tomcrypt batch", "evp", "tomcrypt"))
    )
    return made

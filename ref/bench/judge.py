# SPDX-License-Identifier: MIT
"""Holds what was measured against the targets."""

from __future__ import annotations

from dataclasses import dataclass

from plan import MIB, PORT_SIZES, size_text


@dataclass(frozen=True)
class Target:
    text: str
    wanted: float
    measured: float | None
    at_most: bool

    @property
    def met(self) -> bool:
        if self.measured is None:
            return False
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


class Figures:
    """Looks rows up by workload and name."""

    def __init__(self, rows: list[dict]):
        self.by_key = {(row["workload"], row["size"], row["clients"], row["contestant"]): row for row in rows}

    def get(self, kind: str, size: int, name: str, clients: int = 1) -> dict | None:
        return self.by_key.get((kind, size, clients, name))

    def time_ratio(
        self, kind: str, size: int, name: str, other: str, clients: int = 1, other_clients: int | None = None
    ) -> float | None:
        """How many times as long `name` takes as `other`."""
        mine = self.get(kind, size, name, clients)
        theirs = self.get(kind, size, other, clients if other_clients is None else other_clients)
        if mine is None or theirs is None:
            return None
        if kind == "roundtrip":
            return mine["round_trip_us_p50"] / theirs["round_trip_us_p50"]
        return theirs["messages_per_s"] / mine["messages_per_s"]

    def rate_ratio(self, kind: str, size: int, name: str, other: str) -> float | None:
        ratio = self.time_ratio(kind, size, name, other)
        return None if ratio is None else 1 / ratio


def busier_over_cipher(figures: Figures, name: str, cipher: str, both: bool) -> float | None:
    """CPU time of the busier side over the bare cipher: seal and open, or the slower of the two."""
    mine, bare = figures.get("oneway", 64, name), figures.get("oneway", 64, cipher)
    if mine is None or bare is None:
        return None
    return mine["cpu_us_per_message"] / (sum if both else max)((bare["seal_us"], bare["open_us"]))


def large_encrypted_rows(figures: Figures) -> tuple[dict, dict, dict] | None:
    rows = tuple(figures.get("oneway", MIB, name) for name in ("goipc openssl", "socket sealed", "evp"))
    return None if None in rows else rows


def large_encrypted_limit_us(socket: dict, cipher: dict) -> float:
    """The time of a message at min(bare socket, the cipher's rate on one thread)."""
    return max(1e6 / socket["messages_per_s"], cipher["seal_us"], cipher["open_us"])


def large_encrypted(figures: Figures) -> float | None:
    """The rate over that limit."""
    rows = large_encrypted_rows(figures)
    if rows is None:
        return None
    mine, socket, cipher = rows
    return large_encrypted_limit_us(socket, cipher) * mine["messages_per_s"] / 1e6


def large_encrypted_possible(figures: Figures, processors: int) -> float | None:
    """What that ratio could be at best: the bare cipher's and the bare socket's work, both sides, spread
    evenly over all processors, and nothing else."""
    rows = large_encrypted_rows(figures)
    if rows is None:
        return None
    _, socket, cipher = rows
    work_us = cipher["seal_us"] + cipher["open_us"] + socket["cpu_us_per_message_both"]
    return large_encrypted_limit_us(socket, cipher) / (work_us / processors)


def best_bound(figures: Figures) -> float | None:
    """1 MiB with the default cipher: the rate over what the busier side allows that only seals or opens and calls
    the kernel, or the bare socket where that is slower."""
    rows = tuple(figures.get("oneway", MIB, name) for name in ("goipc best", "socket sealed", "best"))
    if None in rows:
        return None
    mine, socket, cipher = rows
    side_us = max(cipher["seal_us"], cipher["open_us"]) + socket["cpu_us_per_message"]
    return max(side_us, 1e6 / socket["messages_per_s"]) * mine["messages_per_s"] / 1e6


def best_over_plain(figures: Figures) -> float | None:
    """64 B, batch: CPU of the busier side, encrypted by default over plain."""
    mine, plain = (figures.get("oneway", 64, name) for name in ("goipc best batch", "goipc batch"))
    return None if mine is None or plain is None else mine["cpu_us_per_message"] / plain["cpu_us_per_message"]


def best_round_trip(figures: Figures) -> float | None:
    mine, plain = (figures.get("roundtrip", 64, name) for name in ("goipc best", "goipc"))
    return None if mine is None or plain is None else mine["round_trip_us_p50"] / plain["round_trip_us_p50"]


def small_encrypted_rows(figures: Figures) -> tuple[dict, dict, dict] | None:
    rows = tuple(figures.get("oneway", 64, name) for name in ("golang-ipc encrypted", "socket sealed batch", "evp"))
    return None if None in rows else rows


def small_encrypted_possible(figures: Figures) -> float | None:
    """How many times golang-ipc's rate a side has that does nothing but call the bare cipher and the bare socket."""
    rows = small_encrypted_rows(figures)
    if rows is None:
        return None
    peer, socket, cipher = rows
    side_us = max(cipher["seal_us"], cipher["open_us"]) + socket["cpu_us_per_message"]
    return 1e6 / side_us / peer["messages_per_s"]


def bounds(figures: Figures, processors: int) -> list[str]:
    """What the same run says of targets that nothing on this machine could meet, or hardly."""
    lines = []
    small = small_encrypted_possible(figures)
    if small is not None:
        _, socket, cipher = small_encrypted_rows(figures)
        lines.append(
            f"64 B encrypted costs at least {cipher['seal_us'] * 1e3:.0f} ns to seal, "
            f"{cipher['open_us'] * 1e3:.0f} ns to open and {socket['cpu_us_per_message'] * 1e3:.0f} ns in the kernel "
            f"on the busier side: that allows at best {small:.1f} times the rate of golang-ipc."
        )
    large = large_encrypted_possible(figures, processors)
    if large is not None:
        _, socket, cipher = large_encrypted_rows(figures)
        lines.append(
            f"1 MiB encrypted costs at least {cipher['seal_us']:.0f} us to seal, {cipher['open_us']:.0f} us to open "
            f"and {socket['cpu_us_per_message_both']:.0f} us in the kernel on both sides: on {processors} processors "
            f"that allows at best {large:.2f} of the slower of cipher and socket alone."
        )
    return lines


def idle_client_kib(figures: Figures, name: str) -> float | None:
    rows = [row for (kind, _, _, who), row in figures.by_key.items() if (kind, who) == ("idle", name)]
    return rows[0]["idle_client_kib"] if rows else None


def port_targets(figures: Figures, port: str, share: float) -> list[Target]:
    """A port's rate one way over golang-ipc's, at least `share`, and its round trip, which is to be shorter."""
    made = []
    for size in PORT_SIZES:
        for mode in ("", " encrypted"):
            what = f"one way {size_text(size)}{mode or ' plain'}: rate / golang-ipc"
            ratio = figures.rate_ratio("oneway", size, port + mode, f"golang-ipc{mode}")
            made.append(Target(f"{port}, {what}", share, ratio, False))
    for mode in ("", " encrypted"):
        ratio = figures.time_ratio("roundtrip", 64, port + mode, f"golang-ipc{mode}")
        made.append(Target(f"{port}, round trip 64 B{mode or ' plain'} / golang-ipc", 1, ratio, True))
    return made


def targets(figures: Figures, grown: list[dict]) -> list[Target]:
    f = figures
    batch, cork = f.get("oneway", 64, "goipc batch"), f.get("oneway", 64, "goipc cork")
    return [
        Target("round trip 64 B plain / bare socket", 1.10, f.time_ratio("roundtrip", 64, "goipc", "socket"), True),
        Target("golang-ipc / round trip 64 B plain", 25, f.time_ratio("roundtrip", 64, "golang-ipc", "goipc"), False),
        Target(
            "one way 64 B plain, single writes: rate / bare socket",
            0.90,
            f.rate_ratio("oneway", 64, "goipc", "socket"),
            False,
        ),
        Target(
            "one way 64 B plain, batch: rate / ZeroMQ", 3, f.rate_ratio("oneway", 64, "goipc batch", "zeromq"), False
        ),
        Target(
            "one way 64 B plain, batch: rate / golang-ipc",
            100,
            f.rate_ratio("oneway", 64, "goipc batch", "golang-ipc"),
            False,
        ),
        Target(
            "one way 64 B plain, batch: ns of CPU per message, busier side",
            35,
            batch and batch["cpu_us_per_message"] * 1e3,
            True,
        ),
        Target(
            "one way 64 B plain, corked: ns of CPU per message, busier side",
            60,
            cork and cork["cpu_us_per_message"] * 1e3,
            True,
        ),
        Target("one way 1 MiB plain: rate / bare socket", 0.90, f.rate_ratio("oneway", MIB, "goipc", "socket"), False),
        Target(
            "one way 64 B encrypted, batch: rate / golang-ipc",
            60,
            f.rate_ratio("oneway", 64, "goipc best batch", "golang-ipc encrypted"),
            False,
        ),
        Target("the same: CPU of the busier side / plain batch", 3, best_over_plain(f), True),
        Target("round trip 64 B encrypted / plain", 1.15, best_round_trip(f), True),
        Target("one way 1 MiB encrypted: rate / cipher and kernel on the busier side", 0.9, best_bound(f), False),
        Target(
            "one way 1 MiB encrypted: rate / golang-ipc",
            8,
            f.rate_ratio("oneway", MIB, "goipc best", "golang-ipc encrypted"),
            False,
        ),
        Target(
            "handshakes encrypted a second / golang-ipc",
            2,
            f.rate_ratio("handshake", 0, "goipc best", "golang-ipc encrypted"),
            False,
        ),
        Target(
            "handshake encrypted / key generation and agreement of one side",
            1.1,
            f.time_ratio("handshake", 0, "goipc best", "best"),
            True,
        ),
        Target("idle client, encrypted: KiB", 6, idle_client_kib(f, "goipc best"), True),
        Target(
            "one way 64 B encrypted (openssl), batch: rate / golang-ipc",
            20,
            f.rate_ratio("oneway", 64, "goipc openssl batch", "golang-ipc encrypted"),
            False,
        ),
        Target(
            "the same: CPU of the busier side / bare EVP seal + open",
            1.35,
            busier_over_cipher(f, "goipc openssl batch", "evp", True),
            True,
        ),
        Target("one way 1 MiB encrypted (openssl): rate / min(socket, EVP)", 0.85, large_encrypted(f), False),
        Target(
            "one way 64 B encrypted (tomcrypt): CPU of the busier side / bare seal or open",
            1.25,
            busier_over_cipher(f, "goipc tomcrypt batch", "tomcrypt", False),
            True,
        ),
        Target(
            "handshake (openssl) / key generation and agreement alone",
            1.2,
            f.time_ratio("handshake", 0, "goipc openssl", "evp"),
            True,
        ),
        Target(
            "handshake (tomcrypt) / key generation and agreement alone",
            1.2,
            f.time_ratio("handshake", 0, "goipc tomcrypt", "tomcrypt"),
            True,
        ),
        Target("idle client, plain: KiB", 4, idle_client_kib(f, "goipc"), True),
        Target("idle client, encrypted (openssl): KiB", 8, idle_client_kib(f, "goipc openssl"), True),
        Target(
            "round trip with 1,000 clients, one of them active / with one",
            1.1,
            f.time_ratio("roundtrip", 64, "goipc", "goipc", 1000, 1),
            True,
        ),
        *port_targets(f, "python", 0.5),
        *port_targets(f, "node", 1),
        *(Target(f"growth, exponent: {one['text']}", one["at_most"], one["exponent"], True) for one in grown),
    ]

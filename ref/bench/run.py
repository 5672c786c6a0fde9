# SPDX-License-Identifier: MIT
"""Measures libgoipc beside its peers and beside what the machine can do at all.

Every contestant is a program of two processes with the same command line (harness.h). In each round
all contestants of a workload run one after the other, so that whatever else the machine does hits
them alike; the figures are medians over the rounds, and what counts are the ratios within this run.

All that is shown and judged comes from the rows (--json): --from FILE makes tables, plot and document of
an earlier run without measuring again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 20  # of one run, which is meant to take less than a second
TIMEOUT_PER_CLIENT_S = 0.06  # on top: each idle client shakes hands first
ROUNDS_MIN = 3
DOCUMENT = ROOT / "ref/doc/performance.md"
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


@dataclass
class Measurement:
    """All runs of one contestant in one workload."""

    workload: Workload
    contestant: Contestant
    count: int
    runs: list[dict] = field(default_factory=list)
    syscalls_per_message: float | None = None

    def median(self, key: str) -> float | None:
        values = [run[key] for run in self.runs if key in run]
        return statistics.median(values) if values else None

    @property
    def seconds_per_message(self) -> float:
        return statistics.median(run["seconds"] / run["messages"] for run in self.runs)

    def us_per_message(self, *keys: str, total=sum) -> float | None:
        """The median of what the keys, in seconds, come to for one message."""
        values = [total(run[key] for key in keys) / run["messages"] * 1e6 for run in self.runs if keys[0] in run]
        return statistics.median(values) if values else None

    def row(self, limit: Measurement | None) -> dict:
        per_message = self.seconds_per_message
        ratio = limit.seconds_per_message / per_message if limit else None
        switches = statistics.median(
            (run.get("switches_client", 0) + run.get("switches_server", 0)) / run["messages"] for run in self.runs
        )
        return {
            "workload": self.workload.kind,
            "contestant": self.contestant.name,
            "crypto": self.contestant.crypto or None,
            "encrypted": self.contestant.encrypted,
            "size": self.workload.size,
            "clients": self.workload.clients + 1,
            "messages_per_s": 1 / per_message,
            "bytes_per_s": self.workload.size / per_message,
            "round_trip_us_p50": self.median("p50_us"),
            "round_trip_us_p99": self.median("p99_us"),
            "cpu_us_per_message": self.us_per_message("cpu_client_s", "cpu_server_s", total=max),
            "cpu_us_per_message_both": self.us_per_message("cpu_client_s", "cpu_server_s"),
            "seal_us": self.us_per_message("seal_s"),
            "open_us": self.us_per_message("open_s"),
            "rounds": len(self.runs),
            "switches_per_message": switches,
            "syscalls_per_message": self.syscalls_per_message,
            "rss_kib": self.median("rss_server_kib"),
            "ratio_to_limit": ratio,
        }


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


def build(binaries: Path) -> None:
    """The programs of bench_programs, and the Go one where there is Go."""
    preset = binaries.parents[1]
    subprocess.run(["cmake", "--build", preset, "--target", "bench_programs"], check=True, stdout=subprocess.DEVNULL)
    if shutil.which("go"):
        subprocess.run(["go", "build", "-o", binaries / "bench_go", "."], check=True, cwd=Path(__file__).parent / "go")


class ContestantError(Exception):
    """A contestant that crashed, hung or said nothing: the run goes on without it."""


def attempt(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """One run in a process group of its own, of which nothing stays behind."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def execute(command: list[str]) -> dict:
    words = " ".join([Path(command[0]).name, *command[1:]])
    clients = sum(int(word.removeprefix("clients=")) for word in command if word.startswith("clients="))
    timeout_s = TIMEOUT_S + clients * TIMEOUT_PER_CLIENT_S
    try:
        finished = attempt(command, timeout_s)
    except subprocess.TimeoutExpired:
        raise ContestantError(f"{words}: no end after {timeout_s:g} s") from None
    if finished.returncode != 0 or not finished.stdout.strip():
        raise ContestantError(f"{words}: {finished.stderr.strip() or f'exit status {finished.returncode}'}")
    return json.loads(finished.stdout.strip().splitlines()[-1])


def calibrate(contestant: Contestant, workload: Workload, seconds: float) -> int:
    """How many messages take about `seconds`."""
    count = 20
    while True:
        run = execute(contestant.command(workload.kind, workload.size, count, workload.clients))
        if run["seconds"] >= seconds / 8 or count >= 20_000_000:
            wanted = count * seconds / max(run["seconds"], 1e-9)
            return max(10, min(int(wanted), 20_000_000, (2 << 30) // max(workload.size, 1)))
        count *= 8


def count_syscalls(contestant: Contestant, workload: Workload) -> float | None:
    """System calls of both sides per message: the difference of two runs that differ in length only."""
    if shutil.which("strace") is None:
        return None
    counts = (200, 1200)
    totals = []
    for count in counts:
        with tempfile.NamedTemporaryFile() as out:
            command = contestant.command(workload.kind, workload.size, count, workload.clients)
            try:
                finished = attempt(["strace", "-f", "-c", "-U", "calls,name", "-o", out.name, *command], TIMEOUT_S)
            except subprocess.TimeoutExpired:
                return None
            if finished.returncode != 0:
                return None
            lines = Path(out.name).read_text(encoding="utf-8").splitlines()
        totals.append(sum(int(match[1]) for line in lines if (match := re.match(r"\s*(\d+)\s+(?!total)\S+$", line))))
    return (totals[1] - totals[0]) / (counts[1] - counts[0])


class Bench:
    """One run of everything, within a budget of time: late workloads get fewer rounds, never none."""

    def __init__(self, known: dict[str, Contestant], rounds: int, seconds: float, budget_s: float, progress: Progress):
        self.known = known
        self.rounds = rounds
        self.seconds = seconds
        self.progress = progress
        self.start_s = time.monotonic()
        self.budget_s = budget_s
        self.troubles: list[str] = []
        self.task = progress.add_task("bench")

    def here(self, workload: Workload) -> list[tuple[Workload, Contestant]]:
        """Who runs, those beside it among them."""
        return [
            (one, self.known[name])
            for one in (workload, *workload.beside)
            for name in one.contestants
            if name in self.known
        ]

    def step(self, workload: Workload, contestant: Contestant) -> None:
        self.progress.update(self.task, advance=1, description=f"{workload.label}: {contestant.name}")

    def run_once(self, measurement: Measurement) -> None:
        workload, contestant = measurement.workload, measurement.contestant
        self.step(workload, contestant)
        try:
            measurement.runs.append(
                execute(contestant.command(workload.kind, workload.size, measurement.count, workload.clients))
            )
        except ContestantError as error:
            self.troubles.append(f"{contestant.name}, {workload.label}: {error}")

    def begin(self, workload: Workload, contestant: Contestant) -> Measurement | None:
        self.step(workload, contestant)
        try:
            return Measurement(workload, contestant, calibrate(contestant, workload, self.seconds))
        except ContestantError as error:
            self.troubles.append(f"{contestant.name}, {workload.label}: left out: {error}")
            return None

    def measure_workload(self, workload: Workload, until_s: float) -> list[Measurement]:
        here = [made for one in self.here(workload) if (made := self.begin(*one)) is not None]
        for index in range(self.rounds):
            if index >= ROUNDS_MIN and time.monotonic() > until_s:
                self.troubles.append(f"{workload.label}: {index} rounds of {self.rounds}, for want of time")
                break
            # Alternating order, so that no contestant always runs in the other's warmth.
            for one in here if index % 2 == 0 else reversed(here):
                if len(one.runs) == index:  # whoever failed once is not waited for again
                    self.run_once(one)
        for one in here:
            self.step(one.workload, one.contestant)
            if (
                one.workload.size <= 64 * KIB
                and one.workload.kind != "handshake"
                and not one.workload.clients
                and "crypto" not in Path(one.contestant.program).name
            ):
                one.syscalls_per_message = count_syscalls(one.contestant, one.workload)
        return [one for one in here if one.runs]

    def measure(self, workload_list: list[Workload]) -> list[Measurement]:
        shares = [len(self.here(workload)) for workload in workload_list]
        self.progress.update(self.task, total=(self.rounds + 2) * sum(shares))
        made: list[Measurement] = []
        for index, workload in enumerate(workload_list):
            # Each may use its share of the budget, and what those before it left of theirs.
            part = sum(shares[: index + 1]) / max(1, sum(shares))
            made += self.measure_workload(workload, self.start_s + self.budget_s * part)
        return made


# --- what the figures are held against ------------------------------------------------------------


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
        self.by_key = {(row["workload"], row["size"], row["clients"] - 1, row["contestant"]): row for row in rows}

    def get(self, kind: str, size: int, name: str, clients: int = 0) -> dict | None:
        return self.by_key.get((kind, size, clients, name))

    def time_ratio(
        self, kind: str, size: int, name: str, other: str, clients: int = 0, other_clients: int | None = None
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


def idle_client_kib(figures: Figures, name: str) -> float | None:
    crowded = figures.get("roundtrip", 64, name, 1000)
    alone = figures.get("roundtrip", 64, name)
    if crowded is None or alone is None:
        return None
    return (crowded["rss_kib"] - alone["rss_kib"]) / 1000


def targets(figures: Figures) -> list[Target]:
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
            60,
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
            f.time_ratio("handshake", 0, "goipc tomcrypt batch", "tomcrypt"),
            True,
        ),
        Target("idle client, plain: KiB", 4, idle_client_kib(f, "goipc"), True),
        Target("idle client, encrypted (openssl): KiB", 8, idle_client_kib(f, "goipc openssl"), True),
        Target(
            "round trip with 1,000 idle clients / with none",
            1.1,
            f.time_ratio("roundtrip", 64, "goipc", "goipc", 1000, 0),
            True,
        ),
    ]


# --- growth ---------------------------------------------------------------------------------------


def growth(known: dict[str, Contestant], seconds: float) -> list[tuple[str, list[float], float]]:
    """Three decades of each quantity; the exponent of time per unit over it, 0 where it is flat."""
    single, batch = known["goipc"], known["goipc batch"]

    def slope(points: list[tuple[float, float]]) -> float:
        xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
        mx, my = statistics.mean(xs), statistics.mean(ys)
        return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum((x - mx) ** 2 for x in xs)

    def best(command: list[str]) -> dict:
        return min((execute(command) for _ in range(3)), key=lambda run: run["seconds"])

    made = []
    counts = [
        (n, best(batch.command("oneway", 64, n))["seconds"] / n)
        for n in (10_000, 100_000, 1_000_000, 10_000_000 if seconds > 0.2 else 3_000_000)
    ]
    made.append(("ns per message over message count", [y * 1e9 for _, y in counts], slope(counts[1:])))
    sizes = []
    for size in (3 * KIB, 30 * KIB, 300 * KIB, 3 * MIB):
        count = max(64, (512 if seconds > 0.2 else 128) * MIB // size)
        sizes.append((size, best(single.command("oneway", size, count))["seconds"] / count / size))
    made.append(("ns per byte over message size", [y * 1e9 for _, y in sizes], slope(sizes)))
    clients = [(n, best(single.command("roundtrip", 64, 2000, n))["p50_us"]) for n in (1, 10, 100, 1000)]
    made.append(("us per round trip over idle clients", [y for _, y in clients], slope(clients)))
    return made


# --- what a person sees -----------------------------------------------------------------------------


def rate_text(per_s: float) -> str:
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if per_s >= unit:
            return f"{per_s / unit:.3g} {name}"
    return f"{per_s:.3g}"


def optional(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def show(rows: list[dict], console: Console) -> None:
    by_workload: dict[Workload, list[dict]] = {}
    for row in rows:
        by_workload.setdefault(Workload(row["workload"], row["size"], (), row["clients"] - 1), []).append(row)
    for workload, group in by_workload.items():
        table = Table(title=workload.label, title_justify="left", title_style="bold")
        for heading in (
            "contestant",
            "per s",
            "MB/s",
            "p50 us",
            "p99 us",
            "CPU us",
            "switches",
            "calls",
            "RSS KiB",
            "/ limit",
        ):
            table.add_column(heading, justify="left" if heading == "contestant" else "right")
        for row in sorted(group, key=lambda one: -one["messages_per_s"]):
            table.add_row(
                row["contestant"],
                rate_text(row["messages_per_s"]),
                f"{row['bytes_per_s'] / 1e6:.4g}",
                optional(row["round_trip_us_p50"], ".1f"),
                optional(row["round_trip_us_p99"], ".1f"),
                optional(row["cpu_us_per_message"], ".3f"),
                f"{row['switches_per_message']:.3f}",
                optional(row["syscalls_per_message"], ".3f"),
                optional(row["rss_kib"], ".0f"),
                optional(row["ratio_to_limit"], ".2f"),
            )
        console.print(table)


def show_targets(judged: list[Target], console: Console) -> None:
    table = Table(title="targets", title_justify="left", title_style="bold")
    for heading in ("", "what", "wanted", "measured"):
        table.add_column(heading)
    for target in judged:
        table.add_row(
            "met" if target.met else "missed",
            target.text,
            f"{'<=' if target.at_most else '>='} {target.wanted:g}",
            "not measured" if target.measured is None else f"{target.measured:.4g}",
        )
    console.print(table)


# --- the picture ----------------------------------------------------------------------------------

PLOT_WIDTH, PLOT_HEIGHT, PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, PLOT_BOTTOM = 900, 520, 70, 190, 20, 50
COLOURS = (
    "#1f77b4",
    "#d62728",
    "#2ca02c",
    "#ff7f0e",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#17becf",
    "#7f7f7f",
    "#bcbd22",
    "#000080",
    "#800000",
    "#006400",
)


def decades(values: list[float]) -> tuple[int, int]:
    """The powers of ten around all values."""
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def plot(rows: list[dict], path: Path) -> None:
    """Rate over message size, one line per contestant: the picture in the documentation."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["workload"] == "oneway" and row["contestant"] not in ("evp", "tomcrypt", "socket sealed"):
            lines.setdefault(row["contestant"], []).append((row["size"], row["messages_per_s"]))
    every = [point for points in lines.values() for point in points]
    if not every:
        raise ValueError("no one-way workload was measured: nothing to plot")
    (x_low, x_high), (y_low, y_high) = decades([x for x, _ in every]), decades([y for _, y in every])

    def at(x: float, y: float) -> tuple[float, float]:
        width, height = PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT, PLOT_HEIGHT - PLOT_TOP - PLOT_BOTTOM
        return (
            PLOT_LEFT + (math.log10(x) - x_low) / max(1, x_high - x_low) * width,
            PLOT_TOP + (y_high - math.log10(y)) / max(1, y_high - y_low) * height,
        )

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {PLOT_WIDTH} {PLOT_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        "<title>Messages per second over message size, one way</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for power in range(x_low, x_high + 1):
        (x, bottom), (_, top) = at(10.0**power, 10.0**y_low), at(10.0**power, 10.0**y_high)
        out.append(
            f'<path d="M{x:.1f} {bottom:.1f}V{top:.1f}" stroke="#ddd"/>'
            f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{10**power:,}</text>'
        )
    for power in range(y_low, y_high + 1):
        (left, y), (right, _) = at(10.0**x_low, 10.0**power), at(10.0**x_high, 10.0**power)
        out.append(
            f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="#ddd"/>'
            f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{rate_text(10.0**power)}</text>'
        )
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        dashed = ' stroke-dasharray="6 4"' if name.startswith("socket") else ""
        course = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in sorted(points)))
        legend_x, legend_y = PLOT_WIDTH - PLOT_RIGHT + 14, PLOT_TOP + 12 + 20 * index
        out.append(
            f'<polyline points="{course}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'
            f'<path d="M{legend_x} {legend_y}h24" stroke="{colour}" stroke-width="2"{dashed}/>'
            f'<text x="{legend_x + 30}" y="{legend_y + 4}">{name}</text>'
        )
    middle = (PLOT_LEFT + PLOT_WIDTH - PLOT_RIGHT) / 2
    out.append(
        f'<text x="{middle}" y="{PLOT_HEIGHT - 12}" text-anchor="middle">bytes of data in a message</text>'
        f'<text transform="translate(16 {PLOT_HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        "messages per second, one way</text></svg>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(out) + "\n", encoding="utf-8")


# --- the document ---------------------------------------------------------------------------------

BEGIN, END = "<!-- begin: ./dev bench --document -->", "<!-- end -->"


def machine() -> dict:
    """What the figures were measured on, as far as readers need it."""
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    release = re.match(r"\d+\.\d+", platform.release())
    return {
        "processor": processor,
        "processors": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {release[0] if release else platform.release()}",
    }


def table(headings: tuple[str, ...], lines: list[tuple[str, ...]]) -> list[str]:
    """A Markdown table, the first column left, the others right; then an empty line."""
    marks = ["---", *["---:"] * (len(headings) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (headings, marks, *lines)] + [""]


def figure(value: float | None, form: str = ".3g") -> str:
    return "-" if value is None else format(value, form)


def document_text(result: dict) -> str:
    """The tables of performance.md."""
    rows, on = result["rows"], result["machine"]
    figures = Figures(rows)
    names = list(dict.fromkeys(row["contestant"] for row in rows))
    sizes = sorted({row["size"] for row in rows if row["workload"] == "oneway"})
    rounds = {row["rounds"] for row in rows}

    def cells(kind: str, size: int, name: str, *keys: str, clients: int = 0) -> list[dict]:
        row = figures.get(kind, size, name, clients)
        return [] if row is None or any(row[key] is None for key in keys) else [row]

    out = [
        f"Measured on {on['processors']} processors ({on['processor']}, {on['system']}), medians of "
        f"{min(rounds)} to {max(rounds)} rounds.",
        "",
    ]
    out += table(
        ("target", "wanted", "measured", ""),
        [
            (
                target.text,
                f"{'<=' if target.at_most else '>='} {target.wanted:g}",
                figure(target.measured, ".4g"),
                "met" if target.met else "**missed**",
            )
            for target in targets(figures)
        ],
    )
    possible = large_encrypted_possible(figures, on["processors"])
    if possible is not None:
        _, socket, cipher = large_encrypted_rows(figures)
        out += [
            f"1 MiB encrypted costs at least {cipher['seal_us']:.0f} us to seal, {cipher['open_us']:.0f} us to "
            f"open and {socket['cpu_us_per_message_both']:.0f} us in the kernel on both sides: on "
            f"{on['processors']} processors that allows at best {possible:.2f} of the slower of cipher and socket "
            "alone.",
            "",
        ]
    out += table(
        ("one way, messages per second", *(size_text(size) for size in sizes)),
        [
            (
                name,
                *(next((rate_text(r["messages_per_s"]) for r in cells("oneway", size, name)), "-") for size in sizes),
            )
            for name in names
            if any(cells("oneway", size, name) for size in sizes) and name not in ("evp", "tomcrypt")
        ],
    )
    out += table(
        ("one way 64 B", "CPU of the busier side, ns per message", "system calls per message, both sides"),
        [
            (name, f"{row['cpu_us_per_message'] * 1e3:.0f}", figure(row["syscalls_per_message"], ".3f"))
            for name in names
            for row in cells("oneway", 64, name, "cpu_us_per_message")
        ],
    )
    out += table(
        ("round trip", "p50, us", "p99, us", "system calls"),
        [
            (
                f"{size_text(row['size'])}, {row['clients'] - 1} idle clients: {row['contestant']}"
                if row["clients"] > 1
                else f"{size_text(row['size'])}: {row['contestant']}",
                f"{row['round_trip_us_p50']:.1f}",
                f"{row['round_trip_us_p99']:.1f}",
                figure(row["syscalls_per_message"], ".2f"),
            )
            for row in rows
            if row["workload"] == "roundtrip"
        ],
    )
    out += table(
        ("handshakes", "per second"),
        [(row["contestant"], rate_text(row["messages_per_s"])) for row in rows if row["workload"] == "handshake"],
    )
    if result["growth"]:
        out += table(
            ("growth", "at each step, ten times as much", "exponent"),
            [
                (text, ", ".join(f"{p:.3g}" for p in points), f"{slope:+.2f}")
                for text, points, slope in result["growth"]
            ],
        )
    out += [f"- {line}" for line in result["troubles"]] + [""] * bool(result["troubles"])
    return "\n".join(out)


def write_document(result: dict, path: Path) -> None:
    """Puts the tables between the two marks."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path.name}: no '{BEGIN}' with '{END}' behind it")
    path.write_text(f"{before}{BEGIN}\n\n{document_text(result)}\n{END}{after}", encoding="utf-8")


# --- the program ----------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes, 3 short rounds: about a minute")
    parser.add_argument("--rounds", type=int, help="rounds per workload (5; 3 with --quick)")
    parser.add_argument("--seconds", type=float, help="how long one run takes, about (0.4; 0.06 with --quick)")
    parser.add_argument("--minutes", type=float, default=10, help="the time for all rounds, about (10)")
    parser.add_argument("--only", metavar="TEXT", help="only workloads whose label contains TEXT")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE")
    parser.add_argument("--from", type=Path, metavar="FILE", dest="source", help="measure nothing: show FILE again")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the plot (SVG) to FILE")
    parser.add_argument("--document", action="store_true", help="write the tables into ref/doc/performance.md")
    parser.add_argument("--binaries", type=Path, default=ROOT / "build/release/ref/bench", help=argparse.SUPPRESS)
    parser.add_argument("--strict", action="store_true", help="fail when a target is missed")
    options = parser.parse_args()
    if options.only and options.document:
        parser.error("--document needs all workloads")
    return options


def run_all(options: argparse.Namespace, console: Console) -> dict | None:
    """Measures; None when there is nothing to measure."""
    try:
        build(options.binaries)
    except (OSError, subprocess.CalledProcessError) as error:
        console.print(f"bench: {error}")
        return None
    known = contestants(options.binaries)
    if "goipc" not in known:
        console.print(f"bench: no contestants in {options.binaries}")
        return None
    for name in sorted({"zeromq", "nng", "golang-ipc", "evp"} - set(known)):
        console.print(f"SKIP {name}: its program was not built (library or Go not found)")
    rounds = options.rounds or (3 if options.quick else 5)
    seconds = options.seconds or (0.06 if options.quick else 0.4)
    wanted = [w for w in workloads(options.quick) if not options.only or options.only in w.label]
    with Progress(console=console, transient=True, disable=not sys.stdout.isatty()) as progress:
        bench = Bench(known, rounds, seconds, options.minutes * 60, progress)
        measurements = bench.measure(wanted)
    by_key = {(one.workload, one.contestant.name): one for one in measurements}
    rows = [one.row(by_key.get((one.workload, one.contestant.limit))) for one in measurements]
    grown = []
    if not options.only:
        try:
            grown = growth(known, seconds)
        except ContestantError as error:
            bench.troubles.append(f"growth: {error}")
    return {"machine": machine(), "rows": rows, "growth": grown, "troubles": bench.troubles}


def main() -> int:
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 130)
    result = json.loads(options.source.read_text(encoding="utf-8")) if options.source else run_all(options, console)
    if result is None:
        return 2
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    show(result["rows"], console)
    judged = [] if options.only else targets(Figures(result["rows"]))
    if judged:
        show_targets(judged, console)
    for text, points, slope in result["growth"]:
        console.print(f"growth: {text}: {', '.join(f'{p:.3g}' for p in points)}; exponent {slope:+.3f}")
    for line in result["troubles"]:
        console.print(f"TROUBLE {line}", markup=False)
    if options.plot:
        plot(result["rows"], options.plot)
    if options.document:
        write_document(result, DOCUMENT)
    missed = sum(not target.met for target in judged)
    console.print(f"{len(judged) - missed} passed, {missed} failed, 0 skipped" if judged else "done")
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())

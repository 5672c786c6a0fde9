# SPDX-License-Identifier: MIT
"""Runs the contestants, in turn and within a budget of time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from plan import KIB, Contestant, Workload
from rich.progress import Progress

TIMEOUT_S = 6  # of one run, which is meant to take less than a second: golang-ipc and ZeroMQ hang now and then
TRACE_TIMEOUT_S = 10  # under strace
QUICK_TIMEOUT_S = 5
TIMEOUT_PER_CLIENT_S = 0.06  # on top: each idle client shakes hands first
BEGINNINGS_MAX = 2
ROUNDS_MIN = 5  # unless it is to be quick
SHORTEST = 1 / 8  # of the usual time of a run: for want of time runs become shorter before they become fewer


@dataclass
class Measurement:
    """All runs of one contestant in one workload."""

    workload: Workload
    contestant: Contestant
    count: int
    runs: list[dict] = field(default_factory=list)
    syscalls_per_message: float | None = None

    def median(self, key: str) -> float | None:
        values = [run[key] for run in self.runs if run.get(key) is not None]
        return statistics.median(values) if values else None

    @property
    def seconds_per_message(self) -> float:
        return statistics.median(run["seconds"] / run["messages"] for run in self.runs)

    def per_message(self, *keys: str, total=sum) -> float | None:
        """The median of what the keys come to for one message; None where a contestant cannot tell."""
        values = [
            total(run[key] for key in keys) / run["messages"]
            for run in self.runs
            if all(run.get(key) is not None for key in keys)
        ]
        return statistics.median(values) if values else None

    def us_per_message(self, *keys: str, total=sum) -> float | None:
        seconds = self.per_message(*keys, total=total)
        return None if seconds is None else seconds * 1e6

    def row(self, limit_s: float | None) -> dict:
        per_message = self.seconds_per_message
        idle_kib = self.idle_client_kib()
        return {
            "workload": self.workload.kind,
            "contestant": self.contestant.name,
            "crypto": self.contestant.crypto or None,
            "encrypted": self.contestant.encrypted,
            "size": self.workload.size,
            "clients": self.workload.clients,
            "messages_per_s": 1 / per_message,
            "bytes_per_s": self.workload.size / per_message,
            "round_trip_us_p50": self.median("p50_us"),
            "round_trip_us_p99": self.median("p99_us"),
            "cpu_us_per_message": self.us_per_message("cpu_client_s", "cpu_server_s", total=max),
            "cpu_us_per_message_both": self.us_per_message("cpu_client_s", "cpu_server_s"),
            "seal_us": self.us_per_message("seal_s"),
            "open_us": self.us_per_message("open_s"),
            "rounds": len(self.runs),
            "switches_per_message": self.per_message("switches_client", "switches_server"),
            "syscalls_per_message": self.syscalls_per_message,
            "rss_kib": self.median("rss_server_kib"),
            "idle_client_kib": idle_kib,
            "idle_cpu_us_per_s": self.idle_cpu_us_per_s(),
            "ratio_to_limit": None if limit_s is None else limit_s / per_message,
        }

    def idle_client_kib(self) -> float | None:
        """Memory of the server by idle client: how much it grew from one to all of them."""
        grown = [
            (run["rss_server_kib"] - run["rss_server_before_kib"]) / run["messages"]
            for run in self.runs
            if "idle_s" in run and run["rss_server_kib"] is not None
        ]
        return statistics.median(grown) if grown else None

    def idle_cpu_us_per_s(self) -> float | None:
        """What the server spends by second while all clients do nothing."""
        spent = [run["idle_cpu_s"] / run["idle_s"] * 1e6 for run in self.runs if run.get("idle_cpu_s") is not None]
        return statistics.median(spent) if spent else None


def limit_s(one: Measurement, every: list[Measurement]) -> float | None:
    """The least time that a message can take: min(bare socket, the slower of seal and open) as rates, as the
    two sides work at once; in a round trip they wait for each other, and the times add up."""
    by_key = {
        (other.workload.kind, other.workload.size, other.workload.clients, other.contestant.name): other
        for other in every
    }
    workload = one.workload

    def found(name: str) -> Measurement | None:
        # Idle clients cannot make anything faster, so the limit is the one without them.
        return by_key.get((workload.kind, workload.size, workload.clients, name)) or by_key.get(
            (workload.kind, workload.size, 1, name)
        )

    socket_name, cipher_name = workload.limits(one.contestant)
    socket, cipher = found(socket_name), found(cipher_name)
    if not socket_name and not cipher_name or socket_name and socket is None or cipher_name and cipher is None:
        return None
    socket_s = socket.seconds_per_message if socket else 0
    if cipher is None:
        return socket_s
    if workload.kind in ("oneway", "back"):
        return max(socket_s, cipher.per_message("seal_s"), cipher.per_message("open_s"))
    return socket_s + cipher.seconds_per_message


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
        # What it could not remove itself; under strace the name is another one.
        for left in Path("/tmp").glob(f"goipc-bench-{process.pid}.*"):
            left.unlink()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def execute(command: list[str], base_s: float | None = None) -> dict:
    words = " ".join([Path(command[0]).name, *command[1:]])
    clients = sum(int(word.removeprefix("clients=")) for word in command if word.startswith("clients="))
    timeout_s = (base_s or TIMEOUT_S) + clients * TIMEOUT_PER_CLIENT_S
    try:
        finished = attempt(command, timeout_s)
    except subprocess.TimeoutExpired:
        raise ContestantError(f"{words}: no end after {timeout_s:g} s") from None
    if finished.returncode != 0 or not finished.stdout.strip():
        raise ContestantError(f"{words}: {finished.stderr.strip() or f'exit status {finished.returncode}'}")
    return json.loads(finished.stdout.strip().splitlines()[-1])


def calibrate(contestant: Contestant, workload: Workload, seconds: float, timeout_s: float | None = None) -> int:
    """How many messages take about `seconds`; of idle clients there are as many as the workload says."""
    if workload.kind == "idle":
        return workload.clients
    count = 20
    while True:
        run = execute(contestant.command(workload.kind, workload.size, count, workload.clients), timeout_s)
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
                finished = attempt(
                    ["strace", "-f", "-c", "-U", "calls,name", "-o", out.name, *command], TRACE_TIMEOUT_S
                )
            except subprocess.TimeoutExpired:
                return None
            if finished.returncode != 0:
                return None
            lines = Path(out.name).read_text(encoding="utf-8").splitlines()
        totals.append(sum(int(match[1]) for line in lines if (match := re.match(r"\s*(\d+)\s+(?!total)\S+$", line))))
    return (totals[1] - totals[0]) / (counts[1] - counts[0])


class Bench:
    """One run of everything, within a budget of time: late workloads get shorter runs, then fewer rounds, but
    never fewer than `rounds_min`."""

    def __init__(
        self,
        known: dict[str, Contestant],
        rounds: int,
        seconds: float,
        budget_s: float,
        progress: Progress,
        quick: bool = False,
    ):
        self.known = known
        self.rounds = rounds
        self.rounds_min = min(rounds, 1 if quick else ROUNDS_MIN)
        self.seconds = seconds
        self.quick = quick
        self.timeout_s = QUICK_TIMEOUT_S if quick else None
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

    def step(self, text: str) -> None:
        self.progress.update(self.task, advance=1, description=text)

    def run_once(self, measurement: Measurement) -> None:
        workload, contestant = measurement.workload, measurement.contestant
        self.step(f"{workload.label}: {contestant.name}")
        try:
            measurement.runs.append(
                execute(
                    contestant.command(workload.kind, workload.size, measurement.count, workload.clients),
                    self.timeout_s,
                )
            )
        except ContestantError as error:
            self.troubles.append(f"{contestant.name}, {workload.label}: {error}")

    def begin(self, workload: Workload, contestant: Contestant, seconds: float) -> Measurement | None:
        """Where time does not press, a peer that hangs now and then is not left out for one such beginning."""
        self.step(f"{workload.label}: {contestant.name}")
        failures: list[ContestantError] = []
        count = None
        while count is None and len(failures) < (1 if self.quick else BEGINNINGS_MAX):
            try:
                count = calibrate(contestant, workload, seconds, self.timeout_s)
            except ContestantError as error:
                failures.append(error)
        if failures:
            what = "left out" if count is None else "only when begun again"
            self.troubles.append(f"{contestant.name}, {workload.label}: {what}: {failures[0]}")
        return None if count is None else Measurement(workload, contestant, count)

    def seconds_within(self, left_s: float, contestant_count: int) -> float:
        """How long a run may take, calibration and one more for the system calls among them."""
        share = left_s / max(1, contestant_count * (self.rounds + 2))
        return min(self.seconds, max(self.seconds * SHORTEST, share))

    def may_trace(self, one: Measurement) -> bool:
        program = Path(one.contestant.program).name
        return (
            one.workload.size <= 64 * KIB
            and one.workload.kind not in ("handshake", "idle")
            and one.workload.clients == 1
            and "crypto" not in program
            and not (self.quick and "go" == program.removeprefix("bench_"))  # seconds for each of its runs
        )

    def measure_workload(self, workload: Workload, until_s: float) -> list[Measurement]:
        everybody = self.here(workload)
        seconds = self.seconds_within(until_s - time.monotonic(), len(everybody))
        here = [made for one in everybody if (made := self.begin(*one, seconds)) is not None]
        for index in range(self.rounds):
            if index >= self.rounds_min and time.monotonic() > until_s:
                self.troubles.append(f"{workload.label}: {index} rounds of {self.rounds}, for want of time")
                break
            # Alternating order, so that no contestant always runs in the other's warmth.
            for one in here if index % 2 == 0 else reversed(here):
                if len(one.runs) == index:  # whoever failed once is not waited for again
                    self.run_once(one)
        for one in here:
            self.step(f"{one.workload.label}: {one.contestant.name}")
            if self.may_trace(one) and not (self.quick and time.monotonic() > until_s):
                one.syscalls_per_message = count_syscalls(one.contestant, one.workload)
        if seconds < self.seconds / 2:
            self.troubles.append(
                f"{workload.label}: runs of {seconds:.2g} s instead of {self.seconds:g}, as time ran short"
            )
        return [one for one in here if one.runs]

    def measure(self, workload_list: list[Workload], more_steps: int = 0) -> list[Measurement]:
        """`more_steps` of the progress are left for what comes behind."""
        shares = [len(self.here(workload)) for workload in workload_list]
        self.progress.update(self.task, total=(self.rounds + 2) * sum(shares) + more_steps)
        made: list[Measurement] = []
        for index, workload in enumerate(workload_list):
            # Each may use its share of the budget, and what those before it left of theirs.
            part = sum(shares[: index + 1]) / max(1, sum(shares))
            made += self.measure_workload(workload, self.start_s + self.budget_s * part)
        return made

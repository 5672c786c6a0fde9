# SPDX-License-Identifier: MIT
"""How time and memory grow with the count and size of messages and with the number of clients."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass

from measure import execute
from plan import KIB, MIB, Contestant

STEPS = 12  # points in all, as the progress counts them
REPEATS = 3

# Exponents over three decades. 0.1 comes to a factor of 2 from end to end, which a busy machine makes of
# nothing; what grows with every message, byte or client has 0.5 and more.
TIME_AT_MOST = 0.10
MEMORY_AT_MOST = 0.05
# Buffers may hold one or two messages of any size: three times the memory of the bare server with 3 MiB.
MEMORY_OVER_SIZE_AT_MOST = 0.16


@dataclass(frozen=True)
class Growth:
    """What was seen at each step of ten, the exponent fitted to it, and the largest that is in order."""

    text: str
    points: list[float]
    exponent: float
    at_most: float


def slope(points: list[tuple[float, float]]) -> float:
    """The exponent of y over x, 0 where it is flat."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mx, my = statistics.mean(xs), statistics.mean(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum((x - mx) ** 2 for x in xs)


def steepest(points: list[tuple[float, float]]) -> float:
    """The larger exponent of all points and of all but the first: where the first carries what starting
    costs, it hides that the others rise."""
    return max(slope(points), slope(points[1:]))


def fit(text: str, points: list[tuple[float, float]], at_most: float) -> dict:
    return asdict(Growth(text, [y for _, y in points], steepest(points), at_most))


def growth(
    known: dict[str, Contestant], seconds: float, step: Callable[[str], None], repeats: int = REPEATS
) -> list[dict]:
    """Three decades of each quantity; of each point the fastest run."""
    single, batch = known["goipc"], known["goipc batch"]
    long = seconds > 0.2

    def best(what: str, command: list[str]) -> dict:
        step(f"growth: {what}")
        return min((execute(command) for _ in range(repeats)), key=lambda run: run["seconds"])

    made = []

    def add(text: str, unit: str, memory_at_most: float, points: list[tuple[int, float, float | None]]) -> None:
        made.append(fit(f"{unit} over {text}", [(x, y) for x, y, _ in points], TIME_AT_MOST))
        memory = [(x, kib) for x, _, kib in points if kib is not None]
        if len(memory) == len(points):
            made.append(fit(f"KiB of the server over {text}", memory, memory_at_most))

    points: list[tuple[int, float, float | None]] = []
    for count in (10_000, 100_000, 1_000_000, 10_000_000):
        run = best(f"{count} messages", batch.command("oneway", 64, count))
        points.append((count, run["seconds"] / count * 1e9, run["rss_server_kib"]))
    add("message count", "ns per message", MEMORY_AT_MOST, points)
    points = []
    for size in (3 * KIB, 30 * KIB, 300 * KIB, 3 * MIB):
        count = max(64, (512 if long else 128) * MIB // size)
        run = best(f"{size} B", single.command("oneway", size, count))
        points.append((size, run["seconds"] / count / size * 1e9, run["rss_server_kib"]))
    add("message size", "ns per byte", MEMORY_OVER_SIZE_AT_MOST, points)
    points = []
    for clients in (1, 10, 100, 1000):
        run = best(f"{clients} clients", single.command("roundtrip", 64, 2000 if long else 1000, clients))
        points.append((clients, run["p50_us"], run["rss_server_kib"]))
    add("clients, one of them active", "us per round trip", MEMORY_AT_MOST, points)
    return made

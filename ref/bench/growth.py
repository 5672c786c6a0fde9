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
# nothing; what grows with every message or byte has 0.5 and more.
TIME_AT_MOST = 0.10
MEMORY_AT_MOST = 0.05
# Of what memory grew by for a byte or a client: a few pages more or less count at its small end.
MEMORY_EACH_AT_MOST = 0.25


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
    return max(slope(points), slope(points[1:])) if len(points) > 3 else slope(points)


def fit(text: str, points: list[tuple[float, float]], at_most: float) -> dict:
    return asdict(Growth(text, [y for _, y in points], steepest(points), at_most))


def each(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """What each unit of x adds to y, from the first point, which has all that is there without any."""
    (x0, y0), *others = points
    return [(x, max(y - y0, 0.01) / (x - x0)) for x, y in others]


def growth(
    known: dict[str, Contestant], seconds: float, step: Callable[[str], None], repeats: int = REPEATS
) -> list[dict]:
    """Three decades of each quantity; of each point the time of the fastest run, and the median of the memory."""
    single, batch = known["goipc"], known["goipc batch"]
    long = seconds > 0.2

    def best(what: str, command: list[str], count: int = repeats) -> dict:
        step(f"growth: {what}")
        runs = [execute(command) for _ in range(count)]
        resident = [run["rss_server_kib"] for run in runs]
        kib = None if None in resident else statistics.median(resident)
        return {**min(runs, key=lambda run: run["seconds"]), "rss_server_kib": kib}

    counts, sizes, clients = [], [], []
    for count in (10_000, 100_000, 1_000_000, 10_000_000):
        counts.append((count, best(f"{count} messages", batch.command("oneway", 64, count))))
    for size in (3 * KIB, 30 * KIB, 300 * KIB, 3 * MIB):
        count = max(64, (512 if long else 128) * MIB // size)
        sizes.append((size, best(f"{size} B", single.command("oneway", size, count))))
    for number in (1, 10, 100, 1000):
        command = single.command("roundtrip", 64, 2000 if long else 1000, number)
        # What a hundred of them take is a few pages, as many as one run differs from the next.
        clients.append((number, best(f"{number} clients", command, REPEATS)))
    made = [
        fit("ns per message over message count", [(n, run["seconds"] / n * 1e9) for n, run in counts], TIME_AT_MOST),
        fit(
            "ns per byte over message size",
            [(size, run["seconds"] / run["messages"] / size * 1e9) for size, run in sizes],
            TIME_AT_MOST,
        ),
        fit("us per round trip over clients", [(n, run["p50_us"]) for n, run in clients], TIME_AT_MOST),
    ]
    kib = [[(x, run["rss_server_kib"]) for x, run in points] for points in (counts, sizes, clients)]
    if all(value is not None for points in kib for _, value in points):
        made += [
            fit("KiB of the server over message count", kib[0], MEMORY_AT_MOST),
            fit(
                "bytes of the server per byte over message size",
                [(x, y * KIB) for x, y in each(kib[1])],
                MEMORY_EACH_AT_MOST,
            ),
            # Ten clients take a few pages: the least that can be told from none.
            fit("KiB of the server per client over clients", each(kib[2][1:]), MEMORY_EACH_AT_MOST),
        ]
    return made

# SPDX-License-Identifier: MIT
"""What people see of a run: tables, the picture, the document."""

from __future__ import annotations

import math
import os
import platform
import re
from pathlib import Path

from judge import Figures, Target, bounds, targets
from plan import KINDS, Workload, size_text
from rich.console import Console
from rich.table import Table


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
        by_workload.setdefault(Workload(row["workload"], row["size"], (), row["clients"]), []).append(row)
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
            *(("KiB each", "idle us/s") if workload.kind == "idle" else ("/ limit",)),
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
                optional(row["switches_per_message"], ".3f"),
                optional(row["syscalls_per_message"], ".3f"),
                optional(row["rss_kib"], ".0f"),
                *(
                    (optional(row["idle_client_kib"], ".2f"), optional(row["idle_cpu_us_per_s"], ".0f"))
                    if workload.kind == "idle"
                    else (optional(row["ratio_to_limit"], ".2f"),)
                ),
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
PLOTTED = (
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
)
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
        if row["workload"] == "oneway" and row["contestant"] in PLOTTED:
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
    rounds = {row["rounds"] for row in rows}

    def cells(kind: str, size: int, name: str, *keys: str, clients: int = 1) -> list[dict]:
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
            for target in targets(figures, result["growth"])
        ],
    )
    for line in bounds(figures, on["processors"]):
        out += [line, ""]
    for kind in ("oneway", "back"):
        sizes = sorted({row["size"] for row in rows if row["workload"] == kind})
        out += table(
            (f"{KINDS[kind]}, messages per second", *(size_text(size) for size in sizes)),
            [
                (
                    name,
                    *(next((rate_text(r["messages_per_s"]) for r in cells(kind, size, name)), "-") for size in sizes),
                )
                for name in names
                if any(cells(kind, size, name) for size in sizes) and name not in ("evp", "tomcrypt")
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
                f"{Workload(row['workload'], row['size'], (), row['clients']).label.removeprefix('round trip ')}: "
                f"{row['contestant']}",
                f"{row['round_trip_us_p50']:.1f}",
                f"{row['round_trip_us_p99']:.1f}",
                figure(row["syscalls_per_message"], ".2f"),
            )
            for row in rows
            if row["workload"] in ("roundtrip", "turns") and row["round_trip_us_p50"] is not None
        ],
    )
    out += table(
        ("handshakes", "per second"),
        [(row["contestant"], rate_text(row["messages_per_s"])) for row in rows if row["workload"] == "handshake"],
    )
    out += table(
        ("idle clients", "KiB of the server for each", "us of CPU per second"),
        [
            (f"{row['clients']}: {row['contestant']}", figure(row["idle_client_kib"]), figure(row["idle_cpu_us_per_s"]))
            for row in rows
            if row["workload"] == "idle"
        ],
    )
    if result["growth"]:
        out += table(
            ("growth", "at each step, ten times as much", "exponent"),
            [
                (one["text"], ", ".join(f"{point:.3g}" for point in one["points"]), f"{one['exponent']:+.2f}")
                for one in result["growth"]
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

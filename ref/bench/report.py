# SPDX-License-Identifier: MIT
"""What people see of a run: tables, the picture, the document."""

from __future__ import annotations

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

PLOTTED = (
    "socket",
    "socket epoll",
    "socket batch",
    "goipc",
    "goipc cork",
    "goipc batch",
    "goipc best",
    "goipc best batch",
    "goipc openssl batch",
    "goipc tomcrypt batch",
    "golang-ipc",
    "golang-ipc encrypted",
    "zeromq",
    "nng",
)
# Names that would be written over each other are moved apart by this much, as a factor.
LABEL_DISTANCE = 1.5


def plot(rows: list[dict], path: Path) -> None:
    """Rate over message size, a line per contestant with its name at its end: the picture in the documentation."""
    # Imported here because loading it takes a second.
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as pyplot

    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["workload"] == "oneway" and row["contestant"] in PLOTTED:
            lines.setdefault(row["contestant"], []).append((row["size"], row["messages_per_s"]))
    if not lines:
        raise ValueError("no one-way workload was measured: nothing to plot")
    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": "goipc", "font.family": "sans-serif"}):
        figure_, axes = pyplot.subplots(figsize=(9.5, 5.5), layout="constrained")
        colours = pyplot.get_cmap("tab20").colors
        height = 0.0
        for index, (name, points) in enumerate(sorted(lines.items(), key=lambda item: max(item[1])[1])):
            xs, ys = zip(*sorted(points), strict=True)
            style = "--" if name.startswith("socket") else "-"
            axes.loglog(xs, ys, style, color=colours[index % len(colours)], linewidth=2)
            height = max(ys[-1], height * LABEL_DISTANCE)
            axes.annotate(
                name, (xs[-1], ys[-1]), (xs[-1] * 1.8, height), color=colours[index % len(colours)],
                verticalalignment="center", arrowprops={"arrowstyle": "-", "color": "#bbb", "linewidth": 0.8},
            )  # fmt: skip
        axes.set(xlabel="bytes of data in a message", ylabel="messages per second, one way")
        axes.grid(color="#ddd")
        axes.spines[["top", "right"]].set_visible(False)
        path.parent.mkdir(parents=True, exist_ok=True)
        title = "Messages per second over message size, one way"
        figure_.savefig(path, format="svg", metadata={"Date": None, "Title": title})
        pyplot.close(figure_)
    # White space at ends of lines is matplotlib's.
    path.write_text(re.sub(r"[ \t]+$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")


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
                if any(cells(kind, size, name) for size in sizes) and name not in ("best", "evp", "tomcrypt")
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

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
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from growth import STEPS, growth
from judge import Figures, bounds, targets
from measure import Bench, ContestantError, limit_s
from plan import contestants, workloads
from report import machine, plot, show, show_targets, write_document
from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
MINUTES = 14.0  # for all rounds; growth takes half a minute more
QUICK_MINUTES = 0.7  # so that everything ends within a minute
DOCUMENT = ROOT / "ref/doc/performance.md"


def build(binaries: Path) -> None:
    """The programs of bench_programs, the Go one where there is Go, and the ports."""
    preset = binaries.parents[1]
    subprocess.run(["cmake", "--build", preset, "--target", "bench_programs"], check=True, stdout=subprocess.DEVNULL)
    if shutil.which("go"):
        subprocess.run(["go", "build", "-o", binaries / "bench_go", "."], check=True, cwd=Path(__file__).parent / "go")
    script(binaries / "bench_python", sys.executable, Path(__file__).with_name("bench_python.py"))
    if node := shutil.which("node"):
        script(binaries / "bench_node", node, ROOT / "ports/node/bench/bench.js")


def script(program: Path, interpreter: str, source: Path) -> None:
    """Makes a program of a script, so that every contestant is one."""
    program.write_text(f'#!/bin/sh\nexec "{interpreter}" "{source}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes, 3 short rounds: within a minute")
    parser.add_argument("--rounds", type=int, help="rounds per workload (5; 3 with --quick)")
    parser.add_argument("--seconds", type=float, help="how long one run takes, about (0.4; 0.05 with --quick)")
    parser.add_argument(
        "--minutes", type=float, help=f"the time for all rounds, about ({MINUTES:g}; {QUICK_MINUTES:g} with --quick)"
    )
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
    seconds = options.seconds or (0.05 if options.quick else 0.4)
    minutes = options.minutes or (QUICK_MINUTES if options.quick else MINUTES)
    wanted = [w for w in workloads(options.quick) if not options.only or options.only in w.label]
    grown = []
    started_s = time.monotonic()
    with Progress(console=console, transient=True, disable=not sys.stdout.isatty()) as progress:
        bench = Bench(
            known, options.rounds or (3 if options.quick else 5), seconds, minutes * 60, progress, options.quick
        )
        measurements = bench.measure(wanted, 0 if options.only else STEPS)
        if not options.only:
            try:
                grown = growth(known, seconds, bench.step, 1 if options.quick else 3)
            except ContestantError as error:
                bench.troubles.append(f"growth: {error}")
    rows = [one.row(limit_s(one, measurements)) for one in measurements]
    return {
        "machine": machine(),
        "seconds": time.monotonic() - started_s,
        "rows": rows,
        "growth": grown,
        "troubles": bench.troubles,
    }


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
    judged = [] if options.only else targets(Figures(result["rows"]), result["growth"])
    if judged:
        show_targets(judged, console)
        for line in bounds(Figures(result["rows"]), result["machine"]["processors"]):
            console.print(line, markup=False)
    for one in result["growth"]:
        points = ", ".join(f"{point:.3g}" for point in one["points"])
        console.print(f"growth: {one['text']}: {points}; exponent {one['exponent']:+.3f}")
    for line in result["troubles"]:
        console.print(f"TROUBLE {line}", markup=False)
    if options.plot:
        plot(result["rows"], options.plot)
    if options.document:
        write_document(result, DOCUMENT)
    missed = sum(not target.met for target in judged)
    console.print(f"{result['seconds']:.0f} s of measuring")
    console.print(f"{len(judged) - missed} passed, {missed} failed, 0 skipped" if judged else "done")
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks an implementation everything many times, on a quiet and on a loaded machine, and compares the verdicts.

usage: stability.py [--times N] [--load N] [--expect FILE] [--quiet-only] [SELECT ...] -- CMD ...

A case passes when it came out the same every time and was as required or recorded; otherwise its verdicts are shown
with how often each was seen. Known races (recorded with several outcomes, or XFLAKY) count as the same.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SUITE = Path(__file__).resolve().parent
BURN = "while True: pass"
RACE = "a recorded race"


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """Keeps so many processors busy meanwhile."""
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def ask(options: argparse.Namespace, words: list[str], report: Path) -> dict:
    command = [sys.executable, "-m", "goipc_conformance", "run", *options.select, "-q", "--json", str(report)]
    command += ["--timeout-scale", str(options.timeout_scale), "--repeats", "0" if not options.expect else "2"]
    command += ["--expect", options.expect] if options.expect else []
    environment = {**os.environ, "PYTHONPATH": str(SUITE)}
    report.unlink(missing_ok=True)
    done = subprocess.run(
        [*command, "--", *words], env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    document = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
    if document is None or document["run"]["fault"]:
        raise SystemExit(f"the suite could not run: {(done.stderr or done.stdout).strip()[-400:]}")
    return document


def word_for(case: dict) -> str:
    """What has to be the same: the verdict and the outcome, but for races that are on record."""
    recorded = (case.get("recorded") or {}).get("outcome", [])
    if case["verdict"] == "XFLAKY" or (len(recorded) > 1 and case["counts_as"] == "passed"):
        return RACE
    return f"{case['verdict']} {case['outcome'] or case['reason']}"


def differing(seen: dict[str, collections.Counter[str]]) -> list[str]:
    """The cases that came out in more than one way. A race may also come out as without it."""
    return [key for key, words in sorted(seen.items()) if len(set(words) - {RACE}) > 1]


def lines_of(seen: dict[str, collections.Counter[str]]) -> list[str]:
    return [
        f"DIFFERS {key}: " + ", ".join(f"{word} ({count} times)" for word, count in seen[key].most_common())
        for key in differing(seen)
    ]


def main() -> int:
    arguments = sys.argv[1:]
    at = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="stability.py", description=__doc__)
    parser.add_argument("select", nargs="*")
    parser.add_argument("--times", type=int, default=10, help="runs of each kind")
    parser.add_argument("--load", type=int, default=os.cpu_count() or 1, help="busy processes beside the loaded runs")
    parser.add_argument("--quiet-only", action="store_true", help="no loaded runs")
    parser.add_argument("--expect", metavar="FILE", help="what the implementation is known to do")
    parser.add_argument("--timeout-scale", type=float, default=3.0)
    options = parser.parse_args(arguments[:at])
    words = arguments[at + 1 :]
    if not words or options.times < 1:
        parser.error("end the command with -- CMD, and ask at least once")
    seen: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    failed: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="goipc-stability-") as folder:
        for kind in ("quiet",) if options.quiet_only else ("quiet", "loaded"):
            for number in range(1, options.times + 1):
                started = time.monotonic()
                with load(options.load if kind == "loaded" else 0):
                    document = ask(options, words, Path(folder) / "results.json")
                for case in document["cases"]:
                    seen[case["key"]][word_for(case)] += 1
                    if case["counts_as"] == "failed":
                        failed.add(case["key"])
                        print(f"FAIL {kind} run {number}: {case['key']} {case['verdict']} {case['outcome']}")
                print(f"{kind} run {number}: {document['totals']}, {time.monotonic() - started:.0f} s", flush=True)
    for line in lines_of(seen):
        print(line)
    failed.update(differing(seen))
    print(f"{len(seen) - len(failed)} passed, {len(failed)} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

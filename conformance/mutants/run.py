# SPDX-License-Identifier: MIT
"""Proves the suite: plants one fault at a time in the reference and asks whether any case notices.

A mutant is killed when at least one case fails, strictly: what is only tolerated counts as a failure here,
unless the reference itself does it. The default run asks of each
mutant only the cases that are known to kill it (kills.json, written by --full), which takes a
minute; --full runs every case against every mutant, writes the table anew, and says which cases
killed nothing.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import queue
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "build" / "mutants"
KILLS = HERE / "kills.json"
WORKERS = 2
JOBS = 8  # cases at once per worker: most of the time they wait
KILLERS_KEPT = 4  # as many cases as are asked in a quick run
# What the reference itself does by leave of the specification, so that it says nothing about a mutant.
TOLERATED = ("type.high.send", "api.connect-told")
COPIED = ("CMakeLists.txt", "ref", "conformance/CMakeLists.txt", "conformance/adapters/c")


@dataclass(frozen=True)
class Edit:
    """One replacement, by exact text or by pattern; it must fit exactly once."""

    file: str
    find: str = ""
    replace: str = ""
    pattern: str = ""
    replace_pattern: str = ""

    def apply(self, text: str) -> str:
        if self.pattern:
            changed, count = re.subn(self.pattern, self.replace_pattern, text)
        else:
            changed, count = text.replace(self.find, self.replace), text.count(self.find)
        if count != 1 or changed == text:
            raise ValueError(f"{self.file}: the text to replace stands there {count} times")
        return changed


@dataclass(frozen=True)
class Mutant:
    id: str
    edits: tuple[Edit, ...]
    like: str
    crypto: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(self.edits).encode()).hexdigest()[:8]


@dataclass
class Outcome:
    mutant: Mutant
    killers: list[str] = field(default_factory=list)
    error: str = ""
    ran: int = 0


def load() -> list[Mutant]:
    made = []
    for entry in tomllib.loads((HERE / "mutants.toml").read_text(encoding="utf-8"))["mutant"]:
        shared = {"file": entry["file"]}
        own = {key: entry[key] for key in ("find", "replace", "pattern", "replace_pattern") if key in entry}
        edits = [Edit(**shared, **own)] + [Edit(**(shared | more)) for more in entry.get("also", [])]
        made.append(Mutant(entry["id"], tuple(edits), entry["like"], entry.get("crypto", "")))
    return made


class Tree:
    """A private copy of the reference in which one worker plants and removes faults."""

    def __init__(self, index: int):
        self.root = WORK / f"tree{index}"
        self.build_dir = WORK / f"build{index}"
        self.adapter = self.build_dir / "conformance" / "goipc-adapter-c"

    def prepare(self) -> None:
        for name in COPIED:
            source, target = ROOT / name, self.root / name
            if source.is_dir():
                # Times are kept, so that what did not change is not built again.
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        self.run(
            "cmake",
            "-S",
            self.root,
            "-B",
            self.build_dir,
            "-G",
            "Ninja",
            "-DCMAKE_BUILD_TYPE=Release",
            "-DGOIPC_TESTS=ON",
            "-DCMAKE_C_FLAGS_RELEASE=-O1",
        )
        self.build()

    def build(self) -> None:
        self.run("cmake", "--build", self.build_dir, "-j", "1", "--target", "goipc-adapter-c")

    @staticmethod
    def run(*command: object) -> None:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError((done.stdout + done.stderr).strip()[-800:])

    def plant(self, mutant: Mutant) -> dict[Path, str]:
        """Changes the files; gives back what they held."""
        before: dict[Path, str] = {}
        for edit in mutant.edits:
            path = self.root / "ref" / "src" / edit.file
            text = path.read_text(encoding="utf-8")
            before.setdefault(path, text)
            path.write_text(edit.apply(text), encoding="utf-8")
        return before

    def judge(self, mutant: Mutant, cases: list[str], name: str, jobs: int) -> tuple[list[str], int]:
        """The IDs of the cases that did not pass, and how many ran."""
        report = WORK / f"{name}.json"
        report.unlink(missing_ok=True)
        adapter = [str(self.adapter)] + (["--crypto", mutant.crypto] if mutant.crypto else [])
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "goipc_conformance",
                "run",
                *cases,
                "--strict",
                "--repeats",
                "0",
                "-q",
                "-j",
                str(jobs),
                "--json",
                str(report),
                "--",
                *adapter,
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        if not report.exists():
            raise RuntimeError((done.stdout + done.stderr).strip()[-800:] or f"exit {done.returncode}")
        results = json.loads(report.read_text(encoding="utf-8"))["cases"]
        failed = [
            case["key"]
            for case in results
            if case["verdict"] not in ("PASS", "SKIP", "UNSUPPORTED") and case["case"] not in TOLERATED
        ]
        return failed, len(results)


def examine(tree: Tree, mutant: Mutant, cases: list[str], jobs: int) -> Outcome:
    outcome = Outcome(mutant)
    before: dict[Path, str] = {}
    try:
        before = tree.plant(mutant)
        tree.build()
        outcome.killers, outcome.ran = tree.judge(mutant, cases, mutant.id, jobs)
    except (RuntimeError, ValueError) as error:
        outcome.error = str(error)
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")
    return outcome


def every_case() -> list[dict]:
    listing = subprocess.run(
        [sys.executable, "-m", "goipc_conformance", "list", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(listing.stdout)


def one_of_each(cases: list[dict]) -> list[str]:
    """For each case, role and mode the first of its parameters: nearly always enough to notice a fault."""
    chosen: dict[tuple, str] = {}
    for case in cases:
        chosen.setdefault((case["case"], case["role"], case["params"].get("enc")), f"{case['role']}:{case['id']}")
    return list(chosen.values())


def examine_all(mutants: list[Mutant], known: dict[str, dict], full: bool, console: Console) -> list[Outcome]:
    sample = one_of_each(every_case())
    trees: queue.Queue[Tree] = queue.Queue()
    for index in range(WORKERS):
        tree = Tree(index)
        tree.prepare()
        trees.put(tree)

    def work(mutant: Mutant) -> Outcome:
        tree = trees.get()
        try:
            entry = known.get(mutant.id, {})
            # What has no known killer is asked with the sample, as on the first day.
            cases = sample if full or entry.get("digest") != mutant.digest else entry["killers"][:KILLERS_KEPT]
            outcome = examine(tree, mutant, cases, JOBS)
            if not outcome.killers and not outcome.error:
                # Those known to kill it may have been renamed, or the sample was too small: ask all.
                outcome = examine(tree, mutant, [], JOBS)
            return outcome
        finally:
            trees.put(tree)

    with (
        Progress(console=console, transient=True, disable=not sys.stdout.isatty()) as progress,
        concurrent.futures.ThreadPoolExecutor(WORKERS) as pool,
    ):
        task = progress.add_task("mutants", total=len(mutants))
        outcomes = []
        for outcome in pool.map(work, mutants):
            progress.advance(task)
            if outcome.error:
                console.print(f"ERROR {outcome.mutant.id}: {outcome.error}", markup=False)
            elif not outcome.killers:
                console.print(f"LIVES {outcome.mutant.id}: {outcome.mutant.like}", markup=False)
            elif full:
                console.print(f"killed {outcome.mutant.id} by {len(outcome.killers)}", markup=False)
            outcomes.append(outcome)
    return outcomes


def write_kills(outcomes: list[Outcome], every_case: list[dict]) -> list[str]:
    """The table for the documentation and for quick runs. Gives the cases that killed nothing."""
    table = {
        o.mutant.id: {
            "digest": o.mutant.digest,
            "like": o.mutant.like,
            "killed_by": len(o.killers),
            "killers": spread(o.killers),
        }
        for o in outcomes
    }
    killed_something = {base(killer) for o in outcomes for killer in o.killers}
    idle = sorted({base(case["id"]) for case in every_case} - killed_something)
    KILLS.write_text(json.dumps({"mutants": table, "kill_nothing": idle}, indent=1) + "\n", encoding="utf-8")
    return idle


def base(case: str) -> str:
    """The case without its role and parameters."""
    return case.split(":", 1)[-1].split("[", 1)[0]


def spread(killers: list[str]) -> list[str]:
    """Killers of different cases first, so that the few that are kept do not all hang on one."""
    seen: dict[str, list[str]] = {}
    for killer in killers:
        seen.setdefault(base(killer), []).append(killer)
    firsts = [group[0] for group in seen.values()]
    return (firsts + [killer for killer in killers if killer not in firsts])[:12]


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev mutants", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every case against every mutant; writes kills.json")
    parser.add_argument("--only", metavar="ID", action="append", help="only this mutant")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    mutants = [one for one in load() if not options.only or one.id in options.only]
    known = json.loads(KILLS.read_text(encoding="utf-8"))["mutants"] if KILLS.exists() else {}
    WORK.mkdir(parents=True, exist_ok=True)
    outcomes = examine_all(mutants, known, options.full, console)
    if options.full and not options.only:
        idle = write_kills(outcomes, every_case())
        console.print(f"{len(idle)} cases killed nothing: {', '.join(idle)}", markup=False)
    bad = [one for one in outcomes if one.error or not one.killers]
    for one in outcomes:
        if not one.killers and not one.error:
            console.print(f"FAIL {one.mutant.id}: {one.ran} cases passed", markup=False)
    console.print(f"{len(outcomes) - len(bad)} passed, {len(bad)} failed, 0 skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

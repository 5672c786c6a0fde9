# SPDX-License-Identifier: MIT
"""Proves the suite: plants one fault at a time in the reference and asks whether any case notices.

A mutant is killed when at least one case fails, twice in a row and strictly: what is only tolerated counts as a
failure here, unless the reference itself does it. The default run asks of each mutant only the cases that are known to
kill it (kills.json, written by --full), which takes a minute or two. --full asks every case of every mutant and writes
the table anew, with --only ID that mutant's part of it; --ask CASE asks just this case, and adds what it finds; --new
does both for the faults and cases that the table does not know yet.
--check runs nothing: it tells whether every fault can still be planted, whether the table agrees with the faults and
the cases, and whether each case finds a fault that few others find. --page FILE writes the table for readers.
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

from goipc_conformance import cases as _cases  # noqa: F401
from goipc_conformance.case import REGISTRY
from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "build" / "mutants"
FAULTS = HERE / "mutants.toml"
KILLS = HERE / "kills.json"
WORKERS = 2
JOBS = 8  # cases at once per worker: most of the time they wait
KILLERS_KEPT = 4  # as many cases as are asked in a quick run
SPECIFIC_MAX = 15  # a fault that more cases notice than that says little about any of them
FINE = ("PASS", "SKIP", "UNSUPPORTED", "FLAKY")  # FLAKY: what shows now and then may as well be the machine
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

    def files(self, root: Path) -> dict[Path, str]:
        """The files as they are with the fault. ValueError when it cannot be planted."""
        texts: dict[Path, str] = {}
        for edit in self.edits:
            path = self.source(root / "ref" / "src", edit.file)
            texts[path] = edit.apply(texts.get(path) or path.read_text(encoding="utf-8"))
        return texts

    @staticmethod
    def source(folder: Path, name: str) -> Path:
        """`name` relative to `folder`; or, without "../", the one file in `folder` whose path ends in it."""
        if name.startswith("../"):
            return (folder / name).resolve()
        found = [path.resolve() for path in folder.rglob(name)]
        if len(found) != 1:
            raise ValueError(f"{name}: {len(found)} files of this name in {folder}")
        return found[0]


@dataclass
class Outcome:
    mutant: Mutant
    killers: list[str] = field(default_factory=list)
    error: str = ""
    ran: int = 0


class ReferenceFails(Exception):
    """The reference without a fault does not pass, so that its mutants prove nothing."""


def load() -> list[Mutant]:
    made = []
    for entry in tomllib.loads(FAULTS.read_text(encoding="utf-8"))["mutant"]:
        shared = {"file": entry["file"]}
        own = {key: entry[key] for key in ("find", "replace", "pattern", "replace_pattern") if key in entry}
        edits = [Edit(**shared, **own)] + [Edit(**(shared | more)) for more in entry.get("also", [])]
        made.append(Mutant(entry["id"], tuple(edits), entry["like"], entry.get("crypto", "")))
    return made


def refresh(source: Path, target: Path) -> None:
    """Copies what differs, with the time of now. An older time, the source's, would let objects built from a fault that
    an earlier run left behind pass for built from this file."""
    if not target.exists() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


class Tree:
    """A private copy of the reference in which one worker plants and removes faults."""

    def __init__(self, index: int):
        self.root = WORK / f"tree{index}"
        self.build_dir = WORK / f"build{index}"
        self.adapter = self.build_dir / "conformance" / "goipc-adapter-c"

    def prepare(self) -> None:
        for name in COPIED:
            source = ROOT / name
            for path in [source] if source.is_file() else sorted(source.rglob("*")):
                if path.is_file():
                    refresh(path, self.root / path.relative_to(ROOT))
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
            "-DGOIPC_IPO=OFF",
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
        changed = mutant.files(self.root)
        before = {path: path.read_text(encoding="utf-8") for path in changed}
        for path, text in changed.items():
            path.write_text(text, encoding="utf-8")
        return before

    def ask(self, cases: list[str], name: str, crypto: str, *options: str) -> list[dict]:
        """The results of the cases, of all when none is named."""
        report = WORK / f"{name}.json"
        report.unlink(missing_ok=True)
        adapter = [str(self.adapter)] + (["--crypto", crypto] if crypto else [])
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "goipc_conformance",
                "run",
                *cases,
                *options,
                "--repeats",
                "1",
                "-q",
                "-j",
                str(JOBS),
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
        document = json.loads(report.read_text(encoding="utf-8"))
        if document["run"].get("fault"):
            raise RuntimeError(document["run"]["fault"])
        return document["cases"]


def lenient_outcomes(tree: Tree) -> dict[str, list[str]]:
    """What the reference itself does by leave of the specification, by case: it says nothing about a mutant."""
    found: dict[str, set[str]] = {}
    for crypto in ("", "tomcrypt"):
        for case in tree.ask([], "reference", crypto):
            if case["verdict"] == "PASS-LENIENT":
                found.setdefault(case["case"], set()).add(case["outcome"])
            elif case["verdict"] not in FINE:
                raise ReferenceFails(f"the reference without a fault: {case['key']}: {case['verdict']}")
    return {case: sorted(outcomes) for case, outcomes in sorted(found.items())}


def examine(tree: Tree, mutant: Mutant, cases: list[str], lenient: dict[str, list[str]]) -> Outcome:
    outcome = Outcome(mutant)
    before: dict[Path, str] = {}
    try:
        before = tree.plant(mutant)
        tree.build()
        results = tree.ask(cases, mutant.id, mutant.crypto, "--strict")
        outcome.ran = len(results)
        outcome.killers = [
            case["key"]
            for case in results
            if case["verdict"] not in FINE and case.get("outcome") not in lenient.get(case["case"], ())
        ]
    except (OSError, RuntimeError, ValueError) as error:
        outcome.error = str(error)
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")
    return outcome


def sample_of_cases() -> list[str]:
    """For each case, role and mode the first of its parameters: nearly always enough to notice a fault."""
    chosen: dict[tuple, str] = {}
    for case in REGISTRY.values():
        for instance in case.instances() if "long" not in case.tags else ():
            key = (case.id, instance.role, instance.params.get("enc"))
            chosen.setdefault(key, f"{instance.role}:{instance.id}")
    return list(chosen.values())


def examine_all(mutants: list[Mutant], table: dict, full: bool, asked: list[str], console: Console) -> list[Outcome]:
    sample = asked or sample_of_cases()
    known = dict(table["mutants"])
    trees: queue.Queue[Tree] = queue.Queue()
    for index in range(WORKERS):
        tree = Tree(index)
        tree.prepare()
        trees.put(tree)
    if (full and len(mutants) == len(load())) or "lenient" not in table:
        table["lenient"] = lenient_outcomes(tree)

    def work(mutant: Mutant) -> Outcome:
        tree = trees.get()
        try:
            entry = known.get(mutant.id, {})
            # What has no known killer is asked with the sample, as on the first day.
            cases = sample if full or asked or entry.get("digest") != mutant.digest else entry["killers"][:KILLERS_KEPT]
            outcome = examine(tree, mutant, cases, table["lenient"])
            if not outcome.killers and not outcome.error and not asked:
                # Those known to kill it may have been renamed, or the sample was too small: ask all.
                outcome = examine(tree, mutant, [], table["lenient"])
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
            elif not outcome.killers and not asked:
                console.print(f"LIVES {outcome.mutant.id}: {outcome.mutant.like}", markup=False)
            elif outcome.killers and (full or asked):
                console.print(f"killed {outcome.mutant.id} by {len(outcome.killers)}", markup=False)
                record(table, outcome, add=bool(asked))  # at once, because the whole takes long
            outcomes.append(outcome)
    return outcomes


# The table


def read_table() -> dict:
    return json.loads(KILLS.read_text(encoding="utf-8")) if KILLS.exists() else {"mutants": {}}


def record(table: dict, outcome: Outcome, add: bool) -> None:
    earlier = table["mutants"].get(outcome.mutant.id, {})
    if add and earlier.get("digest") == outcome.mutant.digest:
        killers = earlier["killers"] + [killer for killer in outcome.killers if killer not in earlier["killers"]]
        cases = set(earlier["cases"]) | set(map(base, killers))
    else:
        killers, cases = outcome.killers, set(map(base, outcome.killers))
    table["mutants"][outcome.mutant.id] = {
        "digest": outcome.mutant.digest,
        "like": outcome.mutant.like,
        "killers": spread(killers),
        "cases": sorted(cases),
    }
    write_table(table)


def write_table(table: dict) -> None:
    found = table["mutants"]
    table["mutants"] = {mutant.id: found[mutant.id] for mutant in load() if mutant.id in found}
    KILLS.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


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


def kills_of(table: dict) -> dict[str, list[str]]:
    """The mutants that each case kills."""
    found: dict[str, list[str]] = {case: [] for case in REGISTRY}
    for name, entry in table["mutants"].items():
        for case in entry["cases"]:
            found.setdefault(case, []).append(name)
    return found


def page(table: dict) -> str:
    """The table for the documentation."""
    kills = kills_of(table)
    idle = [case for case, mutants in kills.items() if not mutants]
    lines = [
        "# The suite, proven",
        "",
        "Each row is a fault that was planted in the C reference, by itself, and what the suite made of it. Without a",
        "fault the reference passes everything; every fault is found; every case finds at least one, save those that",
        f"only show that what is good is taken ({len(idle)} of {len(REGISTRY)}).",
        "`./dev mutants` asks again in short.",
        "",
        f"## {len(table['mutants'])} faults",
        "",
        "| fault | where it was seen, or why it is easily made | found by | among them |",
        "|--|--|--|--|",
    ]
    for name, entry in table["mutants"].items():
        # The cases that find little else say most about a fault.
        first = sorted(entry["cases"], key=lambda case: (len(kills[case]), case))[:3]
        count = f"{len(entry['cases'])} case{'s' if len(entry['cases']) != 1 else ''}"
        lines.append(f"| `{name}` | {entry['like']} | {count} | {', '.join(map(link, first))} |")
    lines += ["", f"## {len(REGISTRY)} cases", "", "| case | finds |", "|--|--|"]
    for case in sorted(REGISTRY):
        found = kills[case]
        shown = ", ".join(f"`{name}`" for name in found[:2]) + (f" and {len(found) - 2} more" if len(found) > 2 else "")
        lines.append(f"| {link(case)} | {shown or 'nothing: it shows that what is good is taken'} |")
    return "\n".join(lines) + "\n"


def link(case: str) -> str:
    return f"[{case}](cases/{case}.md)"


def problems(mutants: list[Mutant], table: dict, root: Path = ROOT) -> list[str]:
    """What is wrong with the faults and the table, as far as it can be told without a run."""
    wrong: list[str] = []
    ids = [mutant.id for mutant in mutants]
    wrong += [f"{name}: two faults of this name" for name in sorted({one for one in ids if ids.count(one) > 1})]
    for mutant in mutants:
        try:
            mutant.files(root)
        except (OSError, ValueError) as error:
            wrong.append(f"{mutant.id}: cannot be planted: {error}")
        entry = table["mutants"].get(mutant.id)
        if entry is None or entry["digest"] != mutant.digest:
            wrong.append(f"{mutant.id}: the table knows another fault, or none; run --full --only {mutant.id}")
        elif not entry["killers"]:
            wrong.append(f"{mutant.id}: no case finds it")
    wrong += [f"{name}: in the table, but there is no such fault" for name in table["mutants"] if name not in ids]
    for case, killed in kills_of(table).items():
        if case not in REGISTRY:
            wrong.append(f"{case}: kills {', '.join(killed)} in the table, but there is no such case")
        elif not killed and not REGISTRY[case].positive:
            wrong.append(f"{case}: finds no fault and is not marked positive")
    return wrong + unspecific(table)


def unspecific(table: dict) -> list[str]:
    """Cases that have found only what nearly everything finds: whether they see their own matter is not shown."""
    wrong = []
    for case, killed in kills_of(table).items():
        if case not in REGISTRY or REGISTRY[case].positive or not killed:
            continue
        fewest = min(len(table["mutants"][name]["cases"]) for name in killed)
        if fewest > SPECIFIC_MAX:
            wrong.append(f"{case}: finds only faults that {fewest} cases or more find; plant one for it")
    return wrong


def ask_new(console: Console) -> list[Outcome]:
    """Asks every case of the faults, and every fault of the cases, that the table does not know yet."""
    mutants, table = load(), read_table()
    new = [one for one in mutants if table["mutants"].get(one.id, {}).get("digest") != one.digest]
    outcomes = examine_all(new, table, True, [], console) if new else []
    idle = [case for case, killed in kills_of(table).items() if not killed and not REGISTRY[case].positive]
    return outcomes + (examine_all(mutants, table, False, idle, console) if idle else [])


def check() -> int:
    mutants, table = load(), read_table()
    wrong = problems(mutants, table)
    for line in wrong:
        print(f"FAIL {line}")
    print(f"{max(0, len(mutants) + len(REGISTRY) - len(wrong))} passed, {len(wrong)} failed, 0 skipped")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev mutants", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every case against every mutant; writes kills.json")
    parser.add_argument("--only", metavar="ID", action="append", help="only this mutant")
    parser.add_argument(
        "--ask", metavar="CASE", action="append", default=[], help="ask only this, and add what it finds"
    )
    parser.add_argument("--check", action="store_true", help="runs nothing: can all be planted, is the table right")
    parser.add_argument("--new", action="store_true", help="ask what the table does not know yet, then --check")
    parser.add_argument("--page", metavar="FILE", type=Path, help="runs nothing: writes the table for readers")
    options = parser.parse_args()
    if options.check:
        return check()
    if options.page:
        options.page.parent.mkdir(parents=True, exist_ok=True)
        options.page.write_text(page(read_table()), encoding="utf-8")
        return 0
    console = Console(width=None if sys.stdout.isatty() else 160)
    mutants = [one for one in load() if not options.only or one.id in options.only]
    if not mutants:
        parser.error(f"the mutants are {', '.join(one.id for one in load())}")
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        if options.new:
            ask_new(console)
            return check()
        outcomes = examine_all(mutants, read_table(), options.full, options.ask, console)
    except ReferenceFails as error:
        print(f"FAIL {error}\n0 passed, 1 failed, 0 skipped")
        return 1
    bad = [one for one in outcomes if one.error or not (one.killers or options.ask)]
    for one in outcomes:
        if one in bad and not one.error:
            console.print(f"FAIL {one.mutant.id}: {one.ran} cases passed", markup=False)
    console.print(f"{len(outcomes) - len(bad)} passed, {len(bad)} failed, 0 skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

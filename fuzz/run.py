# SPDX-License-Identifier: MIT
"""Fuzzes the core, target by target, and reports in one line each.

    ./dev fuzz                          every target for 60 seconds
    ./dev fuzz --seconds 600 sealed     one target, longer
    ./dev fuzz --coverage               how much of the core the corpora reach, by file
    ./dev fuzz --merge                  what was found useful goes into the committed corpora

What the fuzzer learns is kept in build/fuzz-corpus and used the next time. A finding is written to
build/fuzz-findings/TARGET, made as small as possible, and fails the run; once it is understood it
belongs into fuzz/corpus/TARGET, so that it is replayed for ever.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
sys.path.insert(0, str(ROOT / "tools"))

import seeds  # noqa: E402
from tally import Tally, job_count  # noqa: E402

LEARNT = ROOT / "build" / "fuzz-corpus"
FINDINGS = ROOT / "build" / "fuzz-findings"
# The protocol itself; the back ends are listed too, but what fails inside a library cannot be provoked.
CORE = (
    "error.c",
    "wire.c",
    "secret.c",
    "buffer.c",
    "crypto.c",
    "crypto_choose.c",
    "crypto_self_test.c",
    "record.c",
    "handshake.c",
    "session.c",
)
BACK_ENDS = ("crypto_tomcrypt.c", "crypto_openssl.c", "crypto_nettle.c", "crypto_ipsec_mb.c")
INPUT_SIZE_MAX = {"sealed": 256, "pair": 512, "wire": 256}
COMMITTED_SIZE_MAX = 4096
STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)$", re.MULTILINE)
PROGRESS = re.compile(r"^#\d+\s.*\bcov: (\d+) ft: (\d+)", re.MULTILINE)


def targets() -> list[str]:
    return sorted(path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.c"))


def environment() -> dict[str, str]:
    return os.environ | {
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def build(preset: str) -> str | None:
    """Configures and builds the programs; the end of the output if that failed."""
    programs = [f"fuzz_{name}" for name in targets()]
    for command in (
        ["cmake", "--preset", preset],
        ["cmake", "--build", f"build/{preset}", "-j", str(job_count()), "--target", *programs],
    ):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            return "\n".join(done.stdout.splitlines()[-40:])
    return None


def program(preset: str, target: str) -> str:
    return str(ROOT / "build" / preset / "fuzz" / f"fuzz_{target}")


def learnt_folder(target: str) -> Path:
    folder = LEARNT / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def given(target: str) -> list[Path]:
    """What a target starts from: the committed corpus, and the vectors and conversations as they are now."""
    return [folder for folder in (FUZZ / "corpus" / target, seeds.GENERATED / target) if folder.is_dir()]


# ---- fuzzing ----------------------------------------------------------------------------------------


class Campaign:
    """One run of one target."""

    def __init__(self, target: str, seconds: int) -> None:
        self.target = target
        self.seconds = seconds
        self.findings = FINDINGS / target
        self.output = ""
        self.failed = False
        self.elapsed = 0.0

    def run(self) -> Campaign:
        self.findings.mkdir(parents=True, exist_ok=True)
        command = [
            program("sanitize", self.target),
            f"-max_total_time={self.seconds}",
            f"-max_len={INPUT_SIZE_MAX.get(self.target, 2048)}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            "-close_fd_mask=1",
            "-reload=0",
            f"-dict={FUZZ / 'goipc.dict'}",
            f"-artifact_prefix={self.findings}/",
        ]
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            # The negative target starts from what the server's target starts from, which holds no such
            # message, and must find its fault by itself: what was learnt before is not given to it.
            folders = [
                scratch if self.target == "negative" else str(learnt_folder(self.target)),
                *self.seeds(),
            ]
            done = subprocess.run(
                command + folders,
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=self.seconds + 300,
                check=False,
            )
        self.elapsed = time.monotonic() - started
        self.output = done.stdout
        self.failed = done.returncode != 0
        return self

    def seeds(self) -> list[str]:
        return [str(folder) for folder in given("session_server" if self.target == "negative" else self.target)]

    def summary(self) -> str:
        one = self.figures()
        return (
            f"{self.target:20} {one['runs']:>12,} runs  {one['runs'] / max(self.elapsed, 1):>9,.0f}/s  "
            f"{one['edges']:>5} edges  {one['features']:>6} features  {self.elapsed:5.0f} s"
        )

    def figures(self) -> dict:
        numbers = dict(STATISTIC.findall(self.output))
        progress = PROGRESS.findall(self.output)
        edges, features = progress[-1] if progress else (0, 0)
        return {
            "target": self.target,
            "seconds": round(self.elapsed),
            "runs": int(numbers.get("number_of_executed_units", 0)),
            "edges": int(edges),
            "features": int(features),
            "failed": self.failed,
        }

    def reason(self) -> str:
        for pattern in (r".*property violated.*", r".*ERROR: .*", r".*runtime error.*"):
            found = re.search(pattern, self.output)
            if found:
                return found.group(0)
        return self.output[-500:]

    def artifact(self) -> Path | None:
        found = re.search(r"Test unit written to (\S+)", self.output)
        return Path(found.group(1)) if found else None


def minimise(campaign: Campaign) -> str:
    """Makes a finding as small as it gets in half a minute; says where it is."""
    artifact = campaign.artifact()
    if artifact is None or not artifact.exists():
        return "no input was written"
    small = artifact.with_name("minimal-" + artifact.name)
    subprocess.run(
        [
            program("sanitize", campaign.target),
            "-minimize_crash=1",
            "-max_total_time=30",
            f"-exact_artifact_path={small}",
            str(artifact),
        ],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    best = small if small.exists() else artifact
    return f"{best.relative_to(ROOT)} ({best.stat().st_size} bytes)"


def fuzz(tally: Tally, chosen: list[str], seconds: int, jobs: int) -> list[dict]:
    """The figures of each."""
    done = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(Campaign(target, seconds).run) for target in chosen]
        for future in concurrent.futures.as_completed(waiting):
            campaign = future.result()
            done.append(campaign.figures())
            print(campaign.summary(), flush=True)
            if campaign.target == "negative":
                tally.check(
                    "property violated" in campaign.output,
                    "negative",
                    "the planted fault was not found: fuzzing does not look",
                )
            elif campaign.failed:
                tally.fail(campaign.target, f"{campaign.reason()}\n    input: {minimise(campaign)}")
            else:
                tally.ok()
    return sorted(done, key=lambda one: one["target"])


# ---- corpora ----------------------------------------------------------------------------------------


def merge(tally: Tally, chosen: list[str]) -> None:
    """Adds to the committed corpora what reaches something new there; never takes away."""
    for target in chosen:
        if target == "negative":
            continue
        committed = FUZZ / "corpus" / target
        committed.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            candidates = Path(scratch) / "candidates"
            reduced = Path(scratch) / "reduced"
            for folder in (candidates, reduced):
                folder.mkdir()
            for folder in (learnt_folder(target), seeds.GENERATED / target):
                for path in folder.iterdir():
                    if path.stat().st_size <= COMMITTED_SIZE_MAX:
                        shutil.copy(path, candidates)
            for path in committed.iterdir():
                shutil.copy(path, reduced)
            done = subprocess.run(
                [program("sanitize", target), "-merge=1", "-close_fd_mask=1", str(reduced), str(candidates)],
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            before = sum(1 for _ in committed.iterdir())
            for path in reduced.iterdir():
                data = path.read_bytes()
                (committed / hashlib.sha256(data).hexdigest()).write_bytes(data)
            after = sum(1 for _ in committed.iterdir())
            tally.check(done.returncode == 0, f"merge {target}", done.stdout[-500:])
            print(f"{target:20} {before} + {after - before} inputs")


# ---- coverage ---------------------------------------------------------------------------------------


def coverage(tally: Tally, chosen: list[str], minimum: float) -> None:
    profiles = ROOT / "build" / "fuzz-coverage" / "profiles"
    shutil.rmtree(profiles, ignore_errors=True)
    profiles.mkdir(parents=True)
    for target in chosen:
        if target == "negative":
            continue
        folders = [
            str(folder)
            for folder in (*given(target), learnt_folder(target))
            if folder.is_dir() and any(folder.iterdir())
        ]
        done = subprocess.run(
            [program("fuzz-coverage", target), *folders],
            cwd=ROOT,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment() | {"LLVM_PROFILE_FILE": str(profiles / f"{target}.profraw")},
        )
        tally.check(done.returncode == 0, f"coverage {target}", done.stdout[-500:])
    merged = profiles / "all.profdata"
    subprocess.run(
        ["llvm-profdata", "merge", "-sparse", "-o", str(merged), *map(str, profiles.glob("*.profraw"))],
        cwd=ROOT,
        check=True,
    )
    programs = [program("fuzz-coverage", target) for target in chosen if target != "negative"]
    objects = [programs[0]] + [word for path in programs[1:] for word in ("-object", path)]
    sources = [str(ROOT / "ref" / "src" / "core" / name) for name in CORE + BACK_ENDS]
    exported = subprocess.run(
        ["llvm-cov", "export", "-summary-only", f"-instr-profile={merged}", *objects, *sources],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    report(tally, json.loads(exported), minimum)
    html = ROOT / "build" / "fuzz-coverage" / "html"
    subprocess.run(
        ["llvm-cov", "show", "-format=html", f"-output-dir={html}", f"-instr-profile={merged}", *objects, *sources],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    print(f"line by line: {html.relative_to(ROOT)}/index.html")


def report(tally: Tally, exported: dict, minimum: float) -> None:
    summaries = {Path(entry["filename"]).name: entry["summary"] for entry in exported["data"][0]["files"]}
    print(f"{'file':20} {'regions':>15} {'lines':>15} {'functions':>12}")
    for name in CORE + BACK_ENDS:
        parts = [summaries[name][kind] for kind in ("regions", "lines", "functions")]
        print(
            f"{name:20} " + " ".join(f"{part['covered']:>5}/{part['count']:<4}{part['percent']:5.1f}" for part in parts)
        )
    covered = sum(summaries[name]["regions"]["covered"] for name in CORE)
    count = sum(summaries[name]["regions"]["count"] for name in CORE)
    percent = 100 * covered / count
    print(f"core ({', '.join(CORE)}): {covered} of {count} regions, {percent:.1f} %")
    tally.check(percent >= minimum, "coverage of the core", f"{percent:.1f} % of regions, wanted {minimum:g} %")


# ---- the front -------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all of them")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--jobs", type=int, default=job_count(), help="targets at once (default: processors)")
    parser.add_argument("--coverage", action="store_true", help="measure instead of fuzz")
    parser.add_argument("--minimum", type=float, default=95.0, help="region coverage of the core that is wanted")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the figures there as JSON")
    parser.add_argument("--merge", action="store_true", help="add to the committed corpora what reaches something new")
    parser.add_argument("--list", action="store_true", help="name the targets and what each of them checks")
    options = parser.parse_args()
    known = targets()
    for name in options.targets:
        if name not in known:
            parser.error(f"no target {name}; there are {', '.join(known)}")
    chosen = options.targets or known
    if options.list:
        for name in chosen:
            text = (FUZZ / f"fuzz_{name}.c").read_text(encoding="utf-8")
            found = re.search(r"/\* (Property.*?)\*/", text, re.DOTALL)
            print(f"{name}: {' '.join(found.group(1).replace(' *', ' ').split()) if found else ''}")
        return 0
    tally = Tally()
    needed = ["clang"] + (["llvm-cov", "llvm-profdata"] if options.coverage else [])
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        tally.skip("fuzz", f"needs {', '.join(missing)}")
        return tally.finish()
    seeds.write(seeds.GENERATED)
    trouble = build("fuzz-coverage" if options.coverage else "sanitize")
    if trouble:
        tally.fail("build", trouble)
    elif options.coverage:
        coverage(tally, chosen, options.minimum)
    elif options.merge:
        merge(tally, chosen)
    else:
        figures = fuzz(tally, chosen, options.seconds, max(options.jobs, 1))
        if options.record:
            options.record.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

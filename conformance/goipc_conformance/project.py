# SPDX-License-Identifier: MIT
"""The project's own run: the reference with every crypto back end, then upstream golang-ipc against its record."""

import argparse
import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

from . import expectations, running
from .adapter import reference
from .adapter.process import StartError
from .adapter.subject import AdapterError, Died, Hung
from .report import Run, html, json_report, junit, text, totals_line
from .usage import writable

BINARIES = Path("build") / "conformance" / "bin"
UPSTREAM, FORK = "golang-ipc-1.2.4", "golang-ipc-joe-at-startupmedia-1.3.5"
# One for each library that computes; the fastest pair first.
BACK_ENDS = ("nettle+ipsec-mb", "openssl", "tomcrypt")
IMPLEMENTATIONS = ("goipc", *(f"goipc-{name}" for name in BACK_ENDS), UPSTREAM, FORK)


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    words: tuple[str, ...] = ()
    expect: Path | None = None
    jobs: int | None = None
    patience: float = 1.0  # what --timeout-scale is multiplied by
    absent: str = ""  # why it cannot run


def find_go_adapter(root: Path, name: str, arguments: tuple[str, ...]) -> tuple[Path | None, str]:
    """The adapter over golang-ipc or over a fork of it, built afresh; or why there is none."""
    path = root / "build" / "go" / name
    source = root / "conformance" / "adapters" / "go"
    if shutil.which("go") is None:
        return (path, "") if path.exists() else (None, "go is not installed")
    built = subprocess.run(
        ["go", "build", "-buildvcs=false", *arguments, "-o", str(path.resolve()), "."],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0 and not path.exists():
        return None, f"the adapter does not build: {built.stderr.strip().splitlines()[-1:]}"
    return path, ""


def keep(program: Path, out: Path) -> Path:
    """A copy that stays as it is while somebody builds anew."""
    out.mkdir(parents=True, exist_ok=True)
    copy = out / program.name
    fresh = out / f".{program.name}.new"
    shutil.copy2(program, fresh)
    fresh.replace(copy)
    return copy


def back_end_is_built(adapter: Path, name: str) -> bool:
    """The adapter exits with status 2 at once when the library was built without this back end."""
    finished = subprocess.run(
        [str(adapter), "--crypto", name], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return finished.returncode == 0


def reference_jobs(root: Path, options: argparse.Namespace) -> list[Job]:
    adapter = Path(options.reference) if options.reference else reference.built_in(root)
    if adapter is not None and adapter.exists():
        adapter = keep(adapter, root / BINARIES)
    jobs = []
    for back_end in BACK_ENDS:
        name = f"goipc-{back_end}"
        if adapter is None or not adapter.exists():
            jobs.append(Job(name, absent="the adapter of the reference is not built (libcjson is needed for it)"))
        elif not back_end_is_built(adapter, back_end):
            jobs.append(Job(name, absent=f"the library was built without {back_end}"))
        else:
            # Nothing of what the reference does right has to be waited for, so that patience costs nothing.
            jobs.append(Job(name, (str(adapter), "--crypto", back_end), patience=3.0))
    return jobs


def go_job(root: Path, name: str, program: str, *arguments: str) -> Job:
    path, absent = find_go_adapter(root, program, arguments)
    record = root / "conformance" / "expectations" / f"{name}.toml"
    # golang-ipc often waits in vain; waiting needs no processor, so more cases can wait at the same time.
    words = (str(keep(path, root / BINARIES)),) if path else ()
    return Job(name, words, expect=record, jobs=16, absent=absent)


def jobs_of(root: Path, options: argparse.Namespace) -> list[Job]:
    """Forks are asked only by name: they wait even more than golang-ipc itself."""
    wanted = options.only or ["goipc", UPSTREAM]
    jobs = []
    if any(name.startswith("goipc") for name in wanted):
        jobs += [job for job in reference_jobs(root, options) if "goipc" in wanted or job.name in wanted]
    if UPSTREAM in wanted:
        jobs.append(go_job(root, UPSTREAM, "goipc-adapter-go"))
    if FORK in wanted:
        jobs.append(go_job(root, FORK, "goipc-adapter-joe", "-modfile=joe-at-startupmedia.mod", "-tags=joe"))
    return jobs


def command(options: argparse.Namespace) -> int:
    running.refuse(options, "project", *running.TARGET, *running.REPORTS, "keep_all", "expect")
    root = Path(options.root).resolve()
    # Reports and messages name files as seen from the root, wherever the tree lies.
    os.chdir(root)
    instances = running.chosen(options)
    out = Path("build") / "conformance"
    rows: list[tuple[str, Run]] = []
    skipped: list[str] = []
    for job in jobs_of(Path("."), options):
        if job.absent:
            skipped.append(f"SKIP {job.name}: {job.absent}")
            continue
        one = argparse.Namespace(
            **{
                **vars(options),
                "words": list(job.words),
                "expect": str(job.expect) if job.expect else None,
                "timeout_scale": options.timeout_scale * job.patience,
            }
        )
        if job.jobs:
            one.jobs = max(options.jobs, job.jobs)
        try:
            record = expectations.parse(job.expect) if job.expect and job.expect.exists() else None
            run = running.perform(one, instances, record, job.name)
        except (AdapterError, StartError, Died, Hung) as error:
            run = running.unasked(one, str(error), 3)  # its reports say so: an older one must not stay
            print(f"ERROR {job.name}: {error}")
        json_report.write(run, writable(str(out / f"{job.name}.json")))
        junit.write(run, writable(str(out / f"{job.name}.junit.xml")))
        rows.append((job.name, run))
        if not run.fault:
            print(f"== {job.name}")
            text.write(run, verbose=options.verbose, totals=False)
            print()
        if run.interrupted:
            break
    shutil.rmtree(out / "report", ignore_errors=True)
    asked = [json_report.document(run) for _, run in rows if not run.fault]
    if asked:
        html.write(asked, out / "report")
    return summarise(rows, skipped, out)


def summarise(rows: list[tuple[str, Run]], skipped: list[str], out: Path) -> int:
    """The table, and just above it what is not as required: the last lines of a log say what to mend."""
    totals = {"passed": 0, "failed": 0, "skipped": len(skipped)}
    code = 0
    for name, run in rows:
        for line in text.brief_lines(run):
            print(f"{name}: {line}")
    print(f"{'implementation':22} {'passed':>6} {'known':>6} {'failed':>6} {'skipped':>7} {'seconds':>7}")
    for name, run in rows:
        for key, value in run.totals.items():
            totals[key] += value
        code = code or run.exit_code
        if run.fault:
            print(f"{name:22} could not be asked: {run.fault}")
            continue
        figures = " ".join(f"{run.figures[key]:{6 + (key == 'skipped')}}" for key in run.figures)
        print(f"{name:22} {figures} {run.duration:7.1f}")
    print(f"reports are in {out}, pages in {out / 'report'}; known: as recorded in conformance/expectations")
    for line in skipped:
        print(line)
    print(totals_line(totals))
    return code

# SPDX-License-Identifier: MIT
"""The commands of the command line, each a few lines over the layers below."""

import argparse
import dataclasses
import importlib
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from . import __version__, docs, expectations, requirements
from .adapter import choose
from .adapter.attached import PATIENCE
from .adapter.process import StartError
from .adapter.subject import AdapterError, Died, Hung, Unsupported
from .case import REGISTRY, Instance
from .cli import EXIT_HARNESS, EXIT_USAGE
from .confirm import confirm
from .engine import TIMEOUT, Engine, Interrupted, Result, Settings
from .expectations import Expectations
from .profiles import PROFILES
from .report import Run, text


def register(commands: Any) -> None:
    run = commands.add_parser("run", help="judge an implementation", formatter_class=argparse.RawTextHelpFormatter)
    add_run_options(run)
    run.add_argument(
        "--ladder", action="store_true", help="one step of a new port after the other, up to the first that fails"
    )
    run.set_defaults(function=run_command)

    listing = commands.add_parser("list", help="list cases")
    listing.add_argument("select", nargs="*", metavar="SELECT")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.add_argument("--instances", action="store_true", help="every combination of parameters and role")
    listing.set_defaults(function=list_command)

    explain = commands.add_parser("explain", aliases=["show"], help="explain one case")
    explain.add_argument("id", nargs="?", metavar="ID")
    explain.add_argument("--pages", metavar="DIR", help="write a page for every case instead")
    explain.set_defaults(function=explain_command)

    from .generated.commands import register as register_generated

    register_generated(commands, add_target_options)
    register_examiners(commands)
    register_comparers(commands)


def register_examiners(commands: Any) -> None:
    """Commands that ask an implementation."""
    doctor = commands.add_parser("doctor", help="examine an adapter before it is used")
    add_target_options(doctor)
    doctor.set_defaults(function=lambda options: importlib.import_module(f"{__package__}.doctor").command(options))

    baseline = commands.add_parser("baseline", help="write or check what an implementation is known to do")
    baseline.add_argument("action", choices=("write", "check"))
    baseline.add_argument("file", help="the expectation file")
    add_run_options(baseline)
    baseline.set_defaults(function=baseline_command)

    matrix = commands.add_parser("matrix", help="several implementations side by side")
    matrix.add_argument("--impl", action="append", metavar="NAME=CMD", help="once for each implementation")
    add_run_options(matrix, one=False)
    matrix.set_defaults(function=lambda options: compare().matrix_command(options))

    own = commands.add_parser("project", help="the project's own run: the reference and upstream golang-ipc")
    own.add_argument("--root", default=".", help="the root of the source tree")
    own.add_argument("--reference", metavar="FILE", help="the adapter of the reference, where it is not under build/")
    own.add_argument(
        "--only",
        action="append",
        choices=importlib.import_module(f"{__package__}.project").IMPLEMENTATIONS,
        help="judge this one (may be repeated; default: goipc and golang-ipc itself)",
    )
    add_run_options(own)
    own.set_defaults(function=project_command)


def register_comparers(commands: Any) -> None:
    """Commands that work on files."""
    merge = commands.add_parser("merge", help="join the shards of one run")
    merge.add_argument("files", nargs="+", metavar="RESULTS.json")
    merge.add_argument("--json", metavar="FILE", help="write the joined results")
    merge.set_defaults(function=lambda options: compare().merge_command(options))

    diff = commands.add_parser("diff", help="what changed between two runs")
    diff.add_argument("old", metavar="A.json")
    diff.add_argument("new", metavar="B.json")
    diff.set_defaults(function=lambda options: compare().diff_command(options))

    pages = commands.add_parser("html", help="pages from the results of one run or several")
    pages.add_argument("files", nargs="+", metavar="RESULTS.json")
    pages.add_argument("--out", default="conformance-report", metavar="DIR")
    pages.set_defaults(function=lambda options: compare().html_command(options))

    books = commands.add_parser("register", help="check the register of cases (for the suite's own tree)")
    books.add_argument("--check", action="store_true", help="find what a change would break (the default)")
    books.add_argument(
        "--accept",
        nargs="*",
        metavar="NAME",
        help="register new cases; the cases named, or all that cite the requirements named, were read again (or: all)",
    )
    books.set_defaults(function=lambda options: importlib.import_module(f"{__package__}.register").command(options))


def compare() -> Any:
    return importlib.import_module(f"{__package__}.compare")


def project_command(options: argparse.Namespace) -> int:
    from . import project

    return project.command(options)


def add_target_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server", metavar="CMD", help="level 0: an echo server; placeholders {name} {path} {encryption} {max}"
    )
    parser.add_argument("--client", metavar="CMD", help="level 0: an echo client")
    parser.add_argument("--plain", action="store_true", help="level 0: the programs know no encryption")
    parser.add_argument(
        "--timeout-scale",
        type=float,
        default=os.environ.get("GOIPC_TIMEOUT_SCALE", "1"),
        metavar="X",
        help="multiply every time limit, for slow machines",
    )


def add_run_options(parser: argparse.ArgumentParser, one: bool = True) -> None:
    """`one`: a single implementation is judged; otherwise what belongs to one is given with its name."""
    parser.add_argument(
        "select",
        nargs="*",
        metavar="SELECT",
        help="ID globs, server:GLOB, client:GLOB, req:ID, tag:NAME, area:NAME, @file; ! before any excludes;\n"
        "`ref` instead of -- CMD judges the C reference",
    )
    add_target_options(parser)
    parser.add_argument("--role", choices=("server", "client", "codec", "all"), default="all")
    parser.add_argument(
        "--profile",
        choices=tuple(PROFILES),
        default="all",
        help="\n".join(f"{profile.name}: {profile.summary}" for profile in PROFILES.values()),
    )
    parser.add_argument("--level", choices=("must", "should", "may"), help="up to which level of requirement")
    parser.add_argument("--strict", action="store_true", help="what is only tolerated fails")
    parser.add_argument(
        "--isolate",
        choices=("process", "connection"),
        default="process",
        help="a fresh adapter for every case (process, the default), or one that serves many, if it says that it can",
    )
    parser.add_argument("--shard", metavar="K/N", help="only the K-th of N parts; join the results with `merge`")
    parser.add_argument("-j", "--jobs", type=int, default=max(4, 4 * (os.cpu_count() or 1)), metavar="N")
    parser.add_argument("--seed", default="1", help="for our keys, nonces and data; the same seed sends the same bytes")
    parser.add_argument(
        "--expect",
        metavar="FILE" if one else "NAME=FILE",
        action="store" if one else "append",
        help="what the implementation is known to do",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=2,
        metavar="N",
        help="ask a case that is not as required up to N times more, to tell a race from a fault (default: 2)",
    )
    for form in ("json", "junit", "tap", "md", "badge"):
        parser.add_argument(f"--{form}", metavar="FILE")
    parser.add_argument("--html", metavar="DIR", help="pages: a matrix, and one for each case")
    parser.add_argument(
        "--wire", metavar="DIR", help="an octet log and a capture for each case that is not as required"
    )
    parser.add_argument("--keep-all", action="store_true", help="with --wire: for every case")
    parser.add_argument("-x", "--stop", action="store_true", help="stop at the first failure")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the summary")


def target_line(options: argparse.Namespace, *more: str) -> str:
    """The end of a command that asks the same implementation, after whatever more it takes."""
    parts = list(more)
    if options.timeout_scale != 1:
        parts += ["--timeout-scale", f"{options.timeout_scale:g}"]
    for flag, value in (("--server", options.server), ("--client", options.client)):
        if value:
            parts += [flag, value]
    if options.plain:
        parts.append("--plain")
    if options.words:
        parts += ["--", *options.words]
    return shlex.join(parts)


def command_line(options: argparse.Namespace) -> str:
    """The end of a command that judges the same implementation in the same way."""
    parts = ["--strict"] if options.strict else []
    for flag, value, usual in (
        ("--profile", options.profile, "all"),
        ("--isolate", options.isolate, "process"),
        ("--expect", options.expect, None),
    ):
        if value != usual:
            parts += [flag, value]
    return target_line(options, *parts)


def refuse(options: argparse.Namespace, command: str, *names: str) -> None:
    """Options that all commands of a family accept and that mean nothing for this one."""
    from .cli import Usage

    for name in names:
        if getattr(options, name):
            flag = "-- CMD" if name == "words" else f"--{name.replace('_', '-')}"
            raise Usage(f"{command} takes no {flag}")


REPORTS = ("json", "junit", "tap", "md", "badge", "html", "wire")
TARGET = ("server", "client", "plain", "words")


def perform(
    options: argparse.Namespace, instances: list[Instance], record: Expectations | None = None, name: str = ""
) -> Run:
    """Runs a selection against the implementation that the options name, and holds it to its record. The progress
    calls it by `name`, or as it calls itself."""
    from .cli import Usage, now

    if not 0 < options.timeout_scale <= 1000:
        raise Usage("--timeout-scale takes a number above 0")
    if options.jobs < 1:
        raise Usage("-j takes a number of at least 1")
    if options.repeats < 0:
        raise Usage("--repeats takes a number of at least 0")
    target = choose.target_from(options.words, options.server, options.client, options.plain)
    scale = PATIENCE / TIMEOUT if target.attach is not None else options.timeout_scale
    timeout = TIMEOUT * scale
    sample = choose.say_hello(target, choose.start_patience(timeout))
    if options.isolate == "connection" and sample.isolation != "connection":
        raise Usage('--isolate connection is for an adapter that says "isolation": "connection" in hello')
    settings = Settings(
        seed=str(options.seed),
        timeout_scale=scale,
        jobs=options.jobs,
        profile=PROFILES["strict" if options.strict else options.profile],
        stop_at_first=options.stop,
        keep_everything=options.keep_all,
        isolation=options.isolate,
    )
    engine = Engine(target.maker(choose.start_patience(timeout)), settings, sample)
    progress = text.Progress(sys.stderr, name or engine.identity.name, len(instances), options.quiet)

    def on_result(result: Result) -> None:
        shown = dataclasses.replace(result)
        if record:
            expectations.judge_by(record, shown)  # what is known is no news
        progress(shown)

    started, clock, interrupted, stale = now(), time.monotonic(), False, []
    try:
        results = engine.run(instances, on_result)
    except Interrupted as stop:
        results, interrupted = stop.results, True
    finally:
        progress.finish()
    if record:
        # An interrupted run, or one that stopped at a failure, has not met every case.
        stale = expectations.apply(record, results, complete=is_whole(options) and len(results) == len(instances))
    if not interrupted:
        try:
            confirm(engine, results, record, options.repeats, progress.say)
        except KeyboardInterrupt:
            interrupted = True
    identity = {"name": engine.identity.name, "version": engine.identity.version, **engine.identity.details}
    return Run(
        results=results,
        command=command_line(options),
        identity=identity,
        seed=settings.seed,
        started=started,
        duration=time.monotonic() - clock,
        suite_version=__version__,
        spec_edition=requirements.edition(),
        interrupted=interrupted,
        roles=tuple(sorted({i.role for i in instances})),
        shard=options.shard,
        selection=tuple(options.select),
        stale=stale,
        expectations=str(record.path) if record else "",
    )


def unasked(options: argparse.Namespace, fault: str, code: int) -> Run:
    """What there is to tell of an implementation that could not be asked at all."""
    from .cli import now

    return Run(
        results=[],
        command=command_line(options),
        identity={"name": "unknown", "version": "unknown"},
        seed=str(options.seed),
        started=now(),
        duration=0.0,
        suite_version=__version__,
        spec_edition=requirements.edition(),
        shard=options.shard,
        selection=tuple(options.select),
        expectations=options.expect or "",
        fault=fault,
        fault_code=code,
    )


def chosen(options: argparse.Namespace) -> list[Instance]:
    """The instances that the selection, the role, the level and the shard leave."""
    from . import selection

    level = options.level or PROFILES[options.profile].level
    instances = selection.select(options.select, roles=() if options.role == "all" else (options.role,), level=level)
    if options.shard:
        number, count = compare().shard_of(options.shard)
        # Neighbours cost alike, so that dealing them out in turn gives equal shares.
        instances = instances[number - 1 :: count]
        if not instances:
            raise selection.SelectionError(f"shard {options.shard} of this selection is empty")
    return instances


def is_whole(options: argparse.Namespace) -> bool:
    """Whether every case was asked, so that an expectation without one is stale."""
    return not (options.select or options.role != "all" or options.level or options.profile != "all" or options.shard)


def run_command(options: argparse.Namespace) -> int:
    if "ref" in options.select and not (options.words or options.server or options.client):
        options.select.remove("ref")
        options.words = ["ref"]
    instances = chosen(options)
    if options.ladder:
        refuse(options, "--ladder", *REPORTS, "keep_all", "expect")
        return importlib.import_module(f"{__package__}.ladder").climb(options, instances)
    record = expectations.parse(Path(options.expect)) if options.expect else None
    check_reports(options)
    try:
        run = perform(options, instances, record)
    except (AdapterError, Died, Hung, Unsupported, StartError) as error:
        # What lies there from an earlier run must not be taken for this one's.
        code = EXIT_USAGE if isinstance(error, StartError) else EXIT_HARNESS
        write_reports(unasked(options, str(error), code), options)
        raise
    try:
        write_reports(run, options)
    finally:
        text.write(run, verbose=options.verbose)
    return run.exit_code


def baseline_command(options: argparse.Namespace) -> int:
    """`write` records what happens and keeps the reasons given before; `check` is `run --expect`."""
    from . import baseline, selection
    from .cli import Usage, writable

    refuse(options, f"baseline {options.action}", "expect")
    if options.action == "check":
        options.expect = options.file
        options.ladder = False
        return run_command(options)
    if options.select:
        raise Usage("baseline write takes no selection: it records the whole run")
    if options.role != "all":
        raise Usage("baseline write takes no --role: it records the whole run")
    refuse(options, "baseline write", "level", "shard", "stop")
    check_reports(options)
    path = writable(options.file)
    earlier = expectations.parse(path) if path.exists() else None
    run = perform(options, selection.select(()))
    if run.interrupted:
        return run.exit_code
    entries = baseline.entries_for(run.results, earlier)
    header = (
        f"What {run.identity['name']} {run.identity['version']} is known to do, case by case.\n"
        "Each entry pins an outcome; a reason is required."
    )
    implementation = {key: run.identity[key] for key in ("name", "version")}
    races = earlier.races if earlier else []
    path.write_text(baseline.render(entries, implementation, header, races), encoding="utf-8")
    open_reasons = sum(1 for entry in entries if entry.reason == baseline.UNEXPLAINED)
    errors = [result for result in run.results if result.verdict.value == "ERROR"]
    print(f"{len(entries)} entries written to {path}, {open_reasons} of them without a reason yet")
    write_reports(run, options)
    return 3 if errors else 0


def check_reports(options: argparse.Namespace) -> None:
    """Before anything is asked: a report that cannot be written is no reason to lose what it would say."""
    from .cli import writable, writable_folder

    for name in REPORTS:
        path = getattr(options, name)
        if path:
            (writable_folder if name in ("html", "wire") else writable)(path)


def write_reports(run: Run, options: argparse.Namespace) -> None:
    from .cli import Usage

    try:
        write_each(run, options)
    except OSError as error:
        raise Usage(f"cannot write {error.filename or 'a report'}: {error.strerror}") from None


def write_each(run: Run, options: argparse.Namespace) -> None:
    from .cli import writable
    from .report import capture, html, json_report, junit, markdown, tap

    for path, write in (
        (options.json, json_report.write),
        (options.junit, junit.write),
        (options.tap, tap.write),
        (options.md, markdown.write),
        (options.badge, markdown.write_badge),
    ):
        if path:
            write(run, writable(path))
    if options.html:
        html.write([json_report.document(run)], Path(options.html))
    if options.wire:
        capture.write(run, Path(options.wire), every=options.keep_all)


def list_command(options: argparse.Namespace) -> int:
    from . import selection

    instances = selection.select(options.select)
    if options.json:
        print(
            json.dumps(
                [
                    {
                        "id": i.id,
                        "case": i.case.id,
                        "role": i.role,
                        "title": i.case.title,
                        "level": i.case.level,
                        "adapter_level": i.case.adapter_level,
                        "rung": i.case.adapter_level,  # its earlier name
                        "reqs": list(i.case.reqs),
                        "tags": list(i.case.tags),
                        "params": i.params,
                    }
                    for i in instances
                ],
                indent=1,
            )
        )
        return 0
    if options.instances:
        for instance in instances:
            print(instance.key)
    else:
        counted: dict[str, int] = {}
        for instance in instances:
            counted[instance.case.id] = counted.get(instance.case.id, 0) + 1
        for case_id, count in counted.items():
            case = REGISTRY[case_id]
            asked = f"{'+'.join(case.roles):14} adapter level {case.adapter_level} {case.level:6}"
            print(f"{case_id:36} {asked} x{count:<3} {case.title}")
        print(f"{len(counted)} cases, {len(instances)} with parameters and roles")
    return 0


def explain_command(options: argparse.Namespace) -> int:
    from . import selection
    from .cli import Usage, writable_folder

    if options.pages:
        print(f"{docs.write_all(writable_folder(options.pages))} pages written to {options.pages}")
        return 0
    if not options.id:
        raise Usage("explain takes the ID of a case; `goipc-conformance list` shows them all")
    wanted = options.id.split("[")[0].rpartition(":")[2]
    case = REGISTRY.get(selection.aliases().get(wanted, wanted))
    if case is None:
        raise selection.SelectionError(f"no case is named {options.id!r}; `goipc-conformance list` shows them all")
    print(f"{case.id}: {case.title}\n")
    print(f"why      {case.why}")
    if case.hint:
        print(f"hint     {case.hint}")
    print(
        f"roles    {', '.join(case.roles)}; adapter level {case.adapter_level} or higher"
        + (f"; needs {', '.join(case.needs)}" if case.needs else "")
    )
    print(f"level    {case.level}; tags {', '.join(case.tags) or 'none'}")
    print(f"expects  {' or '.join(case.expect)}" + (f"; tolerates {' or '.join(case.also)}" if case.also else ""))
    for name, values in case.params.items():
        print(f"param    {name}: {', '.join(map(str, values))}")
    print("clauses")
    for identifier in case.reqs:
        print(f"  {identifier}  {requirements.sentence(identifier) or '(not in the specification at hand)'}")
    return 0

# SPDX-License-Identifier: MIT
"""The commands of the command line, each a few lines over the layers below."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from . import (
    __version__,
    baseline,
    compare,
    docs,
    doctor,
    expectations,
    ladder,
    project,
    register,
    requirements,
    selection,
)
from .adapter.process import StartError
from .adapter.subject import AdapterError, Died, Hung, Unsupported
from .case import REGISTRY
from .compare import ResultError
from .expectations import ExpectationError
from .generated.commands import register as register_generated
from .generated.operations import TraceError
from .generated.performer import Unusable
from .profiles import PROFILES
from .report import text
from .running import REPORTS, check_reports, chosen, perform, refuse, unasked, write_reports
from .selection import SelectionError
from .usage import EXIT_HARNESS, EXIT_USAGE, Usage, writable, writable_folder

# What ends a command with a line and exit code 2, or 3.
USAGE_ERRORS = (Usage, SelectionError, ExpectationError, ResultError, TraceError, StartError)
HARNESS_ERRORS = (AdapterError, Died, Hung, Unsupported, Unusable)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="goipc-conformance",
        description="Tests implementations of the golang-ipc protocol.",
        epilog="exit codes: 0 all as required, 1 not as required, 2 usage, 3 harness or adapter, "
        "4 only stale expectations, 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"goipc-conformance {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_commands(commands)
    return parser


def add_commands(commands: Any) -> None:
    run = commands.add_parser("run", help="test an implementation", formatter_class=argparse.RawTextHelpFormatter)
    add_run_options(run)
    run.add_argument(
        "--ladder", action="store_true", help="run the cases step by step, and stop at the first step that fails"
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

    register_generated(commands, add_target_options)
    register_examiners(commands)
    register_comparers(commands)


def register_examiners(commands: Any) -> None:
    """Commands that ask an implementation."""
    examine = commands.add_parser("doctor", help="check an adapter")
    add_target_options(examine)
    examine.set_defaults(function=doctor.command)

    record = commands.add_parser("baseline", help="write or check the expected outcomes of an implementation")
    record.add_argument("action", choices=("write", "check"))
    record.add_argument("file", help="the expectation file")
    add_run_options(record)
    record.set_defaults(function=baseline_command)

    matrix = commands.add_parser("matrix", help="several implementations side by side")
    matrix.add_argument("--impl", action="append", metavar="NAME=CMD", help="once for each implementation")
    add_run_options(matrix, one=False)
    matrix.set_defaults(function=compare.matrix_command)

    own = commands.add_parser("project", help="the project's own run: the reference and upstream golang-ipc")
    own.add_argument("--root", default=".", help="the root of the source tree")
    own.add_argument("--reference", metavar="FILE", help="the adapter of the reference, if it is not under build/")
    own.add_argument(
        "--only",
        action="append",
        choices=project.IMPLEMENTATIONS,
        help="test this one (may be repeated; default: goipc and golang-ipc)",
    )
    add_run_options(own)
    own.set_defaults(function=project.command)


def register_comparers(commands: Any) -> None:
    """Commands that work on files."""
    merge = commands.add_parser("merge", help="join the shards of one run")
    merge.add_argument("files", nargs="+", metavar="RESULTS.json")
    merge.add_argument("--json", metavar="FILE", help="write the joined results")
    merge.set_defaults(function=compare.merge_command)

    diff = commands.add_parser("diff", help="the differences between two runs")
    diff.add_argument("old", metavar="A.json")
    diff.add_argument("new", metavar="B.json")
    diff.set_defaults(function=compare.diff_command)

    pages = commands.add_parser("html", help="pages from the results of one run or several")
    pages.add_argument("files", nargs="+", metavar="RESULTS.json")
    pages.add_argument("--out", default="conformance-report", metavar="DIR")
    pages.set_defaults(function=compare.html_command)

    books = commands.add_parser("register", help="check the register of cases (for the suite's own tree)")
    books.add_argument("--check", action="store_true", help="check the register against the cases (the default)")
    books.add_argument(
        "--accept",
        nargs="*",
        metavar="NAME",
        help="register new cases; the cases named, or all that cite the requirements named, were read again (or: all)",
    )
    books.set_defaults(function=register.command)


def add_target_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server", metavar="CMD", help="level 0: an echo server; placeholders {name} {path} {encryption} {max}"
    )
    parser.add_argument("--client", metavar="CMD", help="level 0: an echo client")
    parser.add_argument("--plain", action="store_true", help="level 0: the programs have no encryption")
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
    parser.add_argument("--long", action="store_true", help="also the cases that take long (tag long)")
    parser.add_argument("--strict", action="store_true", help="count PASS-LENIENT as failed")
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
        help="the file of expected outcomes",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=2,
        metavar="N",
        help="run a failed case up to N times again, to distinguish a race from a fault (default: 2)",
    )
    for form in ("json", "junit", "tap", "md", "badge"):
        parser.add_argument(f"--{form}", metavar="FILE")
    parser.add_argument("--html", metavar="DIR", help="pages: a matrix, and one for each case")
    parser.add_argument("--wire", metavar="DIR", help="the bytes and a capture of each failed case")
    parser.add_argument("--keep-all", action="store_true", help="with --wire: for every case")
    parser.add_argument("-x", "--stop", action="store_true", help="stop at the first failure")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the summary")


def run_command(options: argparse.Namespace) -> int:
    if "ref" in options.select and not (options.words or options.server or options.client):
        options.select.remove("ref")
        options.words = ["ref"]
    instances = chosen(options)
    if options.ladder:
        refuse(options, "--ladder", *REPORTS, "keep_all", "expect")
        return ladder.climb(options, instances)
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
    text_before = path.read_text(encoding="utf-8") if earlier else ""
    path.write_text(baseline.render(entries, implementation, header, text_before), encoding="utf-8")
    open_reasons = sum(1 for entry in entries if entry.reason == baseline.UNEXPLAINED)
    errors = [result for result in run.results if result.verdict.value == "ERROR"]
    print(f"{len(entries)} entries written to {path}, {open_reasons} of them without a reason yet")
    write_reports(run, options)
    return 3 if errors else 0


def list_command(options: argparse.Namespace) -> int:
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

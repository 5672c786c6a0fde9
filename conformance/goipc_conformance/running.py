# SPDX-License-Identifier: MIT
"""A run as the command line asks for it: what is chosen, performed, and written as reports."""

import argparse
import dataclasses
import shlex
import sys
import time
from pathlib import Path

from . import __version__, expectations, requirements, selection
from .adapter import choose
from .adapter.attached import PATIENCE
from .case import Instance
from .confirm import confirm
from .engine import TIMEOUT, Engine, Interrupted, Result, Settings
from .expectations import Expectations
from .profiles import PROFILES
from .report import Run, capture, html, json_report, junit, markdown, tap, text
from .usage import Usage, now, writable, writable_folder

REPORTS = ("json", "junit", "tap", "md", "badge", "html", "wire")
TARGET = ("server", "client", "plain", "words")


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
    for name in names:
        if getattr(options, name):
            flag = "-- CMD" if name == "words" else f"--{name.replace('_', '-')}"
            raise Usage(f"{command} takes no {flag}")


def shard_of(text: str) -> tuple[int, int]:
    number, separator, count = text.partition("/")
    if not separator or not number.isdigit() or not count.isdigit() or not 1 <= int(number) <= int(count):
        raise Usage("--shard takes K/N with K from 1 to N")
    return int(number), int(count)


def engine_for(options: argparse.Namespace) -> tuple[Engine, Settings]:
    """What asks the implementation that the options name, after a first hello."""
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
    return Engine(target.maker(choose.start_patience(timeout)), settings, sample), settings


def perform(
    options: argparse.Namespace, instances: list[Instance], record: Expectations | None = None, name: str = ""
) -> Run:
    """Runs a selection against the implementation that the options name, and holds it to its record. The progress
    calls it by `name`, or as it calls itself."""
    engine, settings = engine_for(options)
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
    level = options.level or PROFILES[options.profile].level
    instances = selection.select(options.select, roles=() if options.role == "all" else (options.role,), level=level)
    if not options.long:  # what takes long is asked by its ID, or by --long
        named = {word.lstrip("!").rpartition(":")[2].split("[")[0] for word in options.select}
        asked = [one for one in instances if "long" not in one.case.tags or one.case.id in named]
        instances = asked or instances
    if options.shard:
        number, count = shard_of(options.shard)
        # Neighbours cost alike, so that dealing them out in turn gives equal shares.
        instances = instances[number - 1 :: count]
        if not instances:
            raise selection.SelectionError(f"shard {options.shard} of this selection is empty")
    return instances


def is_whole(options: argparse.Namespace) -> bool:
    """Whether every case was asked, so that an expectation without one is stale."""
    return not (options.select or options.role != "all" or options.level or options.profile != "all" or options.shard)


def check_reports(options: argparse.Namespace) -> None:
    """Before anything is asked: a report that cannot be written is no reason to lose what it would say."""
    for name in REPORTS:
        path = getattr(options, name)
        if path:
            (writable_folder if name in ("html", "wire") else writable)(path)


def write_reports(run: Run, options: argparse.Namespace) -> None:
    try:
        write_each(run, options)
    except OSError as error:
        raise Usage(f"cannot write {error.filename or 'a report'}: {error.strerror}") from None


def write_each(run: Run, options: argparse.Namespace) -> None:
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

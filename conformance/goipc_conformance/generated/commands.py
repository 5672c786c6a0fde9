# SPDX-License-Identifier: MIT
"""generate, replay, shrink, promote."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from ..adapter import choose
from ..adapter.subject import AdapterError
from ..engine import TIMEOUT
from ..report.text import Pace
from ..running import target_line
from ..usage import Usage
from .profiles import CONFIRMATIONS, PROFILES, Profile

SHRUNK_MAX = 3  # operations that a known fault of golang-ipc takes

# What loads Hypothesis is imported where it is used: most commands do without.


def register(commands: Any, add_target_options: Any) -> None:
    generate = commands.add_parser("generate", help="draw sessions until something breaks, and shrink what broke it")
    add_target_options(generate)
    generate.add_argument("--role", choices=("server", "client", "all"), default="all")
    generate.add_argument(
        "--profile",
        choices=tuple(PROFILES),
        default="default",
        help=", ".join(f"{name}: {one.examples} examples" for name, one in PROFILES.items()),
    )
    generate.add_argument("--examples", type=int, metavar="N", help="instead of the profile's number, per role")
    generate.add_argument("--seed", default="1", help="the same seed draws the same sessions")
    generate.add_argument("--keep", metavar="DIR", default="build/conformance/traces", help="where replay files go")
    generate.add_argument(
        "--must-find",
        metavar="SIGNATURE",
        action="append",
        default=[],
        help="for an implementation with known faults: look for this only, such as 'crashed after bad-length.short',\n"
        "and fail unless it is found in at most 3 operations and its replay file shows it 3 of 3 times",
    )
    generate.set_defaults(function=generate_command)

    again = commands.add_parser("replay", help="perform a trace file again")
    again.add_argument("file")
    again.add_argument("--times", type=int, default=1, metavar="N")
    add_target_options(again)
    again.set_defaults(function=replay_command)

    less = commands.add_parser("shrink", help="drop what a trace file does not need")
    less.add_argument("file")
    less.add_argument("--output", metavar="FILE", help="instead of changing FILE")
    add_target_options(less)
    less.set_defaults(function=shrink_command)

    permanent = commands.add_parser("promote", help="make a permanent case of a trace file")
    permanent.add_argument("file")
    permanent.add_argument("--id", required=True, help="of the case, such as frame.short-after-empty")
    permanent.add_argument("--title", required=True)
    permanent.add_argument("--reqs", required=True, help="requirements that it checks, separated by blanks")
    permanent.set_defaults(function=promote_command)


class Tally:
    """The progress display, and the lines that stay."""

    def __init__(self, total: int):
        self.console = Console(stderr=True)
        self.progress = Progress(console=self.console, transient=True, disable=not sys.stderr.isatty())
        self.task = self.progress.add_task("sessions", total=total)
        self.count = 0
        self.pace = Pace()

    def advance(self) -> None:
        self.progress.advance(self.task)
        self.count += 1
        if not sys.stderr.isatty() and self.pace.is_due():
            print(
                f"{self.count} sessions performed, those that only shrink a finding among them",
                file=sys.stderr,
                flush=True,
            )


def generate_command(options: argparse.Namespace) -> int:
    from .search import MAXIMA, search

    profile = PROFILES[options.profile]
    if options.examples is not None:
        profile = Profile(max(1, options.examples), profile.steps)
    target = choose.target_from(options.words, options.server, options.client, options.plain)
    timeout = TIMEOUT * options.timeout_scale
    sample = choose.say_hello(target, choose.start_patience(timeout))
    roles = [role for role in ("server", "client") if options.role in (role, "all") and role in sample.roles]
    modes = tuple(on for on, capability in ((True, "enc"), (False, "plain")) if capability in sample.caps)
    if not roles:
        asked = "server or client" if options.role == "all" else options.role
        raise Usage(f"nothing to ask: the implementation has no {asked} role")
    if not modes:
        raise AdapterError("it declares neither 'enc' nor 'plain'")
    tally = Tally(profile.examples * len(roles))
    passed = failed = 0
    every: list[Any] = []
    with tally.progress:
        for role in roles:
            counted = 0
            began = time.monotonic()

            def on_example() -> None:
                nonlocal counted
                counted += 1
                tally.advance()

            found = search(
                target.maker(choose.start_patience(timeout)),
                role,
                profile=profile,
                seed=str(options.seed),
                timeout=timeout,
                modes=modes,
                maxima=MAXIMA if "max" in sample.caps else MAXIMA[:1],
                on_example=on_example,
                on_found=lambda one: report(one, options, target.describe, counted, time.monotonic() - began),
                on_aside=lambda signature, times: print(f"aside {signature}  ({times} times)"),
                worth=(lambda signature, now: is_missing(options.must_find, signature, every + now))
                if options.must_find
                else None,
                enough=lambda now: bool(options.must_find) and not missing(options.must_find, every + now),
            )
            every += found
            # One that did not show again counts, too: a crash that is rare is a crash.
            failed += len(found)
            passed += max(0, min(counted, profile.examples) - len(found))
            print(f"{role}: {counted} sessions performed, {len(found)} findings, seed {options.seed}")
    if options.must_find:
        return judge_search(options, every, target)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


def judge_search(options: argparse.Namespace, found: list[Any], target: Any) -> int:
    """Whether the search is any good: what is known to be wrong has to be among what it found, and in its file."""
    absent = missing(options.must_find, found)
    for one in found:
        if one.signature in options.must_find and one.signature not in absent and is_good(one):
            same, _ = replay_file(trace_path(one, options), CONFIRMATIONS, target, TIMEOUT * options.timeout_scale)
            print(f"{trace_path(one, options)}: {same} of {CONFIRMATIONS} times")
            absent += [one.signature] if same < CONFIRMATIONS else []
    for signature in options.must_find:
        print(f"{'FAIL not found' if signature in absent else 'found'}: {signature}")
    print(f"{len(options.must_find) - len(absent)} passed, {len(absent)} failed, 0 skipped")
    return 1 if absent else 0


def is_good(one: Any) -> bool:
    return one.again == CONFIRMATIONS and len(one.trace.operations) <= SHRUNK_MAX


def missing(wanted: list[str], found: list[Any]) -> list[str]:
    """What was not found, or not every time, or not in few operations."""
    good = {one.signature for one in found if is_good(one)}
    return [signature for signature in wanted if signature not in good]


def is_missing(wanted: list[str], signature: str, found: list[Any]) -> bool:
    """Whether a finding of this signature is one of those that are still looked for."""
    return signature in missing(wanted, found)


def trace_path(found: Any, options: argparse.Namespace) -> Path:
    name = found.signature.replace(" ", "-").replace(",", "")
    return Path(options.keep) / f"{found.trace.knobs.role}-{name}.json"


def report(found: Any, options: argparse.Namespace, subject: str, sessions: int, seconds: float) -> None:
    from . import replay

    path = trace_path(found, options)
    replay.write(path, replay.document(found, subject))
    print(f"{found.verdict} {found.signature}  ({found.again} of {CONFIRMATIONS} times on fresh processes)")
    print(f"  session  {found.trace.describe}")
    print(f"  after    {sessions} sessions, {seconds:.0f} s, shrunk and confirmed")
    print(f"  observed {found.word}: {found.detail}")
    print(f"  again    goipc-conformance replay {shlex.quote(str(path))} {target_line(options)}")


def replay_command(options: argparse.Namespace) -> int:
    target = choose.target_from(options.words, options.server, options.client, options.plain)
    times = max(1, options.times)
    same, other = replay_file(Path(options.file), times, target, TIMEOUT * options.timeout_scale, print)
    print(f"{options.file}: found {same} of {times} times" + (f", something else {other} times" if other else ""))
    return 1 if same or other else 0


def replay_file(
    path: Path, times: int, target: Any, timeout: float, say: Callable[[str], None] = lambda line: None
) -> tuple[int, int]:
    """How often what the file records was found, and how often something else. Where it records nothing, anything is
    what is looked for."""
    from . import replay
    from .search import perform_trace

    trace, content = replay.read(path)
    recorded = content.get("observed", {}).get("signature")
    say(f"{trace.describe}" + (f"; recorded as {recorded}" if recorded else ""))
    same = other = 0
    for number in range(1, times + 1):
        finding, _ = perform_trace(target.maker(choose.start_patience(timeout)), trace, timeout)
        say(f"{number}: {finding.signature + ': ' + finding.detail if finding else 'conforms'}")
        if finding is not None:
            same += recorded in (None, finding.signature)
            other += recorded not in (None, finding.signature)
    return same, other


def shrink_command(options: argparse.Namespace) -> int:
    from . import replay

    trace, content = replay.read(Path(options.file))
    target = choose.target_from(options.words, options.server, options.client, options.plain)
    timeout = TIMEOUT * options.timeout_scale
    least = replay.shrink(target.maker(choose.start_patience(timeout)), trace, timeout)
    if least is None:
        print(f"nothing to shrink: {trace.describe} conforms")
        return 0
    replay.write(Path(options.output or options.file), content | least.to_json())
    print(f"{len(trace.operations)} operations became {len(least.operations)}: {least.describe}")
    return 1


def promote_command(options: argparse.Namespace) -> int:
    from . import replay

    trace, content = replay.read(Path(options.file))
    path = replay.promote(content, options.id, options.title, options.reqs.split())
    print(f"{options.id} is a case now: {path} ({trace.describe})")
    return 0

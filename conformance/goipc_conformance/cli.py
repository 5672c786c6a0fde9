# SPDX-License-Identifier: MIT
"""The command line. Exit codes: 0 as required, 1 not as required, 2 usage, 3 harness or adapter, 4 only stale
expectations, 130 interrupted."""

import argparse
import errno
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from . import __version__

EXIT_USAGE, EXIT_HARNESS = 2, 3


class Usage(Exception):
    """A command line that cannot be followed."""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="goipc-conformance",
        description="Judges implementations of the golang-ipc protocol.",
        epilog="exit codes: 0 all as required, 1 not as required, 2 usage, 3 harness or adapter, "
        "4 only stale expectations, 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"goipc-conformance {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    from .commands import register

    register(commands)
    return parser


def split_target(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What follows `--` is the adapter's command line and none of our business."""
    if "--" in arguments:
        at = arguments.index("--")
        return arguments[:at], arguments[at + 1 :]
    return arguments, []


def end_on_signals() -> None:
    """Whoever cancels a run, such as a CI job, gets what Ctrl-C gives: every program ended, and the reports."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        # One that is ignored on purpose, as nohup does it, stays ignored.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)


def main(arguments: list[str] | None = None) -> int:
    if threading.current_thread() is threading.main_thread():
        end_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Whatever the locale and the adapter's texts, and each line at once, also into a pipe.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    own, words = split_target(sys.argv[1:] if arguments is None else arguments)
    try:
        parser = build_parser()
    except ModuleNotFoundError as error:  # a single file brings no packages with it
        if str(error.name).startswith("goipc_conformance"):
            raise
        print(
            f"goipc-conformance: the Python package {error.name!r} is missing; "
            "install cryptography, jinja2, jsonschema and rich, or the whole suite with pipx",
            file=sys.stderr,
        )
        return EXIT_HARNESS
    options = parser.parse_args(own)
    options.words = words
    from .adapter.process import StartError
    from .adapter.subject import AdapterError, Died, Hung, Unsupported
    from .compare import ResultError
    from .expectations import ExpectationError
    from .generated.operations import TraceError
    from .generated.performer import Unusable
    from .selection import SelectionError

    try:
        return int(options.function(options) or 0)
    except (Usage, SelectionError, ExpectationError, ResultError, TraceError, StartError) as error:
        print(f"goipc-conformance: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (AdapterError, Died, Hung, Unsupported, Unusable) as error:
        print(f"goipc-conformance: adapter: {error}", file=sys.stderr)
        return EXIT_HARNESS
    except KeyboardInterrupt:
        print("goipc-conformance: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_HARNESS
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        print(
            f"goipc-conformance: {options.command} needs the Python package 'hypothesis', which the extra [generate] "
            "brings: pipx install './conformance[generate]'",
            file=sys.stderr,
        )
        return EXIT_HARNESS
    except Exception as error:  # never a stack trace for the user; GOIPC_CONFORMANCE_DEBUG asks for it
        if os.environ.get("GOIPC_CONFORMANCE_DEBUG"):
            raise
        print(f"goipc-conformance: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        return EXIT_HARNESS


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def writable(path: str) -> Path:
    """A path at which a file can be written; the folder is made."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Usage(f"cannot write {path}: {error.strerror}") from None
    if target.is_dir():
        raise Usage(f"cannot write {path}: it is a folder")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise Usage(f"cannot write {path}: {os.strerror(errno.EACCES)}")
    return target


def writable_folder(path: str) -> Path:
    """A folder in which files can be written; it is made."""
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise Usage(f"cannot write to {path}: it is no folder")
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Usage(f"cannot write to {path}: {error.strerror}") from None
    if not os.access(target, os.W_OK):
        raise Usage(f"cannot write to {path}: {os.strerror(errno.EACCES)}")
    return target


def run() -> None:
    """The entry of the zip application, which does not pass on what `main` returns."""
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""The command line. Exit codes: 0 as required, 1 not as required, 2 usage, 3 harness or adapter, 4 only stale
expectations, 130 interrupted."""

import os
import signal
import sys
import threading
from typing import Any

from .usage import EXIT_HARNESS, EXIT_USAGE


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
        from . import commands  # here, because a single file brings no packages with it
    except ModuleNotFoundError as error:
        if str(error.name).startswith("goipc_conformance"):
            raise
        print(
            f"goipc-conformance: the Python package {error.name!r} is missing; "
            "install cryptography, jinja2, jsonschema, rich and tomlkit, or the whole suite with pipx",
            file=sys.stderr,
        )
        return EXIT_HARNESS
    options = commands.build_parser().parse_args(own)
    options.words = words
    try:
        return int(options.function(options) or 0)
    except commands.USAGE_ERRORS as error:
        print(f"goipc-conformance: {error}", file=sys.stderr)
        return EXIT_USAGE
    except commands.HARNESS_ERRORS as error:
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


def run() -> None:
    """The entry of the zip application, which does not pass on what `main` returns."""
    sys.exit(main())

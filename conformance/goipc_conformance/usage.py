# SPDX-License-Identifier: MIT
"""What all commands share: the error of a command line that cannot be followed, exit codes, and places to write to."""

import errno
import os
import time
from pathlib import Path

EXIT_USAGE, EXIT_HARNESS = 2, 3


class Usage(Exception):
    """A command line that cannot be followed."""


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

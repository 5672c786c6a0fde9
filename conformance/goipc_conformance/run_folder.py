# SPDX-License-Identifier: MIT
"""Names that are unique on this machine, and the removal of everything that stands in /tmp under them.

An implementation derives the path of its socket from a name, and golang-ipc knows no directory but /tmp. Every name of
a run therefore begins with the name of the run's own folder in /tmp. The run holds a lock on the folder as long as it
lives. At its end it removes the folder and all entries under its names. When it was killed, the next run of the same
user finds the folder without a lock and does the same.
"""

import atexit
import contextlib
import fcntl
import functools
import itertools
import os
import shutil
import socket
import stat
import tempfile
import time
from pathlib import Path

PLACE = Path("/tmp")
PREFIX = "goipc-conf-"
# Some servers make such a folder for the moment in which they take their name. An older one has lost its server.
OPENING_PREFIX, OPENING_S = ".goipc-", 60.0


class RunFolder:
    def __init__(self, place: Path = PLACE) -> None:
        self._place = place
        self._numbers = itertools.count(1)
        self.path, self._lock = _locked_folder(place)

    def fresh_name(self) -> str:
        return f"{self.path.name}-{next(self._numbers)}"

    def record(self, path: str) -> None:
        """For a socket whose name cannot begin with the folder's."""
        (self.path / f"record-{next(self._numbers)}").symlink_to(path)

    def remove(self) -> None:
        _remove_run(self._place, self.path)
        os.close(self._lock)


def sweep(place: Path = PLACE) -> None:
    """Removes what killed runs and servers of this user left behind."""
    for entry in _own_entries(place):
        if not entry.is_dir(follow_symlinks=False):
            continue
        if entry.name.startswith(OPENING_PREFIX) and time.time() - entry.stat().st_mtime > OPENING_S:
            _remove(Path(entry.path))
        elif entry.name.startswith(PREFIX) and "-" not in entry.name.removeprefix(PREFIX):
            with contextlib.suppress(OSError):  # gone, or its run lives
                lock = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove_run(place, Path(entry.path))
                finally:
                    os.close(lock)


@functools.cache
def run_folder() -> RunFolder:
    """The folder of this process, made at its first use."""
    sweep()
    folder = RunFolder()
    atexit.register(folder.remove)
    return folder


def fresh_name() -> str:
    return run_folder().fresh_name()


def fresh_folder() -> Path:
    """A new folder in /tmp."""
    folder = PLACE / fresh_name()
    folder.mkdir(mode=0o700)
    return folder


def remove_socket(path: str, since: float = 0.0) -> None:
    """Only if it is a socket, and one that was made since then: a path may be whatever an adapter named."""
    try:
        found = os.lstat(path)
        if stat.S_ISSOCK(found.st_mode) and found.st_mtime >= since:
            os.unlink(path)
    except (OSError, ValueError):  # a path with a NUL, or one that the system's encoding does not have
        pass


def _locked_folder(place: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        with contextlib.suppress(FileNotFoundError):  # a sweep was faster than the lock
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _own_entries(place: Path) -> list[os.DirEntry[str]]:
    """What this user owns there; in /tmp others can make entries of any name."""
    found = []
    with os.scandir(place) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                    found.append(entry)
    return found


def _remove_run(place: Path, folder: Path) -> None:
    for record in folder.iterdir():
        if record.is_symlink() and not _is_served(str(record.readlink())):
            remove_socket(str(record.readlink()))
    for entry in _own_entries(place):
        if entry.name.startswith(f"{folder.name}-"):
            _remove(Path(entry.path))
    _remove(folder)


def _is_served(path: str) -> bool:
    """A name outside of the run's may belong to another program by now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()

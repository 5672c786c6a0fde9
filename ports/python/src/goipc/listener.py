# SPDX-License-Identifier: MIT
"""The socket of a server in the file system (Section 5.2 of the specification).

The name is bound in place. The mode is set on the inode before that (Linux), or before the first connection is
possible (elsewhere), so that it is never wider than asked for; the mask of the process stays as it is. From the first
look at the path until the socket listens, a lock on the directory keeps out other servers of this kind and of the C
library, since a socket that does not listen yet looks like one that was left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator

from .errors import NameInUse, PermissionDenied
from .fork import Process
from .path import error_of

BACKLOG = 511  # capped by the system; a burst of clients must not be refused
LOCK_WAIT_S, LOCK_PAUSE_S = 0.5, 0.002


class ServerAlive(NameInUse):
    """Another server listens. `probe` is a connection to it, on which nothing has been read (EP-022)."""

    def __init__(self, path: str, probe: socket.socket | None) -> None:
        super().__init__(f"another server listens at {path}", "stop it, or choose another name")
        self.probe = probe


class Listener:
    """A listening socket with a name. To be made by `listen`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._identity: tuple[int, int] | None = None
        self._process = Process()

    def take_name(self, mode: int) -> None:
        """Binds and listens; under the lock."""
        if sys.platform.startswith("linux"):
            os.fchmod(self.sock.fileno(), mode)  # of the inode that bind makes; what the mask forbids is taken away
        try:
            self.sock.bind(self.path)
        except OSError:
            if not os.path.lexists(self.path):
                raise
            _remove_stale(self.path)
            self.sock.bind(self.path)
        there = os.lstat(self.path)
        self._identity = (there.st_dev, there.st_ino)
        self._set_mode(mode)
        self.sock.listen(BACKLOG)
        self.sock.setblocking(False)
        if not self.is_at_path():
            raise NameInUse(f"another server took {self.path} in the same moment", "choose another name")

    def _set_mode(self, mode: int) -> None:
        """Gives the socket back what the mask took, through a descriptor: the name could be redirected meanwhile."""
        if stat.S_IMODE(os.lstat(self.path).st_mode) == mode:
            return
        if not hasattr(os, "O_PATH"):
            os.chmod(self.path, mode, follow_symlinks=False)
            return
        descriptor = os.open(self.path, os.O_PATH | os.O_NOFOLLOW)
        try:
            there = os.fstat(descriptor)
            if (there.st_dev, there.st_ino) != self._identity:
                raise NameInUse(f"another server is taking {self.path}", "choose another name")
            os.chmod(f"/proc/self/fd/{descriptor}", mode)
        finally:
            os.close(descriptor)

    def is_at_path(self) -> bool:
        """Whether the path still leads to this socket."""
        try:
            there = os.lstat(self.path)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == self._identity

    def close(self) -> None:
        """Removes the name, if it still leads to this socket, and closes."""
        # While the socket is open, the number of its inode cannot belong to another file.
        if self._identity and self._process.is_current and self.is_at_path():
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self._identity = None
        self.sock.close()


async def listen(path: str, mode: int) -> Listener:
    """Takes the name. Raises ServerAlive, NameInUse, PermissionDenied or EndpointError."""
    listener = Listener(path)
    try:
        _check_directory(os.path.dirname(path))
        async with _locked(os.path.dirname(path)):
            listener.take_name(mode)
        return listener
    except OSError as error:
        listener.close()
        raise error_of(error, f"cannot listen at {path}") from error
    except BaseException:
        listener.close()
        raise


def _check_directory(directory: str) -> None:
    """Refuses a directory where another user could put a socket in the place of ours."""
    there = os.stat(directory)
    sticky = there.st_mode & stat.S_ISVTX
    trusted = there.st_uid in (0, os.geteuid())
    if not trusted or (there.st_mode & (stat.S_IWOTH | stat.S_IWGRP) and not sticky):
        raise PermissionDenied(
            f"other users can replace files in {directory}",
            "use a directory that only this user can write to, or set its sticky bit (chmod +t)",
        )


@contextlib.asynccontextmanager
async def _locked(directory: str) -> AsyncIterator[None]:
    """Holds a lock on the directory, the same as the C library's.

    Any user who can open the directory can hold the lock for ever, and some file systems have none. So after half
    a second the server goes on without it.
    """
    import fcntl  # not on Windows

    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # one may be allowed to make files in it and not to read it
        yield
        return
    try:
        until = time.monotonic() + LOCK_WAIT_S
        while time.monotonic() < until:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOCK_PAUSE_S)
            except OSError:
                break
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough after a fork
        os.close(descriptor)


def _probe(path: str) -> None:
    """Only a refused connection says that nobody listens (EP-012). Raises ServerAlive."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(path)
    except (ConnectionRefusedError, FileNotFoundError):
        sock.close()
    except OSError:
        sock.close()
        raise ServerAlive(path, None) from None
    else:
        raise ServerAlive(path, sock)


def _remove_stale(path: str) -> None:
    """EP-010 to EP-012: removes a socket of this user on which nobody listens, and nothing else."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(there.st_mode):
        raise NameInUse(f"{path} is not a socket and was left alone", "remove it, or choose another name")
    _probe(path)
    if there.st_uid != os.geteuid():
        raise PermissionDenied(
            f"{path} is a socket of user {there.st_uid} and was left alone", "have its owner remove it"
        )
    now = os.lstat(path)
    if (now.st_dev, now.st_ino, now.st_ctime_ns) != (there.st_dev, there.st_ino, there.st_ctime_ns):
        raise NameInUse(f"another server is taking {path}", "choose another name")
    os.unlink(path)

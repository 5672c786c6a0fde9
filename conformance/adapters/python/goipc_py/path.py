# SPDX-License-Identifier: MIT
"""Names and sockets in the file system (Section 5)."""

import errno
import os
import shutil
import socket
import stat
import struct
import sys
import tempfile

from .codec import Fault, LocalError

PATH_SIZE_MAX = 107 if sys.platform.startswith("linux") else 103
BACKLOG = 128


def socket_path(name: str, directory: str = "/tmp") -> str:
    try:
        raw = os.fsencode(f"{directory}/{name}.sock")
    except UnicodeError:
        raise LocalError("name", "the name cannot be a file name") from None
    if not name or "\0" in name or "/" in name:
        raise LocalError("name", "a name is not empty and holds neither a byte 0 nor /")
    if len(raw) > PATH_SIZE_MAX:
        raise LocalError("name", f"the path has {len(raw)} bytes, above {PATH_SIZE_MAX}")
    return os.fsdecode(raw)


def admit(sock: socket.socket) -> None:
    """EP-023 to EP-025: this user and the superuser, nobody else."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    if uid not in (0, os.geteuid()):
        raise Fault("other", f"the peer runs as user {uid}")


class Listener:
    """A listening socket at a path, with the mode 0600 from its first moment there."""

    def __init__(self, path: str, probe):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = None
        try:
            directory = tempfile.mkdtemp(prefix=".goipc-", dir=os.path.dirname(path))
            self._bind(directory)
            place = f"{directory}/s"
            self._identity = _identity(place)
            self._publish(place, f"{directory}/stale", probe)
            self.sock.setblocking(False)
        except OSError as error:
            self.sock.close()
            denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            raise LocalError("permission" if denied else "other", str(error)) from error
        except BaseException:
            self.sock.close()
            raise
        finally:
            if directory:
                shutil.rmtree(directory, ignore_errors=True)

    def _bind(self, directory: str) -> None:
        # The private directory has a longer path than the socket may have; its descriptor has not.
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            short = f"/proc/self/fd/{descriptor}"
            self.sock.bind(f"{short if os.path.exists(short) else directory}/s")
        finally:
            os.close(descriptor)
        os.chmod(f"{directory}/s", 0o600)
        self.sock.listen(BACKLOG)

    def _publish(self, place: str, aside: str, probe) -> None:
        # link, unlike rename, never takes the place of what another server has put there meanwhile.
        for _ in range(3):
            try:
                os.link(place, self.path)
                os.unlink(place)
                return
            except FileExistsError:
                self._remove_stale(aside, probe)
        raise LocalError("in-use", "another server is taking this path")

    def _remove_stale(self, aside: str, probe) -> None:
        try:
            there = os.lstat(self.path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(there.st_mode):
            raise LocalError("in-use", "something other than a socket stands at the path")
        if probe(self.path):
            raise LocalError("in-use", "another process listens at the path")
        if there.st_uid != os.geteuid():
            raise LocalError("permission", "the socket at the path belongs to another user")
        os.rename(self.path, aside)
        if _identity(aside) != (there.st_dev, there.st_ino):
            os.link(aside, self.path)  # not the one that was probed: put it back
            raise LocalError("in-use", "another server is taking this path")
        os.unlink(aside)

    def close(self) -> None:
        # While our descriptor is open the inode number cannot belong to another file.
        try:
            if _identity(self.path) == self._identity:
                os.unlink(self.path)
        except OSError:
            pass  # somebody removed it already
        self.sock.close()


def _identity(path: str) -> tuple[int, int]:
    there = os.lstat(path)
    return there.st_dev, there.st_ino

# SPDX-License-Identifier: MIT
"""Names, and what the system says about them (Section 5 of the specification)."""

from __future__ import annotations

import errno
import os
import sys

from .errors import EndpointError, NameNotAllowed, PermissionDenied

PATH_SIZE_MAX = 107 if sys.platform.startswith("linux") else 103


def socket_path(name: str, directory: str = "/tmp") -> str:
    """The path of the socket that belongs to a name (EP-001 to EP-009). Raises NameNotAllowed."""
    if sys.platform == "win32":
        raise EndpointError(
            "this package has no named pipes: asyncio makes them in message mode and open to other machines, "
            "which the protocol forbids",
            "use the C library on Windows",
        )
    if not name or "\0" in name or "/" in name:
        raise NameNotAllowed(f"the name {name!r} is empty, or holds '/' or a byte 0", "use letters, digits, - _ .")
    try:
        raw = os.fsencode(os.path.join(os.getcwd(), directory, f"{name}.sock"))
    except (UnicodeError, ValueError):
        raise NameNotAllowed(f"the name {name!r} cannot be a file name", "use letters, digits, - _ .") from None
    if len(raw) > PATH_SIZE_MAX:
        raise NameNotAllowed(
            f"the path of the socket has {len(raw)} bytes, and the system takes {PATH_SIZE_MAX}",
            "use a shorter name or directory",
        )
    return os.fsdecode(raw)


def error_of(error: OSError, what: str) -> EndpointError:
    """What the system said about an endpoint, with a remedy."""
    cause = f"{what}: {error.strerror or error}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(cause, "run as the user that owns it, or have its permissions changed")
    if error.errno == errno.EROFS:
        return PermissionDenied(cause, "choose a directory that can be written to")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EndpointError(cause, "free some space, or choose another directory")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return EndpointError(cause, "make the directory first")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return EndpointError(cause, "close what is not needed, or raise the limit of open files")
    return EndpointError(cause)

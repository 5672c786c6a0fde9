# SPDX-License-Identifier: MIT
"""Who is at the other end (EP-023 to EP-025 of the specification)."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Collection
from typing import Literal, NamedTuple

from .errors import PeerRefused

Peers = Literal["same-user", "any"] | Collection[int]


class Credentials(NamedTuple):
    """Who a peer is by the kernel's word; -1 where the system does not tell."""

    user: int
    group: int
    process: int


def credentials_of(sock: socket.socket) -> Credentials | None:
    """The peer of a connected Unix socket, or None where the system does not know."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            size = struct.calcsize("iII")
            process, user, group = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        else:
            user, group = _getpeereid(sock.fileno())
            process = -1
    except OSError:
        return None
    return Credentials(_known(user, "uid"), _known(group, "gid"), process)


def _getpeereid(descriptor: int) -> tuple[int, int]:
    """macOS and the BSDs."""
    user, group = ctypes.c_uint32(), ctypes.c_uint32()
    call = ctypes.CDLL(None, use_errno=True).getpeereid
    if call(descriptor, ctypes.byref(user), ctypes.byref(group)) != 0:
        raise OSError(ctypes.get_errno(), "getpeereid failed")
    return user.value, group.value


def _known(number: int, kind: Literal["uid", "gid"]) -> int:
    """-1 for the number that stands for every user that this user name space has no number for."""
    if number == 0xFFFFFFFF:
        return -1
    try:
        with open(f"/proc/sys/kernel/overflow{kind}", encoding="ascii") as file:
            return -1 if number == int(file.read()) else number
    except (OSError, ValueError):
        return number


def check_peer(sock: socket.socket, peers: Peers) -> Credentials | None:
    """EP-023 to EP-025: whether the policy admits the peer. Raises PeerRefused."""
    found = credentials_of(sock)
    if peers == "any":
        return found
    if found is None or found.user < 0:
        raise PeerRefused(
            "the system does not tell which user the peer runs as (another user name space?)",
            'run both in one user name space, or set peers="any"',
        )
    listed = () if isinstance(peers, str) else peers
    if found.user not in (0, os.geteuid()) and found.user not in listed:
        raise PeerRefused(
            f"the peer runs as user {found.user}, which is not admitted", "run it as this user, or set peers"
        )
    return found

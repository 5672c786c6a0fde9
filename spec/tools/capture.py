# SPDX-License-Identifier: MIT
"""Writes captures of golang-ipc connections in the form that spec/goipc.lua reads."""

from __future__ import annotations

import struct

LINK_TYPE_USER0 = 147
SERVER, CLIENT = 0, 1


def pcap(records: list[tuple[int, int, bytes]]) -> bytes:
    """A pcap file; each record is connection number, direction, bytes. Time is the record's place."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 24, LINK_TYPE_USER0)
    for place, (connection, direction, chunk) in enumerate(records):
        body = struct.pack(">IB3x", connection, direction) + chunk
        out += struct.pack("<IIII", 0, place, len(body), len(body)) + body
    return out

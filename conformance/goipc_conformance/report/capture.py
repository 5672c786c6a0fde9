# SPDX-License-Identifier: MIT
"""What travelled in a case: a readable log, and a capture for Wireshark with the specification's dissector.

A record of the capture is the number of the connection (4 bytes), the direction (0 from the server, 1 from the
client), three zero bytes and the bytes; one without bytes ends its direction. The link type is USER0.
"""

import re
import struct
import time
from pathlib import Path

from ..engine import Result
from ..wire import LogEntry
from . import Run, wanted

USER0 = 147
SERVER, CLIENT = 0, 1


def file_name(key: str) -> str:
    """A name every file system takes; IDs differ in more than what is replaced."""
    return re.sub(r"[^A-Za-z0-9.,=_-]+", "-", key).strip("-")


def direction_of(entry: LogEntry, role: str) -> int:
    implementation = SERVER if role == "server" else CLIENT
    return implementation if entry.direction == "<" else 1 - implementation  # "!" is the suite ending its own


def pcap(entries: list[LogEntry], role: str, epoch: float) -> bytes:
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 24, USER0)]
    for entry in entries:
        record = struct.pack(">IBxxx", entry.peer, direction_of(entry, role)) + entry.data
        moment = epoch + entry.at
        original = len(record) - len(entry.data) + entry.size
        out.append(struct.pack("<IIII", int(moment), int(moment % 1 * 1e6), len(record), original) + record)
    return b"".join(out)


def hexdump(data: bytes, indent: str = "    ") -> list[str]:
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{indent}{at:04x}  {row.hex(' '):47}  {shown}")
    return lines


def wire_log(result: Result) -> str:
    case = result.instance.case
    lines = [
        f"{result.verdict.value} {result.key}",
        case.title,
        f"expected {' or '.join(wanted(result))}",
        f"observed {result.outcome or result.reason}",
        *(f"  {detail}" for detail in result.details),
        "",
    ]
    arrows = {">": "suite -> implementation", "<": "implementation -> suite", "!": "--"}
    for entry in result.wire:
        lines.append(
            f"{entry.at * 1000:10.2f} ms  connection {entry.peer}  {arrows[entry.direction]}  {entry.label}"
            + (f" ({entry.size} bytes)" if entry.size else "")
        )
        lines += hexdump(entry.data)
        if entry.size > len(entry.data):
            lines.append(f"    ... {entry.size - len(entry.data)} more bytes")
    if result.control:
        lines += ["", "control channel"] + [f"  {arrow} {line[:400]}" for arrow, line in result.control]
    if result.output.strip():
        lines += ["", "standard error", *(f"  {line}" for line in result.output.splitlines()[-60:])]
    return "\n".join(lines) + "\n"


def write(run: Run, folder: Path, every: bool = False) -> int:
    """A log and a capture for each case that is not as required; for every case on request."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for result in run.results:
        wanted = every or result.verdict.counts_as == "failed"
        if not wanted or not (result.wire or result.control):
            continue
        base = folder / file_name(result.key)
        base.with_name(base.name + ".txt").write_text(wire_log(result), encoding="utf-8", errors="replace")
        base.with_name(base.name + ".pcap").write_bytes(pcap(result.wire, result.instance.role, time.time()))
        written += 1
    return written

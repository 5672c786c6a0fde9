# SPDX-License-Identifier: MIT
"""Measures goipc::core, from the release build, into size.md: bytes of code, and bytes that a session holds.

size.py [--check]    --check changes nothing, and fails where a figure of size.md is off by more than a quarter
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from tally import Tally  # noqa: E402

BUILD = ROOT / "build" / "release" / "ref"
PAGE = Path(__file__).with_name("size.md")
STATES = {
    "idle": "after the handshake",
    "used": "after a message each way",
    "receiving": "in the middle of receiving 1 MiB",
}
TOLERANCE = 0.25
BACK_END = re.compile(r"crypto_(tomcrypt|openssl|nettle|ipsec_mb)\.c\.o")
ROW = re.compile(r"^\| (.+?) \| ([\d,]+) \|$", re.MULTILINE)


def code_sizes() -> dict[str, int]:
    """Bytes of code and constants of the protocol, and of each back end's own file."""
    output = subprocess.run(["size", str(BUILD / "libgoipc_core.a")], capture_output=True, text=True, check=True).stdout
    sizes = {"code: the protocol": 0}
    for line in output.splitlines()[1:]:
        text, data, *_, name = line.split()[:6]
        found = BACK_END.match(name)
        key = f"code: back end {found.group(1)}" if found else "code: the protocol"
        sizes[key] = sizes.get(key, 0) + int(text) + int(data)
    return sizes


def session_sizes() -> dict[str, int]:
    output = subprocess.run(
        [str(BUILD / "bench" / "session_memory")], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in output.splitlines()]
    return {f"a session with {back_end}: {STATES[state]}": int(size) for back_end, state, size in rows}


def render(sizes: dict[str, int]) -> str:
    rows = "\n".join(f"| {name} | {size:,} |" for name, size in sizes.items())
    return f"""<!-- Written by ref/doc/size.py. -->
# What goipc::core costs

Measured on x86-64 with the preset `release` (gcc, -O2). Code is text and data of `libgoipc_core.a`; the cryptographic
libraries are not in it. A session's bytes are what it asks its allocator for, keyed ciphers included. OpenSSL's own
context, some 900 bytes a direction, comes from OpenSSL's allocator and is not counted. A session that receives grows with
what has arrived, by doubling, and never by what a length field announces. It holds no memory for messages while it is idle.

| what | bytes |
|---|---|
{rows}
"""


def main() -> int:
    sizes = code_sizes() | session_sizes()
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(render(sizes), encoding="utf-8")
        return 0
    tally = Tally()
    written = {name: int(size.replace(",", "")) for name, size in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    for name, size in sizes.items():
        then = written.get(name, 0)
        close = abs(size - then) <= TOLERANCE * max(then, size)
        tally.check(close, name, f"{size:,} bytes now, {then:,} in {PAGE.name}; size.py writes it anew")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

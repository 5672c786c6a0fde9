# SPDX-License-Identifier: MIT
"""./dev macos: compiles and links everything for both architectures of macOS, warnings as errors.

Nothing is run: there is no macOS here. What was linked is looked at, so that an empty build does not pass.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from gatelib import Tally  # noqa: E402

SKIPPED = 77
MACH_O_64 = 0xFEEDFACF
CPU_TYPES = {"x86_64": 0x01000007, "aarch64": 0x0100000C}
PROGRAMS = ("ref/cli/goipc", "ref/test/test_session", "ref/test/test_endpoints", "interop/interop_peer")
# What only the code for macOS calls: the poller and who the peer is.
SYMBOLS = (b"_kevent", b"_kqueue", b"_getpeereid")


def check_program(tally: Tally, architecture: str, program: Path) -> None:
    name = f"{architecture}: {program.name}"
    if not program.exists():
        tally.fail(name, "was not linked")
        return
    content = program.read_bytes()
    magic, cpu = struct.unpack_from("<II", content)
    tally.check(magic == MACH_O_64 and cpu == CPU_TYPES[architecture], name, f"is no program for {architecture}")
    if program.name == "goipc":
        for symbol in SYMBOLS:
            tally.check(symbol in content, f"{name} calls {symbol.decode()}", "the symbol is not there")


def main() -> int:
    tally = Tally()
    built = subprocess.run(["sh", str(ROOT / "tools" / "macos" / "build.sh")], check=False, cwd=ROOT)
    if built.returncode == SKIPPED:
        tally.skipped += 1  # the script has said why
        return tally.finish()
    tally.check(built.returncode == 0, "build", f"exit status {built.returncode}")
    for architecture in CPU_TYPES:
        for program in PROGRAMS:
            check_program(tally, architecture, ROOT / "build" / "macos" / architecture / "build" / program)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""./dev macos: compiles and links everything for both architectures of macOS, warnings as errors.

Nothing is run: there is no macOS here. What was linked is looked at, so that an empty build does not pass. The sources
of the library, which FreeBSD shares with macOS down to the poller, are compiled for it, too, and not linked.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import shlex
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))
from tally import Tally, job_count  # noqa: E402

SKIPPED = 77
MACH_O_64 = 0xFEEDFACF
CPU_TYPES = {"x86_64": 0x01000007, "aarch64": 0x0100000C}
PROGRAMS = ("ref/cli/goipc", "ref/test/test_session", "ref/test/test_endpoints")
LIBRARY = "goipc.dir"
FREEBSD_SOURCES = {"socket_bsd.c", "poller_kqueue.c", "transport.c", "listener.c", "system.c", "clock.c", "lock.c"}
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


def freebsd_command(entry: dict) -> list[str]:
    """How a source is compiled for FreeBSD: as for macOS, with another target."""
    words = shlex.split(entry["command"])
    options = [word for word in words[2:] if word.startswith(("-D", "-I", "-W", "-std", "-f"))]
    places = [word for at, word in enumerate(words) if "-isystem" in (word, words[at - 1])]
    return [*words[:2], "--target=x86_64-freebsd", *options, *places, "-c", "-o", os.devnull, entry["file"]]


def check_freebsd(tally: Tally) -> None:
    build = ROOT / "build" / "macos" / "x86_64" / "build"
    listed = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    entries = {Path(entry["file"]).name: entry for entry in listed if f"/{LIBRARY}/" in entry["command"]}
    tally.check(FREEBSD_SOURCES <= set(entries), "freebsd: sources", f"only {sorted(entries)}")

    cache = str(ROOT / "build" / "cross" / "zig-cache")
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}

    def compiled(entry: dict) -> str:
        command = freebsd_command(entry)
        done = subprocess.run(command, cwd=build, env=environment, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr[:2000]

    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:
        for name, complaint in zip(entries, pool.map(compiled, entries.values()), strict=True):
            tally.check(not complaint, f"freebsd: {name}", complaint)


def main() -> int:
    tally = Tally()
    built = subprocess.run(["sh", str(ROOT / "ref/platforms/macos/build.sh")], check=False, cwd=ROOT)
    if built.returncode == SKIPPED:
        tally.skipped += 1  # the script has said why
        return tally.finish()
    tally.check(built.returncode == 0, "build", f"exit status {built.returncode}")
    for architecture in CPU_TYPES:
        for program in PROGRAMS:
            check_program(tally, architecture, ROOT / "build" / "macos" / architecture / "build" / program)
    if built.returncode == 0:
        check_freebsd(tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

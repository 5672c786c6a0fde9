# SPDX-License-Identifier: MIT
"""Holds the sources for Windows free of what MSVC refuses, without MSVC.

clang, told to be MSVC 19.35 (its macros, so what stands in `#if defined(_MSC_VER)` is read, too), checks every source
of the Windows build and of the relay against mingw-w64's headers: no extension of GNU C, no variable-length array, no
header that only mingw-w64 has, no name of msvc.h's list. What it cannot see is what MSVC's own headers and its linker
would say.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from tally import Tally, job_count, relative  # noqa: E402

COMMANDS = ROOT / "build" / "windows" / "static" / "compile_commands.json"
HEADERS = Path("/usr/x86_64-w64-mingw32/include"), Path("/usr/share/mingw-w64/include")
# In the build's list, and not for MSVC: not built for Windows at all, or built with mingw-w64 alone for what it brings.
NOT_FOR_MSVC = {
    "ref/bench/": "measures on Unix",
    "conformance/adapters/c/": "POSIX threads",
    "ref/cli/options.c": "getopt_long",
}
OPTIONS = ["--target=x86_64-pc-windows-msvc", "-fms-compatibility-version=19.35", "-fsyntax-only", "-std=c11"]
OPTIONS += ["-Werror", "-Wall", "-Wextra", "-Wpedantic", "-Wgnu", "-Wvla", "-Wimplicit-function-declaration"]
# Headers of mingw-w64 that the Windows SDK has not.
MISSING = "unistd|getopt|pthread|strings|dirent|libgen|semaphore|sched|sys/time|sys/param|sys/socket|sys/un|threads"
MISSING_HEADER = re.compile(rf"^[ \t]*#[ \t]*include[ \t]*[<\"]((?:{MISSING})\.h)[>\"]", re.MULTILINE)


def find_tools() -> tuple[str | None, Path | None]:
    """clang, and where the headers of mingw-w64 are."""
    return shutil.which("clang"), next((place for place in HEADERS if (place / "windows.h").exists()), None)


def sources() -> dict[Path, list[str]]:
    """Every source with the options that say where headers are and what is defined."""
    found: dict[Path, list[str]] = {ROOT / "conformance/adapters/windows/relay.c": []}
    for entry in json.loads(COMMANDS.read_text(encoding="utf-8")):
        path = Path(entry["file"])
        if relative(path).startswith(tuple(NOT_FOR_MSVC)):
            continue
        words = shlex.split(entry["command"])
        places = []
        for at, word in enumerate(words):
            if word == "-isystem":
                places += [word, words[at + 1]]
            elif word.startswith(("-I", "-D")):
                places.append(word)
        found.setdefault(path, places)
    return found


def complaint(clang: str, headers: Path, path: Path, places: list[str]) -> str:
    missing = MISSING_HEADER.findall(path.read_text(encoding="utf-8"))
    if missing:
        return f"MSVC has no {', '.join(missing)}"
    shim = ["-include", str(ROOT / "ref/test/msvc.h"), "-isystem", str(headers)]
    command = [clang, *OPTIONS, *places, *shim, str(path)]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    return done.stderr[:2000] if done.returncode != 0 else ""


def main() -> int:
    tally = Tally()
    clang, headers = find_tools()
    if clang is None or headers is None:
        tally.skip("MSVC", "clang is not installed" if clang is None else "the headers of mingw-w64 were not found")
        return tally.finish()
    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:
        listed = sources()
        verdicts = pool.map(lambda path: complaint(clang, headers, path, listed[path]), listed)
        for path, verdict in zip(listed, verdicts, strict=True):
            tally.check(not verdict, f"MSVC: {relative(path)}", verdict)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

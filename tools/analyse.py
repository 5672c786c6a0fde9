# SPDX-License-Identifier: MIT
"""Runs a static analyser over every C file that a preset compiles, as it is compiled there: each file counts.

    analyse.py clang-tidy|clang-analyzer|cppcheck|gcc PRESET

The preset has been built, so that what is generated is there. clang-tidy makes every check of .clang-tidy on every
file, but walks through all paths (clang-analyzer-*, nine tenths of the time) only in the library; clang-analyzer does
that everywhere.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tally import ROOT, Tally, job_count, relative

LIBRARY = ROOT / "ref/src"


def compile_commands(preset: str) -> dict[Path, dict]:
    """One command per source file of ours, the library first, since its files take longest."""
    found: dict[Path, dict] = {}
    for entry in json.loads((ROOT / "build" / preset / "compile_commands.json").read_text(encoding="utf-8")):
        path = Path(entry["directory"], entry["file"]).resolve()
        if ROOT in path.parents and ROOT / "build" not in path.parents and path.suffix == ".c":
            found.setdefault(path, entry)
    return dict(sorted(found.items(), key=lambda item: (LIBRARY not in item[0].parents, item[0])))


def clang_tidy(path: Path, preset: str, checks: str) -> list[str]:
    return ["clang-tidy", "-p", f"build/{preset}", "--quiet", f"--checks={checks}", str(path)]


def cppcheck(path: Path, entry: dict) -> list[str]:
    options = [word for word in shlex.split(entry["command"]) if word.startswith(("-I", "-D"))]
    return [
        "cppcheck", "--enable=warning,performance,portability", "--inline-suppr", "--std=c11", "--quiet",
        "--error-exitcode=2", "--suppress=missingIncludeSystem", "--suppress=normalCheckLevelMaxBranches",
        *options, str(path),
    ]  # fmt: skip


def gcc(entry: dict) -> list[str]:
    """-O1 gives the analyser the inlining it was made for; with -flto it would run at link time."""
    command = re.sub(r" -(o|MF|MT|MQ) \S+| -(MD|MMD|c)(?= )", "", entry["command"])
    words = shlex.split(command)
    words = words[1:] if words[0].endswith("ccache") else words
    return [*words, "-O1", "-fno-lto", "-fanalyzer", "-Werror", "-c", "-o", "/dev/null"]


def command_of(analyser: str, preset: str, path: Path, entry: dict) -> list[str]:
    if analyser == "gcc":
        return gcc(entry)
    if analyser == "cppcheck":
        return cppcheck(path, entry)
    if analyser == "clang-tidy":
        return clang_tidy(path, preset, "" if LIBRARY in path.parents else "-clang-analyzer-*")
    # What .clang-tidy has switched off, with its reasons there.
    off = re.findall(r"-clang-analyzer-[\w.-]+", (ROOT / ".clang-tidy").read_text(encoding="utf-8"))
    return clang_tidy(path, preset, ",".join(["-*", "clang-analyzer-*", *off]))


def main() -> int:
    analyser, preset = sys.argv[1:]
    tally = Tally()
    files = compile_commands(preset)

    def finding(path: Path) -> str:
        done = subprocess.run(
            command_of(analyser, preset, path, files[path]),
            cwd=files[path]["directory"] if analyser == "gcc" else ROOT,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        return (done.stdout + done.stderr).strip() or "no output" if done.returncode else ""

    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:
        for path, text in zip(files, pool.map(finding, files), strict=True):
            print(text, end="\n" if text else "")
            tally.check(not text, relative(path), next((line for line in text.splitlines() if ": " in line), text))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

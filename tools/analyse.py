# SPDX-License-Identifier: MIT
"""Runs a static analyser over every C file that a preset compiles, and reports file by file.

    analyse.py clang-tidy|clang-analyzer|cppcheck|gcc PRESET

The commands come from the preset's compile_commands.json, so each file is analysed as it is built, once.
clang-tidy makes every check of .clang-tidy on every file, but walks through all paths (clang-analyzer-*, nine
tenths of the time) only in the library; clang-analyzer does that everywhere, and is for the night.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from ctest_gate import wanted_compiler
from gatelib import ROOT, Tally, find_tool, job_count, relative

# Built from sources that are not ours, or written by a tool.
FOREIGN = re.compile(r"(^|/)(build|third_party)/")
# clang does not know what only gcc takes.
GCC_ONLY = re.compile(r"^-fanalyzer|^-Wlogical-op$|^-Wduplicated-|^-Wjump-misses-init$")


def configure(preset: str) -> str | None:
    done = subprocess.run(["cmake", "--preset", preset], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        return "\n".join((done.stdout + done.stderr).splitlines()[-40:])
    # Generated headers must exist before a file that includes them can be read. What does not build is
    # the finding of another gate.
    subprocess.run(
        ["cmake", "--build", f"build/{preset}", "-j", str(job_count()), "--", "-k", "0"], cwd=ROOT, capture_output=True
    )
    return None


def compile_commands(preset: str) -> dict[Path, dict]:
    """One command per source file: the library is compiled twice, its first command is as good as the second."""
    entries = json.loads((ROOT / "build" / preset / "compile_commands.json").read_text(encoding="utf-8"))
    found: dict[Path, dict] = {}
    for entry in entries:
        path = Path(entry["directory"], entry["file"]).resolve()
        if ROOT in path.parents and path.suffix == ".c" and not FOREIGN.search(relative(path)):
            found.setdefault(path, entry)
    return dict(sorted(found.items()))


def run(command: list[str], directory: str | Path = ROOT) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    return done.returncode, done.stdout


def in_library(path: Path) -> bool:
    return (ROOT / "ref" / "src") in path.parents


def tidy_checks(analyser: str, path: Path) -> str:
    """What is added to the checks of .clang-tidy."""
    if analyser == "clang-analyzer":
        return "-*,clang-analyzer-*," + ",".join(analyser_exceptions())
    return "" if in_library(path) else "-clang-analyzer-*"


def analyser_exceptions() -> list[str]:
    """What .clang-tidy has switched off of clang-analyzer-*, with its reasons there."""
    return re.findall(r"-clang-analyzer-[\w.-]+", (ROOT / ".clang-tidy").read_text(encoding="utf-8"))


def clang_tidy(path: Path, preset: str, tool: str, checks: str) -> str:
    """The findings, empty if there are none."""
    code, output = run([tool, "-p", f"build/{preset}", "--quiet", f"--checks={checks}", str(path)])
    findings = [line for line in output.splitlines() if not re.match(r"\d+ warnings? |Suppressed |Use -header", line)]
    return "\n".join(findings) if code else ""


def gcc(path: Path, entry: dict, tool: str) -> str:
    arguments = shlex.split(entry["command"])
    kept = [tool]
    skip = False
    for argument in arguments[1:]:
        if skip:
            skip = False
        elif argument in ("-o", "-MF", "-MT", "-MQ"):
            skip = True
        elif argument not in ("-MD", "-MMD", "-c"):
            kept.append(argument)
    # -O1 gives the analyser the inlining it was made for; the object file is of no use. With -flto it
    # would run at link time.
    kept += ["-O1", "-fno-lto", "-fanalyzer", "-Werror", "-c", "-o", "/dev/null"]
    code, output = run(kept, entry["directory"])
    return output if code else ""


def cppcheck(preset: str, files: dict[Path, dict], tool: str) -> dict[Path, str]:
    """One run over all files; the findings by file."""
    with tempfile.TemporaryDirectory(prefix="goipc-") as folder:
        # Our own entries only: the project file also lists tests of others and each library file twice.
        chosen = Path(folder, "compile_commands.json")
        chosen.write_text(json.dumps(list(files.values())), encoding="utf-8")
        command = [tool, f"--project={chosen}", "--enable=warning,performance,portability", "--inline-suppr"]
        command += ["--std=c11", "-j", str(job_count()), "--xml", "--quiet", "--error-exitcode=2"]
        command += ["--suppress=missingIncludeSystem", "--suppress=normalCheckLevelMaxBranches"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found: dict[Path, str] = {}
    for error in ET.fromstring(done.stderr).iter("error"):
        location = error.find("location")
        text = f"{error.get('id')}: {error.get('msg')}"
        if location is None:
            if error.get("severity") != "information":
                found[ROOT] = f"{found.get(ROOT, '')}\n{text}"
            continue
        path = Path(location.get("file", "")).resolve()
        found[path] = f"{found.get(path, '')}\n{path}:{location.get('line')}: {text}".lstrip("\n")
    if done.returncode not in (0, 2):
        found[ROOT] = f"exit code {done.returncode}\n{done.stdout[-2000:]}"
    return found


def analyse(analyser: str, preset: str, tool: str, tally: Tally) -> None:
    files = compile_commands(preset)
    if analyser == "cppcheck":
        found = cppcheck(preset, files, tool)
        for path, text in found.items():
            print(text)
            tally.fail(relative(path) if ROOT in path.parents else analyser)
        tally.ok(len([path for path in files if path not in found]))
        return
    # The library first: its files take longest.
    files = dict(sorted(files.items(), key=lambda item: (not in_library(item[0]), item[0])))
    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:
        if analyser == "gcc":
            results = pool.map(lambda item: gcc(*item, tool), files.items())
        else:
            results = pool.map(lambda path: clang_tidy(path, preset, tool, tidy_checks(analyser, path)), files)
        for path, text in zip(files, results, strict=True):
            if text:
                print(text)
            tally.check(not text, relative(path))


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a static analyser as a gate.")
    parser.add_argument("analyser", choices=["clang-tidy", "clang-analyzer", "cppcheck", "gcc"])
    parser.add_argument("preset")
    options = parser.parse_args()
    tally = Tally()
    tool = find_tool("clang-tidy" if options.analyser == "clang-analyzer" else options.analyser)
    compiler = wanted_compiler(options.preset)
    if tool is None or (compiler and not shutil.which(compiler)):
        tally.skip(options.analyser, f"{options.analyser if tool is None else compiler} is not installed")
        return tally.finish()
    if options.analyser == "gcc" and "clang" in run([tool, "--version"])[1]:
        tally.skip("gcc", "gcc is clang here, which has no -fanalyzer")
        return tally.finish()
    problem = configure(options.preset)
    if problem:
        print(problem)
        tally.fail(f"build {options.preset}")
    else:
        analyse(options.analyser, options.preset, tool, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Findings of ready-made tools in what is not C: lint_text.py ruff|shellcheck|codespell|govet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tally import ROOT, Tally, find_tool, project_files, relative


def shell_files() -> list[Path]:
    named = set(project_files(("*.sh", "dev", ".ci/run")))
    started = {path for path in project_files() if path.read_bytes()[:12] in (b"#!/bin/sh\n# ", b"#!/bin/sh\n")}
    return sorted(named | started)


def file_by_file(command: list[str], files: list[Path], tally: Tally) -> None:
    for path in files:
        done = subprocess.run([*command, str(path)], cwd=ROOT, capture_output=True, text=True)
        output = (done.stdout + done.stderr).strip()
        if done.returncode:
            print(output)
        tally.check(done.returncode == 0, relative(path))


def all_at_once(command: list[str], files: list[Path], tally: Tally) -> None:
    """For a tool that is slow to start and begins each finding with the file's name."""
    done = subprocess.run([*command, *map(str, files)], cwd=ROOT, capture_output=True, text=True)
    output = done.stdout + done.stderr
    print(output, end="")
    found = {line.split(":")[0] for line in output.splitlines()}
    for path in files:
        tally.check(str(path) not in found, relative(path))
    if done.returncode and not tally.failed:
        tally.fail(command[0], f"exit code {done.returncode}")


def go_vet(tally: Tally) -> None:
    for module in project_files(("go.mod",)):
        done = subprocess.run(["go", "vet", "./..."], cwd=module.parent, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout + done.stderr)
        tally.check(done.returncode == 0, relative(module.parent))


def main() -> int:
    name = sys.argv[1]
    tally = Tally()
    tool = find_tool({"govet": "go"}.get(name, name))
    if tool is None:
        tally.skip(name, f"{name} is not installed")
    elif name == "ruff":
        file_by_file([tool, "check", "--quiet", "--no-cache"], project_files(("*.py",)), tally)
    elif name == "shellcheck":
        file_by_file([tool, "--severity=warning"], shell_files(), tally)
    elif name == "codespell":
        texts = ("*.md", "*.c", "*.h", "*.py", "*.go", "*.toml", "dev", "*.sh", "*.cmake", "CMakeLists.txt")
        # Words of the trade that the dictionary takes for slips.
        words = "ue,te,ot,fo,nd,hel,ba,cas,inout,crate,mis,som,wile,shs,nmae"
        all_at_once([tool, f"--ignore-words-list={words}"], project_files(texts), tally)
    elif name == "govet":
        go_vet(tally)
    else:
        sys.exit(f"unknown tool {name}")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

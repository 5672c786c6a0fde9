# SPDX-License-Identifier: MIT
"""Asks for every branch of the layers that need no operating system to be taken by the tests.

    coverage.py [--no-build]

Builds build/coverage with gcov and without assertions (a failed assertion is no branch that a test may
take), runs the tests of these layers, and reads what gcov says of each file. A branch that no test can take
stands in coverage-exclusions.txt, with its reason; an exclusion that is not needed is a failure too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "coverage"
EXCLUSIONS = Path(__file__).with_name("coverage-exclusions.txt")
CORE = (
    "error",
    "wire",
    "secret",
    "buffer",
    "crypto",
    "crypto_choose",
    "crypto_self_test",
    "crypto_tomcrypt",
    "crypto_openssl",
    "crypto_openssl_none",
    "record",
    "crypto_nettle",
    "crypto_nettle_none",
    "crypto_ipsec_mb",
    "crypto_ipsec_mb_none",
    "handshake",
    "session",
)
TESTS = (
    r"^ref\.(error|wire|buffer|system|crypto.*|.*crypt_failures|(openssl|nettle|ipsec_mb)_failures|vectors|session.*)$"
)


def build() -> None:
    for old in BUILD.rglob("*.gcda"):
        old.unlink()
    for command in (
        ["cmake", "--preset", "coverage", "-DCMAKE_C_FLAGS=-DNDEBUG"],
        ["cmake", "--build", str(BUILD), "-j2"],
        ["ctest", "--test-dir", str(BUILD), "-R", TESTS, "-j1", "--output-on-failure"],
    ):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(done.stdout[-4000:])
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")


def exclusions() -> dict[tuple[str, str], str]:
    """(file, source line without its indentation) -> reason."""
    found = {}
    for number, line in enumerate(EXCLUSIONS.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 3 or not parts[2]:
            raise SystemExit(f"{EXCLUSIONS.name}:{number}: not `file | source line | reason`")
        found[parts[0], parts[1]] = parts[2]
    return found


def branches(name: str) -> list[tuple[int, int, int]]:
    """(line, branches, branches that were taken) of one file, or nothing where it is not built."""
    objects = list(BUILD.glob(f"ref/CMakeFiles/goipc_testing.dir/src/core/{name}.c.gcda"))
    if not objects:
        return []
    command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", str(objects[0])]
    report = json.loads(subprocess.run(command, cwd=BUILD, capture_output=True, check=True).stdout)
    lines = []
    for file in report["files"]:
        if not file["file"].endswith(f"ref/src/core/{name}.c"):
            continue
        for line in file["lines"]:
            counts = [branch["count"] for branch in line["branches"]]
            lines.append((line["line_number"], len(counts), sum(count > 0 for count in counts)))
            if not counts and line["count"] == 0:
                lines[-1] = (line["line_number"], 1, 0)  # a line that was never reached
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-build", action="store_true", help="read what the last run has left")
    if not parser.parse_args().no_build:
        build()
    excluded = exclusions()
    needed: set[tuple[str, str]] = set()
    passed = failed = skipped = 0
    for name in CORE:
        lines = branches(name)
        source = (ROOT / "ref" / "src" / "core" / f"{name}.c").read_text(encoding="utf-8").splitlines()
        total = sum(count for _, count, _ in lines)
        if not lines:
            print(f"SKIP {name}.c: not part of this build")
            skipped += 1
            continue
        missing = []
        for number, count, taken in lines:
            key = (f"{name}.c", source[number - 1].strip())
            if taken < count and key in excluded:
                needed.add(key)
            elif taken < count:
                missing.append(f"  {name}.c:{number}: {count - taken} of {count} not taken: {key[1]}")
        print(f"{name}.c: {total} branches, {len(missing)} lines with one that no test takes")
        print("\n".join(missing), end="\n" if missing else "")
        passed, failed = (passed, failed + 1) if missing else (passed + 1, failed)
    for file, line in sorted(set(excluded) - needed):
        print(f"{EXCLUSIONS.name}: not needed: {file} | {line}")
        failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

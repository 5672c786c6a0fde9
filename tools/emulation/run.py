# SPDX-License-Identifier: MIT
"""Builds the core for other machines and runs its tests there: vectors, units, and the fuzz corpora.

    ./dev emulation [i686|s390x|msan ...]

i686 has 32-bit sizes and runs on an x86-64 kernel as it is; s390x is big-endian and runs under qemu's
user mode; msan is this machine with MemorySanitizer. The crypto libraries are built from Debian's
sources for each. What has no compiler or emulator here is skipped with a reason.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from tally import Tally, fetch_cross_sources, job_count  # noqa: E402

# What a target needs: one of each group of programs.
NEEDS = {
    "i686": [("i686-linux-gnu-gcc",)],
    "s390x": [("s390x-linux-gnu-gcc",), ("qemu-s390x", "qemu-s390x-static")],
    "msan": [("clang",)],
}
UNITS = ("error", "wire", "buffer", "system", "crypto", "vectors", "session", "session_parts", "session_faults")
FUZZ = (
    "wire",
    "session_server",
    "session_client",
    "sealed",
    "pair",
    "cuts",
    "differential_crypto",
    "differential_decode",
    "decode",
)
SKIPPED = 77
# For a wedge, not for a slow machine: an emulator on a busy one needs half an hour for the longest.
LIMIT_S = 5400


def run(command: list[str], limit_s: int = LIMIT_S) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"no end within {limit_s} s"
    return done.returncode, done.stdout


def build(name: str, folder: str) -> tuple[str, str]:
    """Why it cannot be (a skip), and what went wrong (a failure); empty where all is well."""
    toolchain = f"tools/emulation/{name}.cmake"
    if name == "msan":
        Path(ROOT, folder).mkdir(parents=True, exist_ok=True)
        # What msan.cmake links to every program.
        code, text = run(["clang", "-O1", "-c", "tools/emulation/msan_random.c", "-o", f"{folder}/random.o"])
        if code != 0:
            return "", text[-2000:]
    fetch_cross_sources()
    code, text = run(["tools/cross/dependencies.sh", toolchain, folder])
    if code == SKIPPED:
        found = re.search(r"^SKIP \w+: (.*)$", text, re.MULTILINE)
        return (found.group(1) if found else "its libraries are not to be had"), ""
    if code != 0:
        return "", text[-2000:]
    programs = [f"test_{unit}" for unit in UNITS] + [f"fuzz_{target}" for target in FUZZ]
    for command in (
        [
            "cmake",
            "-S",
            ".",
            "-B",
            f"{folder}/build",
            "-G",
            "Ninja",
            f"-DCMAKE_TOOLCHAIN_FILE={ROOT / toolchain}",
            "-DCMAKE_BUILD_TYPE=Debug",
            "-DCMAKE_C_FLAGS_DEBUG=-O2 -g",
            "-DGOIPC_OPENSSL=OFF",
            "-DGOIPC_NETTLE=OFF",
            "-DGOIPC_IPSEC_MB=OFF",
            "-DGOIPC_WERROR=ON",
        ],
        ["cmake", "--build", f"{folder}/build", "-j", str(job_count()), "--target", *programs],
    ):
        code, text = run(command)
        if code != 0:
            return "", text[-2000:]
    return "", ""


def test(tally: Tally, name: str, folder: str) -> None:
    wanted = "|".join([f"ref\\.({'|'.join(UNITS)})", f"fuzz\\.({'|'.join(FUZZ)})"])
    code, text = run(["ctest", "--test-dir", f"{folder}/build", "-R", f"^({wanted})$", "--show-only=json-v1"])
    if code != 0:
        tally.fail(name, text[-2000:])
        return
    # Not by ctest itself, whose time limits are for programs that run at full speed.
    tests = json.loads(text)["tests"]
    tally.check(len(tests) == len(UNITS) + len(FUZZ), f"{name}: all tests are there", f"only {len(tests)}")
    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:
        for title, code, seconds, output in pool.map(run_test, tests):
            title = f"{name} {title}"
            print(f"{title:40} {'passed' if code == 0 else code} {seconds:7.1f} s", flush=True)
            if code == SKIPPED:
                tally.skip(title, output.strip().splitlines()[0] if output.strip() else "skipped itself")
            else:
                tally.check(code == 0, title, output[-1500:])


def run_test(entry: dict) -> tuple[str, int, float, str]:
    # The corpora as they are: each mutation of them would cost minutes under an emulator.
    command = [
        "0" if before == "--mutations" else word
        for before, word in zip([""] + entry["command"], entry["command"], strict=False)
    ]
    started = time.monotonic()
    code, text = run(command)
    return entry["name"], code, time.monotonic() - started, text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: {', '.join(NEEDS)}")
    options = parser.parse_args()
    tally = Tally()
    for name in options.targets or NEEDS:
        if name not in NEEDS:
            parser.error(f"no target {name}; there are {', '.join(NEEDS)}")
        missing = [group[0] for group in NEEDS[name] if not any(shutil.which(program) for program in group)]
        if missing:
            tally.skip(name, f"needs {', '.join(missing)}")
            continue
        if name == "i686" and platform.machine() not in ("x86_64", "i686"):
            tally.skip(name, "this processor does not run x86 programs")
            continue
        folder = f"build/emulation/{name}"
        impossible, trouble = build(name, folder)
        if impossible:
            tally.skip(name, impossible)
        elif trouble:
            tally.fail(f"{name}: build", trouble)
        else:
            test(tally, name, folder)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

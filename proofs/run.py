# SPDX-License-Identifier: MIT
"""Runs the proofs: the models of the protocol with spin, the contracts of the wire codec with Frama-C,
and what is tried out whole. Each kind also runs against something broken, where it must fail.

    ./dev proofs [--only model|contracts|exhaustive] [--deep]

What has no tool here is skipped with a reason. README.md says what is claimed and what is not.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROOFS = ROOT / "proofs"
BUILD = ROOT / "build" / "proofs"
sys.path.insert(0, str(ROOT / "tools"))

from tally import Tally, job_count  # noqa: E402

LIMIT_S = 900


def run(command: list[str], folder: Path = ROOT, limit_s: int = LIMIT_S) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
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


def fresh(name: str) -> Path:
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


# ---- the model --------------------------------------------------------------------------------------

SAFETY = "safety"  # no invalid end state, every assertion


@dataclass(frozen=True)
class Check:
    claim: str
    defines: str
    fails: bool = False
    deep: bool = False

    @property
    def name(self) -> str:
        return f"model {self.claim} [{self.defines or 'no faults'}]"


CHECKS = [
    # What must hold.
    *(
        Check("listens", defines)
        for defines in ("", "RESTARTS=1 DROPS=1", "VISITS=1", "CORRUPT=1 DROPS=1 NAPS=1 RESTARTS=1")
    ),
    *(
        Check(claim, defines)
        for claim in (SAFETY, "served")
        for defines in (
            "",
            "ROUNDS=3",
            "CORRUPT=2",
            "DROPS=2",
            "NAPS=2",
            "RESTARTS=1 DROPS=1",
            "VISITS=1",
            "CLIENTS=2",
            "CLIENTS=2 SLOTS=2",
            "CORRUPT=1 DROPS=1 NAPS=1 RESTARTS=1",
        )
    ),
    Check(SAFETY, "VISITS=1 CORRUPT=1 DROPS=1"),
    Check("served", "VISITS=1 CORRUPT=1"),
    Check("served", "VISITS=1 DROPS=1"),
    Check(SAFETY, "CLIENTS=2 DROPS=1 CORRUPT=1", deep=True),
    Check("served", "CLIENTS=2 DROPS=1", deep=True),
    Check(SAFETY, "VISITS=1 CORRUPT=1 DROPS=1 RESTARTS=1", deep=True),
    Check(SAFETY, "VISITS=2", deep=True),
    Check(SAFETY, "VISITS=1 CLIENTS=2", deep=True),
    # Variants of what is deployed: nobody is served any more, ...
    Check("served", "STATUS_RACE DROPS=1", fails=True),
    Check("served", "NO_DEADLINE VISITS=1", fails=True),
    Check("served", "REFUSED_HANGS CLIENTS=2", fails=True),
    # ... the client is deaf and says that it is connected, ...
    Check("served", "DEAF_CLIENT CORRUPT=1", fails=True),
    Check(SAFETY, "DEAF_CLIENT CORRUPT=1", fails=True),
    # ... or the listener is lost.
    Check("listens", "LISTENER_DIES VISITS=1", fails=True),
    Check("served", "LISTENER_DIES VISITS=1", fails=True),
    # The same variants without the fault that brings them out: it is the fault that is found.
    Check("served", "STATUS_RACE"),
    Check("served", "DEAF_CLIENT"),
]


def explore(check: Check) -> tuple[bool, str, str]:
    """Whether the claim holds, what was counted, and the tool's words where there was trouble."""
    folder = fresh(f"model/{re.sub(r'[^A-Za-z0-9]+', '-', check.name)}")
    shutil.copy(PROOFS / "model" / "goipc.pml", folder)
    defines = [f"-D{word}" for word in check.defines.split()]
    code, text = run(["spin", "-a", *defines, "goipc.pml"], folder)
    if code != 0 or not (folder / "pan.c").exists():
        return False, "", f"spin: {text[-500:]}"
    options = ["-DSAFETY", "-DNOCLAIM"] if check.claim == SAFETY else ["-DNFAIR=5"]
    code, text = run(["cc", "-O1", "-w", "-DVECTORSZ=2048", *options, "-o", "pan", "pan.c"], folder)
    if code != 0:
        return False, "", f"cc: {text[-500:]}"
    command = ["./pan", "-m3000000"] if check.claim == SAFETY else ["./pan", "-a", "-f", "-m3000000", "-N", check.claim]
    code, text = run(command, folder)
    errors = re.search(r"errors: (\d+)", text)
    states = re.search(r"(\d+) states, stored", text)
    if errors is None or "max search depth too small" in text or "out of memory" in text:
        return False, "", f"pan did not finish: {text[-500:]}"
    why = re.search(r"^pan:1: (.*)$", text, re.MULTILINE)
    return errors.group(1) == "0", f"{states.group(1) if states else '?'} states", why.group(1) if why else ""


def model(tally: Tally, deep: bool) -> None:
    missing = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]
    if missing:
        tally.skip("model", f"needs {', '.join(missing)}")
        return
    chosen = [check for check in CHECKS if deep or not check.deep]
    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:
        for check, (holds, counted, why) in zip(chosen, pool.map(explore, chosen), strict=True):
            judge(tally, check, holds, counted, why)


def judge(tally: Tally, check: Check, holds: bool, counted: str, why: str) -> None:
    if check.fails:
        # It must fail by a counterexample, not because the tool gave up.
        found = not holds and bool(re.search(r"acceptance cycle|assertion violated|invalid end state", why))
        tally.check(found, check.name, why or "the variant does not fail: the model sees nothing")
        print(f"{check.name}: fails as it must, {why}" if found else f"{check.name}: ?", flush=True)
    else:
        tally.check(holds, check.name, why)
        print(f"{check.name}: {'holds' if holds else 'FAILS'}, {counted}", flush=True)


# ---- contracts --------------------------------------------------------------------------------------

# Faults to plant in wire.c, each of which must leave goals unproved.
BROKEN_WIRE = [
    ("if (in_size < GOIPC_FRAME_LENGTH_SIZE) {", "if (in_size < GOIPC_FRAME_LENGTH_SIZE - 1) {"),
    ("body_size > size_max", "body_size >= size_max"),
    ("if (capacity < frame_size) {", "if (capacity + 1 < frame_size) {"),
    ("data, data_size);", "data, data_size - 1);"),
]


def prove_wire(folder: Path, wire: Path) -> tuple[int, int, str]:
    """Goals proved, goals in all, and what the tool said."""
    text = (PROOFS / "frama-c" / "wire.c").read_text(encoding="utf-8")
    (folder / "wire.c").write_text(text.replace("../../ref/src/core/wire.c", str(wire)), encoding="utf-8")
    environment = os.environ | {"HOME": str(folder), "PWD": str(folder)}
    subprocess.run(
        ["why3", "config", "detect"],
        cwd=folder,
        env=environment,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    done = subprocess.run(
        [
            "frama-c",
            "-c11",
            "-machdep",
            "gcc_x86_64",
            f"-cpp-extra-args=-I{ROOT}/ref/include",
            "-wp",
            "-wp-rte",
            "-wp-model",
            "Typed+Cast",
            "-wp-prover",
            "cvc4",
            "-wp-timeout",
            "30",
            "-wp-par",
            "2",
            "wire.c",
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found = re.search(r"Proved goals:\s+(\d+) / (\d+)", done.stdout)
    return (int(found.group(1)), int(found.group(2)), done.stdout) if found else (0, 0, done.stdout)


def contracts(tally: Tally) -> None:
    missing = [tool for tool in ("frama-c", "why3", "cvc4") if shutil.which(tool) is None]
    if missing:
        tally.skip("contracts", f"needs {', '.join(missing)} (Debian: frama-c-base why3 cvc4)")
        return
    folder = fresh("contracts")
    source = ROOT / "ref" / "src" / "core" / "wire.c"
    proved, count, output = prove_wire(folder, source)
    print(f"contracts of wire.c: {proved} of {count} goals proved")
    unproved = "\n".join(line for line in output.splitlines() if re.search(r"Failed|Timeout|Unknown|rror", line))
    tally.check(count > 0 and proved == count, "contracts of wire.c", unproved or output[-800:])
    text = source.read_text(encoding="utf-8")
    for right, wrong in BROKEN_WIRE:
        name = f"contracts, planted fault `{wrong}`"
        if right not in text:
            tally.fail(name, "the line to break is not in wire.c any more")
            continue
        broken = folder / "broken.c"
        broken.write_text(text.replace(right, wrong), encoding="utf-8")
        proved, count, output = prove_wire(folder, broken)
        tally.check(0 < proved < count, name, f"{proved} of {count} goals were proved all the same")
        print(f"{name}: {proved} of {count} goals, unproved as it must")


# ---- what is tried out whole ------------------------------------------------------------------------

BROKEN_BUFFER = [
    ("memcpy(bytes, buffer->bytes + buffer->read_at, waiting);", "memcpy(bytes, buffer->bytes, waiting);"),
    ("capacity = capacity < needed ? needed : capacity;", ""),
    ("if (size > buffer->capacity_max - waiting) {", "if (size > buffer->capacity_max) {"),
]


def compile_exhaustive(folder: Path, name: str, buffer: Path, flags: list[str]) -> tuple[Path, str]:
    program = folder / name
    code, text = run(
        [
            "cc",
            "-std=c11",
            "-Wall",
            "-Wextra",
            *flags,
            "-DGOIPC_STATIC=1",
            f"-I{ROOT}/ref/include",
            f"-I{ROOT}/ref/src",
            str(PROOFS / "exhaustive.c"),
            str(PROOFS / "wipe.c"),
            str(ROOT / "ref/src/core/wire.c"),
            str(buffer),
            "-o",
            str(program),
        ]
    )
    return program, "" if code == 0 else text[-800:]


def exhaustive(tally: Tally, deep: bool) -> None:
    if shutil.which("cc") is None:
        tally.skip("exhaustive", "needs a C compiler")
        return
    folder = fresh("exhaustive")
    source = ROOT / "ref" / "src" / "core" / "buffer.c"
    checked = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    fast, trouble = compile_exhaustive(folder, "fast", source, ["-O2", "-DNDEBUG"])
    slow, more = compile_exhaustive(folder, "checked", source, checked)
    if trouble or more:
        tally.fail("exhaustive", trouble or more)
        return
    for command in ([str(fast), "integers"], [str(slow), "buffer", "6" if deep else "5"]):
        code, text = run(command)
        tally.check(code == 0, " ".join(command[1:]), text[-500:])
        print(text.strip()[-500:])
    text = source.read_text(encoding="utf-8")
    for number, (right, wrong) in enumerate(BROKEN_BUFFER):
        name = f"exhaustive, planted fault {number + 1}"
        if right not in text:
            tally.fail(name, "the line to break is not in buffer.c any more")
            continue
        broken = folder / "broken.c"
        broken.write_text(text.replace(right, wrong), encoding="utf-8")
        # Without assertions, so that it is this check that finds it.
        program, trouble = compile_exhaustive(folder, "broken", broken, [*checked, "-DNDEBUG"])
        code, output = run([str(program), "buffer", "4"]) if not trouble else (0, trouble)
        tally.check(code != 0, name, f"not found: {output[-300:]}")
        print(f"{name}: found as it must")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("model", "contracts", "exhaustive"))
    parser.add_argument("--deep", action="store_true", help="also what takes minutes and gigabytes")
    options = parser.parse_args()
    tally = Tally()
    if options.only in (None, "model"):
        model(tally, options.deep)
    if options.only in (None, "contracts"):
        contracts(tally)
    if options.only in (None, "exhaustive"):
        exhaustive(tally, options.deep)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

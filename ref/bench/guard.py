# SPDX-License-Identifier: MIT
"""Guards what one message costs, in figures that repeat where seconds do not.

    guard.py [--record] [--binaries FOLDER]

bench_count runs with two message counts, under callgrind for instructions and calls of the memory
allocator, under strace for system calls; the difference of the two, by message, is held against
guard.toml. Only instructions of the library itself count: those of libc and of the ciphers depend on
what is installed; of libc's copying and filling the bytes count instead. System calls and allocations
are allowed a hundredth of one, instructions a few per cent. --record writes the figures of this run as
the new bounds: for a change that is worth its price, and for one that made things cheaper.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from tally import Tally, job_count  # noqa: E402

BOUNDS = Path(__file__).with_name("guard.toml")
TIMEOUT_S = 120
NOT_BUILT = 77  # bench_count's word for a back end that is not part of the build
ALLOCATORS = frozenset(("malloc", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign"))
# Another compiler, or another release of the same, makes other code of the same source.
TOLERANCE_SAME_COMPILER = 0.03
TOLERANCE_OTHER_COMPILER = 0.15
NOT_WHOLE = "without link-time optimisation"  # as bench_count says it
# Of calls and allocations by message: what a handshake with random keys takes now more and now less
# comes to a fourth of this, a call added to every hundredth message to all of it.
TOLERANCE_COUNT = 0.01
TOLERANCE_MOVED = 0.05  # compilers turn some small copies into instructions and back
TOLERANCE_GROWTH = 1.1


@dataclass(frozen=True)
class Case:
    """One way of handing messages over, and the two counts whose difference is taken."""

    mode: str
    crypto: str
    size: int
    counts: tuple[int, int]
    piece_size: int = 0  # of modes pieces and cold
    idle_count: int = 0  # clients of the server besides

    @property
    def name(self) -> str:
        piece = f"-{self.piece_size}" if self.piece_size else ""
        idle = f"-idle-{self.idle_count}" if self.idle_count else ""
        return f"{self.mode}{piece}-{self.crypto}-{self.size}{idle}"

    @property
    def calls_the_system(self) -> bool:
        return not self.piece_size

    def command(self, program: Path, count: int) -> list[str]:
        return [str(program), self.mode, self.crypto, str(self.size), str(count)]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "GOIPC_PIECE_SIZE": str(self.piece_size or 4096),
            "GOIPC_IDLE_COUNT": str(self.idle_count),
        }


@dataclass(frozen=True)
class Cost:
    """By message."""

    instructions: float  # of the library and bench_count
    system_calls: float
    allocations: float
    moved_bytes: float = 0  # by memcpy, memmove and memset


IDLE_COUNT = 1000
FILES_NEEDED = 8 * IDLE_COUNT
# Whole windows of bench_count, so that each message of the difference costs the same.
SHORT, LONG = 64, 64 + 2048
CASES = (
    *(
        Case(mode, crypto, 64, (SHORT, LONG))
        for mode in ("single", "cork", "batch", "back", "roundtrip")
        for crypto in ("plain", "openssl", "tomcrypt")
    ),
    # Waking up costs the same however many clients are idle.
    Case("roundtrip", "plain", 64, (SHORT, LONG), idle_count=IDLE_COUNT),
    # Growth: what a byte costs must not depend on how many there are, nor on how they arrive.
    Case("pieces", "plain", 3 << 10, (1, 3), 1),
    Case("pieces", "plain", 3 << 14, (1, 3), 1),
    Case("pieces", "plain", 3 << 10, (1, 33), 4096),
    Case("pieces", "plain", 3 << 20, (1, 3), 4096),
    Case("pieces", "openssl", 3 << 10, (1, 33), 4096),
    Case("pieces", "openssl", 3 << 20, (1, 3), 4096),
    # The first message of a connection, whose buffers have to grow: with the connection itself.
    Case("cold", "plain", 3 << 10, (1, 9), 4096),
    Case("cold", "plain", 3 << 20, (1, 3), 4096),
)
# The second may cost by byte what the first does, and no more.
GROWTH = (
    ("pieces-1-plain-3072", "pieces-1-plain-49152"),
    ("pieces-4096-plain-3072", "pieces-4096-plain-3145728"),
    ("pieces-4096-openssl-3072", "pieces-4096-openssl-3145728"),
    ("cold-4096-plain-3072", "cold-4096-plain-3145728"),
)


def parse_callgrind(text: str, own: str) -> tuple[int, int]:
    """Instructions in the object file `own`, and calls of the allocator, of an uncompressed profile."""
    here = inherited = False
    called = ""
    instructions = allocations = 0
    for line in text.splitlines():
        if line.startswith("ob="):
            here = Path(line[3:]).name == own
        elif line.startswith("cfn="):
            called = line[4:]
        elif line.startswith("calls="):
            # Allocators that call each other count once, at the call from outside.
            if called in ALLOCATORS:
                allocations += int(line[6:].split()[0])
            inherited = True
        elif line[:1].isdigit():
            if not inherited and here:
                instructions += int(line.split()[1])
            inherited = False
    return instructions, allocations


def parse_strace(text: str) -> int:
    """The sum of a table of `strace -c -U calls,name`."""
    return sum(int(match[1]) for line in text.splitlines() if (match := re.match(r"\s*(\d+)\s+(?!total)\S+$", line)))


def per_message(totals: list[int], counts: tuple[int, int]) -> float:
    return (totals[1] - totals[0]) / (counts[1] - counts[0])


def run(command: list[str], case: Case, **more: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**case.environment, **more},
    )
    if done.returncode not in (0, NOT_BUILT):
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done


def profile(program: Path, case: Case, count: int) -> tuple[int, int]:
    with tempfile.TemporaryDirectory(prefix="goipc-") as folder:
        out = Path(folder, "profile")
        run(
            [
                "valgrind",
                "-q",
                "--tool=callgrind",
                "--compress-strings=no",
                "--compress-pos=no",
                f"--callgrind-out-file={out}",
                *case.command(program, count),
            ],
            case,
        )
        return parse_callgrind(out.read_text(encoding="utf-8"), program.name)


def count_system_calls(program: Path, case: Case, count: int) -> int:
    """With the system's random bytes: a nonce must not cost a call."""
    with tempfile.NamedTemporaryFile(prefix="goipc-", mode="r", encoding="utf-8") as out:
        run(
            ["strace", "-f", "-c", "-U", "calls,name", "-o", out.name, *case.command(program, count)],
            case,
            GOIPC_RANDOM="system",
        )
        return parse_strace(out.read())


def measure(program: Path, case: Case, traces: bool) -> tuple[Cost, str] | None:
    """None where the build lacks the cipher. Also tells which compiler made the program."""
    plain = run(case.command(program, case.counts[1]), case)
    if plain.returncode == NOT_BUILT:
        return None
    told = json.loads(plain.stdout)
    profiles = [profile(program, case, count) for count in case.counts]
    calls = (
        [count_system_calls(program, case, count) for count in case.counts]
        if traces and case.calls_the_system
        else [0, 0]
    )
    allocations = per_message([one[1] for one in profiles], case.counts)
    # The library's own hook sees what a cipher's library cannot hide, either.
    own = told["allocations"] / case.counts[1]
    return Cost(
        per_message([one[0] for one in profiles], case.counts),
        per_message(calls, case.counts),
        max(allocations, own),
        told["moved_bytes"] / case.counts[1],
    ), told["compiler"]


def judge(cost: Cost, bound: Cost, tolerance: float, traces: bool) -> list[str]:
    """What is wrong with a cost."""
    wrong = []
    if cost.instructions > bound.instructions * (1 + tolerance):
        wrong.append(
            f"{cost.instructions:.1f} instructions per message, at most {bound.instructions:.1f} + {tolerance:.0%}"
        )
    if traces and cost.system_calls > bound.system_calls + TOLERANCE_COUNT:
        wrong.append(f"{cost.system_calls:.4f} system calls per message, at most {bound.system_calls:.4f}")
    if cost.allocations > bound.allocations + TOLERANCE_COUNT:
        wrong.append(f"{cost.allocations:.4f} allocations per message, at most {bound.allocations:.4f}")
    if cost.moved_bytes > bound.moved_bytes * (1 + TOLERANCE_MOVED) + TOLERANCE_MOVED:
        wrong.append(f"{cost.moved_bytes:.1f} bytes moved per message, at most {bound.moved_bytes:.1f}")
    return wrong


def judge_growth(small: Cost, small_size: int, large: Cost, large_size: int) -> list[str]:
    """What a byte of a large message costs more than one of a small message."""
    wrong = []
    for what, one, other in (
        ("instructions", small.instructions, large.instructions),
        ("bytes moved", small.moved_bytes, large.moved_bytes),
    ):
        if other / large_size > one / small_size * TOLERANCE_GROWTH:
            wrong.append(f"{other / large_size:.3f} {what} per byte, {one / small_size:.3f} of a small message")
    return wrong


def record(costs: dict[str, Cost], compiler: str) -> None:
    lines = [
        "# SPDX-License-" + "Identifier: MIT",
        "# Per message, written by guard.py --record. Instructions are the library's own.",
        f'compiler = "{compiler}"',
        "",
    ]
    for name, cost in costs.items():
        fields = ", ".join(f"{key} = {round(value, 4)}" for key, value in asdict(cost).items())
        lines.append(f"{name} = {{ {fields} }}")
    BOUNDS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def check(measured: dict[str, Cost], compiler: str, traces: bool, tally: Tally) -> None:
    bounds = tomllib.loads(BOUNDS.read_text(encoding="utf-8"))
    same = bounds.pop("compiler") == compiler
    tolerance = TOLERANCE_SAME_COMPILER if same else TOLERANCE_OTHER_COMPILER
    if NOT_WHOLE in compiler:
        tally.skip("guard.instructions", f"the bounds are of GCC's link-time optimisation, this is {compiler}")
        tolerance = math.inf
    for name, cost in measured.items():
        bound = bounds.get(name)
        wrong = judge(cost, Cost(**bound), tolerance, traces) if bound else ["no bound recorded"]
        tally.check(not wrong, f"guard.{name}", "; ".join(wrong))
    sizes = {case.name: case.size for case in CASES}
    for small, large in GROWTH:
        if small in measured and large in measured:
            wrong = judge_growth(measured[small], sizes[small], measured[large], sizes[large])
            tally.check(not wrong, f"guard.growth.{large}", "; ".join(wrong))
    for name in sorted(set(bounds) - {case.name for case in CASES}):
        tally.fail(f"guard.{name}", "a bound without a case")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write this run's figures as the bounds")
    parser.add_argument("--binaries", type=Path, default=ROOT / "build/release/ref/bench", help=argparse.SUPPRESS)
    options = parser.parse_args()
    tally = Tally()
    if shutil.which("valgrind") is None:
        tally.skip("guard", "valgrind is not installed (./dev setup test installs it)")
        return tally.finish()
    traces = (
        shutil.which("strace") is not None
        and subprocess.run(["strace", "-c", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0
    )
    if not traces:
        tally.skip("guard.system_calls", "strace is not installed, or may not trace here")
    program = options.binaries.resolve() / "bench_count"
    subprocess.run(
        ["cmake", "--build", program.parents[2], "--target", "bench_count"], check=True, stdout=subprocess.DEVNULL
    )
    measured: dict[str, Cost] = {}
    compiler = ""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    cases = CASES
    if most != resource.RLIM_INFINITY and most < FILES_NEEDED:
        tally.skip("guard.idle", f"{IDLE_COUNT} idle clients take {FILES_NEEDED} open files, {most} are allowed")
        cases = tuple(case for case in CASES if not case.idle_count)
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_NEEDED, most))
    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:
        results = pool.map(lambda case: measure(program, case, traces), cases)
        for case, result in zip(cases, results, strict=True):
            if result is None:
                tally.skip(f"guard.{case.name}", f"{case.crypto} is not part of this build")
                continue
            measured[case.name], compiler = result
            cost = measured[case.name]
            print(
                f"{case.name:28} {cost.instructions:12.1f} instructions {cost.system_calls:8.4f} calls "
                f"{cost.allocations:8.4f} allocations {cost.moved_bytes:11.1f} bytes moved",
                flush=True,
            )
    if options.record:
        record(measured, compiler)
        tally.ok(len(measured))
    else:
        check(measured, compiler, traces, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

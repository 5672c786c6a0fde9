# SPDX-License-Identifier: MIT
"""NIST's vectors (CAVP) for P-384, AES-256-GCM and SHA-256, from the Python package cryptography-vectors.

    nist.py [PROGRAM]

Writes the vectors that apply to the protocol to build/nist, one a line, and runs PROGRAM (test_wycheproof of the
release build) on them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from tally import Tally  # noqa: E402

PROGRAM = ROOT / "build/release/ref/test/test_wycheproof"
OUT = ROOT / "build/nist"
MESSAGE_SIZE_MAX = 1000  # what a line of the program's files holds


def records(path: Path) -> Iterator[dict[str, str]]:
    """The paragraphs of a response file: `name = value` lines, and in `[]` the parameters that precede them."""
    section: dict[str, str] = {}
    record: dict[str, str] = {}
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        line = line.strip()
        if line.startswith("["):
            name, _, value = line.strip("[]").partition("=")
            section[name.strip()] = value.strip()
        elif line == "FAIL":
            record["FAIL"] = ""
        elif "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            record[name.strip()] = value.strip()
        elif not line and record:
            yield section | record
            record = {}


def gcm_lines(folder: Path) -> Iterator[str]:
    for name in ("gcmEncryptExtIV256.rsp", "gcmDecrypt256.rsp"):
        for found in records(folder / "ciphers/AES/GCM" / name):
            if (found["IVlen"], found["Taglen"], found["AADlen"]) != ("96", "128", "0"):
                continue
            verdict = "forged" if "FAIL" in found else "valid"
            fields = [found["Key"], found["IV"], "", found.get("PT", ""), found["CT"], found["Tag"]]
            yield " ".join([f"{name}:{found['Count']}", verdict, *(field or "-" for field in fields)])


def agreements(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for role in ("init", "resp"):
        path = folder / f"asymmetric/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_{role}.fax"
        curve = ""
        for found in records(path):
            # The parameter sets are EA to EE; ED is P-384.
            curve = [name for name in found if re.fullmatch(r"E[A-E] - SHA\d+", name)][-1:] or curve
            if curve and curve[0].startswith("ED"):
                yield f"{role}:{found['COUNT']}", found


def ecdh_lines(folder: Path) -> Iterator[str]:
    """What the other side's key decides; the rest is about keys and results that the vector itself changed."""
    for number, found in agreements(folder):
        verdict = found["Result"]
        if verdict.startswith("P") or verdict.startswith(("F (1 ", "F (2 ")):
            word = "valid" if verdict.startswith("P") else "invalid"
            yield f"{number} {word} 04{found['QsCAVSx']}{found['QsCAVSy']} {found['dsIUT']} {found['Z']}"


def public_lines(folder: Path) -> Iterator[str]:
    for number, found in agreements(folder):
        if found["Result"].startswith("P"):
            for whose in ("CAVS", "IUT"):
                yield f"{number}:{whose} {found[f'ds{whose}']} 04{found[f'Qs{whose}x']}{found[f'Qs{whose}y']}"


def hash_lines(folder: Path) -> Iterator[str]:
    for name in ("SHA256ShortMsg.rsp", "SHA256LongMsg.rsp"):
        for found in records(folder / "hashes/SHA2" / name):
            size = int(found["Len"]) // 8 if "Len" in found else MESSAGE_SIZE_MAX + 1
            if size <= MESSAGE_SIZE_MAX:
                yield f"{name}:{size} {found['Msg'] if size else '-'} {found['MD']}"


def write_vectors(folder: Path, tally: Tally) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    # The fewest that there were: a package whose files are laid out anew must not pass with nothing.
    for name, lines, least in (
        ("gcm", gcm_lines, 150),
        ("ecdh", ecdh_lines, 44),
        ("public", public_lines, 72),
        ("hash", hash_lines, 74),
    ):
        found = list(lines(folder))
        tally.check(len(found) >= least, f"vectors of {name}", f"{len(found)}, and at least {least} were expected")
        (OUT / f"{name}.txt").write_text("".join(f"{line}\n" for line in found), encoding="utf-8")


def main(arguments: list[str]) -> int:
    tally = Tally()
    program = Path(arguments[0]) if arguments else PROGRAM
    try:
        import cryptography_vectors
    except ImportError:
        tally.skip("nist", "the Python package cryptography-vectors is missing: ./dev setup")
        return tally.finish()
    if not program.exists():
        tally.skip("nist", f"{program} is not built: ./dev build release")
        return tally.finish()
    write_vectors(Path(cryptography_vectors.__file__).parent, tally)
    done = subprocess.run([program, OUT], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="")
    tally.check(done.returncode == 0, "answers of the back ends", f"exit code {done.returncode}")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

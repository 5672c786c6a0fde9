# SPDX-License-Identifier: MIT
"""Makes the first inputs of each fuzz target: whole conversations under the targets' own keys, and the
answers of spec/vectors. Writes them to build/fuzz-seeds/TARGET (or another folder), named by their SHA-256;
run.py does that before it starts, so that they are never older than the vectors.

    seeds.py [--out DIRECTORY]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FUZZ = Path(__file__).resolve().parent
VECTORS = FUZZ.parent / "spec" / "vectors"
GENERATED = FUZZ.parent / "build" / "fuzz-seeds"

PLAIN, OPTIONAL, TOMCRYPT, ZERO_X, SMALL, FAULTS, TINY_QUEUE, BAD_DRAW = (1 << bit for bit in range(8))
MINIMAL, FIXED = 0, 1


def known_keys() -> dict[str, bytes]:
    text = (FUZZ / "keys.h").read_text(encoding="utf-8")
    arrays = re.findall(r"fuzz_(\w+)\[\d+\] = \{([^}]*)\}", text)
    return {name: bytes(int(value, 16) for value in re.findall(r"0x[0-9a-f]{2}", body)) for name, body in arrays}


KEYS = known_keys()


def session_key(zero_x: bool, form: int) -> bytes:
    shared = KEYS["zero_shared_x" if zero_x else "shared_x"]
    return hashlib.sha256(shared if form == FIXED else shared.lstrip(b"\0")).digest()


def frame(kind: int, data: bytes = b"", seal: AESGCM | None = None, count: int = 0) -> bytes:
    text = struct.pack(">I", kind) + data
    if seal is not None:
        nonce = b"\x55" * 8 + struct.pack(">I", count)
        text = nonce + seal.encrypt(nonce, text, None)
    return struct.pack(">I", len(text)) + text


def setup(flags: int, memory: int = 0, crypto: int = 0, chunk: int = 0) -> bytes:
    return bytes([flags, memory, crypto, chunk])


MESSAGES = [(1, b""), (2, b"x"), (7, b"three bytes and more"), (0, b"control"), (0xFFFFFFFF, bytes(range(256)))]


def said_by(role: str, flags: int, form: int = MINIMAL, limit: int = 3145728) -> bytes:
    """All that a peer in `role` says: its half of the handshake and some messages."""
    sealed = not flags & PLAIN
    seal = AESGCM(session_key(bool(flags & ZERO_X), form)) if sealed else None
    if role == "client":
        start = b"\0" + (KEYS["zero_public" if flags & ZERO_X else "client_public"] if sealed else b"") + b"\0"
    else:
        start = bytes([2, sealed]) + (KEYS["server_public"] if sealed else b"")
        start += frame(limit, b"", seal, 1000)
    return start + b"".join(frame(kind, data, seal, count) for count, (kind, data) in enumerate(MESSAGES))


def greeted_by(role: str) -> bytes:
    """The plain half of a handshake."""
    return b"\0\0" if role == "client" else b"\2\0" + frame(3145728)


def vectors(name: str) -> Iterator[tuple[dict, dict]]:
    """Every test of a file, with its group."""
    for group in json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["testGroups"]:
        for test in group["tests"]:
            yield group, test


def vector_streams(role: str) -> Iterator[tuple[bool, bytes]]:
    for _, test in vectors("stream"):
        if test["role"] == role:
            yield test["encryption"] == "off", bytes.fromhex(test["input"])


def session_seeds(role: str) -> Iterator[bytes]:
    peer = "client" if role == "server" else "server"
    # A client that takes what comes is OPTIONAL; OFF needs both flags.
    for flags in (0, PLAIN, SMALL, TOMCRYPT, ZERO_X, PLAIN | SMALL, PLAIN | OPTIONAL, ZERO_X | TOMCRYPT, BAD_DRAW):
        for form in (MINIMAL, FIXED) if flags & ZERO_X else (MINIMAL,):
            said = said_by(peer, flags, form)
            yield setup(flags) + said
            yield setup(flags, chunk=3) + said[:-5]
    for number in range(1, 14):
        yield setup(FAULTS | ZERO_X, memory=number) + said_by(peer, ZERO_X, FIXED)
        yield setup(FAULTS | ZERO_X, crypto=number) + said_by(peer, ZERO_X, FIXED)
    yield setup(FAULTS | BAD_DRAW) + said_by(peer, 0)
    for _, test in vectors("frame"):
        yield setup(PLAIN | OPTIONAL) + greeted_by(peer) + bytes.fromhex(test["wire"])
    for plain, said in vector_streams(role):
        yield setup(SMALL | (PLAIN | OPTIONAL if plain else 0)) + said


def decode_seeds() -> Iterator[bytes]:
    for chooser, role, peer in ((0, "server", "client"), (1, "client", "server")):
        yield bytes([chooser]) + setup(PLAIN) + said_by(peer, PLAIN)
        for _, test in vectors("frame"):
            yield bytes([chooser]) + setup(PLAIN) + greeted_by(peer) + bytes.fromhex(test["wire"])
        for plain, said in vector_streams(role):
            if plain:
                yield bytes([chooser]) + setup(PLAIN | SMALL, chunk=7) + said


def recording_seeds() -> Iterator[bytes]:
    """For the command line's decoder: first byte whose the recording is, and whether the key is given."""
    frames, server, client, with_key = 0, 1, 2, 4
    for chooser, role in ((server, "server"), (client, "client")):
        for flags in (0, PLAIN):
            said = said_by(role, flags)
            for key in (0, with_key):
                yield bytes([chooser | key]) + said
                yield bytes([chooser | key]) + said.hex(" ").encode()
                yield bytes([frames | key]) + said[-300:]
        peer = "client" if role == "server" else "server"
        for _, said in vector_streams(peer):
            yield bytes([chooser]) + said


def cuts_seeds() -> Iterator[bytes]:
    for chooser, peer in ((0, "client"), (1, "server")):
        for flags in (0, PLAIN, ZERO_X, TOMCRYPT | SMALL):
            yield bytes([chooser]) + setup(flags, chunk=5) + said_by(peer, flags, FIXED)
            # The same, and a frame that is opened part by part, once to within its tag; then a changed byte.
            if not flags & (PLAIN | SMALL):
                for size, change in (
                    (33000, 0),
                    (36852, 0),
                    (69999, 0),
                    (40000, 2 * 36000 + 1),
                    (50000, 2 * 50035 + 1),
                ):
                    start = bytes([chooser | 2]) + setup(flags, chunk=250)
                    yield start + said_by(peer, flags) + struct.pack(">II", size, change)
    yield from (
        bytes([chooser]) + setup(flags, crypto=number) + said_by(peer, 0)
        for chooser, peer in ((0, "client"), (1, "server"))
        for flags in (FAULTS,)
        for number in (2, 5, 8)
    )


def sealed_seeds() -> Iterator[bytes]:
    operations = bytes(range(18))
    for chooser in (0, 1, 2, 3):
        for flags in (0, ZERO_X | BAD_DRAW, TOMCRYPT, TINY_QUEUE, SMALL | ZERO_X):
            start = bytes([chooser]) + struct.pack(">I", 0x400) + setup(flags, chunk=chooser * 40)
            # Two messages, a batch, two sends, a drain; then each operation by itself.
            script = bytes([0, 1, 5, 9, 0, 2, 255, 3, 13, 6, 11, 1, 1, 9, 4, 11, 1, 1, 90, 4, 10, 12])
            yield start + script
            # A message of 40,000 bytes goes out in pieces, another comes in between, the rest is kept.
            yield start + bytes([17, 1, 0, 0, 0x9C, 0x33, 7, 100, 200, 0, 0, 0, 9, 5, 3, 90, 15, 50, 0])
            if flags in (0, TINY_QUEUE):
                yield from (start + script[:9] + bytes([one, 1, 3, 0, 0, 0, 9, 9]) for one in operations)


def pair_seeds() -> Iterator[bytes]:
    honest = bytes([0, 0, 2, 0, 128, 0, 130, 0] * 4)
    for flags in (0, PLAIN, OPTIONAL, PLAIN | OPTIONAL, ZERO_X, TOMCRYPT, TINY_QUEUE):
        start = setup(flags, chunk=1)
        yield start + honest + bytes([4, 0, 132, 0, 5, 0, 133, 0, 4, 0, 7, 0]) + honest
        yield start + bytes([0, 1, 2, 1, 128, 1, 130, 1] * 20) + bytes([132, 0]) + honest
        for how in range(4):
            yield start + honest + bytes([4, 0, 4, 0, 0, 0, 134, 0, how, 0, 0, 0, 9, 3]) + honest
        yield start + honest + bytes([4, 0, 0, 0, 134, 255])


def wire_seeds() -> Iterator[bytes]:
    yield b"\0" + struct.pack(">II", 4, 1028) + frame(1, b"data")
    yield b"\0" + struct.pack(">II", 32, 3145760) + struct.pack(">I", 3145761)
    yield b"\0" + struct.pack(">II", 0, 0xFFFFFFFF) + b"\xff\xff\xff\xff"
    yield b"\1" + struct.pack(">IB", 7, 10) + b"data"
    yield b"\1" + struct.pack(">IB", 0, 10) + b"data"
    yield b"\1" + struct.pack(">IB", 7, 0) + b"data"
    yield b"\2" + struct.pack(">IIB", 0, 0xFFFFFFDF, 1)
    yield b"\2" + struct.pack(">IIB", 0, 0xFFFFFFE0, 0)
    yield b"\3" + struct.pack(">I", 0x80000001)
    for number in range(0, 512, 7):
        yield b"\4" + struct.pack(">I", number)
    for group, test in vectors("frame"):
        yield b"\0" + struct.pack(">II", 4, 4 + group["limit"]) + bytes.fromhex(test["wire"])
    for _, test in vectors("seal"):
        yield b"\0" + struct.pack(">II", 32, 4096) + bytes.fromhex(test["wire"])


def crypto_seeds() -> Iterator[bytes]:
    for private in (KEYS["server_private"], bytes(48), b"\xff" * 48, bytes(47) + b"\1"):
        yield b"\0" + private
    order = bytes.fromhex("ff" * 24 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973")
    yield b"\0" + order
    yield b"\0" + order[:-1] + b"\x72"
    points = [KEYS["client_public"], KEYS["zero_public"], bytes([4]) + bytes(96), bytes([4]) + b"\xff" * 96]
    points += [bytes([first]) + KEYS["client_public"][1:] for first in (0, 2, 3, 5, 6, 7)]
    for point in points:
        yield b"\1\0" + KEYS["server_private"] + point
    yield b"\1\3" + bytes(145) + b"\1"
    for zeros in (0, 1, 2, 47, 48):
        yield b"\2\0" + bytes([zeros]) + KEYS["shared_x"]
    yield b"\2\1\1" + KEYS["shared_x"]
    yield b"\3"
    yield b"\3" + bytes(range(200))
    for size in (0, 1, 11, 12, 13, 28, 100, 1000):
        yield b"\4" + struct.pack(">IIBB", 7, size, 1, 0) + bytes(range(44)) + bytes(size)
    yield b"\4" + struct.pack(">IIBB", 0, 0, 0, 1) + bytes(44)
    for size in (0, 31, 32, 64):
        yield b"\5" + bytes(32) + bytes(size)
    for group, test in vectors("point"):
        yield b"\1\0" + bytes.fromhex(group["private"]) + bytes.fromhex(test["peer"])
    for _, test in vectors("kdf"):
        shared_x = bytes.fromhex(test["x"])
        yield b"\1\0" + bytes.fromhex(test["private"]) + bytes.fromhex(test["peer"])
        yield from (bytes([2, form, 0]) + shared_x for form in (MINIMAL, FIXED))
    for _, test in vectors("seal"):
        key = bytes.fromhex(test["key"])
        if test["result"] == "valid":
            start = b"\4" + struct.pack(">IIBB", test["type"], 0, 1, 0) + key + bytes.fromhex(test["nonce"])
            yield start + bytes.fromhex(test["data"])
        else:
            yield b"\5" + key + bytes.fromhex(test["wire"])[4:]
    for number in range(16):
        yield bytes([6, number])
    for which in range(5):
        yield bytes([7, which, 0])
        yield bytes([7, which, 1])


def negative_seeds() -> Iterator[bytes]:
    yield setup(PLAIN) + b"\0\0" + frame(6, bytes(23))
    yield setup(PLAIN) + b"\0\0" + frame(7, bytes(23))


SEEDS = {
    "wire": wire_seeds,
    "session_server": lambda: session_seeds("server"),
    "session_client": lambda: session_seeds("client"),
    "sealed": sealed_seeds,
    "pair": pair_seeds,
    "cuts": cuts_seeds,
    "differential_crypto": crypto_seeds,
    "differential_decode": decode_seeds,
    "decode": recording_seeds,
    "negative": negative_seeds,
}


def write(out: Path) -> None:
    for target, make in SEEDS.items():
        folder = out / target
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        for seed in make():
            (folder / hashlib.sha256(seed).hexdigest()).write_bytes(seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=GENERATED)
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()

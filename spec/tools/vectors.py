# SPDX-License-Identifier: MIT
"""Generates spec/vectors/*.json from the specification's rules.

usage: vectors.py [--check] [--only NAME]

Every input is derived from a label, so the files never change by themselves. With --check nothing is
written, the files are compared and validated against spec/schemas, and the result is 1 when a file
is stale. Independent of the C library: see reference.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys

import jsonschema
import p384
import reference as ref
import specdoc
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from reference import u32

VECTORS = specdoc.SPEC_DIR / "vectors"
SCHEMAS = specdoc.SPEC_DIR / "schemas"
SOURCE = {"name": "goipc spec/tools/vectors.py", "version": "1.0"}
LIMIT_DEFAULT = 3145728
U32_MAX = 2**32 - 1


def rnd(label: str, size: int) -> bytes:
    """Reproducible bytes for a label."""
    out, counter = b"", 0
    while len(out) < size:
        out += hashlib.sha256(b"goipc vectors 1:" + label.encode() + u32(counter)).digest()
        counter += 1
    return out[:size]


def scalar(label: str) -> bytes:
    value = bytearray(rnd(label, 48))
    value[0] &= 0x7F
    return bytes(value)


def number(value: int) -> bytes:
    return value.to_bytes(48, "big")


def document(schema: str, header: list[str], notes: dict, groups: list[dict]) -> dict:
    count = sum(len(group["tests"]) for group in groups)
    used = {flag for group in groups for test in group["tests"] for flag in test["flags"]}
    assert used == set(notes), (schema, used ^ set(notes))
    ids = [test["id"] for group in groups for test in group["tests"]]
    assert len(ids) == len(set(ids)), schema
    return {
        "schema": schema,
        "source": SOURCE,
        "numberOfTests": count,
        "header": header,
        "notes": notes,
        "testGroups": groups,
    }


def note(bug: str, text: str, *links: str) -> dict:
    return {"bugType": bug, "description": text, "links": [f"req:{link}" for link in links]}


# --- key agreement and derivation ----------------------------------------------------------------


def point_with_zeros(zeros: int, label: str) -> p384.Point:
    """A point whose x has exactly `zeros` leading zero bytes."""
    if zeros == 48:
        return p384.lift(0)
    for attempt in range(10000):
        x = bytearray(rnd(f"{label}:{attempt}", 48))
        x[:zeros] = bytes(zeros)
        x[zeros] = x[zeros] or 1
        point = p384.lift(int.from_bytes(x, "big") % p384.P)
        if point and zeros == len(number(point[0])) - len(ref.strip(number(point[0]))):
            return point
    raise AssertionError(label)


def kdf_test(name: str, comment: str, flags: list[str], private: bytes, peer: bytes) -> dict:
    x = ref.shared_x(private, peer)
    return {
        "id": name,
        "comment": comment,
        "flags": flags,
        "private": private.hex(),
        "public": ref.public_key(private).hex(),
        "peer": peer.hex(),
        "x": x.hex(),
        "key": ref.derive_key(x).hex(),
        "key_fixed48": ref.derive_key(x, fixed=True).hex(),
    }


def kdf() -> dict:
    tests = []
    for i in range(1, 13):
        private = scalar(f"kdf:private:{i}")
        peer = ref.public_key(scalar(f"kdf:peer:{i}"))
        tests.append(kdf_test(f"kdf-normal-{i:02}", "two ordinary keys", [], private, peer))
        assert tests[-1]["x"][:2] != "00"
    for zeros in range(1, 49):
        label = f"kdf:zeros:{zeros}"
        private = scalar(label)
        shared = point_with_zeros(zeros, label)
        inverse = pow(int.from_bytes(private, "big"), -1, p384.N)
        peer = p384.encode(*p384.multiply(inverse, shared))
        test = kdf_test(
            f"kdf-lz{zeros:02}",
            f"X begins with {zeros} zero bytes",
            ["LeadingZero"] + (["ZeroX"] if zeros == 48 else []),
            private,
            peer,
        )
        assert test["x"] == number(shared[0]).hex()
        tests.append(test)
    g = p384.encode(*p384.G)
    edge = [
        ("one", "own private key is 1", number(1), ref.public_key(scalar("kdf:edge:1"))),
        ("two", "own private key is 2", number(2), ref.public_key(scalar("kdf:edge:2"))),
        ("max", "own private key is n - 1", number(p384.N - 1), ref.public_key(scalar("kdf:edge:3"))),
        ("base", "the peer's public key is the base point", scalar("kdf:edge:4"), g),
        ("minus-base", "the peer's private key is n - 1", scalar("kdf:edge:5"), ref.public_key(number(p384.N - 1))),
        ("peer-x0", "the X of the peer's public key is 0", scalar("kdf:edge:6"), p384.encode(*p384.lift(0))),
        (
            "short-private",
            "own private key begins with 47 zero bytes",
            number(0xAB),
            ref.public_key(scalar("kdf:edge:7")),
        ),
    ]
    for name, comment, private, peer in edge:
        tests.append(kdf_test(f"kdf-edge-{name}", comment, ["EdgeCase"], private, peer))
    notes = {
        "LeadingZero": note("EDGE_CASE", "X begins with zero bytes, which are not hashed", "KD-011"),
        "ZeroX": note("EDGE_CASE", "X is 0 and the empty string is hashed", "KD-012"),
        "EdgeCase": note("EDGE_CASE", "keys at the ends of their range", "KD-010"),
    }
    header = [
        "x is the shared X in 48 bytes; key is SHA-256 of x without leading zero bytes;",
        "key_fixed48 is SHA-256 of all 48 bytes, the other dialect.",
    ]
    return document("goipc-kdf-v1", header, notes, [{"type": "KdfTest", "tests": tests}])


# --- validation of public keys -------------------------------------------------------------------


def y_not_reduced() -> tuple[int, int]:
    """A point with y so small that y + p still fits into 48 bytes."""
    for y in range(1, 1000):
        x = p384.x_for_y(y)
        if x is not None and p384.on_curve(x, y):
            return x, y
    raise AssertionError


def points() -> dict:
    own = scalar("point:own")
    good = ref.public_key(scalar("point:peer"))
    x, y = int.from_bytes(good[1:49], "big"), int.from_bytes(good[49:], "big")
    zero_x, zero_y = p384.lift(0)
    small_x, small_y = y_not_reduced()
    tests = []

    def valid(name, comment, peer):
        assert ref.point_fault(peer) is None
        tests.append({"id": f"point-{name}", "comment": comment, "flags": [], "peer": peer.hex(), "result": "valid"})

    def invalid(name, comment, flag, peer, requirement):
        assert ref.point_fault(peer) == requirement, name
        tests.append(
            {
                "id": f"point-{name}",
                "comment": comment,
                "flags": [flag],
                "peer": peer.hex(),
                "result": "invalid",
                "requirement": requirement,
            }
        )

    valid("good", "an ordinary point", good)
    valid("good-negated", "the same X, the other Y", p384.encode(x, p384.P - y))
    valid("x0", "X is 0", p384.encode(zero_x, zero_y))
    valid("x0-negated", "X is 0, the other Y", p384.encode(zero_x, p384.P - zero_y))
    valid("small-y", "Y is small", p384.encode(small_x, small_y))
    valid("base", "the base point", p384.encode(*p384.G))
    for first in (0, 1, 2, 3, 5, 6, 7, 0x84, 0xFF):
        invalid(f"first-{first:02x}", f"first byte {first:02x}", "FirstByte", bytes([first]) + good[1:], "KD-006")
    invalid("all-zero", "97 zero bytes", "FirstByte", bytes(97), "KD-006")
    invalid("all-ff", "97 bytes ff", "FirstByte", b"\xff" * 97, "KD-006")
    invalid("x-plus-p", "X + p in place of X = 0", "NotReduced", p384.encode(p384.P, zero_y), "KD-007")
    invalid("y-plus-p", "Y + p in place of a small Y", "NotReduced", p384.encode(small_x, small_y + p384.P), "KD-007")
    invalid("x-max", "X is ff..ff", "NotReduced", p384.encode(2**384 - 1, y), "KD-007")
    invalid("y-max", "Y is ff..ff", "NotReduced", p384.encode(x, 2**384 - 1), "KD-007")
    invalid("both-max", "04 and 96 bytes ff", "NotReduced", b"\4" + b"\xff" * 96, "KD-007")
    invalid("y-is-p", "Y is p", "NotReduced", p384.encode(x, p384.P), "KD-007")
    invalid("zero", "04 and the coordinates (0, 0)", "OffCurve", p384.encode(0, 0), "KD-008")
    invalid("y-bit", "one bit of Y is wrong", "OffCurve", p384.encode(x, y ^ 1), "KD-008")
    invalid("x-bit", "one bit of X is wrong", "OffCurve", p384.encode(x ^ 1, y), "KD-008")
    invalid("swapped", "X and Y exchanged", "OffCurve", p384.encode(y, x), "KD-008")
    invalid("y0", "Y is 0: order 2 on another curve", "OffCurve", p384.encode(x, 0), "KD-008")
    invalid("x0-y0-plus-1", "X is 0, Y is 1", "OffCurve", p384.encode(0, 1), "KD-008")
    twist = next(i for i in range(2, 100) if p384.lift(i) is None)
    invalid(
        "twist", "an X that is on the twist only", "OffCurve", p384.encode(twist, rnd_below_p("point:twist")), "KD-008"
    )
    other_b = p384.encode(x, (y * 2) % p384.P)
    invalid("other-curve", "a point of a curve with another b", "OffCurve", other_b, "KD-008")
    compressed = bytes([2 + (y & 1)]) + good[1:49]
    for name, comment, peer in (
        ("empty", "no byte", b""),
        ("infinity", "the one byte of the point at infinity", b"\0"),
        ("compressed", "the compressed form", compressed),
        ("96-bytes", "the last byte is missing", good[:-1]),
        ("98-bytes", "one byte too many", good + b"\0"),
        ("p256-size", "65 bytes, as on P-256", good[:65]),
        ("p521-size", "133 bytes, as on P-521", good + bytes(36)),
    ):
        invalid(name, comment, "WrongSize", peer, "KD-004")
    group = {"type": "PointTest", "private": own.hex(), "tests": tests}
    own_public = ref.public_key(own)
    group_own = {
        "type": "OwnKeyTest",
        "private": own.hex(),
        "tests": [
            {
                "id": "point-own-key",
                "comment": "the receiver's own public key",
                "flags": ["OwnKey"],
                "peer": own_public.hex(),
                "result": "invalid",
                "requirement": "KD-009",
            }
        ],
    }
    notes = {
        "FirstByte": note("INVALID_ENCODING", "only uncompressed points are taken", "KD-006"),
        "NotReduced": note("INVALID_ENCODING", "a coordinate is p or more", "KD-007"),
        "OffCurve": note("INVALID_CURVE_ATTACK", "not a point of P-384", "KD-008"),
        "WrongSize": note(
            "INVALID_ENCODING", "not 97 bytes: for functions that take a size; a stream has none", "KD-004"
        ),
        "OwnKey": note("REFLECTION", "valid for the curve, refused by a session that sent this key", "KD-009"),
    }
    header = [
        "private is the receiver's own private key.",
        "A test with result invalid names the requirement that refuses it.",
    ]
    return document("goipc-point-v1", header, notes, [group, group_own])


def rnd_below_p(label: str) -> int:
    return int.from_bytes(rnd(label, 48), "big") % p384.P


# --- frames --------------------------------------------------------------------------------------


def frames() -> dict:
    limit = 32
    tests = []

    def test(name, comment, flags, wire, result, **more):
        entry = {"id": f"frame-{name}", "comment": comment, "flags": flags, "wire": wire.hex(), "result": result}
        entry.update(more)
        tests.append(entry)

    def message(name, comment, kind, data, flags=(), rest=b""):
        wire = ref.plain_frame(kind, data)
        test(
            name,
            comment,
            list(flags),
            wire + rest,
            "message" if kind else "discard",
            type=kind,
            data=data.hex(),
            consumed=len(wire),
        )

    message("one-byte", "one byte of data", 1, b"A")
    message("hello", "a text", 5, b"hello")
    message("empty", "no data", 7, b"", ["Empty"])
    message("max", "data as large as the limit", 9, rnd("frame:max", limit), ["AtLimit"])
    message("max-less-one", "data one byte below the limit", 9, rnd("frame:max1", limit - 1))
    message("followed", "another frame follows", 3, b"first", rest=ref.plain_frame(4, b"second"))
    message("followed-by-part", "part of a frame follows", 3, b"first", rest=b"\0\0")
    for kind in (1, 2, 255, 256, 65535, 65536, 16777216, 2**31 - 1):
        message(f"type-{kind}", f"type {kind}", kind, b"t", ["Type"])
    for kind in (2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1):
        message(f"type-{kind}", f"type {kind}", kind, b"t", ["HighType"])
    message("type-0", "type 0 with data", 0, b"WV", ["TypeZero"])
    message("type-0-empty", "type 0 without data", 0, b"", ["TypeZero"])
    for size in (0, 1, 2, 3):
        test(f"length-{size}", f"length {size}", ["Runt"], u32(size) + bytes(size), "fail", error="framing", needed=4)
    for size in (limit + 5, limit + 6, 65536, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1):
        test(
            f"length-{size}",
            f"length {size}, the limit is {limit}",
            ["TooLarge"],
            u32(size),
            "fail",
            error="too-large",
            needed=4,
        )
    whole = ref.plain_frame(5, b"hello")
    for size in range(len(whole)):
        test(
            f"prefix-{size}",
            f"the first {size} bytes of a frame",
            ["Prefix"],
            whole[:size],
            "more",
            needed=4 if size < 4 else len(whole),
        )
    notes = {
        "Empty": note("EDGE_CASE", "a message without data is a message", "FR-014"),
        "AtLimit": note("EDGE_CASE", "the limit itself is allowed", "LM-009"),
        "Type": note("BASIC", "every type up to 2147483647 is the application's", "MT-008"),
        "HighType": note("EDGE_CASE", "delivered as an unsigned number", "MT-006"),
        "TypeZero": note("EDGE_CASE", "discarded without an error", "MT-003"),
        "Runt": note("CRASH", "no room for a type", "FR-004"),
        "TooLarge": note("DENIAL_OF_SERVICE", "refused at the fourth byte", "FR-006", "FR-007"),
        "Prefix": note("BASIC", "not an error: more is needed", "FR-003"),
    }
    header = [
        "Plain frames as a receiver with the given limit sees them. result: message or",
        "discard (consumed bytes are used up), more (needed bytes in all are needed to go on),",
        "fail (known after needed bytes). Encoding type and data gives the first consumed bytes.",
    ]
    return document("goipc-frame-v1", header, notes, [{"type": "FrameTest", "limit": limit, "tests": tests}])


# --- sealing -------------------------------------------------------------------------------------


def seals() -> dict:
    tests = []

    def valid(name, comment, kind, data, nonce=None, flags=(), key=None):
        key = key or rnd("seal:key:" + name, 32)
        nonce = nonce or rnd("seal:nonce:" + name, 12)
        wire = ref.sealed_frame(key, nonce, kind, data)
        tests.append(
            {
                "id": f"seal-{name}",
                "comment": comment,
                "flags": list(flags),
                "key": key.hex(),
                "nonce": nonce.hex(),
                "type": kind,
                "data": data.hex(),
                "wire": wire.hex(),
                "result": "valid",
            }
        )

    def invalid(name, comment, flag, wire, error="auth"):
        tests.append(
            {
                "id": f"seal-{name}",
                "comment": comment,
                "flags": [flag],
                "key": base_key.hex(),
                "wire": wire.hex(),
                "result": "invalid",
                "error": error,
            }
        )

    for size in (1, 4, 11, 12, 13, 15, 16, 17, 31, 32, 33, 60, 64, 255, 256, 1024):
        valid(f"size-{size}", f"{size} bytes of data", 1, rnd(f"seal:data:{size}", size))
    valid("empty", "no data", 6, b"", flags=["Empty"])
    valid("type-0", "type 0, to be discarded", 0, b"WV", flags=["TypeZero"])
    valid("type-max", "type 4294967295", U32_MAX, b"high", flags=["HighType"])
    valid("nonce-zero", "a nonce of zeros", 2, b"nonce", bytes(12), ["Nonce"])
    valid("nonce-ff", "a nonce of ones", 2, b"nonce", b"\xff" * 12, ["Nonce"])
    valid(
        "nonce-counter",
        "a nonce with its counter at the end",
        2,
        b"nonce",
        b"\x80" + bytes(7) + b"\xff\xff\xff\xfe",
        ["Nonce"],
    )
    valid("key-zero", "a key of zeros", 2, b"key", key=bytes(32), flags=["Nonce"])

    base_key, base_nonce = rnd("seal:base:key", 32), rnd("seal:base:nonce", 12)
    base_data = b"sealed data"
    body = ref.seal_body(base_key, base_nonce, u32(3) + base_data)

    def flipped(at, bit):
        changed = bytearray(body)
        changed[at] ^= 1 << bit
        return ref.frame(bytes(changed))

    for at in range(16):
        for bit in (0, 7) if at in (0, 15) else (at % 8,):
            invalid(
                f"tag-{at}-{bit}",
                f"bit {bit} of byte {at} of the tag",
                "ModifiedTag",
                flipped(len(body) - 16 + at, bit),
            )
    for at in (0, 7, 8, 11):
        invalid(f"nonce-{at}", f"byte {at} of the nonce", "ModifiedNonce", flipped(at, at % 8))
    for at in (12, 15, 16, len(body) - 17):
        invalid(f"text-{at - 12}", f"byte {at - 12} of the ciphertext", "ModifiedText", flipped(at, at % 8))
    invalid("tag-zero", "a tag of zeros", "ModifiedTag", ref.frame(body[:-16] + bytes(16)))
    invalid(
        "tag-inverted",
        "every bit of the tag",
        "ModifiedTag",
        ref.frame(body[:-16] + bytes(255 - byte for byte in body[-16:])),
    )
    invalid("cut-text", "the last byte of the ciphertext is missing", "Truncated", ref.frame(body[:-17] + body[-16:]))
    invalid("cut-tag", "the last byte of the tag is missing", "Truncated", ref.frame(body[:-1]))
    invalid("extended", "one byte more", "Truncated", ref.frame(body + b"\0"))
    other = AESGCM(rnd("seal:other", 32)).encrypt(base_nonce, u32(3) + base_data, None)
    invalid("other-key", "sealed with another key", "OtherKey", ref.frame(base_nonce + other))
    aad = AESGCM(base_key).encrypt(base_nonce, u32(3) + base_data, b"\0")
    invalid("aad", "sealed with additional data", "OtherKey", ref.frame(base_nonce + aad))
    split = AESGCM(base_key).encrypt(base_nonce, base_data, u32(3))
    invalid("type-as-aad", "the type as additional data, padded", "OtherKey", ref.frame(base_nonce + split))
    fixed = rnd("seal:plain", 32)
    invalid("not-sealed", "bytes that were never sealed", "OtherKey", ref.frame(fixed))
    for size in (0, 3, 4, 12, 27):
        invalid(f"runt-{size}", f"a body of {size} bytes", "Runt", u32(size) + bytes(size), "framing")
    for size in (0, 1, 2, 3):
        runt = ref.seal_body(base_key, base_nonce, rnd(f"seal:runt:{size}", size))
        invalid(f"runt-text-{size}", f"opens to {size} bytes: no room for a type", "Runt", ref.frame(runt), "framing")
    notes = {
        "Empty": note("EDGE_CASE", "the smallest sealed frame, length 32", "FR-014"),
        "TypeZero": note("EDGE_CASE", "opens, then is discarded", "MT-004"),
        "HighType": note("EDGE_CASE", "delivered as an unsigned number", "MT-006"),
        "Nonce": note("EDGE_CASE", "every nonce and key is taken", "SE-007"),
        "ModifiedTag": note("MODIFIED_TAG", "does not open", "SE-010", "SE-011"),
        "ModifiedNonce": note("MODIFIED_NONCE", "does not open", "SE-010"),
        "ModifiedText": note("MODIFIED_CIPHERTEXT", "does not open", "SE-010"),
        "Truncated": note("MODIFIED_CIPHERTEXT", "bytes removed or added", "SE-010"),
        "OtherKey": note("WRONG_PRIMITIVE", "sealed in another way", "SE-001", "SE-010"),
        "Runt": note("CRASH", "shorter than nonce, type and tag", "FR-005"),
    }
    header = ["Sealed frames, length included. An invalid one gives its error class."]
    return document("goipc-seal-v1", header, notes, [{"type": "SealTest", "tests": tests}])


# --- LIMIT and the bounds of a length ------------------------------------------------------------


def limits() -> dict:
    key, nonce = rnd("limit:key", 32), rnd("limit:nonce", 12)
    plain, sealed, bounds = [], [], []

    def message(name, comment, flags, wire, limit=None, error=None):
        entry = {
            "id": f"limit-{name}",
            "comment": comment,
            "flags": flags,
            "wire": wire.hex(),
            "result": "fail" if error else "limit",
        }
        entry.update({"error": error} if error else {"limit": limit})
        (sealed if name.startswith("sealed") else plain).append(entry)

    for limit in (0, 1, 1023, 1024, LIMIT_DEFAULT, 2**31 - 1, 2**31, U32_MAX):
        flags = ["Zero"] if limit == 0 else ["Range"]
        message(f"plain-{limit}", f"limit {limit}", flags, ref.frame(u32(limit)), limit)
        message(f"sealed-{limit}", f"limit {limit}", flags, ref.frame(ref.seal_body(key, nonce, u32(limit))), limit)
    for size in (0, 3, 5, 8, 32, U32_MAX):
        message(
            f"plain-length-{size}",
            f"length {size}",
            ["Length"],
            u32(size) + (bytes(size) if size < 64 else b""),
            error="framing",
        )
    for size in (0, 4, 31, 33, 36, U32_MAX):
        message(
            f"sealed-length-{size}",
            f"length {size}",
            ["Length"],
            u32(size) + (bytes(size) if size < 64 else b""),
            error="framing",
        )
    body = bytearray(ref.seal_body(key, nonce, u32(LIMIT_DEFAULT)))
    body[-1] ^= 1
    message("sealed-tag", "one bit of the tag is wrong", ["Tag"], ref.frame(bytes(body)), error="auth")
    for mode, overhead in (("plain", 4), ("sealed", 32)):
        for limit in (0, 1, 1024, 65536, LIMIT_DEFAULT, 2**31 - 1, U32_MAX - 32, U32_MAX):
            highest = min(limit + overhead, U32_MAX)
            cases = {0: "framing", overhead - 1: "framing", overhead: None, highest: None}
            if highest < U32_MAX:
                cases[highest + 1] = cases[U32_MAX] = "too-large"
            for length, error in sorted(cases.items()):
                entry = {
                    "id": f"bound-{mode}-{limit}-{length}",
                    "comment": f"receive limit {limit}, length {length}",
                    "flags": ["Bound"],
                    "mode": mode,
                    "limit": limit,
                    "length": length,
                    "result": "fail" if error else "accept",
                }
                if error:
                    entry["error"] = error
                bounds.append(entry)
    notes = {
        "Zero": note("EDGE_CASE", "only empty messages can be sent", "LM-010"),
        "Range": note("BASIC", "every limit is taken", "LM-010"),
        "Length": note("INVALID_ENCODING", "LIMIT has one length per mode", "HS-034"),
        "Tag": note("MODIFIED_TAG", "LIMIT does not open", "HS-033"),
        "Bound": note("EDGE_CASE", "the bounds of a length, without overflow", "FR-004", "FR-005", "FR-006", "LM-013"),
    }
    header = ["LimitTest: LIMIT as a client reads it. BoundTest: the length of a frame, judged alone."]
    return document(
        "goipc-limit-v1",
        header,
        notes,
        [
            {"type": "LimitTest", "mode": "plain", "tests": plain},
            {"type": "LimitTest", "mode": "sealed", "key": key.hex(), "tests": sealed},
            {"type": "BoundTest", "tests": bounds},
        ],
    )


# --- transcripts ---------------------------------------------------------------------------------


class Side:
    """One side of a transcript: its inputs, and what they turn into."""

    def __init__(self, role: str, label: str, private: bytes, style: str, limit: int):
        self.role, self.style, self.limit, self.private = role, style, limit, private
        self.label, self.sent, self.nonces = label, 0, []
        prefix = bytearray(rnd(f"{label}:{role}:prefix", 8))
        self.drawn_prefix = bytes(prefix)
        prefix[0] = prefix[0] | 0x80 if role == "server" else prefix[0] & 0x7F
        self.prefix = bytes(prefix)

    def nonce(self) -> bytes:
        if self.style == "counter":
            nonce = self.prefix + u32(self.sent)
        else:
            nonce = rnd(f"{self.label}:{self.role}:nonce:{self.sent}", 12)
        self.sent += 1
        self.nonces.append(nonce)
        return nonce

    def describe(self, sealed: bool, encryption: str) -> dict:
        result = {"encryption": encryption, "limit": self.limit}
        if sealed:
            result["private"] = self.private.hex()
            result["public"] = ref.public_key(self.private).hex()
            result["nonces"] = [nonce.hex() for nonce in self.nonces]
            if self.style == "counter":
                result["random_draws"] = [self.private.hex(), self.drawn_prefix.hex()]
        return result


def transcript(
    name,
    comment,
    flags,
    sealed,
    traffic,
    *,
    style="counter",
    limit=LIMIT_DEFAULT,
    client_limit=LIMIT_DEFAULT,
    privates=None,
    forms=("minimal", "minimal"),
    eager=False,
    client_encryption=None,
) -> dict:
    """traffic: (from, type, data). forms: how server and client derive the key, at first."""
    label = f"transcript:{name}"
    privates = privates or (scalar(label + ":server"), scalar(label + ":client"))
    server = Side("server", label, privates[0], style, limit)
    client = Side("client", label, privates[1], style, client_limit)
    sides = {"server": server, "client": client}
    messages = []

    def put(sender, what, wire, **more):
        messages.append({"from": sender, "name": what, "wire": wire.hex(), **more})

    key = {}
    put("server", "HELLO", bytes([2, int(sealed)]))
    put("client", "HELLO_REPLY", b"\0")
    if sealed:
        keys = [("server", "SERVER_KEY", server), ("client", "CLIENT_KEY", client)]
        for sender, what, side in reversed(keys) if eager else keys:
            put(sender, what, ref.public_key(side.private))
        x = ref.shared_x(server.private, ref.public_key(client.private))
        key = {
            role: ref.derive_key(x, form == "fixed-48") for role, form in zip(("server", "client"), forms, strict=True)
        }
        nonce = server.nonce()
        put(
            "server",
            "LIMIT",
            ref.frame(ref.seal_body(key["server"], nonce, u32(limit))),
            nonce=nonce.hex(),
            limit=limit,
        )
        if forms[0] == "fixed-48":
            key["client"] = key["server"]
    else:
        put("server", "LIMIT", ref.frame(u32(limit)), limit=limit)
    put("client", "LIMIT_REPLY", b"\0")
    delivered = {"server": [], "client": []}
    for sender, kind, data in traffic:
        receiver = "client" if sender == "server" else "server"
        more = {"type": kind, "data": data.hex()}
        if sealed:
            nonce = sides[sender].nonce()
            more["nonce"] = nonce.hex()
            wire = ref.sealed_frame(key[sender], nonce, kind, data)
            if sender == "client":
                key["server"] = key["client"]
        else:
            wire = ref.plain_frame(kind, data)
        put(sender, "FRAME", wire, **more)
        if kind:
            delivered[receiver].append({"type": kind, "data": data.hex()})
    client_encryption = client_encryption or ("required" if sealed else "off")
    entry = {
        "id": f"transcript-{name}",
        "comment": comment,
        "flags": flags,
        "sealed": sealed,
        "nonces": style if sealed else "none",
        "server": server.describe(sealed, "on" if sealed else "off"),
        "client": client.describe(sealed, client_encryption),
        "messages": messages,
        "server_stream": "".join(m["wire"] for m in messages if m["from"] == "server"),
        "client_stream": "".join(m["wire"] for m in messages if m["from"] == "client"),
        "delivered": delivered,
    }
    if sealed:
        entry["x"] = x.hex()
        entry["key"] = key["server"].hex()
        entry["forms"] = {"server": forms[0], "client": forms[1]}
    return entry


def refused(name, comment, flags, hello, reply, encryption, error) -> dict:
    return {
        "id": f"transcript-{name}",
        "comment": comment,
        "flags": flags,
        "sealed": hello[1] == 1,
        "nonces": "none",
        "client": {"encryption": encryption, "limit": LIMIT_DEFAULT},
        "messages": [
            {"from": "server", "name": "HELLO", "wire": hello.hex()},
            {"from": "client", "name": "HELLO_REPLY", "wire": reply.hex()},
        ],
        "server_stream": hello.hex(),
        "client_stream": reply.hex(),
        "delivered": {"server": [], "client": []},
        "refused": error,
    }


def scalars_with_zero(label: str, zeros: int = 1) -> tuple[bytes, bytes]:
    """Two private keys whose shared X begins with zero bytes, found by trying."""
    server = scalar(label + ":server")
    peer = ref.public_key(server)
    for i in range(100000):
        client = scalar(f"{label}:client:{i}")
        if ref.shared_x(client, peer)[:zeros] == bytes(zeros):
            return server, client
    raise AssertionError


TALK = [
    ("client", 1, b"hello"),
    ("server", 1, b"hello"),
    ("client", 5, b""),
    ("server", 2147483647, b"largest type"),
    ("client", 0, b"discarded"),
    ("server", 0, b""),
    ("client", 2, bytes(range(256))),
    ("server", 3, b"bye"),
]
SHORT_TALK = [("client", 1, b"hello"), ("server", 2, b"world")]


def transcripts() -> dict:
    zero = scalars_with_zero("transcript:zero")
    high = [("client", 2**31, b"high"), ("server", U32_MAX, b"higher")]
    tests = [
        transcript("plain-01", "a plain session", [], False, SHORT_TALK),
        transcript("sealed-01", "a sealed session, nonces with counters", [], True, SHORT_TALK),
        transcript("plain-02", "every kind of message, plain", ["TypeZero"], False, TALK),
        transcript("sealed-02", "every kind of message, sealed", ["TypeZero"], True, TALK),
        transcript("sealed-03", "nonces drawn at random", ["RandomNonce"], True, TALK, style="random"),
        transcript("sealed-lz-01", "X begins with a zero byte", ["LeadingZero"], True, SHORT_TALK, privates=zero),
        transcript(
            "sealed-lz-02",
            "the same, nonces drawn at random",
            ["LeadingZero", "RandomNonce"],
            True,
            SHORT_TALK,
            privates=zero,
            style="random",
        ),
        transcript(
            "sealed-fixed-server",
            "X begins with a zero byte, the server hashes 48 bytes",
            ["FixedServer"],
            True,
            SHORT_TALK,
            privates=zero,
            forms=("fixed-48", "minimal"),
        ),
        transcript(
            "sealed-fixed-client",
            "X begins with a zero byte, the client hashes 48 bytes",
            ["FixedClient"],
            True,
            SHORT_TALK,
            privates=zero,
            forms=("minimal", "fixed-48"),
        ),
        transcript(
            "sealed-eager", "the client sends its key with its reply", ["EagerKey"], True, SHORT_TALK, eager=True
        ),
        transcript(
            "plain-optional",
            "a client that takes either flag gets 0",
            ["Optional"],
            False,
            SHORT_TALK,
            client_encryption="optional",
        ),
        transcript(
            "sealed-optional",
            "a client that takes either flag gets 1",
            ["Optional"],
            True,
            SHORT_TALK,
            client_encryption="optional",
        ),
        transcript(
            "plain-limit-0",
            "a limit of 0: empty messages only",
            ["LimitZero"],
            False,
            [("client", 1, b""), ("server", 2, b"")],
            limit=0,
        ),
        transcript(
            "sealed-limit-0",
            "a limit of 0: empty messages only",
            ["LimitZero"],
            True,
            [("client", 1, b""), ("server", 2, b"")],
            limit=0,
        ),
        transcript("plain-silent", "no message at all", [], False, []),
        transcript("sealed-silent", "no message at all", [], True, []),
        transcript("plain-high", "types above 2147483647", ["HighType"], False, high),
        transcript("sealed-high", "types above 2147483647", ["HighType"], True, high),
        transcript(
            "sealed-one", "both private keys are small", ["EdgeKey"], True, SHORT_TALK, privates=(number(1), number(2))
        ),
    ]
    refusals = [
        ("version-1", b"\1\1", b"\1", "required", "version"),
        ("version-3", b"\3\1", b"\1", "required", "version"),
        ("version-0", b"\0\0", b"\1", "optional", "version"),
        ("version-first", b"\3\7", b"\1", "off", "version"),
        ("flag-0-required", b"\2\0", b"\2", "required", "encryption"),
        ("flag-1-off", b"\2\1", b"\2", "off", "encryption"),
        ("flag-2-required", b"\2\2", b"\2", "required", "encryption"),
        ("flag-2-optional", b"\2\2", b"\2", "optional", "encryption"),
        ("flag-255-optional", b"\2\xff", b"\2", "optional", "encryption"),
    ]
    tests += [
        refused(
            f"refused-{name}", f"HELLO {hello.hex()}, encryption {setting}", ["Refused"], hello, reply, setting, error
        )
        for name, hello, reply, setting, error in refusals
    ]
    notes = {
        "TypeZero": note("EDGE_CASE", "frames of type 0 are not delivered", "MT-003"),
        "RandomNonce": note("BASIC", "for receivers: a sender forms nonces otherwise", "SE-007"),
        "LeadingZero": note("EDGE_CASE", "the key comes from X without its zero byte", "KD-011"),
        "FixedServer": note("DIALECT", "only for clients that do as KD-013 allows", "KD-013"),
        "FixedClient": note("DIALECT", "only for servers that do as KD-014 allows", "KD-014"),
        "EagerKey": note("BASIC", "CLIENT_KEY arrives early", "HS-028"),
        "Optional": note("BASIC", "the setting optional", "HS-015"),
        "LimitZero": note("EDGE_CASE", "limit 0", "LM-010"),
        "HighType": note("EDGE_CASE", "types above 2147483647", "MT-006"),
        "EdgeKey": note("EDGE_CASE", "private keys 1 and 2", "KD-010"),
        "Refused": note("BASIC", "the client refuses HELLO", "HS-012", "HS-017"),
    }
    header = [
        "Whole sessions. Where nonces is counter, random_draws lists what a side draws from its",
        "random source in order: its private key (48 bytes), then 8 bytes for its nonces (SE-005).",
        "x and key are those in use at the end.",
    ]
    return document("goipc-transcript-v1", header, notes, [{"type": "TranscriptTest", "tests": tests}])


# --- streams -------------------------------------------------------------------------------------


class Script:
    """Builds one stream test: what one role receives, and what it makes of it."""

    def __init__(self):
        self.tests = []

    def add(
        self,
        name,
        comment,
        flags,
        role,
        encryption,
        pieces,
        *,
        limit=1024,
        draws=(),
        end=True,
        optional=None,
        tolerant=True,
        reflect=True,
    ):
        stream = b"".join(pieces)
        receiver = ref.Receiver(role, encryption, limit, draws, tolerant, reflect)
        receiver.feed(stream)
        if end:
            receiver.end()
        for chunk in (1, 3):
            again = ref.Receiver(role, encryption, limit, draws, tolerant, reflect)
            for at in range(0, len(stream), chunk):
                again.feed(stream[at : at + chunk])
            if end:
                again.end()
            assert (again.events, again.output) == (receiver.events, receiver.output), name
        edges, at = [], 0
        for piece in pieces[:-1]:
            at += len(piece)
            edges.append(at)
        inside = sorted({edge + 1 for edge in edges if edge + 1 < len(stream)})
        failed = receiver.events and receiver.events[-1]["event"] == "failed"
        refusal = failed and role == "client" and receiver.output in (b"\1", b"\2")
        entry = {
            "id": f"stream-{name}",
            "comment": comment,
            "flags": list(flags),
            "role": role,
            "encryption": encryption,
            "limit": limit,
            "random_draws": [d.hex() for d in draws],
            "input": stream.hex(),
            "end": end,
            "cuts": [edges, inside],
            "events": receiver.events,
            "output": receiver.output.hex(),
            "output_exact": not failed or refusal,
        }
        if optional:
            entry["optional"] = optional
        self.tests.append(entry)


def streams() -> dict:
    script = Script()
    frame = ref.plain_frame
    long = rnd("stream:long", 1024)

    # Plain, both roles: the same frames after two different openings.
    opening = {
        "server": ("off", [b"\0", b"\0"]),
        "client": ("off", [b"\2\0", ref.frame(u32(4096))]),
    }
    for role, (encryption, start) in opening.items():

        def add(name, comment, flags, pieces, **more):
            script.add(f"plain-{role}-{name}", comment, flags, role, encryption, start + pieces, **more)

        add(
            "messages",
            "messages, then the end",
            [],
            [frame(1, b"one"), frame(2, b""), frame(3, long), frame(4, b"four")],
        )
        add("open", "messages, and the stream goes on", [], [frame(1, b"one"), frame(2, b"two")], end=False)
        add("nothing", "the end right after the handshake", [], [])
        add(
            "type-0",
            "frames of type 0 between others",
            ["TypeZero"],
            [frame(1, b"a"), frame(0, b"x"), frame(0, b""), frame(2, b"b")],
        )
        add("type-high", "types above 2147483647", ["HighType"], [frame(2**31, b"a"), frame(U32_MAX, b"b")])
        add("at-limit", "data as large as the limit", ["Limit"], [frame(1, long)])
        add("above-limit", "data one byte larger", ["Limit"], [frame(7, b"x"), frame(1, long + b"!")])
        for size in (0, 1, 2, 3):
            add(f"length-{size}", f"a frame of length {size}", ["Runt"], [frame(7, b"x"), u32(size) + bytes(size)])
        add("length-max", "length 4294967295", ["Limit"], [frame(7, b"x"), u32(U32_MAX)])
        add("length-max-open", "the same, and nothing follows", ["Limit"], [frame(7, b"x"), u32(U32_MAX)], end=False)
        for size in (1, 3, 4, 7, 8, 12):
            add(
                f"cut-{size}",
                f"the end after {size} bytes of a frame of 13",
                ["Truncated"],
                [frame(7, b"x"), frame(8, b"hello")[:size]],
            )
        add(
            "bad-then-good", "a good frame after a bad one is not delivered", ["Runt"], [u32(2) + b"ab", frame(7, b"x")]
        )
        for size in range(sum(map(len, start))):
            script.add(
                f"plain-{role}-end-{size}",
                f"the end after {size} bytes",
                ["HandshakeEnd"],
                role,
                encryption,
                [b"".join(start)[:size]],
            )

    for reply in (1, 2, 3, 4, 255):
        script.add(f"plain-server-reply-{reply}", f"HELLO_REPLY {reply}", ["Reply"], "server", "off", [bytes([reply])])
        script.add(f"sealed-server-reply-{reply}", f"HELLO_REPLY {reply}", ["Reply"], "server", "on", [bytes([reply])])
    for value in (1, 7, 255):
        script.add(
            f"plain-server-limit-reply-{value}",
            f"LIMIT_REPLY {value}",
            ["LimitReply"],
            "server",
            "off",
            [b"\0", bytes([value]), frame(1, b"x")],
        )
    for hello in (b"\1\0", b"\3\1", b"\0\0", b"\x16\3", b"\3\7"):
        for setting in ("required", "optional", "off"):
            script.add(
                f"client-{setting}-hello-{hello.hex()}", f"HELLO {hello.hex()}", ["Version"], "client", setting, [hello]
            )
    for flag in (0, 1, 2, 7, 255):
        for setting in ("required", "optional", "off"):
            if flag in {"required": (1,), "optional": (0, 1), "off": (0,)}[setting]:
                continue
            script.add(f"client-{setting}-flag-{flag}", f"flag {flag}", ["Flag"], "client", setting, [bytes([2, flag])])
    script.add(
        "client-optional-plain",
        "a client that takes either flag",
        [],
        "client",
        "optional",
        [b"\2\0", ref.frame(u32(4096)), frame(1, b"x")],
    )
    for size in (0, 3, 5, 32, U32_MAX):
        script.add(
            f"plain-client-limit-length-{size}",
            f"LIMIT of length {size}",
            ["LimitLength"],
            "client",
            "off",
            [b"\2\0", u32(size)],
            end=False,
        )
    script.add(
        "plain-client-limit-0",
        "a limit of 0",
        ["Limit"],
        "client",
        "off",
        [b"\2\0", ref.frame(u32(0)), frame(1, b"from the server")],
    )

    sealed_streams(script)
    notes = {
        "TypeZero": note("EDGE_CASE", "discarded, and what follows is delivered", "MT-003"),
        "HighType": note("EDGE_CASE", "delivered as unsigned numbers", "MT-006"),
        "Limit": note("DENIAL_OF_SERVICE", "the receive limit", "FR-006", "FR-007", "LM-009"),
        "Runt": note("CRASH", "a length too small for its frame", "FR-004", "FR-005"),
        "Truncated": note("TRUNCATION", "the end inside a frame", "FR-010", "FR-011"),
        "HandshakeEnd": note("TRUNCATION", "the end inside the handshake", "HS-005"),
        "Reply": note("BASIC", "the client refuses", "HS-021", "HS-022", "HS-023"),
        "LimitReply": note("EDGE_CASE", "every value is accepted", "HS-036"),
        "Version": note("BASIC", "another version, judged before the flag", "HS-017"),
        "Flag": note("BASIC", "a flag that is not acceptable", "HS-012", "HS-013", "HS-014"),
        "LimitLength": note("INVALID_ENCODING", "a LIMIT of the wrong length", "HS-034"),
        "BadKey": note("INVALID_CURVE_ATTACK", "a public key that is refused", "KD-006", "KD-007", "KD-008"),
        "OwnKey": note("REFLECTION", "one's own public key", "KD-009"),
        "LeadingZero": note("EDGE_CASE", "X begins with a zero byte", "KD-011"),
        "Dialect": note("DIALECT", "the other side hashes 48 bytes", "KD-013", "KD-014", "KD-015"),
        "BadTag": note("MODIFIED_TAG", "something sealed does not open", "SE-010", "HS-033"),
        "Reflected": note("REFLECTION", "one's own frame", "SE-013"),
        "RandomNonce": note("BASIC", "nonces drawn at random", "SE-007"),
    }
    header = [
        "What one role makes of a stream of input, with its own randomness given (random_draws, as",
        "in the transcripts). The events are the same however the input is cut: in one piece, byte by",
        "byte, and at each list of offsets in cuts. Where end is true the stream ends after input.",
        "limit is the receive limit. output is everything the role sends; where output_exact is",
        "false, the connection failed and output not yet sent may have been dropped, from its end.",
        "A test with optional applies to implementations that do what that requirement offers.",
    ]
    return document("goipc-stream-v1", header, notes, [{"type": "StreamTest", "tests": script.tests}])


def sealed_streams(script: Script) -> None:
    zero = scalars_with_zero("stream:zero")
    for role in ("server", "client"):
        label = f"stream:{role}"
        own, peer = scalar(label + ":own"), scalar(label + ":peer")
        draws = (own, rnd(label + ":prefix", 8))
        prefix = bytearray(draws[1])
        prefix[0] = prefix[0] | 0x80 if role == "server" else prefix[0] & 0x7F
        nonces = Counter(label)
        setting = "on" if role == "server" else "required"

        def opening(private, key, first=b"\2\1", limit=4096, public=None):
            public = public or ref.public_key(private)
            if role == "server":
                return [b"\0", public, b"\0"]
            sealed = ref.frame(ref.seal_body(key, nonces.next(), u32(limit)))
            return [first, public, sealed]

        def add(name, comment, flags, pieces, draws=draws, **more):
            script.add(f"sealed-{role}-{name}", comment, flags, role, setting, pieces, draws=draws, **more)

        key = ref.derive_key(ref.shared_x(own, ref.public_key(peer)))

        def seal(kind, data, key=key, nonce=None):
            return ref.sealed_frame(key, nonce or nonces.next(), kind, data)

        def flip(wire, at=-1):
            changed = bytearray(wire)
            changed[at] ^= 1
            return bytes(changed)

        start = opening(peer, key)
        add(
            "messages",
            "messages, then the end",
            ["RandomNonce"],
            start + [seal(1, b"one"), seal(2, b""), seal(3, rnd(label, 1024)), seal(4, b"four")],
        )
        add("open", "messages, and the stream goes on", ["RandomNonce"], start + [seal(1, b"one")], end=False)
        add("nothing", "the end right after the handshake", [], start)
        add(
            "type-0",
            "frames of type 0 between others",
            ["TypeZero"],
            start + [seal(1, b"a"), seal(0, b"x"), seal(2, b"b")],
        )
        add("type-high", "a type above 2147483647", ["HighType"], start + [seal(U32_MAX, b"a")])
        add(
            "above-limit",
            "data one byte larger than the limit",
            ["Limit"],
            start + [seal(7, b"x"), seal(1, bytes(1025))],
        )
        for size in (0, 4, 12, 27, 28, 31):
            add(
                f"length-{size}",
                f"a frame of length {size}",
                ["Runt"],
                start + [seal(7, b"x"), u32(size) + bytes(size)],
            )
        runt = ref.frame(ref.seal_body(key, nonces.next(), b"abc"))
        add("runt-text", "a frame that opens to three bytes", ["Runt"], start + [seal(7, b"x"), runt])
        add(
            "bad-tag",
            "one bit of a tag, and a good frame after it",
            ["BadTag"],
            start + [seal(7, b"x"), flip(seal(8, b"y")), seal(9, b"z")],
        )
        add("bad-nonce", "one bit of a nonce", ["BadTag"], start + [seal(7, b"x"), flip(seal(8, b"y"), 4)])
        add(
            "bad-type-0",
            "a frame of type 0 that does not open",
            ["BadTag"],
            start + [seal(7, b"x"), flip(seal(0, b"y"))],
        )
        add("plain-frame", "a plain frame on a sealed connection", ["BadTag"], start + [ref.plain_frame(1, bytes(40))])
        add(
            "other-key",
            "a frame sealed with the 48-byte key when X has no zero byte",
            ["BadTag"],
            start + [seal(7, b"x", key=rnd(label + ":other", 32))],
        )
        for size in (3, 4, 20, 35):
            add(
                f"cut-{size}",
                f"the end after {size} bytes of a frame of 37",
                ["Truncated"],
                start + [seal(7, b"x"), seal(8, b"y")[:size]],
            )
        whole = b"".join(start)
        for size in sorted({0, 1, 2, 50, 97, 98, 99, len(whole) - 1} & set(range(len(whole)))):
            add(f"end-{size}", f"the end after {size} bytes", ["HandshakeEnd"], [whole[:size]])
        for name, public in bad_keys():
            pieces = [start[0], public]
            add(f"key-{name}", "a public key that is refused", ["BadKey"], pieces, end=False)
        add("key-own", "one's own public key", ["OwnKey"], [start[0], ref.public_key(own)], end=False)

        # The engine's own first nonce, with its counter at 0. A server has used it for LIMIT.
        mine = bytes(prefix) + u32(0)
        if role == "server":
            limit_frame = ref.frame(ref.seal_body(key, mine, u32(1024)))
            add("reflected", "its own LIMIT comes back", ["Reflected"], start + [limit_frame], optional="SE-013")
        add(
            "next-nonce",
            "its own next nonce, not yet used",
            ["Reflected"],
            start + [seal(7, b"x", nonce=bytes(prefix) + u32(1))],
            optional="SE-013",
        )
        add(
            "near-nonce",
            "a nonce that differs from its own in the last bit of the 8 bytes",
            ["RandomNonce"],
            start + [seal(7, b"x", nonce=bytes(prefix[:7]) + bytes([prefix[7] ^ 1]) + u32(0))],
        )

        lz_own, lz_peer = (zero[0], zero[1]) if role == "server" else (zero[1], zero[0])
        lz_draws = (lz_own, draws[1])
        x = ref.shared_x(lz_own, ref.public_key(lz_peer))
        minimal, fixed = ref.derive_key(x), ref.derive_key(x, fixed=True)
        add(
            "zero",
            "X begins with a zero byte",
            ["LeadingZero"],
            opening(lz_peer, minimal) + [seal(1, b"x", key=minimal), seal(2, b"y", key=minimal)],
            draws=lz_draws,
        )
        option = "KD-014" if role == "server" else "KD-013"
        add(
            "zero-fixed",
            "X begins with a zero byte, the peer hashes 48 bytes",
            ["Dialect"],
            opening(lz_peer, fixed) + [seal(1, b"x", key=fixed), seal(2, b"y", key=fixed)],
            draws=lz_draws,
            optional=option,
        )
        add(
            "zero-fixed-mixed",
            "the peer changes its key back",
            ["Dialect"],
            opening(lz_peer, fixed) + [seal(1, b"x", key=fixed), seal(2, b"y", key=minimal)],
            draws=lz_draws,
            optional=option,
        )
        add(
            "zero-minimal-mixed",
            "the peer changes to the other key",
            ["LeadingZero"],
            opening(lz_peer, minimal) + [seal(1, b"x", key=minimal), seal(2, b"y", key=fixed)],
            draws=lz_draws,
        )
        if role == "client":
            bad = flip(start[2])
            add("limit-tag", "a LIMIT that does not open", ["BadTag"], start[:2] + [bad], end=False)
            for size in (0, 4, 31, 33, U32_MAX):
                add(
                    f"limit-length-{size}",
                    f"LIMIT of length {size}",
                    ["LimitLength"],
                    start[:2] + [u32(size)],
                    end=False,
                )
            script.add(
                "sealed-client-optional",
                "a client that takes either flag",
                [],
                "client",
                "optional",
                start + [seal(1, b"x")],
                draws=draws,
            )
        else:
            for value in (1, 255):
                add(
                    f"limit-reply-{value}",
                    f"LIMIT_REPLY {value}",
                    ["LimitReply"],
                    start[:2] + [bytes([value]), seal(1, b"x")],
                )


class Counter:
    """Distinct nonces of the kind a peer draws at random."""

    def __init__(self, label: str):
        self.label, self.count = label, 0

    def next(self) -> bytes:
        self.count += 1
        return rnd(f"{self.label}:nonce:{self.count}", 12)


def bad_keys() -> list[tuple[str, bytes]]:
    """The refused public keys of 97 bytes, by the names they have in point.json."""
    tests = points()["testGroups"][0]["tests"]
    return [
        (test["id"].removeprefix("point-"), bytes.fromhex(test["peer"]))
        for test in tests
        if test["result"] == "invalid" and len(test["peer"]) == 194
    ]


# --- accumulated digest --------------------------------------------------------------------------


def accumulated_bytes(i: int, label: str, size: int) -> bytes:
    prefix = b"goipc accumulated 1" + label.encode() + u32(i)
    out, counter = b"", 0
    while len(out) < size:
        out += hashlib.sha256(prefix + u32(counter)).digest()
        counter += 1
    return out[:size]


def accumulated() -> dict:
    digest, tests = bytes(32), []
    for i in range(10000):
        x = accumulated_bytes(i, "x", 48)
        x = bytes(i % 49) + x[i % 49 :]
        if i % 100 == 99:
            pair = []
            for label in ("a", "b"):
                private = bytearray(accumulated_bytes(i, label, 48))
                private[0] &= 0x7F
                pair.append(bytes(private))
            x = ref.shared_x(pair[0], ref.public_key(pair[1]))
        key = ref.derive_key(x)
        kind = int.from_bytes(accumulated_bytes(i, "t", 4), "big") or 1
        size = int.from_bytes(accumulated_bytes(i, "s", 4), "big") % 300
        data = accumulated_bytes(i, "d", size)
        sealed = ref.sealed_frame(key, accumulated_bytes(i, "n", 12), kind, data)
        digest = hashlib.sha256(digest + key + ref.plain_frame(kind, data) + sealed).digest()
        if i + 1 in (1, 2, 10, 100, 1000, 10000):
            tests.append(
                {
                    "id": f"accumulated-{i + 1}",
                    "comment": f"after {i + 1} cases",
                    "flags": [],
                    "count": i + 1,
                    "digest": digest.hex(),
                }
            )
    header = [
        "One digest over many cases of key derivation, framing and sealing. The derivation is",
        "in spec/goipc.md, Appendix B.",
    ]
    return document("goipc-accumulated-v1", header, {}, [{"type": "AccumulatedTest", "tests": tests}])


FILES = {
    "kdf": kdf,
    "point": points,
    "frame": frames,
    "seal": seals,
    "limit": limits,
    "transcript": transcripts,
    "stream": streams,
    "accumulated": accumulated,
}


def text_of(name: str) -> str:
    return json.dumps(FILES[name](), indent=1) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="generate spec/vectors")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    parser.add_argument("--only", choices=FILES, help="one file")
    arguments = parser.parse_args()
    passed = failed = 0
    for name in [arguments.only] if arguments.only else FILES:
        path = VECTORS / f"{name}.json"
        text = text_of(name)
        schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
        try:
            jsonschema.validate(json.loads(text), schema)
        except jsonschema.ValidationError as error:
            print(f"FAIL {name}.json: {error.json_path}: {error.message[:200]}")
            failed += 1
            continue
        if not arguments.check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"FAIL {name}.json is stale: run spec/tools/vectors.py")
            failed += 1
            continue
        passed += json.loads(text)["numberOfTests"]
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""The codec role: an implementation's own encoder, decoder and key derivation, without sockets."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from .. import codec, data_files, keys
from ..case import ENC, Body, case
from ..context import Context, Verdictless

CODEC = ("codec",)
KEY = hashlib.sha256(b"goipc conformance codec key").digest()


def key_fields(t: Context) -> dict[str, str]:
    return {"key": KEY.hex()} if t.encrypted else {}


def wire_frame(t: Context, message_type: int, data: bytes, number: int = 1) -> bytes:
    plaintext = codec.message_plaintext(message_type, data)
    return codec.frame(codec.seal(KEY, bytes(8) + codec.u32(number), plaintext) if t.encrypted else plaintext)


def decode(t: Context, stream: bytes, maximum: int = 65536) -> dict[str, Any]:
    reply = t.call("decode", hex=stream.hex(), max=maximum, dir="c2s", **key_fields(t))
    if not reply["ok"]:
        # An adapter may also report the failure of the stream as the failure of the command.
        reply = {"frames": [], "rest": 0, "error": reply.get("error", {"class": "other"})}
    return reply


def expect_frames(t: Context, reply: dict[str, Any], frames: list[tuple[int, bytes]]) -> None:
    got = [(entry.get("type"), entry.get("data")) for entry in reply.get("frames", [])]
    wanted = [(message_type, data.hex()) for message_type, data in frames]
    if got != wanted:
        t.see("altered", f"decoded {got!r:.200}, expected {wanted!r:.200}")


def expect_error(t: Context, reply: dict[str, Any], classes: tuple[str, ...]) -> None:
    error = reply.get("error")
    if not error:
        t.see("accepted", "the stream was not refused")
    elif error.get("class") not in classes:
        t.see("wrong-class", f"the class is {error.get('class')}, expected {' or '.join(classes)}")


def declare(id: str, title: str, **options: Any) -> Callable[[Body], Body]:
    return case(id, title, roles=CODEC, adapter_level=1, liveness=False, **options)


@declare(
    "codec.decode",
    "A frame decodes to its message",
    params={"enc": ENC, "size": (0, 1, 16, 1000)},
    reqs="FR-001 FR-002 FR-014 SE-001",
    expect="conforms",
    positive=True,
    group=1,
    why="A port can test this first, without sockets.",
    hint="Length, then type, then data; big-endian.",
)
def codec_decode(t: Context) -> None:
    data = hashlib.shake_128(b"codec").digest(t.p.size)
    reply = decode(t, wire_frame(t, 7, data))
    expect_frames(t, reply, [(7, data)])
    if reply.get("error") or reply.get("rest", 0):
        t.see("refused", f"error {reply.get('error')}, rest {reply.get('rest')}")


@declare(
    "codec.decode.several",
    "Several frames decode to several messages, in order",
    params={"enc": ENC},
    reqs="FR-003 FR-009 FR-013",
    expect="conforms",
    positive=True,
    why="One read may return several frames.",
    hint="Loop until the bytes run out.",
)
def codec_several(t: Context) -> None:
    messages = [(index + 1, bytes([index]) * index) for index in range(4)]
    stream = b"".join(wire_frame(t, *message, number) for number, message in enumerate(messages))
    expect_frames(t, decode(t, stream), messages)


@declare(
    "codec.decode.unfinished",
    "An unfinished frame is no message and no failure",
    params={"enc": ENC, "at": (0, 1, 3, 4, 10)},
    reqs="FR-003 FR-011",
    expect="conforms",
    positive=True,
    why="The rest may still arrive.",
    hint="Report that more input is needed, and the number of unused bytes.",
)
def codec_unfinished(t: Context) -> None:
    whole = wire_frame(t, 7, b"unfinished")
    reply = decode(t, whole + whole[: t.p.at])
    if reply.get("error"):
        t.see("refused", str(reply["error"]))
        return
    expect_frames(t, reply, [(7, b"unfinished")])
    if reply.get("rest") != t.p.at:
        t.see("altered", f"rest is {reply.get('rest')}, expected {t.p.at}")


@declare(
    "codec.decode.runt",
    "A frame that is too short fails the stream",
    params={"enc": ENC, "length": (0, 3, 27, 31)},
    when=lambda role, enc, length: enc == "on" or length < 4,
    reqs="FR-004 FR-005 SC-001",
    expect="conforms",
    also="wrong-class",
    tags=("dos",),
    why="Slicing beyond the end of the input crashes.",
    hint="At least 4 bytes, 32 when sealed.",
)
def codec_runt(t: Context) -> None:
    expect_error(t, decode(t, codec.u32(t.p.length) + bytes(t.p.length)), ("framing", "auth"))


@declare(
    "codec.decode.too-large",
    "A length above the limit fails the stream at once",
    params={"enc": ENC},
    reqs="FR-006 FR-007",
    expect="conforms",
    also="wrong-class",
    tags=("dos",),
    why="A bad length can be rejected without its body.",
    hint="Check the length when its four bytes have arrived.",
)
def codec_too_large(t: Context) -> None:
    over = 1000 + (32 if t.encrypted else 4) + 1
    expect_error(t, decode(t, codec.u32(over), maximum=1000), ("too-large", "framing"))


@declare(
    "codec.decode.at-limit",
    "A message of exactly the limit decodes",
    params={"enc": ENC},
    reqs="LM-001 LM-009",
    expect="conforms",
    positive=True,
    why="The limit counts the data only.",
    hint="Limit plus 4, or plus 32.",
)
def codec_at_limit(t: Context) -> None:
    expect_frames(t, decode(t, wire_frame(t, 7, b"a" * 1000), maximum=1000), [(7, b"a" * 1000)])


@declare(
    "codec.decode.control",
    "Type 0 decodes to nothing",
    params={"enc": ENC},
    reqs="MT-003",
    expect="conforms",
    why="It is reserved.",
    hint="Decode, then drop.",
)
def codec_control(t: Context) -> None:
    reply = decode(t, wire_frame(t, 0, b"x", 1) + wire_frame(t, 5, b"y", 2))
    expect_frames(t, reply, [(5, b"y")])
    if reply.get("error"):
        t.see("refused", str(reply["error"]))


@declare(
    "codec.decode.tampered",
    "Any changed bit fails the stream",
    params={"enc": ("on",), "at": (4, 15, 16, 20, 31, -1)},
    reqs="SE-010 SE-011",
    expect="conforms",
    also="wrong-class",
    tags=("security",),
    why="The tag protects the complete frame.",
    hint="Verify the complete tag before you release any plaintext.",
)
def codec_tampered(t: Context) -> None:
    stream = bytearray(wire_frame(t, 7, b"tampered"))
    stream[t.p.at] ^= 1
    reply = decode(t, bytes(stream))
    expect_error(t, reply, ("auth",))
    if reply.get("frames"):
        t.see("delivered", "the changed message was released")


@declare(
    "codec.decode.before-failure",
    "Messages before a failure decode",
    params={"enc": ("on",)},
    reqs="FR-013 SE-010",
    expect="conforms",
    also="wrong-class",
    why="Messages that arrived completely must be delivered.",
    hint="Deliver in sequence, then fail.",
)
def codec_before_failure(t: Context) -> None:
    bad = bytearray(wire_frame(t, 8, b"bad", 2))
    bad[-1] ^= 1
    reply = decode(t, wire_frame(t, 7, b"good", 1) + bytes(bad) + wire_frame(t, 9, b"after", 3))
    expect_error(t, reply, ("auth",))
    expect_frames(t, reply, [(7, b"good")])


@declare(
    "codec.encode",
    "A message encodes to its frame",
    params={"enc": ENC, "size": (0, 1, 500), "type": (1, 0x7FFFFFFF)},
    reqs="FR-001 FR-002 SE-001",
    expect="conforms",
    positive=True,
    group=1,
    why="Peers decode exactly this layout.",
    hint="Length, type, data; nonce in front and tag behind when sealed.",
)
def codec_encode(t: Context) -> None:
    data = hashlib.shake_128(b"encode").digest(t.p.size)
    reply = t.call("encode", type=t.p.type, data=data.hex(), dir="c2s", **key_fields(t))
    if not reply["ok"]:
        t.see("refused", t.class_of(reply))
        return
    frame = bytes.fromhex(reply.get("hex", ""))
    if codec.read_u32(frame) != len(frame) - 4:
        t.see("malformed", f"the length says {codec.read_u32(frame)}, the body has {len(frame) - 4} bytes")
        return
    body = codec.unseal(KEY, frame[4:]) if t.encrypted else frame[4:]
    if codec.split_plaintext(body) != (t.p.type, data):
        t.see("altered", "the frame holds another message")


@declare(
    "codec.encode.nonce",
    "A given nonce gives the known frame",
    params={"enc": ("on",)},
    reqs="SE-001",
    expect="conforms",
    positive=True,
    why="With a fixed key and nonce the bytes are fixed, too.",
    hint="Nonce, ciphertext, tag; no additional data.",
)
def codec_encode_nonce(t: Context) -> None:
    nonce = bytes(range(12))
    reply = t.call("encode", type=7, data=b"known".hex(), nonce=nonce.hex(), dir="c2s", **key_fields(t))
    if not reply["ok"]:
        t.see("refused", t.class_of(reply))
        return
    wanted = codec.frame(codec.seal(KEY, nonce, codec.message_plaintext(7, b"known")))
    if reply.get("hex") != wanted.hex():
        t.see("altered", f"got {reply.get('hex')}, expected {wanted.hex()}")


@declare(
    "codec.encode.reserved",
    "Type 0 does not encode",
    params={"enc": ENC},
    reqs="MT-001 MT-002",
    expect="conforms",
    also="wrong-class",
    why="The receiver would discard it.",
    hint="Class reserved-type.",
)
def codec_reserved(t: Context) -> None:
    reply = t.call("encode", type=0, data="00", dir="c2s", **key_fields(t))
    if reply["ok"]:
        t.see("accepted", "type 0 was encoded")
    elif t.class_of(reply) != "reserved-type":
        t.see("wrong-class", t.class_of(reply))


@declare(
    "codec.encode.too-large",
    "A message above the limit does not encode",
    params={"enc": ENC},
    reqs="LM-006 LM-008",
    expect="conforms",
    also="wrong-class",
    why="The receiver would fail the connection.",
    hint="Class too-large.",
)
def codec_encode_too_large(t: Context) -> None:
    reply = t.call("encode", type=1, data="00" * 101, max=100, dir="c2s", **key_fields(t))
    if reply["ok"]:
        t.see("accepted", "a message above the limit was encoded")
    elif t.class_of(reply) != "too-large":
        t.see("wrong-class", t.class_of(reply))


def kdf_pair(zeros: int) -> tuple[int, bytes, bytes]:
    """Private scalar, peer's public key and shared X, with so many zero bytes at its front."""
    peer = keys.PrivateKey(keys.scalar_from("codec", "peer"))
    own = keys.private_key_for_leading_zeros(peer.public, zeros, keys.scalar_from("codec", "own", zeros) >> 8)
    return own.scalar, peer.public, own.shared_x(peer.public)


@declare(
    "codec.kdf",
    "The key is the hash of X without its leading zero bytes",
    params={"zeros": (0, 1, 2)},
    reqs="KD-011",
    expect="conforms",
    positive=True,
    tags=("interop",),
    group=1,
    why="Hashing all 48 bytes fails on one connection in 256.",
    hint="Strip leading zero bytes, then SHA-256.",
)
def codec_kdf(t: Context) -> None:
    scalar, public, x = kdf_pair(t.p.zeros)
    reply = t.call("kdf", priv=scalar.to_bytes(48, "big").hex(), peer=public.hex())
    if not reply["ok"]:
        t.see("refused", t.class_of(reply))
    elif reply.get("key") == keys.session_key_padded(x).hex() and t.p.zeros:
        t.see("altered", "the key is the hash of all 48 bytes of X")
    elif reply.get("key") != keys.session_key(x).hex():
        t.see("altered", "the key is another")


@declare(
    "codec.kdf.x",
    "The key of rare X, X = 0 among them",
    params={"zeros": (1, 20, 47, 48)},
    reqs="KD-011 KD-012",
    expect="conforms",
    positive=True,
    why="X = 0 is a valid X; its key is the hash of nothing.",
    hint="Strip down to the empty string.",
)
def codec_kdf_x(t: Context) -> None:
    x = bytes(t.p.zeros) + b"\x5a" * (48 - t.p.zeros)
    reply = t.call("kdf", x=x.hex())
    if not reply["ok"]:
        t.see("refused", t.class_of(reply))
    elif reply.get("key") != keys.session_key(x).hex():
        t.see("altered", "the key is another")


@declare(
    "codec.kdf.invalid",
    "An invalid public key gives no key",
    params={"which": ("off-curve", "zero", "out-of-range", "compressed", "hybrid", "short", "long", "empty")},
    reqs="KD-006 KD-007 KD-008",
    expect="conforms",
    also="wrong-class",
    tags=("security",),
    why="Points off the curve leak the private key.",
    hint="Length, first byte, range, equation.",
)
def codec_kdf_invalid(t: Context) -> None:
    scalar, public, _ = kdf_pair(0)
    changed = bytearray(public)
    changed[96] ^= 1
    invalid = {
        "off-curve": bytes(changed),
        "zero": b"\x04" + bytes(96),
        "out-of-range": b"\x04" + b"\xff" * 96,
        "compressed": bytes([2 | public[96] & 1]) + public[1:49],
        "hybrid": bytes([6 | public[96] & 1]) + public[1:],
        "short": public[:96],
        "long": public + b"\0",
        "empty": b"",
    }[t.p.which]
    reply = t.call("kdf", priv=scalar.to_bytes(48, "big").hex(), peer=invalid.hex())
    if reply["ok"]:
        t.see("accepted", "a key came out")
    elif t.class_of(reply) != "key":
        t.see("wrong-class", t.class_of(reply))


# The specification's own vectors, all of a file in one case.


def vectors(t: Context, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(group, test) of every vector of a file."""
    text = data_files.read_text(f"vectors/{name}.json")
    if text is None:
        raise Verdictless("the vectors are not part of this installation")
    return [(group, test) for group in json.loads(text)["testGroups"] for test in group["tests"]]


def expect_vectors(t: Context, name: str, judge: Callable[[Context, dict[str, Any], dict[str, Any]], str]) -> None:
    """Every vector of a file; what is wrong is told by the IDs of the vectors."""
    wrong, asked = [], 0
    for group, test in vectors(t, name):
        problem = judge(t, group, test)
        asked += 1
        if problem:
            wrong.append(f"{test['id']} ({test['comment']}): {problem}")
    t.note(f"{asked} vectors")
    if wrong:
        t.see("altered", f"{len(wrong)} of {asked} vectors are wrong: {'; '.join(wrong[:3])}")


def judge_kdf(t: Context, group: dict[str, Any], test: dict[str, Any]) -> str:
    reply = t.call("kdf", priv=test["private"], peer=test["peer"])
    return "" if reply.get("key") == test["key"] else f"the key is {reply.get('key', reply.get('error'))}"


def judge_point(t: Context, group: dict[str, Any], test: dict[str, Any]) -> str:
    if group["type"] != "PointTest":  # the own key is refused by the handshake, which is not asked here
        return ""
    reply = t.call("kdf", priv=group["private"], peer=test["peer"])
    return (
        "" if reply["ok"] == (test["result"] == "valid") else f"the key was {'accepted' if reply['ok'] else 'refused'}"
    )


def judge_frame(t: Context, group: dict[str, Any], test: dict[str, Any]) -> str:
    wire = bytes.fromhex(test["wire"])
    reply = t.call("decode", hex=test["wire"], max=group["limit"], dir="c2s")
    failed = bool(reply.get("error"))
    frames = [(frame["type"], frame["data"]) for frame in reply.get("frames", [])]
    if test["result"] == "message":
        return "" if frames[:1] == [(test["type"], test["data"])] else f"decoded {frames}"
    if failed != (test["result"] == "fail"):
        return f"expected {test['result']}, got {reply}"
    if test["result"] == "more" and reply.get("rest") != len(wire):
        return f"rest is {reply.get('rest')}"
    return f"decoded {frames}" if frames else ""


def judge_seal(t: Context, group: dict[str, Any], test: dict[str, Any]) -> str:
    reply = t.call("decode", hex=test["wire"], key=test["key"], max=1 << 20, dir="c2s")
    frames = [(frame["type"], frame["data"]) for frame in reply.get("frames", [])]
    if test["result"] == "invalid":
        return "" if reply.get("error") and not frames else f"not refused: {reply}"
    if test["type"] and frames != [(test["type"], test["data"])]:
        return f"decoded {frames}"
    return ""


def judge_sealing(t: Context, group: dict[str, Any], test: dict[str, Any]) -> str:
    if test["result"] != "valid" or not test["type"]:
        return ""
    reply = t.call("encode", type=test["type"], data=test["data"], key=test["key"], nonce=test["nonce"], dir="c2s")
    return "" if reply.get("hex") == test["wire"] else f"encoded {reply.get('hex', reply.get('error'))}"


@declare(
    "codec.vectors.kdf",
    "Every vector of the key derivation",
    reqs="KD-010 KD-011 KD-012",
    expect="conforms",
    positive=True,
    tags=("interop", "slow"),
    why="Random tests practically never produce these values.",
    hint="The vector's comment describes what it tests.",
)
def vectors_kdf(t: Context) -> None:
    expect_vectors(t, "kdf", judge_kdf)


@declare(
    "codec.vectors.point",
    "Every vector of valid and invalid public keys",
    reqs="KD-006 KD-007 KD-008 KD-010",
    expect="conforms",
    tags=("security",),
    why="The vectors contain every kind of invalid key.",
    hint="The vector's comment describes what it tests.",
)
def vectors_point(t: Context) -> None:
    expect_vectors(t, "point", judge_point)


@declare(
    "codec.vectors.frame",
    "Every vector of plain frames",
    reqs="FR-002 FR-004 FR-006 FR-011 FR-014 MT-003",
    expect="conforms",
    positive=True,
    why="The vectors contain the smallest and largest valid and invalid lengths.",
    hint="The vector's comment describes what it tests.",
)
def vectors_frame(t: Context) -> None:
    expect_vectors(t, "frame", judge_frame)


@declare(
    "codec.vectors.open",
    "Every vector of sealed frames opens, or does not",
    reqs="SE-001 SE-010 SE-011 FR-005",
    expect="conforms",
    tags=("security",),
    why="The vectors change every part of a frame.",
    hint="The vector's comment describes what it tests.",
)
def vectors_open(t: Context) -> None:
    expect_vectors(t, "seal", judge_seal)


@declare(
    "codec.vectors.seal",
    "Every vector of sealed frames is what sealing gives",
    reqs="SE-001",
    expect="conforms",
    positive=True,
    why="With a fixed key and nonce the bytes are fixed, too.",
    hint="The vector's comment describes what it tests.",
)
def vectors_seal(t: Context) -> None:
    expect_vectors(t, "seal", judge_sealing)

# SPDX-License-Identifier: MIT
"""Every vector of spec/vectors against the codec and the session (IM-005)."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from goipc import Error, Message, codec, keys
from goipc.session import Connected, Ended, Event, Failed, Send, Session

# Of a server, the specification says "on" where the package says "required".
SETTING: dict[str, Any] = {"on": "required", "required": "required", "optional": "optional", "off": "off"}

VECTORS = Path(__file__).resolve().parents[3] / "spec" / "vectors"


def cases(name: str) -> list[Any]:
    groups = json.loads((VECTORS / f"{name}.json").read_text())["testGroups"]
    return [pytest.param(g, t, id=t["id"]) for g in groups for t in g["tests"]]


def scripted(draws: list[str]) -> Callable[[int], bytes]:
    left = [bytes.fromhex(d) for d in draws]

    def draw(size: int) -> bytes:
        piece = left.pop(0)
        assert len(piece) == size
        return piece

    return draw


def read(reader: codec.FrameReader, wire: bytes) -> tuple[list[Message], Error | None]:
    """What a reader makes of a stream."""
    out: list[Message] = []
    try:
        reader.feed(wire, out)
    except Error as error:
        return out, error
    return out, None


@pytest.mark.parametrize("group,t", cases("kdf"))
def test_kdf(group: Any, t: Any) -> None:
    private = keys.private_key(bytes.fromhex(t["private"]))
    assert keys.public_bytes(private).hex() == t["public"]
    x = keys.shared_x(private, keys.check_public(bytes.fromhex(t["peer"])))
    assert (x.hex(), keys.derive(x).hex()) == (t["x"], t["key"])
    assert keys.derive_fixed48(x).hex() == t["key_fixed48"]


@pytest.mark.parametrize("group,t", cases("point"))
def test_point(group: Any, t: Any) -> None:
    raw = bytes.fromhex(t["peer"])
    if group["type"] == "OwnKeyTest":
        session = Session("client", "required", draw=scripted([group["private"], "00" * 8]))
        session.start()
        assert failure(session.feed(b"\2\1" + raw)) == "key"
    elif t["result"] == "valid":
        keys.check_public(raw)
    else:
        with pytest.raises(Error) as caught:
            keys.check_public(raw)
        assert caught.value.error_class == "key"


@pytest.mark.parametrize("group,t", cases("frame"))
def test_frame(group: Any, t: Any) -> None:
    wire = bytes.fromhex(t["wire"])
    reader = codec.FrameReader(group["limit"])
    messages, error = read(reader, wire)
    if t["result"] == "message":
        message = Message(t["type"], bytes.fromhex(t["data"]))
        assert (messages[0], error) == (message, None)
        assert codec.plain_frame(*message) == wire[: t["consumed"]]
    elif t["result"] == "discard":
        assert (messages, error, len(reader.pending)) == ([], None, len(wire) - t["consumed"])
        assert codec.plain_frame(t["type"], bytes.fromhex(t["data"])) == wire[: t["consumed"]]
    elif t["result"] == "more":
        assert (messages, error, bytes(reader.pending), reader.needed) == ([], None, wire, t["needed"])
    else:
        assert error and (messages, error.error_class) == ([], t["error"])
        assert read(codec.FrameReader(group["limit"]), wire[: t["needed"] - 1]) == ([], None)


@pytest.mark.parametrize("group,t", cases("seal"))
def test_seal(group: Any, t: Any) -> None:
    cipher, wire = codec.Cipher(bytes.fromhex(t["key"])), bytes.fromhex(t["wire"])
    messages, error = read(codec.FrameReader(codec.MESSAGE_SIZE_DEFAULT, cipher.open), wire)
    if t["result"] == "invalid":
        assert error and error.error_class == t["error"]
        return
    kind, data = t["type"], bytes.fromhex(t["data"])
    assert (messages, error) == ([Message(kind, data)] if kind else [], None)
    assert b"".join(cipher.seal(bytes.fromhex(t["nonce"]), codec.u32(kind) + data)) == wire


@pytest.mark.parametrize("group,t", cases("limit"))
def test_limit(group: Any, t: Any) -> None:
    if group["type"] == "BoundTest":
        verdict = "accept"
        try:
            codec.check_length(t["length"], t["limit"], t["mode"] == "sealed")
        except Error as error:
            verdict = error.error_class
        assert verdict == t.get("error", "accept")
        return
    sealed = group["mode"] == "sealed"
    session = Session("client", "optional")
    session.start()
    if not sealed:
        session.feed(b"\2\0")
    else:  # past the key agreement, with the key of the vector
        session.feed(b"\2\1")
        session.feed(keys.public_bytes(keys.private_key(keys.draw_private())))
        session._cipher, session._second_key = codec.Cipher(bytes.fromhex(group["key"])), None
    events = session.feed(bytes.fromhex(t["wire"]))
    if t["result"] == "limit":
        assert [type(e) for e in events] == [Send, Connected]
        assert session.send_limit == t["limit"]
    else:
        assert len(events) == 1 and failure(events) == t["error"]


def failure(events: list[Event]) -> str:
    last = events[-1]
    assert isinstance(last, Failed)
    return last.error.error_class


def shown(event: Event) -> dict[str, object]:
    if isinstance(event, Message):
        return {"event": "message", "type": event.type, "data": event.data.hex()}
    if isinstance(event, Failed):
        return {"event": "failed", "class": event.error.error_class}
    return {"event": "closed" if isinstance(event, Ended) else "connected"}


@pytest.mark.parametrize("group,t", cases("stream"))
def test_stream(group: Any, t: Any) -> None:
    data = bytes.fromhex(t["input"])
    for cuts in [[], list(range(1, len(data))), *t["cuts"]]:
        session = Session(t["role"], SETTING[t["encryption"]], t["limit"], draw=scripted(t["random_draws"]))
        events = session.start()
        for start, stop in zip([0, *cuts], [*cuts, len(data)]):
            events += session.feed(data[start:stop])
        if t["end"]:
            events += session.end()
        assert [shown(e) for e in events if not isinstance(e, Send)] == t["events"]
        output = b"".join(e.data for e in events if isinstance(e, Send)).hex()
        if t["output_exact"]:
            assert output == t["output"]
        else:
            assert t["output"].startswith(output)


def play(t: Any, role: Any) -> tuple[bytes, list[Event]]:
    """Feed one role the stream of the other and send what it sent, in the order of the transcript."""
    setting = t[role]
    draws = setting.get("random_draws") or [setting.get("private", ""), "00" * 8]
    session = Session(role, SETTING[setting["encryption"]], setting["limit"], draw=scripted(draws))
    events = session.start()
    sent = bytearray()
    for message in t["messages"]:
        if message["from"] != role:
            events += session.feed(bytes.fromhex(message["wire"]))
        elif message["name"] == "FRAME":
            sent += b"".join(session.frame(message["type"], bytes.fromhex(message["data"])))
    return b"".join(e.data for e in events if isinstance(e, Send)) + sent, events


# The role that another dialect plays in these transcripts.
DIALECT = {"FixedServer": "server", "FixedClient": "client"}


@pytest.mark.parametrize("group,t", cases("transcript"))
def test_transcript(group: Any, t: Any) -> None:
    for role in ("server", "client"):
        if role not in t or role in (DIALECT.get(flag) for flag in t["flags"]):
            continue
        output, events = play(t, role)
        delivered = [{"type": e.type, "data": e.data.hex()} for e in events if isinstance(e, Message)]
        assert delivered == t["delivered"].get(role, [])
        if t["nonces"] != "random":
            assert output.hex() == t[f"{role}_stream"]


def accumulate(count: int) -> dict[int, str]:
    def stretch(i: int, label: bytes, size: int) -> bytes:
        seed = b"goipc accumulated 1" + label + codec.u32(i)
        return b"".join(hashlib.sha256(seed + codec.u32(k)).digest() for k in range(size // 32 + 1))[:size]

    total, digests = bytes(32), {}
    for i in range(count):
        x = bytes(i % 49) + stretch(i, b"x", 48)[i % 49 :]
        if i % 100 == 99:
            a, b = (bytes([r[0] & 0x7F]) + r[1:] for r in (stretch(i, b"a", 48), stretch(i, b"b", 48)))
            x = keys.shared_x(keys.private_key(a), keys.private_key(b).public_key())
        key, nonce = keys.derive(x), stretch(i, b"n", 12)
        kind = int.from_bytes(stretch(i, b"t", 4), "big") or 1
        data = stretch(i, b"d", int.from_bytes(stretch(i, b"s", 4), "big") % 300)
        frame, sealed = codec.plain_frame(kind, data), b"".join(codec.Cipher(key).seal(nonce, codec.u32(kind) + data))
        total = hashlib.sha256(total + key + frame + sealed).digest()
        digests[i + 1] = total.hex()
    return digests


def test_accumulated() -> None:
    wanted = [t.values[1] for t in cases("accumulated")]
    digests = accumulate(max(t["count"] for t in wanted))
    assert {t["count"]: t["digest"] for t in wanted} == {t["count"]: digests[t["count"]] for t in wanted}

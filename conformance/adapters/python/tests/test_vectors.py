# SPDX-License-Identifier: MIT
"""Every vector of spec/vectors against the codec and the session."""

import hashlib
import json
from pathlib import Path

import pytest
from goipc_py import codec
from goipc_py.handshake import Session

VECTORS = Path(__file__).resolve().parents[4] / "spec" / "vectors"


def cases(name):
    groups = json.loads((VECTORS / f"{name}.json").read_text())["testGroups"]
    return [pytest.param(g, t, id=t["id"]) for g in groups for t in g["tests"]]


def scripted(draws):
    left = [bytes.fromhex(d) for d in draws]

    def draw(size):
        piece = left.pop(0)
        assert len(piece) == size
        return piece

    return draw


def drive(steps, wire):
    """Run a generator of codec over wire: (result, bytes consumed) or (None, bytes needed in all)."""
    need, at = next(steps), 0
    while at + need <= len(wire):
        piece, at = wire[at : at + need], at + need
        try:
            need = steps.send(piece)
        except StopIteration as done:
            return done.value, at
        except codec.Fault as fault:
            return fault, at
    return None, at + need


@pytest.mark.parametrize("group,t", cases("kdf"))
def test_kdf(group, t):
    private = codec.private_key(bytes.fromhex(t["private"]))
    assert codec.public_bytes(private).hex() == t["public"]
    x = codec.shared_x(private, codec.check_public(bytes.fromhex(t["peer"])))
    assert (x.hex(), codec.derive(x).hex()) == (t["x"], t["key"])
    assert codec.derive_fixed48(x).hex() == t["key_fixed48"]


@pytest.mark.parametrize("group,t", cases("point"))
def test_point(group, t):
    raw = bytes.fromhex(t["peer"])
    if group["type"] == "OwnKeyTest":
        session = Session("client", "required", draw=scripted([group["private"], "00" * 8]))
        session.start()
        assert session.feed(b"\2\1" + raw)[-1][1].kind == "key"
    elif t["result"] == "valid":
        codec.check_public(raw)
    else:
        with pytest.raises(codec.Fault) as caught:
            codec.check_public(raw)
        assert caught.value.kind == "key"


@pytest.mark.parametrize("group,t", cases("frame"))
def test_frame(group, t):
    wire = bytes.fromhex(t["wire"])
    result, count = drive(codec.read_frame(group["limit"]), wire)
    if t["result"] in ("message", "discard"):
        assert (result, count) == ((t["type"], bytes.fromhex(t["data"])), t["consumed"])
        assert codec.plain_frame(*result) == wire[:count]
    elif t["result"] == "more":
        assert (result, count) == (None, t["needed"])
    else:
        assert (result.kind, count) == (t["error"], t["needed"])


@pytest.mark.parametrize("group,t", cases("seal"))
def test_seal(group, t):
    key, wire = bytes.fromhex(t["key"]), bytes.fromhex(t["wire"])
    result, _ = drive(codec.read_frame(codec.MESSAGE_SIZE_DEFAULT, lambda body: codec.open_body(key, body)), wire)
    if t["result"] == "invalid":
        assert result.kind == t["error"]
        return
    kind, data = t["type"], bytes.fromhex(t["data"])
    assert result == (kind, data)
    assert codec.seal(key, bytes.fromhex(t["nonce"]), codec.u32(kind) + data) == wire


@pytest.mark.parametrize("group,t", cases("limit"))
def test_limit(group, t):
    if group["type"] == "BoundTest":
        verdict = "accept"
        try:
            codec.check_length(t["length"], t["limit"], t["mode"] == "sealed")
        except codec.Fault as fault:
            verdict = fault.kind
        assert verdict == t.get("error", "accept")
        return
    sealed = group["mode"] == "sealed"
    session = Session("client", "optional")
    session.start()
    if not sealed:
        session.feed(b"\2\0")
    else:  # past the key agreement, with the key of the vector
        session.feed(b"\2\1")
        session.feed(codec.public_bytes(codec.private_key(codec.draw_private())))
        session._key, session._second_key = bytes.fromhex(group["key"]), None
    events = session.feed(bytes.fromhex(t["wire"]))
    if t["result"] == "limit":
        assert [e[0] for e in events] == ["send", "connected"]
        assert session.send_limit == t["limit"]
    else:
        assert [(e[0], e[1].kind) for e in events] == [("failed", t["error"])]


def shown(event):
    if event[0] == "message":
        return {"event": "message", "type": event[1], "data": event[2].hex()}
    if event[0] == "failed":
        return {"event": "failed", "class": event[1].kind}
    return {"event": event[0]}


@pytest.mark.parametrize("group,t", cases("stream"))
def test_stream(group, t):
    data = bytes.fromhex(t["input"])
    for cuts in [[], list(range(1, len(data))), *t["cuts"]]:
        session = Session(t["role"], t["encryption"], t["limit"], draw=scripted(t["random_draws"]))
        events = session.start()
        for start, stop in zip([0, *cuts], [*cuts, len(data)]):
            events += session.feed(data[start:stop])
        if t["end"]:
            events += session.end()
        assert [shown(e) for e in events if e[0] != "send"] == t["events"]
        output = b"".join(e[1] for e in events if e[0] == "send").hex()
        if t["output_exact"]:
            assert output == t["output"]
        else:
            assert t["output"].startswith(output)


def play(t, role):
    """Feed one role the stream of the other and send what it sent, in the order of the transcript."""
    setting = t[role]
    draws = setting.get("random_draws") or [setting.get("private", ""), "00" * 8]
    session = Session(role, setting["encryption"], setting["limit"], draw=scripted(draws))
    events = session.start()
    sent = b""
    for message in t["messages"]:
        if message["from"] != role:
            events += session.feed(bytes.fromhex(message["wire"]))
        elif message["name"] == "FRAME":
            sent += session.frame(message["type"], bytes.fromhex(message["data"]))
    return b"".join(e[1] for e in events if e[0] == "send") + sent, events


# The role that another dialect plays in these transcripts.
DIALECT = {"FixedServer": "server", "FixedClient": "client"}


@pytest.mark.parametrize("group,t", cases("transcript"))
def test_transcript(group, t):
    for role in ("server", "client"):
        if role not in t or role in (DIALECT.get(flag) for flag in t["flags"]):
            continue
        output, events = play(t, role)
        delivered = [{"type": e[1], "data": e[2].hex()} for e in events if e[0] == "message"]
        assert delivered == t["delivered"].get(role, [])
        if t["nonces"] != "random":
            assert output.hex() == t[f"{role}_stream"]


def accumulate(count):
    def stretch(i, label, size):
        seed = b"goipc accumulated 1" + label + codec.u32(i)
        return b"".join(hashlib.sha256(seed + codec.u32(k)).digest() for k in range(size // 32 + 1))[:size]

    total, digests = bytes(32), {}
    for i in range(count):
        x = bytes(i % 49) + stretch(i, b"x", 48)[i % 49 :]
        if i % 100 == 99:
            a, b = (bytes([r[0] & 0x7F]) + r[1:] for r in (stretch(i, b"a", 48), stretch(i, b"b", 48)))
            x = codec.shared_x(codec.private_key(a), codec.private_key(b).public_key())
        key, nonce = codec.derive(x), stretch(i, b"n", 12)
        kind = int.from_bytes(stretch(i, b"t", 4), "big") or 1
        data = stretch(i, b"d", int.from_bytes(stretch(i, b"s", 4), "big") % 300)
        frame, sealed = codec.plain_frame(kind, data), codec.seal(key, nonce, codec.u32(kind) + data)
        total = hashlib.sha256(total + key + frame + sealed).digest()
        digests[i + 1] = total.hex()
    return digests


def test_accumulated():
    wanted = [t.values[1] for t in cases("accumulated")]
    digests = accumulate(max(t["count"] for t in wanted))
    assert {t["count"]: t["digest"] for t in wanted} == {t["count"]: digests[t["count"]] for t in wanted}

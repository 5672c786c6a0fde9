# SPDX-License-Identifier: MIT
"""Properties of the codec and the session, by Hypothesis."""

from typing import Any, Literal

import goipc
import pytest
from goipc import Error, Message, codec, keys
from goipc.session import Connected, Ended, Event, Failed, Send, Session
from hypothesis import given
from hypothesis import strategies as st

types = st.integers(1, 2**31 - 1)
messages = st.lists(st.builds(Message, types, st.binary(max_size=300)), max_size=8)
keys_and_nonces = st.binary(min_size=32, max_size=32), st.binary(min_size=12, max_size=12)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted(place % (len(data) + 1) for place in at)
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]


def collect(reader: codec.FrameReader, pieces: list[bytes]) -> tuple[list[Message], str | None]:
    out: list[Message] = []
    try:
        for piece in pieces:
            reader.feed(piece, out)
    except Error as error:
        return out, error.error_class
    return out, None


@given(messages, st.lists(st.integers(0, 5000)), st.one_of(st.none(), st.binary(min_size=32, max_size=32)))
def test_what_is_written_is_read_however_it_is_cut(sent: list[Message], cuts: list[int], key: bytes | None) -> None:
    cipher = codec.Cipher(key) if key else None
    nonces = codec.Nonces(lambda size: bytes(size), server=True)
    frames = [
        b"".join(cipher.seal(nonces.next(), codec.u32(one.type) + one.data)) if cipher else codec.plain_frame(*one)
        for one in sent
    ]
    reader = codec.FrameReader(300, cipher.open if cipher else None)
    assert collect(reader, cut(b"".join(frames), cuts)) == (sent, None)
    assert not reader.pending and reader.needed == 4


@given(st.binary(max_size=200), st.lists(st.integers(0, 300)), st.integers(0, 100), st.booleans())
def test_any_bytes_give_the_same_however_they_are_cut(data: bytes, cuts: list[int], limit: int, sealed: bool) -> None:
    """FR-003; and nothing but the errors of the package comes out."""

    def reader() -> codec.FrameReader:
        return codec.FrameReader(limit, codec.Cipher(bytes(32)).open if sealed else None)

    whole = collect(reader(), [data])
    assert collect(reader(), cut(data, cuts)) == whole
    assert whole[1] in (None, "framing", "too-large", "auth")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.booleans())
def test_a_length_is_judged_from_its_four_bytes(length: int, limit: int, sealed: bool) -> None:
    reader = codec.FrameReader(limit, codec.Cipher(bytes(32)).open if sealed else None)
    overhead = 32 if sealed else 4
    expected = "framing" if length < overhead else "too-large" if length > limit + overhead else None
    out, error = collect(reader, [codec.u32(length)])
    assert (out, error) == ([], expected)


@given(*keys_and_nonces, st.binary(min_size=4, max_size=100), st.data())
def test_a_changed_bit_does_not_open(key: bytes, nonce: bytes, plaintext: bytes, data: Any) -> None:
    cipher = codec.Cipher(key)
    body = bytearray(b"".join(cipher.seal(nonce, plaintext))[4:])
    assert cipher.open(bytes(body)) == plaintext
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(goipc.AuthenticationError):
        cipher.open(bytes(body))


@given(st.binary(min_size=8, max_size=8), st.booleans(), st.integers(1, 50))
def test_nonces_are_own_and_never_the_same(drawn: bytes, server: bool, count: int) -> None:
    mine = codec.Nonces(lambda size: drawn, server)
    theirs = codec.Nonces(lambda size: drawn, not server)
    made = [mine.next() for _ in range(count)]
    assert len(set(made)) == count
    assert all(mine.is_own(nonce) and not theirs.is_own(nonce) for nonce in made)


@given(st.binary(min_size=48, max_size=48))
def test_leading_zeros_are_stripped(x: bytes) -> None:
    assert keys.derive(bytes(5) + x) == keys.derive(x)


@given(st.binary(max_size=200))
def test_a_public_key_is_valid_or_refused(raw: bytes) -> None:
    with pytest.raises(goipc.PublicKeyError):  # one in 2^288 is valid by chance
        keys.check_public(raw)


def run(session: Session, pieces: list[bytes]) -> list[Event]:
    events = session.start()
    for piece in pieces:
        events += session.feed(piece)
    return events + session.end()


@given(
    st.sampled_from(["server", "client"]),
    st.sampled_from(["required", "off", "optional"]),
    st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda rest: b"\0\0" + rest)),
    st.lists(st.integers(0, 400)),
)
def test_a_session_takes_any_bytes(
    role: Literal["server", "client"], encryption: Any, data: bytes, cuts: list[int]
) -> None:
    """One end, told once and last; messages only after Connected; the same however the stream is cut."""
    encryption = "off" if role == "server" and encryption == "optional" else encryption

    def shown(pieces: list[bytes]) -> list[Any]:
        events = run(Session(role, encryption, limit=2000, draw=lambda size: b"\1" * size), pieces)
        assert [isinstance(event, (Ended, Failed)) for event in events[:-1]] == [False] * (len(events) - 1)
        assert isinstance(events[-1], (Ended, Failed))
        kinds = [type(event) for event in events if not isinstance(event, Send)]
        assert Message not in kinds or kinds[0] is Connected
        return [event.error.error_class if isinstance(event, Failed) else event for event in events]

    assert shown(cut(data, cuts)) == shown([data])


@given(messages, messages, st.lists(st.integers(0, 3000)), st.booleans())
def test_two_sessions_talk(to_server: list[Message], to_client: list[Message], cuts: list[int], sealed: bool) -> None:
    server = Session("server", "required" if sealed else "off", 3000)
    client = Session("client", "optional", 3000)
    sides: dict[Session, list[Event]] = {server: [], client: []}
    wire = {server: b"", client: b""}  # to be read by

    def handle(side: Session, events: list[Event]) -> None:
        other = client if side is server else server
        sides[side] += [event for event in events if not isinstance(event, Send)]
        wire[other] += b"".join(event.data for event in events if isinstance(event, Send))

    handle(server, server.start())
    handle(client, client.start())
    sent = False
    while any(wire.values()) or not sent:
        if server.connected and client.connected and not sent:
            sent = True
            for side, other, out in ((client, server, to_server), (server, client, to_client)):
                for one in out:
                    side.check(one.type, len(one.data))
                    wire[other] += b"".join(side.frame(one.type, one.data))
        for side in (server, client):
            data, wire[side] = wire[side], b""
            for piece in cut(data, cuts):
                handle(side, side.feed(piece))
    assert sides[server] + server.end() == [Connected(), *to_server, Ended()]
    assert sides[client] + client.end() == [Connected(), *to_client, Ended()]

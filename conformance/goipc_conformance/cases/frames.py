# SPDX-License-Identifier: MIT
"""Frames on an open connection: sizes, cuts, lengths that cannot be, and ends inside a frame."""

from .. import codec
from ..case import ENC, case
from ..context import Context
from ..wire import Cuts

SIZES = (0, 1, 2, 3, 4, 5, 15, 16, 17, 255, 1023, 1024, 4087, 4088, 4092, 4096, 4097, 65535, 65536)


@case(
    "frame.echo",
    "A message of any size is echoed unchanged",
    params={"enc": ENC, "size": SIZES},
    reqs="FR-001 FR-002 FR-008 FR-014 SE-001 MT-008 LM-001",
    expect="conforms",
    positive=True,
    liveness=False,
    group=1,
    why="Applications rely on it.",
    hint="Watch for reads and writes that stop at a buffer's size (4096) and for the empty message.",
)
def echo(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 17, t.payload(t.p.size))


@case(
    "frame.echo.empty-only",
    "Empty messages one after the other",
    params={"enc": ENC, "count": (3,)},
    reqs="FR-014 FR-013",
    expect="conforms",
    positive=True,
    liveness=False,
    tags=("interop",),
    why="Some ports treat an empty message as the end of the stream.",
    hint="A frame of length 4 (32 when sealed) is complete.",
)
def echo_empty(t: Context) -> None:
    peer = t.open()
    for index in range(t.p.count):
        t.exchange(peer, index + 1, b"")


@case(
    "frame.cut.length",
    "The length of a frame may arrive in pieces",
    params={"enc": ENC, "at": (1, 2, 3)},
    reqs="FR-003",
    expect="conforms",
    positive=True,
    why="A stream has no message boundaries.",
    hint="Read four bytes in a loop.",
)
def cut_length(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 5, b"length in pieces", Cuts(at=(t.p.at,)))


@case(
    "frame.cut.body",
    "The body of a frame may arrive in pieces",
    params={"enc": ENC, "at": (4, 5, 8, 15, 16, 17, 31, 32, "last")},
    reqs="FR-003",
    expect="conforms",
    positive=True,
    why="A stream has no message boundaries.",
    hint="Read in a loop until the complete body has arrived.",
)
def cut_body(t: Context) -> None:
    peer = t.open()
    data = t.payload(40)
    size = codec.LENGTH_SIZE + peer.overhead + len(data)
    t.exchange(peer, 5, data, Cuts(at=(size - 1 if t.p.at == "last" else t.p.at,)))


@case(
    "frame.cut.every-byte",
    "A frame may arrive byte by byte",
    params={"enc": ENC, "size": (0, 1, 33)},
    reqs="FR-003",
    expect="conforms",
    positive=True,
    why="A stream may deliver single bytes.",
    hint="Never assume that a read returns more than one byte.",
)
def cut_every_byte(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 5, t.payload(t.p.size), Cuts(every=1))


@case(
    "frame.cut.large",
    "A large frame may arrive in pieces of any size",
    params={"enc": ENC, "every": (1000, 4096, 8192)},
    reqs="FR-003",
    expect="conforms",
    positive=True,
    why="Large messages arrive in several reads.",
    hint="Read in a loop until the complete body has arrived.",
)
def cut_large(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 5, t.payload(30000), Cuts(every=t.p.every))


@case(
    "frame.coalesced",
    "Several frames in one write are several messages, in sequence",
    params={"enc": ENC, "count": (2, 10, 100)},
    reqs="FR-003 FR-009 FR-012 FR-013",
    expect="conforms",
    positive=True,
    why="One read may return several writes.",
    hint="After a frame continue with the rest of the buffer.",
)
def coalesced(t: Context) -> None:
    peer = t.open()
    messages = [(index + 1, t.payload(index % 50, index)) for index in range(t.p.count)]
    peer.raw(b"".join(t.frame(peer, *message) for message in messages), f"{t.p.count} messages in one write")
    for message in messages:
        t.expect_echo(peer, *message)


@case(
    "frame.coalesced.cut",
    "Reads that end inside a frame change nothing",
    params={"enc": ENC, "every": (3, 7, 50)},
    reqs="FR-003 FR-009 FR-013",
    expect="conforms",
    positive=True,
    why="A read may end anywhere, also in the middle of the second frame.",
    hint="Keep the rest of one read for the next.",
)
def coalesced_cut(t: Context) -> None:
    peer = t.open()
    messages = [(index + 1, t.payload(10 * index, index)) for index in range(5)]
    whole = b"".join(t.frame(peer, *message) for message in messages)
    peer.raw(whole, "5 messages, cut regardless of frames", Cuts(every=t.p.every))
    for message in messages:
        t.expect_echo(peer, *message)


@case(
    "frame.order",
    "Many messages keep their order",
    params={"enc": ENC, "count": (300,)},
    reqs="FR-012 FR-013 FR-008",
    expect="conforms",
    positive=True,
    liveness=False,
    tags=("slow",),
    why="Applications rely on it.",
    hint="One writer per connection.",
)
def order(t: Context) -> None:
    peer = t.open()
    messages = [(1 + index % 7, codec.u32(index) + t.payload(index % 300, index)) for index in range(t.p.count)]
    for message in messages:
        t.send(peer, *message)
    for message in messages:
        t.expect_echo(peer, *message)


@case(
    "frame.both-ways",
    "Traffic in both directions at once does not deadlock",
    params={"enc": ENC},
    level="should",
    reqs="FR-016 FR-012 FR-013",
    expect="conforms",
    positive=True,
    liveness=False,
    tags=("slow",),
    why="If both sides only write, both block forever.",
    hint="Continue to read while a write has to wait.",
)
def both_ways(t: Context) -> None:
    peer = t.open()
    messages = [(index + 1, t.payload(65536, index)) for index in range(32)]
    for message in messages:
        t.send(peer, *message)
    for message in messages:
        t.expect_echo(peer, *message)


def send_length(t: Context, length: int, body: bytes) -> None:
    peer = t.open()
    peer.raw(codec.u32(length) + body, f"a frame of length {length}")
    t.settle(peer)


@case(
    "frame.length.runt",
    "A frame too short to hold a message ends the connection (plain)",
    params={"enc": ("off",), "length": (0, 1, 2, 3)},
    reqs="FR-004 SC-001 CN-003",
    expect="closed",
    tags=("dos",),
    why="golang-ipc crashes: it slices the type beyond the end of the body.",
    hint="A plain body has at least 4 bytes; check it before slicing.",
)
def length_runt(t: Context) -> None:
    send_length(t, t.p.length, bytes(t.p.length))


@case(
    "frame.length.runt-sealed",
    "A frame too short to be sealed ends the connection",
    params={"enc": ("on",), "length": (0, 1, 11, 12, 27, 28, 31)},
    reqs="FR-005 SC-001 CN-003",
    expect="closed",
    also="ignored",
    tags=("dos",),
    why="Nonce, type and tag alone are 32 bytes.",
    hint="A sealed body has at least 32 bytes; check it before slicing.",
)
def length_runt_sealed(t: Context) -> None:
    send_length(t, t.p.length, bytes(t.p.length))


@case(
    "frame.length.over",
    "A length above the limit ends the connection at its fourth byte",
    params={"enc": ENC, "over": (1, 2, 1000)},
    reqs="FR-006 FR-007 LM-003 LM-004",
    expect="closed",
    tags=("dos",),
    why="The peer's length must not decide how much memory is reserved.",
    hint="Compare with the limit plus 4 (plain) or 32 (sealed) before reserving or waiting.",
)
def length_over(t: Context) -> None:
    peer = t.open()
    peer.raw(codec.u32(t.receive_limit + peer.overhead + t.p.over), "a length above the limit, and no body")
    peer.wire.wait_consumed()
    t.settle_end_or_wedge(peer)


@case(
    "frame.length.huge",
    "A length of gigabytes ends the connection at its fourth byte",
    params={"enc": ENC, "length": (0x01000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFE0, 0xFFFFFFFC, 0xFFFFFFFF)},
    reqs="FR-006 FR-007 LM-013 SC-001 SC-003",
    expect="closed",
    tags=("dos",),
    why="Five gigabytes of address space for four bytes of input; a crash on 32-bit machines.",
    hint="Unsigned arithmetic, and no allocation before the check.",
)
def length_huge(t: Context) -> None:
    peer = t.open()
    peer.raw(codec.u32(t.p.length), f"a length of {t.p.length}, and no body")
    peer.wire.wait_consumed()
    t.settle_end_or_wedge(peer)


@case(
    "frame.truncated.length",
    "An end of the stream inside a length is a failure",
    params={"enc": ENC, "at": (1, 2, 3)},
    reqs="FR-010 FR-011 SC-001 CN-003 ER-004",
    expect="closed",
    tags=("dos",),
    why="golang-ipc treats the bytes as a complete length, then crashes or delivers a false message.",
    hint="Distinguish an end between two frames from an end inside a frame.",
)
def truncated_length(t: Context) -> None:
    peer = t.open()
    peer.raw(t.discarded_frame(peer, 9, b"abc")[: t.p.at], f"{t.p.at} bytes of a length")
    peer.wire.finish_sending()
    t.settle_end(peer)


@case(
    "frame.truncated.body",
    "An incomplete message is not delivered",
    params={"enc": ENC, "at": ("length-only", "type", "half", "all-but-one")},
    reqs="FR-010 FR-011 SC-001 CN-003 ER-004",
    expect="closed",
    tags=("security", "dos"),
    why="A partial message was never sent by the peer; golang-ipc fills it up with zeros.",
    hint="Deliver only what is complete; report an end inside a frame as a failure.",
)
def truncated_body(t: Context) -> None:
    peer = t.open()
    whole = t.discarded_frame(peer, 9, t.payload(16))
    size = {"length-only": 4, "type": 8, "half": 4 + (len(whole) - 4) // 2, "all-but-one": len(whole) - 1}[t.p.at]
    peer.raw(whole[:size], f"{size} of {len(whole)} bytes of a frame")
    peer.wire.finish_sending()
    t.settle_end(peer)


@case(
    "frame.truncated.after-good",
    "Complete frames before a truncated one are delivered, the truncated one is not",
    params={"enc": ENC},
    reqs="FR-010 FR-011 FR-013 CL-002",
    expect="closed",
    why="A failure must not lose earlier messages.",
    hint="Process complete frames first, then look at the end of the stream.",
)
def truncated_after_good(t: Context) -> None:
    peer = t.open()
    good = t.payload(10)
    whole = t.frame(peer, 8, good)
    peer.raw(whole + t.discarded_frame(peer, 9, t.payload(16))[:9], "a message and a part of another")
    peer.wire.finish_sending()
    t.settle_end(peer)
    t.must_have_delivered([(8, good)])


@case(
    "frame.truncated.abort",
    "A reset inside a frame is a failure of the connection",
    params={"enc": ENC},
    reqs="FR-010 FR-011 CL-005 SC-001 CN-003",
    expect="conforms",
    tags=("dos",),
    why="A process can crash in the middle of a write.",
    hint="Treat every receive error as the end of the stream at that byte.",
)
def truncated_abort(t: Context) -> None:
    peer = t.open()
    peer.raw(t.discarded_frame(peer, 9, t.payload(100))[:50], "half a frame")
    peer.wire.wait_consumed()
    peer.wire.close()


@case(
    "frame.handshake-again",
    "HELLO on an open connection is rejected as an invalid frame",
    params={"enc": ENC},
    reqs="FR-006 CN-016",
    expect="closed",
    why="An open connection has no second handshake.",
    hint="Decode all bytes after the handshake as frames.",
)
def handshake_again(t: Context) -> None:
    peer = t.open()
    peer.raw(bytes([2, 1]) + bytes(range(97)), "a HELLO and a key")
    t.settle_end_or_wedge(peer)


@case(
    "frame.plain-on-sealed",
    "A plain frame on a sealed connection ends it",
    params={"enc": ("on",), "size": (10, 100)},
    reqs="SE-001 SE-010 SE-011",
    expect="closed",
    also="ignored",
    tags=("security",),
    why="An attacker who can write to the stream would bypass the encryption.",
    hint="Open every frame of a sealed connection.",
)
def plain_on_sealed(t: Context) -> None:
    peer = t.open()
    peer.raw(codec.frame(codec.message_plaintext(9, t.payload(t.p.size))), "a plain frame")
    t.settle(peer)

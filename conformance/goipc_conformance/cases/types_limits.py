# SPDX-License-Identifier: MIT
"""Message types and limits."""

import contextlib

from .. import codec
from ..case import ENC, case
from ..context import Context
from ..wire import Closed

TYPES = (1, 2, 127, 128, 255, 256, 65535, 65536, 0x01000000, 0x7FFFFFFF)


@case(
    "type.any",
    "Every type from 1 to 2^31 - 1 arrives as it was sent",
    params={"enc": ENC, "type": TYPES},
    reqs="FR-001 MT-008",
    expect="conforms",
    positive=True,
    liveness=False,
    why="In 16 bits or in the wrong byte order it would be another type.",
    hint="32 bits, most significant byte first.",
)
def any_type(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, t.p.type, b"type")


@case(
    "type.high",
    "Types from 2^31 on are unsigned, and never internal events",
    params={"enc": ENC, "type": (0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)},
    reqs="MT-006 MT-007 SC-001",
    expect="ignored",
    tags=("security",),
    why="As a signed number such a type looks like an internal status, so a peer could forge one.",
    hint="Keep the type unsigned, or in 64 bits.",
)
def high(t: Context) -> None:
    peer = t.open()
    data = t.payload(9)
    t.send(peer, t.p.type, data)
    t.settle(peer)  # an echo is allowed, and so is refusing to send such a type
    t.must_have_delivered([(t.p.type, data)])


@case(
    "type.zero.discarded",
    "A message of type 0 is discarded silently",
    params={"enc": ENC, "size": (0, 1, 100)},
    reqs="MT-003",
    expect="ignored",
    why="Type 0 is reserved for control messages, of which none are defined.",
    hint="Decode the frame, then drop it: no delivery, no error.",
)
def zero_discarded(t: Context) -> None:
    peer = t.open()
    peer.send(codec.TYPE_CONTROL, t.payload(t.p.size))
    t.settle(peer)


@case(
    "type.zero.many",
    "Many messages of type 0 in one write are all discarded",
    params={"enc": ENC, "count": (500,)},
    reqs="MT-003 FR-009 SC-002",
    expect="ignored",
    tags=("dos",),
    why="A receiver that recurses or waits after each frame would stall.",
    hint="Loop to the next frame.",
)
def zero_many(t: Context) -> None:
    peer = t.open()
    peer.raw(b"".join(peer.frame_of(0, b"x") for _ in range(t.p.count)), f"{t.p.count} messages of type 0")
    t.settle(peer)


@case(
    "type.zero.between",
    "Messages around one of type 0 arrive",
    params={"enc": ENC},
    reqs="MT-003 FR-013",
    expect="conforms",
    positive=True,
    why="Discarding one frame must not affect the frames beside it.",
    hint="Consume exactly the dropped frame.",
)
def zero_between(t: Context) -> None:
    peer = t.open()
    peer.raw(t.frame(peer, 1, b"before") + peer.frame_of(0, b"control") + t.frame(peer, 2, b"after"), "1, 0 and 2")
    t.expect_echo(peer, 1, b"before")
    t.expect_echo(peer, 2, b"after")


@case(
    "type.zero.tampered",
    "A message of type 0 must be authentic, too",
    params={"enc": ("on",)},
    reqs="MT-004 SE-010",
    expect="closed",
    also="ignored",
    tags=("security",),
    why="The type is known only after the frame was opened.",
    hint="Verify the tag, then check the type.",
)
def zero_tampered(t: Context) -> None:
    peer = t.open()
    body = bytearray(peer.body_of(codec.message_plaintext(0, b"control")))
    body[-1] ^= 1
    peer.raw(codec.frame(bytes(body)), "type 0 with a wrong tag")
    t.settle(peer)


@case(
    "type.zero.over-limit",
    "The limit holds for messages of type 0, too",
    params={"enc": ENC},
    reqs="MT-004 FR-006",
    expect="closed",
    tags=("dos",),
    why="The length is checked before the type is known.",
    hint="Check the length of every frame.",
)
def zero_over_limit(t: Context) -> None:
    peer = t.open()
    peer.raw(codec.u32(t.receive_limit + peer.overhead + 1) + bytes(64), "a length above the limit, then zeros")
    t.settle_end_or_wedge(peer)


@case(
    "type.zero.send",
    "The application cannot send a message of type 0",
    params={"enc": ENC},
    adapter_level=1,
    reqs="MT-001 MT-002 ER-006",
    expect="conforms",
    positive=True,
    liveness=False,
    why="The receiver would discard it.",
    hint="Refuse locally with the class reserved-type; the connection stays.",
)
def zero_send(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    reply = t.call("send", type=0, data="616263")
    if reply["ok"]:
        t.see("accepted", "send accepted type 0")
    elif t.class_of(reply) != "reserved-type":
        t.see("wrong-class", f"send answered {t.class_of(reply)}")
    t.settle_still_works(peer)


@case(
    "limit.exact",
    "A message of exactly the limit arrives",
    params={"enc": ENC, "max": (1024, 4096, 65536, 262144)},
    config=lambda max, **_: {"maximum": max},
    needs=("max",),
    reqs="LM-001 LM-003 LM-009 FR-006",
    expect="conforms",
    positive=True,
    liveness=False,
    why="The limit counts the data only: type, nonce and tag come on top.",
    hint="The largest body is the limit plus 4, or plus 32 when sealed.",
)
def exact(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 3, t.payload(t.p.max))


@case(
    "limit.exceeded",
    "A message one byte above the limit ends the connection and is not delivered",
    roles=("server",),
    params={"enc": ENC, "max": (1024, 65536)},
    config=lambda max, **_: {"maximum": max},
    needs=("max",),
    reqs="FR-006 FR-007 LM-003",
    expect="closed",
    also="delivered+ignored",
    tags=("dos",),
    why="A limit that is checked only by senders does not protect the receiver.",
    hint="Enforce it on receiving.",
)
def exceeded(t: Context) -> None:
    peer = t.open()
    data = t.payload(t.p.max + 1)
    with contextlib.suppress(Closed):
        peer.send(3, data)
    t.settle(peer)


@case(
    "limit.announced",
    "The server announces its configured limit",
    roles=("server",),
    needs=("max",),
    params={"enc": ENC, "max": (1024, 5000, 65536, 3145728)},
    config=lambda max, **_: {"maximum": max},
    reqs="LM-002 HS-031",
    expect="conforms",
    positive=True,
    liveness=False,
    why="The client limits its messages to it.",
    hint="Four bytes, most significant first.",
)
def announced(t: Context) -> None:
    peer = t.open()
    if peer.limit != t.p.max:
        t.see("malformed", f"the announced limit is {peer.limit}, configured is {t.p.max}")


@case(
    "limit.default",
    "The limit is 3145728 by default, and such a message arrives",
    params={"enc": ENC},
    config=lambda **_: {"maximum": codec.MESSAGE_SIZE_DEFAULT},
    level="should",
    tags=("slow",),
    reqs="LM-005 LM-009",
    expect="conforms",
    positive=True,
    liveness=False,
    why="Implementations of golang-ipc expect to exchange 3 MiB without configuration.",
    hint="Use 3145728 unless configured otherwise.",
)
def default(t: Context) -> None:
    peer = t.open()
    if peer.limit != codec.MESSAGE_SIZE_DEFAULT:
        t.see("malformed", f"the announced limit is {peer.limit}")
    t.exchange(peer, 3, t.payload(codec.MESSAGE_SIZE_DEFAULT))


@case(
    "limit.send.exact",
    "The application can send a message of exactly the limit",
    params={"enc": ENC},
    adapter_level=1,
    config=lambda **_: {"maximum": 4096},
    reqs="LM-006 LM-007 LM-001",
    expect="conforms",
    positive=True,
    liveness=False,
    why="The limit is inclusive.",
    hint="Refuse only larger messages.",
)
def send_exact(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    reply = t.call("send", type=3, data="ab", repeat=4096)
    if not reply["ok"]:
        t.see("refused", f"send answered {t.class_of(reply)}")
        return
    t.expect_echo(peer, 3, b"\xab" * 4096)


@case(
    "limit.send.exceeded",
    "A message above the limit gives an error to the application, and is not sent",
    params={"enc": ENC, "over": (1, 100000)},
    adapter_level=1,
    config=lambda **_: {"maximum": 4096},
    reqs="LM-006 LM-007 LM-008 ER-006",
    expect="conforms",
    liveness=False,
    why="The receiver would end the connection.",
    hint="Compare with the announced limit before sending.",
)
def send_exceeded(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    reply = t.call("send", type=3, data="ab", repeat=4096 + t.p.over)
    if reply["ok"]:
        t.see("accepted", "send accepted a message above the limit")
    elif t.class_of(reply) != "too-large":
        t.see("wrong-class", f"send answered {t.class_of(reply)}")
    t.settle_still_works(peer)


@case(
    "limit.client.own",
    "The client's receive limit is its own, not the announced one",
    roles=("client",),
    adapter_level=1,
    params={"enc": ENC},
    config=lambda **_: {"maximum": 1024, "echo": False},
    reqs="LM-004 LM-009",
    expect="conforms",
    positive=True,
    liveness=False,
    why="The announced limit is what the server accepts, not what it sends.",
    hint="Keep two numbers: the limit for sending and the limit for receiving.",
)
def client_own(t: Context) -> None:
    peer = t.open()
    data = t.payload(5000)
    t.send(peer, 3, data)
    t.must_have_delivered([(3, data)])


@case(
    "limit.client.finite",
    "A huge announced limit does not raise the client's own",
    roles=("client",),
    params={"enc": ENC},
    config=lambda **_: {"maximum": 0xFFFFFFFF},
    reqs="LM-004 FR-006 FR-007 SC-003",
    expect="closed",
    tags=("dos",),
    why="Otherwise the server decides how much memory the client uses.",
    hint="Use a receive limit of your own; 3145728 by default.",
)
def client_finite(t: Context) -> None:
    peer = t.open()
    peer.raw(codec.u32(codec.MESSAGE_SIZE_DEFAULT + peer.overhead + 1), "a length above 3 MiB, and no body")
    peer.wire.wait_consumed()
    t.settle_end_or_wedge(peer)


@case(
    "limit.client.configured",
    "A message of exactly the client's configured receive limit arrives",
    roles=("client",),
    adapter_level=1,
    needs=("max-receive",),
    params={"enc": ENC},
    config=lambda **_: {"client_maximum": 2048},
    reqs="LM-004 LM-009",
    expect="conforms",
    positive=True,
    liveness=False,
    why="The limit is inclusive.",
    hint="Refuse only larger messages.",
)
def client_configured(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 3, t.payload(2048))


@case(
    "limit.client.configured-over",
    "A message above the client's configured receive limit ends the connection",
    roles=("client",),
    adapter_level=1,
    needs=("max-receive",),
    params={"enc": ENC},
    config=lambda **_: {"client_maximum": 2048},
    reqs="LM-004 FR-006 FR-007",
    expect="closed",
    tags=("dos",),
    why="A setting without effect misleads its user.",
    hint="Check every received length against it.",
)
def client_configured_over(t: Context) -> None:
    peer = t.open()
    peer.raw(codec.u32(2048 + peer.overhead + 1), "a length above the limit, and no body")
    peer.wire.wait_consumed()
    t.settle_end_or_wedge(peer)


@case(
    "limit.floor",
    "A server does not announce a limit below 1024",
    roles=("server",),
    adapter_level=1,
    level="should",
    params={"enc": ENC, "max": (1, 1023)},
    config=lambda max, **_: {"maximum": max},
    reqs="LM-011 LM-002",
    expect="conforms refused",
    liveness=False,
    why="golang-ipc treats smaller settings as a mistake and uses its default.",
    hint="Use the default, or refuse the setting.",
)
def floor(t: Context) -> None:
    peer = t.open()
    t.note(f"announced {peer.limit}")
    if peer.limit < 1024:
        t.see("malformed", f"the announced limit is {peer.limit}")


@case(
    "type.high.send",
    "A type above 2^31 - 1 is refused locally, or sent unchanged",
    adapter_level=1,
    level="should",
    params={"enc": ENC, "type": (0x80000000, 0xFFFFFFFF)},
    reqs="MT-005 ER-006",
    expect="conforms accepted",
    liveness=False,
    why="Receivers with signed types read another number.",
    hint="Refuse it locally, or document it.",
)
def high_send(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    reply = t.call("send", type=t.p.type, data="00")
    if reply["ok"]:
        t.see("accepted", "send accepted the type")
        t.expect_echo(peer, t.p.type, b"\0")
        return
    t.settle_still_works(peer)

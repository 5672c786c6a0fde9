# SPDX-License-Identifier: MIT
"""What the application is told, and what happens when it closes."""

import time
from typing import Any

from .. import codec
from ..case import ENC, case
from ..context import Context, Verdictless
from ..peer import Peer
from ..wire import Closed


def states(t: Context) -> list[str]:
    return [event.get("state", "") for event in t.subject.events() if event.get("ev") == "state"]


@case(
    "api.connected-first",
    "A connection is reported before its first message",
    adapter_level=1,
    params={"enc": ENC},
    reqs="HS-040",
    expect="conforms",
    liveness=False,
    why="An application cannot answer a message of a connection that it does not know yet.",
    hint="Report the state, then deliver.",
)
def connected_first(t: Context) -> None:
    if t.role == "server":
        peer = t.begin().handshake(until="limit-reply")
        peer.raw(b"\0" + t.frame(peer, 5, b"at once"), "LIMIT_REPLY and a message")
        peer.handshaken = True
    else:
        peer = t.begin().handshake(until="limit")
        peer.raw(peer.limit_frame(peer.limit), "limit")
        peer.read_limit_reply()
        peer.raw(t.frame(peer, 5, b"at once"), "a message")
    t.must_have_delivered([(5, b"at once")])
    order = [event.get("state") or "message" for event in t.subject.events() if event["ev"] in ("state", "message")]
    if "connected" not in order:
        t.see("silent", "no event says connected")
    elif order.index("connected") > order.index("message"):
        t.see("out-of-order", "the message came before the event connected")


@case(
    "api.message",
    "The application is given exactly what was sent",
    adapter_level=1,
    params={"enc": ENC, "size": (0, 1, 1000, 65536)},
    reqs="FR-013 FR-014 MT-008",
    expect="conforms",
    positive=True,
    liveness=False,
    why="An echo shows what was sent back; this case checks what the application received.",
    hint="Type and data, unchanged.",
)
def message(t: Context) -> None:
    peer = t.open()
    data = t.payload(t.p.size)
    t.exchange(peer, 77, data)
    t.must_have_delivered([(77, data)])


@case(
    "api.send",
    "A message of the application arrives unchanged",
    adapter_level=1,
    params={"enc": ENC, "type": (1, 0x7FFFFFFF), "size": (0, 1, 5000)},
    reqs="FR-002 FR-012 SE-001 SE-004",
    expect="conforms",
    positive=True,
    liveness=False,
    why="An echo server never sends first; an application may.",
    hint="Type, data, one frame.",
)
def send(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    reply = t.call("send", type=t.p.type, data="5a", repeat=t.p.size)
    if not reply["ok"]:
        t.see("refused", f"send answered {t.class_of(reply)}")
        return
    t.expect_echo(peer, t.p.type, b"\x5a" * t.p.size)


@case(
    "api.send.order",
    "Messages of the application arrive in sequence",
    adapter_level=1,
    params={"enc": ENC},
    reqs="FR-012",
    expect="conforms",
    positive=True,
    liveness=False,
    tags=("slow",),
    why="Applications rely on it.",
    hint="One queue per connection.",
)
def send_order(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    for index in range(40):
        t.request("send", type=1 + index, data="00ff", repeat=index)
    for index in range(40):
        t.expect_echo(peer, 1 + index, b"\x00\xff" * index)


@case(
    "api.send.closed",
    "Sending without a connection is refused",
    adapter_level=1,
    params={"enc": ENC},
    roles=("server",),
    reqs="ER-005 ER-006",
    expect="conforms",
    why="A message that is silently dropped is worse than an error.",
    hint="Answer with the class closed.",
)
def send_closed(t: Context) -> None:
    reply = t.call("send", type=5, data="00")
    if reply["ok"]:
        t.see("accepted", "send succeeded without a connection")
    elif t.class_of(reply) != "closed":
        t.see("wrong-class", f"send answered {t.class_of(reply)}")


@case(
    "api.send.after-end",
    "Sending on a connection that has ended is refused",
    adapter_level=1,
    params={"enc": ENC},
    reqs="ER-005 CL-006",
    expect="conforms",
    why="A message that is silently dropped is worse than an error.",
    hint="Answer with the class closed once the end has been seen.",
)
def send_after_end(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    peer.wire.finish(t.timeout)
    if not t.wait_events(lambda: "disconnected" in states(t) or "closed" in states(t)):
        t.see("silent", "the application was not told that the connection has ended")
        return
    reply = t.call("send", type=5, data="00")
    if reply["ok"]:
        t.see("accepted", "send succeeded although the connection has ended")
    elif t.class_of(reply) != "closed":
        t.see("wrong-class", f"send answered {t.class_of(reply)}")


@case(
    "api.end-told",
    "The end of a connection is reported exactly once",
    adapter_level=1,
    params={"enc": ENC},
    reqs="CL-001 ER-001",
    expect="conforms",
    why="Without a report the application waits forever; with two it cleans up twice.",
    hint="One event per connection.",
)
def end_told(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    peer.wire.finish(t.timeout)
    if not t.wait_events(lambda: "disconnected" in states(t)):
        t.see("silent", "no event says disconnected")
        return
    # A second report, if there is one, has come before the messages of a further connection.
    before = states(t).count("disconnected")
    if before > 1:
        t.see("told-twice", f"disconnected was reported {before} times")


FAILURES = {
    "auth": ("on",),
    "framing": ENC,
    "too-large": ENC,
    "truncated": ENC,
}


@case(
    "api.failure-told",
    "A failed connection is reported exactly once, with the right class",
    adapter_level=1,
    params={"enc": ENC, "kind": tuple(FAILURES)},
    when=lambda role, enc, kind: enc in FAILURES[kind],
    level="should",
    reqs="ER-001 ER-002 ER-004",
    expect="closed",
    also="closed+wrong-class",
    why="An application can react only to reported errors; an error reported in a loop uses up the processor.",
    hint="One error event per failed connection, with the class that the requirement names.",
)
def failure_told(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    known = len(t.errors())
    wanted = {"truncated": ("framing", "closed")}.get(t.p.kind, (t.p.kind,))
    if t.p.kind == "too-large":
        wanted = ("too-large", "framing")
        peer.raw(codec.u32(t.receive_limit + peer.overhead + 1), "a length above the limit")
        t.settle_end_or_wedge(peer)
    elif t.p.kind == "framing":
        peer.raw(codec.u32(1) + b"x", "a frame of length 1")
        t.settle_end_or_wedge(peer)
    elif t.p.kind == "auth":
        body = bytearray(peer.body_of(codec.message_plaintext(9, b"forged")))
        body[-1] ^= 1
        peer.raw(codec.frame(bytes(body)), "a forged frame")
        t.settle_end_or_wedge(peer)
    else:
        peer.raw(t.discarded_frame(peer, 9, b"abcdef")[:9], "a part of a frame")
        peer.wire.finish_sending()
        t.settle_end(peer)
    if not t.wait_events(lambda: len(t.errors()) > known or "disconnected" in states(t)):
        t.see("silent", "neither an error nor the end was reported")
        return
    t.wait_events(lambda: len(t.errors()) > known, 0.2)
    errors = t.errors()[known:]
    if not errors:
        t.see("silent", "the end was reported, the failure was not")
    elif len(errors) > 1:
        t.see("told-twice", f"{len(errors)} errors were reported: {', '.join(str(e.get('class')) for e in errors)}")
    elif errors[0].get("class") not in wanted:
        t.see("wrong-class", f"the class is {errors[0].get('class')}, expected {' or '.join(wanted)}")


@case(
    "api.connect-told",
    "A failed connect reports the class of its error",
    roles=("client",),
    adapter_level=1,
    level="should",
    params={"enc": ("on",), "kind": ("version", "encryption", "key", "auth", "limit-length")},
    reqs="ER-001 ER-002",
    expect="conforms",
    also="wrong-class",
    why="The application decides by the class what to do next.",
    hint="The classes are in the specification's table of errors.",
)
def connect_told(t: Context) -> None:
    # Some failures are worth another attempt: the reply comes when the client's time is over.
    peer = t.begin(policy="required", timeout_ms=500)
    if t.p.kind in ("version", "encryption"):
        peer.send_hello(version=3) if t.p.kind == "version" else peer.send_hello(flag=0)
        peer.read_hello_reply()
    elif t.p.kind == "key":
        peer.handshake(until="server-key")
        peer.raw(b"\x04" + b"\xff" * 96, "key out of range")
    else:
        peer.handshake(until="limit")
        peer.raw(codec.frame(bytes(32 if t.p.kind == "auth" else 7)), "a wrong limit")
    reply = t.connect_result()
    wanted = {"limit-length": "framing"}.get(t.p.kind, t.p.kind)
    if reply is None:
        t.see("silent", "connect was not answered")
    elif reply["ok"]:
        t.see("connected", "connect succeeded")
    elif t.class_of(reply) != wanted:
        t.see("wrong-class", f"connect answered {t.class_of(reply)}, expected {wanted}")


@case(
    "close.by-application",
    "When the application closes, the connection ends",
    adapter_level=1,
    params={"enc": ENC},
    reqs="CL-003 CL-007 CN-009",
    expect="closed",
    why="Without it users can stop the program only with kill -9.",
    hint="Close ends the connection and every call that waits for it.",
)
def by_application(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    t.call("close", how="graceful")
    t.settle_end(peer)


@case(
    "close.sends-whole",
    "A frame that was started is sent completely before the connection closes",
    adapter_level=1,
    params={"enc": ENC},
    config=lambda **_: {"maximum": 2000000},
    reqs="CL-003 FR-012",
    expect="closed",
    tags=("slow",),
    why="The peer must treat half a frame at the end of the stream as a failure.",
    hint="Send the queue before closing, within a bounded time.",
)
def sends_whole(t: Context) -> None:
    peer = t.open()
    t.ready(peer)
    t.request("send", type=9, data="77", repeat=1500000)
    peer.wire.wait_readable()
    closing = t.request("close", how="graceful")
    try:
        got = peer.receive()
    except Closed:
        t.reply_to(closing)
        t.see("altered", "the connection ended inside a frame")
        return
    if got != (9, b"\x77" * 1500000):
        t.see("altered", "the message is not the one that was sent")
    t.reply_to(closing)
    t.settle_end(peer)


DRAIN = 1.0  # seconds that a peer which closes goes on receiving


def ask_to_close(t: Context) -> None:
    if t.role == "server":
        t.call("close", how="graceful")
    else:  # which may answer only when it has drained
        t.request("close", how="graceful")


def close_gently(t: Context) -> tuple[Any, float]:
    """A connection that the application has closed and whose end has come; the time is that of the request."""
    peer = t.open()
    t.ready(peer)
    started = time.monotonic()
    ask_to_close(t)
    if not peer.wire.ended_within(t.timeout):
        t.see("wedged", "the connection did not end")
        return None, started
    return peer, started


def send_until_end(t: Context, peer: Peer) -> None:
    """Bytes that never stop coming, so that some are unread whenever it closes; its own are taken meanwhile."""
    deadline = time.monotonic() + t.timeout
    while not peer.wire.ended_within(0.002) and time.monotonic() < deadline:
        try:
            peer.wire.send_without_reading(bytes(30000), 0.0)
        except Closed:
            return  # it takes no more, and may still send


@case(
    "close.no-reset",
    "Closing with unread bytes does not reset the connection",
    adapter_level=1,
    level="should",
    params={"enc": ENC},
    config=lambda **_: {"maximum": 1 << 20},
    reqs="CL-004 CL-003",
    expect="conforms",
    tags=("slow",),
    why="A reset discards messages that are still in transit, and it can crash golang-ipc's server.",
    hint="Read and drop the remaining input before you close the socket.",
)
def no_reset(t: Context) -> None:
    data = t.payload(1 << 20)
    for _ in range(5):
        peer = t.open()
        t.ready(peer)
        # Its echoes find no reader, so that it stops reading: now bytes wait on its side.
        stuck = False
        for _ in range(40):
            t.will_deliver(8, data)
            stuck = not peer.wire.send_without_reading(peer.frame_of(8, data), 0.5)
            if stuck:
                break
        if not stuck:
            raise Verdictless("the implementation takes any amount of bytes while its own find no reader")
        started = time.monotonic()
        ask_to_close(t)
        send_until_end(t, peer)
        how, rest = peer.wire.wait_end()
        if how == "eof":
            return
        if time.monotonic() < started + DRAIN * 0.9:
            t.see("malformed", f"the end of the connection is {how}, after {len(rest)} bytes")
            return
    raise Verdictless("the machine is too slow: no attempt was over within the second")


@case(
    "close.drains",
    "After ending its direction a peer reads the remaining input, for a second",
    adapter_level=1,
    level="should",
    params={"enc": ENC},
    reqs="CL-004",
    expect="conforms",
    also="closed",
    positive=True,
    why="A peer that is still writing should see an orderly end of the stream, not a write error.",
    hint="Shut down the sending direction only, read and drop until the end or for a second, then close.",
)
def drains(t: Context) -> None:
    stuck = 0
    for _ in range(6):
        peer, started = close_gently(t)
        if peer is None:
            return
        # More than any buffer holds: it has to be read, and nothing of it may reach the application.
        late = b"".join(peer.frame_of(9, t.payload(60000, index)) for index in range(40))
        patience = started + DRAIN * 0.9 - time.monotonic()
        try:
            if patience > 0 and peer.wire.send_without_reading(late, patience):
                return
            stuck += patience > DRAIN / 2
        except Closed:
            if time.monotonic() < started + DRAIN * 0.9:
                t.see("closed", "the connection was closed at once: bytes sent after its end were lost")
                return
        if stuck == 3:
            t.see("wedged", "what was sent after its end was not read")
            return
    raise Verdictless("the machine is too slow: no attempt was over within the second")


@case(
    "close.drains.bounded",
    "A peer that goes on sending does not keep a closed connection alive",
    adapter_level=1,
    level="should",
    params={"enc": ENC},
    reqs="CL-004",
    expect="closed",
    tags=("dos", "slow"),
    why="Otherwise the peer decides when the connection ends.",
    hint="Close one second after the end of your own direction, even if input still arrives.",
)
def drains_bounded(t: Context) -> None:
    peer, started = close_gently(t)
    if peer is None:
        return
    deadline = started + DRAIN + t.timeout
    while time.monotonic() < deadline:
        try:
            peer.wire.send_without_reading(b"x", 0.0)
        except Closed:
            t.see("closed")
            return
        time.sleep(0.05)  # the pace of the bytes that keep coming
    t.see("wedged", f"{deadline - started:.1f} s after it was closed the connection still takes bytes")


@case(
    "close.stop",
    "The server can be stopped at any moment of a connection",
    roles=("server",),
    adapter_level=1,
    params={"enc": ENC, "step": ("listening", "hello", "key", "open")},
    liveness=False,
    when=lambda role, enc, step: enc == "on" or step != "key",
    reqs="CL-007 CN-009",
    expect="conforms",
    why="Users kill a program that cannot be stopped.",
    hint="Close wakes every waiting call.",
)
def stop(t: Context) -> None:
    if t.p.step != "listening":
        peer = t.begin()
        if t.p.step == "open":
            peer.handshake()
            t.ready(peer)
        else:
            peer.handshake(until="client-key" if t.p.step == "key" else "reply")
    t.stop_and_watch()


@case(
    "close.stop.client",
    "The client can be stopped at any moment of a connection",
    roles=("client",),
    adapter_level=1,
    params={"enc": ENC, "step": ("connected", "reply", "open")},
    liveness=False,
    reqs="CL-007 CN-009",
    expect="conforms",
    why="Users kill a program that cannot be stopped.",
    hint="Close wakes every waiting call.",
)
def stop_client(t: Context) -> None:
    peer = t.begin()
    if t.p.step == "reply":
        peer.send_hello()
        peer.check_hello_reply()
    elif t.p.step == "open":
        peer.handshake()
        t.ready(peer)
    t.stop_and_watch()

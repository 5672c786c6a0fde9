# SPDX-License-Identifier: MIT
"""What shows only later: after many messages, after many connections, and with a peer that is slow."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from .. import codec, resources
from ..case import ENC, case
from ..context import Context
from ..peer import ClientPeer, Peer, ServerPeer
from ..wire import Closed
from .sealing import counted

SERVER = ("server",)
PAUSE_S = 1.2  # longer than a read that waits for a second
MANY = 66000  # more than 16 bits count
BATCH = 500
IDLE_S = 65.0


def pipelined(t: Context, peer: Peer, first: int, count: int, size: int = 8) -> None:
    """So many messages in one write, then their echoes."""
    messages = [(first + index, t.payload(size, first + index)) for index in range(count)]
    peer.raw(b"".join(t.frame(peer, *message) for message in messages), f"{count} messages from number {first}")
    for message in messages:
        t.expect_echo(peer, *message)
        if t.words:
            return


@case(
    "conn.many-messages",
    "A connection carries more messages than 16 bits count",
    params={"enc": ENC},
    config=lambda **_: {"echo": True},
    reqs="FR-013 SE-004 SE-010",
    expect="conforms",
    positive=True,
    tags=("slow", "long"),
    liveness=False,
    why="A 16-bit counter, or a nonce made from one, wraps after 65,536 messages.",
    hint="Count frames with 32 bits or more.",
)
def many_messages(t: Context) -> None:
    peer = t.open()
    for first in range(1, MANY, BATCH):
        pipelined(t, peer, first, BATCH)
        if t.words:
            return


@case(
    "seal.count.crossing",
    "The counter of sealed frames goes on beyond 8, 16 and 24 bits",
    adapter_level=1,
    own_server=True,
    needs=("hooks.sealed",),
    params={"enc": ("on",), "at": (255, 65535, 16777215)},
    reqs="SE-004 SE-005",
    expect="conforms",
    positive=True,
    tags=("security",),
    liveness=False,
    why="A smaller counter repeats a nonce, and two frames under one nonce can be read.",
    hint="Write all 32 bits of the counter into the nonce.",
)
def count_crossing(t: Context) -> None:
    peer = counted(t, t.p.at - 3)
    for index in range(8):
        t.exchange(peer, 5, t.payload(8, index))
    prefixes = {nonce[:8] for nonce in peer.received_nonces}
    if len(prefixes) > 1:
        t.see("malformed", "the first 8 bytes of the nonces change within a connection")


FAILURES = ("silence", "refusal", "half-key", "bad-point", "early-end")


def fail_once(t: Context, kind: str) -> None:
    """One connection whose handshake fails in this way."""
    peer = t.begin()
    with contextlib.suppress(Closed):  # a server that is still busy with the one before may turn this one away
        if kind != "silence":
            peer.check_hello()
        if kind == "refusal":
            peer.send_hello_reply(codec.REPLY_ENCRYPTION)
        elif kind in ("half-key", "bad-point"):
            peer.send_hello_reply()
            peer.read_key()
            peer.raw(peer.make_private().public[:50] if kind == "half-key" else b"\x04" + b"\xff" * 96, kind)
        if kind == "bad-point":
            peer.wire.ended_within(t.timeout)
    peer.wire.close()
    t.forget(peer)


@case(
    "conn.after-failures",
    "After more than a hundred failed handshakes the server still serves, without leaks",
    roles=SERVER,
    params={"enc": ("on",), "kind": FAILURES, "count": (110,)},
    reqs="CN-003 CN-009 SC-001",
    expect="conforms",
    positive=True,
    tags=("dos", "slow"),
    why="Many failures reveal a leak of slots, descriptors or threads.",
    hint="Release the same resources on every exit from a handshake.",
)
def after_failures(t: Context) -> None:
    peer = t.open_patiently()
    t.exchange_sentinel(peer)
    peer.wire.finish(t.timeout)
    before = resources.usage_of(t.subject.pid())
    for _ in range(t.p.count):
        fail_once(t, t.p.kind)
    peer = t.open_patiently()
    t.exchange(peer, 5, b"still served")
    peer.wire.finish(t.timeout)
    if before is None:
        return

    def is_clean() -> bool:
        now = resources.usage_of(t.subject.pid())
        return now is None or now.descriptors <= before.descriptors + 4

    if not t.wait_events(is_clean, max(1.0, t.timeout)):
        t.see("descriptors", f"more than 4 descriptors more than before {t.p.count} failed handshakes")


@case(
    "conn.hostile-later",
    "Later connections refuse the same input as the first",
    params={"enc": ("on",), "kind": ("tampered", "runt", "too-large"), "nth": (3, 100)},
    when=lambda role, enc, kind, nth: role == "server" or nth == 3,
    reqs="SE-010 FR-005 FR-006 CN-003",
    expect="closed",
    also="ignored",
    tags=("security", "dos", "slow"),
    why="A check made once per process, or with the state of an earlier connection, protects nothing.",
    hint="Keep all state of a peer in its connection.",
)
def hostile_later(t: Context) -> None:
    for index in range(t.p.nth - 1):
        peer = t.open_patiently()
        t.exchange(peer, 5, t.payload(16, index))
        peer.wire.finish(t.timeout)
    peer = t.open_patiently()
    t.exchange(peer, 6, b"as before")
    if t.p.kind == "tampered":
        body = bytearray(peer.body_of(codec.message_plaintext(9, t.payload(24))))
        body[-1] ^= 1
        peer.raw(codec.frame(bytes(body)), "a frame with its last byte changed")
    elif t.p.kind == "runt":
        peer.raw(codec.frame(bytes(12)), "a frame without room for a tag")
    else:
        peer.raw(codec.u32(t.receive_limit + 4 + codec.SEAL_SIZE + 1), "a length above the limit")
    t.settle(peer)


@case(
    "limit.client.each-connection",
    "A client uses the limit of its current connection, not of an earlier one",
    roles=("client",),
    adapter_level=1,
    params={"enc": ENC, "first": (64, 65536)},
    reqs="LM-006 CN-007",
    expect="conforms",
    why="Another server may announce another limit.",
    hint="Store the limit with the connection.",
)
def limit_each_connection(t: Context) -> None:
    limits = (64, 65536) if t.p.first == 64 else (65536, 64)
    for limit in limits:
        peer = t.begin()
        peer.handshake(limit=limit)
        t.opened()
        reply = t.call("send", type=5, data="ab", repeat=1000)
        if reply["ok"] != (limit > 1000):
            t.see("accepted" if reply["ok"] else "refused", f"1000 bytes with a limit of {limit}: {reply}")
        elif reply["ok"] and peer.receive() != (5, b"\xab" * 1000):
            t.see("altered", "the message is not the one that was sent")


def around_powers(last: int, most: int) -> Iterator[int]:
    """Data sizes with which the data, the body or the whole frame, plain or sealed, is about a power of two."""
    sizes = set()
    for power in range(4, last + 1):
        for before in (0, 4, 8, codec.SEAL_SIZE, codec.SEAL_SIZE + 4, codec.SEAL_SIZE + 8):
            sizes |= {(1 << power) - before + around for around in (-1, 0, 1)}
    return iter(sorted(size for size in sizes if 0 < size <= most))


def exchange_sizes(t: Context, last: int) -> None:
    peer = t.open()
    for index, size in enumerate(around_powers(last, t.receive_limit)):
        t.exchange(peer, 1 + index, t.payload(size, size))
        t.exchange(peer, 1 + index, b"")
        if t.words:
            return


@case(
    "frame.sizes",
    "Data, body and frame of every size about a power of two, each followed by an empty message",
    params={"enc": ENC},
    config=lambda **_: {"maximum": 1 << 18},
    reqs="FR-003 FR-013 FR-014",
    expect="conforms",
    positive=True,
    tags=("slow",),
    liveness=False,
    why="Buffer sizes are often powers of two, and errors occur at their ends.",
    hint="Test each buffer with frames one byte below, at and one byte above its size.",
)
def sizes_small(t: Context) -> None:
    exchange_sizes(t, 16)


@case(
    "frame.sizes.large",
    "The same up to 4 MiB",
    params={"enc": ENC},
    config=lambda **_: {"maximum": (1 << 22) + 64},
    reqs="FR-003 FR-013 FR-014",
    expect="conforms",
    positive=True,
    tags=("slow", "long"),
    liveness=False,
    why="Large messages often use other buffers than small ones.",
    hint="Grow a buffer before data is copied into it, not after.",
)
def sizes_large(t: Context) -> None:
    exchange_sizes(t, 22)


@case(
    "frame.large.two-peers",
    "Large messages of two peers that arrive interleaved are not mixed up",
    roles=SERVER,
    adapter_level=1,
    needs=("multi-client",),
    params={"enc": ENC},
    config=lambda **_: {"clients_max": 2, "maximum": 2000000},
    reqs="CN-007 FR-003 FR-013",
    expect="conforms",
    positive=True,
    tags=("slow",),
    why="A single shared buffer would mix the two messages.",
    hint="Use one buffer per connection.",
)
def large_two_peers(t: Context) -> None:
    peers = [t.open(), t.open()]
    data = [t.payload(300000 + index, index) for index in range(2)]
    frames = [t.frame(peer, 5 + index, data[index]) for index, peer in enumerate(peers)]
    for at in range(0, max(map(len, frames)), 50000):
        for peer, frame in zip(peers, frames):
            if frame[at : at + 50000]:
                peer.raw(frame[at : at + 50000], f"50000 bytes from byte {at}")
    for index, peer in enumerate(peers):
        t.expect_echo(peer, 5 + index, data[index])


def slowly(peer: Any, data: bytes, label: str) -> None:
    """In two pieces with a pause between them: the pause is what is tested."""
    half = max(1, len(data) // 2)
    peer.raw(data[:half], f"{label}, the first {half} bytes")
    time.sleep(PAUSE_S)
    if data[half:]:
        peer.raw(data[half:], f"{label}, the rest")


@case(
    "hs.slow-peer",
    "A peer that pauses for more than a second inside a message is served",
    params={"enc": ("on",), "step": ("hello", "key", "limit", "frame")},
    reqs="HS-002 FR-003 CN-010",
    expect="conforms",
    positive=True,
    tags=("slow",),
    liveness=False,
    why="A suspended, swapped-out or debugged process is slow, not faulty.",
    hint="Limit the time of the complete handshake, not the time between two bytes.",
)
def slow_peer(t: Context) -> None:
    peer = t.begin()
    step = t.p.step
    if isinstance(peer, ClientPeer):
        peer.check_hello()
        slowly(peer, b"\0", "HELLO_REPLY") if step == "hello" else peer.send_hello_reply()
        peer.read_key()
        peer.avoid_leading_zero()
        public = peer.make_private().public
        slowly(peer, public, "CLIENT_KEY") if step == "key" else peer.send_key()
        peer.derive()
        peer.read_limit()
        slowly(peer, b"\0", "LIMIT_REPLY") if step == "limit" else peer.send_limit_reply()
        peer.handshaken = True
    elif isinstance(peer, ServerPeer):
        slowly(peer, b"\2\1", "HELLO") if step == "hello" else peer.send_hello()
        peer.check_hello_reply()
        slowly(peer, peer.make_private().public, "SERVER_KEY") if step == "key" else peer.send_key()
        peer.read_key()
        peer.derive()
        slowly(peer, peer.limit_frame(peer.limit), "LIMIT") if step == "limit" else peer.send_limit()
        peer.read_limit_reply()
    frame = t.frame(peer, 5, b"in good time")
    slowly(peer, frame, "a frame") if step == "frame" else peer.raw(frame, "a frame")
    t.expect_echo(peer, 5, b"in good time")


@case(
    "conn.idle.long",
    "A connection that was idle for a minute is still open",
    params={"enc": ENC},
    reqs="CN-010",
    expect="conforms",
    positive=True,
    tags=("slow", "long"),
    liveness=False,
    why="An idle timeout would end connections that are only used by day.",
    hint="Set no time limit for open connections.",
)
def idle_long(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 5, b"before")
    time.sleep(IDLE_S)  # that nothing happens meanwhile is what is tested
    t.exchange(peer, 6, b"after")

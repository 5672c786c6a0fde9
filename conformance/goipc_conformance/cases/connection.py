# SPDX-License-Identifier: MIT
"""The life of connections: several peers, one after the other and at once."""

import time

from .. import codec
from ..case import ENC, case
from ..context import Context
from ..peer import ClientPeer
from ..run_folder import fresh_name
from ..wire import Closed

SERVER, CLIENT = ("server",), ("client",)


def answered_or_closed(t: Context, peer: ClientPeer) -> bool:
    """True when a further peer gets HELLO; closing at once is as good, leaving it unanswered is not."""
    try:
        peer.check_hello()
        return True
    except Closed as closed:
        if closed.partial:
            t.see("sent", f"a refused connection was sent {len(closed.partial)} bytes")
        return False


@case(
    "conn.second-peer",
    "A second peer is served or closed, not left waiting",
    roles=SERVER,
    params={"enc": ENC},
    reqs="CN-001 CN-002 CN-004",
    expect="conforms",
    tags=("dos",),
    why="A client that is neither served nor refused hangs until it is killed.",
    hint="Accept and close when the server is full.",
)
def second_peer(t: Context) -> None:
    first = t.open()
    t.exchange(first, 5, b"first")
    answered_or_closed(t, t.begin())
    t.exchange(first, 6, b"still first")


@case(
    "conn.second-peer.many",
    "Twenty further peers are served or closed, and the first stays connected",
    roles=SERVER,
    params={"enc": ENC, "count": (20,)},
    reqs="CN-001 CN-002 CN-004 CN-005 CN-009",
    expect="conforms",
    tags=("dos",),
    why="Connections that are neither served nor closed exhaust the descriptors.",
    hint="Accept and close when the server is full.",
)
def second_peer_many(t: Context) -> None:
    first = t.open()
    for index in range(t.p.count):
        peer = t.begin()
        answered_or_closed(t, peer)
        t.exchange(first, 6, t.payload(10, index))
        peer.wire.close()


@case(
    "conn.successive",
    "Peers are served one after the other",
    roles=SERVER,
    params={"enc": ENC, "count": (12, 110)},
    reqs="CN-003 CN-006 CN-016 CL-001",
    expect="conforms",
    positive=True,
    why="A server lives longer than its clients.",
    hint="Start every connection with new state; keep the listener open.",
)
def successive(t: Context) -> None:
    for index in range(t.p.count):
        peer = t.open()
        t.exchange(peer, 5, t.payload(100, index))
        peer.wire.finish(t.timeout)


@case(
    "conn.quick-close",
    "Peers that disconnect right after the handshake do not stop the server",
    roles=SERVER,
    params={"enc": ENC, "count": (15,)},
    reqs="CN-003 CN-006 SC-001",
    expect="conforms",
    tags=("dos",),
    why="golang-ipc hangs: its reader sees the end before its acceptor reports the connection.",
    hint="Let one thread or one lock decide the state of a connection.",
)
def quick_close(t: Context) -> None:
    for _ in range(t.p.count):
        peer = t.open_patiently()
        peer.wire.close()


@case(
    "conn.strays",
    "Connections that close at once do not stop the server",
    roles=SERVER,
    params={"enc": ENC, "count": (30,)},
    reqs="CN-003 SC-001 HS-005",
    expect="conforms",
    tags=("dos",),
    why="Health checks and port scans do exactly this.",
    hint="A failed handshake must end only its own connection.",
)
def strays(t: Context) -> None:
    for _ in range(t.p.count):
        t.begin().wire.close()


@case(
    "conn.multi",
    "Several peers at once each get their own messages",
    roles=SERVER,
    needs=("multi-client",),
    adapter_level=1,
    params={"enc": ENC, "count": (2, 6)},
    config=lambda count, **_: {"clients_max": count},
    reqs="CN-004 CN-007 FR-013",
    expect="conforms",
    positive=True,
    why="A server that mixes up its clients leaks messages to the wrong one.",
    hint="One session, one key and one buffer per connection.",
)
def multi(t: Context) -> None:
    peers = [t.open() for _ in range(t.p.count)]
    for turn in range(3):
        for index, peer in enumerate(peers):
            t.send(peer, 1 + index, t.payload(50 + index, (turn, index)))
        for index, peer in reversed(list(enumerate(peers))):
            t.expect_echo(peer, 1 + index, t.payload(50 + index, (turn, index)))


@case(
    "conn.multi.failure",
    "The failure of one peer does not disturb another",
    roles=SERVER,
    needs=("multi-client",),
    adapter_level=1,
    params={"enc": ENC},
    config=lambda **_: {"clients_max": 3},
    reqs="CN-004 SC-001",
    expect="closed",
    tags=("dos",),
    why="Otherwise one faulty client affects all others.",
    hint="A failure must end only its own connection.",
)
def multi_failure(t: Context) -> None:
    good, bad = t.open(), t.open()
    t.exchange(good, 5, b"before")
    bad.raw(codec.u32(0), "a frame of length 0")
    t.settle_end_or_wedge(bad)
    t.exchange(good, 6, b"after")


@case(
    "conn.multi.not-reading",
    "A peer that does not read does not delay another",
    roles=SERVER,
    needs=("multi-client",),
    adapter_level=1,
    params={"enc": ENC},
    config=lambda **_: {"clients_max": 3},
    reqs="CN-005",
    expect="conforms",
    tags=("dos", "slow"),
    why="Otherwise one suspended process blocks all others.",
    hint="Never block on one peer's full buffer while other peers are ready.",
)
def multi_not_reading(t: Context) -> None:
    lazy, busy = t.open(), t.open()
    data = t.payload(60000)
    try:
        for _ in range(60):  # more than any socket buffer holds; what is stuck is our own doing
            frame = lazy.frame_of(9, data)
            t.will_deliver(9, data)
            if not lazy.wire.send_without_reading(frame, 0.2):
                break
    except Closed:
        pass  # giving up on a peer that does not read is allowed
    for index in range(5):
        t.exchange(busy, 5, t.payload(20, index))


@case(
    "conn.multi.full",
    "A full server closes a further peer, and serves it when a slot is free",
    roles=SERVER,
    needs=("multi-client",),
    adapter_level=1,
    params={"enc": ENC},
    config=lambda **_: {"clients_max": 2},
    reqs="CN-001 CN-002 CN-006",
    expect="conforms",
    why="A slot must become free when its client disconnects.",
    hint="Increment the count when a connection opens, decrement it when it ends.",
)
def multi_full(t: Context) -> None:
    first, second = t.open(), t.open()
    t.exchange(first, 5, b"first")
    t.exchange(second, 5, b"second")
    third = t.begin()
    if answered_or_closed(t, third):
        t.note("more peers are served than clients_max says")
    third.wire.close()
    first.wire.finish(t.timeout)
    again = t.open_patiently()
    t.exchange(again, 6, b"third")
    t.exchange(second, 6, b"second")


@case(
    "conn.unread-at-close",
    "A peer that closes with unread data has ended the connection",
    adapter_level=1,
    params={"enc": ENC},
    reqs="CL-005 SC-001 CN-003",
    expect="conforms",
    tags=("dos",),
    why="The system then reports a reset instead of an end, which crashes golang-ipc's server.",
    hint="Treat every receive error as the end of the stream.",
)
def unread_at_close(t: Context) -> None:
    peer = t.open()
    t.opened()
    t.connected()
    t.call("send", type=5, data="ab", repeat=1000)
    peer.wire.wait_readable()
    peer.wire.close()


@case(
    "conn.reset-in-frame",
    "A reset inside a frame is the end of the stream",
    params={"enc": ENC},
    reqs="CL-005 FR-010 FR-011 SC-001 CN-003",
    expect="conforms",
    tags=("dos",),
    why="The system reports another error than for an ordinary end, with the same meaning.",
    hint="Treat every receive error as the end of the stream at that byte.",
)
def reset_in_frame(t: Context) -> None:
    peer = t.open()
    t.send(peer, 5, b"an echo that nobody reads")
    peer.wire.wait_readable()
    peer.raw(t.discarded_frame(peer, 9, t.payload(100))[:50], "half a frame")
    peer.wire.wait_consumed()
    peer.wire.close()


@case(
    "conn.idle",
    "An idle connection stays open",
    params={"enc": ENC},
    config=lambda **_: {"handshake_timeout_ms": 1000},
    reqs="CN-010 HS-006",
    expect="conforms",
    positive=True,
    liveness=False,
    tags=("slow",),
    why="The protocol has no keep-alive; an idle connection is valid.",
    hint="The handshake timeout ends with the handshake.",
)
def idle(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 5, b"before")
    if peer.wire.ended_within(1.5):  # longer than the handshake may take: here the waiting itself is the test
        t.see("closed", "the connection was ended although nothing was wrong")
        return
    t.exchange(peer, 6, b"after")


@case(
    "conn.order-after-reconnect",
    "Messages of a later connection arrive in sequence, too",
    roles=SERVER,
    adapter_level=1,
    params={"enc": ENC},
    config=lambda **_: {"echo": False},
    reqs="FR-012 CN-007 CN-009",
    expect="conforms",
    liveness=False,
    tags=("slow",),
    why="A writer thread left over from an earlier connection would send on the next.",
    hint="End the writer with its connection.",
)
def order_after_reconnect(t: Context) -> None:
    for index in range(5):
        peer = t.open()
        t.send(peer, 5, t.payload(10, index))
        t.must_have_delivered([(5, t.payload(10, index))])
        peer.wire.finish(t.timeout)
    peer = t.open()
    t.send(peer, 5, b"last")
    t.must_have_delivered([(5, b"last")])
    count = 120
    requests = [t.request("send", type=1 + index, data="cd", repeat=600) for index in range(count)]
    expected = [(1 + index, b"\xcd" * 600) for index in range(count)]
    received = [peer.receive() for _ in expected]
    for request in requests:
        reply = t.reply_to(request)
        if reply is None or not reply["ok"]:
            t.see("refused", "send failed")
            return
    if received != expected:
        if sorted(received) == sorted(expected):
            wrong = sum(1 for a, b in zip(received, expected) if a != b)
            t.see("out-of-order", f"{wrong} of {count} messages came in another place")
        else:
            t.see("altered", "what came is not what was sent")


@case(
    "conn.no-leftovers",
    "Messages for one peer never reach the next peer",
    roles=SERVER,
    params={"enc": ENC},
    reqs="CN-007 CN-016 CN-017",
    expect="conforms",
    tags=("security",),
    why="The next peer may be another program.",
    hint="Keep one queue per connection, and free it with the connection.",
)
def no_leftovers(t: Context) -> None:
    first = t.open()
    for index in range(20):
        t.send(first, 5, t.payload(2000, index))
    first.wire.wait_readable()
    first.wire.close()
    # The check for a fresh peer, which follows, objects to every message that is not its own.


@case(
    "conn.half-close",
    "Messages sent before a half-close are delivered, then the connection ends",
    params={"enc": ENC},
    reqs="CL-001 CL-002 FR-013",
    expect="closed",
    why="A peer may shut down its sending direction after its last message.",
    hint="Deliver the complete messages, then close cleanly.",
)
def half_close(t: Context) -> None:
    peer = t.open()
    messages = [(5 + index, t.payload(30, index)) for index in range(3)]
    peer.raw(b"".join(t.frame(peer, *message) for message in messages), "3 messages")
    peer.wire.finish_sending()
    t.settle_end(peer)
    t.must_have_delivered(messages)


@case(
    "conn.client.waits-for-server",
    "A client waits for a server that is not there yet",
    roles=CLIENT,
    adapter_level=1,
    level="should",
    params={"enc": ENC},
    reqs="CN-011 EP-007",
    expect="conforms",
    positive=True,
    liveness=False,
    why="Programs are started in any order.",
    hint="Try again while the path does not exist or refuses connections.",
)
def client_waits_for_server(t: Context) -> None:
    peer = t.begin_late(0.1)
    peer.handshake()
    t.opened()
    t.exchange(peer, 5, b"late")


@case(
    "conn.client.closed-before-hello",
    "A client tries again when it is closed before HELLO",
    roles=CLIENT,
    adapter_level=1,
    level="should",
    params={"enc": ENC},
    reqs="CN-011",
    expect="conforms",
    liveness=False,
    why="A full server refuses clients in this way.",
    hint="Treat it like a refused connection: wait briefly, then try again.",
)
def closed_before_hello(t: Context) -> None:
    first = t.begin(keep_listening=True)
    first.wire.close()
    second = t.accept_again()
    if second is None:
        t.see("no-connection", "the client did not come again")
        return
    second.handshake()
    t.opened()
    t.exchange(second, 5, b"again")


@case(
    "conn.client.no-retry",
    "A client does not try again after a refusal",
    roles=CLIENT,
    adapter_level=1,
    params={"enc": ("on",), "reason": ("version", "encryption", "key", "auth")},
    reqs="CN-014 HS-024",
    expect="conforms",
    why="A retry cannot succeed and only loads the server.",
    hint="Retry only if the server cannot be reached; a refused handshake is permanent.",
)
def no_retry(t: Context) -> None:
    peer = t.begin(keep_listening=True, policy="required")
    if t.p.reason == "version":
        peer.send_hello(version=3)
        peer.read_hello_reply()
    elif t.p.reason == "encryption":
        peer.send_hello(flag=0)
        peer.read_hello_reply()
    elif t.p.reason == "key":
        peer.handshake(until="server-key")
        peer.raw(b"\x04" + bytes(96), "all-zero key")
    else:
        peer.handshake(until="limit")
        peer.raw(codec.frame(bytes(32)), "a limit that does not open")
    reply = t.connect_result()
    if reply is None:
        t.see("silent", "connect did not fail")
    elif reply["ok"]:
        t.see("connected")
    if t.accept_again(0.4) is not None:
        t.see("sent", "the client connected again by itself")


@case(
    "conn.client.reconnect",
    "A client that reconnects starts with new state",
    roles=CLIENT,
    adapter_level=1,
    needs=("reconnect",),
    level="may",
    params={"enc": ENC},
    config=lambda **_: {"reconnect": True},
    reqs="CN-015 CN-016 CN-017",
    expect="conforms",
    positive=True,
    liveness=False,
    why="Keys, counters and queues belong to one connection.",
    hint="Keep only the configuration.",
)
def client_reconnect(t: Context) -> None:
    first = t.open(keep_listening=True)
    t.exchange(first, 5, b"first")
    first.wire.finish(t.timeout)
    second = t.accept_again()
    if second is None:
        t.see("no-connection", "the client did not reconnect")
        return
    second.handshake()
    t.exchange(second, 6, b"second")
    if t.encrypted and second.peer_public == first.peer_public:
        t.see("malformed", "the client used the same key pair again")


@case(
    "conn.server.leaves",
    "A server that ends between two frames ends the connection cleanly",
    roles=CLIENT,
    params={"enc": ENC},
    reqs="CL-001 CL-002",
    expect="closed",
    why="Most connections end in this way.",
    hint="Close your side, report the end to the application, and keep running.",
)
def server_leaves(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 5, b"last")
    peer.wire.finish_sending()
    t.settle_end(peer)


@case(
    "conn.server.leaves-unread",
    "A server that exits with unread data has ended the connection",
    roles=CLIENT,
    params={"enc": ENC},
    reqs="CL-005 SC-001",
    expect="conforms",
    tags=("dos",),
    why="The system then reports a reset instead of an end.",
    hint="Treat every receive error as the end of the stream.",
)
def server_leaves_unread(t: Context) -> None:
    peer = t.open()
    t.send(peer, 5, b"an echo that nobody reads")
    peer.wire.wait_readable()
    peer.wire.close()


@case(
    "conn.client.gives-up",
    "A client stops trying at its timeout, and reports that",
    roles=CLIENT,
    adapter_level=1,
    level="should",
    params={"enc": ENC},
    reqs="CN-013 CN-011",
    expect="conforms",
    also="wrong-class",
    why="An application that waits forever cannot inform its user.",
    hint="Use one deadline for all attempts together.",
)
def gives_up(t: Context) -> None:
    started = time.monotonic()
    reply = t.call(
        "connect",
        endpoint={"transport": "unix", "name": fresh_name()},
        encryption="required" if t.encrypted else "off",
        timeout_ms=400,
    )
    if reply["ok"]:
        t.see("connected", "connect succeeded without a server")
    elif t.class_of(reply) != "timeout":
        t.see("wrong-class", f"connect answered {t.class_of(reply)}")
    if time.monotonic() - started < 0.2:
        t.note("it gave up early")

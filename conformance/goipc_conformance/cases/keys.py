# SPDX-License-Identifier: MIT
"""Public keys and what is derived from them."""

from collections.abc import Iterator
from typing import Any

from .. import codec, keys
from ..case import case
from ..context import Context, Verdictless
from ..wire import Closed, Silent

ON = ("on",)


def offer_key(t: Context, public: bytes, label: str) -> Any:
    """Runs the handshake with a public key of the case's choice and decides what it did."""
    peer = t.begin()
    if t.role == "server":
        peer.handshake(until="client-key")
        peer.raw(public, label)
        t.settle_handshake(peer)
    else:
        peer.handshake(until="server-key")
        peer.raw(public, label)
        # A client that sent its key before it looked at ours is within its rights.
        t.settle_handshake(peer, allow=peer.wire.waiting(0)[: codec.PUBLIC_KEY_SIZE])
    return peer


def valid_public(t: Context) -> bytes:
    return keys.PrivateKey(keys.scalar_from(t.instance.key, "valid")).public


@case(
    "key.off-curve",
    "A key that is not on the curve ends the connection",
    params={"enc": ON, "flip": ("x", "y")},
    reqs="KD-008 KD-005 SC-001 CN-003",
    expect="closed",
    tags=("security", "dos"),
    why="Points off the curve leak the private key bit by bit, and existing libraries crash on them.",
    hint="Check y^2 = x^3 - 3x + b before the key is used. libtomcrypt's import does not do it.",
)
def off_curve(t: Context) -> None:
    public = bytearray(valid_public(t))
    public[48 if t.p.flip == "x" else 96] ^= 1
    offer_key(t, bytes(public), f"key with one bit of {t.p.flip} changed")


@case(
    "key.zero-point",
    "The all-zero key ends the connection",
    params={"enc": ON},
    reqs="KD-008 SC-001",
    expect="closed",
    tags=("security", "dos"),
    why="Some libraries derive a constant secret from it, so the key is public.",
    hint="(0, 0) is not on the curve; the check of the equation covers it.",
)
def zero_point(t: Context) -> None:
    offer_key(t, b"\x04" + bytes(96), "all-zero key")


@case(
    "key.out-of-range",
    "Coordinates that are not below the field prime end the connection",
    params={"enc": ON, "which": ("x-is-p", "all-ones", "y-plus-p")},
    reqs="KD-007 SC-001",
    expect="closed",
    tags=("security", "dos"),
    why="The same point would have two encodings.",
    hint="Compare both coordinates with p before anything else.",
)
def out_of_range(t: Context) -> None:
    zero_x = keys.point_with_zero_x()
    if t.p.which == "x-is-p":
        public = b"\x04" + keys.FIELD.to_bytes(48, "big") + zero_x[49:]
    elif t.p.which == "all-ones":
        public = b"\x04" + b"\xff" * 96
    else:
        x, y = keys.SMALL_Y_POINT
        public = b"\x04" + x.to_bytes(48, "big") + (y + keys.FIELD).to_bytes(48, "big")
    offer_key(t, public, f"key out of range ({t.p.which})")


@case(
    "key.prefix",
    "A key that does not begin with 04 ends the connection",
    params={"enc": ON, "byte": (0, 2, 3, 5, 6, 7, 255)},
    reqs="KD-006 SC-001",
    expect="closed",
    tags=("security", "dos"),
    why="Other forms are not part of the protocol; libraries treat them differently.",
    hint="Check the first byte before you call the library.",
)
def prefix(t: Context) -> None:
    public = valid_public(t)
    first = t.p.byte
    if first in (6, 7):  # the hybrid form with the right parity, which some libraries take
        first = 6 | (public[96] & 1) if t.p.byte == 6 else 6 | (1 - (public[96] & 1))
    offer_key(t, bytes([first]) + public[1:], f"key with prefix {first:02x}")


@case(
    "key.reflected",
    "The server's own key sent back ends the connection",
    roles=("server",),
    params={"enc": ON},
    reqs="KD-009",
    expect="closed",
    tags=("security",),
    why="Otherwise a peer without any key can reflect frames and seem authenticated.",
    hint="Compare the received key with the one you sent.",
)
def reflected(t: Context) -> None:
    peer = t.begin().handshake(until="client-key")
    peer.raw(peer.peer_public, "the server's own key")
    t.settle_handshake(peer)


@case(
    "key.zero-x",
    "A key whose X is 0 is a valid key",
    params={"enc": ON},
    reqs="KD-010",
    expect="conforms",
    also="closed",
    positive=True,
    liveness=False,
    why="(0, sqrt(b)) is a point of the curve like any other.",
    hint="Refuse only keys that are off the curve or out of range.",
)
def zero_x(t: Context) -> None:
    peer = t.begin()
    if t.role == "server":
        peer.handshake(until="client-key")
        peer.raw(keys.point_with_zero_x(), "key with X = 0")
        # Nobody knows the private key of this point, so the limit can be counted but not opened.
        size = codec.read_u32(peer.wire.receive(4, "limit length"))
        peer.wire.receive(size, "limit body")
        if size != 32:
            t.see("malformed", f"the limit frame has length {size}")
    else:
        peer.handshake(until="server-key")
        peer.raw(keys.point_with_zero_x(), "key with X = 0")
        peer.read_key()
        if peer.wire.ended_within(0.05):
            t.see("closed")
    peer.wire.close()


@case(
    "key.fresh",
    "Every connection has its own key pair",
    params={"enc": ON},
    reqs="KD-001",
    expect="conforms",
    tags=("security",),
    liveness=False,
    why="With a lasting key there is no forward secrecy, and a repeated nonce becomes likely.",
    hint="Generate the key pair at the start of the handshake, not of the program.",
)
def fresh(t: Context) -> None:
    seen = set()
    for _ in range(3):
        peer = t.open()
        t.exchange(peer, 5, b"key")
        if peer.peer_public in seen:
            t.see("malformed", "the same public key was sent on two connections")
        seen.add(peer.peer_public)
        peer.wire.finish(t.timeout)


@case(
    "key.truncated",
    "A truncated key ends the connection",
    params={"enc": ON, "size": (1, 49, 96)},
    reqs="HS-005 SC-001",
    expect="closed",
    tags=("dos",),
    why="The end of the stream inside the handshake is a failure, not a shorter key.",
    hint="Read 97 bytes or fail.",
)
def truncated(t: Context) -> None:
    peer = t.begin()
    peer.handshake(until="client-key" if t.role == "server" else "server-key")
    peer.raw(valid_public(t)[: t.p.size], f"{t.p.size} bytes of a key")
    peer.wire.finish_sending()
    t.settle_handshake(peer, allow=peer.wire.waiting(0)[: codec.PUBLIC_KEY_SIZE])


@case(
    "key.derivation.leading-zero",
    "Leading zero bytes of X are not part of the hash",
    roles=("server",),
    params={"enc": ON, "zeros": (0, 1, 2)},
    # The search for our key, some 65 000 points for two bytes, takes place within the handshake.
    config=lambda **_: {"handshake_timeout_ms": 120000},
    reqs="KD-011",
    expect="conforms",
    positive=True,
    tags=("interop",),
    why="golang-ipc hashes X without leading zeros. Hashing all 48 bytes fails on one connection in 256.",
    hint="Strip leading zero bytes of X before SHA-256.",
)
def leading_zero(t: Context) -> None:
    # Without a longer handshake the search is cut into pieces, each in the handshake of a new connection.
    patience = None if "handshake-timeout" in t.subject.caps else SEARCH_S
    for _ in range(SEARCHES_MAX):
        peer = t.begin().handshake(until="client-key")
        if peer.redraw_until(t.p.zeros, patience):
            break
        peer.wire.close()
    else:
        raise Verdictless("no key was found in time for the handshake")
    peer.send_key()
    peer.derive()
    peer.read_limit()
    peer.send_limit_reply()
    t.exchange(peer, 5, b"leading zero")


# A piece of the search, and how many pieces. A search takes half a second of one processor as a rule. A piece is shorter
# than the usual 10 s for a handshake, and long enough that hardly any search needs a second one: golang-ipc stops
# listening when a handshake is abandoned.
SEARCH_S, SEARCHES_MAX = 8.0, 25
KNOWN = keys.scalar_from("a known private key")
BESIDE_KNOWN = keys.scalar_from("ours, beside a known one") % (keys.ORDER >> 1)
# What BESIDE_KNOWN lacks to a key that with the known one gives an X with so many zero bytes. A search finds 193700 in
# some seconds, which is longer than a handshake may take.
STEPS = {0: 3, 1: 45, 2: 193700}


def for_zeros(zeros: int) -> keys.PrivateKey:
    """A key of ours that with the known one gives an X with exactly so many zero bytes at its front."""
    ours = keys.PrivateKey(BESIDE_KNOWN + STEPS[zeros])
    x = ours.shared_x(keys.PrivateKey(KNOWN).public)
    assert len(x) - len(x.lstrip(b"\0")) == zeros
    return ours


def seeded(t: Context) -> keys.PrivateKey:
    """The private key that the implementation under test will use next."""
    t.call("seed", private_key=KNOWN.to_bytes(48, "big").hex())
    return keys.PrivateKey(KNOWN)


@case(
    "key.derivation.known",
    "A known private key gives the known public key and, for every X, the known key",
    adapter_level=1,
    own_server=True,
    needs=("hooks.rng",),
    params={"enc": ON, "zeros": (0, 1, 2)},
    reqs="KD-001 KD-004 KD-011",
    expect="conforms",
    why="No other case detects a changed private key, and random keys rarely have a special X.",
    hint="Use the 48 bytes as one big-endian number, as they are.",
)
def derivation_known(t: Context) -> None:
    private = seeded(t)
    if t.role == "server":
        t.serve()
    peer = t.begin()
    peer.private = for_zeros(t.p.zeros)
    if t.role == "server":
        peer.handshake(until="client-key")  # whose own choice of a key avoids zeros
        peer.send_key()
        peer.derive()
        peer.read_limit()
        peer.send_limit_reply()
    else:
        peer.handshake()
    if peer.peer_public != private.public:
        t.see("malformed", "the public key is not that of the private key that was given")
    t.exchange(peer, 5, b"known")
    peer.wire.finish(t.timeout)
    again = t.open()
    if again.peer_public == private.public:
        t.see("malformed", "the key was used for a second connection")
    t.exchange(again, 5, b"another")


@case(
    "key.random-fails",
    "A connection fails if the random source fails",
    adapter_level=1,
    needs=("hooks.random-fails",),
    params={"enc": ON, "draws": (0, 1)},
    reqs="KD-003",
    expect="closed conforms",
    also="closed+wrong-class",
    tags=("security",),
    why="A key or nonce made of zeros or from the clock is not secret, and the fault is not visible.",
    hint="Check the result of every call of the random source; fail the connection, not the process.",
)
def random_fails(t: Context) -> None:
    t.call("random", draws=t.p.draws)
    complete = False
    try:
        peer = t.begin()
        peer.handshake()
        complete = True
    except Closed:
        pass
    except Silent:
        if t.role != "client" or (t.connect_result() or {"ok": True})["ok"]:
            raise
    finally:
        failed = t.call("random").get("failed", 0)
    if complete and failed:
        t.see("accepted", f"{failed} draws failed, and the handshake went on")
    elif complete and not t.p.draws:
        t.see("accepted", "the handshake was completed without a random byte")
    elif complete:
        t.exchange(peer, 5, b"no second draw was needed")
    elif not failed:
        t.see("refused", "the connection ended although no draw failed")
    else:
        t.see("closed")
        reply = t.connect_result()
        # A client may try again, in the hope of random bytes, until its time is over.
        if reply is not None and t.class_of(reply) not in ("other", "timeout"):
            t.see("wrong-class", f"connect answered {t.class_of(reply)}, expected other")


def zero_byte_or_patience(t: Context) -> Iterator[tuple[int, Any]]:
    """Connections with their own key chosen, where the client's is known, so that X begins with a zero byte; else with
    one key of ours, until chance brings such an X."""
    known = seeded(t) if "hooks.rng" in t.subject.caps else None
    private = for_zeros(1) if known else None
    for attempt in range(1 if known else 600):
        peer = t.begin()
        peer.private = private
        yield attempt, peer
        private = peer.private


@case(
    "key.derivation.leading-zero-client",
    "Leading zero bytes of X are not part of the hash (client)",
    roles=("client",),
    adapter_level=1,
    params={"enc": ON},
    reqs="KD-011 KD-001",
    expect="conforms",
    positive=True,
    tags=("interop", "slow"),
    why="Hashing all 48 bytes fails on one connection in 256. The case connects until such an X occurs.",
    hint="Strip leading zero bytes of X before SHA-256.",
)
def leading_zero_client(t: Context) -> None:
    for attempt, peer in zero_byte_or_patience(t):
        peer.handshake()
        t.opened()
        if t.words:
            return
        rare = peer.shared_x[0] == 0
        if rare:
            t.exchange(peer, 5, b"leading zero")
            t.note(f"X began with a zero byte at connection {attempt + 1}")
            return
        peer.wire.close()
        t.forget(peer)
    t.note("no X with a leading zero byte in 600 connections")


@case(
    "key.derivation.padded-peer",
    "A peer that hashes all 48 bytes of X may be served",
    roles=("server",),
    params={"enc": ON},
    level="may",
    reqs="KD-014 KD-015",
    expect="conforms",
    also="closed ignored",
    tags=("interop",),
    why="The Node client does not strip zeros; trying its key, too, weakens nothing.",
    hint="When X begins with a zero byte and the first frame does not open, try SHA-256 over the 48 bytes once.",
)
def padded_peer(t: Context) -> None:
    peer = t.begin().handshake(until="client-key")
    peer.redraw_until(1)
    peer.send_key()
    peer.derive()
    peer.read_limit()
    peer.send_limit_reply()
    peer.key = keys.session_key_padded(peer.shared_x)
    peer.nonces_seen.clear()
    t.send(peer, 5, b"padded")
    try:
        echo = peer.receive()
    except Closed:
        t.see("closed")
    except Silent:  # it may have discarded what it could not open; the key that it has is then still good
        peer.key = keys.session_key(peer.shared_x)
        t.settle(peer)
    else:
        if echo != (5, b"padded"):
            t.see("altered", f"the echo is {echo!r:.80}")
        t.exchange(peer, 6, b"padded again")


@case(
    "key.derivation.padded-server",
    "A server that hashes all 48 bytes of X may be accepted",
    roles=("client",),
    adapter_level=1,
    params={"enc": ON},
    level="may",
    reqs="KD-013 KD-015",
    expect="conforms",
    also="closed refused",
    tags=("interop", "slow"),
    why="Some ports do not strip zeros; a client may try their key if the limit does not open.",
    hint="When X begins with a zero byte and the limit does not open, try SHA-256 over the 48 bytes once.",
)
def padded_server(t: Context) -> None:
    for attempt, peer in zero_byte_or_patience(t):
        peer.handshake(until="limit")
        if peer.shared_x[0] != 0:
            peer.wire.close()
            t.forget(peer)
            continue
        t.note(f"X began with a zero byte at connection {attempt + 1}")
        peer.key = keys.session_key_padded(peer.shared_x)
        peer.send_limit()
        try:
            peer.read_limit_reply()
        except Closed:
            t.see("closed")
            return
        except Silent:
            reply = t.connect_result(0.1)
            if reply is None or reply["ok"]:
                raise
            t.see("refused", "the client does not take the key")
            return
        t.exchange(peer, 5, b"padded")
        return
    t.note("no X with a leading zero byte in 600 connections")


@case(
    "key.derivation.no-second-chance",
    "The other derivation is not tried after the first frame",
    params={"enc": ON},
    roles=("server",),
    reqs="KD-016 SE-010",
    expect="closed",
    also="ignored",
    tags=("security",),
    why="Trying n keys makes a forgery n times as likely.",
    hint="After one frame has opened, use only its key.",
)
def no_second_chance(t: Context) -> None:
    peer = t.open(zeros=1)
    t.exchange(peer, 5, b"first")
    right, peer.key = peer.key, keys.session_key_padded(peer.shared_x)
    peer.send(6, b"sealed with the other key")
    peer.key = right
    t.settle(peer)

# SPDX-License-Identifier: MIT
"""Sealed frames: AES-256-GCM, nonces, and everything that must not open."""

from collections.abc import Callable
from typing import Any

from .. import codec, keys
from ..case import case
from ..context import Context
from ..wire import Closed, Cuts

ON = ("on",)
Change = Callable[[bytearray], bytearray]
LENIENT = "ignored"  # golang-ipc's server reports the frame and goes on with the next


def tamper(t: Context, change: Change, label: str, size: int = 24) -> None:
    """Sends a sealed frame changed by `change(body)` and decides what it did."""
    peer = t.open()
    body = bytearray(peer.body_of(codec.message_plaintext(9, t.payload(size))))
    peer.raw(codec.frame(bytes(change(body))), label)
    t.settle(peer)


def flip(at: int, bit: int = 0) -> Change:
    def change(body: bytearray) -> bytearray:
        body[at] ^= 1 << bit
        return body

    return change


@case(
    "seal.tag.bit",
    "One wrong bit in the tag, and nothing is delivered",
    params={"enc": ON, "bit": (0, 7, 63, 64, 96, 120, 127)},
    reqs="SE-010 SE-011 ER-003 CN-003",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="A tag that is compared only in part, or not at all, does not protect.",
    hint="Compare all 16 bytes. gcm_memory of libtomcrypt 1.18 does not compare.",
)
def tag_bit(t: Context) -> None:
    tamper(t, flip(-16 + t.p.bit // 8, t.p.bit % 8), f"tag with bit {t.p.bit} changed")


@case(
    "seal.tag.zero",
    "An all-zero tag does not open",
    params={"enc": ON},
    reqs="SE-010 SE-011",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="Some implementations treat a tag of zeros as absent.",
    hint="There is no frame without a tag.",
)
def tag_zero(t: Context) -> None:
    def change(body: bytearray) -> bytearray:
        body[-16:] = bytes(16)
        return body

    tamper(t, change, "all-zero tag")


@case(
    "seal.tag.short",
    "A tag of fewer bytes does not open",
    params={"enc": ON, "missing": (1, 4, 8)},
    reqs="SE-010 SE-011",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="GCM with shorter tags can be forged.",
    hint="The tag is always the last 16 bytes of the body.",
)
def tag_short(t: Context) -> None:
    tamper(t, lambda body: body[: -t.p.missing], f"tag cut by {t.p.missing} bytes")


@case(
    "seal.ciphertext.bit",
    "One wrong bit in the ciphertext, and nothing is delivered",
    params={"enc": ON, "at": ("type", "first", "last")},
    reqs="SE-010 SE-011",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="Without the check the flipped bit arrives in the message.",
    hint="Release plaintext only after the tag has been verified.",
)
def ciphertext_bit(t: Context) -> None:
    tamper(t, flip({"type": 15, "first": 16, "last": -17}[t.p.at]), f"ciphertext changed ({t.p.at})")


@case(
    "seal.cut",
    "One wrong bit in a frame that arrives in pieces, and nothing is delivered",
    params={"enc": ON, "at": ("first", "last", "tag"), "size": (40, 60000)},
    reqs="SE-010 SE-011 FR-003",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="Decryption in parts has its own code path, which must check the tag, too.",
    hint="Deliver no part of a frame before its tag was compared, however it arrived.",
)
def cut(t: Context) -> None:
    peer = t.open()
    body = bytearray(peer.body_of(codec.message_plaintext(9, t.payload(t.p.size))))
    body[{"first": 16, "last": -17, "tag": -1}[t.p.at]] ^= 1
    cuts = Cuts(at=(4, 30, len(body) // 2, len(body) - 3))
    try:
        peer.raw(codec.frame(bytes(body)), f"a frame changed ({t.p.at})", cuts)
    except Closed:
        pass  # before its last byte: nothing says that it has to be awaited
    t.settle(peer)


@case(
    "seal.nonce.bit",
    "One wrong bit in the nonce, and nothing is delivered",
    params={"enc": ON, "at": (0, 11)},
    reqs="SE-010 SE-011",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="The tag also protects the nonce.",
    hint="Use the 12 bytes as received.",
)
def nonce_bit(t: Context) -> None:
    tamper(t, flip(t.p.at), f"byte {t.p.at} of the nonce changed")


@case(
    "seal.key.wrong",
    "A frame under another key does not open",
    params={"enc": ON},
    reqs="SE-010 KD-016",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="Only a peer with the connection's key may send frames.",
    hint="Derive one key per connection.",
)
def key_wrong(t: Context) -> None:
    peer = t.open()
    peer.raw(codec.frame(codec.seal(bytes(32), peer.nonce(), codec.message_plaintext(9, b"forged"))), "another key")
    t.settle(peer)


@case(
    "seal.key.unstripped-empty",
    "The key of an empty X does not open other connections",
    params={"enc": ON},
    reqs="SE-010 KD-011",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="A library that fails to compute the secret may leave zeros, whose key is public.",
    hint="Check every result of the key agreement.",
)
def key_of_nothing(t: Context) -> None:
    peer = t.open()
    forged = codec.seal(keys.session_key(b""), peer.nonce(), codec.message_plaintext(9, b"forged"))
    peer.raw(codec.frame(forged), "the key of an all-zero X")
    t.settle(peer)


@case(
    "seal.data-appended",
    "Bytes after the tag do not belong to the frame",
    params={"enc": ON},
    reqs="SE-010 SE-011",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="The tag must end the frame.",
    hint="The tag is the last 16 bytes of what the length counts.",
)
def data_appended(t: Context) -> None:
    tamper(t, lambda body: body + b"\0", "one byte after the tag")


@case(
    "seal.runt-plaintext",
    "A sealed message without a complete type ends the connection",
    params={"enc": ON, "size": (0, 1, 3)},
    reqs="FR-005 SC-001",
    expect="closed",
    tags=("dos",),
    why="golang-ipc crashes, and any client that completes a handshake can send it.",
    hint="The minimum is 28 bytes of nonce and tag and 4 of type; check the length before opening.",
)
def runt_plaintext(t: Context) -> None:
    peer = t.open()
    peer.raw(codec.frame(peer.body_of(bytes(t.p.size))), f"a sealed plaintext of {t.p.size} bytes")
    t.settle(peer)


@case(
    "seal.after-failure",
    "Nothing is delivered after a frame that does not open",
    params={"enc": ON},
    reqs="SE-010 ER-003 ER-004",
    expect="closed",
    also="delivered+ignored delivered+closed",
    tags=("security",),
    why="After a forged frame no later byte of the stream can be trusted.",
    hint="Stop decoding at the first failure, even if more is in the buffer.",
)
def after_failure(t: Context) -> None:
    peer = t.open()
    body = bytearray(peer.body_of(codec.message_plaintext(9, b"forged")))
    body[-1] ^= 1
    good = peer.frame_of(10, t.payload(12))
    peer.raw(codec.frame(bytes(body)) + good, "a forged frame and a good one in one write")
    t.settle(peer)


@case(
    "seal.before-failure",
    "Complete messages before a forged frame are delivered",
    params={"enc": ON},
    adapter_level=1,
    reqs="SE-010 FR-009 FR-013",
    expect="closed",
    also="ignored",
    why="A failure must not lose earlier messages.",
    hint="Deliver in sequence, then fail.",
)
def before_failure(t: Context) -> None:
    peer = t.open()
    data = t.payload(12)
    good = t.frame(peer, 10, data)
    body = bytearray(peer.body_of(codec.message_plaintext(9, b"forged")))
    body[-1] ^= 1
    peer.raw(good + codec.frame(bytes(body)), "a good frame and a forged one in one write")
    t.settle(peer)
    t.must_have_delivered([(10, data)])


@case(
    "seal.nonce.unique",
    "No nonce is used twice",
    params={"enc": ON, "count": (64,)},
    reqs="SE-004",
    expect="conforms",
    tags=("security",),
    liveness=False,
    why="Two frames under one nonce reveal both texts and allow forgery.",
    hint="A counter per connection and direction, or 12 random bytes each time.",
)
def nonce_unique(t: Context) -> None:
    peer = t.open()
    for _ in range(t.p.count):
        t.exchange(peer, 5, b"nonce")  # opening remembers every nonce and objects to the second use


@case(
    "seal.nonce.ours",
    "The implementation does not use our nonces",
    params={"enc": ON},
    reqs="SE-004 SE-002",
    expect="conforms",
    tags=("security",),
    liveness=False,
    why="Both directions share one key, so that a nonce must be unique across both.",
    hint="Never derive the nonce from what was received.",
)
def nonce_ours(t: Context) -> None:
    peer = t.open()
    ours = set()
    for index in range(8):
        nonce = peer.nonce()
        ours.add(nonce)
        data = t.payload(8, index)
        t.will_deliver(5, data)
        peer.raw(peer.frame_of(5, data, nonce), "message")
        t.expect_echo(peer, 5, data)
    if ours & set(peer.received_nonces):
        t.see("malformed", "an echo was sealed with the nonce of our message")


@case(
    "seal.nonce.form",
    "Nonces do not collide by construction",
    params={"enc": ON},
    level="should",
    reqs="SE-005 SE-006",
    expect="conforms",
    tags=("security",),
    liveness=False,
    why="Both sides use one key. Two counters that start at 0 would collide at once.",
    hint="8 random bytes per connection with the role in the top bit and a counter, or 12 random bytes.",
)
def nonce_form(t: Context) -> None:
    firsts = set()
    for _ in range(3):
        peer = t.open()
        t.exchange(peer, 5, b"nonce")
        nonces = peer.received_nonces
        firsts.add(nonces[0][:8])
        prefixes = {nonce[:8] for nonce in nonces}
        if len(prefixes) == 1 and len(nonces) > 1 and bool(nonces[0][0] & 0x80) != (t.role == "server"):
            t.see("malformed", "the counter's prefix does not carry the role of its sender")
        peer.wire.finish(t.timeout)
    if len(firsts) < 3:
        t.see("malformed", "the nonces begin alike on several connections")


SEALED_MAX = 4294967295  # frames that one side may seal on a connection


def counted(t: Context, sealed: int, opened: int = 0) -> Any:
    """A connection on which the implementation counts so many frames before its first."""
    t.call("seed", sealed=sealed, opened=opened)
    if t.role == "server":
        t.serve()
    return t.open()


@case(
    "seal.count.exhausted",
    "A connection ends before it seals more than 2^32 - 1 frames",
    adapter_level=1,
    own_server=True,
    needs=("hooks.sealed",),
    params={"enc": ON},
    reqs="SE-008 SE-004",
    expect="closed",
    also="closed+wrong-class closed+silent",
    tags=("security",),
    why="The counter in the nonce would wrap, and two frames under one nonce can be read.",
    hint="Count the sealed frames, including LIMIT; fail the connection at 4294967295.",
)
def count_exhausted(t: Context) -> None:
    frames = 4
    peer = counted(t, SEALED_MAX - frames)
    for index in range(frames - (t.role == "server")):  # a server has sealed the limit
        t.exchange(peer, 5, t.payload(8, index))
    t.send(peer, 6, b"one more")
    try:
        peer.receive()
    except Closed:
        t.see("closed")
    else:
        t.see("accepted", f"another frame was sealed after {SEALED_MAX}")
        return
    if not t.wait_events(lambda: bool(t.errors())):
        t.see("silent", "no error was reported")
    elif t.errors()[0].get("class") != "other":
        t.see("wrong-class", f"the class is {t.errors()[0].get('class')}, expected other")


@case(
    "seal.count.random",
    "Random nonces end with the connection's 2^32nd frame, counted ones do not",
    adapter_level=1,
    own_server=True,
    needs=("hooks.sealed",),
    params={"enc": ON},
    level="should",
    reqs="SE-009 SE-005 SE-006",
    expect="conforms",
    tags=("security",),
    why="Random nonces may collide before 2^32 frames in all; a counter never repeats in its 32 bits.",
    hint="With random nonces count both directions; with a counter use unsigned arithmetic.",
)
def count_random(t: Context) -> None:
    left = 8
    peer = counted(t, sealed=1 << 31, opened=(1 << 31) - left)
    ended = False
    for index in range(left):
        try:
            t.exchange(peer, 5, t.payload(8, index))
        except Closed:
            ended = True
            break
    nonces = peer.received_nonces
    if len(nonces) < 2:
        t.see("closed", "the connection ended before the form of the nonces could be seen")
    elif len({nonce[:8] for nonce in nonces}) == 1:
        if ended:
            t.see("closed", "the connection ended although its nonces are counted")
    elif not ended:
        t.see("accepted", "more than 2^32 frames under random nonces")


@case(
    "seal.nonce.any",
    "Every nonce of the peer is accepted",
    params={"enc": ON, "nonce": ("zeros", "ones", "random")},
    reqs="SE-007",
    expect="conforms",
    positive=True,
    tags=("interop",),
    why="A sender may choose its nonces in any way.",
    hint="Use the 12 bytes unchanged.",
)
def nonce_any(t: Context) -> None:
    peer = t.open()
    nonce = {"zeros": bytes(12), "ones": b"\xff" * 12, "random": t.payload(12, "nonce")}[t.p.nonce]
    t.will_deliver(5, b"any nonce")
    peer.raw(peer.frame_of(5, b"any nonce", nonce), f"message under the nonce {nonce.hex()}")
    t.expect_echo(peer, 5, b"any nonce")


@case(
    "seal.reflected",
    "A frame reflected to its sender is rejected",
    params={"enc": ON},
    level="should",
    reqs="SE-013",
    expect="closed",
    also="delivered+ignored ignored",
    tags=("security",),
    why="Both directions use one key, so a reflected frame opens.",
    hint="Refuse frames with a nonce that you have used.",
)
def reflected(t: Context) -> None:
    peer = t.open()
    t.send(peer, 5, b"mirror")
    body = peer.receive_body()
    peer.raw(codec.frame(body), "the echo, sent back as it came")
    t.settle(peer)


@case(
    "seal.tag.pair",
    "Two bytes of the tag changed alike do not cancel out",
    params={"enc": ON, "at": ("0+1", "0+15", "7+8", "14+15")},
    reqs="SE-010 SE-011",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="A comparison that adds or XORs differences misses those that cancel out.",
    hint="Combine the differences of the bytes with OR.",
)
def tag_pair(t: Context) -> None:
    def change(body: bytearray) -> bytearray:
        for at in map(int, t.p.at.split("+")):
            body[at - 16] ^= 0x55
        return body

    tamper(t, change, f"bytes {t.p.at} of the tag changed by the same pattern")


@case(
    "seal.tag.large",
    "One wrong bit in the last byte of the tag of a large message, and nothing is delivered",
    params={"enc": ON, "size": (65536, 70000, 300000)},
    config=lambda **_: {"maximum": 1 << 20},
    reqs="SE-010 SE-011",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="Decryption in parts must check the tag at its end.",
    hint="Deliver nothing before the complete tag was compared.",
)
def tag_large(t: Context) -> None:
    tamper(t, flip(-1), "the last byte of the tag changed", t.p.size)


@case(
    "seal.reflected.earlier",
    "An earlier frame reflected to its sender is rejected",
    params={"enc": ON},
    level="should",
    reqs="SE-013",
    expect="closed",
    also="delivered+ignored ignored",
    tags=("security",),
    why="An implementation that remembers only its last nonce accepts an earlier one.",
    hint="Recognise your own prefix, not only your last nonce.",
)
def reflected_earlier(t: Context) -> None:
    peer = t.open()
    bodies = []
    for index in range(3):
        t.send(peer, 5, t.payload(9, index))
        bodies.append(peer.receive_body())
    peer.raw(codec.frame(bodies[0]), "the first of three echoes, sent back as it came")
    t.settle(peer)


@case(
    "seal.replayed",
    "A repeated frame does no harm",
    params={"enc": ON},
    level="may",
    reqs="SE-014 SC-001",
    expect="closed delivered+ignored ignored",
    tags=("security",),
    why="The format has no sequence numbers; an implementation may still detect the repetition.",
    hint="Refusing a nonce that was received before is allowed.",
)
def replayed(t: Context) -> None:
    peer = t.open()
    data = t.payload(11)
    frame = peer.frame_of(5, data)
    t.will_deliver(5, data)
    peer.raw(frame, "a message")
    t.expect_echo(peer, 5, data)
    peer.raw(frame, "the same frame again")
    marker = t.sentinel()
    try:
        peer.send(*marker)
        message = peer.receive()
        if message == (5, data):
            t.see("delivered", "the replayed message was delivered again")
            t.will_deliver(5, data)
            message = peer.receive()
        t.see("ignored" if message == marker else "altered")
    except Closed:
        t.see("closed")


@case(
    "seal.key.fresh",
    "Two connections never have the same key",
    params={"enc": ON},
    reqs="KD-001 CN-016",
    expect="closed",
    also=LENIENT,
    tags=("security",),
    why="A frame recorded on one connection must not open on the next.",
    hint="New key pairs for every connection.",
)
def key_fresh(t: Context) -> None:
    first = t.open()
    recorded = first.frame_of(9, t.payload(9))
    t.exchange(first, 5, b"first connection")
    first.wire.finish(t.timeout)
    second = t.open()
    second.raw(recorded, "a frame recorded on an earlier connection")
    t.settle(second)

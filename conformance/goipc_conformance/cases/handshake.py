# SPDX-License-Identifier: MIT
"""The six messages before the first frame."""

from typing import Any

from .. import codec
from ..adapter.subject import Unsupported
from ..case import ENC, case
from ..context import Context, Verdictless
from ..peer import Peer
from ..wire import Closed, Cuts, Silent

QUIET = 0.05  # how long silence is watched where sending would be wrong

SERVER, CLIENT = ("server",), ("client",)


def expect_silence(t: Context, peer: Peer, moment: str) -> None:
    early = peer.wire.waiting(QUIET)
    if early:
        t.see("sent", f"{len(early)} bytes came {moment}: {early[:40].hex()}")


# A server under test


@case(
    "hs.hello.first",
    "The server sends HELLO first, without waiting for a byte",
    roles=SERVER,
    params={"enc": ENC},
    reqs="HS-008 HS-009 HS-010 CN-001",
    expect="conforms",
    positive=True,
    liveness=False,
    group=1,
    why="Otherwise both sides wait for each other forever.",
    hint="Send 02 and the encryption flag as soon as the connection is accepted.",
)
def hello_first(t: Context) -> None:
    t.begin().check_hello()


@case(
    "hs.hello.alone",
    "Nothing follows HELLO before HELLO_REPLY",
    roles=SERVER,
    params={"enc": ENC},
    reqs="HS-001 HS-025 HS-030",
    expect="conforms",
    liveness=False,
    why="Peers that use single reads treat the following bytes as a part of HELLO.",
    hint="Send the public key, or the limit, only after the reply byte 0.",
)
def hello_alone(t: Context) -> None:
    peer = t.begin()
    peer.check_hello()
    expect_silence(t, peer, "before the reply")


@case(
    "hs.complete",
    "A complete handshake, then a message and its echo",
    params={"enc": ENC},
    reqs="HS-001 HS-019 HS-025 HS-027 HS-030 HS-031 HS-035 KD-004 KD-011 SE-001 SE-002 SE-003 FR-002 FR-008",
    expect="conforms",
    positive=True,
    liveness=False,
    group=1,
    why="All further communication depends on it.",
    hint="Compare with the worked session in the specification's appendix, byte by byte.",
)
def complete(t: Context) -> None:
    peer = t.open()
    t.opened()
    t.exchange(peer, 5, b"hello")


@case(
    "hs.hello-reply.version",
    "Reply 1 (version mismatch) ends the connection",
    roles=SERVER,
    params={"enc": ENC},
    reqs="HS-021 ER-003 CN-003",
    expect="closed",
    why="The client has given up: keeping the connection leaks it, and other clients must be served.",
    hint="Close this connection only; the listener stays.",
)
def reply_version(t: Context) -> None:
    peer = t.begin().handshake(until="hello-reply")
    peer.send_hello_reply(codec.REPLY_VERSION)
    t.settle_handshake(peer)


@case(
    "hs.hello-reply.encryption",
    "Reply 2 (encryption required) ends the connection",
    roles=SERVER,
    params={"enc": ENC},
    reqs="HS-022 ER-003 CN-003",
    expect="closed",
    why="The client has given up: other clients must be served.",
    hint="Close this connection only; the listener stays.",
)
def reply_encryption(t: Context) -> None:
    peer = t.begin().handshake(until="hello-reply")
    peer.send_hello_reply(codec.REPLY_ENCRYPTION)
    t.settle_handshake(peer)


@case(
    "hs.hello-reply.unknown",
    "A reply that is not 0, 1 or 2 ends the connection",
    roles=SERVER,
    params={"enc": ENC, "value": (3, 4, 127, 128, 255)},
    reqs="HS-023 ER-003 CN-003",
    expect="closed",
    why="An unknown reply is not an acceptance.",
    hint="Compare with 0; everything else is a refusal.",
)
def reply_unknown(t: Context) -> None:
    peer = t.begin().handshake(until="hello-reply")
    peer.send_hello_reply(t.p.value)
    t.settle_handshake(peer)


@case(
    "hs.key.lock-step",
    "The limit does not come before the client's key",
    roles=SERVER,
    params={"enc": ("on",)},
    reqs="HS-001 HS-031",
    expect="conforms",
    liveness=False,
    why="The limit is sealed with a key that needs the client's public key.",
    hint="Read 97 bytes before sending the limit.",
)
def key_lock_step(t: Context) -> None:
    peer = t.begin().handshake(until="client-key")
    expect_silence(t, peer, "between the two keys")


@case(
    "hs.key.early",
    "The client's key may come together with the reply",
    roles=SERVER,
    params={"enc": ("on",)},
    reqs="HS-004 HS-026 HS-028",
    expect="conforms",
    positive=True,
    tags=("interop",),
    why="A widespread fork of golang-ipc sends its key directly after the reply.",
    hint="Take exactly one byte for the reply and leave the rest in the buffer.",
)
def key_early(t: Context) -> None:
    peer = t.begin()
    peer.check_hello()
    peer.raw(b"\0" + peer.make_private().public, "reply 0 and client key in one write")
    peer.read_key()
    peer.derive()
    peer.read_limit()
    peer.send_limit_reply()
    t.exchange(peer, 5, b"early")


@case(
    "hs.key.early-apart",
    "The client's key may come before the server's is read",
    roles=SERVER,
    params={"enc": ("on",)},
    reqs="HS-026 HS-028 HS-002",
    expect="conforms",
    positive=True,
    why="The protocol fixes the order within a direction, not between the two.",
    hint="Do not discard what arrived before you sent your own key.",
)
def key_early_apart(t: Context) -> None:
    peer = t.begin()
    peer.check_hello()
    peer.raw(b"\0" + peer.make_private().public, "HELLO_REPLY and CLIENT_KEY", Cuts(at=(1, 40)))
    peer.read_key()
    peer.derive()
    peer.read_limit()
    peer.send_limit_reply()
    t.exchange(peer, 5, b"early, in pieces")


@case(
    "hs.pipeline.plain",
    "A plain client may send everything at once",
    roles=SERVER,
    params={"enc": ("off",)},
    reqs="HS-004 HS-038 HS-039",
    expect="conforms",
    positive=True,
    tags=("interop",),
    why="Early bytes belong to the next message; if they are lost, the connection stalls.",
    hint="Keep a buffer per connection across the steps of the handshake.",
)
def pipeline_plain(t: Context) -> None:
    peer = t.begin()
    peer.raw(b"\0\0" + t.frame(peer, 7, b"first"), "HELLO_REPLY, LIMIT_REPLY and a message in one write")
    peer.check_hello()
    peer.read_limit()
    peer.handshaken = True
    t.expect_echo(peer, 7, b"first")


@case(
    "hs.limit-reply.with-message",
    "Messages may follow LIMIT_REPLY in the same write",
    roles=SERVER,
    params={"enc": ENC, "count": (1, 3)},
    reqs="HS-004 HS-038 HS-039 FR-009",
    expect="conforms",
    positive=True,
    why="One read may return the last byte of the handshake and the first frame.",
    hint="Decode the bytes after LIMIT_REPLY as frames.",
)
def final_with_message(t: Context) -> None:
    peer = t.begin().handshake(until="limit-reply")
    messages = [(10 + index, t.payload(20 + index, index)) for index in range(t.p.count)]
    peer.raw(b"\0" + b"".join(t.frame(peer, *message) for message in messages), "LIMIT_REPLY and messages")
    peer.handshaken = True
    for message in messages:
        t.expect_echo(peer, *message)


@case(
    "hs.limit-reply.any-value",
    "Every value of LIMIT_REPLY is accepted",
    roles=SERVER,
    params={"enc": ENC, "value": (0, 1, 2, 7, 255)},
    reqs="HS-036",
    expect="conforms",
    positive=True,
    why="golang-ipc ignores the value, so some clients send other values.",
    hint="Read the byte and ignore its value.",
)
def final_any_value(t: Context) -> None:
    peer = t.begin()
    peer.handshake(limit_reply=t.p.value)
    t.exchange(peer, 5, b"any value")


@case(
    "hs.limit-reply.needed",
    "No frame comes before LIMIT_REPLY",
    roles=SERVER,
    params={"enc": ENC},
    adapter_level=1,
    reqs="HS-037",
    expect="conforms",
    why="A client that has not finished its handshake would read a frame as its answer.",
    hint="Accept messages for a connection only when its handshake is complete.",
)
def limit_reply_needed(t: Context) -> None:
    peer = t.begin().handshake(until="limit-reply")
    try:
        reply = t.call("send", type=5, data="616263")
    except Unsupported:
        reply = {"ok": False}
    expect_silence(t, peer, "before LIMIT_REPLY")
    peer.send_limit_reply()
    if reply["ok"]:
        t.expect_echo(peer, 5, b"abc")  # kept until now, which is as good as refusing it
    t.exchange(peer, 6, b"after")


@case(
    "hs.client.split-key",
    "The client's key may arrive in any pieces",
    roles=SERVER,
    params={"enc": ("on",), "at": (1, 48, 50, 96, "every-byte")},
    reqs="HS-002 FR-003",
    expect="conforms",
    positive=True,
    why="A stream has no message boundaries; a single read may return any part.",
    hint="Read in a loop until 97 bytes are there.",
)
def split_key(t: Context) -> None:
    peer = t.open(cuts=Cuts(every=1) if t.p.at == "every-byte" else Cuts(at=(t.p.at,)))
    t.exchange(peer, 5, b"pieces")


@case(
    "hs.close.at",
    "A client that disconnects during the handshake does not affect others",
    roles=SERVER,
    params={
        "enc": ENC,
        "step": ("connected", "hello", "reply", "half-key", "key", "limit"),
        "how": ("end", "abort"),
    },
    when=lambda role, enc, step, how: enc == "on" or step not in ("half-key", "key"),
    reqs="HS-005 CN-003 CN-006 SC-001 CL-007",
    expect="closed conforms",
    tags=("dos",),
    why="A port scanner or a crashed client must not end the service.",
    hint="Close the connection that failed; keep the listener and its socket file.",
)
def close_at(t: Context) -> None:
    peer = t.begin()
    step = t.p.step
    if step != "connected":
        peer.check_hello()
    if step in ("reply", "half-key", "key", "limit"):
        peer.send_hello_reply()
    if step in ("half-key", "key") or (step == "limit" and t.encrypted):
        peer.read_key()
        public = peer.make_private().public
        peer.raw(public[:50] if step == "half-key" else public, "CLIENT_KEY")
    if step == "limit":
        if t.encrypted:
            peer.derive()
        peer.read_limit()
    if t.p.how == "abort":
        peer.wire.close()
        return
    peer.wire.finish_sending()
    try:
        peer.wire.wait_end()
        t.see("closed")
    except Silent as error:
        t.see("wedged", f"the connection stays open after ours ended ({error})")


@case(
    "hs.stall.others",
    "A silent client does not delay other clients",
    roles=SERVER,
    params={"enc": ENC, "step": ("hello", "reply", "key")},
    when=lambda role, enc, step: enc == "on" or step != "key",
    reqs="CN-001 CN-002 CN-005 HS-008",
    expect="conforms",
    tags=("dos",),
    liveness=False,
    why="Otherwise a client could stop the service by sending nothing.",
    hint="Accept and send HELLO (or refuse by closing) independently of the other connections.",
)
def stall_others(t: Context) -> None:
    first = t.begin()
    first.check_hello()
    if t.p.step in ("reply", "key"):
        first.send_hello_reply()
    if t.p.step == "key":
        first.read_key()
    second = t.begin()
    try:
        second.check_hello()
    except Closed as error:
        if error.partial:
            t.see("sent", "a connection that is refused was sent bytes")


@case(
    "hs.stall.timeout",
    "A stalled handshake is ended",
    needs=("handshake-timeout",),
    params={"enc": ENC, "step": ("start", "middle")},
    config=lambda **_: {"handshake_timeout_ms": 400},
    adapter_level=1,
    reqs="HS-006 HS-007",
    expect="closed",
    tags=("dos",),
    why="Unfinished connections accumulate until the resources are exhausted.",
    hint="One deadline per connection, set when it is made.",
)
def stall_timeout(t: Context) -> None:
    peer = t.begin()
    if t.role == "server":
        peer.check_hello()
        if t.p.step == "middle":
            peer.send_hello_reply()
            if t.encrypted:
                peer.read_key()
            else:
                peer.read_limit()
    elif t.p.step == "middle":
        peer.send_hello()
        peer.check_hello_reply()
    t.settle_handshake(peer)


@case(
    "hs.stall.drip",
    "Slowly sent bytes do not extend the handshake timeout",
    needs=("handshake-timeout",),
    adapter_level=1,
    params={"enc": ("on",)},
    config=lambda **_: {"handshake_timeout_ms": 400},
    reqs="HS-006",
    expect="closed",
    tags=("dos",),
    why="A timeout that restarts with every byte never expires.",
    hint="Measure from the start of the connection.",
)
def stall_drip(t: Context) -> None:
    peer = t.begin()
    if t.role == "server":
        peer.check_hello()
        peer.send_hello_reply()
        peer.read_key()
    else:
        peer.send_hello()
        peer.check_hello_reply()
    public = peer.make_private().public
    # 96 bytes at 60 ms take 5.8 s: far beyond the deadline, which has to strike on the way.
    for index in range(len(public) - 1):
        if peer.wire.ended_within(0.06):
            break
        peer.raw(public[index : index + 1], "one byte of the key")
    else:
        t.see("wedged", "the handshake went on for more than 5 s of single bytes, with 0.4 s for all of it")
        return
    t.settle_handshake(peer, allow=b"")


@case(
    "hs.one-write",
    "Each message of the handshake leaves in one write",
    params={"enc": ENC},
    reqs="HS-003",
    expect="conforms",
    tags=("interop",),
    liveness=False,
    why="golang-ipc reads each message with a single read, so of two writes it gets only the first.",
    hint="Assemble each message in a buffer and write it once.",
)
def one_write(t: Context) -> None:
    peer = t.begin()

    def whole(size: int, label: str) -> None:
        seen = peer.wire.first_arrival(size)
        if seen < size:
            t.see("split", f"the {label} of {size} bytes came with only {seen} bytes at first")

    if t.role == "server":
        whole(2, "hello")
        peer.check_hello()
        peer.send_hello_reply()
        if t.encrypted:
            whole(97, "key")
            peer.read_key()
            peer.avoid_leading_zero()
            peer.send_key()
            peer.derive()
        whole(36 if t.encrypted else 8, "limit")
        peer.read_limit()
        peer.send_limit_reply()
    else:
        peer.send_hello()
        peer.check_hello_reply()
        if t.encrypted:
            peer.send_key()
            whole(97, "key")
            peer.read_key()
            peer.derive()
        peer.send_limit()
        peer.read_limit_reply()
    t.exchange(peer, 5, b"whole")


# A client under test


def offer(t: Context, version: int, flag: int, policy: str, encrypted: bool | None = None) -> Any:
    """Sends an odd HELLO and records the client's HELLO_REPLY."""
    peer = t.begin(policy=policy, encrypted=encrypted)
    peer.send_hello(version, flag)
    reply = peer.read_hello_reply()
    if reply == codec.REPLY_OK:
        t.see("accepted", f"the client replied 0 to version {version}, encryption {flag}")
    else:
        t.see(f"reply:{reply}", f"the client replied {reply} to version {version}, encryption {flag}")
        t.settle_handshake(peer)
    return peer


@case(
    "hs.version.refused",
    "A client refuses another protocol version with reply 1",
    roles=CLIENT,
    params={"enc": ENC, "version": (0, 1, 3, 255)},
    reqs="HS-017 HS-020 HS-024 ER-003",
    expect="reply:1+closed",
    why="In another version the following bytes may have another meaning.",
    hint="Reply 1 and close; do not leave closing to the server or a garbage collector.",
)
def version_refused(t: Context) -> None:
    offer(t, t.p.version, int(t.encrypted), "required" if t.encrypted else "off")


@case(
    "hs.version.before-flag",
    "The version is checked before the encryption flag",
    roles=CLIENT,
    params={"version": (1, 3), "flag": (0, 2, 255)},
    reqs="HS-017",
    expect="reply:1+closed",
    why="The meaning of the second byte depends on the first.",
    hint="Check the version first.",
)
def version_before_flag(t: Context) -> None:
    offer(t, t.p.version, t.p.flag, "required")


@case(
    "hs.flag.downgrade",
    "A client that requires encryption refuses a plain server with reply 2",
    roles=CLIENT,
    params={"enc": ("on",)},
    reqs="HS-012 HS-024 ER-003",
    expect="reply:2+closed",
    tags=("security",),
    why="Otherwise one unauthenticated byte disables encryption.",
    hint="Compare the flag with the configuration before replying.",
)
def flag_downgrade(t: Context) -> None:
    offer(t, codec.PROTOCOL_VERSION, codec.PLAIN, "required")


@case(
    "hs.flag.upgrade",
    "A client without encryption refuses an encrypting server with reply 2",
    roles=CLIENT,
    params={"enc": ("off",)},
    reqs="HS-013 HS-024",
    expect="reply:2+closed",
    also="accepted",
    needs=("enc", "plain"),
    why="A client that continues in plain text reads the server's key as a frame.",
    hint="Reply 2 and close, or encrypt; never continue in plain text.",
)
def flag_upgrade(t: Context) -> None:
    offer(t, codec.PROTOCOL_VERSION, codec.ENCRYPTED, "off", encrypted=True)


@case(
    "hs.flag.unknown",
    "A client refuses an encryption flag it does not know with reply 2",
    roles=CLIENT,
    params={"enc": ("on",), "flag": (2, 7, 128, 255), "policy": ("required", "optional")},
    when=lambda role, enc, flag, policy: policy == "required" or flag in (2, 255),
    reqs="HS-014 HS-020 HS-024",
    expect="reply:2+closed",
    also="accepted",
    why="Other values than 0 and 1 are reserved for later versions.",
    hint="Accept 1 as encrypted and 0 as plain, nothing else.",
)
def flag_unknown(t: Context) -> None:
    if t.p.policy == "optional" and t.control and "enc-optional" not in t.subject.caps:
        raise Verdictless("the adapter does not declare 'enc-optional'")
    if t.p.policy == "optional" and not t.control:
        raise Verdictless("needs an adapter of level 1")
    offer(t, codec.PROTOCOL_VERSION, t.p.flag, t.p.policy)


@case(
    "hs.encryption.default",
    "Encryption is on by default",
    adapter_level=1,
    own_server=True,
    needs=("enc-default",),
    level="should",
    params={"enc": ("on",)},
    reqs="HS-011 HS-016",
    expect="conforms reply:2+closed",
    tags=("security",),
    why="An application that sets nothing must not send plain text.",
    hint="Make the safe value the default of the setting.",
)
def encryption_default(t: Context) -> None:
    if t.role == "server":
        t.serve(encryption="default")
        t.exchange(t.open(), 5, b"unasked")
    else:
        offer(t, codec.PROTOCOL_VERSION, codec.PLAIN, "default")


@case(
    "hs.flag.optional",
    "A client with optional encryption accepts both flags",
    roles=CLIENT,
    adapter_level=1,
    params={"enc": ENC},
    needs=("enc-optional",),
    reqs="HS-015",
    expect="conforms",
    positive=True,
    why="This is how a client follows the server's choice.",
    hint="Reply 0 to flag 0 and to flag 1.",
)
def flag_optional(t: Context) -> None:
    peer = t.open(policy="optional")
    t.opened()
    t.exchange(peer, 5, b"optional")


@case(
    "hs.hello.split",
    "HELLO may arrive in two pieces",
    roles=CLIENT,
    params={"enc": ENC},
    reqs="HS-002 HS-018 FR-003",
    expect="conforms",
    positive=True,
    tags=("security",),
    why="A client that acts on one byte reads the missing flag as 0, and sends plain text.",
    hint="Read two bytes in a loop before deciding anything.",
)
def hello_split(t: Context) -> None:
    peer = t.begin()
    peer.raw(bytes([codec.PROTOCOL_VERSION]), "first byte of HELLO")
    peer.wire.wait_consumed()
    expect_silence(t, peer, "after one byte of HELLO")
    peer.raw(bytes([int(t.encrypted)]), "second byte of HELLO")
    peer.check_hello_reply()
    if t.encrypted:
        peer.send_key()
        peer.read_key()
        peer.derive()
    peer.send_limit()
    peer.read_limit_reply()
    t.exchange(peer, 5, b"two pieces")


@case(
    "hs.server.split",
    "The server's messages may arrive in any pieces",
    roles=CLIENT,
    params={"enc": ENC, "at": (1, 2, 4, 6, 50, "every-byte")},
    when=lambda role, enc, at: enc == "on" or at != 50,
    reqs="HS-002 FR-003",
    expect="conforms",
    positive=True,
    why="A stream has no message boundaries; a single read may return any part.",
    hint="Read each message of the handshake in a loop until it is complete.",
)
def server_split(t: Context) -> None:
    peer = t.open(cuts=Cuts(every=1) if t.p.at == "every-byte" else Cuts(at=(t.p.at,)))
    t.opened()
    t.exchange(peer, 5, b"pieces")


@case(
    "hs.server.coalesced",
    "Bytes that the server sends early belong to the next message",
    roles=CLIENT,
    params={"enc": ENC},
    reqs="HS-002 HS-004",
    expect="conforms",
    positive=True,
    why="Two messages may arrive in one read.",
    hint="Take exactly two bytes for HELLO and keep the rest.",
)
def server_coalesced(t: Context) -> None:
    peer = t.begin()
    if t.encrypted:
        peer.raw(b"\x02\x01" + peer.make_private().public, "HELLO and SERVER_KEY in one write")
        peer.check_hello_reply()
        peer.read_key()
        peer.derive()
        peer.send_limit()
    else:
        peer.raw(b"\x02\x00" + peer.limit_frame(peer.limit), "HELLO and LIMIT in one write")
        peer.check_hello_reply()
    peer.read_limit_reply()
    t.exchange(peer, 5, b"coalesced")


@case(
    "hs.client.waits",
    "The client sends no message early",
    roles=CLIENT,
    params={"enc": ENC},
    reqs="HS-001 HS-032 HS-029 VR-003",
    expect="conforms",
    liveness=False,
    why="The server would read early bytes as the next message of the handshake.",
    hint="Send LIMIT_REPLY only after the limit has been read and accepted.",
)
def client_waits(t: Context) -> None:
    peer = t.begin()
    expect_silence(t, peer, "before HELLO")
    peer.send_hello()
    peer.check_hello_reply()
    if t.encrypted:
        peer.send_key()
        peer.read_key()
        peer.derive()
    expect_silence(t, peer, "before the limit")


@case(
    "hs.client.limit-reply-zero",
    "The client's LIMIT_REPLY is 0, and no bytes follow",
    roles=CLIENT,
    params={"enc": ENC},
    reqs="HS-035 VR-003",
    expect="conforms",
    liveness=False,
    why="Other values are not defined; servers that look at the byte would refuse.",
    hint="Send 00.",
)
def client_final_zero(t: Context) -> None:
    peer = t.begin().handshake(until="limit-reply")
    value = peer.read_limit_reply()
    if value != 0:
        t.see("malformed", f"LIMIT_REPLY is {value}")
    t.opened()
    expect_silence(t, peer, "after LIMIT_REPLY though the application sent nothing")


@case(
    "hs.limit.length",
    "A limit frame of another length than 4 (32 when sealed) ends the connection",
    roles=CLIENT,
    params={"enc": ENC, "length": (0, 1, 3, 5, 8, 31, 33, 0x7FFFFFFF, 0xFFFFFFFF)},
    reqs="HS-034 FR-007 SC-001",
    expect="closed",
    tags=("dos",),
    why="Otherwise a client uses a wrong limit, or waits for gigabytes.",
    hint="Check the length as soon as its four bytes have arrived.",
)
def limit_length(t: Context) -> None:
    peer = t.begin().handshake(until="limit")
    peer.raw(codec.u32(t.p.length) + bytes(min(t.p.length, 40)), f"limit of length {t.p.length}")
    t.settle_handshake(peer)


@case(
    "hs.limit.tampered",
    "A sealed limit that does not open ends the connection",
    roles=CLIENT,
    params={"enc": ("on",), "part": ("nonce", "ciphertext", "tag")},
    reqs="HS-033 SE-010 SE-011",
    expect="closed",
    tags=("security",),
    why="It is the first proof that both sides have the same key.",
    hint="Verify the tag before using the value.",
)
def limit_tampered(t: Context) -> None:
    peer = t.begin().handshake(until="limit")
    at = {"nonce": 0, "ciphertext": 12, "tag": 31}[t.p.part]
    body = bytearray(peer.body_of(codec.u32(peer.limit)))
    body[at] ^= 1
    peer.raw(codec.frame(bytes(body)), f"limit with one bit changed in the {t.p.part}")
    t.settle_handshake(peer)


@case(
    "hs.limit.any-value",
    "Every announced limit is accepted",
    roles=CLIENT,
    params={"enc": ENC, "value": (0, 1, 1023, 3145728, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)},
    reqs="LM-010 LM-013 FR-014",
    expect="conforms",
    positive=True,
    why="A server may announce any limit; signed arithmetic must not make it negative.",
    hint="Keep the limit as an unsigned number; 0 means that only empty messages may be sent.",
)
def limit_any_value(t: Context) -> None:
    peer = t.begin().handshake(limit=t.p.value)
    t.opened()
    t.exchange(peer, 5, b"")


@case(
    "hs.server.leaves",
    "A client survives a server that disconnects during the handshake",
    roles=CLIENT,
    params={"enc": ENC, "step": ("connected", "half-hello", "reply", "half-key", "key", "half-limit", "limit")},
    when=lambda role, enc, step: enc == "on" or step not in ("half-key", "key"),
    reqs="HS-005 SC-001 ER-001",
    expect="closed",
    tags=("dos",),
    why="Servers crash. A client that hangs or crashes, too, stops its application.",
    hint="Treat the end of the stream at any byte as a failed connection.",
)
def server_leaves(t: Context) -> None:
    peer = t.begin()
    step = t.p.step
    if step == "half-hello":
        peer.raw(b"\x02", "half HELLO")
    elif step != "connected":
        peer.send_hello()
        peer.check_hello_reply()
        if step == "half-key":
            peer.raw(peer.make_private().public[:50], "half the key")
        elif t.encrypted and step in ("key", "half-limit", "limit"):
            peer.send_key()
            peer.read_key()
            peer.derive()
        if step in ("half-limit", "limit"):
            whole = peer.limit_frame(peer.limit)
            while t.encrypted and whole[-1] != 0:  # else a peer that pads with zeros opens it
                whole = peer.limit_frame(peer.limit)
            peer.raw(whole[:6] if step == "half-limit" else whole[:-1], "a part of the limit")
    peer.wire.finish_sending()
    t.settle_handshake(peer, allow=peer.wire.waiting(0)[:97])

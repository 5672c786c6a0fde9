# SPDX-License-Identifier: MIT
"""The protocol's functions, written from spec/goipc.md as plainly as possible.

This is the oracle behind the vectors. It shares no code with the C library nor with the conformance
suite; the primitives come from the `cryptography` package.
"""

from __future__ import annotations

import hashlib

import p384
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PLAIN_OVERHEAD = 4
SEALED_OVERHEAD = 32


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def strip(x: bytes) -> bytes:
    return x.lstrip(b"\0")


def derive_key(x: bytes, fixed: bool = False) -> bytes:
    return hashlib.sha256(x if fixed else strip(x)).digest()


def public_key(private: bytes) -> bytes:
    numbers = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP384R1())
    point = numbers.public_key().public_numbers()
    return p384.encode(point.x, point.y)


def point_fault(public: bytes) -> str | None:
    """Which check of Section 8.3 refuses these bytes; None when the key is valid."""
    if len(public) != 97:
        return "KD-004"
    if public[0] != 4:
        return "KD-006"
    x, y = int.from_bytes(public[1:49], "big"), int.from_bytes(public[49:], "big")
    if x >= p384.P or y >= p384.P:
        return "KD-007"
    if not p384.on_curve(x, y):
        return "KD-008"
    return None


def shared_x(private: bytes, peer: bytes) -> bytes:
    own = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP384R1())
    other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), peer)
    return own.exchange(ec.ECDH(), other)


def seal_body(key: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    return nonce + AESGCM(key).encrypt(nonce, plaintext, None)


def open_body(key: bytes, body: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(body[:12], body[12:], None)
    except InvalidTag:
        return None


def frame(body: bytes) -> bytes:
    return u32(len(body)) + body


def plain_frame(kind: int, data: bytes) -> bytes:
    return frame(u32(kind) + data)


def sealed_frame(key: bytes, nonce: bytes, kind: int, data: bytes) -> bytes:
    return frame(seal_body(key, nonce, u32(kind) + data))


class Receiver:
    """One role of a session as Section 12 has it: bytes in, events and output out."""

    def __init__(self, role, encryption, limit, draws=(), tolerant=True, reflect=True):
        self.role, self.encryption, self.limit = role, encryption, limit
        self.draws = list(draws)
        self.tolerant, self.reflect = tolerant, reflect
        self.input, self.output, self.events = b"", b"", []
        self.state = "WAIT_REPLY" if role == "server" else "WAIT_HELLO"
        self.sealed = encryption == "on"
        self.key = self.other_key = None
        self.announced = None
        self.sent = 0
        if role == "server":
            self.output += bytes([2, int(self.sealed)])

    def draw(self, size: int) -> bytes:
        value = self.draws.pop(0)
        assert len(value) == size
        return value

    def nonce(self) -> bytes:
        value = self.prefix + u32(self.sent)
        self.sent += 1
        return value

    def fail(self, name: str, reply: bytes = b"") -> None:
        self.output += reply
        self.events.append({"event": "failed", "class": name})
        self.state = "CLOSED"

    def connected(self) -> None:
        self.events.append({"event": "connected"})
        self.state = "OPEN"

    def feed(self, data: bytes) -> None:
        self.input += data
        while self.state != "CLOSED" and self.step():
            pass

    def end(self) -> None:
        if self.state == "CLOSED":
            return
        if self.state == "OPEN":
            if self.input:
                self.fail("framing")
            else:
                self.events.append({"event": "closed"})
                self.state = "CLOSED"
            return
        self.fail("closed")

    def take(self, size: int) -> bytes | None:
        if len(self.input) < size:
            return None
        taken, self.input = self.input[:size], self.input[size:]
        return taken

    def step(self) -> bool:
        return getattr(self, "on_" + self.state.lower())()

    # --- handshake -----------------------------------------------------------------------------

    def make_pair(self) -> None:
        self.private = self.draw(48)
        self.public = public_key(self.private)

    def agree(self, peer: bytes) -> None:
        x = shared_x(self.private, peer)
        self.key = derive_key(x)
        if x[0] == 0 and self.tolerant:
            self.other_key = derive_key(x, fixed=True)
        prefix = bytearray(self.draw(8))
        prefix[0] = prefix[0] | 0x80 if self.role == "server" else prefix[0] & 0x7F
        self.prefix = bytes(prefix)

    def on_wait_hello(self) -> bool:
        hello = self.take(2)
        if hello is None:
            return False
        flags = {"required": (1,), "optional": (0, 1), "off": (0,)}[self.encryption]
        if hello[0] != 2:
            self.fail("version", b"\1")
        elif hello[1] not in flags:
            self.fail("encryption", b"\2")
        else:
            self.sealed = hello[1] == 1
            self.output += b"\0"
            self.state = "WAIT_KEY" if self.sealed else "WAIT_LIMIT"
        return True

    def on_wait_reply(self) -> bool:
        reply = self.take(1)
        if reply is None:
            return False
        if reply[0]:
            self.fail({1: "version", 2: "encryption"}.get(reply[0], "other"))
        elif self.sealed:
            self.make_pair()
            self.output += self.public
            self.state = "WAIT_KEY"
        else:
            self.output += frame(u32(self.limit))
            self.state = "WAIT_LIMIT_REPLY"
        return True

    def on_wait_key(self) -> bool:
        peer = self.take(97)
        if peer is None:
            return False
        if point_fault(peer) or (self.role == "server" and peer == self.public):
            self.fail("key")
            return True
        if self.role == "client":
            self.make_pair()
            if peer == self.public:
                self.fail("key")
                return True
            self.output += self.public
        self.agree(peer)
        if self.role == "server":
            self.output += frame(seal_body(self.key, self.nonce(), u32(self.limit)))
            self.state = "WAIT_LIMIT_REPLY"
        else:
            self.state = "WAIT_LIMIT"
        return True

    def on_wait_limit(self) -> bool:
        size = 32 if self.sealed else 4
        if len(self.input) < 4:
            return False
        if self.input[:4] != u32(size):
            self.fail("framing")
            return True
        body = self.take(4 + size)
        if body is None:
            return False
        content = self.open(body[4:]) if self.sealed else body[4:]
        if content is None:
            self.fail("auth")
            return True
        self.announced = int.from_bytes(content, "big")
        self.output += b"\0"
        self.connected()
        return True

    def on_wait_limit_reply(self) -> bool:
        if self.take(1) is None:
            return False
        self.connected()
        return True

    # --- frames --------------------------------------------------------------------------------

    def open(self, body: bytes) -> bytes | None:
        if self.reflect and body[:8] == self.prefix:
            return None
        content = open_body(self.key, body)
        if content is None and self.other_key:
            content = open_body(self.other_key, body)
            if content is not None:
                self.key = self.other_key
        self.other_key = None
        return content

    def on_open(self) -> bool:
        overhead = SEALED_OVERHEAD if self.sealed else PLAIN_OVERHEAD
        if len(self.input) < 4:
            return False
        size = int.from_bytes(self.input[:4], "big")
        if size < overhead:
            self.fail("framing")
            return True
        if size > self.limit + overhead:
            self.fail("too-large")
            return True
        whole = self.take(4 + size)
        if whole is None:
            return False
        content = self.open(whole[4:]) if self.sealed else whole[4:]
        if content is None:
            self.fail("auth")
            return True
        kind = int.from_bytes(content[:4], "big")
        if kind:
            self.events.append({"event": "message", "type": kind, "data": content[4:].hex()})
        return True

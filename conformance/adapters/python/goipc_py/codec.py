# SPDX-License-Identifier: MIT
"""Bytes in memory: frames (Section 10), sealing (Section 9), key agreement (Section 8)."""

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MESSAGE_SIZE_DEFAULT = 3145728
MESSAGE_SIZE_FLOOR = 1024
TYPE_MAX = 2147483647
U32_MAX = 4294967295
NONCE_SIZE, TAG_SIZE = 12, 16
PLAIN_OVERHEAD, SEALED_OVERHEAD = 4, 32
SEALED_COUNT_MAX = 4294967295
P384_PRIVATE_SIZE, P384_PUBLIC_SIZE = 48, 97

P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
B = 0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF


class Error(Exception):
    """An error with a class of Section 13."""

    def __init__(self, kind: str, message: str = ""):
        super().__init__(message or kind)
        self.kind = kind


class Fault(Error):
    """The connection has failed."""


class LocalError(Error):
    """The application asked for something that cannot be done; nothing was sent."""


class Closed(LocalError):
    """There is no open connection, or it was closed in order."""

    def __init__(self, message: str = "the connection is closed"):
        super().__init__("closed", message)


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


# Frames


def check_length(length: int, limit: int, sealed: bool) -> int:
    overhead = SEALED_OVERHEAD if sealed else PLAIN_OVERHEAD
    if length < overhead:
        raise Fault("framing", f"a frame of length {length}, below {overhead}")
    if length > limit + overhead:
        raise Fault("too-large", f"a frame of length {length}, above the limit {limit} and {overhead}")
    return length


def check_message(kind: int, size: int, limit: int, sealed: bool) -> None:
    """What an application may ask to send (MT-002, LM-008, LM-014)."""
    if kind == 0:
        raise LocalError("reserved-type", "type 0 is reserved")
    if not 0 < kind <= U32_MAX:
        raise LocalError("other", "a type has 32 bits")
    overhead = SEALED_OVERHEAD if sealed else PLAIN_OVERHEAD
    if size > min(limit, U32_MAX - overhead):
        raise LocalError("too-large", f"{size} bytes of data, above the limit {limit}")


def plain_frame(kind: int, data: bytes) -> bytes:
    return b"".join((u32(PLAIN_OVERHEAD + len(data)), u32(kind), data))


def split(plaintext: bytes) -> tuple[int, bytes]:
    return int.from_bytes(plaintext[:4], "big"), plaintext[4:]


def read_frame(limit: int, open_body=None):
    """A generator that asks for sizes, is sent bytes, and returns one message, of type 0 too."""
    length = check_length(int.from_bytes((yield 4), "big"), limit, open_body is not None)
    body = yield length
    return split(open_body(body) if open_body else body)


# Sealing


def seal(key: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    sealed = AESGCM(key).encrypt(nonce, plaintext, None)
    return b"".join((u32(NONCE_SIZE + len(sealed)), nonce, sealed))


def open_body(key: bytes, body: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(body[:NONCE_SIZE], memoryview(body)[NONCE_SIZE:], None)
    except InvalidTag:
        raise Fault("auth", "a sealed frame does not open") from None


class Nonces:
    """SE-005: eight bytes drawn once, their first bit for the role, then a counter."""

    def __init__(self, draw, server: bool, count: int = 0):
        prefix = bytearray(draw(8))
        prefix[0] = prefix[0] | 0x80 if server else prefix[0] & 0x7F
        self.prefix = bytes(prefix)
        self.count = count  # of frames sealed so far

    def next(self) -> bytes:
        if self.count >= SEALED_COUNT_MAX:
            raise Fault("other", "no nonce is left for this connection")
        self.count += 1
        return self.prefix + u32(self.count - 1)

    def own(self, nonce: bytes) -> bool:
        return nonce.startswith(self.prefix)


class FixedNonces:
    """Nonces that a test gives."""

    def __init__(self, nonces: list[bytes]):
        self.left = list(nonces)
        self.used: set[bytes] = set()

    def next(self) -> bytes:
        if not self.left:
            raise Fault("other", "no nonce is left for this connection")
        self.used.add(self.left[0])
        return self.left.pop(0)

    def own(self, nonce: bytes) -> bool:
        return nonce in self.used


# Key agreement


def draw_private(draw=secrets.token_bytes) -> bytes:
    while True:
        raw = draw(P384_PRIVATE_SIZE)
        if 0 < int.from_bytes(raw, "big") < N:
            return raw


def private_key(raw: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP384R1())


def public_bytes(private: ec.EllipticCurvePrivateKey) -> bytes:
    point = private.public_key().public_numbers()
    return b"\x04" + point.x.to_bytes(48, "big") + point.y.to_bytes(48, "big")


def check_public(raw: bytes) -> ec.EllipticCurvePublicKey:
    """KD-006 to KD-008; the values are public, so plain integers do no harm."""
    if len(raw) != P384_PUBLIC_SIZE or raw[0] != 4:
        raise Fault("key", "a public key that is not an uncompressed point")
    x, y = int.from_bytes(raw[1:49], "big"), int.from_bytes(raw[49:], "big")
    if x >= P or y >= P:
        raise Fault("key", "a coordinate of the public key is not below p")
    if (y * y - (x * x * x - 3 * x + B)) % P:
        raise Fault("key", "the public key is not a point on the curve")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()


def shared_x(private: ec.EllipticCurvePrivateKey, peer: ec.EllipticCurvePublicKey) -> bytes:
    return private.exchange(ec.ECDH(), peer)


def derive(x: bytes) -> bytes:
    return hashlib.sha256(x.lstrip(b"\0")).digest()


def derive_fixed48(x: bytes) -> bytes:
    return hashlib.sha256(x).digest()

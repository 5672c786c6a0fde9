# SPDX-License-Identifier: MIT
"""P-384 key agreement and the derivation of the session key, with the means to force rare values."""

import hashlib
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP384R1()
FIELD = 2**384 - 2**128 - 2**96 + 2**32 - 1
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
COEFFICIENT_B = 0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF
X_SIZE = 48
# A point with Y = 1: the only kind whose Y plus the field prime still fits 48 bytes.
SMALL_Y_POINT = (0x2261B2BF605C22F2F3AEF6338719B2C486388AD5240719A5257315969EF01BA27F0A104C89704773A81FDABEE6AB5C78, 1)

Point = tuple[int, int]


class InvalidKey(Exception):
    """A public key that is not a point of the curve in uncompressed form."""


def encode_point(point: Point) -> bytes:
    return b"\x04" + point[0].to_bytes(X_SIZE, "big") + point[1].to_bytes(X_SIZE, "big")


def decode_point(data: bytes) -> Point:
    if len(data) != 1 + 2 * X_SIZE or data[0] != 4:
        raise InvalidKey("a public key is 97 bytes and starts with 04")
    x, y = int.from_bytes(data[1 : 1 + X_SIZE], "big"), int.from_bytes(data[1 + X_SIZE :], "big")
    if x >= FIELD or y >= FIELD or (y * y - (x * x * x - 3 * x + COEFFICIENT_B)) % FIELD != 0:
        raise InvalidKey("the public key is not a point of P-384")
    return x, y


class PrivateKey:
    def __init__(self, scalar: int):
        self.scalar = scalar
        self._key = ec.derive_private_key(scalar, CURVE)
        self.public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def shared_x(self, peer_public: bytes) -> bytes:
        """The X coordinate of the shared point, always 48 bytes."""
        peer = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, peer_public)
        return self._key.exchange(ec.ECDH(), peer)


def session_key(shared_x: bytes) -> bytes:
    """golang-ipc hashes the shortest big-endian form of X: leading zero bytes are not part of it."""
    return hashlib.sha256(shared_x.lstrip(b"\0")).digest()


def session_key_padded(shared_x: bytes) -> bytes:
    """What implementations do that hash all 48 bytes; differs for one X in 256."""
    return hashlib.sha256(shared_x).digest()


def scalar_from(*parts: str | int) -> int:
    """A private scalar that depends on nothing but its arguments, so that a run can be repeated."""
    text = "\0".join(str(part) for part in parts)
    wide = hashlib.sha512(text.encode()).digest() + hashlib.sha512(b"more" + text.encode()).digest()
    return int.from_bytes(wide[:80], "big") % (ORDER - 1) + 1


def add(a: Point, b: Point) -> Point:
    """Adds two points that are neither equal nor opposite, which chance guarantees here."""
    slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, FIELD) % FIELD
    x = (slope * slope - a[0] - b[0]) % FIELD
    return x, (slope * (a[0] - x) - a[1]) % FIELD


def double(a: Point) -> Point:
    slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, FIELD) % FIELD
    x = (slope * slope - 2 * a[0]) % FIELD
    return x, (slope * (a[0] - x) - a[1]) % FIELD


def multiply(scalar: int, point: Point) -> Point:
    result = None
    for bit in bin(scalar)[2:]:
        result = double(result) if result else None
        if bit == "1":
            result = add(result, point) if result else point
    assert result is not None
    return result


def _inverses(values: list[int]) -> list[int]:
    """All inverses for the price of one (Montgomery's trick)."""
    products, running = [], 1
    for value in values:
        products.append(running)
        running = running * value % FIELD
    inverse = pow(running, -1, FIELD)
    result = [0] * len(values)
    for index in range(len(values) - 1, -1, -1):
        result[index] = inverse * products[index] % FIELD
        inverse = inverse * values[index] % FIELD
    return result


def _shared_xs(peer: Point, start: int, batch: int = 256) -> Iterator[tuple[int, int]]:
    """(scalar, X of scalar * peer) for start + 1, start + 2, ..., thirty times faster than one by one."""
    table = [peer, double(peer)]
    while len(table) < batch:
        table.append(add(table[-1], peer))
    base, scalar = multiply(start, peer), start
    while True:
        slopes = _inverses([(entry[0] - base[0]) % FIELD for entry in table])
        for index, (entry, inverse) in enumerate(zip(table, slopes)):
            slope = (entry[1] - base[1]) * inverse % FIELD
            yield scalar + index + 1, (slope * slope - base[0] - entry[0]) % FIELD
        base, scalar = add(base, table[-1]), scalar + batch


def private_key_for_leading_zeros(peer_public: bytes, zeros: int, start: int) -> PrivateKey:
    """A key of ours with which the shared X begins with exactly so many zero bytes."""
    found = search_leading_zeros(peer_public, zeros, start, None)
    assert found, "a search without a deadline ends with a key"
    return found


def search_leading_zeros(peer_public: bytes, zeros: int, start: int, deadline: float | None) -> PrivateKey | None:
    """As above, but None after `deadline`, a time of time.monotonic()."""
    bound, floor = 1 << 8 * (X_SIZE - zeros), 1 << 8 * (X_SIZE - zeros - 1)
    for scalar, x in _shared_xs(decode_point(peer_public), start % (ORDER >> 1) + 2):
        if floor <= x < bound:
            return PrivateKey(scalar)
        if deadline is not None and scalar % 64 == 0 and time.monotonic() > deadline:
            return None
    raise AssertionError("unreachable: the sequence does not end")


def point_with_zero_x() -> bytes:
    """(0, sqrt(b)): a true point whose X is nothing but zeros. The field prime is 3 mod 4."""
    return encode_point((0, pow(COEFFICIENT_B, (FIELD + 1) // 4, FIELD)))

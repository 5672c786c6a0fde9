# SPDX-License-Identifier: MIT
"""Key agreement and key derivation (Section 8 of the specification)."""

from __future__ import annotations

import hashlib
import secrets

from cryptography.hazmat.primitives.asymmetric import ec

from .codec import Draw
from .errors import PublicKeyError

P384_PRIVATE_SIZE, P384_PUBLIC_SIZE, P384_SHARED_SIZE = 48, 97, 48

P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
B = 0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF


def draw_private(draw: Draw = secrets.token_bytes) -> bytes:
    """48 bytes of a private key, uniform from 1 to n - 1 (KD-002)."""
    while True:
        raw = draw(P384_PRIVATE_SIZE)
        if 0 < int.from_bytes(raw, "big") < N:
            return raw


def private_key(raw: bytes) -> ec.EllipticCurvePrivateKey:
    """The key of 48 bytes that draw_private gave."""
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP384R1())


def public_bytes(private: ec.EllipticCurvePrivateKey) -> bytes:
    """97 bytes, as a public key stands on the wire (KD-004)."""
    point = private.public_key().public_numbers()
    return b"\x04" + point.x.to_bytes(48, "big") + point.y.to_bytes(48, "big")


def check_public(raw: bytes) -> ec.EllipticCurvePublicKey:
    """KD-006 to KD-008. The values are public, so computing with plain integers gives nothing away.

    Raises PublicKeyError.
    """
    if len(raw) != P384_PUBLIC_SIZE or raw[0] != 4:
        raise PublicKeyError("the peer's public key is not an uncompressed P-384 point")
    x, y = int.from_bytes(raw[1:49], "big"), int.from_bytes(raw[49:], "big")
    if x >= P or y >= P:
        raise PublicKeyError("a coordinate of the peer's public key is not below p")
    if (y * y - (x * x * x - 3 * x + B)) % P:
        raise PublicKeyError("the peer's public key is not a point on P-384")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()


def shared_x(private: ec.EllipticCurvePrivateKey, peer: ec.EllipticCurvePublicKey) -> bytes:
    """48 bytes: the x coordinate of the shared point."""
    return private.exchange(ec.ECDH(), peer)


def derive(x: bytes) -> bytes:
    """The 32-byte key K from X, whose leading zero bytes are removed first (KD-011, KD-012)."""
    return hashlib.sha256(x.lstrip(b"\0")).digest()


def derive_fixed48(x: bytes) -> bytes:
    """The key of the dialect fixed-48 (KD-013, KD-014)."""
    return hashlib.sha256(x).digest()

# SPDX-License-Identifier: MIT
"""The wire format, written out a second time so that the reference implementation has an independent judge."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PROTOCOL_VERSION = 2
PLAIN, ENCRYPTED = 0, 1
REPLY_OK, REPLY_VERSION, REPLY_ENCRYPTION = 0, 1, 2
HELLO_SIZE = 2
LENGTH_SIZE = 4
TYPE_SIZE = 4
NONCE_SIZE = 12
TAG_SIZE = 16
SEAL_SIZE = NONCE_SIZE + TAG_SIZE
PUBLIC_KEY_SIZE = 97
MESSAGE_SIZE_DEFAULT = 3145728
TYPE_CONTROL = 0


class CodecError(Exception):
    """Bytes that are not a well-formed frame."""


def u32(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "big")


def read_u32(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


def frame(body: bytes) -> bytes:
    """A body behind its length."""
    return u32(len(body)) + body


def seal(key: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    return nonce + AESGCM(key).encrypt(nonce, plaintext, None)


def unseal(key: bytes, body: bytes) -> bytes:
    if len(body) < SEAL_SIZE:
        raise CodecError(f"a sealed body of {len(body)} bytes is shorter than nonce and tag ({SEAL_SIZE})")
    try:
        return AESGCM(key).decrypt(body[:NONCE_SIZE], body[NONCE_SIZE:], None)
    except InvalidTag:
        raise CodecError("the tag of a sealed frame does not verify") from None


def message_plaintext(message_type: int, data: bytes) -> bytes:
    return u32(message_type) + data


def split_plaintext(plaintext: bytes) -> tuple[int, bytes]:
    if len(plaintext) < TYPE_SIZE:
        raise CodecError(f"a message of {len(plaintext)} bytes has no type")
    return read_u32(plaintext), plaintext[TYPE_SIZE:]

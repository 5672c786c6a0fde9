# SPDX-License-Identifier: MIT
"""Bytes in memory: frames (Section 10 of the specification) and sealing (Section 9)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import (
    AuthenticationError,
    FramingError,
    OptionError,
    OtherError,
    ReservedTypeError,
    TooLargeError,
)

MESSAGE_SIZE_DEFAULT = 3145728
MESSAGE_SIZE_FLOOR = 1024
TYPE_MAX = 2147483647
U32_MAX = 4294967295
NONCE_SIZE, TAG_SIZE = 12, 16
PLAIN_OVERHEAD, SEALED_OVERHEAD = 4, 32
SEALED_COUNT_MAX = 4294967295

U32 = struct.Struct(">I")
HEADER = struct.Struct(">II")  # length and type of a plain frame

Draw = Callable[[int], bytes]  # a source of that many random bytes
Opener = Callable[[memoryview], bytes]  # from the body of a sealed frame to its plaintext


class Message(NamedTuple):
    """One message: its type, 1 to 4294967295, and its data."""

    type: int
    data: bytes


def u32(number: int) -> bytes:
    """Four bytes, most significant byte first (FR-001)."""
    return U32.pack(number)


# Frames


def check_length(length: int, limit: int, sealed: bool) -> None:
    """Judges the length of a frame (FR-004 to FR-006) by the receiver's `limit` in bytes of data.

    Raises FramingError or TooLargeError.
    """
    overhead = SEALED_OVERHEAD if sealed else PLAIN_OVERHEAD
    if length < overhead:
        raise FramingError(f"the peer sent a frame of length {length}, below {overhead}")
    if length > limit + overhead:
        raise TooLargeError(
            f"the peer sent a message of {length - overhead} bytes, above the limit of {limit}",
            "raise message_size_max here, or send less there",
        )


def check_message(kind: int, size: int, limit: int, sealed: bool) -> None:
    """Whether a message of this type and of `size` bytes may be sent (MT-002, LM-008, LM-014).

    Raises ReservedTypeError, OptionError or TooLargeError.
    """
    if kind == 0:
        raise ReservedTypeError("message type 0 is reserved", "use a type from 1 to 2147483647")
    if not 0 < kind <= U32_MAX:
        raise OptionError(f"{kind} is not a message type", "use a type from 1 to 2147483647")
    overhead = SEALED_OVERHEAD if sealed else PLAIN_OVERHEAD
    if size > min(limit, U32_MAX - overhead):
        raise TooLargeError(
            f"the message has {size} bytes of data, above the peer's limit of {limit}",
            "send less at once, or raise the limit of the server",
        )


def plain_frame(kind: int, data: bytes) -> bytes:
    """A whole plain frame, of type 0 too."""
    return HEADER.pack(PLAIN_OVERHEAD + len(data), kind) + data


class FrameReader:
    """Cuts a stream of frames into messages, however the stream is cut into pieces (FR-003).

    It holds at most what has arrived of one frame; the memory grows with the bytes (LM-015).
    """

    def __init__(self, limit: int, opener: Opener | None = None) -> None:
        self.opener = opener
        self.pending = bytearray()  # the beginning of a frame that is not complete
        self.needed = 4  # bytes of this frame, its length included, that are needed to go on
        self._limit = limit
        overhead = SEALED_OVERHEAD if opener else PLAIN_OVERHEAD
        self._least, self._most = overhead, limit + overhead

    def feed(self, data: bytes | memoryview, out: list[Any]) -> None:
        """Appends the messages that `data` completes to `out`, without those of type 0.

        Raises an Error at the first byte at fault; what was appended before is to be delivered.
        """
        if self.pending:
            self.pending += data
            if len(self.pending) < self.needed:
                return
            whole, self.pending = self.pending, bytearray()
            with memoryview(whole) as view:
                done = self._read(view, out)
            del whole[:done]
            self.pending = whole
        else:
            done = self._read(memoryview(data), out)
            if done < len(data):
                self.pending += data[done:] if done else data

    def _read(self, view: memoryview, out: list[Any]) -> int:
        """How many bytes of `view` were whole frames."""
        at, end = 0, len(view)
        least, most, unpack = self._least, self._most, U32.unpack_from
        self.needed = 4
        while end - at >= 4:
            (length,) = unpack(view, at)
            if length < least or length > most:
                check_length(length, self._limit, self.opener is not None)
            stop = at + 4 + length
            if stop > end:
                self.needed = stop - at
                break
            if self.opener is None:
                (kind,) = unpack(view, at + 4)
                if kind:
                    out.append(Message(kind, bytes(view[at + 8 : stop])))
            else:
                plaintext = self.opener(view[at + 4 : stop])
                (kind,) = unpack(plaintext)
                if kind:
                    out.append(Message(kind, plaintext[4:]))
            at = stop
        return at


# Sealing


class Cipher:
    """AES-256-GCM with one key."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, nonce: bytes, plaintext: bytes) -> tuple[bytes, bytes]:
        """A whole frame in two parts: length and nonce, ciphertext and tag. A nonce must never be used twice with one key (SE-004)."""
        sealed = self._aead.encrypt(nonce, plaintext, None)
        return U32.pack(NONCE_SIZE + len(sealed)) + nonce, sealed

    def open(self, body: bytes | memoryview) -> bytes:
        """The plaintext of a body. Raises AuthenticationError (SE-010)."""
        try:
            return self._aead.decrypt(body[:NONCE_SIZE], body[NONCE_SIZE:], None)
        except InvalidTag:
            raise AuthenticationError("the peer sent a sealed frame that does not open") from None


class NonceSource(Protocol):
    """Where a sender takes its nonces from."""

    def next(self) -> bytes: ...

    def is_own(self, nonce: bytes) -> bool: ...


def _no_nonce() -> OtherError:
    return OtherError("no nonce is left for this connection", "connect again")


class Nonces:
    """SE-005: eight bytes drawn once, their first bit for the role, then a counter."""

    def __init__(self, draw: Draw, server: bool, count: int = 0) -> None:
        prefix = bytearray(draw(8))
        prefix[0] = prefix[0] | 0x80 if server else prefix[0] & 0x7F
        self.prefix = bytes(prefix)
        self.count = count  # of frames sealed so far

    def next(self) -> bytes:
        count = self.count
        if count >= SEALED_COUNT_MAX:
            raise _no_nonce()
        self.count = count + 1
        return self.prefix + U32.pack(count)

    def is_own(self, nonce: bytes) -> bool:
        return nonce[:8] == self.prefix


class FixedNonces:
    """Nonces that a test gives."""

    def __init__(self, nonces: list[bytes]) -> None:
        self._left = list(nonces)
        self._used: set[bytes] = set()

    def next(self) -> bytes:
        if not self._left:
            raise _no_nonce()
        self._used.add(self._left[0])
        return self._left.pop(0)

    def is_own(self, nonce: bytes) -> bool:
        return nonce in self._used

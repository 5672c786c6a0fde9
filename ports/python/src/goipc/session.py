# SPDX-License-Identifier: MIT
"""One connection without input or output: bytes in, events out (Sections 7 and 12 of the specification).

The owner moves bytes. It gives what arrives to `feed`, tells the end of the stream to `end`, and acts on the
events that come back, in their order: Send (hand these bytes over in one write), Connected, Message, and at
last either Ended or Failed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from . import codec, keys
from .codec import HEADER, U32, Cipher, Draw, FrameReader, Message
from .errors import (
    AuthenticationError,
    Closed,
    ConnectionLost,
    EncryptionError,
    Error,
    FramingError,
    OptionError,
    OtherError,
    PublicKeyError,
    VersionError,
)
from .fork import Process

Role = Literal["server", "client"]
Encryption = Literal["required", "optional", "off"]  # of a server: "required" or "off"

PROTOCOL_VERSION = 2


class Send(NamedTuple):
    """One message of the handshake."""

    data: bytes


class Connected(NamedTuple):
    """The handshake is complete; messages may be sent."""


class Ended(NamedTuple):
    """The stream ended between two frames."""


class Failed(NamedTuple):
    """The connection has failed. Nothing more is to be sent, except what stands in Send before this."""

    error: Error


Event = Send | Connected | Message | Ended | Failed


@dataclass
class Seed:
    """What a test gives in place of chance."""

    private_key: bytes | None = None
    nonces: list[bytes] = field(default_factory=list)
    sealed: int = 0  # frames that count as sealed already


def _events(*events: Event) -> list[Event]:
    return list(events)


class Session:
    """The protocol of one connection, in either role."""

    def __init__(
        self,
        role: Role,
        encryption: Encryption,
        limit: int = codec.MESSAGE_SIZE_DEFAULT,
        draw: Draw = secrets.token_bytes,
        seed: Seed | None = None,
    ) -> None:
        self.server = role == "server"
        self.sealed = self.server and encryption == "required"
        self.send_limit = limit  # bytes of data; a client learns it from LIMIT
        self.heard = False  # whether a byte of the peer has come
        self.connected = False
        self.over = False
        self._encryption = encryption
        self._receive_limit = limit
        self._draw = draw
        self._seed = seed or Seed()
        self._process = Process()
        self._cipher: Cipher | None = None
        self._second_key: bytes | None = None
        self._nonces: codec.NonceSource
        self._public = b""
        self._events: list[Event] = []
        self._buffer = bytearray()  # of the handshake
        self._need = 0
        self._steps: Generator[int, bytes, None] = self._serve() if self.server else self._join()
        self._reader: FrameReader | None = None

    # Input

    def start(self) -> list[Event]:
        """To be called once, when the stream is there."""
        return self._run(self._begin)

    def feed(self, data: bytes | memoryview) -> list[Event]:
        """What these bytes of the peer bring about."""
        if self.over:
            return []
        if self._reader:
            events: list[Event] = []
            try:
                self._reader.feed(data, events)
            except Error as error:
                self._stop()
                events.append(Failed(error))
            return events
        self.heard = self.heard or bool(data)
        self._buffer += data
        return self._run(self._consume)

    def end(self) -> list[Event]:
        """What the end of the stream brings about."""
        if self.over:
            return []
        if not self.connected:
            return self.fail(ConnectionLost("the peer closed the connection before the handshake was complete"))
        if self._reader and self._reader.pending:
            return self.fail(FramingError("the stream ended inside a message"))
        self._stop()
        return _events(Ended())

    def fail(self, error: Error) -> list[Event]:
        """Ends the session from outside, because time is over or sending has failed."""
        if self.over:
            return []
        self._stop()
        return _events(Failed(error))

    # Output

    def check(self, kind: int, size: int) -> None:
        """Whether the application may send this (Closed, ReservedTypeError, TooLargeError, OptionError)."""
        if not self.connected or self.over:
            raise Closed
        codec.check_message(kind, size, self.send_limit, self.sealed)
        if kind > codec.TYPE_MAX:
            raise OptionError(f"type {kind} is above 2147483647", "use a type from 1 to 2147483647")

    def frame(self, kind: int, data: bytes) -> tuple[bytes, bytes]:
        """A whole frame in two parts, to be sent one behind the other. The message must have passed `check`.

        Raises OtherError when no nonce is left; the session has to be failed with it then. In a child process it
        raises OtherError, too, and the session is as it was.
        """
        self._process.check()
        if self._cipher:
            return self._cipher.seal(self._nonces.next(), U32.pack(kind) + data)
        return HEADER.pack(codec.PLAIN_OVERHEAD + len(data), kind), data

    # Drivers of the steps

    def _run(self, step: Callable[[], None]) -> list[Event]:
        events: list[Event] = []
        self._events = events
        try:
            step()
        except Error as error:
            self._stop()
            events.append(Failed(error))
        return events

    def _begin(self) -> None:
        self._need = next(self._steps)

    def _consume(self) -> None:
        while self._reader is None and len(self._buffer) >= self._need:
            with memoryview(self._buffer) as view:
                piece = bytes(view[: self._need])
            del self._buffer[: self._need]
            try:
                self._need = self._steps.send(piece)
            except StopIteration:
                self._open_stream()

    def _open_stream(self) -> None:
        """The handshake is complete: what is left over are frames (HS-004, HS-039)."""
        self._reader = FrameReader(self._receive_limit, self._open_first if self.sealed else None)
        self.connected = True
        self._events.append(Connected())
        rest, self._buffer = bytes(self._buffer), bytearray()
        self._reader.feed(rest, self._events)

    def _stop(self) -> None:
        # Python cannot overwrite its byte strings; letting go of them is what can be done.
        self.over = True
        self._steps.close()
        self._buffer = bytearray()
        self._reader = None
        self._cipher = self._second_key = None
        self._seed = Seed()

    def _send(self, data: bytes) -> None:
        self._events.append(Send(data))

    # The handshake of each role

    def _serve(self) -> Generator[int, bytes, None]:
        self._send(bytes((PROTOCOL_VERSION, int(self.sealed))))
        reply = (yield 1)[0]
        if reply == 1:
            raise VersionError("the client does not speak version 2 of the protocol", "use a client of version 2")
        if reply == 2:
            ours = "on" if self.sealed else "off"
            raise EncryptionError(
                f"the client refused: encryption is {ours} here", "give both sides the same encryption"
            )
        if reply:
            raise OtherError(f"the client refused the handshake with the unknown reply {reply}")
        announced = codec.u32(self._receive_limit)
        if self.sealed:
            private = self._make_keys()
            self._send(self._public)
            self._agree(private, (yield keys.P384_PUBLIC_SIZE))
            self._send(self._seal(announced))
        else:
            self._send(codec.u32(len(announced)) + announced)
        yield 1  # LIMIT_REPLY: every value is alike (HS-036)

    def _join(self) -> Generator[int, bytes, None]:
        version, flag = yield 2
        self._judge_hello(version, flag)
        self._send(b"\0")
        if self.sealed:
            private = self._make_keys()
            self._agree(private, (yield keys.P384_PUBLIC_SIZE))
            self._send(self._public)
        (length,) = U32.unpack((yield 4))
        if length != (codec.SEALED_OVERHEAD if self.sealed else codec.PLAIN_OVERHEAD):
            raise FramingError(f"the server announced its limit in {length} bytes", "is it a golang-ipc server?")
        body = yield length
        (self.send_limit,) = U32.unpack(self._open(memoryview(body)) if self.sealed else body)
        self._second_key = None  # KD-016: LIMIT was the moment to try it
        self._send(b"\0")

    def _judge_hello(self, version: int, flag: int) -> None:
        if version != PROTOCOL_VERSION:
            self._send(b"\1")
            raise VersionError(f"the server speaks version {version} of the protocol", "use a server of version 2")
        allowed = {"required": (1,), "off": (0,), "optional": (0, 1)}[self._encryption]
        if flag not in allowed:
            self._send(b"\2")
            theirs = {0: "has encryption off", 1: "has encryption on"}.get(flag, f"sent the unknown flag {flag}")
            raise EncryptionError(
                f"the server {theirs}, and encryption is {self._encryption} here",
                "give both sides the same encryption",
            )
        self.sealed = flag == 1

    # Keys

    def _make_keys(self) -> ec.EllipticCurvePrivateKey:
        seed = self._seed
        try:
            private = keys.private_key(seed.private_key or keys.draw_private(self._draw))
            if seed.nonces:
                self._nonces = codec.FixedNonces(seed.nonces)
            else:
                self._nonces = codec.Nonces(self._draw, self.server, seed.sealed)
        except (OSError, NotImplementedError) as error:  # KD-003
            raise OtherError("the system's random source failed") from error
        self._public = keys.public_bytes(private)
        return private

    def _agree(self, private: ec.EllipticCurvePrivateKey, peer: bytes) -> None:
        public = keys.check_public(peer)
        if peer == self._public:
            raise PublicKeyError("the peer sent this side's own public key back")
        x = keys.shared_x(private, public)
        self._cipher = Cipher(keys.derive(x))
        self._second_key = keys.derive_fixed48(x) if x[0] == 0 else None

    def _seal(self, plaintext: bytes) -> bytes:
        assert self._cipher
        return b"".join(self._cipher.seal(self._nonces.next(), plaintext))

    def _open(self, body: memoryview) -> bytes:
        if self._nonces.is_own(bytes(body[: codec.NONCE_SIZE])):
            raise AuthenticationError("the peer sent one of this side's own frames back")
        assert self._cipher
        try:
            return self._cipher.open(body)
        except AuthenticationError:
            if self._second_key is None:
                raise
            second = Cipher(self._second_key)
            self._second_key = None
            plaintext = second.open(body)
            self._cipher = second
            return plaintext

    def _open_first(self, body: memoryview) -> bytes:
        plaintext = self._open(body)
        self._second_key = None  # KD-016: only the first frame may try it
        if self._reader:
            self._reader.opener = self._opener()
        return plaintext

    def _opener(self) -> codec.Opener:
        """The same without a second key, for every frame after the first."""
        assert self._cipher
        is_own, open_body = self._nonces.is_own, self._cipher.open

        def opener(body: Any) -> bytes:
            if is_own(bytes(body[: codec.NONCE_SIZE])):
                raise AuthenticationError("the peer sent one of this side's own frames back")
            return open_body(body)

        return opener

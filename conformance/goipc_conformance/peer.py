# SPDX-License-Identifier: MIT
"""The suite's own end of a connection: a careful golang-ipc peer that can be told to misbehave.

`ClientPeer` meets a server under test, `ServerPeer` a client under test. After the handshake both are the same.
"""

import dataclasses
import socket
import time
from collections.abc import Callable

from . import codec, keys
from .wire import RECEIVED_MAX, Cuts, Log, Wire

SENTINEL_TYPE = 0x534E  # "SN": 16 bits, so that an implementation with fewer than 32 can be asked all the rest


class Malformed(Exception):
    """The implementation sent something that is not what the protocol asks for at this point."""


class Refused(Exception):
    """The client under test answered our HELLO with something other than 0."""

    def __init__(self, reply: int):
        super().__init__(f"reply {reply}")
        self.reply = reply


@dataclasses.dataclass(frozen=True)
class Secrets:
    """Where a peer's private key and nonces come from: the run's seed, nothing else."""

    seed: str
    number: int

    def scalar(self, attempt: int = 0) -> int:
        return keys.scalar_from(self.seed, "key", self.number, attempt)

    def nonce_prefix(self) -> bytes:
        return keys.scalar_from(self.seed, "nonce", self.number).to_bytes(48, "big")[-8:]


class Peer:
    """What both roles share: frames in both directions once the handshake is over."""

    role = ""

    def __init__(self, sock: socket.socket, log: Log, secrets: Secrets, encrypted: bool, timeout: float):
        self.wire = Wire(sock, log, secrets.number, timeout)
        self.secrets = secrets
        self.encrypted = encrypted
        self.key: bytes | None = None
        self.limit = codec.MESSAGE_SIZE_DEFAULT
        self.shared_x = b""
        self.peer_public = b""
        self.private: keys.PrivateKey | None = None
        self.nonces_seen: set[bytes] = set()
        self.received_nonces: list[bytes] = []
        self.handshaken = False
        self._sealed = 0
        self.expected_echoes: list[tuple[int, bytes]] = []

    # Frames out

    def nonce(self) -> bytes:
        self._sealed += 1
        return self.secrets.nonce_prefix() + codec.u32(self._sealed)

    def body_of(self, plaintext: bytes, nonce: bytes | None = None) -> bytes:
        if not self.encrypted:
            return plaintext
        assert self.key is not None
        return codec.seal(self.key, nonce or self.nonce(), plaintext)

    def frame_of(self, message_type: int, data: bytes = b"", nonce: bytes | None = None) -> bytes:
        return codec.frame(self.body_of(codec.message_plaintext(message_type, data), nonce))

    def raw(self, data: bytes, label: str = "raw bytes", cuts: Cuts | None = None) -> None:
        self.wire.send(data, label, cuts)

    def send(self, message_type: int, data: bytes = b"", cuts: Cuts | None = None) -> None:
        self.raw(self.frame_of(message_type, data), f"message type={message_type} size={len(data)}", cuts)

    # Frames in

    @property
    def overhead(self) -> int:
        return codec.TYPE_SIZE + (codec.SEAL_SIZE if self.encrypted else 0)

    def receive_body(self, timeout: float | None = None) -> bytes:
        size = codec.read_u32(self.wire.receive(codec.LENGTH_SIZE, "frame length", timeout))
        if size < self.overhead:
            raise Malformed(f"a frame of length {size}; the least is {self.overhead}")
        if size > RECEIVED_MAX:
            raise Malformed(f"a frame of length {size}")
        return self.wire.receive(size, "frame body", timeout)

    def open_body(self, body: bytes) -> bytes:
        if not self.encrypted:
            return body
        assert self.key is not None
        nonce = body[: codec.NONCE_SIZE]
        self.received_nonces.append(nonce)
        if nonce in self.nonces_seen:
            raise Malformed("a nonce was used twice under one key")
        self.nonces_seen.add(nonce)
        try:
            return codec.unseal(self.key, body)
        except codec.CodecError as error:
            raise Malformed(str(error)) from None

    def receive(self, timeout: float | None = None) -> tuple[int, bytes]:
        return codec.split_plaintext(self.open_body(self.receive_body(timeout)))

    # Keys

    def make_private(self) -> keys.PrivateKey:
        if self.private is None:
            self.private = keys.PrivateKey(self.secrets.scalar())
        return self.private

    def use_peer_public(self, public: bytes) -> None:
        try:
            keys.decode_point(public)
        except keys.InvalidKey as error:
            raise Malformed(str(error)) from None
        self.peer_public = public

    def derive(self) -> None:
        """The protocol's key. Both derivations agree unless X begins with a zero byte."""
        self.shared_x = self.make_private().shared_x(self.peer_public)
        self.key = keys.session_key(self.shared_x)

    def redraw_until(self, zeros: int, patience: float | None = None) -> bool:
        """Changes our private key until the shared X begins with so many zero bytes; False after `patience` seconds."""
        deadline = None if patience is None else time.monotonic() + patience
        found = keys.search_leading_zeros(self.peer_public, zeros, self.secrets.scalar(1), deadline)
        self.private = found or self.private
        return found is not None

    def avoid_leading_zero(self) -> None:
        """In every case but those about leading zeros the shared X has none, so that one fault is one failure."""
        attempt = 0
        while self.make_private().shared_x(self.peer_public)[0] == 0:
            attempt += 1
            self.private = keys.PrivateKey(self.secrets.scalar(attempt + 1))


class ClientPeer(Peer):
    """We are the client. The steps are separate methods so that a case can stop, repeat or falsify any of them."""

    role = "client"

    def read_hello(self) -> tuple[int, int]:
        hello = self.wire.receive(codec.HELLO_SIZE, "HELLO")
        return hello[0], hello[1]

    def check_hello(self) -> None:
        version, flag = self.read_hello()
        if version != codec.PROTOCOL_VERSION:
            raise Malformed(f"HELLO's version is {version}, not {codec.PROTOCOL_VERSION}")
        if flag not in (codec.PLAIN, codec.ENCRYPTED):
            raise Malformed(f"HELLO's encryption flag is {flag}")
        if bool(flag) != self.encrypted:
            raise Malformed(f"HELLO says encryption {flag}, the configuration asks for {int(self.encrypted)}")

    def send_hello_reply(self, reply: int = codec.REPLY_OK) -> None:
        self.raw(bytes([reply]), f"HELLO_REPLY {reply}")

    def read_key(self) -> None:
        self.use_peer_public(self.wire.receive(codec.PUBLIC_KEY_SIZE, "SERVER_KEY"))

    def send_key(self, public: bytes | None = None, cuts: Cuts | None = None) -> None:
        self.raw(self.make_private().public if public is None else public, "CLIENT_KEY", cuts)

    def read_limit(self) -> None:
        size = codec.read_u32(self.wire.receive(codec.LENGTH_SIZE, "LIMIT length"))
        wanted = 4 + (codec.SEAL_SIZE if self.encrypted else 0)
        if size != wanted:
            raise Malformed(f"LIMIT has length {size}, not {wanted}")
        try:
            self.limit = codec.read_u32(self.open_body(self.wire.receive(size, "LIMIT body")))
        except Malformed as error:
            raise Malformed(self._why_limit_is_closed(str(error))) from None

    def _why_limit_is_closed(self, error: str) -> str:
        """LIMIT is the first frame under the key: what is wrong with it is mostly the derivation of the key."""
        if not self.encrypted:
            return error
        zeros = len(self.shared_x) - len(self.shared_x.lstrip(b"\0"))
        told = f"; X begins with {zeros} zero bytes, which are not part of the hash" if zeros else ""
        return f"LIMIT does not open, so that the key derivation (KD-011) is the first suspect: {error}{told}"

    def send_limit_reply(self, value: int = 0) -> None:
        self.raw(bytes([value]), f"LIMIT_REPLY {value}")
        self.handshaken = True

    def handshake(
        self, *, cuts: Cuts | None = None, zeros: int | None = None, limit_reply: int = 0, until: str = ""
    ) -> "ClientPeer":
        """Runs the whole handshake, or up to the named step (exclusive)."""
        steps = [("hello", self.check_hello), ("hello-reply", self.send_hello_reply)]
        if self.encrypted:
            steps += [
                ("server-key", self.read_key),
                ("client-key", lambda: self._send_chosen_key(zeros, cuts)),
                ("derive", self.derive),
            ]
        steps += [("limit", self.read_limit), ("limit-reply", lambda: self.send_limit_reply(limit_reply))]
        for name, step in steps:
            if name == until:
                return self
            step()
        return self

    def _send_chosen_key(self, zeros: int | None, cuts: Cuts | None) -> None:
        if zeros is None:
            self.avoid_leading_zero()
        else:
            self.redraw_until(zeros)
        self.send_key(cuts=cuts)


class ServerPeer(Peer):
    """We are the server."""

    role = "server"

    def send_hello(
        self, version: int = codec.PROTOCOL_VERSION, flag: int | None = None, cuts: Cuts | None = None
    ) -> None:
        flag = int(self.encrypted) if flag is None else flag
        self.raw(bytes([version, flag]), f"HELLO version={version} encryption={flag}", cuts)

    def read_hello_reply(self) -> int:
        return self.wire.receive(1, "HELLO_REPLY")[0]

    def check_hello_reply(self) -> None:
        reply = self.read_hello_reply()
        if reply != codec.REPLY_OK:
            raise Refused(reply)

    def send_key(self, public: bytes | None = None, cuts: Cuts | None = None) -> None:
        self.raw(self.make_private().public if public is None else public, "SERVER_KEY", cuts)

    def read_key(self) -> None:
        self.use_peer_public(self.wire.receive(codec.PUBLIC_KEY_SIZE, "CLIENT_KEY"))

    def limit_frame(self, limit: int) -> bytes:
        return codec.frame(self.body_of(codec.u32(limit)))

    def send_limit(self, limit: int | None = None, cuts: Cuts | None = None) -> None:
        self.limit = self.limit if limit is None else limit
        self.raw(self.limit_frame(self.limit), f"LIMIT {self.limit}", cuts)

    def read_limit_reply(self) -> int:
        value = self.wire.receive(1, "LIMIT_REPLY")[0]
        self.handshaken = True
        return value

    def handshake(self, *, cuts: Cuts | None = None, limit: int | None = None, until: str = "") -> "ServerPeer":
        steps: list[tuple[str, Callable[[], object]]] = [
            ("hello", lambda: self.send_hello(cuts=cuts)),
            ("hello-reply", self.check_hello_reply),
        ]
        if self.encrypted:
            steps += [
                ("server-key", lambda: self.send_key(cuts=cuts)),
                ("client-key", self.read_key),
                ("derive", self.derive),
            ]
        steps += [("limit", lambda: self.send_limit(limit, cuts)), ("limit-reply", self.read_limit_reply)]
        for name, step in steps:
            if name == until:
                return self
            step()
        return self

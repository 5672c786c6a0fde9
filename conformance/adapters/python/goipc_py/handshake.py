# SPDX-License-Identifier: MIT
"""One connection without input or output: bytes in, events out (Sections 7 and 12).

Events are ("send", bytes), one for each message of the handshake, ("connected",),
("message", type, data), ("closed",) and ("failed", Fault).
"""

import secrets

from . import codec
from .codec import Fault, u32

REPLY_CLASS = {1: "version", 2: "encryption"}


class Session:
    def __init__(self, role, encryption, limit=codec.MESSAGE_SIZE_DEFAULT, draw=secrets.token_bytes, seed=None):
        self.server = role == "server"
        self.encryption = encryption
        self.receive_limit = limit
        self.send_limit = limit  # a client learns it from LIMIT
        self.sealed = self.server and encryption == "on"
        self.heard = False  # whether a byte of the peer has come
        self.connected = False
        self.over = False
        self._draw, self._seed = draw, seed
        self._key = self._second_key = None
        self._events: list[tuple] = []
        self._buffer = bytearray()
        self._steps = self._serve() if self.server else self._join()
        self._need = 0

    # Input

    def start(self) -> list[tuple]:
        return self._run(lambda: self._advance(None))

    def feed(self, data: bytes) -> list[tuple]:
        if self.over:
            return []
        self.heard = self.heard or bool(data)
        self._buffer += data
        return self._run(self._consume)

    def end(self) -> list[tuple]:
        """The stream has ended."""
        if self.over:
            return []
        if not self.connected:
            return self.fail(Fault("closed", "the stream ended in the handshake"))
        if self._buffer or not self._between:
            return self.fail(Fault("framing", "the stream ended inside a frame"))
        self._stop()
        return [("closed",)]

    def fail(self, fault: Fault) -> list[tuple]:
        if self.over:
            return []
        self._stop()
        return [("failed", fault)]

    # Output

    def check(self, kind: int, size: int) -> None:
        codec.check_message(kind, size, self.send_limit, self.sealed)
        if kind > codec.TYPE_MAX:
            raise codec.LocalError("other", "a type above 2147483647 is not to be sent")

    def frame(self, kind: int, data: bytes) -> bytes:
        if not self.sealed:
            return codec.plain_frame(kind, data)
        return self._seal(u32(kind) + data)

    # Drivers of the steps

    def _run(self, step) -> list[tuple]:
        self._events = []
        try:
            step()
        except Fault as fault:
            self._stop()
            self._events.append(("failed", fault))
        return self._events

    def _consume(self) -> None:
        while len(self._buffer) >= self._need:
            with memoryview(self._buffer) as view:
                piece = bytes(view[: self._need])
            del self._buffer[: self._need]
            self._advance(piece)

    def _advance(self, piece) -> None:
        self._need = self._steps.send(piece)

    def _stop(self) -> None:
        # Python cannot overwrite its byte strings; letting go of them is what can be done.
        self.over = True
        self._steps.close()
        self._buffer = bytearray()
        self._key = self._second_key = self._seed = None

    def _send(self, data: bytes) -> None:
        self._events.append(("send", data))

    # The handshake of each role, then frames

    def _serve(self):
        self._send(bytes((2, int(self.sealed))))
        reply = (yield 1)[0]
        if reply:
            raise Fault(REPLY_CLASS.get(reply, "other"), f"the client replied {reply}")
        announced = u32(self.receive_limit)
        if self.sealed:
            private = self._make_keys()
            self._send(self._public)
            self._agree(private, (yield codec.P384_PUBLIC_SIZE))
            self._send(self._seal(announced))
        else:
            self._send(u32(len(announced)) + announced)
        yield 1  # LIMIT_REPLY: every value is alike
        yield from self._frames()

    def _join(self):
        version, flag = yield 2
        self._judge(version, flag)
        self._send(b"\0")
        if self.sealed:
            private = self._make_keys()
            self._agree(private, (yield codec.P384_PUBLIC_SIZE))
            self._send(self._public)
        length = int.from_bytes((yield 4), "big")
        if length != (32 if self.sealed else 4):
            raise Fault("framing", f"LIMIT of length {length}")
        body = yield length
        self.send_limit = int.from_bytes(self._open(body) if self.sealed else body, "big")
        self._second_key = None  # KD-016: LIMIT was the moment to try it
        self._send(b"\0")
        yield from self._frames()

    def _judge(self, version: int, flag: int) -> None:
        if version != 2:
            self._send(b"\1")
            raise Fault("version", f"the server speaks version {version}")
        allowed = {"required": (1,), "off": (0,), "optional": (0, 1)}[self.encryption]
        if flag not in allowed:
            self._send(b"\2")
            raise Fault("encryption", f"the server's flag is {flag}, encryption here is {self.encryption}")
        self.sealed = flag == 1

    def _frames(self):
        self.connected = True
        self._events.append(("connected",))
        while True:
            self._between = True
            message = yield from self._one_frame()
            self._second_key = None  # KD-016: only the first frame may try it
            if message[0]:
                self._events.append(("message", *message))

    def _one_frame(self):
        steps = codec.read_frame(self.receive_limit, self._open if self.sealed else None)
        need = next(steps)
        while True:
            piece = yield need
            self._between = False
            try:
                need = steps.send(piece)
            except StopIteration as done:
                return done.value

    # Keys

    def _make_keys(self):
        seed = self._seed or {}
        try:
            private = codec.private_key(seed.get("private_key") or codec.draw_private(self._draw))
            self._nonces = codec.FixedNonces(seed["nonces"]) if seed.get("nonces") else None
            self._nonces = self._nonces or codec.Nonces(self._draw, self.server, seed.get("sealed", 0))
        except Fault:
            raise
        except Exception as error:  # KD-003: whatever the random source raised
            raise Fault("other", "the random source failed") from error
        self._public = codec.public_bytes(private)
        return private

    def _agree(self, private, peer: bytes) -> None:
        public = codec.check_public(peer)
        if peer == self._public:
            raise Fault("key", "the peer sent this side's own public key")
        x = codec.shared_x(private, public)
        self._key = codec.derive(x)
        self._second_key = codec.derive_fixed48(x) if x[0] == 0 else None

    def _seal(self, plaintext: bytes) -> bytes:
        return codec.seal(self._key, self._nonces.next(), plaintext)

    def _open(self, body: bytes) -> bytes:
        if self._nonces.own(body[: codec.NONCE_SIZE]):
            raise Fault("auth", "a frame with a nonce of this side came back")
        try:
            return codec.open_body(self._key, body)
        except Fault:
            if self._second_key is None:
                raise
            second, self._second_key = self._second_key, None
            plaintext = codec.open_body(second, body)
            self._key = second
            return plaintext

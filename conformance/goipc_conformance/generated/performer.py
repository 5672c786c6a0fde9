# SPDX-License-Identifier: MIT
"""Performs operations against a live implementation, and says where it departs from the model.

What may come of each is the model's to say. Everything is decided by an answer or an end, never by waiting for a
fixed time.
"""

import time
from collections.abc import Callable
from typing import Any, NoReturn

from .. import codec, keys
from ..adapter.level1 import ServeRefused
from ..adapter.process import StartError
from ..adapter.subject import AdapterError, Died, Hung, Subject
from ..case import Case, Instance
from ..context import Context, NotReady, RefusedPeer
from ..peer import ClientPeer, Malformed, Refused, ServerPeer
from ..wire import Closed, Cuts, LogEntry, Silent
from . import operations as ops
from .model import CLOSED, ECHOED, IGNORED, OPEN, SERVED, TURNED_AWAY, Message, Model

DYING_S = 0.3  # between the last sign of a process and its exit
PAUSE_MS_MAX = 50


class Finding(Exception):
    """The implementation did what it must not. `word` is of outcome.WORDS; `culprit` is the operation that it came
    after, with its fault, where the signature leaves the fault out."""

    def __init__(self, word: str, detail: str, signature: str, culprit: str = ""):
        super().__init__(f"{word}: {detail}")
        self.word = word
        self.detail = detail
        self.signature = f"{word} after {signature}"
        self.culprit = culprit or signature


class PeerRefused(Exception):
    """A proper connection was not served, for a reason that lies in the past."""


class Gone(Exception):
    """We have sent all that was to be sent before we leave."""


class Unusable(Exception):
    """The adapter, not the implementation, is at fault; no search makes sense."""


def cut_after(every: int) -> Cuts | None:
    return Cuts(every=every) if every else None


class Performer:
    """One live session. Each operation is performed as it is drawn, so that what is drawn next can depend on the
    model's state."""

    def __init__(self, context: Context, knobs: ops.Knobs):
        self.context = context
        self.knobs = knobs
        self.performed: list[ops.Operation] = []
        self.model = Model(knobs)
        self.peer: Any = None
        self._frames: list[tuple[bytes, Message]] = []  # of the messages sent on this connection
        self._last_upset = "connect"

    @classmethod
    def launch(
        cls, make_subject: Callable[[str], Subject], knobs: ops.Knobs, *, seed: str, timeout: float
    ) -> "Performer":
        """With an implementation of its own, which `close` ends."""
        case = Case(
            id="gen.session",
            title="",
            why="",
            hint="",
            reqs=(),
            expect=(),
            body=lambda t: None,
            roles=(knobs.role,),
            config=lambda **_: {"maximum": knobs.maximum},
        )
        instance = Instance(case, knobs.role, {"enc": "on" if knobs.encrypted else "off"})
        try:
            subject = make_subject(knobs.role)
        except (AdapterError, StartError, Hung, Died) as error:
            raise Unusable(str(error)) from None
        context = Context(instance, subject, seed=seed, timeout=timeout)
        performer = cls(context, knobs)
        try:
            context.start()
        except (AdapterError, NotReady, ServeRefused) as error:
            performer.close()
            raise Unusable(str(error)) from None
        return performer

    @property
    def connected(self) -> bool:
        return self.model.open

    @property
    def wire(self) -> list[LogEntry]:
        return self.context.log.entries

    # What a session consists of

    def perform(self, operation: ops.Operation) -> None:
        """Raises Finding where the implementation departs from the model."""
        self.performed.append(operation)
        allowed = self.model.allowed(operation)
        if not allowed:
            return
        before = self._last_upset
        if not isinstance(operation, ops.Connect):
            self._last_upset = operation.signature
        try:
            outcome = getattr(self, "_" + operation.kind.replace("-", "_"))(operation)
            if outcome not in allowed:
                raise Finding(outcome, f"allowed: {' or '.join(allowed)}", operation.signature)
            self._settle(outcome)
        except PeerRefused as refused:
            # Whatever made it refuse came before this operation, which had no chance to do anything.
            self._last_upset = before
            self._check_alive(DYING_S)
            raise Finding("refused-new-peer", str(refused), before.split(".")[0], before) from None
        except Finding:
            self._check_alive(DYING_S)
            raise
        except (Closed, Silent, Malformed, codec.CodecError) as error:
            self._lose(operation, error)
        except (Died, Hung) as error:
            self._fail_control(error)
        self._check_alive(0.0)

    def finish(self) -> None:
        """After the last operation: what is open ends in order, a fresh peer is served (or comes, where it can be told
        to), nothing was delivered that was not sent."""
        try:
            if self.connected:
                self._finish_peer(ops.Leave())
                self._settle(CLOSED)
            if self.knobs.role == "server" or self.context.control:
                self._serve_fresh_peer()
            self.context.strays()
        except Finding:
            self._check_alive(DYING_S)
            raise
        except (Died, Hung) as error:
            self._fail_control(error)
        self._check_alive(DYING_S if self.context.words else 0.0)
        if self.context.words:
            word = self.context.words[0]
            # For this one fault it matters little how the handshake or the connection went wrong.
            after = self._last_upset.split(".")[0] if word == "refused-new-peer" else self._last_upset
            raise Finding(word, "; ".join(self.context.details), after, self._last_upset)

    def give_up(self) -> None:
        """Instead of `finish`, when no more is to be learned than whether it is still alive."""
        self._check_alive(DYING_S)

    def close(self) -> None:
        self.context.close_all()
        self.context.subject.end(graceful=False)

    def _settle(self, outcome: str) -> None:
        """The connection after this outcome, which conforms."""
        self.model.happened(outcome)
        if outcome in (OPEN, CLOSED):
            self._frames.clear()
        if outcome == CLOSED and self.peer is not None:
            self.peer.wire.close()
            self.peer = None

    # Operations: each returns the outcome, or raises Finding where no conforming one is near

    def _connect(self, operation: ops.Connect) -> str:
        try:
            if self.knobs.role == "server":
                self._dial_patiently(cut_after(operation.every))
            else:
                self.peer = self.context.open(cuts=cut_after(operation.every))
            self.context.exchange_sentinel(self.peer)
            return OPEN
        except (Closed, Silent, Malformed, Refused, RefusedPeer, NotReady, codec.CodecError) as error:
            self.peer = None
            cut = f" cut every {operation.every}" if operation.every else ""
            detail = f"a proper handshake{cut} came to nothing: {error}"
            if self.knobs.role == "server" and not operation.every:
                raise PeerRefused(detail) from None
            word = "no-connection" if self.knobs.role == "client" else "refused-new-peer"
            raise Finding(word, detail, f"connect{', cut' if operation.every else ''}") from None

    def _dial_patiently(self, cuts: Cuts | None) -> None:
        """A server that has not yet noticed the end of the connection before may say that it is full."""
        deadline = time.monotonic() + self.context.timeout
        while self.peer is None:
            try:
                self.peer = self.context.open(cuts=cuts)
            except Closed as closed:
                if closed.partial or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def _messages(self, operation: ops.Messages) -> str:
        pairs = zip(operation.types, operation.sizes, strict=False)
        frames = [self._frame(message_type, size, index) for index, (message_type, size) in enumerate(pairs)]
        whole = sum(len(frame) for frame, _ in frames)
        at = tuple(sorted({max(1, whole * cut // 1000) for cut in operation.cuts}))
        return self._exchange(operation, frames, Cuts(at=at) if at else None)

    def _resend(self, operation: ops.Resend) -> str:
        frame, message = self._frames[-1 - operation.back % len(self._frames)]
        return self._exchange(operation, [(frame, message)])

    def _rearrange(self, operation: ops.Rearrange) -> str:
        how, count = operation.how, len(operation.sizes)
        nonce = self.peer.nonce() if how == "same-nonce" and count else None
        frames = [self._frame(11 + index, size, index, nonce) for index, size in enumerate(operation.sizes)]
        at = operation.at % count if count else 0
        if how == "swap" and count > 1:
            at %= count - 1
            frames[at], frames[at + 1] = frames[at + 1], frames[at]
        elif how == "drop":
            del frames[at : at + 1]
        elif how == "duplicate":
            frames[at:at] = frames[at : at + 1]
        return self._exchange(operation, frames)

    def _pause(self, operation: ops.Pause) -> str:
        frame, message = self._frame(12, operation.size, 0)
        kept = len(frame) * operation.keep // 1000
        if 0 < kept < len(frame):
            self.peer.raw(frame[:kept], f"{kept} of {len(frame)} bytes")
            self.peer.wire.wait_consumed()
        time.sleep(min(operation.ms, PAUSE_MS_MAX) / 1000)
        return self._exchange(operation, [(frame, message)], already=kept if kept < len(frame) else 0)

    def _frame(
        self, message_type: int, size: int, index: int, nonce: bytes | None = None
    ) -> tuple[bytes, tuple[int, bytes]]:
        """A valid frame, and the message in it."""
        data = self.context.payload(min(size, self.knobs.maximum), f"{len(self.performed)}/{index}")
        return self.peer.frame_of(message_type, data, nonce), (message_type, data)

    def _exchange(
        self,
        operation: ops.Operation,
        frames: list[tuple[bytes, Message]],
        cuts: Cuts | None = None,
        already: int = 0,
    ) -> str:
        """These frames in one write, of which so many bytes have been sent already; each comes back in turn."""
        messages = [message for _, message in frames]
        for message in messages:
            self.context.will_deliver(*message)
        self.model.owes(messages)
        self._frames += frames
        try:
            self.peer.raw(b"".join(frame for frame, _ in frames)[already:], f"{len(frames)} messages", cuts)
            while self.model.owed:
                sent = self.model.owed[0]
                got = self.peer.receive()
                word = self.model.arrives(got)
                if word:
                    detail = f"sent type {sent[0]} with {len(sent[1])} bytes, got type {got[0]} with {len(got[1])}"
                    raise Finding(word, detail, operation.signature)
        except Closed:
            if CLOSED in self.model.allowed(operation):
                return CLOSED
            raise
        return ECHOED

    def _control(self, operation: ops.Control) -> str:
        self.peer.raw(self.peer.frame_of(0, self.context.payload(operation.size)), "control")
        before = len(self.context.words)
        self.context.settle(self.peer)
        self._take_words(before, ("ignored",), operation)
        return IGNORED

    def _bad_length(self, operation: ops.BadLength) -> str:
        least, most = self.peer.overhead, self.peer.overhead + self.context.receive_limit
        length = {"zero": 0, "short": least - 1, "over": most + 1, "huge": 0xFFFFFFFF}[operation.length]
        body = b"\x41" * length if length < least else b""
        return self._expect_end(operation, lambda: self.peer.raw(codec.u32(length) + body, f"length {length}"))

    def _bad_seal(self, operation: ops.BadSeal) -> str:
        if operation.fault == "reflected":
            marker = self.context.sentinel()
            self.peer.send(*marker)
            frame = codec.frame(self.peer.receive_body())
        elif operation.fault == "short-plaintext":
            frame = codec.frame(self.peer.body_of(b"\0\1"))
        else:
            changed = bytearray(self.peer.frame_of(7, self.context.payload(24, "tampered")))
            start, size = {
                "tag": (-codec.TAG_SIZE, codec.TAG_SIZE),
                "nonce": (4, codec.NONCE_SIZE),
                "body": (4 + codec.NONCE_SIZE, 28),
            }[operation.fault]
            start += len(changed) if start < 0 else 0
            at = start + operation.bit // 8 % size
            changed[at] ^= 1 << operation.bit % 8
            frame = bytes(changed)
        return self._expect_end(operation, lambda: self.peer.raw(frame, operation.signature))

    def _truncate(self, operation: ops.Truncate) -> str:
        frame = self.peer.frame_of(9, self.context.payload(operation.size, "cut"))
        kept = max(1, min(len(frame) - 1, len(frame) * operation.keep // 1000))

        def stimulus() -> None:
            self.peer.raw(frame[:kept], f"{kept} of {len(frame)} bytes")
            self.peer.wire.finish_sending()

        return self._expect_end(operation, stimulus)

    def _abort(self, operation: ops.Abort) -> str:
        frame = self.peer.frame_of(10, self.context.payload(operation.size, "aborted"))
        kept = min(len(frame) - 1, len(frame) * operation.keep // 1000)
        if kept:
            self.peer.raw(frame[:kept], f"{kept} of {len(frame)} bytes")
        return CLOSED  # by us

    def _leave(self, operation: ops.Leave) -> str:
        if operation.how == "finish":
            self._finish_peer(operation)
        else:
            self.peer.raw(self.context.frame(self.peer, 3, b"unread"), "message whose echo is not read")
            self.peer.wire.wait_readable()
        return CLOSED

    def _finish_peer(self, operation: ops.Operation) -> None:
        if not self.peer.wire.finish(self.context.timeout):
            raise Finding("wedged", "we ended our direction; the other one stayed open", operation.signature)

    def _beside(self, operation: ops.Beside) -> str:
        outcome, second = SERVED, None
        try:
            second = self.context.begin()
            try:
                second.handshake()
            except Closed:
                outcome = TURNED_AWAY
            except Silent as silent:
                detail = f"a second peer is neither served nor turned away: {silent}"
                raise Finding("wedged", detail, operation.signature) from None
            if outcome == SERVED:
                self.context.exchange_sentinel(second)
        except (RefusedPeer, NotReady) as error:
            raise Finding("refused-new-peer", str(error), operation.signature) from None
        self.context.exchange_sentinel(self.peer)
        if outcome == SERVED and operation.how == "stays":
            self._finish_peer(operation)
            self.peer = second
            self._settle(OPEN)
            self.context.exchange_sentinel(self.peer)
        elif outcome == SERVED and operation.how == "finish" and not second.wire.finish(self.context.timeout):
            raise Finding("wedged", "the second peer ended its direction; the other stayed open", operation.signature)
        else:
            second.wire.close()
        return outcome

    def _bad_handshake(self, operation: ops.BadHandshake) -> str:
        steps = self._bad_server_handshake if self.knobs.role == "client" else self._bad_client_handshake
        try:
            peer = self.context.begin()
            ends_itself = steps(peer, operation)
            if ends_itself:
                peer.wire.close()
            else:
                peer.wire.wait_end()
                peer.wire.close()
        except (Closed, Refused, Malformed):
            pass  # it may end wherever it notices
        except Silent:
            if operation.fault not in ("vanish", "key-cut", "limit-reply-cut"):
                raise Finding(
                    "wedged", "the handshake went wrong and the connection stayed open", operation.signature
                ) from None
        except (RefusedPeer, NotReady) as error:
            raise PeerRefused(str(error)) from None
        return CLOSED

    def _bad_client_handshake(self, peer: ClientPeer, operation: ops.BadHandshake) -> bool:
        """We are the client. True: we close ourselves."""
        if operation.fault == "vanish":
            peer.handshake(until=["hello", "hello-reply", "limit", "limit-reply"][operation.value % 4])
            return True
        if operation.fault == "abort":
            return self._break_off(peer, operation.value % (2 + codec.PUBLIC_KEY_SIZE * self.knobs.encrypted))
        peer.check_hello()
        if operation.fault == "reply":
            peer.send_hello_reply(operation.value % 255 + 1)
            return False
        peer.send_hello_reply()
        if not self.knobs.encrypted or operation.fault == "limit-reply-cut":
            return True
        peer.read_key()
        if operation.fault == "key-cut":
            peer.send_key(peer.make_private().public[: operation.value % 96 + 1])
            return True
        peer.send_key(spoiled_key(peer.make_private().public, operation))
        return False

    def _bad_server_handshake(self, peer: ServerPeer, operation: ops.BadHandshake) -> bool:
        """We are the server."""
        if operation.fault == "vanish":
            peer.handshake(until=["hello", "hello-reply", "limit", "limit-reply"][operation.value % 4])
            return True
        if operation.fault == "abort":
            sealed = (codec.PUBLIC_KEY_SIZE + codec.SEAL_SIZE) * self.knobs.encrypted
            return self._break_off(peer, operation.value % (2 + 2 * codec.LENGTH_SIZE + sealed))
        if operation.fault == "reply":
            peer.send_hello(version=operation.value % 255 + 3 & 0xFF or 1)
            peer.read_hello_reply()
            return False
        if not self.knobs.encrypted or operation.fault == "limit-reply-cut":
            peer.handshake(until="limit")
            peer.raw(codec.u32(99), "limit of length 99")
            return False
        peer.send_hello()
        peer.check_hello_reply()
        if operation.fault == "key-cut":
            peer.send_key(peer.make_private().public[: operation.value % 96 + 1])
            return True
        peer.send_key(spoiled_key(peer.make_private().public, operation))
        return False

    @staticmethod
    def _break_off(peer: Any, size: int) -> bool:
        """A handshake that ends after so many of our bytes, wherever that is."""
        send, left = peer.raw, size

        def raw(data: bytes, label: str = "raw bytes", cuts: Cuts | None = None) -> None:
            nonlocal left
            piece = data[:left]
            left -= len(piece)
            if piece:
                send(piece, label, cuts)
            if len(piece) < len(data):
                raise Gone

        peer.raw = raw
        try:
            peer.handshake()
        except Gone:
            pass
        return True

    # Judging

    def _expect_end(self, operation: ops.Operation, stimulus: Callable[[], None]) -> str:
        before = len(self.context.words)
        try:
            stimulus()
        except Closed:
            pass  # it noticed while we were still writing
        self.context.settle_end_or_wedge(self.peer)
        self._take_words(before, ("closed",), operation)
        return CLOSED

    def _take_words(self, before: int, allowed: tuple[str, ...], operation: ops.Operation) -> None:
        """The words that the context has added; those that the model allows are taken back."""
        added = self.context.words[before:]
        del self.context.words[before:]
        wrong = [word for word in added if word not in allowed]
        detail = self.context.details[-1] if self.context.details else ""
        self.context.details.clear()
        if wrong:
            raise Finding(wrong[0], detail, operation.signature)

    def _serve_fresh_peer(self) -> None:
        try:
            self.context.serve_fresh_peer()
        except (NotReady, ServeRefused) as error:
            self.context.see("refused-new-peer", str(error))

    def _check_alive(self, grace: float) -> None:
        """A process that dies closes its sockets first: where something went wrong it gets a moment."""
        exit_ = self.context.subject.exited(grace)
        if exit_ is not None and (self.knobs.role == "server" or exit_.is_crash):
            raise Finding("crashed", exit_.describe, self._last_upset)

    def _lose(self, operation: ops.Operation, error: Exception) -> NoReturn:
        """What was open broke, stalled or spoke nonsense where nothing of the kind may happen."""
        self._check_alive(DYING_S)
        word = {Closed: "closed", Silent: "not-echoed"}.get(type(error), "malformed")
        raise Finding(word, f"a connection in order: {error}", operation.signature) from None

    def _fail_control(self, error: Exception) -> NoReturn:
        word = "crashed" if isinstance(error, Died) else "hung"
        raise Finding(word, str(error), self._last_upset) from None


def spoiled_key(public: bytes, operation: ops.BadHandshake) -> bytes:
    if operation.fault == "key-prefix":
        return bytes([(operation.value % 250) + 5]) + public[1:]
    if operation.fault == "garbage":
        return bytes([operation.value & 0xFF]) * codec.PUBLIC_KEY_SIZE
    changed = bytearray(public)
    changed[-1] ^= operation.value % 255 + 1
    try:
        keys.decode_point(bytes(changed))
    except keys.InvalidKey:
        return bytes(changed)
    return public[:1] + bytes(2 * keys.X_SIZE)  # never a point

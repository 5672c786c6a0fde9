# SPDX-License-Identifier: MIT
"""Performs operations against a live implementation, and says where it departs from the model.

The model is small: a connection is open or there is none; what was sent whole and valid while it was open
comes back in order, and nothing else does; what must end a connection ends it; afterwards the next
peer is served. Everything is decided by an answer or an end, never by waiting for a fixed time.
"""

import time
from collections.abc import Callable
from typing import Any, NoReturn

from .. import codec, keys
from ..adapter.process import StartError
from ..adapter.rung1 import ServeRefused
from ..adapter.subject import AdapterError, Died, Hung, Subject
from ..case import Case, Instance
from ..context import Context, NotReady, RefusedPeer
from ..peer import ClientPeer, Malformed, Refused, ServerPeer
from ..wire import Closed, Cuts, LogEntry, Silent
from . import operations as ops

DYING_S = 0.3  # between the last sign of a process and its exit


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


class Unusable(Exception):
    """The adapter, not the implementation, is at fault; no search makes sense."""


def cut_after(every: int) -> Cuts | None:
    return Cuts(every=every) if every else None


class Performer:
    """One live session. Each operation is performed as it is drawn, so that what is drawn next can depend on the
    model's state, which is only whether there is a connection."""

    def __init__(self, context: Context, knobs: ops.Knobs):
        self.context = context
        self.knobs = knobs
        self.performed: list[ops.Operation] = []
        self.peer: Any = None
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
        return self.peer is not None

    @property
    def wire(self) -> list[LogEntry]:
        return self.context.log.entries

    # What a session consists of

    def perform(self, operation: ops.Operation) -> None:
        """Raises Finding where the implementation departs from the model."""
        self.performed.append(operation)
        before = self._last_upset
        if not isinstance(operation, ops.Connect):
            self._last_upset = operation.signature
        try:
            getattr(self, "_" + operation.kind.replace("-", "_"))(operation)
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
        """After the last operation: what is open ends in order, a fresh peer is served, nothing was delivered that was
        not sent."""
        try:
            if self.connected:
                self.peer.wire.finish(self.context.timeout)
                self.peer = None
            if self.knobs.role == "server":
                self._serve_fresh_peer()
            self.context.strays()
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

    # Operations

    def _connect(self, operation: ops.Connect) -> None:
        if self.connected:
            return
        try:
            if self.knobs.role == "server":
                self._dial_patiently(cut_after(operation.every))
            else:
                self.peer = self.context.open(cuts=cut_after(operation.every))
            self.context.exchange_sentinel(self.peer)
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

    def _messages(self, operation: ops.Messages) -> None:
        if not self.connected:
            return
        sent = []
        for index, (message_type, size) in enumerate(zip(operation.types, operation.sizes, strict=False)):
            data = self.context.payload(min(size, self.knobs.maximum), f"{len(self.performed)}/{index}")
            sent.append((message_type, data))
        block = b"".join(self.context.frame(self.peer, message_type, data) for message_type, data in sent)
        at = tuple(sorted({max(1, len(block) * cut // 1000) for cut in operation.cuts}))
        self.peer.raw(block, f"{len(sent)} messages", Cuts(at=at) if at else None)
        for message_type, data in sent:
            got = self.peer.receive()
            if got != (message_type, data):
                word = "out-of-order" if got in sent else "altered"
                raise Finding(
                    word,
                    f"sent type {message_type} with {len(data)} bytes, got type {got[0]} with {len(got[1])}",
                    operation.signature,
                )

    def _control(self, operation: ops.Control) -> None:
        if self.connected:
            self.peer.raw(self.peer.frame_of(0, self.context.payload(operation.size)), "control")
            self._expect_ignored(operation)

    def _bad_length(self, operation: ops.BadLength) -> None:
        if not self.connected:
            return
        least, most = self.peer.overhead, self.peer.overhead + self.context.receive_limit
        length = {"zero": 0, "short": least - 1, "over": most + 1, "huge": 0xFFFFFFFF}[operation.length]
        body = b"\x41" * length if length < least else b""
        self._expect_end(operation, lambda: self.peer.raw(codec.u32(length) + body, f"length {length}"))

    def _bad_seal(self, operation: ops.BadSeal) -> None:
        if not self.connected or not self.knobs.encrypted:
            return
        if operation.fault == "reflected":
            marker = self.context.sentinel()
            self.peer.send(*marker)
            frame = codec.frame(self.peer.receive_body())
        elif operation.fault == "short-plaintext":
            frame = codec.frame(self.peer.body_of(b"\0\1"))
        else:
            frame = bytearray(self.peer.frame_of(7, self.context.payload(24, "tampered")))
            start, size = {
                "tag": (-codec.TAG_SIZE, codec.TAG_SIZE),
                "nonce": (4, codec.NONCE_SIZE),
                "body": (4 + codec.NONCE_SIZE, 28),
            }[operation.fault]
            start += len(frame) if start < 0 else 0
            at = start + operation.bit // 8 % size
            frame[at] ^= 1 << operation.bit % 8
        self._expect_end(operation, lambda: self.peer.raw(bytes(frame), operation.signature))

    def _truncate(self, operation: ops.Truncate) -> None:
        if not self.connected:
            return
        frame = self.peer.frame_of(9, self.context.payload(operation.size, "cut"))
        kept = max(1, min(len(frame) - 1, len(frame) * operation.keep // 1000))

        def stimulus() -> None:
            self.peer.raw(frame[:kept], f"{kept} of {len(frame)} bytes")
            self.peer.wire.finish_sending()

        self._expect_end(operation, stimulus)

    def _leave(self, operation: ops.Leave) -> None:
        if not self.connected:
            return
        if operation.how == "finish":
            if not self.peer.wire.finish(self.context.timeout):
                self.peer = None
                raise Finding("wedged", "we ended our direction; the other one stayed open", operation.signature)
        else:
            self.peer.raw(self.context.frame(self.peer, 3, b"unread"), "message whose echo is not read")
            self.peer.wire.wait_readable()
            self.peer.wire.close()
        self.peer = None

    def _bad_handshake(self, operation: ops.BadHandshake) -> None:
        if self.connected:
            return
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
            if operation.fault not in ("vanish", "key-cut", "final-cut"):
                raise Finding(
                    "wedged", "the handshake went wrong and the connection stayed open", operation.signature
                ) from None
        except (RefusedPeer, NotReady) as error:
            raise PeerRefused(str(error)) from None

    def _bad_client_handshake(self, peer: ClientPeer, operation: ops.BadHandshake) -> bool:
        """We are the client. True: we close ourselves."""
        if operation.fault == "vanish":
            peer.handshake(until=["greeting", "reply", "limit", "final"][operation.value % 4])
            return True
        peer.check_greeting()
        if operation.fault == "reply":
            peer.send_reply(operation.value % 255 + 1)
            return False
        peer.send_reply()
        if not self.knobs.encrypted or operation.fault == "final-cut":
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
            peer.handshake(until=["greeting", "reply", "limit", "final"][operation.value % 4])
            return True
        if operation.fault == "reply":
            peer.send_greeting(version=operation.value % 255 + 3 & 0xFF or 1)
            peer.read_reply()
            return False
        if not self.knobs.encrypted or operation.fault == "final-cut":
            peer.handshake(until="limit")
            peer.raw(codec.u32(99), "limit of length 99")
            return False
        peer.send_greeting()
        peer.check_reply()
        if operation.fault == "key-cut":
            peer.send_key(peer.make_private().public[: operation.value % 96 + 1])
            return True
        peer.send_key(spoiled_key(peer.make_private().public, operation))
        return False

    # Judging

    def _expect_ignored(self, operation: ops.Operation) -> None:
        before = len(self.context.words)
        self.context.settle(self.peer)
        self._take_words(before, ("ignored",), operation)

    def _expect_end(self, operation: ops.Operation, stimulus: Callable[[], None]) -> None:
        before = len(self.context.words)
        try:
            stimulus()
        except Closed:
            pass  # it noticed while we were still writing
        self.context.settle_end_or_wedge(self.peer)
        self.peer.wire.close()
        self.peer = None
        self._take_words(before, ("closed",), operation)

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
        self.peer = None
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

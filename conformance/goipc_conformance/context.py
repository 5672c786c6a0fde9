# SPDX-License-Identifier: MIT
"""What a case works with: peers, the control channel, and the questions that decide what happened.

No question waits for a fixed time. After a stimulus a valid message (the sentinel) is sent: the first of its
echo, the end of the connection and the deadline decides. Afterwards a new peer must be served.
"""

import hashlib
import itertools
import math
import time
from typing import Any

from . import codec
from .adapter.level1 import error_class
from .adapter.process import Exit
from .adapter.subject import AdapterError, Died, Hung, Subject, Unsupported
from .case import Instance
from .findings import NotReady, RefusedPeer, Verdictless
from .peer import SENTINEL_TYPE, Malformed, Peer, Refused
from .running_subject import END_PATIENCE, MAXIMUM, RunningSubject
from .wire import Closed, Cuts, Silent

FLOOD_PATIENCE = 5  # answers' times for messages that keep coming and are not the one that is waited for


class Context(RunningSubject):
    """What a case sees: the questions that decide what a stimulus did."""

    def __init__(self, instance: Instance, subject: Subject, *, seed: str, timeout: float):
        super().__init__(instance, subject, seed=seed, timeout=timeout)
        self._sentinels = itertools.count(1)
        self._messages_ok: list[tuple[int, bytes]] = []  # what may reach the application

    def connected(self) -> None:
        """Waits until the application of a server under test has been told of the connection."""
        if self.role == "server" and not self.wait_events(
            lambda: any(e.get("ev") == "state" and e.get("state") == "connected" for e in self.subject.events())
        ):
            self.see("silent", "the application was not told of the connection")

    def send(self, peer: Peer, message_type: int, data: bytes = b"", cuts: Cuts | None = None) -> None:
        """A message that has to arrive; whatever else is delivered is a finding."""
        self.will_deliver(message_type, data)
        peer.send(message_type, data, cuts)

    def will_deliver(self, message_type: int, data: bytes) -> None:
        self._messages_ok.append((message_type, data))

    def frame(self, peer: Peer, message_type: int, data: bytes = b"") -> bytes:
        """The bytes of a message that has to arrive."""
        self.will_deliver(message_type, data)
        return peer.frame_of(message_type, data)

    def expect_echo(self, peer: Peer, message_type: int, data: bytes = b"", timeout: float | None = None) -> None:
        try:
            got_type, got = peer.receive(timeout)
        except Silent:
            self.see(
                "not-echoed",
                f"no echo of message {self._number((message_type, data))} of the case, type {message_type}, {len(data)} bytes",
            )
            raise
        if (got_type, got) != (message_type, data):
            wanted = f"type {message_type}, {len(data)} bytes"
            if (got_type, got) in self._messages_ok:
                self.see(
                    "out-of-order",
                    f"expected message {self._number((message_type, data))} of the case, {wanted}; message {self._number((got_type, got))} came instead "
                    f"(type {got_type}, {len(got)} bytes)",
                )
            elif self._is_retyped((got_type, got), (message_type, data)):
                pass
            else:
                self.see(
                    "altered", f"expected {wanted}; got type {got_type}, {len(got)} bytes{first_difference(data, got)}"
                )

    def _number(self, message: tuple[int, bytes]) -> int:
        """The place of a message among those of the case, from 1."""
        return self._messages_ok.index(message) + 1 if message in self._messages_ok else 0

    def exchange(self, peer: Peer, message_type: int, data: bytes = b"", cuts: Cuts | None = None) -> None:
        self.send(peer, message_type, data, cuts)
        self.expect_echo(peer, message_type, data)

    def sentinel(self) -> tuple[int, bytes]:
        data = self.payload(16, f"sentinel {next(self._sentinels)}")
        self.will_deliver(SENTINEL_TYPE, data)
        return SENTINEL_TYPE, data

    def settle(self, peer: Peer, *, sentinel: bool = True) -> None:
        """Decides what a stimulus did to a connection that was open: closed, ignored or wedged."""
        marker = None
        try:
            if sentinel:
                marker = self.sentinel()
                peer.send(*marker)
            deadline = time.monotonic() + FLOOD_PATIENCE * self.timeout
            while True:
                message = peer.receive()
                if time.monotonic() > deadline:
                    raise Silent("the last of the messages that keep coming")
                if marker and message == marker:
                    self.see("ignored")
                    return
                if message in self._messages_ok:
                    continue
                if marker and self._is_retyped(message, marker):
                    return
                self.see(
                    "delivered",
                    f"the implementation echoed type {message[0]}, {len(message[1])} bytes: {message[1][:32].hex()}",
                )
        except Closed as closed:
            self.see("closed", f"the connection ended ({closed.how})")
        except Silent as silent:
            self.see(
                "wedged",
                f"neither an end nor an answer within {peer.wire.timeout:g} s "
                f"({len(silent.partial)} bytes of {silent.waiting_for})",
            )
        except (Malformed, codec.CodecError) as error:
            self.see("malformed", str(error))

    def settle_end(self, peer: Peer) -> None:
        """After we ended our direction: the implementation has to end its own."""
        self.settle(peer, sentinel=False)

    def settle_end_or_wedge(self, peer: Peer) -> None:
        """After a stimulus that has to end the connection at once: bytes that follow must not be waited for."""
        self.settle(peer, sentinel=False)

    def settle_still_works(self, peer: Peer) -> None:
        """After a call that was refused locally: nothing has been sent and the connection goes on."""
        marker = self.sentinel()
        peer.send(*marker)
        message = peer.receive()
        if message != marker:
            self.see("sent", f"type {message[0]}, {len(message[1])} bytes came although the call was refused")

    def ready(self, peer: Peer) -> None:
        """The application of the implementation knows of the connection: one echo went through it."""
        self.exchange_sentinel(peer)

    def class_of(self, reply: dict[str, Any]) -> str:
        return error_class(reply)

    def discarded_frame(self, peer: Peer, message_type: int, data: bytes) -> bytes:
        """The bytes of a frame that must not be delivered."""
        return peer.frame_of(message_type, data)

    def must_have_delivered(self, messages: list[tuple[int, bytes]]) -> None:
        """On level 1: these messages, sent before, have to have reached the application."""
        if not self.control:
            return
        for message_type, data in messages:
            digest = hashlib.sha256(data).hexdigest()
            if not self.wait_events(
                lambda: any(self._is_message(e, message_type, data, digest) for e in self.messages())
            ):
                self.see("not-delivered", f"type {message_type}, {len(data)} bytes did not reach the application")

    @staticmethod
    def _is_message(event: dict[str, Any], message_type: int, data: bytes, digest: str) -> bool:
        return (
            event.get("type") == message_type
            and event.get("len") == len(data)
            and (event.get("sha256") == digest or event.get("data") == data.hex())
        )

    def settle_handshake(self, peer: Peer, *, allow: bytes = b"") -> None:
        """Decides what a stimulus did to a handshake: it has to be over, and nothing more may come but `allow`."""
        try:
            how, rest = peer.wire.wait_end(self._until_told(peer))
        except Silent as silent:
            reply = self.connect_result(0.05) if self.role == "client" else None
            if reply is not None and not reply["ok"]:
                self.see("refused", f"the application was told {error_class(reply)}, the socket stays open")
            elif reply is not None:
                self.see("connected", "the application was told that it is connected")
            else:
                self.see("wedged", f"no end of the connection within {self.timeout:g} s")
            rest = silent.partial
        else:
            self.see("closed", f"the connection ended ({how})")
        if rest and rest != allow[: len(rest)]:
            self.see("sent", f"{len(rest)} more bytes came: {rest[:40].hex()}")
        if self.role == "client" and self.control and "closed" in self.words:
            # A client may go on trying until its time is over; one that believes to be connected says so at once.
            reply = self.connect_result(0.1)
            if reply is not None and reply["ok"]:
                self.see("connected", "the application was told that it is connected")

    def _until_told(self, peer: Peer) -> float:
        """A client that has told its application of the failure gets a little while to close, not the whole time."""
        if self.role != "client" or not self.control or self.pending is None:
            return self.timeout
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            if peer.wire.ended_within(0.02):
                break
            try:
                if self.pending.result(0.0) is not None:
                    return 0.3
            except (AdapterError, Died, Hung, Unsupported):
                break
        return max(0.05, deadline - time.monotonic())

    def opened(self) -> None:
        """The application of a client under test has to be told of the connection."""
        if self.role == "client" and self.control:
            reply = self.connect_result()
            if reply is None:
                self.see("silent", "no reply to connect although the handshake is complete")
            elif not reply["ok"]:
                self.see("refused", f"connect failed although the handshake is complete: {error_class(reply)}")

    def catch_up(self) -> None:
        """A round trip on the control channel: every event written before its reply has been read then."""
        if not self.control or self.stopped:
            return
        try:
            self.subject.call("echo", self.timeout, on=bool(self.config.get("echo", True)))
        except Hung:
            if not {"wedged", "refused-new-peer"} & set(self.words):
                raise  # otherwise it is known already that nothing moves
        except Unsupported:
            pass

    def strays(self) -> None:
        """Every message given to the application must be one that was sent whole and valid."""
        self.catch_up()
        allowed = [(t, len(d), hashlib.sha256(d).hexdigest()) for t, d in self._messages_ok]
        for event in self.messages():
            digest = event.get("sha256")
            if digest is None:
                digest = hashlib.sha256(bytes.fromhex(event.get("data", ""))).hexdigest()
            found = (event.get("type"), event.get("len"), digest)
            if found in allowed:
                allowed.remove(found)
            else:
                retyped = next((t for t, size, known in allowed if (size, known) == found[1:] and size), None)
                if retyped is not None:
                    self.see("altered", f"FR-001: type {retyped:#x} reached the application as {event.get('type')}")
                    continue
                shown = str(event.get("data", event.get("sha256", "")))[:64]
                self.see(
                    "delivered",
                    f"the application was given type {event.get('type')}, {event.get('len')} bytes: {shown}",
                )

    def serve_fresh_peer(self) -> None:
        """Afterwards a new peer must be served: the failure of one connection must not be the end of all."""
        problem = ""
        self.log.over = math.inf  # that the case took too long is no fault of the new peer's
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                peer = self.open(encrypted=None) if self.role == "server" else self._fresh_client()
                self.exchange_sentinel(peer)
                peer.wire.finish(min(END_PATIENCE, self.timeout))
                return
            except Closed as closed:
                # The server may not have noticed yet that the earlier connection is over.
                problem = f"a new connection was ended ({closed.how})"
            except Silent as silent:
                problem = f"a new connection waits in vain for {silent.waiting_for}"
                break
            except (Malformed, codec.CodecError, Refused, RefusedPeer) as error:
                problem = str(error)
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        self.see("refused-new-peer", problem)

    def _fresh_client(self) -> Any:
        # A client never needs the configuration of the case for this.
        return self.open(policy="required" if self.encrypted else "off")

    def _is_retyped(self, message: tuple[int, bytes], sent: tuple[int, bytes]) -> bool:
        """The data came back under another type: one fault, and its own."""
        if message[1] != sent[1] or not sent[1]:
            return False
        self.see("altered", f"FR-001: the data came back whole, its type {sent[0]:#x} as {message[0]:#x}")
        return True

    def exchange_sentinel(self, peer: Peer) -> None:
        marker = self.sentinel()
        peer.send(*marker)
        deadline = time.monotonic() + self.timeout
        while True:
            message = peer.receive()
            if message == marker:
                return
            if self._is_retyped(message, marker):
                return
            self.see(
                "delivered", f"a new peer was sent type {message[0]}, {len(message[1])} bytes that are not its own"
            )
            if time.monotonic() > deadline:
                raise Silent("its echo")


def first_difference(wanted: bytes, got: bytes) -> str:
    for index, (a, b) in enumerate(zip(wanted, got)):
        if a != b:
            return f", first difference at byte {index}"
    return ""


__all__ = [
    "MAXIMUM",
    "Context",
    "Cuts",
    "Died",
    "Exit",
    "Hung",
    "NotReady",
    "RefusedPeer",
    "Unsupported",
    "Verdictless",
]

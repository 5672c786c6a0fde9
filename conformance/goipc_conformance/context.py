# SPDX-License-Identifier: MIT
"""What a case works with: peers, the control channel, and the questions that decide what happened.

No question waits for a fixed time. After a stimulus a valid message (the sentinel) is sent: the first of its
echo, the end of the connection and the deadline decides. Afterwards a new peer must be served.
"""

import hashlib
import itertools
import math
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from . import codec, resources
from .adapter.choose import start_patience
from .adapter.level0 import EchoProgram
from .adapter.level1 import error_class
from .adapter.process import Exit
from .adapter.subject import AdapterError, ConnectConfig, Died, Hung, Pending, ServeConfig, Subject, Unsupported
from .case import Instance
from .peer import SENTINEL_TYPE, ClientPeer, Malformed, Peer, Refused, Secrets, ServerPeer
from .run_folder import fresh_name, remove_socket
from .wire import Closed, Cuts, Listener, Log, Silent, connect_unix

MAXIMUM = 65536  # the server's maximum message size unless a case needs another
END_PATIENCE = 1.5  # seconds for the end of a connection about which nothing is asked any more
FLOOD_PATIENCE = 5  # answers' times for messages that keep coming and are not the one that is waited for
CASE_PATIENCE = 60  # answers' times for a whole case
DETAILS_MAX = 20  # sentences about what was seen; the first ones say it
CONNECT_PATIENCE = 3  # a client may take so many times longer to connect than for an answer: it waits for our answers


class Verdictless(Exception):
    """The case cannot be asked here, which is no fault of anyone."""


class NotReady(Exception):
    """A server of level 0 that never accepted a connection, or a client that never came."""


class Context:
    def __init__(self, instance: Instance, subject: Subject, *, seed: str, timeout: float):
        self.instance = instance
        self.case = instance.case
        self.role = instance.role
        self.p = SimpleNamespace(**instance.params)
        self.encrypted = instance.params.get("enc", "on") == "on"
        self.subject = subject
        self.timeout = timeout
        self.log = Log()
        self.log.over = time.monotonic() + CASE_PATIENCE * timeout
        self.words: list[str] = []
        self.details: list[str] = []
        self.notes: list[str] = []
        self.path = ""
        self.pending: Pending | None = None
        self.config: dict[str, Any] = {}
        if self.case.config:
            self.config = self.case.config(**instance.params)
        self._seed = f"{seed}/{instance.key}"
        self._peers: list[Peer] = []
        self._listeners: list[Listener] = []
        self._sentinels = itertools.count(1)
        self._numbers = 0
        self._started = time.time() - 1.0  # the clock of the file system is a little behind
        self.stopped = False
        self.turn = 0
        self._messages_ok: list[tuple[int, bytes]] = []

    # Configuration

    @property
    def maximum(self) -> int:
        return int(self.config.get("maximum", MAXIMUM))

    @property
    def receive_limit(self) -> int:
        """The largest data the implementation under test has to take: a server's own maximum; for a client its
        own limit, which a case sets through `client_maximum` and is the default otherwise."""
        if self.role == "server":
            return self.maximum
        return int(self.config.get("client_maximum", codec.MESSAGE_SIZE_DEFAULT))

    @property
    def handshake_timeout_ms(self) -> int | None:
        """None for the default, which is also what a debugger needs where the case is not about it."""
        if self.subject.attached and "handshake-timeout" not in self.case.needs:
            return None
        return self.config.get("handshake_timeout_ms")

    @property
    def control(self) -> bool:
        return self.subject.level >= 1

    def payload(self, size: int, salt: object = 0) -> bytes:
        """Bytes that no other message of the run has, the same in every run with this seed."""
        return hashlib.shake_128(f"{self._seed}/{salt}".encode()).digest(size)

    # Observations

    def see(self, word: str, detail: str = "") -> None:
        if word not in self.words:
            self.words.append(word)
        if detail and len(self.details) < DETAILS_MAX and detail not in self.details:
            self.details.append(detail)

    def note(self, text: str) -> None:
        self.notes.append(text)

    # Connections

    def start(self) -> None:
        """Opens the server under test; a client is started by `begin`."""
        if self.role == "server" and not self.case.own_server:
            self.serve()

    def serve(self, encryption: str = "") -> None:
        """Opens the server under test; only for cases that have to do something before."""
        self.path = self.subject.serve(
            ServeConfig(
                name=self.config.get("name") or fresh_name(),
                encryption=encryption or ("required" if self.encrypted else "off"),
                maximum=self.maximum if self.maximum != codec.MESSAGE_SIZE_DEFAULT else None,
                clients_max=self.config.get("clients_max"),
                handshake_timeout_ms=self.handshake_timeout_ms,
                echo=self.config.get("echo", True),
            )
        )

    def begin(
        self, *, policy: str | None = None, keep_listening: bool = False, encrypted: bool | None = None, **options: Any
    ) -> Any:
        """A connection on which nothing has been sent yet."""
        self._numbers += 1
        number = self._numbers
        secrets = Secrets(self._seed, number)
        encrypted = self.encrypted if encrypted is None else encrypted
        if self.role == "server":
            sock = self._dial()
            peer: Peer = ClientPeer(sock, self.log, secrets, encrypted, self.timeout)
        else:
            sock = self._invite(policy, keep_listening, options)
            peer = ServerPeer(sock, self.log, secrets, encrypted, self.timeout)
            peer.limit = self.maximum
        self._peers.append(peer)
        return peer

    def open(
        self,
        *,
        policy: str | None = None,
        cuts: Cuts | None = None,
        zeros: int | None = None,
        keep_listening: bool = False,
        **options: Any,
    ) -> Any:
        """A connection with the handshake done."""
        peer = self.begin(policy=policy, keep_listening=keep_listening, **options)
        if isinstance(peer, ClientPeer):
            peer.handshake(cuts=cuts, zeros=zeros)
        else:
            peer.handshake(cuts=cuts)
        return peer

    def open_patiently(self) -> Any:
        """A connection with the handshake done; a server that has not yet noticed the end of the connection
        before may close a few attempts, which is its way to say that it is full."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                return self.open()
            except Closed as closed:
                if closed.partial or time.monotonic() > deadline:
                    raise
            time.sleep(0.005)

    def begin_late(self, delay: float) -> Any:
        """The client is told to connect before there is a server; the server comes a little later."""
        name = fresh_name()
        path = f"/tmp/{name}.sock"
        self.pending = self.subject.connect(
            ConnectConfig(
                name=name,
                path=path,
                encryption="required" if self.encrypted else "off",
                timeout_ms=int(self.timeout * 1000 * CONNECT_PATIENCE),
            )
        )
        time.sleep(delay)  # the absence of the server is what is tested
        listener = Listener(path)
        self._listeners.append(listener)
        sock = self.accept(listener, self.timeout)
        if sock is None:
            raise Silent("the client's connection")
        self._numbers += 1
        peer = ServerPeer(sock, self.log, Secrets(self._seed, self._numbers), self.encrypted, self.timeout)
        peer.limit = self.maximum
        self._peers.append(peer)
        return peer

    def connected(self) -> None:
        """Waits until the application of a server under test has been told of the connection."""
        if self.role == "server" and not self.wait_events(
            lambda: any(e.get("ev") == "state" and e.get("state") == "connected" for e in self.subject.events())
        ):
            self.see("silent", "the application was not told of the connection")

    def stop_and_watch(self) -> None:
        """`stop` has to be answered by an exit with status 0, soon."""
        if self.subject.attached:
            raise Verdictless("what was attached to is not ended")
        self.request("stop")
        exit_ = self.subject.exited(self.timeout)
        if exit_ is None:
            raise Hung(f"the process still runs {self.timeout:g} s after stop")
        if exit_.is_crash or exit_.status != 0:
            raise Died(exit_)
        self.stopped = True

    def _dial(self) -> socket.socket:
        if isinstance(self.subject, EchoProgram) and not self._peers:
            sock = self.subject.dial(self.path, start_patience(self.timeout))
            if sock is None:
                self._raise_if_dead()
                raise NotReady("the server never accepted a connection")
            return sock
        try:
            return connect_unix(self.path)
        except OSError as error:
            self._raise_if_dead()
            raise RefusedPeer(f"connecting to the server: {error.strerror}") from None

    def _invite(self, policy: str | None, keep_listening: bool, options: dict[str, Any]) -> socket.socket:
        name = fresh_name()
        listener = Listener(f"/tmp/{name}.sock")
        self._listeners.append(listener)
        self.path = listener.path
        self.pending = self.subject.connect(
            ConnectConfig(
                name=name,
                path=listener.path,
                encryption=policy or ("required" if self.encrypted else "off"),
                maximum=options.get("client_maximum", self.config.get("client_maximum")),
                timeout_ms=int(options.get("timeout_ms", self.timeout * 1000 * CONNECT_PATIENCE)),
                handshake_timeout_ms=self.handshake_timeout_ms,
                reconnect=options.get("reconnect", self.config.get("reconnect")),
                echo=self.config.get("echo", True),
            )
        )
        sock = self.accept(listener, start_patience(self.timeout) if not self._peers else self.timeout)
        if sock is None:
            reply = self.pending.result(0.05)
            if isinstance(self.subject, EchoProgram) and not self._peers:
                raise NotReady("the client never connected")
            raise Silent(f"the client's connection{' (it answered ' + error_class(reply) + ')' if reply else ''}")
        if not keep_listening:
            listener.close()  # a client that comes again by itself finds nobody
        self.listener = listener
        return sock

    def listen(self, path: str) -> Listener:
        """A socket of ours that stands for somebody else's server; closed and removed with the case."""
        listener = Listener(path)
        self._listeners.append(listener)
        return listener

    def accept(self, listener: Listener, timeout: float) -> socket.socket | None:
        deadline = time.monotonic() + timeout
        while True:
            sock = listener.accept(min(0.1, timeout))
            if sock is not None:
                return sock
            self._raise_if_dead()
            if time.monotonic() >= deadline:
                return None

    def accept_again(self, timeout: float | None = None) -> Any:
        """The client's next connection to the same listener."""
        sock = self.accept(self.listener, self.timeout if timeout is None else timeout)
        if sock is None:
            return None
        self._numbers += 1
        secrets = Secrets(self._seed, self._numbers)
        peer = ServerPeer(sock, self.log, secrets, self.encrypted, self.timeout)
        peer.limit = self.maximum
        self._peers.append(peer)
        return peer

    def _raise_if_dead(self) -> None:
        exit_ = self.subject.exited()
        if exit_ is not None:
            raise Died(exit_)

    # Messages

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
            self.see("not-echoed", f"no echo of type {message_type}, {len(data)} bytes")
            raise
        if (got_type, got) != (message_type, data):
            wanted = f"type {message_type}, {len(data)} bytes"
            if (got_type, got) in self._messages_ok:
                self.see(
                    "out-of-order", f"expected {wanted}; another message came first (type {got_type}, {len(got)} bytes)"
                )
            else:
                self.see(
                    "altered", f"expected {wanted}; got type {got_type}, {len(got)} bytes{first_difference(data, got)}"
                )

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

    def connect_result(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The client's answer to `connect`."""
        if self.pending is None:
            return None
        return self.pending.result(self.timeout if timeout is None else timeout)

    def opened(self) -> None:
        """The application of a client under test has to be told of the connection."""
        if self.role == "client" and self.control:
            reply = self.connect_result()
            if reply is None:
                self.see("silent", "no reply to connect although the handshake is complete")
            elif not reply["ok"]:
                self.see("refused", f"connect failed although the handshake is complete: {error_class(reply)}")

    # Events of the control channel

    def messages(self) -> list[dict[str, Any]]:
        return [event for event in self.subject.events() if event.get("ev") == "message"]

    def errors(self) -> list[dict[str, Any]]:
        return [event for event in self.subject.events() if event.get("ev") == "error"]

    def wait_events(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._raise_if_dead()
            time.sleep(0.002)
        return True

    def request(self, command: str, **fields: Any) -> int:
        """Sends a request and does not wait; the number is for `reply_to`."""
        return self.subject.request(command, self.timeout, **fields)

    def reply_to(self, request: int) -> dict[str, Any] | None:
        """The reply to a request that was sent earlier without waiting."""
        reply = self.subject.wait_reply(request, self.timeout)
        if reply is not None and reply.get("unsupported"):
            raise Unsupported(str(reply.get("reason", "the adapter says so")))
        return reply

    def call(self, command: str, **fields: Any) -> dict[str, Any]:
        return self.subject.call(command, self.timeout, **fields)

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
                shown = str(event.get("data", event.get("sha256", "")))[:64]
                self.see(
                    "delivered",
                    f"the application was given type {event.get('type')}, {event.get('len')} bytes: {shown}",
                )

    # The end of a case

    def finish_peers(self) -> None:
        for peer in self._peers:
            if peer.wire.is_open:
                if peer.handshaken:
                    peer.wire.finish(min(END_PATIENCE, self.timeout))
                else:
                    peer.wire.close()

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
        return self.open(policy="required" if self.encrypted else "optional")

    def exchange_sentinel(self, peer: Peer) -> None:
        marker = self.sentinel()
        peer.send(*marker)
        deadline = time.monotonic() + self.timeout
        while True:
            message = peer.receive()
            if message == marker:
                return
            self.see(
                "delivered", f"a new peer was sent type {message[0]}, {len(message[1])} bytes that are not its own"
            )
            if time.monotonic() > deadline:
                raise Silent("its echo")

    def close_all(self) -> None:
        for peer in self._peers:
            peer.wire.close()
        for listener in self._listeners:
            listener.close()
        if self.role == "server" and self.path and not self.subject.attached:
            remove_socket(self.path, self._started)

    def usage(self) -> resources.Usage:
        usage = resources.usage_of(self.subject.pid())
        if usage is None:
            raise Verdictless("the resources of the process cannot be read here")
        return usage

    def forget(self, peer: Peer) -> None:
        """Drops a closed peer and its part of the log, for cases that make very many connections."""
        self._peers.remove(peer)
        self.log.entries = [entry for entry in self.log.entries if entry.peer != peer.wire.number]

    # Bookkeeping used by the engine

    @property
    def peers(self) -> list[Peer]:
        return self._peers


class RefusedPeer(Exception):
    """The server does not take connections any more."""


def first_difference(wanted: bytes, got: bytes) -> str:
    for index, (a, b) in enumerate(zip(wanted, got)):
        if a != b:
            return f", first difference at byte {index}"
    return ""


__all__ = ["Context", "Cuts", "Died", "Exit", "Hung", "NotReady", "RefusedPeer", "Unsupported", "Verdictless"]

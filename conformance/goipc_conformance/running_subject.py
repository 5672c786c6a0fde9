# SPDX-License-Identifier: MIT
"""How a case runs its subject: configuration, connections of the suite's own peers to it, and its control channel."""

import errno
import hashlib
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from . import codec, resources
from .adapter.choose import start_patience
from .adapter.level0 import EchoProgram
from .adapter.level1 import error_class
from .adapter.subject import ConnectConfig, Died, Hung, Pending, ServeConfig, Subject, Unsupported
from .case import Instance
from .findings import Findings, NotReady, RefusedPeer, RunnerLacks, Verdictless
from .peer import ClientPeer, Peer, Secrets, ServerPeer
from .run_folder import fresh_name, remove_socket
from .wire import Closed, Cuts, Listener, Log, Silent, connect_unix

MAXIMUM = 65536  # the server's maximum message size unless a case needs another
END_PATIENCE = 1.5  # seconds for the end of a connection about which nothing is asked any more
CASE_PATIENCE = 60  # answers' times for a whole case
CONNECT_PATIENCE = 3  # a client may take so many times longer to connect than for an answer: it waits for our answers

# What the system says of a process that has used up what it may have: of the suite, then, not of the implementation.
OURS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class RunningSubject(Findings):
    """The implementation under test in one case, and every connection that the case has to it."""

    def __init__(self, instance: Instance, subject: Subject, *, seed: str, timeout: float):
        super().__init__()
        self.instance = instance
        self.case = instance.case
        self.role = instance.role
        self.p = SimpleNamespace(**instance.params)
        self.encrypted = instance.params.get("enc", "on") == "on"
        self.subject = subject
        self.timeout = timeout
        self.log = Log()
        self.log.over = time.monotonic() + CASE_PATIENCE * timeout
        self.path = ""
        self.pending: Pending | None = None
        self.config: dict[str, Any] = {}
        if self.case.config:
            self.config = self.case.config(**instance.params)
        self._seed = f"{seed}/{instance.key}"
        self._peers: list[Peer] = []
        self._listeners: list[Listener] = []
        self._numbers = 0
        self._started = time.time() - 1.0  # the clock of the file system is a little behind
        self.stopped = False
        self.turn = 0

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

    @property
    def peers(self) -> list[Peer]:
        return self._peers

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
            sock = self.subject.dial(self.path, start_patience(self.timeout, self.subject.start_s))
            if sock is None:
                self._raise_if_dead()
                raise NotReady("the server never accepted a connection")
            return sock
        try:
            return connect_unix(self.path)
        except OSError as error:
            if error.errno in OURS:
                raise RunnerLacks(f"the suite itself lacks something: {error.strerror}") from None
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
        starts = isinstance(self.subject, EchoProgram) or not self._peers
        patience = start_patience(self.timeout, self.subject.start_s) if starts else self.timeout
        sock = self.accept(listener, patience)
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

    def connect_result(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The client's answer to `connect`."""
        if self.pending is None:
            return None
        return self.pending.result(self.timeout if timeout is None else timeout)

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

    def finish_peers(self) -> None:
        for peer in self._peers:
            if peer.wire.is_open:
                if peer.handshaken:
                    peer.wire.finish(min(END_PATIENCE, self.timeout))
                else:
                    peer.wire.close()

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

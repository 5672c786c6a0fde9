# SPDX-License-Identifier: MIT
"""Asks one case after the other, several at a time, and says what came of it."""

import dataclasses
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import codec
from .adapter.level1 import ServeRefused
from .adapter.process import StartError
from .adapter.subject import AdapterError, Died, Hung, Identity, Subject, Unsupported
from .case import Instance
from .context import MAXIMUM, Context, NotReady, RefusedPeer, Verdictless
from .findings import RunnerLacks
from .outcome import Verdict, canonical, judge
from .peer import Malformed, Refused
from .profiles import PROFILES, Profile
from .wire import KEPT_MAX, Closed, LogEntry, Silent

WEAK_CUTS = "a piece was not seen to be read before the next one was sent: the cuts may have had no effect"
TIMEOUT = 2.0  # seconds an implementation has for one answer, before --timeout-scale


@dataclasses.dataclass(frozen=True)
class Repeat:
    verdict: Verdict
    outcome: str  # or the reason, where there is no outcome


@dataclasses.dataclass
class Result:
    instance: Instance
    verdict: Verdict
    outcome: str = ""
    details: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""  # why skipped, unsupported or in error
    duration: float = 0.0
    wire: list[LogEntry] = dataclasses.field(default_factory=list)
    turn: int = 0  # how many entries of the log belong to the case itself; the rest is the check for a fresh peer
    control: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    output: str = ""
    started: str = ""  # the command line of a program of level 0
    internal: str = ""  # where the suite itself failed
    expectation: Any = None
    repeats: tuple["Repeat", ...] = ()  # what came when it was asked again
    race: Any = None  # the record's explanation of it

    @property
    def key(self) -> str:
        return self.instance.key


@dataclasses.dataclass(frozen=True)
class Settings:
    seed: str = "1"
    timeout_scale: float = 1.0
    jobs: int = 4
    profile: Profile = PROFILES["all"]
    stop_at_first: bool = False
    keep_everything: bool = False  # whole octet logs of passed cases, too
    isolation: str = "process"  # or "connection", which an adapter has to declare


class Engine:
    def __init__(self, make_subject: Callable[..., Subject], settings: Settings, sample: Subject):
        """`sample` is a subject that has answered hello: its roles and capabilities are those of all."""
        self._make_subject = make_subject
        self._settings = settings
        self._sample = sample
        self._stop = threading.Event()
        self._idle: list[Subject] = []
        self._busy: set[Subject] = set()
        self._idle_lock = threading.Lock()
        self._interrupted = False

    @property
    def identity(self) -> Identity:
        return self._sample.identity

    def run(self, instances: Iterable[Instance], on_result: Callable[[Result], None]) -> list[Result]:
        """The results in the order of the instances, whatever the order in which they finished."""
        todo = list(instances)
        results: list[Result | None] = [None] * len(todo)
        jobs = 1 if self._sample.attached else max(1, self._settings.jobs)
        lock = threading.Lock()
        # Cases that watch the clock or the processor must not share the machine with the others.
        alone = [index for index, instance in enumerate(todo) if "alone" in instance.case.tags]
        shared = [index for index in range(len(todo)) if index not in set(alone)]
        # The long ones first, so that none of them is left to run alone at the end.
        shared.sort(key=lambda index: "slow" not in todo[index].case.tags)

        def ask(index: int) -> None:
            if self._stop.is_set():
                return
            result = self.ask(todo[index])
            if self._interrupted:
                return  # its program was ended under it
            with lock:
                results[index] = result
                on_result(result)
            if self._settings.stop_at_first and result.verdict.counts_as == "failed":
                self._stop.set()

        try:
            with ThreadPoolExecutor(jobs) as pool:
                try:
                    for future in [pool.submit(ask, index) for index in shared]:
                        future.result()
                except KeyboardInterrupt:
                    self._interrupt()
                    raise
            for index in alone:
                ask(index)
        except KeyboardInterrupt:
            self._interrupt()
            raise Interrupted([result for result in results if result is not None]) from None
        finally:
            self._end_idle()
        return [result for result in results if result is not None]

    # Subjects

    def _shareable(self, instance: Instance) -> bool:
        """Whether a running adapter may serve this case. What is read from the process as a whole, or ends it,
        needs one of its own."""
        return (
            self._settings.isolation == "connection"
            and self._sample.level == 1
            and instance.case.area not in ("api", "res", "close", "end")
        )

    def _take_subject(self, instance: Instance) -> Subject:
        if self._shareable(instance):
            with self._idle_lock:
                if self._idle:
                    return self._idle.pop()
        if "open-umask" in instance.case.tags:  # what the implementation sets by itself shows under an open mask
            return self._make_subject(instance.role, umask=0)
        return self._make_subject(instance.role)

    def _give_back(self, instance: Instance, subject: Subject, result: "Result") -> bool:
        """Keeps an adapter that has done nothing wrong for another case."""
        if not self._shareable(instance) or result.verdict is not Verdict.PASS or subject.exited() is not None:
            return False
        subject.forget()
        with self._idle_lock:
            self._idle.append(subject)
        return True

    def _interrupt(self) -> None:
        """Nobody waits for cases that run: whoever interrupts may soon end us by force."""
        self._interrupted = True
        self._stop.set()
        with self._idle_lock:
            busy = list(self._busy)
        for subject in busy:
            subject.kill()

    def _end_idle(self) -> None:
        while self._idle:
            self._idle.pop().end(graceful=False)

    def excuse(self, instance: Instance) -> tuple[Verdict, str] | None:
        """Why a case cannot be asked of this implementation, known before asking."""
        case, sample = instance.case, self._sample
        if instance.role not in sample.roles:
            return Verdict.SKIP, f"the adapter has no {instance.role} role"
        if case.adapter_level > sample.level:
            return Verdict.SKIP, f"needs an adapter of level {case.adapter_level}"
        needed = list(case.needs)
        encryption = instance.params.get("enc")
        if encryption is not None:
            needed.append("enc" if encryption == "on" else "plain")
        maximum = case.config(**instance.params).get("maximum", MAXIMUM) if case.config else MAXIMUM
        # The suite's own, and the implementation's, need not be chosen.
        if instance.role == "server" and maximum not in (MAXIMUM, codec.MESSAGE_SIZE_DEFAULT):
            needed.append("max")
        for capability in needed:
            if capability not in sample.caps:
                return Verdict.UNSUPPORTED, f"the adapter does not declare {capability!r}"
        return None

    def ask(self, instance: Instance) -> Result:
        excuse = self.excuse(instance)
        if excuse:
            return Result(instance, excuse[0], reason=excuse[1])
        started = time.monotonic()
        try:
            subject = self._take_subject(instance)
            subject.start_s = self._sample.start_s
        except (AdapterError, StartError, Hung, Died) as error:
            return Result(instance, Verdict.ERROR, reason=f"the adapter did not start: {error}")
        context = Context(
            instance,
            subject,
            seed=self._settings.seed,
            timeout=TIMEOUT * self._settings.timeout_scale * instance_patience(instance),
        )
        result = None
        with self._idle_lock:
            self._busy.add(subject)
        if self._interrupted:
            subject.kill()
        try:
            try:
                result = self._ask(context)
            finally:
                context.close_all()
        except Exception as error:  # a fault of the suite must never look like a fault of the implementation
            result = Result(
                instance,
                Verdict.ERROR,
                reason=f"internal: {type(error).__name__}: {error}",
                internal=traceback.format_exc(),
            )
        finally:
            transcript = list(getattr(getattr(subject, "control", None), "transcript", ()))
            if result is None or not self._give_back(instance, subject, result):
                subject.end(graceful=False)
            with self._idle_lock:
                self._busy.discard(subject)
        result.duration = time.monotonic() - started
        result.started = subject.started
        result.wire, result.turn = context.log.entries, context.turn
        if result.verdict is Verdict.PASS and not self._settings.keep_everything:
            for entry in result.wire:
                entry.data = entry.data[:KEPT_MAX]
        result.control = transcript
        if any(peer.wire.weak_cuts for peer in context.peers):
            context.note(WEAK_CUTS)
        result.notes = tuple(context.notes)
        return result

    def _ask(self, context: Context) -> Result:
        case, instance = context.case, context.instance
        try:
            self._perform(context)
        except Unsupported as error:
            return Result(instance, Verdict.UNSUPPORTED, reason=str(error))
        except Verdictless as error:
            return Result(instance, Verdict.SKIP, reason=str(error))
        except (AdapterError, StartError, NotReady, RunnerLacks) as error:
            return Result(instance, Verdict.ERROR, reason=str(error), output=context.subject.output())
        output = context.subject.output()
        if not context.words:
            context.see("conforms")
        outcome = canonical(context.words)
        verdict = judge(outcome, case.expect, case.also)
        if verdict is Verdict.PASS_LENIENT and not self._settings.profile.tolerates(instance, outcome):
            verdict = Verdict.FAIL
        return Result(instance, verdict, outcome, tuple(context.details), output=output)

    def _perform(self, context: Context) -> None:
        subject = context.subject
        try:
            try:
                context.start()
                context.case.body(context)
            except Exception as error:
                self._translate(context, error)
            context.turn = len(context.log.entries)
            context.finish_peers()
            if context.case.liveness and not context.stopped:
                self._check_service(context)
            context.strays()
        except Died as died:
            context.see("crashed", died.exit.describe)
        except Hung as hung:
            context.see("hung", str(hung))
        self._check_death(context)
        if context.words[:1] != ["crashed"] and "hung" not in context.words and not context.stopped:
            exit_ = None if self._shareable(context.instance) else subject.end(graceful=True)
            if exit_ is not None:
                context.see("crashed", f"at its end: {exit_.describe}")
                context.words = ["crashed"]

    def _translate(self, context: Context, error: Exception) -> None:
        """What a step ran into, as an outcome. Anything unknown is the suite's own fault and goes on up."""
        if isinstance(error, Closed):
            context.see(
                "closed",
                f"the connection ended ({error.how})"
                + (f" after {len(error.partial)} bytes of an item" if error.partial else ""),
            )
        elif isinstance(error, Silent):
            context.see("wedged", f"waited {context.timeout:g} s in vain for {error.waiting_for}{arrived(error)}")
        elif isinstance(error, (Malformed, codec.CodecError)):
            context.see("malformed", str(error))
        elif isinstance(error, Refused):
            context.see(f"reply:{error.reply}", f"the client replied {error.reply} to HELLO")
        elif isinstance(error, RefusedPeer):
            context.see("refused-new-peer", str(error))
        elif isinstance(error, ServeRefused):
            context.see("refused", f"the server was not opened: {error}")
        else:
            raise error

    def _check_service(self, context: Context) -> None:
        try:
            context.serve_fresh_peer()
        except (Unsupported, AdapterError):
            raise
        except NotReady as error:
            context.see("refused-new-peer", str(error))
        except ServeRefused as error:
            context.see("refused-new-peer", str(error))

    def _check_death(self, context: Context) -> None:
        """A process that dies closes its sockets first: give one that is dying the time to do it."""
        if context.stopped:
            return
        suspicious = any(word not in ("conforms", "ignored") for word in context.words)
        failed_service = "refused-new-peer" in context.words or "wedged" in context.words
        exit_ = context.subject.exited(1.0 if failed_service else 0.0)
        if exit_ is None and suspicious and context.role == "client" and context.subject.level == 0:
            exit_ = context.subject.exited(0.2)
        if exit_ is not None:
            context.see("crashed", exit_.describe)
        if "crashed" in context.words:
            # However the death showed itself on the wire, it is one outcome.
            context.words = ["crashed"]


# What other protocols send where a key of 97 bytes is due.
OTHER_KEYS = {32: "an X25519 key", 33: "a compressed P-256 key", 49: "a compressed P-384 key", 65: "a P-256 key"}


def arrived(silent: Silent) -> str:
    """The bytes that came before the wait ended, for the end of a sentence."""
    if not silent.partial:
        return ""
    count = len(silent.partial)
    dialect = OTHER_KEYS.get(count) if silent.waiting_for.endswith("_KEY") else None
    hint = f", as many as {dialect} has: another dialect" if dialect else ""
    return f"; only {count} bytes came{hint}: {silent.partial[:40].hex()}"


class Interrupted(Exception):
    def __init__(self, results: list[Result]):
        super().__init__("interrupted")
        self.results = results


def instance_patience(instance: Instance) -> float:
    return 3.0 if "slow" in instance.case.tags else 1.0

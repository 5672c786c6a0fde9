# SPDX-License-Identifier: MIT
"""Draws sessions with Hypothesis and performs each as it is drawn: a rule-based state machine whose rules are the
operations. What it finds is shrunk by Hypothesis over the socket, then confirmed on fresh processes.

After a finding the search goes on without it: a session that ends in a finding whose signature is known is
just given up, so that one fault does not hide the others.
"""

import dataclasses
import hashlib
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ..adapter.subject import Subject
from ..wire import LogEntry
from . import operations as ops
from .performer import Finding, Performer
from .profiles import CONFIRMATIONS, Profile

FINDINGS_MAX = 16  # then there is enough to mend first


@dataclasses.dataclass
class Found:
    """A finding, shrunk; `again` of CONFIRMATIONS performances on fresh processes showed it once more."""

    trace: ops.Trace
    word: str
    detail: str
    signature: str
    again: int
    wire: list[LogEntry] = dataclasses.field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.again == CONFIRMATIONS:
            return "FAIL"
        return "FLAKY" if self.again else "UNREPRODUCIBLE"


# --- what is drawn --------------------------------------------------------------------------------

EDGES = (0, 1, 3, 4, 5, 11, 12, 13, 1023, 1024, 4088, 4096, 65535, 65536)
TYPES = (1, 2, 65535, 65536, 2**31 - 1)


def sizes(maximum: int) -> st.SearchStrategy[int]:
    edges = [size for size in EDGES if size <= maximum] + [maximum - 1, maximum]
    return st.one_of(st.sampled_from(edges), st.integers(0, min(300, maximum)))


def messages(maximum: int) -> st.SearchStrategy[ops.Messages]:
    def build(pairs: list[tuple[int, int]], cuts: list[int]) -> ops.Messages:
        return ops.Messages(tuple(a for a, _ in pairs), tuple(b for _, b in pairs), tuple(cuts))

    pair = st.tuples(st.one_of(st.sampled_from(TYPES), st.integers(1, 2**31 - 1)), sizes(maximum))
    return st.builds(build, st.lists(pair, min_size=1, max_size=4), st.lists(st.integers(0, 1000), max_size=3))


def bad_seals() -> st.SearchStrategy[ops.BadSeal]:
    return st.builds(
        ops.BadSeal, st.sampled_from(("tag", "body", "nonce", "short-plaintext", "reflected")), st.integers(0, 223)
    )


def bad_handshakes() -> st.SearchStrategy[ops.BadHandshake]:
    return st.builds(
        ops.BadHandshake,
        st.sampled_from(("vanish", "reply", "garbage", "key-off-curve", "key-prefix", "key-cut", "final-cut")),
        st.integers(0, 255),
    )


# --- the machine ----------------------------------------------------------------------------------


class Session:
    """What the machine of one search shares with it: what is known, and the last failing trace, which after
    shrinking is the least one."""

    def __init__(
        self,
        make_subject: Callable[[str], Subject],
        role: str,
        seed: str,
        timeout: float,
        modes: tuple[bool, ...],
        on_example: Callable[[], None],
    ):
        self.make_subject = make_subject
        self.role = role
        self.seed = seed
        self.timeout = timeout
        self.modes = modes
        self.on_example = on_example
        self.known: set[str] = set()
        self.failing: ops.Trace | None = None
        self.finding: Finding | None = None
        self.wanted: str | None = None  # while shrinking: only this one counts

    def start(self, knobs: ops.Knobs) -> Performer:
        self.on_example()
        return Performer.launch(self.make_subject, knobs, seed=self.seed, timeout=self.timeout)

    def note(self, knobs: ops.Knobs, performed: list[ops.Operation], finding: Finding) -> bool:
        """Whether the finding is news."""
        if finding.signature in self.known or (self.wanted and finding.signature != self.wanted):
            return False
        self.wanted = finding.signature
        self.finding = finding
        self.failing = ops.Trace(knobs, tuple(performed), self.seed)
        return True


def machine_for(session: Session) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.performer: Performer | None = None
            self.over = True

        @initialize(encrypted=st.sampled_from(session.modes), maximum=st.sampled_from((65536, 1024, 5000)))
        def begin(self, encrypted: bool, maximum: int) -> None:
            self.knobs = ops.Knobs(session.role, encrypted, maximum)
            self.performer = session.start(self.knobs)
            self.over = False

        def do(self, operation: ops.Operation) -> None:
            assert self.performer is not None
            try:
                self.performer.perform(operation)
            except Finding as finding:
                self.over = True
                if session.note(self.knobs, self.performer.performed, finding):
                    raise

        def is_open(self) -> bool:
            return not self.over and self.performer is not None and self.performer.connected

        def is_free(self) -> bool:
            return not self.over and self.performer is not None and not self.performer.connected

        @precondition(is_free)
        @rule(every=st.sampled_from((0, 0, 1, 7)))
        def connect(self, every: int) -> None:
            self.do(ops.Connect(every))

        @precondition(is_free)
        @rule(operation=bad_handshakes())
        def bad_handshake(self, operation: ops.BadHandshake) -> None:
            self.do(operation)

        @precondition(is_open)
        @rule(data=st.data())
        def messages(self, data: st.DataObject) -> None:
            self.do(data.draw(messages(self.knobs.maximum)))

        @precondition(is_open)
        @rule(size=st.integers(0, 40))
        def control(self, size: int) -> None:
            self.do(ops.Control(size))

        @precondition(is_open)
        @rule(length=st.sampled_from(("zero", "short", "over", "huge")))
        def bad_length(self, length: str) -> None:
            self.do(ops.BadLength(length))

        @precondition(lambda self: self.is_open() and self.knobs.encrypted)
        @rule(operation=bad_seals())
        def bad_seal(self, operation: ops.BadSeal) -> None:
            self.do(operation)

        @precondition(is_open)
        @rule(size=st.integers(0, 200), keep=st.integers(0, 999))
        def truncate(self, size: int, keep: int) -> None:
            self.do(ops.Truncate(size, keep))

        @precondition(is_open)
        @rule(how=st.sampled_from(("finish", "abrupt")))
        def leave(self, how: str) -> None:
            self.do(ops.Leave(how))

        # Without it a machine whose session is over would have no rule to run.
        @precondition(lambda self: self.over)
        @rule()
        def rest(self) -> None:
            pass

        def teardown(self) -> None:
            if self.performer is None:
                return
            try:
                if not self.over:
                    self.performer.finish()
            except Finding as finding:
                if session.note(self.knobs, self.performer.performed, finding):
                    raise
            finally:
                self.performer.close()

    return Machine


# --- the search -----------------------------------------------------------------------------------


def perform_trace(
    make_subject: Callable[[str], Subject], trace: ops.Trace, timeout: float
) -> tuple[Finding | None, list[LogEntry]]:
    """The trace from beginning to end on a fresh process."""
    performer = Performer.launch(make_subject, trace.knobs, seed=trace.seed, timeout=timeout)
    try:
        for operation in trace.operations:
            performer.perform(operation)
        performer.finish()
    except Finding as finding:
        return finding, performer.wire
    finally:
        performer.close()
    return None, performer.wire


def confirm(make_subject: Callable[[str], Subject], trace: ops.Trace, finding: Finding, timeout: float) -> Found:
    """Performs it again on fresh processes, with all the patience of the fixed cases."""
    again = 0
    wire: list[LogEntry] = []
    for _ in range(CONFIRMATIONS):
        seen, log = perform_trace(make_subject, trace, timeout)
        if seen is not None:
            again += 1
            wire = log
    return Found(trace, finding.word, finding.detail, finding.signature, again, wire)


def search(
    make_subject: Callable[[str], Subject],
    role: str,
    *,
    profile: Profile,
    seed: str,
    timeout: float,
    modes: tuple[bool, ...],
    on_example: Callable[[], None],
    on_found: Callable[[Found], None],
    enough: Callable[[list[Found]], bool] = lambda found: False,
) -> list[Found]:
    """Until so many examples have been drawn, or so many things found, or it is enough. The same seed draws the same
    sessions; what is performed only to shrink a finding does not count, or the first one would use up all."""
    session = Session(make_subject, role, seed, timeout / 3, modes, on_example)
    found: list[Found] = []
    count = 0

    def counted() -> None:
        nonlocal count
        count += session.wanted is None
        on_example()

    session.on_example = counted
    while count < profile.examples and len(found) < FINDINGS_MAX and not enough(found):
        session.failing, session.finding, session.wanted = None, None, None
        number = int.from_bytes(hashlib.sha256(f"{seed}/{role}/{len(found)}".encode()).digest()[:8], "big")
        try:
            run_state_machine_as_test(  # type: ignore[no-untyped-call]
                seeded(number)(machine_for(session)),
                settings=settings(
                    max_examples=max(1, profile.examples - count),
                    stateful_step_count=profile.steps,
                    deadline=None,
                    database=None,
                    print_blob=False,
                    verbosity=Verbosity.quiet,
                    report_multiple_bugs=False,
                    phases=(Phase.generate, Phase.shrink),
                    suppress_health_check=list(HealthCheck),
                ),
            )
            break  # it has drawn all that it wanted and found nothing more
        except (Finding, Flaky, HypothesisException, BaseExceptionGroup) as error:
            if session.failing is None or session.finding is None:
                raise error
        one = confirm(
            make_subject, minimal(make_subject, session.failing, session.finding, timeout), session.finding, timeout
        )
        session.known.add(session.finding.signature)
        found.append(one)
        on_found(one)
    return found


def minimal(make_subject: Callable[[str], Subject], trace: ops.Trace, finding: Finding, timeout: float) -> ops.Trace:
    """Drops every operation without which the same is found; Hypothesis may have stopped early, and traces from
    elsewhere were never shrunk."""
    at = 0
    while at < len(trace.operations):
        shorter = dataclasses.replace(trace, operations=trace.operations[:at] + trace.operations[at + 1 :])
        seen, _ = perform_trace(make_subject, shorter, timeout / 3)
        if seen is not None and seen.signature == finding.signature:
            trace = shorter
        else:
            at += 1
    return trace

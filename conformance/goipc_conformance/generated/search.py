# SPDX-License-Identifier: MIT
"""Draws sessions with Hypothesis and performs each as it is drawn: a rule-based state machine whose rules are the
operations. What it finds is shrunk by Hypothesis over the socket, then confirmed on fresh processes.

After a finding the search goes on without it: a session that ends in a finding whose signature is known is
just given up, so that one fault does not hide the others.

A search for something known spends its time on that: other findings are only counted, and once an operation
has led to one, a session ends at it. Nothing is drawn more often because it is looked for.
"""

import collections
import contextlib
import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterator

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import Flaky, HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ..adapter.subject import Subject
from ..wire import LogEntry
from . import operations as ops
from .performer import Finding, Performer
from .profiles import CONFIRMATIONS, Profile

FINDINGS_MAX = 16  # then there is enough to mend first
AT_ONCE_MAX = 50  # examples with one seed of Hypothesis, which after a while mostly changes what it drew before
HURRY = 3  # so much less patience where many sessions are expected to fail
SIMPLER_MAX = 120  # performances in which the operations that are left are made simpler


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
MAXIMA = (65536, 1024, 5000)  # the first is what one that cannot be told has
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


def bad_handshakes(encrypted: bool) -> st.SearchStrategy[ops.BadHandshake]:
    """Each fault as likely as any other, and none that could not happen. Hypothesis likes to draw again what it has
    drawn, and small numbers: picked by name, a fault may not come up once in 200 sessions. A digest spreads them."""
    faults = ops.BadHandshake.FAULTS + (ops.BadHandshake.KEY_FAULTS if encrypted else ())
    fault = st.binary(min_size=3, max_size=3).map(lambda drawn: faults[hashlib.sha256(drawn).digest()[0] % len(faults)])
    return st.builds(ops.BadHandshake, fault, st.integers(0, 255))


def rearranged(encrypted: bool) -> st.SearchStrategy[ops.Rearrange]:
    hows = ops.Rearrange.HOWS if encrypted else ops.Rearrange.HOWS[:-1]
    size = st.integers(0, 100)
    return st.builds(
        ops.Rearrange, st.sampled_from(hows), st.lists(size, min_size=2, max_size=4).map(tuple), st.integers(0, 3)
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
        worth: Callable[[str], bool] | None = None,
        maxima: tuple[int, ...] = MAXIMA,
    ):
        self.make_subject = make_subject
        self.role = role
        self.seed = seed
        self.timeout = timeout
        self.modes = modes
        self.maxima = maxima
        self.on_example = on_example
        self.worth = worth  # whether a signature is looked for; without it all are
        self.aside: collections.Counter[str] = collections.Counter()  # found, and not looked for
        self.culprits: set[str] = set()  # operations after which such was found
        self.known: set[str] = set()
        self.failing: ops.Trace | None = None
        self.finding: Finding | None = None
        self.wanted: str | None = None  # while shrinking: only this one counts

    def start(self, knobs: ops.Knobs) -> Performer:
        self.on_example()
        # What only a slow machine made late would not show again. While it is shrunk, or where faults are known to be
        # there, patience would be wasted: most sessions then end in waiting.
        hurry = self.wanted is not None or self.worth is not None
        timeout = self.timeout / HURRY if hurry else self.timeout
        return Performer.launch(self.make_subject, knobs, seed=self.seed, timeout=timeout)

    def note(self, knobs: ops.Knobs, performed: list[ops.Operation], finding: Finding) -> bool:
        """Whether the finding is news."""
        if self.worth is not None and not self.worth(finding.signature):
            self.aside[finding.signature] += 1
            self.culprits.add(finding.culprit)
            return False
        if finding.signature in self.known or (self.wanted and finding.signature != self.wanted):
            return False
        self.wanted = finding.signature
        self.finding = finding
        self.failing = ops.Trace(knobs, tuple(performed), self.seed)
        return True

    def has_seen_enough_of(self, operation: ops.Operation) -> bool:
        """Whether what comes after it would, as far as is known, only be found again."""
        return operation.signature in self.culprits


class Machine(RuleBasedStateMachine):
    """What may be done after a session has begun; `machine_for` says how it begins."""

    session: Session
    knobs: ops.Knobs

    def __init__(self) -> None:
        super().__init__()
        self.performer: Performer | None = None
        self.over = True

    def do(self, operation: ops.Operation) -> None:
        assert self.performer is not None
        try:
            self.performer.perform(operation)
            if self.session.has_seen_enough_of(operation):
                self.over = True
                self.performer.give_up()
        except Finding as finding:
            self.over = True
            if self.session.note(self.knobs, self.performer.performed, finding):
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
    @rule(data=st.data())
    def bad_handshake(self, data: st.DataObject) -> None:
        self.do(data.draw(bad_handshakes(self.knobs.encrypted)))

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
    @rule(size=st.integers(0, 200), keep=st.integers(0, 999))
    def abort(self, size: int, keep: int) -> None:
        self.do(ops.Abort(size, keep))

    @precondition(is_open)
    @rule(data=st.data())
    def rearrange(self, data: st.DataObject) -> None:
        self.do(data.draw(rearranged(self.knobs.encrypted)))

    @precondition(is_open)
    @rule(back=st.integers(0, 3))
    def resend(self, back: int) -> None:
        self.do(ops.Resend(back))

    @precondition(is_open)
    @rule(size=st.integers(0, 200), keep=st.integers(0, 999), ms=st.sampled_from((0, 1, 10)))
    def pause(self, size: int, keep: int, ms: int) -> None:
        self.do(ops.Pause(size, keep, ms))

    @precondition(lambda self: self.is_open() and self.session.role == "server")
    @rule(how=st.sampled_from(ops.Beside.HOWS))
    def beside(self, how: str) -> None:
        self.do(ops.Beside(how))

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
            if self.session.note(self.knobs, self.performer.performed, finding):
                raise
        finally:
            self.performer.close()


def machine_for(session: Session) -> type[RuleBasedStateMachine]:
    class Begun(Machine):
        # A third of the sessions begins with a bad handshake: drawn only as one rule of many, most faults of a key
        # would never come up in a short search, and nothing that came before can hide what this one does. A third
        # begins with a proper connection, so that enough of them get as far as frames.
        @initialize(
            encrypted=st.sampled_from(session.modes),
            maximum=st.sampled_from(session.maxima),
            opening=st.sampled_from(("any", "connect", "bad-handshake")),
            data=st.data(),
        )
        def begin(self, encrypted: bool, maximum: int, opening: str, data: st.DataObject) -> None:
            self.knobs = ops.Knobs(session.role, encrypted, maximum)
            self.performer = session.start(self.knobs)
            self.over = False
            if opening == "bad-handshake":
                self.do(data.draw(bad_handshakes(encrypted)))
            elif opening == "connect":
                self.do(ops.Connect())

    Begun.session = session
    return Begun


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
    """Performs it again on fresh processes, with all the patience of the fixed cases. Only the same counts."""
    again = 0
    wire: list[LogEntry] = []
    for _ in range(CONFIRMATIONS):
        seen, log = perform_trace(make_subject, trace, timeout)
        if seen is not None and seen.signature == finding.signature:
            again += 1
            wire = log
    return Found(trace, finding.word, finding.detail, finding.signature, again, wire)


@contextlib.contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Hypothesis keeps files of its own, with the paths of what it has read, in the folder where it is started."""
    with tempfile.TemporaryDirectory(prefix="goipc-conformance-") as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


@nothing_left_behind()
def perform_round(session: Session, number: int, examples: int, steps: int, *, shrink: bool) -> BaseException | None:
    """Draws sessions from one seed, `number`, until one finds something; gives what ended it early."""
    options = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seeded(number)(machine_for(session)), settings=options)
    except (Finding, Flaky, HypothesisException, BaseExceptionGroup) as error:
        return error
    return None


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
    worth: Callable[[str, list[Found]], bool] | None = None,
    on_aside: Callable[[str, int], None] = lambda signature, times: None,
    maxima: tuple[int, ...] = MAXIMA,
) -> list[Found]:
    """Until so many examples have been drawn, so many things found, or it is enough. The same seed draws the same
    sessions; what is performed only to shrink a finding does not count.

    With `worth` only findings of which it says so, by their signature and what was found before, are shrunk and
    confirmed; `on_aside` hears at the end how often there were others. Shrinking is then dropping operations, which
    takes far fewer sessions than Hypothesis does."""
    found: list[Found] = []
    is_worth = None if worth is None else lambda signature: worth(signature, found)
    session = Session(make_subject, role, seed, timeout, modes, on_example, is_worth, maxima)
    count = rounds = 0

    def counted() -> None:
        nonlocal count
        count += session.wanted is None
        on_example()

    session.on_example = counted
    while count < profile.examples and len(found) < FINDINGS_MAX and not enough(found):
        session.failing, session.finding, session.wanted = None, None, None
        before = count
        number = int.from_bytes(hashlib.sha256(f"{seed}/{role}/{rounds}".encode()).digest()[:8], "big")
        rounds += 1
        examples = min(AT_ONCE_MAX, max(1, profile.examples - count))
        error = perform_round(session, number, examples, profile.steps, shrink=worth is None)
        if error is None:
            if count == before:
                break  # there is nothing else to draw
            continue
        if session.failing is None or session.finding is None:
            # What ends a session may change as the search learns, which Hypothesis takes for flakiness.
            if isinstance(error, Flaky) and count > before:
                continue
            raise error
        shortest = minimal(make_subject, session.failing, session.finding, timeout)
        one = confirm(make_subject, shortest, session.finding, timeout)
        found.append(one)
        on_found(one)
        # One that is looked for and did not come out well may be met again, in a better session.
        if worth is None or not worth(one.signature, found):
            session.known.add(one.signature)
            session.culprits |= {session.finding.culprit} if worth else set()
    for signature, times in sorted(session.aside.items()):
        on_aside(signature, times)
    return found


def minimal(make_subject: Callable[[str], Subject], trace: ops.Trace, finding: Finding, timeout: float) -> ops.Trace:
    """Drops every operation without which the same is found, many at once first, then cuts, messages and bytes of
    those that are left; Hypothesis may have stopped early or not have shrunk at all, and neither were traces from
    elsewhere."""

    def shows(shorter: tuple[ops.Operation, ...]) -> bool:
        seen, _ = perform_trace(make_subject, dataclasses.replace(trace, operations=shorter), timeout / HURRY)
        return seen is not None and seen.signature == finding.signature

    operations = _without_needless(trace.operations, shows)
    return dataclasses.replace(trace, operations=_simplified(operations, shows))


Shows = Callable[[tuple[ops.Operation, ...]], bool]


def _without_needless(operations: tuple[ops.Operation, ...], shows: Shows) -> tuple[ops.Operation, ...]:
    size = max(1, len(operations) // 2)
    while size:
        at = 0
        while at < len(operations):
            shorter = operations[:at] + operations[at + size :]
            if shows(shorter):
                operations = shorter
            else:
                at += size
        size //= 2
    return operations


def _simplified(operations: tuple[ops.Operation, ...], shows: Shows) -> tuple[ops.Operation, ...]:
    left = SIMPLER_MAX
    at = 0
    while at < len(operations):
        for one in ops.simpler(operations[at]):
            if left == 0:
                return operations
            left -= 1
            shorter = operations[:at] + (one,) + operations[at + 1 :]
            if shows(shorter):
                operations = shorter
                break  # from the boldest again
        else:
            at += 1
    return operations

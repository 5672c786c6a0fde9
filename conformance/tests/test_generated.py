# SPDX-License-Identifier: MIT
"""Goal: traces survive files, shrinking keeps the finding and drops the rest, and files that are no traces are
refused with a reason. Method: a performer that needs no implementation stands in for the live one."""

import dataclasses
import json
import os
import re
import types

import pytest
from conftest import SUITE, TOY
from goipc_conformance import codec, keys
from goipc_conformance.adapter import choose
from goipc_conformance.context import NotReady
from goipc_conformance.generated import commands, replay, search
from goipc_conformance.generated import operations as ops
from goipc_conformance.generated.performer import Finding, Performer, spoiled_key
from hypothesis.errors import Flaky

EVERY_KIND = (
    ops.Connect(7),
    ops.Messages((1, 2), (0, 70), (500,)),
    ops.Control(3),
    ops.BadLength("over"),
    ops.BadSeal("tag", 5),
    ops.Truncate(20, 100),
    ops.Leave("abrupt"),
    ops.Resend(2),
    ops.Rearrange("swap", (3, 4), 1),
    ops.Pause(5, 100, 1),
    ops.Abort(5, 100),
    ops.Beside("stays"),
    ops.BadHandshake("reply", 9),
)


def test_every_operation_survives_a_file(tmp_path):
    trace = ops.Trace(ops.Knobs("client", False, 5000), EVERY_KIND, "7")
    assert {type(one) for one in EVERY_KIND} == set(ops.KINDS.values())
    replay.write(tmp_path / "trace.json", trace.to_json())
    again, _ = replay.read(tmp_path / "trace.json")
    assert again == trace


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"schema": "other"}',
        '{"schema": "goipc-trace-v1", "knobs": {}, "operations": [{"op": "fly"}]}',
        '{"schema": "goipc-trace-v1", "knobs": {"no": 1}, "operations": []}',
    ],
)
def test_what_is_no_trace_is_refused(tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(ops.TraceError):
        replay.read(tmp_path / "bad.json")


def fault_needs(*needed):
    """Stands for an implementation that fails when these operations come in this order."""

    def perform(make_subject, trace, timeout):
        rest = list(needed)
        for operation in trace.operations:
            if rest and operation == rest[0]:
                rest.pop(0)
        return (None if rest else Finding("crashed", "planted", "test")), []

    return perform


def test_minimal_keeps_what_is_needed_and_nothing_else(monkeypatch):
    needed = (ops.Connect(), ops.BadLength("zero"))
    monkeypatch.setattr(search, "perform_trace", fault_needs(*needed))
    long = ops.Trace(ops.Knobs(), (ops.Control(), needed[0], ops.Leave(), *EVERY_KIND[:2], needed[1], ops.Control()))
    finding = Finding("crashed", "planted", "test")
    assert search.minimal(lambda role: None, long, finding, 1.0).operations == needed


def test_confirm_counts_how_often_it_shows(monkeypatch):
    answers = iter([Finding("crashed", "x", "y"), None, None])
    monkeypatch.setattr(search, "perform_trace", lambda *_: (next(answers), []))
    found = search.confirm(lambda role: None, ops.Trace(ops.Knobs(), ()), Finding("crashed", "x", "y"), 1.0)
    assert (found.again, found.verdict) == (1, "FLAKY")


def test_promote_writes_a_case_once(tmp_path):
    content = ops.Trace(ops.Knobs(), EVERY_KIND[:1]).to_json()
    path = replay.promote(content, "frame.x", "A title", ["FR-004"], tmp_path)
    written = json.loads(path.read_text())
    assert written["case"]["id"] == "frame.x" and written["case"]["reqs"] == ["FR-004"]
    assert ops.Trace.from_json(written) == ops.Trace.from_json(content)
    with pytest.raises(ops.TraceError, match="already"):
        replay.promote(content, "frame.x", "A title", ["FR-004"], tmp_path)


def test_same_seed_draws_the_same_sessions(monkeypatch):
    drawn = []

    class Recorder:
        def __init__(self, knobs):
            self.trace, self.connected, self.performed = [knobs], False, []
            drawn.append(self.trace)

        def perform(self, operation):
            self.trace.append(operation)
            self.performed.append(operation)
            self.connected = isinstance(operation, ops.Connect) or (self.connected and not operation.ends)

        def finish(self):
            pass

        def close(self):
            pass

    monkeypatch.setattr(search.Performer, "launch", lambda make, knobs, **_: Recorder(knobs))
    for _ in range(2):
        search.search(
            lambda role: None,
            "server",
            profile=search.Profile(5, 6),
            seed="9",
            timeout=1.0,
            modes=(True,),
            on_example=lambda: None,
            on_found=lambda one: None,
        )
    half = len(drawn) // 2
    assert half >= 5 and drawn[:half] == drawn[half:]
    assert any(len(trace) > 2 for trace in drawn)
    assert dataclasses.is_dataclass(drawn[0][0])


def public_key():
    return keys.encode_point(keys.SMALL_Y_POINT)


@pytest.mark.parametrize("value", range(256))
def test_an_off_curve_key_is_well_formed_and_only_not_a_point(value):
    key = spoiled_key(public_key(), ops.BadHandshake("key-off-curve", value))
    assert len(key) == codec.PUBLIC_KEY_SIZE and key[0] == 4
    assert all(int.from_bytes(part) < keys.FIELD for part in (key[1:49], key[49:]))
    with pytest.raises(keys.InvalidKey):
        keys.decode_point(key)


@pytest.mark.parametrize("value", range(256))
def test_a_key_with_a_wrong_prefix_is_a_point_apart_from_it(value):
    key = spoiled_key(public_key(), ops.BadHandshake("key-prefix", value))
    assert len(key) == codec.PUBLIC_KEY_SIZE and key[0] != 4
    assert key[1:] == public_key()[1:]


def test_what_must_be_found_is_told_apart():
    def found(signature, again=3, steps=1):
        return search.Found(ops.Trace(ops.Knobs(), (ops.Connect(),) * steps), "crashed", "", signature, again)

    prefix = found("crashed after bad-handshake.key-prefix")
    curve = found("crashed after bad-handshake.key-off-curve")
    wanted = ["crashed after bad-handshake.key-off-curve"]
    assert commands.missing(wanted, [prefix]) == wanted
    assert commands.missing(wanted, [prefix, curve]) == []
    assert commands.missing(["crashed after bad-handshake"], [prefix]) != []
    assert commands.missing(["crashed after bad-handshake.key"], [curve]) != []
    assert commands.missing(wanted, [dataclasses.replace(curve, again=2)]) == wanted
    assert commands.missing(wanted, [found(wanted[0], steps=4)]) == wanted


def test_the_search_ends_when_it_is_enough(monkeypatch):
    class Failing:
        connected = False

        def __init__(self):
            self.performed = []

        def perform(self, operation):
            self.performed.append(operation)
            raise Finding("crashed", "planted", operation.signature)

        def finish(self):
            pass

        def close(self):
            pass

    trace = []
    monkeypatch.setattr(search.Performer, "launch", lambda make, knobs, **_: Failing())
    monkeypatch.setattr(search, "perform_trace", lambda make, one, timeout: (None, trace))
    options = {
        "profile": search.Profile(60, 6),
        "seed": "9",
        "timeout": 1.0,
        "modes": (True,),
        "on_example": lambda: None,
        "on_found": lambda one: None,
    }
    one = search.search(lambda role: None, "server", **options, enough=lambda found: len(found) == 1)
    every = search.search(lambda role: None, "server", **options)
    assert len(one) == 1 and len(every) > 3


class Faulty:
    """Stands for a live session: an operation with one of these signatures has this outcome, at once."""

    outcomes: dict = {}
    launched: list = []

    def __init__(self, knobs):
        self.knobs, self.connected, self.performed, self.given_up = knobs, False, [], False
        self.launched.append(self)

    def perform(self, operation):
        assert not self.given_up
        self.performed.append(operation)
        self.connected = isinstance(operation, ops.Connect) or (self.connected and not operation.ends)
        if operation.signature in self.outcomes:
            raise Finding(self.outcomes[operation.signature], "planted", operation.signature)

    def give_up(self):
        self.given_up = True

    def finish(self):
        pass

    def close(self):
        pass


def searched(monkeypatch, outcomes, *, examples=200, modes=(True,), seed="9", **options):
    """What is found, with the live sessions, how often shrinking or confirming performed a trace, and what was found
    aside."""
    launched, performed, aside = [], [], {}
    double = type("Double", (Faulty,), {"outcomes": outcomes, "launched": launched})

    def perform_trace(make_subject, trace, timeout):
        performed.append(trace)
        for operation in trace.operations:
            if operation.signature in outcomes:
                return Finding(outcomes[operation.signature], "planted", operation.signature), []
        return None, []

    monkeypatch.setattr(search.Performer, "launch", lambda make, knobs, **_: double(knobs))
    monkeypatch.setattr(search, "perform_trace", perform_trace)
    found = search.search(
        lambda role: None,
        "server",
        profile=search.Profile(examples, 8),
        seed=seed,
        timeout=1.0,
        modes=modes,
        on_example=lambda: None,
        on_found=lambda one: None,
        on_aside=aside.__setitem__,
        **options,
    )
    return found, launched, performed, aside


def only(*wanted):
    return lambda signature, found: commands.is_missing(list(wanted), signature, found)


def test_what_is_not_looked_for_is_only_counted(monkeypatch):
    outcomes = {"control": "altered", "messages": "not-echoed", "bad-length.huge": "crashed"}
    found, _, performed, aside = searched(monkeypatch, outcomes, worth=only("crashed after bad-length.huge"))
    assert [one.signature for one in found] == ["crashed after bad-length.huge"]
    assert {trace.operations[-1].signature for trace in performed if trace.operations} <= {
        "connect",
        "bad-length.huge",
    } | {one.signature for one in found[0].trace.operations}
    assert {"altered after control", "not-echoed after messages"} <= set(aside)
    assert found[0].again == 3 and len(found[0].trace.operations) == 1


def test_only_what_is_looked_for_is_shrunk(monkeypatch):
    outcomes = {f"bad-length.{length}": "crashed" for length in ("zero", "short", "over", "huge")}
    found, _, _, aside = searched(monkeypatch, outcomes, worth=only("crashed after bad-length.short"))
    assert [one.signature for one in found] == ["crashed after bad-length.short"]
    assert {"crashed after bad-length.zero", "crashed after bad-length.huge"} <= set(aside)


def test_a_session_ends_at_what_has_led_to_something_known(monkeypatch):
    shown = []

    def perform(self, operation):
        Faulty.perform(self, operation)
        if operation.signature == "control" and not shown:
            shown.append(self)
            raise Finding("altered", "planted", "control")

    monkeypatch.setattr(search, "perform_trace", lambda *_: (None, []))
    launched = []
    double = type("Double", (Faulty,), {"launched": launched, "perform": perform})
    monkeypatch.setattr(search.Performer, "launch", lambda make, knobs, **_: double(knobs))
    options = {
        "profile": search.Profile(100, 8),
        "seed": "9",
        "timeout": 1.0,
        "modes": (True,),
        "on_example": lambda: None,
        "on_found": lambda one: None,
    }
    search.search(lambda role: None, "server", **options, worth=only("crashed after leave.finish"))
    later = [
        one for one in launched[launched.index(shown[0]) + 1 :] if any(op.kind == "control" for op in one.performed)
    ]
    assert later and all(one.given_up and one.performed[-1].kind == "control" for one in later)


def test_one_that_came_out_badly_is_looked_for_again(monkeypatch):
    answers = []

    def perform_trace(make_subject, trace, timeout):
        answers.append(trace)
        seen = Finding("crashed", "planted", "control") if len(answers) > 20 else None
        return (seen if any(one.kind == "control" for one in trace.operations) else None), []

    outcomes = {"control": "crashed"}
    launch = type("Double", (Faulty,), {"outcomes": outcomes, "launched": []})
    monkeypatch.setattr(search.Performer, "launch", lambda make, knobs, **_: launch(knobs))
    monkeypatch.setattr(search, "perform_trace", perform_trace)
    found = search.search(
        lambda role: None,
        "server",
        profile=search.Profile(300, 8),
        seed="9",
        timeout=1.0,
        modes=(True,),
        on_example=lambda: None,
        on_found=lambda one: None,
        worth=only("crashed after control"),
        enough=lambda now: not commands.missing(["crashed after control"], now),
    )
    assert found[0].again == 0
    assert found[-1].again == 3 and len(found) > 1


def test_openings_and_bad_handshakes_come_up_evenly_and_often(monkeypatch):
    _, launched, _, _ = searched(monkeypatch, {}, examples=300)
    first = [one.performed[0].fault for one in launched if one.performed and one.performed[0].kind == "bad-handshake"]
    faults = ops.BadHandshake.FAULTS + ops.BadHandshake.KEY_FAULTS
    assert len(first) > len(launched) // 5
    proper = [one for one in launched if one.performed and one.performed[0] == ops.Connect()]
    assert len(proper) > len(launched) // 5
    counts = {fault: first.count(fault) for fault in faults}
    assert min(counts.values()) > len(first) // 60, counts  # Hypothesis repeats itself: not quite even


def test_without_encryption_no_key_is_spoiled(monkeypatch):
    _, launched, _, _ = searched(monkeypatch, {}, modes=(False,))
    drawn = {op.fault for one in launched for op in one.performed if op.kind == "bad-handshake"}
    assert drawn == set(ops.BadHandshake.FAULTS)


def test_a_search_for_something_draws_the_same_with_the_same_seed(monkeypatch):
    def once():
        found, launched, _, aside = searched(
            monkeypatch, {"control": "altered", "leave.abrupt": "crashed"}, worth=only("crashed after leave.abrupt")
        )
        return [(one.knobs, one.performed) for one in launched], [one.trace for one in found], aside

    assert once() == once()


def test_confirm_counts_only_the_same(monkeypatch):
    monkeypatch.setattr(search, "perform_trace", lambda *_: (Finding("closed", "x", "z"), []))
    found = search.confirm(lambda role: None, ops.Trace(ops.Knobs(), ()), Finding("crashed", "x", "y"), 1.0)
    assert found.again == 0


def test_minimal_drops_many_at_once(monkeypatch):
    tried = []
    perform = fault_needs(ops.BadLength("zero"))

    def counting(*arguments):
        tried.append(arguments)
        return perform(*arguments)

    monkeypatch.setattr(search, "perform_trace", counting)
    long = ops.Trace(ops.Knobs(), (*(ops.Control(),) * 31, ops.BadLength("zero")))
    least = search.minimal(lambda role: None, long, Finding("crashed", "planted", "test"), 1.0)
    assert least.operations == (ops.BadLength("zero"),)
    assert len(tried) <= 12


def test_a_search_survives_what_hypothesis_takes_for_flakiness(monkeypatch):
    real = search.run_state_machine_as_test
    calls = []

    def flaky_first(machine, *, settings):
        calls.append(machine)
        if len(calls) == 1:
            real(machine, settings=search.settings(settings, max_examples=3))
            raise Flaky("planted")
        real(machine, settings=settings)

    monkeypatch.setattr(search, "run_state_machine_as_test", flaky_first)
    _, launched, _, _ = searched(monkeypatch, {}, examples=20)
    assert len(calls) == 2 and len(launched) >= 20


def test_flakiness_without_a_session_is_no_reason_to_go_on(monkeypatch):
    def always(machine, *, settings):
        raise Flaky("planted")

    monkeypatch.setattr(search, "run_state_machine_as_test", always)
    with pytest.raises(Flaky):
        searched(monkeypatch, {})


def standing_performer(exit_=None):
    """A performer whose implementation takes no connection, and has ended when `exit_` says how."""

    def begin():
        raise NotReady("nobody listens")

    subject = types.SimpleNamespace(exited=lambda grace: exit_)
    return Performer(types.SimpleNamespace(begin=begin, subject=subject), ops.Knobs())


def test_a_refusal_is_blamed_on_what_came_before_with_its_fault():
    performer = standing_performer()
    performer._last_upset = "bad-handshake.reply"
    with pytest.raises(Finding) as caught:
        performer.perform(ops.BadHandshake("vanish"))
    assert caught.value.signature == "refused-new-peer after bad-handshake"
    assert caught.value.culprit == "bad-handshake.reply"


def test_a_session_given_up_still_shows_a_crash():
    performer = standing_performer(types.SimpleNamespace(is_crash=True, describe="planted"))
    performer._last_upset = "bad-length.zero"
    with pytest.raises(Finding, match="planted") as caught:
        performer.give_up()
    assert caught.value.signature == "crashed after bad-length.zero"
    standing_performer().give_up()


def toy_maker(*faults):
    os.environ["PYTHONPATH"] = str(SUITE)
    return choose.target_from([*TOY, *faults], None, None).maker(20.0)


# What an implementation may do at any moment: end the connection, or go on without an answer.
@pytest.mark.parametrize(
    ("fault", "operations", "signature"),
    [
        ("drop", (ops.Connect(), ops.Leave("abrupt")), "closed after leave.abrupt"),
        ("drop", (ops.Connect(), ops.Control()), "closed after control"),
        ("drop", (ops.Connect(), ops.BadSeal("reflected")), "closed after bad-seal.reflected"),
        ("deafen", (ops.Connect(), ops.Leave("abrupt")), "not-echoed after leave.abrupt"),
        ("deafen", (ops.Connect(), ops.Control()), "wedged after control"),
        ("deafen", (ops.Connect(), ops.BadSeal("reflected")), "not-echoed after bad-seal.reflected"),
        ("deafen", (ops.Connect(), ops.Messages()), "not-echoed after messages"),
        ("drop", (ops.Connect(), ops.Messages()), "closed after messages"),
    ],
)
def test_what_breaks_off_or_falls_silent_is_a_finding(fault, operations, signature):
    seen, _ = search.perform_trace(toy_maker(fault), ops.Trace(ops.Knobs(), operations), 0.5)
    if fault == "drop" and seen is None:
        # Whoever leaves without reading cannot tell an echo from the end, unless the end comes first.
        assert operations[-1] == ops.Leave("abrupt")
    else:
        assert seen is not None and seen.signature == signature


def every_message_is_altered(size):
    """Stands for an implementation that alters messages from this size on."""

    def perform(make_subject, trace, timeout):
        for operation in trace.operations:
            if isinstance(operation, ops.Messages) and any(one >= size for one in operation.sizes):
                return Finding("altered", "planted", "messages"), []
        return None, []

    return perform


def test_minimal_drops_cuts_messages_and_bytes(monkeypatch):
    monkeypatch.setattr(search, "perform_trace", every_message_is_altered(61))
    long = ops.Trace(
        ops.Knobs(), (ops.Connect(7), ops.Messages((9, 8, 7, 6), (4000, 65536, 1023, 60000), (1, 500, 999)))
    )
    least = search.minimal(lambda role: None, long, Finding("altered", "planted", "messages"), 1.0)
    (operation,) = least.operations
    assert operation.sizes == (61,) and operation.cuts == ()


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("operation", EVERY_KIND)
def test_nothing_simpler_is_another_operation_or_no_message_and_there_is_an_end(operation, which):
    for _ in range(2000):
        candidates = list(ops.simpler(operation))
        assert all(one.signature == operation.signature and one != operation for one in candidates)
        assert not any(0 in one.types for one in candidates if isinstance(one, ops.Messages))
        if not candidates:
            return
        operation = candidates[which]
    raise AssertionError("there is always something simpler")


def test_what_does_not_show_again_counts_all_the_same(suite, toy, tmp_path):
    once = f"altered-once={tmp_path / 'once'}"
    done = suite("generate", "--role", "server", "--examples", 8, "--keep", tmp_path, *toy(once))
    assert "UNREPRODUCIBLE " in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1 and re.search(r", [1-9]\d* failed, 0 skipped", done.stdout), done.stdout


def test_a_file_is_replayed_and_shrunk_on_the_command_line(suite, toy, tmp_path):
    """Another finding than the recorded one is not taken for it."""
    trace = ops.Trace(ops.Knobs(), (ops.Connect(), ops.Control(), ops.Messages((1, 2), (70, 80), (500,))))
    recorded = tmp_path / "t.json"
    replay.write(recorded, trace.to_json() | {"observed": {"signature": "refused-new-peer after connect"}})
    same = suite("replay", recorded, "--times", 2, "--timeout-scale", 0.5, *toy("altered"))
    assert same.returncode == 1 and "found 2 of 2 times" in same.stdout, same.stdout + same.stderr
    other = suite("replay", recorded, *toy("deafen"))
    assert other.returncode == 1 and "found 0 of 1 times, something else 1 times" in other.stdout
    good = suite("replay", recorded, *toy())
    assert good.returncode == 0 and "found 0 of 1 times" in good.stdout
    less = suite("shrink", recorded, "--output", tmp_path / "less.json", "--timeout-scale", 0.5, *toy("altered"))
    assert less.returncode == 1, less.stdout + less.stderr
    assert len(replay.read(tmp_path / "less.json")[0].operations) == 1


def test_the_written_file_has_to_show_what_must_be_found(monkeypatch, tmp_path, capsys):
    one = search.Found(ops.Trace(ops.Knobs(), (ops.Connect(),)), "crashed", "", "crashed after x", 3)
    options = types.SimpleNamespace(must_find=["crashed after x"], keep=tmp_path, timeout_scale=1.0)
    replay.write(commands.trace_path(one, options), replay.document(one, "planted"))
    target = types.SimpleNamespace(maker=lambda patience: None)
    for signature, code in (("crashed after x", 0), ("closed after x", 1)):
        seen = Finding("crashed", "planted", "x")
        seen.signature = signature
        monkeypatch.setattr(search, "perform_trace", lambda *_, seen=seen: (seen, []))
        assert commands.judge_search(options, [one], target) == code
    assert "3 of 3 times" in capsys.readouterr().out

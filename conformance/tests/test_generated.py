# SPDX-License-Identifier: MIT
"""Goal: traces survive files, shrinking keeps the finding and drops the rest, and files that are no traces are
refused with a reason. Method: a performer that needs no implementation stands in for the live one."""

import dataclasses
import json

import pytest
from goipc_conformance import codec, keys
from goipc_conformance.generated import commands, replay, search
from goipc_conformance.generated import operations as ops
from goipc_conformance.generated.performer import Finding, spoiled_key

EVERY_KIND = (
    ops.Connect(7),
    ops.Messages((1, 2), (0, 70), (500,)),
    ops.Control(3),
    ops.BadLength("over"),
    ops.BadSeal("tag", 5),
    ops.Truncate(20, 100),
    ops.Leave("abrupt"),
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
    assert commands.missing(["crashed after bad-handshake"], [prefix]) == []
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
        "profile": search.Profile(200, 6),
        "seed": "9",
        "timeout": 1.0,
        "modes": (True,),
        "on_example": lambda: None,
        "on_found": lambda one: None,
    }
    one = search.search(lambda role: None, "server", **options, enough=lambda found: len(found) == 1)
    every = search.search(lambda role: None, "server", **options)
    assert len(one) == 1 and len(every) > 3

# SPDX-License-Identifier: MIT
"""Goal: traces survive files, shrinking keeps the finding and drops the rest, and files that are no traces are
refused with a reason. Method: a performer that needs no implementation stands in for the live one."""

import dataclasses
import json

import pytest
from goipc_conformance.generated import operations as ops
from goipc_conformance.generated import replay, search
from goipc_conformance.generated.performer import Finding

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

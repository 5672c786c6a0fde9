# SPDX-License-Identifier: MIT
"""Outcomes, selection, placeholders and expectations, without any implementation."""

import dataclasses
import datetime
from types import SimpleNamespace

import pytest
from goipc_conformance import expectations, selection
from goipc_conformance.adapter.placeholders import expand
from goipc_conformance.adapter.process import StartError
from goipc_conformance.case import REGISTRY
from goipc_conformance.engine import Result
from goipc_conformance.outcome import Verdict, canonical, judge, known
from goipc_conformance.report import Run


def test_outcomes_have_one_spelling():
    assert canonical("delivered+closed") == canonical(["closed", "delivered", "closed"]) == "closed+delivered"
    assert canonical("closed+reply:2") == "reply:2+closed"
    assert known("reply:2+closed") and not known("closed+nonsense")


@pytest.mark.parametrize(
    "outcome, verdict",
    [
        ("closed", Verdict.PASS),
        ("ignored", Verdict.PASS_LENIENT),
        ("delivered+closed", Verdict.FAIL),
        ("crashed", Verdict.CRASH),
        ("wedged", Verdict.HANG),
        ("wedged+refused-new-peer", Verdict.HANG),
        ("closed+refused-new-peer", Verdict.FAIL),
    ],
)
def test_judging(outcome, verdict):
    assert judge(outcome, ("closed",), ("ignored",)) is verdict


def test_every_case_is_selected_by_its_own_name():
    by_case = {}
    for instance in selection.all_instances():
        by_case.setdefault(instance.case.id, []).append(instance)
    for instances in by_case.values():
        for instance in instances:
            matches = selection.matcher(instance.key)
            found = [other.key for other in instances if matches(other)]
            assert instance.key in found
            assert len(found) == 1 or "[" not in instance.id, found


def test_keys_are_unique():
    found = [instance.key for instance in selection.all_instances()]
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "selector", ["hs.nonsense", "req:XX-999", "tag:nothing", "!nope.*", "server:codec.kdf", "@/does/not/exist"]
)
def test_a_selector_that_selects_nothing_is_an_error(selector):
    with pytest.raises(selection.SelectionError):
        selection.select([selector])


def test_selectors_combine():
    assert {i.case.area for i in selection.select(["hs.*", "!tag:dos"])} == {"hs"}
    assert all("dos" not in i.case.tags for i in selection.select(["hs.*", "!tag:dos"]))
    assert {i.role for i in selection.select(["client:*"])} == {"client"}
    assert all("KD-011" in i.case.reqs for i in selection.select(["req:KD-011"]))
    assert {i.params["size"] for i in selection.select(["frame.echo[enc=on,size=?]"])} == {0, 1, 2, 3, 4, 5}


def test_every_case_cites_a_requirement_and_says_why():
    from goipc_conformance import requirements

    for case in REGISTRY.values():
        assert case.reqs and case.why and case.hint and case.title, case.id
        assert all(known(word) for word in case.expect + case.also)
        if requirements.load():
            assert set(case.reqs) <= set(requirements.load()), case.id


def test_placeholders():
    command = "prog {name} {plain:--no-encryption} {encrypted:-e} --max={max} {path} {{x}}"
    assert expand(command, name="n", path="/p", encryption="off", maximum=5) == [
        "prog",
        "n",
        "--no-encryption",
        "--max=5",
        "/p",
        "{x}",
    ]
    assert expand(command, name="n", path="/p", encryption="required", maximum=5) == [
        "prog",
        "n",
        "-e",
        "--max=5",
        "/p",
        "{x}",
    ]
    for wrong in ("prog {nonsense}", "prog 'open", ""):
        with pytest.raises(StartError):
            expand(wrong, name="n", path="/p", encryption="off", maximum=5)


def result_of(key, verdict, outcome):
    return Result(selection.select([key])[0], verdict, outcome)


def expectation_file(tmp_path, body):
    path = tmp_path / "expect.toml"
    path.write_text(body, encoding="utf-8")
    return expectations.parse(path)


ENTRY = '[[entry]]\ncase = "key.zero-point"\nrole = "server"\noutcome = ["crashed"]\nreason = "dies"\n'


@pytest.mark.parametrize(
    "verdict, outcome, becomes",
    [
        (Verdict.CRASH, "crashed", Verdict.XFAIL),
        (Verdict.HANG, "wedged", Verdict.XDIFF),
        (Verdict.PASS, "closed", Verdict.XPASS),
    ],
)
def test_expectations_pin_the_outcome(tmp_path, verdict, outcome, becomes):
    result = result_of("server:key.zero-point", verdict, outcome)
    stale = expectations.apply(expectation_file(tmp_path, ENTRY), [result], complete=True)
    assert result.verdict is becomes and not stale


def test_an_entry_that_matches_nothing_is_stale_in_a_whole_run(tmp_path):
    other = result_of("client:key.zero-point", Verdict.PASS, "closed")
    assert expectations.apply(expectation_file(tmp_path, ENTRY), [other], complete=True)
    assert not expectations.apply(expectation_file(tmp_path, ENTRY), [other], complete=False)


@pytest.mark.parametrize("verdict", [Verdict.UNSUPPORTED, Verdict.SKIP, Verdict.ERROR])
def test_an_entry_whose_case_was_not_judged_is_stale(tmp_path, verdict):
    result = result_of("server:key.zero-point", verdict, "")
    (line,) = expectations.apply(expectation_file(tmp_path, ENTRY), [result], complete=True)
    assert "was not asked" in line
    assert not expectations.apply(expectation_file(tmp_path, ENTRY), [result], complete=False)


def test_what_depends_on_timing_may_be_skipped_but_not_unsupported(tmp_path):
    body = ENTRY.replace('["crashed"]', '["crashed", "closed"]') + 'rate = "1 in 2"\n'
    for verdict, stale in ((Verdict.SKIP, 0), (Verdict.UNSUPPORTED, 1)):
        result = result_of("server:key.zero-point", verdict, "")
        assert len(expectations.apply(expectation_file(tmp_path, body), [result], complete=True)) == stale


def test_figures_are_the_same_whatever_a_race_gave(tmp_path):
    """A recorded case counts as known when it conforms, deviates or is no question this time."""
    body = ENTRY.replace('["crashed"]', '["crashed", "closed"]') + 'rate = "1 in 2"\n'
    for verdict, outcome in ((Verdict.PASS, "closed"), (Verdict.CRASH, "crashed"), (Verdict.SKIP, "")):
        results = [
            result_of("server:key.zero-point", verdict, outcome),
            result_of("server:key.prefix", Verdict.PASS, ""),
        ]
        expectations.apply(expectation_file(tmp_path, body), results, complete=True)
        run = SimpleNamespace(results=results, stale=[], fault="")
        assert Run.figures.fget(run) == {"passed": 1, "known": 1, "failed": 0, "skipped": 0}


def test_all_unsupported_leaves_the_whole_record_stale():
    from conftest import SUITE

    record = expectations.parse(SUITE / "expectations" / "golang-ipc-1.2.4.toml")
    results = [Result(instance, Verdict.UNSUPPORTED) for instance in selection.all_instances()]
    assert len(expectations.apply(record, results, complete=True)) == len(record.entries)


def document_of(path, verdicts, shard):
    return {
        "run": {"shard": shard, "duration_s": 1, "expectations": str(path), "implementation": {"name": "x"}},
        "cases": [{"key": key, "verdict": verdict} for key, verdict in verdicts],
        "totals": {"passed": len(verdicts), "failed": 0, "skipped": 0},
        "exit_code": 0,
        "stale": [],
    }


def test_joining_shards_finds_entries_that_none_of_them_used(tmp_path):
    from goipc_conformance import compare

    record = expectation_file(tmp_path, ENTRY)
    verdicts = [(instance.key, "PASS") for instance in selection.all_instances()]
    halves = [document_of(record.path, verdicts[n::2], f"{n + 1}/2") for n in (0, 1)]
    assert compare.merge(halves)["stale"] == [] and compare.merge(halves)["exit_code"] == 0
    for half in halves:
        for case in half["cases"]:
            case["verdict"] = "SKIP" if "key.zero-point" in case["key"] else "PASS"
    joined = compare.merge(halves)
    assert len(joined["stale"]) == 1 and joined["exit_code"] == 4
    part = compare.merge([document_of(record.path, verdicts[:5], "1/1")])
    assert part["stale"] == []  # a selection: nothing can be told
    record.path.unlink()
    with pytest.raises(compare.ResultError):
        compare.merge(halves)


def test_an_expired_entry_is_stale(tmp_path):
    known_ = expectation_file(tmp_path, ENTRY + "until = 2020-01-01\n")
    result = result_of("server:key.zero-point", Verdict.CRASH, "crashed")
    assert expectations.apply(known_, [result], complete=True, today=datetime.date(2026, 1, 1))


def test_several_outcomes_of_a_race(tmp_path):
    body = ENTRY.replace('["crashed"]', '["crashed", "closed"]') + 'rate = "1 in 2"\n'
    for verdict, outcome, becomes in (
        (Verdict.CRASH, "crashed", Verdict.XFAIL),
        (Verdict.PASS, "closed", Verdict.PASS),
    ):
        result = result_of("server:key.zero-point", verdict, outcome)
        expectations.apply(expectation_file(tmp_path, body), [result], complete=True)
        assert result.verdict is becomes


def test_a_written_record_says_what_was_seen_and_keeps_reasons(tmp_path):
    from goipc_conformance import baseline

    results = [Result(i, Verdict.CRASH, "crashed") for i in selection.select(["server:key.prefix"])]
    results += [
        Result(
            i,
            Verdict.FAIL if i.params["enc"] == "on" else Verdict.PASS,
            "delivered" if i.params["enc"] == "on" else "closed",
        )
        for i in selection.select(["server:frame.truncated.*"])
    ]
    path = tmp_path / "expect.toml"
    path.write_text(
        baseline.render(baseline.entries_for(results, None), {"name": "x", "version": "1"}, "Header."), encoding="utf-8"
    )
    first = expectations.parse(path)
    assert {entry.case for entry in first.entries} >= {"key.prefix", "frame.truncated.length[*enc=on*]"}
    assert all(entry.reason == baseline.UNEXPLAINED for entry in first.entries)
    assert not expectations.apply(first, results, complete=True)
    assert {result.verdict for result in results} == {Verdict.XFAIL, Verdict.PASS}
    path.write_text(path.read_text(encoding="utf-8").replace(baseline.UNEXPLAINED, "known"), encoding="utf-8")
    again = baseline.entries_for(results, expectations.parse(path))
    assert {entry.reason for entry in again} == {"known"} and len(again) == len(first.entries)


WRITTEN = """\
# By hand.

[implementation] # which one
name = "x"
version = "1"

# Keys.
[[entry]]
case = "key.prefix" # the oldest
role = "server"
outcome = ["crashed"]
reason = "dies"

# Frames.
[[entry]]
case = "key.zero-point"
role = "server"
outcome = ['crashed']
reason = "dies, too"
# The end.
"""


def test_writing_a_record_anew_keeps_what_a_person_wrote():
    from goipc_conformance import baseline

    def entry(case, *outcome, **more):
        return expectations.Entry(case, outcome, "dies, too", role="server", **more)

    x = {"name": "x", "version": "1"}
    zero = entry("key.zero-point", "crashed")
    same = [dataclasses.replace(entry("key.prefix", "crashed"), reason="dies"), zero]
    assert baseline.render(same, x, "", WRITTEN) == WRITTEN
    gone = WRITTEN[: WRITTEN.index("[[entry]]")] + WRITTEN[WRITTEN.index("\n# Frames.") :]
    assert baseline.render([zero], x, "", WRITTEN) == gone
    changed = baseline.render(
        [dataclasses.replace(zero, outcome=("closed",), bug="7")], {**x, "version": "2"}, "", gone
    )
    assert changed == gone.replace("['crashed']", '["closed"]').replace('"1"', '"2"').replace(
        '"dies, too"\n', '"dies, too"\nbug = "7"\n'
    )
    more = baseline.render([zero, entry("hs.complete", "closed", "altered", rate="often")], x, "", gone)
    assert (
        more
        == gone
        + """
[[entry]]
case = "hs.complete"
role = "server"
outcome = ["closed", "altered"]
reason = "dies, too"
rate = "often"
"""
    )


def test_every_record_is_kept_as_it_is():
    from conftest import SUITE
    from goipc_conformance import baseline

    for path in (SUITE / "expectations").glob("*.toml"):
        record, text = expectations.parse(path), path.read_text(encoding="utf-8")
        assert baseline.render(record.entries, record.implementation, "", text) == text


@pytest.mark.parametrize(
    "body",
    [
        "not toml [",
        '[[entry]]\ncase = "x"\n',
        ENTRY.replace("dies", " "),
        ENTRY.replace("crashed", "exploded"),
        ENTRY + "wrong = 1\n",
        ENTRY.replace('["crashed"]', '["crashed", "closed"]'),
        ENTRY.replace('"server"', '"both"'),
        ENTRY + 'until = "soon"\n',
        ENTRY.replace("key.zero-point", "hs.no-such-case"),
        ENTRY.replace("server", "codec"),
        ENTRY.replace("key.zero-point", "key.zero-point[enc=maybe]"),
        '[[race]]\ncase = "hs.no-such-case"\noutcome = ["closed"]\nreason = "x"\nrate = "y"\n',
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, body):
    with pytest.raises(expectations.ExpectationError):
        expectation_file(tmp_path, body)


def test_the_committed_records_are_well_formed():
    from conftest import SUITE

    for path in (SUITE / "expectations").glob("*.toml"):
        record = expectations.parse(path)
        assert record.entries
        for entry in record.entries:
            assert "not explained" not in entry.reason, entry.case
            assert selection.select([f"{entry.role}:{entry.case}" if entry.role else entry.case])


# What a reason has to speak of where an outcome is the only one that is recorded.
SPEAKS_OF = {
    "crashed": ("panic", "ends the process"),
    "memory": ("allocated",),
    "no-connection": ("gives up",),
    "refused": ("refused", "never close", "left to the garbage collector"),
    "refused-new-peer": ("for good", "never answered", "never served", "new peer", "one goroutine"),
    "silent": ("not told", "silent", "no failure is reported", "telling"),
}


def test_the_reasons_of_the_committed_records_are_about_their_outcomes():
    from conftest import SUITE

    wrong = []
    for path in (SUITE / "expectations").glob("*.toml"):
        for entry in expectations.parse(path).entries:
            words = entry.outcome[0].split("+") if len(entry.outcome) == 1 else []
            for word in words:
                spoken = SPEAKS_OF.get(word)
                if spoken and not any(part in entry.reason for part in spoken):
                    wrong.append((path.name, entry.role, entry.case, entry.outcome[0], entry.reason))
    assert not wrong


def test_several_outcomes_in_the_committed_records_are_not_told_apart_by_parameters():
    """A rate that is really a rule belongs into several entries."""
    from conftest import SUITE

    for path in (SUITE / "expectations").glob("*.toml"):
        for entry in expectations.parse(path).entries:
            assert "place of the cut" not in (entry.rate or ""), (path.name, entry.case)

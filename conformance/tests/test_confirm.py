# SPDX-License-Identifier: MIT
"""What is not as required is asked again: a fault stays a fault, a race is called one."""

import json

import pytest
from goipc_conformance import expectations, selection
from goipc_conformance.confirm import SUSPECTS_MAX, confirm
from goipc_conformance.engine import Result
from goipc_conformance.outcome import Verdict
from goipc_conformance.report import Run, tap, text

KEY = "server:key.zero-point"
RACE = (
    '[[race]]\ncase = "key.*"\nrole = "server"\noutcome = ["refused-new-peer"]\n'
    'reason = "accepts early"\nrate = "1 in 100"\n'
)
ENTRY = '[[entry]]\ncase = "key.zero-point"\nrole = "server"\noutcome = ["crashed"]\nreason = "dies"\n'


class Answers:
    """An engine that gives prepared answers and counts the questions."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def ask(self, instance):
        self.asked += 1
        return Result(instance, *self.answers.pop(0))


def suspect(verdict=Verdict.FAIL, outcome="closed+refused-new-peer"):
    return Result(selection.select([KEY])[0], verdict, outcome)


def record(tmp_path, body):
    path = tmp_path / "expect.toml"
    path.write_text(body, encoding="utf-8")
    return expectations.parse(path)


GOOD, BAD = (Verdict.PASS, "closed"), (Verdict.FAIL, "closed+refused-new-peer")


def test_a_fault_stays_a_fault():
    result, engine = suspect(), Answers(BAD, (Verdict.HANG, "wedged"))
    confirm(engine, [result], None, 2)
    assert result.verdict is Verdict.FAIL and engine.asked == 2
    assert [repeat.outcome for repeat in result.repeats] == ["closed+refused-new-peer", "wedged"]


def test_what_is_right_only_sometimes_fails_as_flaky():
    result, engine = suspect(), Answers(BAD, GOOD)
    confirm(engine, [result], None, 2)
    assert result.verdict is Verdict.FLAKY and result.verdict.counts_as == "failed"
    run = Run([result], "-- x", {"name": "x"}, "1", "2026-01-01T00:00:00Z", 1.0, "1", "1")
    assert run.exit_code == 1
    line = text.brief_lines(run)[0]
    assert line.startswith("FLAKY server:key.zero-point") and "then closed (PASS)" in line


def test_a_recorded_race_passes_and_is_shown(tmp_path):
    result, known = suspect(), record(tmp_path, RACE)
    confirm(Answers(BAD, GOOD), [result], known, 2)
    assert result.verdict is Verdict.XFLAKY and result.verdict.counts_as == "passed"
    run = Run([result], "-- x", {"name": "x"}, "1", "2026-01-01T00:00:00Z", 1.0, "1", "1")
    assert run.exit_code == 0
    assert "closed+refused-new-peer, then" in text.race_lines(run)[0] and "accepts early" in text.race_lines(run)[0]
    assert "# TODO accepts early" in "\n".join(tap.lines(run))


def test_a_race_explains_only_its_own_words_and_never_what_lasts(tmp_path):
    known = record(tmp_path, RACE)
    other = suspect(outcome="closed+delivered")
    confirm(Answers(GOOD), [other], known, 2)
    assert other.verdict is Verdict.FLAKY
    once = suspect()
    confirm(Answers((Verdict.FAIL, "delivered"), GOOD), [once], known, 2)
    assert once.verdict is Verdict.FLAKY, "every outcome has to be one that the race explains"
    lasting = suspect()
    confirm(Answers(BAD, BAD), [lasting], known, 2)
    assert lasting.verdict is Verdict.FAIL


def test_a_race_besides_a_recorded_deviation(tmp_path):
    known = record(tmp_path, RACE + ENTRY)
    result = suspect(Verdict.HANG, "refused-new-peer")
    expectations.apply(known, [result], complete=True)
    assert result.verdict is Verdict.XDIFF
    confirm(Answers((Verdict.CRASH, "crashed")), [result], known, 2)
    assert result.verdict is Verdict.XFLAKY


def test_many_failures_are_not_asked_again():
    results = [suspect() for _ in range(SUSPECTS_MAX + 1)]
    confirm(Answers(), results, None, 2)
    assert {result.verdict for result in results} == {Verdict.FAIL}


@pytest.mark.parametrize(
    "body",
    [
        RACE.replace("refused-new-peer", "exploded"),
        RACE.replace("refused-new-peer", "closed+delivered"),
        RACE.replace('rate = "1 in 100"\n', ""),
        RACE.replace("accepts early", " "),
        RACE.replace('"server"', '"both"'),
        RACE + 'until = "2030-01-01"\n',
        "race = 1\n",
    ],
)
def test_a_race_that_cannot_be_meant_is_refused(tmp_path, body):
    with pytest.raises(expectations.ExpectationError):
        record(tmp_path, body)


def test_the_record_of_a_flaky_run_holds_every_outcome(tmp_path):
    from goipc_conformance import baseline

    result = suspect()
    confirm(Answers(GOOD), [result], None, 2)
    entries = baseline.entries_for([result], None)
    assert entries[0].outcome == ("closed+refused-new-peer", "closed") and entries[0].rate
    races = record(tmp_path, RACE).races
    again = record(tmp_path, baseline.render(entries, {"name": "x", "version": "1"}, "Header.", RACE))
    assert again.races == races and again.entries[0].flaky


def test_an_entry_of_several_cases_is_written_once(tmp_path):
    from goipc_conformance import baseline

    wide = ENTRY.replace('"key.zero-point"', '"key.*"').replace('["crashed"]', '["crashed", "closed"]')
    known = record(tmp_path, wide + 'rate = "1 in 2"\n')
    results = [
        Result(instance, Verdict.XFAIL, "crashed")
        for instance in selection.select(["server:key.zero-point", "server:key.prefix"])
    ]
    assert len(baseline.entries_for(results, known)) == 1


def test_on_the_command_line(suite, toy, tmp_path):
    """The first process of the toy alters what it echoes, later ones do not."""
    arguments = ["run", "server:hs.complete[enc=on]", "--json", "r.json", "-q"]
    done = suite(*arguments, *toy(f"altered-once={tmp_path / 'done'}"))
    assert done.returncode == 1 and "FLAKY server:hs.complete[enc=on]" in done.stdout
    case = json.loads((tmp_path / "r.json").read_text())["cases"][0]
    assert case["verdict"] == "FLAKY" and case["repeats"] == [{"verdict": "PASS", "outcome": "conforms"}]
    (tmp_path / "done").unlink()
    done = suite(*arguments, "--repeats", "0", *toy(f"altered-once={tmp_path / 'done'}"))
    assert done.returncode == 1 and "FAIL server:hs.complete[enc=on]" in done.stdout
    (tmp_path / "done").unlink()
    (tmp_path / "e.toml").write_text(
        '[[race]]\ncase = "hs.*"\noutcome = ["altered", "delivered"]\nreason = "cuts"\nrate = "once"\n'
    )
    done = suite(*arguments, "--expect", "e.toml", *toy(f"altered-once={tmp_path / 'done'}"))
    assert done.returncode == 0 and "XFLAKY server:hs.complete[enc=on]" in done.stdout, done.stdout
    assert suite("run", "--repeats", "-1", *toy()).returncode == 2


def test_what_failed_stands_at_the_end(suite, toy):
    done = suite("run", "server:hs.complete", "server:hs.one-write", "-q", "--repeats", "0", *toy("altered"))
    tail = done.stdout.strip().splitlines()[-4:]
    assert any(line.startswith("FAIL server:hs.complete") for line in tail), done.stdout

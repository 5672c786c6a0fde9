# SPDX-License-Identifier: MIT
"""What `mutants/run.py --check` finds without a run: each thing that it promises is broken once."""

import importlib.util
import json
import os
import sys

import pytest
from conftest import SUITE


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants_run", SUITE / "mutants" / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path):
    source = tmp_path / "ref" / "src"
    source.mkdir(parents=True)
    (source / "a.c").write_text("one two three two\n", encoding="utf-8")
    return tmp_path


def mutant(mutants, name="fault", find="three", replace="four", **more):
    return mutants.Mutant(name, (mutants.Edit("a.c", find=find, replace=replace, **more),), "a test", "")


@pytest.fixture(autouse=True)
def nothing_is_too_broad(mutants, monkeypatch):
    """Of the tables here, which hold one fault for all cases, this is asked alone."""
    monkeypatch.setattr(mutants, "SPECIFIC_MAX", 1000)


def table_for(mutants, *known, cases=None):
    """A table in which every case kills something."""
    every = sorted(mutants.REGISTRY) if cases is None else cases
    entries = {one.id: {"digest": one.digest, "killers": ["server:x"], "cases": every} for one in known}
    return {"mutants": entries}


def test_what_is_in_order_is_found_in_order(mutants, root):
    one = mutant(mutants)
    assert mutants.problems([one], table_for(mutants, one), root) == []


@pytest.mark.parametrize("find", ["two", "absent"])
def test_a_text_that_does_not_stand_there_once(mutants, root, find):
    one = mutant(mutants, find=find)
    (problem,) = mutants.problems([one], table_for(mutants, one), root)
    assert "cannot be planted" in problem


def test_a_second_edit_sees_the_first(mutants, root):
    edits = (mutants.Edit("a.c", find="three", replace="two"), mutants.Edit("a.c", find="two two two", replace="2"))
    one = mutants.Mutant("fault", edits, "a test", "")
    assert list(one.files(root).values()) == ["one 2\n"]


def test_a_fault_that_changed_since_it_was_killed(mutants, root):
    (problem,) = mutants.problems([mutant(mutants, replace="five")], table_for(mutants, mutant(mutants)), root)
    assert "another fault" in problem


def test_a_fault_that_nobody_finds(mutants, root):
    one = mutant(mutants)
    table = table_for(mutants, one)
    table["mutants"]["fault"]["killers"] = []
    assert mutants.problems([one], table, root) == ["fault: no case finds it"]


def test_a_fault_that_is_gone_and_one_that_is_there_twice(mutants, root):
    one = mutant(mutants)
    assert mutants.problems([one, one], table_for(mutants, one), root) == ["fault: two faults of this name"]
    (problem,) = mutants.problems([], table_for(mutants, one), root)
    assert "no such fault" in problem


def test_a_case_that_finds_nothing_has_to_be_positive(mutants, root):
    one = mutant(mutants)
    negative = sorted(case.id for case in mutants.REGISTRY.values() if not case.positive)
    found = mutants.problems([one], table_for(mutants, one, cases=negative[1:]), root)
    assert found == [f"{negative[0]}: finds no fault and is not marked positive"]


def test_a_case_that_finds_only_what_many_find(mutants, monkeypatch):
    monkeypatch.setattr(mutants, "SPECIFIC_MAX", 1)
    one, other, positive = "end.mode", "hs.one-write", next(c.id for c in mutants.REGISTRY.values() if c.positive)
    table = {"mutants": {"wide": {"cases": [one, other, positive]}, "narrow": {"cases": [other]}}}
    (problem,) = mutants.unspecific(table)
    assert problem.startswith(f"{one}: finds only faults that 3 cases")
    monkeypatch.setattr(mutants, "SPECIFIC_MAX", 3)
    assert mutants.unspecific(table) == []


def test_a_case_that_is_gone(mutants, root):
    one = mutant(mutants)
    (problem,) = mutants.problems([one], table_for(mutants, one, cases=[*mutants.REGISTRY, "no.such"]), root)
    assert "there is no such case" in problem


def test_what_is_asked_later_is_added(mutants, tmp_path, monkeypatch):
    one = mutant(mutants)
    monkeypatch.setattr(mutants, "KILLS", tmp_path / "kills.json")
    monkeypatch.setattr(mutants, "load", lambda: [one])
    table = {"mutants": {}}
    mutants.record(table, mutants.Outcome(one, ["server:seal.cut[at=tag]", "client:seal.cut[at=tag]"]), add=False)
    mutants.record(table, mutants.Outcome(one, ["server:hs.complete[enc=on]"]), add=True)
    written = json.loads((tmp_path / "kills.json").read_text())["mutants"]["fault"]
    assert written["cases"] == ["hs.complete", "seal.cut"]
    assert "| `fault` | a test | 2 cases | [hs.complete]" in mutants.page(table)
    mutants.record(table, mutants.Outcome(one, ["server:hs.complete[enc=on]"]), add=False)
    assert table["mutants"]["fault"]["cases"] == ["hs.complete"]


def test_a_tree_that_a_fault_was_left_in_is_built_anew(mutants, tmp_path):
    source, target = tmp_path / "a.c", tmp_path / "tree" / "a.c"
    source.write_text("right", encoding="utf-8")
    os.utime(source, (1, 1))
    mutants.refresh(source, target)
    made = target.stat().st_mtime
    assert made > 1
    os.utime(target, (5, 5))
    mutants.refresh(source, target)
    assert target.stat().st_mtime == 5  # nothing to do
    target.write_text("wrong", encoding="utf-8")
    os.utime(target, (made, made))
    mutants.refresh(source, target)
    assert target.read_text() == "right" and target.stat().st_mtime >= made

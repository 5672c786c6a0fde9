# SPDX-License-Identifier: MIT
"""The register is append-only: what would break that is found, and only a person's word moves a pin."""

import dataclasses
import tomllib

import pytest
from goipc_conformance import register, requirements, selection
from goipc_conformance.case import REGISTRY

CASE = "end.mode"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The register in a file of the test's own, which `load` reads."""
    path = tmp_path / "registry.toml"
    path.write_text(register.render(register.load()), encoding="utf-8")
    monkeypatch.setattr(register, "PATH", path)
    monkeypatch.setattr(register, "load", lambda: tomllib.loads(path.read_text(encoding="utf-8"))["case"])
    return path


def entry(identifier=CASE):
    return next(one for one in register.load() if one["id"] == identifier)


def complaints(identifier=CASE):
    return register.problems()[identifier]


def change(monkeypatch, **fields):
    monkeypatch.setitem(REGISTRY, CASE, dataclasses.replace(REGISTRY[CASE], **fields))


def reword(monkeypatch, identifier):
    known = dict(requirements.load())
    known[identifier] = dataclasses.replace(known[identifier], pin=f"{identifier}@00000000")
    monkeypatch.setattr(requirements, "load", lambda: known)


def test_the_register_is_in_order():
    assert not any(register.problems().values())


def test_a_registered_case_cannot_vanish(monkeypatch):
    monkeypatch.delitem(REGISTRY, CASE)
    assert "vanished" in complaints()[0]


def test_a_title_changes_only_with_the_revision(copy, monkeypatch):
    change(monkeypatch, title="Another title")
    register.accept([])
    assert "the title changed" in complaints()[0] and entry()["rev"] == 1
    register.accept([CASE])
    assert complaints() == [] and (entry()["rev"], entry()["title"]) == (2, "Another title")


@pytest.mark.parametrize("by", ["the case", "the requirement", "all"])
def test_a_reworded_requirement_has_its_cases_read_again(copy, monkeypatch, by):
    identifier = REGISTRY[CASE].reqs[0]
    reword(monkeypatch, identifier)
    assert f"{identifier} changed" in complaints()[0]
    register.accept([])
    assert f"{identifier} changed" in complaints()[0], "no name, no acceptance"
    register.accept([{"the case": CASE, "the requirement": identifier, "all": "all"}[by]])
    assert complaints() == []


def test_accepting_another_case_is_not_enough(copy, monkeypatch):
    reword(monkeypatch, REGISTRY[CASE].reqs[0])
    register.accept(["end.path"])
    assert complaints() != []


def test_a_new_case_is_registered_at_the_end_and_nothing_is_removed(copy, monkeypatch):
    before = register.load()
    monkeypatch.setitem(REGISTRY, "end.new", dataclasses.replace(REGISTRY[CASE], id="end.new", title="New"))
    monkeypatch.delitem(REGISTRY, "end.path")
    assert register.accept([]) == ["end.new"]
    assert register.load()[:-1] == before and register.load()[-1]["id"] == "end.new"


def test_names_of_nothing_are_told_from_names():
    assert register.unknown_names(["all", CASE, "HS-001", "no.such", "HS-999"]) == ["no.such", "HS-999"]


@pytest.mark.parametrize(
    "earlier, now",
    [
        ("hs.greeting.first", "hs.hello.first"),
        ("server:hs.final.*", "server:hs.limit-reply.*"),
        ("hs.final.needed[enc=on]", "hs.limit-reply.needed[enc=on]"),
        ("hs.server.leaves[*step=half-greeting*]", "hs.server.leaves[*step=half-hello*]"),
        ("!hs.greeting.*", "!hs.hello.*"),
    ],
)
def test_an_earlier_name_still_selects(earlier, now):
    assert selection.select([earlier]) == selection.select([now]) != []

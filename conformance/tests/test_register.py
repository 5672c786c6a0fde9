# SPDX-License-Identifier: MIT
"""The register is append-only: what would break that is found."""

import pytest
from goipc_conformance import register, selection

ENTRIES = {"end.mode": {"id": "end.mode", "rev": 1, "title": "A title"}}


def test_the_register_agrees_with_what_was_published():
    assert not any(register.problems().values())


def test_every_case_of_the_register_is_pinned():
    assert set(register.load_pinned()) >= {entry["id"] for entry in register.load()}


def test_a_published_case_cannot_vanish():
    assert "vanished" in register.against_pinned({}, {"end.mode": (1, "A title")})["end.mode"][0]


def test_a_renamed_case_has_not_vanished():
    entries = {"end.bits": {"id": "end.bits", "rev": 1, "title": "A title", "aliases": ["end.mode"]}}
    pinned = {"end.mode": (1, "A title"), "end.bits": (1, "A title")}
    assert register.against_pinned(entries, pinned) == {}


@pytest.mark.parametrize("revision, title, wrong", [(1, "Another", True), (2, "Another", False), (1, "A title", False)])
def test_a_title_changes_only_with_the_revision(revision, title, wrong):
    entries = {"end.mode": {"id": "end.mode", "rev": revision, "title": title}}
    found = register.against_pinned(entries, {"end.mode": (1, "A title")})
    assert ("published as" in str(found)) is wrong
    assert ("not pinned" in str(found)) is (revision == 2)


def test_a_revision_does_not_go_back():
    assert "published" in register.against_pinned(ENTRIES, {"end.mode": (2, "A title")})["end.mode"][0]


def test_writing_removes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "pinned.txt"
    path.write_text("gone.case 1 What it was\nend.mode 1 A title\n", encoding="utf-8")
    monkeypatch.setattr(register, "PINNED", path)
    monkeypatch.setattr(register, "load_pinned", lambda: {"gone.case": (1, "What it was"), "end.mode": (1, "A title")})
    register.pin([ENTRIES["end.mode"], {"id": "new.case", "rev": 1, "title": "New"}])
    assert path.read_text().splitlines() == ["gone.case 1 What it was", "end.mode 1 A title", "new.case 1 New"]


def test_an_earlier_name_still_selects(monkeypatch):
    monkeypatch.setattr(selection, "aliases", lambda: {"end.bits": "end.mode"})
    assert [i.key for i in selection.select(["end.bits"])] == ["server:end.mode"]
    assert [i.key for i in selection.select(["server:end.bits"])] == ["server:end.mode"]
    monkeypatch.setattr(selection, "aliases", lambda: {"key.zero": "key.zero-point"})
    assert {i.role for i in selection.select(["key.zero[enc=on]"])} == {"server", "client"}
    assert "server:end.mode" not in [i.key for i in selection.select(["!end.mode"])]

# SPDX-License-Identifier: MIT
"""The append-only register of cases: a published ID keeps its meaning for ever.

`problems` finds a case that left the code but not the register, an ID that is used again, a title that changed, and a
case that has not been read again since a sentence it cites changed. `accept` records that a person has looked at them.
"""

import argparse
import json
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from . import __version__, data_files, requirements
from . import cases as _cases  # noqa: F401
from .case import REGISTRY, Case
from .usage import Usage

PATH = Path(__file__).resolve().parent / "cases" / "registry.toml"
HEADER = """# What every published case was called, and which revision of it: `ID rev title`. Lines are added by
# `goipc-conformance register --write` and never removed: the register is held against this list, so that an ID
# cannot vanish from it and a title cannot change without a new revision.
"""
HEADER = """# SPDX-License-Identifier: MIT
# The register of cases. Entries are added at the end, never removed and never used again for something else.
# A case that is withdrawn gets `retired = {in = "VERSION", why = "...", by = "NEW-ID"}`; one that is renamed gets its
# earlier names in `aliases`. Written by `./dev accept`.
"""


def load() -> list[dict[str, Any]]:
    text = data_files.read_registry()
    return list(tomllib.loads(text).get("case", [])) if text else []


def pins_of(case: Case) -> list[str]:
    known = requirements.load()
    return [known[identifier].pin if identifier in known else identifier for identifier in case.reqs]


def entry_of(case: Case) -> dict[str, Any]:
    return {"id": case.id, "since": __version__, "rev": 1, "title": case.title, "reqs": pins_of(case)}


def render(entries: list[dict[str, Any]]) -> str:
    lines = [HEADER]
    for entry in entries:
        lines.append("[[case]]")
        for key in ("id", "since", "rev", "title", "reqs", "aliases"):
            if key in entry:
                lines.append(f"{key} = {json.dumps(entry[key], ensure_ascii=False)}")
        if "retired" in entry:
            inner = ", ".join(
                f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry["retired"].items()
            )
            lines.append(f"retired = {{{inner}}}")
        lines.append("")
    return "\n".join(lines)


def problems() -> dict[str, list[str]]:
    """What is wrong, by case; an empty list means that the case is in order."""
    entries = {entry["id"]: entry for entry in load()}
    aliases = {alias for entry in entries.values() for alias in entry.get("aliases", ())}
    found = {case.id: problems_of(case, entries.get(case.id), aliases) for case in REGISTRY.values()}
    for identifier, entry in entries.items():
        if identifier not in REGISTRY and "retired" not in entry:
            found[identifier] = ["the case has vanished: retire it in the register instead"]
    return found


def problems_of(case: Case, entry: dict[str, Any] | None, aliases: set[str]) -> list[str]:
    if entry is None:
        return ["not registered: run `./dev accept`"]
    wrong = []
    if "retired" in entry:
        wrong.append("retired IDs are never used again")
    if case.id in aliases:
        wrong.append("the ID is an earlier name of another case")
    if entry["title"] != case.title:
        wrong.append(f"the title changed: `./dev accept {case.id}` publishes it as a new revision")
    pinned = {pin.split("@")[0]: pin for pin in entry.get("reqs", [])}
    if set(pinned) != set(case.reqs):
        wrong.append("it cites other requirements than the register says: run `./dev accept`")
    active = requirements.load()
    for identifier in case.reqs if active else ():
        if identifier not in active or active[identifier].status != "active":
            wrong.append(f"{identifier} is not an active requirement")
        elif pinned.get(identifier) not in (None, active[identifier].pin):
            wrong.append(
                f"{identifier} changed: compare the case with it, then `./dev accept {case.id}` "
                f"(`./dev accept {identifier}` once every case that cites it was compared)"
            )
    return wrong


def unknown_names(names: Iterable[str]) -> list[str]:
    return [name for name in names if name != "all" and name not in REGISTRY and name not in requirements.load()]


def accept(names: Collection[str]) -> list[str]:
    """Registers new cases. A known case follows its new title, and its pins follow the new sentences, only when the
    case, the requirement or `all` is among the names. Gives the IDs of the new cases."""
    entries = load()
    by_id = {entry["id"]: entry for entry in entries}
    new = [case for case in REGISTRY.values() if case.id not in by_id]
    for case in REGISTRY.values():
        entry = by_id.get(case.id)
        if entry is None:
            continue
        named = case.id in names or "all" in names
        if named and entry["title"] != case.title:
            entry["rev"], entry["title"] = entry["rev"] + 1, case.title
        pinned = {pin.split("@")[0]: pin for pin in entry.get("reqs", [])}
        current = {pin.split("@")[0]: pin for pin in pins_of(case)}
        entry["reqs"] = [
            current[one] if named or one in names or one not in pinned else pinned[one] for one in case.reqs
        ]
    PATH.write_text(render(entries + [entry_of(case) for case in new]), encoding="utf-8")
    return [case.id for case in new]


def command(options: argparse.Namespace) -> int:
    if options.accept is not None:
        if unknown := unknown_names(options.accept):
            raise Usage(f"neither a case nor a requirement: {', '.join(unknown)}")
        new = accept(options.accept)
        print(f"{len(load())} cases registered, {len(new)} of them new{': ' if new else ''}{', '.join(new)}")
    failed = 0
    found = problems()
    for identifier, wrong in sorted(found.items()):
        for line in wrong:
            print(f"FAIL {identifier}: {line}")
        failed += bool(wrong)
    print(f"{len(found) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0

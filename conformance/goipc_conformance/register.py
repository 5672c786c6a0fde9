# SPDX-License-Identifier: MIT
"""The append-only register of cases: an ID that was published once keeps its meaning for ever.

`check` finds what a change would break: an ID that vanished or was used again, a title that changed without a new
revision, and cases whose requirement has been reworded since somebody last compared the two.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from . import __version__, data_files, docs, requirements
from . import cases as _cases  # noqa: F401
from .case import REGISTRY, Case

PATH = Path(__file__).resolve().parent / "cases" / "registry.toml"
PINNED = Path(__file__).resolve().parent / "cases" / "pinned.txt"
PINNED_HEADER = """# What every published case was called, and which revision of it: `ID rev title`. Lines are added by
# `goipc-conformance register --write` and never removed: the register is held against this list, so that an ID
# cannot vanish from it and a title cannot change without a new revision.
"""
HEADER = """# SPDX-License-Identifier: MIT
# The register of cases. Entries are added at the end, never removed and never used again for something else.
# A case that is withdrawn gets `retired = {in = "VERSION", why = "...", by = "NEW-ID"}`; one that is renamed gets its
# earlier names in `aliases`. Written by `goipc-conformance register --write`.
"""


def load() -> list[dict[str, Any]]:
    text = data_files.read_registry()
    return list(tomllib.loads(text).get("case", [])) if text else []


def load_pinned() -> dict[str, tuple[int, str]]:
    """The newest published revision of each case, and its title."""
    pinned: dict[str, tuple[int, str]] = {}
    for line in data_files.read_case_file("pinned.txt").splitlines():
        if line and not line.startswith("#"):
            identifier, revision, title = line.split(" ", 2)
            pinned[identifier] = max(pinned.get(identifier, (0, "")), (int(revision), title))
    return pinned


def pin(entries: list[dict[str, Any]]) -> None:
    """Adds what is new to the list. What stands there stays, whatever the register says by now."""
    pinned = load_pinned()
    text = PINNED.read_text(encoding="utf-8") if PINNED.exists() else PINNED_HEADER
    for entry in entries:
        if entry["rev"] > pinned.get(entry["id"], (0, ""))[0]:
            text += f"{entry['id']} {entry['rev']} {entry['title']}\n"
    PINNED.write_text(text, encoding="utf-8")


def against_pinned(entries: dict[str, dict[str, Any]], pinned: dict[str, tuple[int, str]]) -> dict[str, list[str]]:
    """What a published case has lost."""
    found: dict[str, list[str]] = {}
    aliases = {alias for entry in entries.values() for alias in entry.get("aliases", ())}
    for identifier, (revision, title) in pinned.items():
        entry = entries.get(identifier)
        if entry is None:
            if identifier not in aliases:
                found[identifier] = ["it was published and has vanished from the register: retire or rename it there"]
        elif entry["rev"] < revision:
            found[identifier] = [f"revision {revision} was published, the register says {entry['rev']}"]
        elif entry["rev"] == revision and entry["title"] != title:
            found[identifier] = [f"the title was published as {title!r}: raise rev in the register"]
    for identifier, entry in entries.items():
        if entry["rev"] > pinned.get(identifier, (0, ""))[0]:
            found[identifier] = [f"revision {entry['rev']} is not pinned: run `register --write`"]
    return found


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
    found: dict[str, list[str]] = {}
    entries = {entry["id"]: entry for entry in load()}
    active = requirements.load()
    aliases = [alias for entry in entries.values() for alias in entry.get("aliases", ())]
    for case in REGISTRY.values():
        wrong = found.setdefault(case.id, [])
        entry = entries.get(case.id)
        if entry is None:
            wrong.append("not registered: run `register --write`")
            continue
        if "retired" in entry:
            wrong.append("retired IDs are never used again")
        if case.id in aliases:
            wrong.append("the ID is an earlier name of another case")
        if entry["title"] != case.title:
            wrong.append("the title changed: raise rev in the register and set the new title there")
        pinned = {pin.split("@")[0]: pin for pin in entry.get("reqs", [])}
        if set(pinned) != set(case.reqs):
            wrong.append("it cites other requirements than the register says: run `register --write`")
        for identifier in case.reqs:
            if not active:
                break
            if identifier not in active or active[identifier].status != "active":
                wrong.append(f"{identifier} is not an active requirement")
            elif pinned.get(identifier) not in (None, active[identifier].pin):
                wrong.append(f"{identifier} has been reworded: compare, then `register --write --accept {case.id}`")
    for identifier, entry in entries.items():
        if identifier not in REGISTRY and "retired" not in entry:
            found[identifier] = ["the case has vanished: retire it in the register instead"]
    for identifier, wrong in against_pinned(entries, load_pinned()).items():
        found.setdefault(identifier, []).extend(wrong)
    return found


def write(accept: list[str]) -> int:
    """Adds what is new. Pins of known cases move only when the case is accepted by name, or `all`."""
    entries = load()
    by_id = {entry["id"]: entry for entry in entries}
    for case in REGISTRY.values():
        entry = by_id.get(case.id)
        if entry is None:
            entries.append(entry_of(case))
            continue
        pinned = {pin.split("@")[0]: pin for pin in entry.get("reqs", [])}
        current = {pin.split("@")[0]: pin for pin in pins_of(case)}
        accepted = case.id in accept or "all" in accept
        entry["reqs"] = [current[i] if accepted or i not in pinned else pinned[i] for i in case.reqs]
    PATH.write_text(render(entries), encoding="utf-8")
    pin(entries)
    return len(entries)


def command(options: Any) -> int:
    folder = docs.folder()
    if options.write:
        count = write(options.accept)
        pages = docs.write_all(folder) if folder else 0
        print(f"{count} cases registered, {pages} pages written")
        return 0
    found = problems()
    if folder:
        for name in docs.stale(folder):
            found.setdefault(name, []).append("its page is out of date: run `register --write`")
    failed = 0
    for identifier, wrong in sorted(found.items()):
        for line in wrong:
            print(f"FAIL {identifier}: {line}")
        failed += bool(wrong)
    skipped = 0
    if folder is None:
        print("SKIP pages: the pages are part of the source tree, which this is not")
        skipped = 1
    print(f"{len(found) - failed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0

# SPDX-License-Identifier: MIT
"""The requirements of the specification: identifier, sentence and hash."""

import dataclasses
import functools
import json

from . import data_files


@dataclasses.dataclass(frozen=True)
class Requirement:
    id: str
    level: str
    text: str
    pin: str
    roles: tuple[str, ...]
    test: str
    section: str
    status: str


@functools.cache
def load() -> dict[str, Requirement]:
    text = data_files.read_text("requirements.json")
    if text is None:
        return {}
    return {
        entry["id"]: Requirement(
            id=entry["id"],
            level=entry["level"],
            text=entry["text"],
            pin=entry.get("pin") or f"{entry['id']}@{entry['sha256'][:8]}",
            roles=tuple(entry.get("roles", ())),
            test=entry.get("test", ""),
            section=entry.get("section", ""),
            status=entry.get("status", "active"),
        )
        for entry in json.loads(text)["requirements"]
    }


@functools.cache
def edition() -> str:
    text = data_files.read_text("requirements.json")
    return json.loads(text).get("document", {}).get("edition", "unknown") if text else "unknown"


def sentence(identifier: str) -> str:
    requirement = load().get(identifier)
    return requirement.text if requirement else ""

# SPDX-License-Identifier: MIT
"""Generates spec/requirements.json from spec/goipc.md.

usage: requirements.py [--check]

With --check nothing is written, and the result is 1 when the file is stale.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib

import specdoc

OUTPUT = specdoc.SPEC_DIR / "requirements.json"
REGISTRIES = specdoc.SPEC_DIR / "registries.toml"


def build() -> dict:
    document = specdoc.read()
    registries = tomllib.loads(REGISTRIES.read_text(encoding="utf-8"))
    return {
        "schema": "goipc-requirements-v1",
        "document": {
            "title": document.meta["title"],
            "edition": document.meta["edition"],
            "protocol": int(document.meta["protocol"]),
        },
        "count": len(document.requirements),
        "profiles": registries["profile"],
        "requirements": [entry(requirement) for requirement in document.requirements],
    }


def entry(requirement: specdoc.Requirement) -> dict:
    result = {
        "id": requirement.id,
        "level": requirement.level,
        "keyword": requirement.keyword,
        "roles": requirement.roles,
        "text": requirement.text,
        "sha256": requirement.sha256,
        "pin": requirement.pin,
        "since": requirement.since,
        "status": requirement.status,
        "test": requirement.test,
        "section": requirement.section,
    }
    if requirement.reason:
        result["reason"] = requirement.reason
    return result


def complaints(built: dict, old: dict | None) -> list[str]:
    """What no single paragraph can show: identifiers used twice, or lost."""
    found = []
    names = [item["id"] for item in built["requirements"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found.append(f"{name} stands twice")
    for item in (old or {}).get("requirements", []):
        if item["id"] not in names:
            found.append(f"{item['id']} has vanished: withdraw it, with a reason, instead")
    for name, profile in built["profiles"].items():
        for key in ("replaces", "raises"):
            for cited in profile.get(key, []):
                if cited not in names:
                    found.append(f"profile {name} {key} the unknown {cited}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="generate spec/requirements.json")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    arguments = parser.parse_args()

    old_text = OUTPUT.read_text(encoding="utf-8") if OUTPUT.exists() else ""
    try:
        built = build()
    except specdoc.SpecError as error:
        found = [str(error)]
    else:
        found = complaints(built, json.loads(old_text) if old_text else None)
        new_text = json.dumps(built, indent=2, ensure_ascii=False) + "\n"
        if arguments.check and new_text != old_text:
            found.append("requirements.json is stale: run spec/tools/requirements.py")
    for line in found:
        print(f"FAIL {line}")
    if not found and not arguments.check:
        OUTPUT.write_text(new_text, encoding="utf-8")
    count = 0 if found else built["count"]
    print(f"{count} passed, {len(found)} failed, 0 skipped")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

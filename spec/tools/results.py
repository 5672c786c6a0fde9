# SPDX-License-Identifier: MIT
"""Reads the results that the conformance suite writes, by requirement."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path


def verdicts_of(files: list[Path]) -> dict[str, dict[str, dict[str, str]]]:
    """Implementation -> identifier -> case -> verdict; the newest run of each implementation and back end."""
    runs: dict[tuple[str, str], dict] = {}
    for path in sorted(files, key=lambda path: path.stat().st_mtime):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if isinstance(content, dict) and content.get("schema") == "goipc-conformance-results-v1":
            about = content["run"].get("implementation") or {}
            runs[about.get("name", path.stem), about.get("crypto", "")] = content
    found: dict[str, dict[str, dict[str, str]]] = {}
    for (name, crypto), content in runs.items():
        verdicts = found.setdefault(name, {})
        for case in content["cases"]:
            for cited in case["reqs"]:
                verdicts.setdefault(cited.split("@")[0], {})[f"{crypto} {case['key']}"] = case["verdict"]
    return found


def summary(verdicts: dict[str, str] | None) -> str:
    """One cell of the coverage page: all alike, or how many of each."""
    if not verdicts:
        return ""
    counts: dict[str, int] = defaultdict(int)
    for verdict in verdicts.values():
        counts["PASS" if verdict.startswith("PASS") else verdict] += 1
    if set(counts) == {"PASS"}:
        return "pass"
    return ", ".join(f"{count} {verdict.lower()}" for verdict, count in sorted(counts.items()))


def has_failed(verdicts: dict[str, str] | None) -> bool:
    """Whether any case came out as it should not, expected or not."""
    fine = ("PASS", "SKIP", "UNSUPPORTED")
    return any(not verdict.startswith(fine) for verdict in (verdicts or {}).values())

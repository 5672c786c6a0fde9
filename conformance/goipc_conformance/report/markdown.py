# SPDX-License-Identifier: MIT
"""Markdown for a step summary or a comment, and the badge."""

import json
from pathlib import Path

from . import Run, totals_line, wanted

SHOWN = 60


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def lines(run: Run) -> list[str]:
    name = f"{run.identity.get('name', '?')} {run.identity.get('version', '')}".strip()
    out = [
        f"## {name}: {totals_line(run.totals)}",
        "",
        f"golang-ipc protocol, edition {run.spec_edition}; suite {run.suite_version}, seed {run.seed}, "
        f"{run.duration:.1f} s.",
        "",
    ]
    areas: dict[str, dict[str, int]] = {}
    for result in run.results:
        areas.setdefault(result.instance.case.area, {"passed": 0, "failed": 0, "skipped": 0})[
            result.verdict.counts_as
        ] += 1
    out += ["| area | passed | failed | skipped |", "|--|--:|--:|--:|"]
    out += [f"| {area} | {n['passed']} | {n['failed']} | {n['skipped']} |" for area, n in areas.items()]
    failed = [result for result in run.results if result.verdict.counts_as == "failed"]
    if failed:
        out += ["", "| verdict | case | expected | observed | requirements |", "|--|--|--|--|--|"]
        for result in failed[:SHOWN]:
            case = result.instance.case
            out.append(
                f"| {result.verdict.value} | `{cell(result.key)}` | {cell(' or '.join(wanted(result)))} "
                f"| {cell(result.outcome or result.reason)} | {' '.join(case.reqs[:3])} |"
            )
        if len(failed) > SHOWN:
            out.append(f"\n{len(failed) - SHOWN} more are in the other reports.")
    if run.fault:
        out += ["", f"Nothing could be asked: {cell(run.fault)}"]
    if run.stale:
        out += ["", "Stale expectations:", ""] + [f"- {line}" for line in run.stale]
    return out


def write(run: Run, path: Path) -> None:
    path.write_text("\n".join(lines(run)) + "\n", encoding="utf-8", errors="replace")


def badge(run: Run) -> dict[str, object]:
    """The endpoint form of shields.io."""
    totals = run.totals
    judged = totals["passed"] + totals["failed"]
    colour = (
        "lightgrey"
        if not judged
        else "brightgreen"
        if not totals["failed"]
        else "yellow"
        if totals["failed"] * 10 < judged
        else "red"
    )
    return {
        "schemaVersion": 1,
        "label": "golang-ipc conformance",
        "message": f"{totals['passed']}/{judged}",
        "color": colour,
    }


def write_badge(run: Run, path: Path) -> None:
    path.write_text(json.dumps(badge(run)) + "\n", encoding="utf-8", errors="replace")

# SPDX-License-Identifier: MIT
"""The report for programs: a superset of all others, described by schemas/results.schema.json."""

import json
from pathlib import Path
from typing import Any

from .. import requirements
from ..engine import Result
from . import Run

SCHEMA = "goipc-conformance-results-v1"


OCTETS_SHOWN = 512
WIRE_SHOWN = 200


def case_of(result: Result, with_wire: bool) -> dict[str, Any]:
    case, instance = result.instance.case, result.instance
    pins = requirements.load()
    return {
        "key": instance.key,
        "id": instance.id,
        "case": case.id,
        "role": instance.role,
        "area": case.area,
        "title": case.title,
        "params": instance.params,
        "level": case.level,
        "tags": list(case.tags),
        "reqs": [pins[i].pin if i in pins else i for i in case.reqs],
        "verdict": result.verdict.value,
        "counts_as": result.verdict.counts_as,
        "expect": list(case.expect),
        "also": list(case.also),
        "outcome": result.outcome,
        "details": list(result.details),
        "notes": list(result.notes),
        "reason": result.reason,
        "recorded": {
            "outcome": list(result.expectation.outcome),
            "reason": result.expectation.reason,
            "bug": result.expectation.bug,
        }
        if result.expectation
        else None,
        "repeats": [{"verdict": repeat.verdict.value, "outcome": repeat.outcome} for repeat in result.repeats],
        "race": {"reason": result.race.reason, "rate": result.race.rate, "bug": result.race.bug}
        if result.race
        else None,
        "duration_ms": round(result.duration * 1000, 1),
        "wire": [
            {
                "ms": round(e.at * 1000, 2),
                "peer": e.peer,
                "dir": e.direction,
                "label": e.label,
                "size": e.size,
                "hex": e.data[:OCTETS_SHOWN].hex(),
            }
            for e in result.wire[:WIRE_SHOWN]
        ]
        if with_wire
        else [],
        "output_tail": result.output[-2000:],
        "internal": result.internal,
    }


def document(run: Run) -> dict[str, Any]:
    # Of the passed cases one instance each keeps its octets, as an example.
    seen: set[tuple[str, str]] = set()
    shown = []
    for result in run.results:
        key = (result.instance.case.id, result.instance.role)
        shown.append(result.verdict.value != "PASS" or key not in seen)
        if result.verdict.value == "PASS":
            seen.add(key)
    return {
        "schema": SCHEMA,
        "run": {
            "suite": run.suite_version,
            "spec": run.spec_edition,
            "seed": run.seed,
            "started": run.started,
            "duration_s": round(run.duration, 2),
            "command": run.command,
            "implementation": run.identity,
            "expectations": run.expectations,
            "interrupted": run.interrupted,
            "fault": run.fault,
            "roles": list(run.roles),
            "shard": run.shard,
            "selection": list(run.selection),
        },
        "totals": run.totals,
        "verdicts": run.verdicts,
        "stale": run.stale,
        "exit_code": run.exit_code,
        "cases": [case_of(result, wire) for result, wire in zip(run.results, shown)],
    }


def write(run: Run, path: Path) -> None:
    path.write_text(json.dumps(document(run), indent=1) + "\n", encoding="utf-8")

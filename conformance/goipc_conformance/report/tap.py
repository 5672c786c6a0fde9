# SPDX-License-Identifier: MIT
"""TAP version 14. Known deviations are TODO tests, as the format has it."""

from pathlib import Path
from typing import Any

from ..outcome import Verdict
from . import Run, wanted

KNOWN = (Verdict.XFAIL, Verdict.XFLAKY)


def quoted(value: Any) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def description(text: str) -> str:
    return text.replace("\\", "\\\\").replace("#", "\\#")


def lines(run: Run) -> list[str]:
    out = ["TAP version 14", f"1..{len(run.results) + len(run.stale)}"]
    if run.fault:
        out.append(f"Bail out! {' '.join(run.fault.split())}")
    number = 0
    for number, result in enumerate(run.results, 1):
        verdict = result.verdict
        ok = "ok" if verdict.counts_as in ("passed", "skipped") and verdict not in KNOWN else "not ok"
        line = f"{ok} {number} - {description(result.key)}"
        if verdict.counts_as == "skipped":
            line += f" # SKIP {description(result.reason)}"
        elif verdict in KNOWN:
            line += f" # TODO {description((result.race or result.expectation).reason)}"
        out.append(line)
        if ok == "not ok":
            out += [
                "  ---",
                f"  verdict: {verdict.value}",
                f"  expected: {quoted(' or '.join(wanted(result)))}",
                f"  observed: {quoted(result.outcome or result.reason)}",
                f"  requirements: [{', '.join(result.instance.case.reqs)}]",
            ]
            if result.details:
                out.append("  details:")
                out += [f"    - {quoted(detail)}" for detail in result.details]
            out.append("  ...")
    for offset, line in enumerate(run.stale, 1):
        out.append(f"not ok {number + offset} - stale expectation: {description(line)}")
    if run.interrupted:
        out.append("Bail out! interrupted")
    return out


def write(run: Run, path: Path) -> None:
    path.write_text("\n".join(lines(run)) + "\n", encoding="utf-8", errors="replace")

# SPDX-License-Identifier: MIT
"""JUnit XML: a suite per area, `failure` for the implementation's faults, `error` for the harness's alone."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from ..engine import Result
from ..outcome import Verdict
from . import Run, text, wanted

# XML 1.0 cannot hold these at all.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(value: str) -> str:
    return _FORBIDDEN.sub("\ufffd", value)


def _case(suite: ET.Element, run: Run, result: Result) -> None:
    case = result.instance.case
    element = ET.SubElement(
        suite,
        "testcase",
        {
            "name": clean(result.key),
            "classname": f"goipc.{case.area}",
            "time": f"{result.duration:.3f}",
        },
    )
    body = clean("\n".join(text.failure_lines(result, text.again(result, run))))
    if result.verdict.counts_as == "skipped":
        ET.SubElement(element, "skipped", {"message": clean(result.reason)})
    elif result.verdict is Verdict.ERROR:
        ET.SubElement(element, "error", {"type": "ERROR", "message": clean(result.reason)}).text = body
    elif result.verdict.counts_as == "failed":
        ET.SubElement(
            element,
            "failure",
            {
                "type": result.verdict.value,
                "message": clean(f"expected {' or '.join(wanted(result))}, observed {result.outcome}"),
            },
        ).text = body
    if result.output and result.verdict.counts_as == "failed":
        ET.SubElement(element, "system-err").text = clean(result.output[-4000:])


def _stale(root: ET.Element, run: Run) -> None:
    """Expectations that no case met any more, each a failure of its own."""
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "name": "expectations",
            "tests": str(len(run.stale)),
            "failures": str(len(run.stale)),
            "errors": "0",
            "skipped": "0",
            "time": "0",
            "timestamp": run.started.rstrip("Z"),
        },
    )
    for line in run.stale:
        element = ET.SubElement(
            suite, "testcase", {"name": clean(line), "classname": "goipc.expectations", "time": "0"}
        )
        ET.SubElement(element, "failure", {"type": "STALE", "message": clean(line)})


def document(run: Run) -> ET.ElementTree:
    areas: dict[str, list[Result]] = {}
    for result in run.results:
        areas.setdefault(result.instance.case.area, []).append(result)
    root = ET.Element("testsuites", {"name": "goipc-conformance", "time": f"{run.duration:.3f}"})
    for area, results in areas.items():
        failed = [r for r in results if r.verdict.counts_as == "failed"]
        errors = [r for r in failed if r.verdict is Verdict.ERROR]
        suite = ET.SubElement(
            root,
            "testsuite",
            {
                "name": area,
                "tests": str(len(results)),
                "failures": str(len(failed) - len(errors)),
                "errors": str(len(errors)),
                "skipped": str(sum(1 for r in results if r.verdict.counts_as == "skipped")),
                "time": f"{sum(r.duration for r in results):.3f}",
                "timestamp": run.started.rstrip("Z"),
            },
        )
        properties = ET.SubElement(suite, "properties")
        for name, value in (
            ("seed", run.seed),
            ("specification", run.spec_edition),
            ("suite", run.suite_version),
            ("implementation", f"{run.identity.get('name')} {run.identity.get('version')}"),
        ):
            ET.SubElement(properties, "property", {"name": name, "value": clean(value)})
        for result in results:
            _case(suite, run, result)
    if run.stale:
        _stale(root, run)
    if run.fault:
        suite = ET.SubElement(
            root,
            "testsuite",
            {
                "name": "harness",
                "tests": "1",
                "failures": "0",
                "errors": "1",
                "skipped": "0",
                "time": "0",
                "timestamp": run.started.rstrip("Z"),
            },
        )
        element = ET.SubElement(suite, "testcase", {"name": "asking", "classname": "goipc.harness", "time": "0"})
        ET.SubElement(element, "error", {"type": "ERROR", "message": clean(run.fault)})
    return ET.ElementTree(root)


def write(run: Run, path: Path) -> None:
    tree = document(run)
    ET.indent(tree)
    tree.write(path, encoding="utf-8", xml_declaration=True)

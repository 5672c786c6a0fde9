# SPDX-License-Identifier: MIT
"""Joins and compares result documents: shards of one run, runs of two days, several implementations."""

import argparse
import json
from pathlib import Path
from typing import Any

from . import expectations, running, selection
from .adapter.process import StartError, split_command
from .adapter.subject import AdapterError, Died, Hung
from .report import html, json_report, totals_line
from .usage import Usage, writable, writable_folder


class ResultError(Exception):
    """A file that is not a result document, or does not fit the others."""


def load(path: str) -> dict[str, Any]:
    """The one document of a file."""
    documents = load_all(path)
    if len(documents) != 1:
        raise ResultError(f"{path} holds {len(documents)} implementations, of a matrix; only html takes those")
    return documents[0]


def load_all(path: str) -> list[dict[str, Any]]:
    """The documents of a file: one of a run, several of a matrix."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ResultError(f"{path} is not JSON") from None
    documents = document if isinstance(document, list) else [document]
    for one in documents or [None]:
        if not isinstance(one, dict) or one.get("schema") != json_report.SCHEMA:
            raise ResultError(f"{path} is not a result document of this suite ({json_report.SCHEMA})")
    return documents


def merge(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """One document from the shards of one run."""
    first = documents[0]
    for document in documents[1:]:
        for key in ("suite", "spec", "seed", "implementation", "selection"):
            if document["run"].get(key) != first["run"].get(key):
                raise ResultError(f"the files are not shards of one run: {key} differs")
    shards = [document["run"].get("shard") for document in documents]
    if any(not shard for shard in shards):
        raise ResultError("the files were not made with --shard")
    counts = {shard.split("/")[1] for shard in shards}
    numbers = sorted(int(shard.split("/")[0]) for shard in shards)
    if len(counts) != 1 or numbers != list(range(1, int(counts.pop()) + 1)):
        raise ResultError(f"shards are missing or twice there: {', '.join(shards)}")
    cases = [case for document in documents for case in document["cases"]]
    if len({case["key"] for case in cases}) != len(cases):
        raise ResultError("a case is in two shards")
    cases.sort(key=lambda case: case["key"])
    verdicts: dict[str, int] = {}
    for case in cases:
        verdicts[case["verdict"]] = verdicts.get(case["verdict"], 0) + 1
    totals = {key: sum(document["totals"][key] for document in documents) for key in ("passed", "failed", "skipped")}
    codes = [document["exit_code"] for document in documents]
    # The gravest decides; a shard in which every case was skipped is no failure of the whole.
    stale = [line for document in documents for line in document["stale"]] + unused_entries(first["run"], cases)
    code = next((c for c in (130, 3, 1, 4) if c in codes), (4 if stale else 0) if totals["passed"] else 2)
    run = {**first["run"], "shard": None, "duration_s": sum(document["run"]["duration_s"] for document in documents)}
    return {
        **first,
        "run": run,
        "totals": totals,
        "verdicts": verdicts,
        "cases": cases,
        "exit_code": code,
        "stale": list(dict.fromkeys(stale)),
    }


def unused_entries(run: dict[str, Any], cases: list[dict[str, Any]]) -> list[str]:
    """Entries of the record that nothing was judged by: no shard can tell, only all of them together."""
    path = run.get("expectations")
    verdicts = {case["key"]: case["verdict"] for case in cases}
    if not path or {instance.key for instance in selection.all_instances()} - verdicts.keys():
        return []
    try:
        record = expectations.parse(Path(path))
    except expectations.ExpectationError as error:
        raise ResultError(f"the record of the run is needed to join its shards: {error}") from None
    return expectations.unused(record, verdicts)


def merge_command(options: argparse.Namespace) -> int:

    if options.json:
        writable(options.json)
    merged = merge([load(path) for path in options.files])
    if options.json:
        writable(options.json).write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    for case in merged["cases"]:
        if case["counts_as"] == "failed":
            print(
                f"{case['verdict']} {case['key']}  "
                f"expected {' or '.join((case.get('recorded') or {}).get('outcome') or case['expect'])}, "
                f"observed {case['outcome'] or case['reason']}"
            )
    for line in merged["stale"]:
        print(f"STALE {line}")
    print(totals_line(merged["totals"]))
    return int(merged["exit_code"])


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    """(kind, line); kinds are worse, better, other, gone and added."""
    before = {case["key"]: case for case in old["cases"]}
    after = {case["key"]: case for case in new["cases"]}
    rank = {"passed": 0, "skipped": 1, "failed": 2}
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            lines.append(("gone", f"gone    {key}  was {before[key]['verdict']}"))
        elif key not in before:
            lines.append(("added", f"added   {key}  {after[key]['verdict']} {after[key]['outcome']}"))
        else:
            a, b = before[key], after[key]
            if (a["verdict"], a["outcome"]) == (b["verdict"], b["outcome"]):
                continue
            change = rank[b["counts_as"]] - rank[a["counts_as"]]
            kind = "worse" if change > 0 else "better" if change < 0 else "other"
            lines.append((kind, f"{kind:7} {key}  {a['verdict']} {a['outcome']} -> {b['verdict']} {b['outcome']}"))
    return lines


def diff_command(options: argparse.Namespace) -> int:
    lines = differences(load(options.old), load(options.new))
    for _, line in lines:
        print(line)
    worse = sum(1 for kind, _ in lines if kind in ("worse", "gone"))
    print(f"{len(lines)} differences, {worse} for the worse")
    return 1 if worse else 0


def html_command(options: argparse.Namespace) -> int:

    documents = [document for path in options.files for document in load_all(path)]
    count = html.write(documents, writable_folder(options.out))
    print(f"{count} pages in {options.out}")
    return 0


def matrix_command(options: argparse.Namespace) -> int:
    """Several implementations side by side, each judged by the whole selection."""

    if not options.impl:
        raise Usage("matrix needs --impl NAME=CMD, once for each implementation")
    running.refuse(options, "matrix", *running.TARGET, "junit", "tap", "md", "badge", "wire", "keep_all")
    running.check_reports(options)
    instances = running.chosen(options)
    records = {}
    for text in options.expect or ():
        name, separator, path = text.partition("=")
        if not separator or name not in [known.partition("=")[0] for known in options.impl]:
            raise Usage(f"--expect takes NAME=FILE with a NAME of --impl, not {text!r}")
        records[name] = expectations.parse(Path(path))
    documents, names, code, table, unasked = [], [], 0, [], []
    for text in options.impl:
        name, separator, command = text.partition("=")
        if not separator or not command.strip():
            raise Usage(f"--impl takes NAME=CMD, not {text!r}")
        record = records.get(name)
        expect = str(record.path) if record else None
        one = argparse.Namespace(**{**vars(options), "words": split_command(command), "expect": expect})
        try:
            run = running.perform(one, instances, record, name)
        except (AdapterError, StartError, Died, Hung) as error:
            print(f"ERROR {name}: {error}")
            code = code or 3
            unasked.append(json_report.document(running.unasked(one, str(error), 3)))
            continue
        document = json_report.document(run)
        document["run"]["implementation"] = {**document["run"]["implementation"], "name": name}
        documents.append(document)
        names.append(name)
        table.append(run)
        code = code or run.exit_code
    if options.json:
        writable(options.json).write_text(json.dumps(documents + unasked, indent=1) + "\n", encoding="utf-8")
    if not documents:
        return code
    areas = list(dict.fromkeys(result.instance.case.area for run in table for result in run.results))
    print(f"{'area':8}" + "".join(f"{name:>24}" for name in names))
    for area in areas:
        cells = []
        for run in table:
            mine = [result.verdict.counts_as for result in run.results if result.instance.case.area == area]
            cells.append(f"{mine.count('passed')}/{mine.count('passed') + mine.count('failed')}")
        print(f"{area:8}" + "".join(f"{cell:>24}" for cell in cells))
    if options.html:
        html.write(documents, Path(options.html))
    print(totals_line({key: sum(run.totals[key] for run in table) for key in ("passed", "failed", "skipped")}))
    return code

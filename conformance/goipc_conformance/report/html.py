# SPDX-License-Identifier: MIT
"""The report as pages: a matrix of cases by implementation, a page per case with its octets, and the specification's
requirements painted by what was seen. Works on result documents, so that runs of other days can be joined."""

import re
import shlex
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from .. import requirements
from ..case import AREAS, REGISTRY

RANK = ["PASS", "XFAIL", "XFLAKY", "PASS-LENIENT", "SKIP", "UNSUPPORTED"]
RANK += ["FLAKY", "FAIL", "XPASS", "XDIFF", "HANG", "CRASH", "ERROR"]
UNASKED = ("SKIP", "UNSUPPORTED")
OCTETS_PER_ROW = 32


def environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("goipc_conformance.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def fields_of(label: str, size: int, sealed: bool) -> list[tuple[int, str]]:
    """(bytes, class) from the front; the last one takes the rest."""
    name = re.sub(r" \(\d+ of \d+\)$", "", label)
    if "(" in label and " of " in label:
        return [(size, "data")]  # a piece of something
    if name.startswith("HELLO") and not name.startswith("HELLO_REPLY"):
        return [(1, "version"), (1, "flag")]
    if name in ("SERVER_KEY", "CLIENT_KEY") or (size == 97 and name.startswith("key")):
        return [(1, "tag"), (48, "x"), (48, "y")]
    if name in ("frame length", "LIMIT length"):
        return [(4, "length")]
    if name in ("frame body", "LIMIT body"):
        return body_fields(size, sealed, name.startswith("LIMIT"))
    if name.startswith(("message", "LIMIT ")):
        return [(4, "length"), *body_fields(size - 4, sealed, name.startswith("LIMIT"))]
    return [(size, "data")]


def body_fields(size: int, sealed: bool, limit: bool) -> list[tuple[int, str]]:
    if sealed:
        return [(12, "nonce"), (max(0, size - 28), "cipher"), (16, "tag")]
    return [(4, "data")] if limit else [(4, "type"), (max(0, size - 4), "data")]


def octets(entry: dict[str, Any], sealed: bool) -> str:
    """The bytes in rows, every field in its colour."""
    data = bytes.fromhex(entry["hex"])
    classes: list[str] = []
    for count, name in fields_of(entry["label"], entry["size"], sealed):
        classes += [name] * count
    classes += ["data"] * (len(data) - len(classes))
    rows = []
    for at in range(0, len(data), OCTETS_PER_ROW):
        row, previous = [], ""
        for offset in range(at, min(at + OCTETS_PER_ROW, len(data))):
            if classes[offset] != previous:
                row.append(
                    ("</span>" if previous else "") + f'<span class="f-{classes[offset]}" title="{classes[offset]}">'
                )
                previous = classes[offset]
            row.append(f"{data[offset]:02x} ")
        rows.append(f'<span class="at">{at:04x}</span> ' + "".join(row) + "</span>")
    if entry["size"] > len(data):
        rows.append(f"... {entry['size'] - len(data)} more bytes")
    return "\n".join(rows)


def worst(verdicts: list[str]) -> str:
    return max(verdicts, key=lambda verdict: RANK.index(verdict) if verdict in RANK else len(RANK)) if verdicts else ""


def page_name(case_id: str) -> str:
    return f"case-{case_id}.html"


def names_of(documents: list[dict[str, Any]]) -> list[str]:
    """One distinct name per run."""
    names: list[str] = []
    for document in documents:
        implementation = document["run"]["implementation"]
        crypto = implementation.get("crypto")
        base = f"{implementation.get('name', '?')} {implementation.get('version', '')}".strip() + (
            f" ({crypto})" if crypto else ""
        )
        name, number = base, 2
        while name in names:
            name, number = f"{base} #{number}", number + 1
        names.append(name)
    return names


def again(document: dict[str, Any], case: dict[str, Any]) -> str:
    """The command that asks this one question again."""
    key, seed = shlex.quote(f"{case['role']}:{case['id']}"), shlex.quote(str(document["run"]["seed"]))
    return f"goipc-conformance run {key} --seed {seed} {document['run']['command']}"


def painted(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every requirement with the worst verdict of its cases, per run."""
    result = []
    by_run = []
    for document in documents:
        verdicts: dict[str, list[tuple[str, str]]] = {}
        for case in document["cases"]:
            for pin in case["reqs"]:
                verdicts.setdefault(pin.split("@")[0], []).append((case["verdict"], case["case"]))
        by_run.append(verdicts)
    for requirement in requirements.load().values():
        if requirement.status != "active":
            continue
        marks = []
        for verdicts in by_run:
            found = verdicts.get(requirement.id, [])
            judged = [verdict for verdict, _ in found if verdict not in UNASKED]
            marks.append(worst(judged) if judged else "")
        cases = sorted({case for verdicts in by_run for _, case in verdicts.get(requirement.id, [])})
        result.append({"requirement": requirement, "marks": marks, "cases": cases})
    return result


def write(documents: list[dict[str, Any]], folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    templates = environment()
    names = names_of(documents)
    cells: dict[str, list[list[dict[str, Any]]]] = {}
    for column, document in enumerate(documents):
        for case in document["cases"]:
            cells.setdefault(case["case"], [[] for _ in documents])[column].append(case)
    order = {case_id: index for index, case_id in enumerate(REGISTRY)}
    rows = []
    for case_id in sorted(cells, key=lambda i: (order.get(i, len(order)), i)):
        columns: list[dict[str, object]] = []
        for instances in cells[case_id]:
            verdicts = [case["verdict"] for case in instances]
            columns.append(
                {
                    # What could not be asked of one role says nothing about the other.
                    "verdict": worst([verdict for verdict in verdicts if verdict not in UNASKED] or verdicts),
                    "good": sum(1 for case in instances if case["counts_as"] == "passed"),
                    "all": sum(1 for case in instances if case["counts_as"] != "skipped"),
                }
            )
        rows.append(
            {
                "id": case_id,
                "title": next(c[0]["title"] for c in cells[case_id] if c),
                "columns": columns,
                "area": case_id.split(".")[0],
                "fine": all(column["verdict"] in ("", "PASS", "PASS-LENIENT", *UNASKED) for column in columns),
            }
        )
    common = {"names": names, "documents": documents, "areas": AREAS, "page_name": page_name}
    (folder / "index.html").write_text(
        templates.get_template("index.html.j2").render(rows=rows, **common), encoding="utf-8", errors="replace"
    )
    (folder / "specification.html").write_text(
        templates.get_template("specification.html.j2").render(rows=painted(documents), **common),
        encoding="utf-8",
        errors="replace",
    )
    template = templates.get_template("case.html.j2")
    for case_id, found in cells.items():
        sample = next(c[0] for c in found if c)
        text = template.render(
            case=REGISTRY.get(case_id),
            sample=sample,
            columns=found,
            sentences=[(pin.split("@")[0], requirements.sentence(pin.split("@")[0])) for pin in sample["reqs"]],
            octets=lambda entry, case: markupsafe.Markup(octets(entry, case["params"].get("enc", "on") == "on")),
            again=again,
            **common,
        )
        (folder / page_name(case_id)).write_text(text, encoding="utf-8", errors="replace")
    return len(cells) + 2

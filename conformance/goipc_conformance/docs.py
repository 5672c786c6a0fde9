# SPDX-License-Identifier: MIT
"""A page for every case, written from the case itself."""

from pathlib import Path

from . import cases as _cases  # noqa: F401
from . import requirements
from .case import AREAS, REGISTRY, Case


def explain(case: Case) -> list[str]:
    """The text of `explain` and of the page."""
    lines = [f"# {case.id}", "", f"{case.title}.", "", f"**Why.** {case.why}", ""]
    if case.hint:
        lines += [f"**Hint.** {case.hint}", ""]
    lines += [
        "| | |",
        "|--|--|",
        f"| asked of | {' and '.join(case.roles)} |",
        f"| level | {case.level.upper()} |",
        f"| adapter | level {case.adapter_level} or higher |",
    ]
    if case.needs:
        lines.append(f"| needs | {', '.join(case.needs)} |")
    for name, values in sorted(case.params.items()):
        lines.append(f"| parameter `{name}` | {', '.join(f'`{value}`' for value in values)} |")
    lines.append(f"| required outcome | {' or '.join(f'`{word}`' for word in case.expect)} |")
    if case.also:
        lines.append(f"| tolerated outcome | {' or '.join(f'`{word}`' for word in case.also)} |")
    if case.tags:
        lines.append(f"| tags | {', '.join(case.tags)} |")
    lines += ["", "## Requirements", ""]
    for identifier in case.reqs:
        lines.append(f"- **{identifier}** {requirements.sentence(identifier)}".rstrip())
    lines += ["", "## Ask it alone", "", "```", f"goipc-conformance run '{case.id}' -- CMD", "```", ""]
    return lines


def index() -> list[str]:
    lines = ["# Cases", "", "Written by `./dev docs`; one page each.", ""]
    for area, name in AREAS.items():
        cases = [case for case in REGISTRY.values() if case.area == area]
        if not cases:
            continue
        lines += [f"## {area}: {name}", "", "| case | asked of | level | title |", "|--|--|--|--|"]
        lines += [
            f"| [{case.id}]({case.id}.md) | {', '.join(case.roles)} | {case.level.upper()} | {case.title} |"
            for case in cases
        ]
        lines.append("")
    return lines


def pages() -> dict[str, str]:
    result = {f"{case.id}.md": "\n".join(explain(case)) for case in REGISTRY.values()}
    result["README.md"] = "\n".join(index())
    return result


def write_all(target: Path) -> int:
    target.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for name, text in wanted.items():
        (target / name).write_text(text, encoding="utf-8")
    for old in target.glob("*.md"):
        if old.name not in wanted:
            old.unlink()
    return len(wanted)

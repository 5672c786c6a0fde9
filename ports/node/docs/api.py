# SPDX-License-Identifier: MIT
"""Renders the manual of the package, src/index.d.ts, as a page: build/docs/node.html. Part of ./dev docs."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "ports/node/src/index.d.ts"
OUTPUT = ROOT / "build/docs/node.html"
PART = re.compile(
    r"^(?P<indent> *)(?:/\*\*(?P<comment>.*?)\*/\s*)?(?P<code>(?:export )?(?:readonly )?[\[\w$][^\n]*?(?:\n(?P=indent) +[^\n]*?)*?)"
    r"(?=;$|\s*\{$)",
    re.MULTILINE | re.DOTALL,
)
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{background:#f4f4f4;padding:.5em}"
)


def text_of(comment: str) -> str:
    """The Markdown of a comment; what @param and @returns say becomes a list."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in comment.strip().splitlines()]
    text = "\n".join(line.strip() if not line.startswith("  ") else f"  {line.strip()}" for line in lines)
    text = re.sub(r"^@param (\w+) ", r"- `\1`: ", text, flags=re.MULTILINE)
    return re.sub(r"^@returns ", "- returns: ", text, flags=re.MULTILINE)


def page(source: str) -> str:
    """One section for each exported declaration, with one for each member that a comment describes."""
    parts = ["# goipc for Node", "Generated from `src/index.d.ts`. The README beside it starts with a program."]
    owner = ""
    for found in PART.finditer(source):
        code, comment = " ".join(found["code"].split()), found["comment"] or ""
        if code.startswith(("import ", "protected ")):
            continue
        name = re.sub(r"^(export |readonly |type |interface |class |function )+", "", code)
        name = re.match(r"\[?[\w.$]+\]?", name)[0]
        if not found["indent"]:
            owner = name
            parts.append(f"## {name}")
        elif comment:
            parts.append(f"### {owner}: {name}")
        else:
            continue
        parts += [f"```ts\n{code}\n```", text_of(comment)]
    return "\n\n".join(parts)


def main() -> int:
    body = MarkdownIt().render(page(SOURCE.read_text(encoding="utf-8")))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape("goipc for Node")}</title>'
    OUTPUT.write_text(f"{head}<style>{STYLE}</style>\n{body}</html>\n", encoding="utf-8")
    print(OUTPUT.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())

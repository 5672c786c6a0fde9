# SPDX-License-Identifier: MIT
"""Renders the specification: build/docs/goipc.html, deviations.html and goipc.txt.

usage: render.py [--output DIRECTORY] [--paint FILE ...]

The HTML editions are one file each and load nothing. The text edition has lines of at most 72
columns, in the manner of an RFC.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
import tomllib
from html import escape
from pathlib import Path

import diagrams
import results
import specdoc
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markdown_it.token import Token

OUTPUT = specdoc.ROOT / "build" / "docs"
TEMPLATES = Path(__file__).parent / "templates"
COLUMNS = 72
INDENT = "   "
DIAGRAM = re.compile(r"<!-- diagram: (\w+) -->")
COMMENT = re.compile(r"^<!--.*?-->\n?", re.MULTILINE)
TAG = re.compile(r"(<[^>]+>)")


def slug(heading: str) -> str:
    """The anchor of a heading: its number where it has one, else its words."""
    number = re.match(r"(?:Appendix )?([0-9A-E][0-9.]*?)\.? ", heading)
    if number:
        return "section-" + number.group(1).rstrip(".").lower()
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def body_of(path: Path) -> tuple[dict[str, str], str]:
    """Front matter, where there is one, and the text after it."""
    text = path.read_text(encoding="utf-8")
    meta = {}
    if text.startswith("---\n"):
        head, text = text[4:].split("\n---\n", 1)
        meta = dict(line.split(": ", 1) for line in head.split("\n"))
    return meta, text


# --- HTML ----------------------------------------------------------------------------------------


def link_names(html: str, names: set[str], anchors: set[str], page: str = "") -> str:
    """Makes identifiers and section numbers in the text into links, outside tags, code and links."""
    out, depth = [], 0
    for part in TAG.split(html):
        if part.startswith("<"):
            if re.match(r"<(a|pre|h[1-6]|svg)\b", part):
                depth += 1
            elif re.match(r"</(a|pre|h[1-6]|svg)\b", part):
                depth -= 1
        elif depth == 0:
            part = specdoc.ID.sub(lambda m: f'<a href="{page}#{m[0]}">{m[0]}</a>' if m[0] in names else m[0], part)
            part = re.sub(
                r"(Section|Appendix) ([0-9A-E]+(?:\.[0-9]+)*)",
                lambda m: (
                    f'<a href="{page}#section-{m[2].lower()}">{m[0]}</a>'
                    if f"section-{m[2].lower()}" in anchors
                    else m[0]
                ),
                part,
            )
        out.append(part)
    return "".join(out)


def chip(verdicts: dict[str, str] | None) -> str:
    """What a run of the suite said about a requirement, as a coloured word behind its brackets."""
    shown = results.summary(verdicts) or "no case"
    kind = "good" if shown == "pass" else "bad-text" if results.has_failed(verdicts) else ""
    cases = f' title="{escape(", ".join(sorted(verdicts)))}"' if verdicts else ""
    return f'<span class="chip {kind}"{cases}>{shown}</span>'


def dress_requirements(html: str, painted: dict[str, dict[str, str]] | None) -> str:
    """Gives each requirement its frame, its own link, its key word's colour and, painted, its verdict."""
    pattern = re.compile(r'<p><a id="([^"]+)"></a><strong>\[[^\]]+\]</strong> \(([^)]*)\)(.*?)</p>', re.DOTALL)

    def dress(match: re.Match) -> str:
        name, brackets, text = match.groups()
        keyword = specdoc.KEYWORD.search(text).group(0)
        text = text.replace(keyword, f'<span class="kw">{keyword}</span>', 1)
        meta = brackets.split(": ")[0].replace(";", " ·")
        return (
            f'<p class="req {keyword.split()[0].lower()}" id="{name}">'
            f'<a class="rid" href="#{name}">{name}</a> <span class="meta">{meta}</span>'
            f"{chip(painted.get(name)) if painted is not None else ''}{text}</p>"
        )

    return pattern.sub(dress, html)


def contents_of(tokens: list[Token]) -> tuple[str, set[str]]:
    items, anchors = [], set()
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag in ("h2", "h3"):
            heading = tokens[index + 1].content
            token.attrSet("id", slug(heading))
            anchors.add(slug(heading))
            items.append((token.tag, slug(heading), heading))
    html, inside = "<ol>", False
    for tag, anchor, heading in items:
        link = f'<a href="#{anchor}">{escape(heading)}</a>'
        if tag == "h2":
            html += ("</ol></li>" if inside else "") + f"<li>{link}<ol>"
            inside = True
        else:
            html += f"<li>{link}</li>"
    return html + ("</ol></li>" if inside else "") + "</ol>", anchors


def to_html(path: Path, names: set[str], painted: dict[str, dict[str, str]] | None = None, by: str = "") -> str:
    """A page; painted, with the verdicts of a run of the suite behind each requirement."""
    meta, text = body_of(path)
    if path.name == "deviations.md":
        text += "\n" + observed()
    lines = text.split("\n")

    def draw(match: re.Match) -> str:
        return diagrams.DIAGRAMS[match.group(1)](lines) + "\n"

    # The ladder stands in the source as text; here its picture takes the place.
    text = re.sub(r"(<!-- diagram: ladder -->)\n```text\n.*?\n```\n", r"\1\n\n", text, flags=re.DOTALL)
    text = DIAGRAM.sub(draw, text)
    text = COMMENT.sub("", text)
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = markdown.parse(text)
    contents, anchors = contents_of(tokens)
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    html = html.replace("<ol></ol>", "")
    html = dress_requirements(html, painted)
    page = "" if path == specdoc.SOURCE else "goipc.html"
    html = link_names(html, names, anchors if not page else set(), page)
    html = html.replace('href="goipc.md"', 'href="goipc.html"')
    title = re.search(r"<h1>(.*?)</h1>", html).group(1)
    if meta:
        about = f"Edition {meta['edition']} · {meta['status']} · {meta['date']} · {meta['editor']}"
        about += f" · with the verdicts of {by}" if by else ""
        html = html.replace("</h1>", f'</h1>\n<p class="about">{escape(about)}</p>', 1)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=False, keep_trailing_newline=True)
    template = environment.get_template("page.html.j2")
    return template.render(title=title, contents=contents.replace("<ol></ol>", ""), body=html)


def observed() -> str:
    """What the suite's expectation files record of each implementation, as Markdown, by reason."""
    out = []
    for path in sorted((specdoc.ROOT / "conformance" / "expectations").glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        reasons: dict[str, dict[str, set[str]]] = {}
        for entry in content.get("entry", []):
            case = entry["case"].split("[")[0]
            group = reasons.setdefault(entry["reason"], {"role": set(), "outcome": set(), "case": set()})
            group["role"].add(entry.get("role", ""))
            group["outcome"] |= set(entry["outcome"])
            group["case"].add(case)
        if not reasons:
            continue
        about = content["implementation"]
        out += [
            f"### {about['name']} {about['version']}",
            "",
            "| what happens | role | outcome | cases |",
            "|---|---|---|---|",
        ]
        for reason, group in sorted(reasons.items(), key=lambda item: sorted(item[1]["case"])):
            cells = [reason, ", ".join(sorted(group["role"])), ", ".join(sorted(group["outcome"]))]
            cells.append(", ".join(f"`{case}`" for case in sorted(group["case"])))
            out.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        out.append("")
    if not out:
        return ""
    head = [
        "## Observed by the conformance suite",
        "",
        "Taken from the suite's expectation files, which every run of the suite checks.",
        "",
    ]
    return "\n".join(head + out) + "\n"


# --- text ----------------------------------------------------------------------------------------


def plain(token: Token) -> str:
    """The words of an inline token, without marks."""
    out = ""
    for child in token.children or []:
        if child.type in ("text", "code_inline"):
            out += child.content
        elif child.type in ("softbreak", "hardbreak"):
            out += " "
    return out


def wrap(text: str, first: str = INDENT, rest: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def text_table(rows: list[list[str]]) -> list[str]:
    """A table in columns; cells wrap when the natural widths do not fit."""
    count = len(rows[0])
    room = COLUMNS - len(INDENT) - 2 * (count - 1)
    widths = [max(len(row[i]) for row in rows) for i in range(count)]
    least = [max(len(word) for row in rows for word in (row[i].split() or [""])) for i in range(count)]
    while sum(widths) > room:
        slack = [width - low for width, low in zip(widths, least, strict=True)]
        widest = max(range(count), key=lambda i: (slack[i] > 0, widths[i]))
        if slack[widest] <= 0:
            break
        widths[widest] -= 1
    lines = []
    for index, row in enumerate(rows):
        cells = [
            textwrap.wrap(cell, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]
            for cell, width in zip(row, widths, strict=True)
        ]
        for i in range(max(map(len, cells))):
            parts = [(cell[i] if i < len(cell) else "").ljust(width) for cell, width in zip(cells, widths, strict=True)]
            lines.append((INDENT + "  ".join(parts)).rstrip())
        if index == 0:
            lines.append(INDENT + "  ".join("-" * width for width in widths))
    return lines


class TextWriter:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, lines: list[str]) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")
        self.lines += lines

    def write(self, tokens: list[Token]) -> None:
        at, quote, bullets = 0, 0, 0
        while at < len(tokens):
            token = tokens[at]
            if token.type == "heading_open":
                if token.tag != "h1":
                    self.put(["", plain(tokens[at + 1])] if token.tag == "h2" else [plain(tokens[at + 1])])
            elif token.type in ("blockquote_open", "blockquote_close"):
                quote += 1 if token.nesting == 1 else -1
            elif token.type in ("bullet_list_open", "bullet_list_close"):
                bullets += token.nesting
            elif token.type == "paragraph_open":
                words = plain(tokens[at + 1])
                if quote:
                    self.put(wrap(words, INDENT + "|  "))
                elif bullets:
                    self.put(wrap(words, INDENT + "o  ", INDENT + "   "))
                else:
                    self.put(wrap(words))
            elif token.type == "fence":
                block = token.content.rstrip("\n").split("\n")
                room = min(len(INDENT), COLUMNS - max(map(len, block)))
                self.put([(" " * max(room, 0) + line).rstrip() for line in block])
            elif token.type == "table_open":
                at = self.table(tokens, at)
            at += 1

    def table(self, tokens: list[Token], at: int) -> int:
        rows: list[list[str]] = []
        while tokens[at].type != "table_close":
            if tokens[at].type == "tr_open":
                rows.append([])
            elif tokens[at].type == "inline":
                rows[-1].append(plain(tokens[at]))
            at += 1
        self.put(text_table(rows))
        return at


def to_text(path: Path) -> str:
    meta, text = body_of(path)
    text = COMMENT.sub("", text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    headings = [
        (token.tag, plain(tokens[index + 1]))
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag in ("h2", "h3")
    ]
    left, right = meta["editor"].capitalize(), meta["date"]
    lines = [
        left + right.rjust(COLUMNS - len(left)),
        f"Edition {meta['edition']}, {meta['status']}",
        "",
        "",
        meta["title"].center(COLUMNS).rstrip(),
        "",
        "",
        "Table of Contents",
        "",
    ]
    for tag, heading in headings:
        lines += wrap(heading, INDENT * (1 if tag == "h2" else 2), INDENT * 3)
    writer = TextWriter()
    writer.lines = lines
    writer.write(tokens)
    return "\n".join(writer.lines) + "\n"


def render(output: Path) -> list[Path]:
    output.mkdir(parents=True, exist_ok=True)
    names = {requirement.id for requirement in specdoc.read().requirements}
    written = []
    for name in ("goipc", "deviations"):
        path = output / f"{name}.html"
        path.write_text(to_html(specdoc.SPEC_DIR / f"{name}.md", names), encoding="utf-8")
        written.append(path)
    path = output / "goipc.txt"
    path.write_text(to_text(specdoc.SOURCE), encoding="utf-8")
    return [*written, path]


def paint(output: Path, files: list[Path]) -> list[Path]:
    """One more edition per implementation, each requirement with its verdicts in those results."""
    names = {requirement.id for requirement in specdoc.read().requirements}
    written = []
    for name, verdicts in sorted(results.verdicts_of(files).items()):
        path = output / f"goipc-{slug(name)}-verdicts.html"
        path.write_text(to_html(specdoc.SOURCE, names, verdicts, name), encoding="utf-8")
        written.append(path)
    if not written:
        raise SystemExit(f"no results of the suite in {', '.join(map(str, files))}")
    return written


def main() -> int:
    parser = argparse.ArgumentParser(description="render the specification")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: build/docs")
    parser.add_argument("--paint", type=Path, nargs="+", metavar="FILE", help="also with the verdicts of result files")
    arguments = parser.parse_args()
    written = render(arguments.output)
    if arguments.paint:
        written += paint(arguments.output, arguments.paint)
    for path in written:
        shown = path.relative_to(specdoc.ROOT) if path.is_relative_to(specdoc.ROOT) else path
        print(f"{shown}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

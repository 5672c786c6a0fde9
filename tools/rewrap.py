# SPDX-License-Identifier: MIT
"""Moves words of C comments that are too wide to the next line, and leaves everything else alone.

clang-format would rewrap whole paragraphs and with them tables and lists. Here a line gives only
what does not fit, to the line that continues it, at that line's own indentation.
"""

from __future__ import annotations

import re

WIDTH = 100
# ` * text`, `/* text`: what stands before the text of a comment line.
LEAD = re.compile(r"^(\s*(?:/\*|\*)?\s*)(?=\S)")
ITEM = re.compile(r"^\s*(?:/\*|\*)\s+(?:[-*]|\d+[.)])\s")
ROW = re.compile(r"^\s*\*\s+\S+ {2,}\S")
RULE = re.compile(r" -{5,} \*/$")


def comment_lines(lines: list[str]) -> list[bool]:
    """Which lines hold nothing but comment; annotations of Frama-C are code."""
    inside = False
    annotation = False
    found = []
    for line in lines:
        text = line.strip()
        starts = text.startswith("/*")
        pure = inside or starts
        annotation = text.startswith("/*@") or (inside and annotation)
        if inside or starts:
            end = text.find("*/", 0 if inside else 2)
            inside = end < 0
            pure = pure and (end < 0 or end == len(text) - 2)
        found.append(pure and bool(text) and not annotation)
    return found


def lead_of(line: str) -> str:
    match = LEAD.match(line)
    return match.group(1) if match else ""


def text_column(line: str) -> int:
    """Where the text of the line begins that continues this one: behind a mark, under a second column."""
    match = re.match(r"^\s*(?:/\*|\*)?\s*(?:[-*]\s+|\d+[.)]\s+|\S+ {2,})?", line)
    return match.end() if match else 0


def continuation_lead(line: str) -> str:
    """The beginning of a new line that continues `line`."""
    indent = len(line) - len(line.lstrip())
    star = indent + 1 if line.lstrip().startswith("/*") else indent
    return " " * star + "*" + " " * (max(text_column(line), star + 2) - star - 1)


def continues(line: str, following: str) -> bool:
    text = following.strip()
    if not text or text in ("*", "*/") or text.startswith("/*") or ITEM.match(following):
        return False
    if ROW.match(following):
        return False
    # Below a table or a list, only what stands under its text belongs to it.
    return len(lead_of(following)) == text_column(line)


def rewrap(text: str, width: int = WIDTH) -> str:
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        pure = comment_lines(lines)
        if not pure[number] or len(lines[number]) <= width or "://" in lines[number]:
            number += 1
            continue
        line = lines[number]
        if RULE.search(line):
            lines[number] = RULE.sub(" ", line).ljust(width - 3, "-") + " */"
            number += 1
            continue
        closes = line.rstrip().endswith("*/")
        body = line.rstrip().removesuffix("*/").rstrip() if closes else line
        at = body.rfind(" ", 0, width + 1)
        if at <= text_column(line) or body[:at].strip() in ("/*", "*"):
            # One word, or only the end mark is too wide: take the last word along with it.
            at = body.rfind(" ")
        if len(body) <= width:
            at = body.rfind(" ")
        rest = body[at + 1 :]
        lines[number] = body[:at].rstrip()
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if not closes and number + 1 < len(lines) and pure[number + 1] and continues(line, following):
            lead = lead_of(following)
            lines[number + 1] = f"{lead}{rest} {following[len(lead) :]}"
        else:
            lines.insert(number + 1, continuation_lead(line) + rest + (" */" if closes else ""))
        number += 1
    return "\n".join(lines)

# SPDX-License-Identifier: MIT
"""Reads spec/goipc.md: its front matter, sections and requirements.

Every other tool of the specification goes through this module, so that there is one idea of what
a requirement is. A requirement is a paragraph of the form

    <a id="HS-012"></a>**[HS-012]** (client; wire) A client ... MUST ...

that ends at the next blank line. The words in brackets are the roles (client, server, both,
codec), the way it is tested (wire, control, hook, `review: reason` or `none: reason`), and optionally
`since 1.1` or `withdrawn 1.2: reason`.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from tally import Tally as Tally  # noqa: E402

SPEC_DIR = Path(__file__).resolve().parent.parent
ROOT = SPEC_DIR.parent
SOURCE = SPEC_DIR / "goipc.md"

AREAS = ("EP", "HS", "KD", "SE", "FR", "MT", "LM", "CN", "CL", "ER", "VR", "SC", "IM")
ROLES = {"client": ["client"], "server": ["server"], "both": ["client", "server"]}
TESTS = ("wire", "control", "hook", "review", "none")
# Longest first, so that MUST NOT is not read as MUST.
KEYWORDS = ("MUST NOT", "SHOULD NOT", "MUST", "SHOULD", "MAY")
KEYWORD = re.compile(r"\b(MUST NOT|SHOULD NOT|MUST|SHOULD|MAY)\b")
OTHER_KEYWORDS = re.compile(r"\b(REQUIRED|SHALL(?: NOT)?|(?:NOT )?RECOMMENDED|OPTIONAL)\b")
HEAD = re.compile(r'^<a id="([^"]+)"></a>\*\*\[([^\]]+)\]\*\* \(([^)]*)\) (.*)$')
ID = re.compile(rf"\b(?:{'|'.join(AREAS)})-\d{{3}}\b")
HEADING = re.compile(r"^(#{1,4}) (.+)$")


class SpecError(Exception):
    """The source breaks a rule of its own form."""


@dataclass
class Requirement:
    id: str
    keyword: str
    roles: list[str]
    test: str
    reason: str
    since: str
    status: str
    text: str
    section: str
    line: int

    @property
    def level(self) -> str:
        return self.keyword.split()[0]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def pin(self) -> str:
        return f"{self.id}@{self.sha256[:8]}"


@dataclass
class Document:
    meta: dict[str, str]
    lines: list[str]
    requirements: list[Requirement] = field(default_factory=list)


def normalise(text: str) -> str:
    """The form that is hashed: NFC, one space between words, no Markdown emphasis or code marks."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text)
    return " ".join(text.split())


def read(path: Path = SOURCE) -> Document:
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[0] != "---":
        raise SpecError(f"{path.name}: no front matter")
    end = lines.index("---", 1)
    meta = dict(line.split(": ", 1) for line in lines[1:end])
    document = Document(meta, lines)
    section = ""
    fenced = False
    for index, line in enumerate(lines[end + 1 :], start=end + 1):
        if line.startswith("```"):
            fenced = not fenced
        if fenced:
            continue
        heading = HEADING.match(line)
        if heading:
            section = heading.group(2)
        if line.startswith('<a id="'):
            document.requirements.append(_requirement(lines, index, section))
    return document


def _requirement(lines: list[str], index: int, section: str) -> Requirement:
    where = f"goipc.md:{index + 1}"
    paragraph = []
    for line in lines[index:]:
        if not line.strip():
            break
        paragraph.append(line)
    match = HEAD.match(" ".join(paragraph))
    if not match:
        raise SpecError(f"{where}: not in the form of a requirement")
    anchor, name, brackets, text = match.groups()
    if anchor != name or not ID.fullmatch(name):
        raise SpecError(f"{where}: anchor {anchor} and identifier {name}")
    role, test, reason, since, status = _brackets(brackets, where)
    keywords = KEYWORD.findall(text)
    if len(keywords) != 1 or OTHER_KEYWORDS.search(text):
        raise SpecError(f"{where}: {name} has {len(keywords)} key words, not one")
    return Requirement(name, keywords[0], ROLES[role], test, reason, since, status, normalise(text), section, index + 1)


def _brackets(brackets: str, where: str) -> tuple[str, str, str, str, str]:
    parts = [part.strip() for part in brackets.split(";")]
    if len(parts) < 2 or parts[0] not in ROLES:
        raise SpecError(f"{where}: roles and test expected, found ({brackets})")
    test, _, reason = parts[1].partition(": ")
    if test not in TESTS or (test in ("review", "none")) != bool(reason):
        raise SpecError(f"{where}: test {parts[1]!r}")
    since, status = "1.0", "active"
    for part in parts[2:]:
        if part.startswith("since "):
            since = part.removeprefix("since ")
        elif part.startswith("withdrawn "):
            status = part
        else:
            raise SpecError(f"{where}: {part!r} not understood")
    return parts[0], test, reason, since, status

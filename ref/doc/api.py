# SPDX-License-Identifier: MIT
"""Renders the manual of the library from its header: build/docs/api/index.html, with Doxygen.

    api.py [--check] [--output FOLDER]

The comments of goipc.h are prose with three conventions, which are expanded here for Doxygen:

- what precedes a declaration or follows it on its line describes it;
- `Errors: NAME (when), NAME, those of FUNCTION.` at the end of a comment lists what a function returns;
- parameters that mean the same everywhere are described once, under PARAMETERS in the first comment;
  others are named between backquotes in the comment of their function.

With --check it only looks: an exported function, parameter, type, member, value or macro without a
description, a function that returns goipc_error without its errors, an error that there is none of, and
every warning of Doxygen is a failure; goipc(3) has to name every exported function and no other.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from tally import Tally  # noqa: E402

HEADER = ROOT / "ref" / "include" / "goipc.h"
PAGE = ROOT / "ref" / "doc" / "goipc.3"
COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
BANNER = re.compile(r"\s*-{20,}\n")
FUNCTION = re.compile(r"GOIPC_API\s+(GOIPC_MUST_USE\s+)?([\w\s*]+?)\b(goipc_\w+)\(([^;]*?)\);", re.DOTALL)
ERROR_ROW = re.compile(r'\bX\((\w+), (\d+), "((?:[^"\\]|\\.)*)"\)')
ERRORS = re.compile(r"Errors: (.*?)\.\s*$", re.DOTALL)
# What a list of errors may say beside names.
PHRASES = ("the sticky one", "the PEER error that ended the connection")
CONFIGURATION = """
PROJECT_NAME = goipc
PROJECT_BRIEF = "the protocol of golang-ipc in C"
PROJECT_NUMBER = {version}
OUTPUT_DIRECTORY = {output}
HTML_OUTPUT = .
INPUT = {source}
FULL_PATH_NAMES = NO
OPTIMIZE_OUTPUT_FOR_C = YES
EXTRACT_ALL = NO
TYPEDEF_HIDES_STRUCT = YES
SORT_MEMBER_DOCS = NO
SHOW_FILES = NO
HTML_TIMESTAMP = NO
SEARCHENGINE = NO
GENERATE_LATEX = NO
MAX_INITIALIZER_LINES = 1
HAVE_DOT = NO
QUIET = YES
WARN_IF_UNDOCUMENTED = YES
WARN_NO_PARAMDOC = YES
WARN_LOGFILE = {log}
"""


@dataclass
class Function:
    name: str
    returns: str
    parameters: list[str]
    text: str  # of its comment
    errors: list[tuple[str, str]] = field(default_factory=list)  # (name or phrase, when)


def text_of(comment: str) -> str:
    """The words of a comment, without stars and indentation; paragraphs stay apart."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in comment.split("\n")]
    return "\n".join(line.rstrip() for line in lines).strip()


def split_items(text: str) -> list[str]:
    """At commas outside parentheses."""
    items, depth = [""], 0
    for char in " ".join(text.split()):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            items.append("")
        else:
            items[-1] += char
    return [item.strip() for item in items]


def sentence(text: str) -> str:
    """With a capital, unless it begins with a name of the code."""
    first = text.split(" ")[0]
    return (text if "_" in first else text[:1].upper() + text[1:]) + "."


class Header:
    """What the header says of itself."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[str] = []
        self.errors = {name: text for name, _, text in ERROR_ROW.findall(source)}
        self.version = ".".join(re.findall(r"#define GOIPC_VERSION_\w+ (\d+)", source))
        self.parameters = self._parameters()
        self.functions = self._functions()
        for function in self.functions.values():
            self._resolve(function, [])

    def _parameters(self) -> dict[str, str]:
        block = re.search(r"PARAMETERS that mean the same in every function\n(.*?)\*/", self.source, re.DOTALL)
        found: dict[str, str] = {}
        last = ""
        for line in text_of(block.group(1)).split("\n") if block else []:
            match = re.match(r"(\w+) {2,}(.*)", line)
            if match:
                last = match.group(1)
                found[last] = match.group(2)
            elif last:
                found[last] += " " + line.strip()
        return found

    def _functions(self) -> dict[str, Function]:
        found = {}
        for match in FUNCTION.finditer(self.source):
            _, returns, name, inside = match.groups()
            before = self.source[: match.start()].rstrip("\n")
            comment = before[before.rindex("/*") + 2 : -2] if before.endswith("*/") else ""
            if BANNER.match(comment):
                comment = ""
            inside = " ".join(COMMENT.sub("", inside).split())
            names = [re.sub(r"\[\d*\]$", "", part).split()[-1].lstrip("*") for part in inside.split(",")]
            found[name] = Function(name, " ".join(returns.split()), [n for n in names if n != "void"], text_of(comment))
        return found

    def _resolve(self, function: Function, asked: list[str]) -> None:
        """Reads the list of errors, and puts those of other functions in."""
        match = ERRORS.search(function.text)
        if function.errors or not match or function.name in asked:
            return
        own: dict[str, str] = {}
        for item in split_items(match.group(1)):
            named = re.fullmatch(r"([A-Z][A-Z0-9_]*)(?: \((.*)\))?", item)
            other = re.fullmatch(r"those of (goipc_\w+)", item)
            if named and named.group(1) in self.errors:
                own[named.group(1)] = named.group(2) or ""
            elif other and other.group(1) in self.functions:
                source = self.functions[other.group(1)]
                self._resolve(source, [*asked, function.name])
                own = {**dict(source.errors), **own}
            elif item in PHRASES:
                own[item] = ""
            else:
                self.problems.append(f"{function.name}: `{item}` is no error, function or known phrase")
        function.errors = list(own.items())

    def judge(self, tally: Tally) -> None:
        for problem in self.problems:
            tally.fail("api.errors", problem)
        used: set[str] = set()
        for function in self.functions.values():
            name = function.name
            tally.check(bool(function.text), f"api.{name}", "no description")
            fallible = function.returns == "goipc_error" and not name.endswith("_error")
            tally.check(bool(function.errors) == fallible, f"api.{name}", "its list of errors, and whether it can fail")
            for parameter in function.parameters:
                known = parameter in self.parameters or f"`{parameter}`" in function.text
                tally.check(known, f"api.{name}", f"nothing says what `{parameter}` is")
                used.add(parameter)
        for parameter in sorted(set(self.parameters) - used):
            tally.fail("api.parameters", f"no function has `{parameter}`")

    def described(self, name: str) -> str:
        """The comment of a function for Doxygen."""
        function = self.functions[name]
        out = [ERRORS.sub("", function.text).strip(), ""]
        for parameter in function.parameters:
            out.append(f"\\param {parameter} {self.parameters.get(parameter, 'See above.')}")
        if function.returns == "goipc_error" and function.errors:
            out.append("\\retval GOIPC_ERROR_OK It is done.")
            others = []
            for error, when in function.errors:
                text = when or self.errors.get(error, "")
                if error in self.errors:
                    out.append(f"\\retval GOIPC_ERROR_{error} {sentence(text)}")
                else:
                    others.append(error)
            out += [f"\\return Or {error}." for error in others]
        elif function.returns not in ("void", "goipc_error"):
            out.append("\\return What is said above.")
        elif function.returns == "goipc_error":
            out.append("\\return The error, or GOIPC_ERROR_OK.")
        return "\n".join(out)

    def for_doxygen(self) -> str:
        """The header as Doxygen wants it: groups, /** and \\param, and the X-macro written out."""
        source = self.source
        enum = "\n".join(
            f"    GOIPC_ERROR_{name} = {value}, /**< {sentence(text)} */"
            for name, value, text in ERROR_ROW.findall(source)
        )
        source = re.sub(r"/\* One list, so that.*?\n\n", "", source, flags=re.DOTALL)
        source = re.sub(r"#define GOIPC_ERROR_ENUM.*?#undef GOIPC_ERROR_ENUM", lambda _: enum, source, flags=re.DOTALL)
        source = re.sub(r"^#if.*?^#endif$", "", source, flags=re.DOTALL | re.MULTILINE)
        source = source.replace("#ifndef GOIPC_H\n#define GOIPC_H\n", "").rstrip().removesuffix("#endif")
        for name in self.functions:
            pattern = rf"(?:/\*(?:[^*]|\*(?!/))*\*/\n)?GOIPC_API\s+(?:GOIPC_MUST_USE\s+)?([\w\s*]+?\b{name}\()"
            text = self.described(name)
            source = re.sub(pattern, lambda m, text=text: f"/** {text} */\n{m.group(1)}", source, count=1)
        out, at, groups = [], 0, 0
        for match in COMMENT.finditer(source):
            out.append(source[at : match.start()])
            at = match.end()
            comment = match.group(1)
            line = source[source.rfind("\n", 0, match.start()) + 1 : match.start()]
            if comment.startswith("*"):
                out.append(match.group(0))
            elif "goipc: the protocol of golang-ipc" in comment:
                out.append(f"/** \\mainpage goipc\n\\verbatim\n{text_of(comment)}\n\\endverbatim */\n/** \\file */")
            elif BANNER.match(comment):
                number, title, text = re.match(
                    r"(\d) ([^\n]*)\n?(.*)", text_of(BANNER.sub("\n", comment)), re.DOTALL
                ).groups()
                out.append("/** @} */\n" if groups else "")
                out.append(f"/** \\defgroup section{number} {number} {title}\n{text.strip()}\n@{{ */")
                groups += 1
            elif "SPDX" in comment or re.fullmatch(r" --- \w+ --- ", comment):
                pass
            elif line.strip():
                out.append(f"/**< {text_of(comment)} */")
            else:
                out.append(f"/** {text_of(comment)} */")
        out.append(source[at:])
        return "".join(out) + ("\n/** @} */\n" if groups else "")


def judge_page(tally: Tally, functions: set[str]) -> None:
    page = PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    named = set(re.findall(r"goipc_\w+", page))
    kinds = set(re.findall(r"\bgoipc_\w+", HEADER.read_text(encoding="utf-8")))
    for name in sorted(functions):
        tally.check(name in named, f"goipc.3 {name}", "the page does not name it")
    for name in sorted(named - kinds):
        tally.fail(f"goipc.3 {name}", "the header has no such thing")


def render(header: Header, output: Path, doxygen: str) -> list[str]:
    """Writes the pages; the warnings of Doxygen."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source, log = Path(folder) / "goipc.h", Path(folder) / "warnings"
        source.write_text(header.for_doxygen(), encoding="utf-8")
        configuration = CONFIGURATION.format(version=header.version, output=output, source=source, log=log)
        subprocess.run([doxygen, "-"], input=configuration, text=True, check=True, stdout=subprocess.DEVNULL)
        warnings = log.read_text(encoding="utf-8") if log.exists() else ""
    return [line.replace(folder + "/", "") for line in warnings.split("\n") if line.strip()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail if something is missing")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "docs" / "api")
    arguments = parser.parse_args()
    tally = Tally()
    header = Header(HEADER.read_text(encoding="utf-8"))
    doxygen = shutil.which("doxygen")
    if doxygen is None:
        tally.skip("api.doxygen", "no doxygen on this machine")
    else:
        for warning in render(header, arguments.output, doxygen):
            tally.fail("api.doxygen", warning)
        pages = list(arguments.output.glob("group__section*.html"))
        tally.check(len(pages) >= 8, "api.doxygen", f"{len(pages)} sections were rendered")
    if not arguments.check:
        print(arguments.output / "index.html" if doxygen else "no doxygen: the manual of the library is not rendered")
        return 1 if tally.failed else 0
    header.judge(tally)
    judge_page(tally, set(header.functions))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

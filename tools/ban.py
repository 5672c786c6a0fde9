# SPDX-License-Identifier: MIT
"""Looks for what the C sources of this project do not use, and why not.

An exception is a comment `/* ban: REASON */` on the same line or the line above.
Comments and literals are blanked first, so prose may name what code may not use.
"""

from __future__ import annotations

import dataclasses
import re
import sys

from tally import Tally, project_files, relative

EXCEPTION = re.compile(r"/\*.*\bban: \w[^*]{5,}")
TOKENS = re.compile(
    r"""(?P<comment>/\*.*?\*/) | (?P<line>//[^\n]*)
        | (?P<string>"(?:\\.|[^"\\\n])*") | (?P<char>'(?:\\.|[^'\\\n])*')""",
    re.DOTALL | re.VERBOSE,
)
# The library itself; programs and tests around it may use the plain allocator and public bytes.
LIBRARY = re.compile(r"ref/src/")
PRODUCT = re.compile(r"ref/(?:src|cli|include|example)/")
SECRETS = re.compile(r"ref/src/core/(crypto\w*|handshake|session|record)\.[ch]$")
ALLOCATION = re.compile(r"ref/src/core/(buffer|session)\.c$")


@dataclasses.dataclass(frozen=True)
class Rule:
    name: str
    pattern: re.Pattern[str]
    reason: str
    applies: re.Pattern[str] = re.compile("")
    spared: re.Pattern[str] | None = None
    excuse: re.Pattern[str] = EXCEPTION


def calls(names: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.>])(?:{names})\s*\(")


RULES = [
    Rule("unbounded", calls("strcpy|strcat|sprintf|vsprintf|gets|stpcpy"), "knows no bound"),
    Rule("scanf", calls("scanf|sscanf|fscanf|vsscanf"), "does not report a number out of range", PRODUCT),
    Rule("strncpy", calls("strncpy|strncat"), "does not end the string, or counts from the wrong end"),
    Rule("strtok", calls("strtok"), "keeps global state"),
    Rule("ato", calls("atoi|atol|atoll|atof"), "cannot report an error; use strtol and look at the end", PRODUCT),
    Rule("rand", calls("rand|srand|random|srandom|drand48|rand_r"), "is no source of secrets"),
    Rule("alloca", calls("alloca|__builtin_alloca|_alloca"), "a size chosen by a peer would move the stack"),
    Rule(
        "vla",
        re.compile(r"^\s+(?:u?int\w*|char|size_t)\s+\w+\[[a-z_]\w*\];", re.MULTILINE),
        "is an array of a size known late",
    ),
    Rule("temporary", calls("tmpnam|tempnam|mktemp"), "races with others; use mkstemp or mkdtemp"),
    Rule("shell", calls("system|popen"), "runs a shell", LIBRARY),
    Rule(
        "byte-order",
        calls("htonl|ntohl|htons|ntohs"),
        "decode from bytes with shifts",
        re.compile("ref/src/(?!platform/)"),
    ),
    Rule("packed", re.compile(r"__attribute__\s*\(\(\s*packed|#\s*pragma\s+pack"), "decode from bytes with shifts"),
    Rule(
        "memcmp",
        calls("memcmp"),
        "compares secrets in varying time; say so if the bytes are public",
        SECRETS,
        excuse=re.compile("public"),
    ),
    Rule(
        "memset",
        calls("bzero|explicit_bzero"),
        "use goipc_wipe, which is tested",
        LIBRARY,
        re.compile("crypto|/system"),
    ),
    Rule(
        "allocation",
        calls("malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign"),
        "goes past the caller's allocator",
        LIBRARY,
        ALLOCATION,
    ),
    Rule(
        "shared",
        calls("strerror|localtime|gmtime|ctime|asctime|getpwuid|getpwnam|setenv"),
        "is not safe in threads",
        LIBRARY,
    ),
    Rule("exit", calls("exit|_exit|abort|quick_exit"), "a library does not end its host", LIBRARY),
    Rule("print", calls("printf|puts|putchar|perror"), "a library does not write to its host's output", LIBRARY),
    Rule(
        "sleep",
        calls("sleep|usleep|nanosleep"),
        "waits for time to pass instead of for what it needs",
        re.compile("(?!ref/bench/)"),
    ),
    Rule("goto", re.compile(r"\bgoto\s+(?!done\b|fail\b)\w+"), "only the labels done and fail, forward"),
    Rule("typedef", re.compile(r"\btypedef\s+[^;({]*\*\s*\w+\s*;"), "hides a pointer"),
]


def blank(match: re.Match[str]) -> str:
    text = match.group()
    if match.lastgroup == "line":
        return text  # reported separately, and left visible
    return re.sub(r"[^\n]", " ", text)


def code_only(text: str) -> str:
    """The text with comments and literals blanked; every line keeps its number."""
    return TOKENS.sub(blank, text)


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def excused(lines: list[str], number: int, excuse: re.Pattern[str] = EXCEPTION) -> bool:
    return any(excuse.search(lines[at]) for at in (number - 1, number - 2) if 0 <= at < len(lines))


def conditions_in_functions(code: str) -> list[int]:
    """Lines where the preprocessor decides inside a function body; platform differences are files."""
    found = []
    depth = 0
    for number, line in enumerate(code.splitlines(), start=1):
        stripped = line.lstrip()
        if re.match(r"#\s*if", stripped):
            if depth > 0:
                found.append(number)
            continue
        if stripped.startswith("#"):
            continue
        if stripped.startswith("extern") and stripped.rstrip().endswith("{"):
            continue  # extern "C": closed by the }; that the next test forgives
        depth = max(0, depth + line.count("{") - line.count("}"))
    return found


def findings(text: str, name: str) -> list[tuple[int, str]]:
    code = code_only(text)
    lines = text.splitlines()
    found = []
    for rule in RULES:
        if not rule.applies.match(name) or (rule.spared and rule.spared.search(name)):
            continue
        for match in rule.pattern.finditer(code):
            at = match.start() + len(match.group()) - len(match.group().lstrip())
            number = line_of(code, at)
            if not excused(lines, number, rule.excuse):
                found.append((number, f"{rule.name}: {match.group().strip().rstrip('(').strip()} {rule.reason}"))
    for match in TOKENS.finditer(text):
        if match.lastgroup == "line":
            found.append((line_of(text, match.start()), "comment: // is not used here, write /* */"))
    for number in conditions_in_functions(code) if PRODUCT.match(name) else []:
        found.append((number, "condition: #if inside a function; platform differences are separate files"))
    return sorted((number, what) for number, what in found if not excused(lines, number))


def main() -> int:
    tally = Tally()
    for path in project_files(("*.c", "*.h")):
        name = relative(path)
        found = findings(path.read_text(encoding="utf-8"), name)
        for number, what in found:
            print(f"{name}:{number}: {what}")
        tally.check(not found, name, f"{len(found)} findings")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

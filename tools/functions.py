# SPDX-License-Identifier: MIT
"""Finds functions of Python that are too long to be read at once.

usage: functions.py FILE ...
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

LINES_MAX = 59
# Tables of vectors and figures, each written out in the order of the document that it becomes.
EXCEPT = {"spec/tools/vectors.py", "spec/tools/header.py", "ref/bench/judge.py", "ref/bench/report.py"}


def too_long(text: str) -> Iterator[tuple[int, str, int]]:
    """(line, name, lines) of each function that is too long."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LINES_MAX:
                yield node.lineno, node.name, lines


def main(names: list[str]) -> int:
    found = [
        f"{name}:{line}: {function} has {lines} lines, {LINES_MAX} allowed"
        for name in names
        if name not in EXCEPT
        for line, function, lines in too_long(Path(name).read_text(encoding="utf-8"))
    ]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: MIT
"""Only what does not fit moves, and nothing else of the file changes."""

from __future__ import annotations

import pytest
from rewrap import rewrap

CASES = {
    "fits": ("/* short */\nint a;\n", "/* short */\nint a;\n"),
    "moves to the next line": (
        "/* one two three four five\n * six */\n",
        "/* one two three four\n * five six */\n",
    ),
    "takes the end mark along": ("/* one two three four */\nint a;\n", "/* one two three\n * four */\nint a;\n"),
    "keeps the column of a table": (
        " * NAME   one two three four\n *        five\n * NEXT   six\n",
        " * NAME   one two three\n *        four five\n * NEXT   six\n",
    ),
    "new line before the next row": (
        " * NAME   one two three four\n * NEXT   six\n",
        " * NAME   one two three\n *        four\n * NEXT   six\n",
    ),
    "list": (
        " * - one two three four five\n *   six\n * - seven\n",
        " * - one two three four\n *   five six\n * - seven\n",
    ),
    "rule": ("/* --- one ------------- */\n", "/* --- one --------- */\n"),
    "annotation": (
        "/*@ requires one two three four; */\nint a;\n",
        "/*@ requires one two three four; */\nint a;\n",
    ),
    "code is left alone": (
        "int a = one_long_name + another_long_name; /* x */\n",
        "int a = one_long_name + another_long_name; /* x */\n",
    ),
    "cascades": (
        " * aaaa bbbb cccc dddd eeee ffff\n * gggg hhhh iiii jjjj\n * kkkk\n",
        " * aaaa bbbb cccc dddd\n * eeee ffff gggg hhhh\n * iiii jjjj kkkk\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rewrap(case):
    before, after = CASES[case]
    opened = before.startswith(" *")
    frame = ("/*\n{}*/\n" if opened else "{}").format
    assert rewrap(frame(before), width=23) == frame(after)


@pytest.mark.parametrize("case", CASES)
def test_words_stay_and_twice_is_once(case):
    once = rewrap(CASES[case][0], width=23)
    assert rewrap(once, width=23) == once

    def words(text: str) -> list[str]:
        return [word for word in text.split() if word != "*" and not word.startswith("----")]

    assert words(once) == words(CASES[case][0])

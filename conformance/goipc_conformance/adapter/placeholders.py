# SPDX-License-Identifier: MIT
"""The placeholders of a level 0 command."""

import re

from .process import StartError, split_command

NAMES = ("name", "path", "encryption", "max")
_PATTERN = re.compile(r"\{\{|\}\}|\{(?P<word>[a-z]+)(?::(?P<text>[^{}]*))?\}")


def expand(command: str, *, name: str, path: str, encryption: str, maximum: int) -> list[str]:
    values = {"name": name, "path": path, "encryption": encryption, "max": str(maximum)}

    def replace(match: re.Match[str]) -> str:
        whole, word, text = match.group(0), match.group("word"), match.group("text")
        if whole in ("{{", "}}"):
            return whole[0]
        if text is not None and word in ("plain", "encrypted"):
            return text if (word == "plain") == (encryption == "off") else ""
        if text is None and word in values:
            return values[word]
        raise StartError(
            f"unknown placeholder {whole} in the command; known: {{name}} {{path}} {{encryption}} "
            "{max} {plain:TEXT} {encrypted:TEXT}"
        )

    words = []
    for word in split_command(command):
        expanded = _PATTERN.sub(replace, word)
        # A text with blanks inside a conditional placeholder is several words.
        if re.fullmatch(r"\{(plain|encrypted):[^{}]*\}", word):
            words += expanded.split()
        elif expanded or not word:
            words.append(expanded)
    return words


def mentions(command: str, name: str) -> bool:
    return f"{{{name}}}" in command

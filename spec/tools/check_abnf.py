# SPDX-License-Identifier: MIT
"""Loads the grammar of spec/goipc.md with an ABNF parser and runs it over the vectors.

The order of messages in every transcript must be a word of `connection` or `refused-session`, and
the bytes of every message must be a word of the rule that stands for it there. A transcript with
one message lost, doubled or on the wrong side must not be a word, so that the grammar is shown to
refuse. The prefixes `S:` and `C:` are this document's own: they become part of a rule's name.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

import abnf
import specdoc

DIRECTED = re.compile(r"\b([SC]):([a-z0-9-]+)")
ROOTS = ("connection", "refused-session")
# Messages whose rule depends on the mode, and those whose rule does not.
RULES = {
    "HELLO": ("plain-hello", "sealed-hello"),
    "LIMIT": ("plain-limit", "sealed-limit"),
    "FRAME": ("plain-frame", "sealed-frame"),
    "SERVER_KEY": ("public-key", "public-key"),
    "CLIENT_KEY": ("public-key", "public-key"),
    "LIMIT_REPLY": ("limit-reply", "limit-reply"),
}


class Octets(abnf.Rule):
    """The rules of the messages, over bytes."""


class Order(abnf.Rule):
    """The rules of the sessions, over one letter for each kind of message and side."""


def grammar_text() -> str:
    blocks = re.findall(r"^```abnf\n(.*?)^```$", specdoc.SOURCE.read_text(encoding="utf-8"), re.M | re.S)
    if len(blocks) != 1:
        raise specdoc.SpecError(f"wanted one block of ABNF, found {len(blocks)}")
    return blocks[0]


def split(text: str) -> tuple[list[str], list[str]]:
    """The rules as text: those of sessions, those of messages."""
    rules = [rule for rule in re.split(r"\n(?=[a-z])", re.sub(r"\n\s*\n", "\n", text.strip()))]
    sessions = [rule for rule in rules if DIRECTED.search(rule) or rule.startswith("connection ")]
    return sessions, [rule for rule in rules if rule not in sessions]


def load(sessions: list[str], messages: list[str]) -> dict[tuple[str, str], str]:
    """Loads both grammars; the letter that stands for each (side, rule) in the grammar of the order."""
    letters: dict[tuple[str, str], str] = {}
    for directed in DIRECTED.findall("\n".join(sessions)):
        letters.setdefault(directed, chr(ord("a") + len(letters)))
    named = [f"{side}-{rule} = %x{ord(letter):02X}" for (side, rule), letter in letters.items()]
    Order.load_grammar("\n".join([DIRECTED.sub(r"\1-\2", rule) for rule in sessions] + named))
    Octets.load_grammar("\n".join(messages))
    return letters


def undefined(rules: list[str]) -> Iterator[str]:
    """Names that are used and not defined, or defined and not used."""
    core = {"OCTET"}
    text = [re.sub(r";.*", "", rule) for rule in rules]
    defined = {rule.split()[0] for rule in text}
    used = {
        name for rule in text for name in re.findall(r"(?<![%\w.-])[A-Za-z][A-Za-z0-9-]*", rule.split("=", 1)[1])
    } - {"S", "C"}
    yield from (f"{name} is used and not defined" for name in sorted(used - defined - core))
    yield from (f"{name} is defined and not used" for name in sorted(defined - used - set(ROOTS)))


def is_word(rule: abnf.Rule, word: str) -> bool:
    try:
        rule.parse_all(word)
    except abnf.ParseError:
        return False
    return True


def rule_of(message: dict, test: dict) -> str:
    if message["name"] == "HELLO_REPLY":
        return "refusal" if "refused" in test else "accept"
    if "refused" in test:
        return "hello"
    return RULES[message["name"]][test["sealed"]]


def main() -> int:
    tally = specdoc.Tally()
    sessions, messages = split(grammar_text())
    for fault in undefined(sessions + messages):
        tally.check(False, fault)
    letters = load(sessions, messages)
    content = json.loads((specdoc.SPEC_DIR / "vectors" / "transcript.json").read_text(encoding="utf-8"))
    for test in content["testGroups"][0]["tests"]:
        root = Order("refused-session" if "refused" in test else "connection")
        word = ""
        for message in test["messages"]:
            rule = rule_of(message, test)
            wire = bytes.fromhex(message["wire"]).decode("latin-1")
            where = f"{test['id']} {message['name']}"
            tally.check(is_word(Octets(rule), wire), f"{where}: {message['wire']} is not a {rule}")
            word += letters.get((message["from"][0].upper(), rule), "?")
        tally.check(is_word(root, word), f"{test['id']}: the order of its messages is not a {root.name}")
        handshake = word[: 2 if "refused" in test else 6 if test["sealed"] else 4]
        for at in range(len(handshake)):
            rest = word[at + 1 :]
            for what, wrong in (
                ("without", word[:at] + rest),
                ("doubled", word[: at + 1] + word[at] + rest),
                ("from the wrong side", word[:at] + "?" + rest),
            ):
                name = test["messages"][at]["name"]
                tally.check(not is_word(root, wrong), f"{test['id']}: {name} {what} is still a {root.name}")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

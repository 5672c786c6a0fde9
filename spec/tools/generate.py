# SPDX-License-Identifier: MIT
"""Fills the generated regions of spec/goipc.md: worked examples, tables, the index.

usage: generate.py [--check]

A region starts with `<!-- generated: WHAT ARGUMENTS -->` and ends with `<!-- end generated -->`.
With --check nothing is written, and the result is 1 when a region is stale.
"""

from __future__ import annotations

import argparse
import json
import re
import sys

import p384
import specdoc

VECTORS = specdoc.SPEC_DIR / "vectors"
REGION = re.compile(r"(<!-- generated: ([^>]+?) -->\n)(.*?)(<!-- end generated -->)", re.DOTALL)
ROW = 12  # bytes on a line of a dump: fits in 72 columns with its note
KINDS = {
    "kdf": "key agreement and both key derivations",
    "point": "public keys, valid and refused",
    "frame": "plain frames, decoded and encoded",
    "seal": "sealed frames, whole and tampered with",
    "limit": "LIMIT, and the bounds of a length",
    "transcript": "whole sessions of both roles",
    "stream": "what a role makes of its input, however it is cut",
    "accumulated": "one digest over 10,000 cases",
}


def load(name: str) -> dict:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def find(name: str, identifier: str) -> dict:
    for group in load(name)["testGroups"]:
        for test in group["tests"]:
            if test["id"] == identifier:
                return test
    raise SystemExit(f"no vector {identifier}")


def fence(lines: list[str], kind: str = "text") -> str:
    assert all(len(line) <= 72 for line in lines), max(lines, key=len)
    return "\n".join([f"```{kind}", *lines, "```"]) + "\n"


def hex_rows(value: str, size: int = ROW) -> list[str]:
    pairs = re.findall("..", value)
    return [" ".join(pairs[at : at + size]) for at in range(0, len(pairs), size)]


def named(label: str, value: str) -> list[str]:
    rows = hex_rows(value, 20) or ["(empty)"]
    return [f"{label:<8}  {rows[0]}"] + [" " * 10 + row for row in rows[1:]]


# --- the parts of a message ----------------------------------------------------------------------


def parts(message: dict, sealed: bool) -> list[tuple[int, str]]:
    """Size and name of each field of a message, in order."""
    name = message["name"]
    if name == "HELLO":
        flag = "sealed" if sealed else "plain"
        return [(1, "HELLO: version"), (1, f"HELLO: flag, {flag}")]
    if name in ("HELLO_REPLY", "LIMIT_REPLY"):
        return [(1, name)]
    if name in ("SERVER_KEY", "CLIENT_KEY"):
        return [(1, f"{name}: uncompressed"), (48, f"{name}: X"), (48, f"{name}: Y")]
    size = len(message["wire"]) // 2 - 4
    head = [(4, f"{name}: length {size}")]
    if sealed:
        text = size - 28
        return head + [(12, f"{name}: nonce"), (text, f"{name}: ciphertext"), (16, f"{name}: tag")]
    if name == "LIMIT":
        return head + [(4, f"LIMIT: {message['limit']}")]
    data = [(size - 4, "FRAME: data")] if size > 4 else []
    return head + [(4, f"FRAME: type {message['type']}")] + data


def dump(message: dict, sealed: bool, at: dict[str, int]) -> list[str]:
    side = message["from"]
    letter = side[0].upper()
    pairs = re.findall("..", message["wire"])
    lines = []
    for size, name in parts(message, sealed):
        field, pairs = pairs[:size], pairs[size:]
        for start in range(0, size, ROW):
            shown = " ".join(field[start : start + ROW])
            lines.append(f"{letter} {at[side]:04x}  {shown:<35}  {name if not start else ''}".rstrip())
            at[side] += min(ROW, size - start)
    assert not pairs
    return lines


def plaintext(message: dict) -> list[str]:
    """What a sealed message holds, as a remark under its dump."""
    if message["name"] == "LIMIT":
        return [f"        opens to the limit {message['limit']}"]
    return [f"        opens to type {message['type']}, data {message['data'] or '(empty)'}"]


def example(identifier: str) -> str:
    test = find("transcript", identifier)
    sealed = test["sealed"]
    out = ""
    if sealed:
        lines = ["server"]
        lines += named("private", test["server"]["private"])
        lines += ["client"] + named("private", test["client"]["private"])
        lines += ["both"] + named("X", test["x"]) + named("K", test["key"])
        out += fence(lines) + "\n"
    lines, at = [], {"server": 0, "client": 0}
    for message in test["messages"]:
        lines += dump(message, sealed, at)
        if sealed and message["name"] in ("LIMIT", "FRAME"):
            lines += plaintext(message)
    for side in at:
        assert at[side] == len(test[f"{side}_stream"]) // 2
    return out + fence(lines, "hex")


def answer(identifier: str) -> str:
    test = find("kdf", identifier)
    lines = named("private", test["private"]) + named("peer", test["peer"])
    lines += named("X", test["x"]) + named("strip(X)", re.sub("^(00)*", "", test["x"]))
    lines += named("K", test["key"])
    return fence(lines)


def vectors() -> str:
    rows = ["| file | tests | what it holds |", "|---|---|---|"]
    for name, what in KINDS.items():
        rows.append(f"| `{name}.json` | {load(name)['numberOfTests']} | {what} |")
    return "\n".join(rows) + "\n"


def digests() -> str:
    rows = []
    for test in load("accumulated")["testGroups"][0]["tests"]:
        rows += named(f"A({test['count']})", test["digest"])
    return fence(rows)


def curve() -> str:
    rows = []
    for label, number in (("p", p384.P), ("n", p384.N), ("b", p384.B), ("G: X", p384.G[0]), ("G: Y", p384.G[1])):
        rows += named(label, f"{number:096x}")
    return fence(rows)


def index() -> str:
    rows = ["| requirement | key word | roles | test | section |", "|---|---|---|---|---|"]
    for item in sorted(specdoc.read().requirements, key=lambda item: (specdoc.AREAS.index(item.id[:2]), item.id)):
        section = item.section.split(" ")[0].rstrip(".")
        rows.append(f"| [{item.id}](#{item.id}) | {item.keyword} | {', '.join(item.roles)} | {item.test} | {section} |")
    return "\n".join(rows) + "\n"


MAKERS = {"example": example, "answer": answer, "vectors": vectors, "digests": digests, "curve": curve, "index": index}


def fill(match: re.Match) -> str:
    what, *arguments = match.group(2).split()
    return match.group(1) + "\n" + MAKERS[what](*arguments) + "\n" + match.group(4)


def main() -> int:
    parser = argparse.ArgumentParser(description="fill the generated regions of goipc.md")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    arguments = parser.parse_args()
    old = specdoc.SOURCE.read_text(encoding="utf-8")
    stale = []

    def refill(match: re.Match) -> str:
        new = fill(match)
        if new != match.group(0):
            stale.append(match.group(2))
        return new

    new = REGION.sub(refill, old)
    count = len(REGION.findall(old))
    if not arguments.check:
        specdoc.SOURCE.write_text(new, encoding="utf-8")
        stale = []
    for what in stale:
        print(f"FAIL region {what!r} of goipc.md is stale: run spec/tools/generate.py")
    print(f"{count - len(stale)} passed, {len(stale)} failed, 0 skipped")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Runs spec/goipc.lua in tshark over captures made from the vectors, and compares every field.

Each capture is made twice: with one record per message, and cut into small pieces that ignore where
messages begin.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import capture
import specdoc

BUILD = specdoc.ROOT / "build" / "lua"
FIELDS = (
    "connection",
    "from",
    "message",
    "version",
    "flag",
    "reply",
    "key",
    "length",
    "limit",
    "type",
    "data",
    "nonce",
    "ciphertext",
    "tag",
)
DIRECTION = {"server": capture.SERVER, "client": capture.CLIENT}


def load(name: str) -> list[dict]:
    content = json.loads((specdoc.SPEC_DIR / "vectors" / f"{name}.json").read_text(encoding="utf-8"))
    return content["testGroups"][0]["tests"]


def tshark(name: str, records: list[tuple[int, int, bytes]]) -> list[dict[str, list[str]]]:
    """The fields of each record, as lists of values in order."""
    path = BUILD / f"{name}.pcap"
    path.write_bytes(capture.pcap(records))
    command = [
        "tshark",
        "-n",
        "-X",
        f"lua_script:{specdoc.SPEC_DIR / 'goipc.lua'}",
        "-r",
        str(path),
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=;",
    ]
    for field in FIELDS:
        command += ["-e", f"goipc.{field}"]
    command += ["-e", "_ws.expert.message"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    if "rror" in result.stderr:
        raise RuntimeError(result.stderr)
    rows = []
    for line in result.stdout.splitlines():
        values = line.split("|")
        rows.append(
            {
                field: value.split(";") if value else []
                for field, value in zip(FIELDS + ("expert",), values, strict=True)
            }
        )
    return rows


def expected(message: dict, sealed: bool) -> dict[str, list[str]]:
    """The fields that one message of a transcript must show."""
    wire, name = message["wire"], message["name"]
    want = {"message": [name]}
    if name == "HELLO":
        want |= {"version": [str(int(wire[:2], 16))], "flag": [str(int(wire[2:], 16))]}
    elif name.endswith("REPLY"):
        want |= {"reply": [str(int(wire, 16))]}
    elif name.endswith("KEY"):
        want |= {"key": [wire]}
    else:
        want |= {"length": [str(int(wire[:8], 16))]}
        if sealed:
            want |= {"nonce": [wire[8:32]], "ciphertext": [wire[32:-32]], "tag": [wire[-32:]]}
        elif name == "LIMIT":
            want |= {"limit": [str(message["limit"])]}
        else:
            want |= {"type": [str(message["type"])]}
            want |= {"data": [message["data"]]} if message["data"] else {}
    return want


def whole(tests: list[dict]) -> list[str]:
    """One record per message."""
    records, wants = [], []
    for number, test in enumerate(tests):
        for message in test["messages"]:
            direction = DIRECTION[message["from"]]
            records.append((number, direction, bytes.fromhex(message["wire"])))
            want = expected(message, test["sealed"])
            want |= {"connection": [str(number)], "from": [str(direction)]}
            wants.append((f"{test['id']} {message['name']}", want))
    rows = tshark("whole", records)
    faults = []
    for (name, want), row in zip(wants, rows, strict=True):
        refusal = name.endswith("HELLO_REPLY") and want["reply"] != ["0"]
        got = {field: values for field, values in row.items() if values and field != "expert"}
        if got != want or bool(row["expert"]) != refusal:
            faults.append(f"{name}: {got} in place of {want}")
    return faults


def cut(tests: list[dict], size: int) -> list[str]:
    """Pieces of a fixed size, the connections interleaved: the same messages in the same order."""
    records, wants = [], {}
    streams = []
    for number, test in enumerate(tests):
        for role, direction in DIRECTION.items():
            streams.append((number, direction, bytes.fromhex(test[f"{role}_stream"])))
            names = [m["name"] for m in test["messages"] if m["from"] == role]
            data = [m["data"] for m in test["messages"] if m["from"] == role and not test["sealed"] and m.get("data")]
            wants[number, direction] = (names, data)
    # The server's HELLO says how both directions go on, so it comes first, as on a real connection.
    for at in range(0, max(len(stream) for _, _, stream in streams), size):
        records += [
            (number, direction, stream[at : at + size]) for number, direction, stream in streams if at < len(stream)
        ]
    got = {key: ([], []) for key in wants}
    for row in tshark(f"cut-{size}", records):
        key = int(row["connection"][0]), int(row["from"][0])
        got[key][0].extend(row["message"])
        got[key][1].extend(row["data"])
    return [
        f"cut {size}, {tests[key[0]]['id']}: {got[key]} in place of {wants[key]}"
        for key in wants
        if got[key] != wants[key]
    ]


def malformed() -> list[str]:
    """Streams with an impossible length or an end inside a message draw a complaint."""
    tests = [
        test
        for test in load("stream")
        if test["role"] == "server" and test["encryption"] == "off" and {"Runt", "Truncated"} & set(test["flags"])
    ]
    records = []
    for number, test in enumerate(tests):
        records.append((number, capture.SERVER, bytes.fromhex(test["output"])))
        records.append((number, capture.CLIENT, bytes.fromhex(test["input"])))
        records.append((number, capture.CLIENT, b""))
    complained = {int(row["connection"][0]) for row in tshark("malformed", records) if row["expert"]}
    return [f"{test['id']}: no complaint" for number, test in enumerate(tests) if number not in complained]


def main() -> int:
    if not shutil.which("tshark"):
        print("SKIP lua: no tshark")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    BUILD.mkdir(parents=True, exist_ok=True)
    tests = load("transcript")
    results = {
        "whole": whole(tests),
        **{f"cut-{size}": cut(tests, size) for size in (1, 7, 100)},
        "malformed": malformed(),
    }
    failed = 0
    for faults in results.values():
        failed += bool(faults)
        for fault in faults:
            print(f"FAIL {fault}")
    print(f"{len(results) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fuzzes the protocol of the package with atheris: any bytes, in either role, however they are cut.

usage: fuzz.py [CORPUS_FOLDER...] [-max_total_time=SECONDS] [other options of libFuzzer]

A finding is any exception but the package's own, or a broken rule of test_codec.py: one end, told once and last;
messages only after Connected; the same result however the stream is cut. Seeds are the streams of spec/vectors.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))

with atheris.instrument_imports(include=["goipc"]):
    from goipc import codec, keys
    from goipc.codec import Message
    from goipc.errors import Error
    from goipc.session import Connected, Ended, Failed, Send, Session

LIMIT = 4096
ROLES: tuple[tuple[Any, Any], ...] = (
    ("server", "off"),
    ("server", "required"),
    ("client", "off"),
    ("client", "required"),
    ("client", "optional"),
)
KEY = bytes(range(32))


def draw(size: int) -> bytes:
    return b"\1" * size


def session_events(role: Any, encryption: Any, pieces: list[bytes]) -> list[Any]:
    session = Session(role, encryption, LIMIT, draw)
    events = session.start()
    for piece in pieces:
        events += session.feed(piece)
        assert len(session._buffer) < 4096
    events += session.end()
    assert isinstance(events[-1], (Ended, Failed))
    assert not any(isinstance(event, (Ended, Failed)) for event in events[:-1])
    kinds = [type(event) for event in events if not isinstance(event, Send)]
    assert Message not in kinds or kinds[0] is Connected
    return [event.error.error_class if isinstance(event, Failed) else event for event in events]


def reader_events(sealed: bool, pieces: list[bytes]) -> list[Any]:
    reader = codec.FrameReader(LIMIT, codec.Cipher(KEY).open if sealed else None)
    out: list[Any] = []
    try:
        for piece in pieces:
            reader.feed(piece, out)
    except Error as error:
        out.append(error.error_class)
    return out


def one_input(data: bytes) -> None:
    if len(data) < 2:
        return
    what, step, stream = data[0] % (len(ROLES) + 3), data[1] % 64 + 1, data[2:]
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    if what < len(ROLES):
        role, encryption = ROLES[what]
        assert session_events(role, encryption, pieces) == session_events(role, encryption, [stream])
    elif what < len(ROLES) + 2:
        sealed = what == len(ROLES)
        assert reader_events(sealed, pieces) == reader_events(sealed, [stream])
    else:
        try:
            keys.check_public(stream)
        except Error:
            pass


def seeds(folder: Path) -> None:
    vectors = json.loads((HERE.parents[1] / "spec/vectors/stream.json").read_text(encoding="utf-8"))
    tests = [test for group in vectors["testGroups"] for test in group["tests"]]
    for test in tests:
        for number, (role, _) in enumerate(ROLES):
            if role == test["role"]:
                name = f"{test['id']}-{number}"
                (folder / name).write_bytes(bytes([number, 7]) + bytes.fromhex(test["input"]))
    sealed = b"".join(codec.Cipher(KEY).seal(bytes(12), codec.u32(1) + b"data"))
    (folder / "sealed").write_bytes(bytes([len(ROLES), 7]) + sealed * 3)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        seeds(Path(folder))
        atheris.Setup([*sys.argv, folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""The judge of the interoperability runs: what must not count as a success does not."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
import run
from run import MESSAGE_SIZE_MAX, Implementation, Report, Session

GO = Implementation("golang-ipc", ("false",))
OURS = Implementation("goipc", ("false",), crypto="openssl", strict_off=True)
LIMIT = {"size": MESSAGE_SIZE_MAX + 1, "type": 1, "refused": True}
CELL = {"size": 5, "type": 1, "sent": 2, "received": 2, "ok": True}
DONE = {"done": True}


def exchange(**changes) -> Session:
    return Session(**{"server": GO, "client": OURS, "task": "exchange", "sizes": (5,), "types": (1,), **changes})


def judged(server: list[dict], client: list[dict], session: Session | None = None, **trouble) -> dict[str, bool]:
    session = session or exchange()
    rows = run.judge(session, Report([*server, DONE], **trouble), Report([*client, DONE]))
    return {row["check"]: row["ok"] for row in rows}


def test_a_row_holds_what_both_sides_said():
    rows = run.judge(exchange(), Report([LIMIT, CELL, DONE]), Report([{"encrypted": True}, LIMIT, CELL, DONE]))
    assert rows[0] == {
        "client": "goipc", "server": "golang-ipc", "encrypted": True, "crypto": "openssl", "size": 5, "type": 1,
        "sent": 4, "received": 4, "ok": True, "os": run.OS, "check": "exchange",
    }  # fmt: skip
    assert rows[1]["check"] == "limit" and rows[1]["size"] == MESSAGE_SIZE_MAX + 1 and rows[1]["ok"]


@pytest.mark.parametrize(
    "bad", [{"received": 1}, {"sent": 1}, {"ok": False}, {"size": 4}, {"type": 2}, {"sent": 3, "received": 3}]
)
def test_a_side_that_differs_fails_the_exchange(bad):
    assert not judged([LIMIT, CELL], [LIMIT, {**CELL, **bad}])["exchange"]
    assert not judged([LIMIT, {**CELL, **bad}], [LIMIT, CELL])["exchange"]


def test_silence_fails():
    assert judged([], []) == {"exchange": False, "limit": False}


def test_trouble_of_one_side_fails_the_exchange():
    assert not judged([LIMIT, CELL], [LIMIT, CELL], trouble="exit status 2")["exchange"]
    assert not judged([LIMIT, CELL, {"error": "late"}], [LIMIT, CELL])["exchange"]


def test_a_connection_that_is_not_encrypted_as_wanted_fails():
    assert not judged([LIMIT, CELL], [{"encrypted": False}, LIMIT, CELL])["exchange"]
    plain = exchange(encryption="off")
    assert judged([LIMIT, CELL], [{"encrypted": False}, LIMIT, CELL], plain)["exchange"]
    assert not judged([LIMIT, CELL], [{"encrypted": True}, LIMIT, CELL], plain)["exchange"]


def test_a_message_over_the_limit_that_is_taken_fails_the_limit():
    assert not judged([LIMIT, CELL], [{**LIMIT, "refused": False}, CELL])["limit"]


def test_one_lost_handshake_fails_them_all():
    session = Session(GO, OURS, "handshakes", count=100)
    good = {"handshakes": 100, "sent": 100, "received": 100, "ok": True}
    assert judged([good], [good], session)["handshakes"]
    assert not judged([good], [{**good, "received": 99}], session)["handshakes"]
    assert not judged([good], [{"error": "connection 7: frame does not authenticate"}], session)["handshakes"]


def test_one_message_out_of_order_fails_the_burst():
    session = Session(GO, OURS, "burst", count=100)
    good = {"burst": 100, "sent": 100, "received": 100, "ok": True}
    assert judged([good], [good], session)["burst"]
    assert not judged([good], [{"error": "message 7: type 9 arrived, not 8"}], session)["burst"]


def test_a_refusal_takes_two():
    session = Session(GO, OURS, "refusal", "off", "on")
    refused = {"refused": True, "text": "why"}
    assert judged([refused], [refused], session)["refusal"]
    assert not judged([], [refused], session)["refusal"]
    assert not judged([refused], [{"refused": False}], session)["refusal"]


def program(text: str) -> Implementation:
    return Implementation("made up", (sys.executable, "-c", text))


def performed(server: str, client: str) -> list[dict]:
    session = exchange(server=program(server), client=program(client))
    return run.judge(session, *asyncio.run(run.perform(session, "not-used")))


READY = "import sys, time; print('{\"ready\": true}', flush=True);"


def test_a_crash_of_one_side_ends_the_session_of_the_other():
    rows = performed(READY + "time.sleep(1000)", "import os; os.abort()")
    assert not any(row["ok"] for row in rows)
    assert "exit status -6" in rows[0]["error"] and "the other side failed" in rows[0]["error"]


def test_a_server_that_is_never_ready_is_ended(monkeypatch):
    monkeypatch.setattr(run, "READY_LIMIT_S", 0.2)
    assert "not ready in time" in performed("import time; time.sleep(1000)", "pass")[0]["error"]


def test_a_session_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(run, "SESSION_LIMIT_S", 0.3)
    hang = READY + "time.sleep(1000)"
    assert "took too long" in performed(hang, hang)[0]["error"]


def test_what_is_not_json_is_an_error():
    assert "not JSON" in performed(READY + "print('panic: oh')", READY)[0]["error"]


def test_results_of_other_systems_are_kept(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"os": "plan9", "ok": True}, {"os": run.OS, "ok": False}]))
    run.write_results([{"os": run.OS, "ok": True}], path)
    assert json.loads(path.read_text()) == [{"os": run.OS, "ok": True}, {"os": "plan9", "ok": True}]


def test_every_pair_meets_in_both_directions():
    class Arguments:
        quick, handshakes, only = False, 2000, []

    fork = Implementation("fork", ("false",))
    tomcrypt = Implementation("goipc", ("false",), crypto="tomcrypt", strict_off=True)
    sessions = run.plan([tomcrypt, OURS], GO, [fork], Arguments)
    for one in (tomcrypt, OURS):
        for other in (GO, fork):
            for pair in ((one, other), (other, one)):
                mine = [s for s in sessions if (s.server, s.client) == pair]
                whole = [s for s in mine if s.task == "exchange" and s.sizes == tuple(run.SIZES)]
                assert {s.encryption for s in whole} == {"on", "off"}
                assert [s.count for s in mine if s.task == "handshakes"] == [2000 if other is GO else 200]
                assert any(s.task == "refusal" for s in mine)
    cells = {(size, kind) for s in sessions for size in s.sizes for kind in s.types}
    assert {(size, kind) for size in run.SIZES for kind in run.TYPES} <= cells


def test_the_grid_shows_every_pair():
    rows = [
        {"server": "a", "client": "b", "ok": True},
        {"server": "a", "client": "b", "ok": False},
        {"server": "b", "client": "a", "ok": True},
    ]
    assert [line.split() for line in run.grid(rows)[1:]] == [["a", "-", "1/2"], ["b", "1/1", "-"]]

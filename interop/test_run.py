# SPDX-License-Identifier: MIT
"""The judge of the interoperability runs: what must not count as a success does not."""

from __future__ import annotations

import json
import pathlib
import sys

import pytest
import run
from run import MESSAGE_SIZE_MAX, Implementation, Session

PEER = pathlib.Path(__file__).with_name("made_up_peer.py")


def made_up(*faults: str, ours: bool = True) -> Implementation:
    """Two sides that speak no golang-ipc, only the harness protocol; `faults` is what this one does wrong."""
    return Implementation("made up", (sys.executable, str(PEER), *faults), crypto="none" if ours else "")


def performed(task: str, server: Implementation, client: Implementation, **more) -> list[dict]:
    session = Session(server, client, task, **more)
    return run.perform(session, f"goipc-interop-test-{run.secrets.token_hex(6)}")


def exchanged(server: tuple[str, ...] = (), client: tuple[str, ...] = (), **more) -> dict[str, bool]:
    rows = performed("exchange", made_up(*server), made_up(*client), **{"sizes": (0, 5), "types": (1, 70000), **more})
    return {check: all(row["ok"] for row in rows if row["check"] == check) for check in ("limit", "exchange")}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(run, "ANSWER_LIMIT_S", 3)


def test_a_row_holds_what_was_exchanged():
    rows = performed("exchange", made_up(ours=False), made_up(), sizes=(5,), types=(1,))
    assert rows[0]["check"] == "limit" and rows[0]["size"] == MESSAGE_SIZE_MAX + 1 and rows[0]["ok"]
    assert rows[1] == {
        "client": "made up", "server": "made up", "encrypted": True, "crypto": "none", "size": 5, "type": 1,
        "sent": 4, "received": 4, "ok": True, "os": run.OS, "check": "exchange",
    }  # fmt: skip


@pytest.mark.parametrize("fault", ["alter", "retype", "shorten", "lose", "unconnected", "die", "garbage"])
def test_a_side_that_differs_fails_the_exchange(fault):
    assert exchanged() == {"limit": True, "exchange": True}
    assert not exchanged(server=(fault,))["exchange"]
    assert not exchanged(client=(fault,))["exchange"]


def test_a_message_over_the_limit_that_is_taken_fails_the_limit_alone():
    assert exchanged(client=("boundless",)) == {"limit": False, "exchange": True}


def test_a_connection_that_is_not_encrypted_as_wanted_fails():
    assert not exchanged(client=("plain",))["exchange"]
    assert exchanged(client=("plain",), encryption="off")["exchange"]


def test_an_end_that_a_client_of_ours_takes_for_a_failure_fails():
    assert not exchanged(client=("bitter-end",))["exchange"]


@pytest.mark.parametrize("task", ["burst", "handshakes"])
@pytest.mark.parametrize("fault", ["lose", "swap", "alter"])
def test_one_message_that_is_lost_or_out_of_order_fails_them_all(task, fault):
    assert performed(task, made_up(), made_up(), count=4)[0]["ok"]
    (row,) = performed(task, made_up(fault), made_up(), count=4)
    assert not row["ok"] and row["error"]


@pytest.mark.parametrize("ours", [True, False])
def test_handshakes_count_what_went_there_and_back(ours):
    (row,) = performed("handshakes", made_up(ours=ours), made_up(), count=3)
    assert row["ok"] and row["sent"] == row["received"] == 6


def test_a_refusal_takes_two():
    def refused(server: str, client: str) -> bool:
        (row,) = performed("refusal", made_up(server), made_up(client), encryption="off", client_encryption="on")
        return row["ok"]

    assert refused("refused", "refuse")
    assert not refused("honest", "refuse"), "the server counts nothing"
    assert not refused("refused", "honest"), "the client connects"
    assert not refused("refused", "refuse-otherwise"), "the client gives another reason"


def test_what_died_is_named_with_its_exit():
    rows = performed("burst", made_up("die"), made_up(), count=3)
    assert "server: exit status 7" in rows[0]["error"]


def test_a_program_that_cannot_be_started_fails_its_rows():
    gone = Implementation("gone", ("/nowhere/at-all",), crypto="none")
    (row,) = performed("burst", gone, made_up(), count=3)
    assert not row["ok"] and "cannot start" in row["error"]


def test_results_of_other_systems_are_kept(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"os": "plan9", "ok": True}, {"os": run.OS, "ok": False}]))
    run.write_results([{"os": run.OS, "ok": True}], path)
    assert json.loads(path.read_text()) == [{"os": run.OS, "ok": True}, {"os": "plan9", "ok": True}]


GO = Implementation("golang-ipc", ("false",))
OURS = Implementation("goipc", ("false",), crypto="openssl", strict_off=True)


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

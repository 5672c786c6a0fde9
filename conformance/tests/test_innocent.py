# SPDX-License-Identifier: MIT
"""Implementations that do everything right and were blamed once; and faults that were called by another's name."""

import errno
import json
import resource
import sys
import time

import pytest
from conftest import HERE, TOY
from goipc_conformance import cli, engine, keys, peer, running_subject, selection, wire
from goipc_conformance.adapter import process
from goipc_conformance.case import REGISTRY
from goipc_conformance.cases import keys as key_cases
from goipc_conformance.report import text

CLIENT = f"{sys.executable} {HERE / 'echo_client.py'} {{plain:--plain}} {{name}}"


def results(tmp_path):
    return {one["key"]: one for one in json.loads((tmp_path / "r.json").read_text())["cases"]}


def test_a_client_of_level_0_is_started_with_what_its_placeholders_say(suite):
    done = suite("run", "client:hs.complete", "client:frame.cut.body", "client:key.prefix", "-q", "--client", CLIENT)
    assert done.returncode == 0, done.stdout


def test_a_failure_shows_the_command_that_was_started(suite):
    done = suite(
        "run", "client:hs.complete[enc=off]", "--repeats", "0", "--client", CLIENT.replace("--plain", "--encrypted")
    )
    assert done.returncode != 0 and "echo_client.py --encrypted goipc-conf-" in done.stdout, done.stdout


def test_a_client_that_takes_long_to_start_is_waited_for_each_time(suite):
    slow = CLIENT.replace("{name}", "--delay 2.3 {name}")
    cases = ("client:hs.complete", "client:key.off-curve")
    done = suite("run", *cases, "-q", "--timeout-scale", "0.5", "--client", slow)
    assert done.returncode == 0, done.stdout


def test_a_server_that_discards_what_does_not_open_may_do_so(suite, toy, tmp_path):
    done = suite("run", "key.derivation.padded-peer", "--json", "r.json", "--timeout-scale", "0.5", *toy("discard"))
    assert done.returncode == 0, done.stdout
    assert results(tmp_path)["server:key.derivation.padded-peer[enc=on]"]["outcome"] == "ignored"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_the_suite_itself_lacks_is_no_failure_of_the_implementation(tmp_path, monkeypatch, number):
    def lacking(path):
        raise OSError(number, "used up")

    monkeypatch.setattr(running_subject, "connect_unix", lacking)
    report = str(tmp_path / "r.json")
    assert cli.main(["run", "server:hs.complete[enc=off]", "-q", "--repeats", "0", "--json", report, "--", *TOY]) == 3
    (one,) = results(tmp_path).values()
    assert one["verdict"] == "ERROR" and "the suite itself" in one["reason"]


def test_a_system_without_prlimit_will_do(tmp_path, monkeypatch):
    monkeypatch.delattr(resource, "prlimit", raising=False)
    assert cli.main(["run", "server:hs.complete[enc=off]", "-q", "--", *TOY]) == 0


def test_a_search_for_a_key_is_cut_to_the_patience_of_a_handshake(tmp_path, monkeypatch):
    public = keys.PrivateKey(5).public
    began = time.monotonic()
    assert keys.search_leading_zeros(public, 6, 1 << 200, began + 0.05) is None
    assert time.monotonic() - began < 5
    monkeypatch.setattr(key_cases, "SEARCH_S", 0.0)
    monkeypatch.setattr(key_cases, "SEARCHES_MAX", 2000)
    case = "server:key.derivation.leading-zero[enc=on,zeros=1]"
    assert cli.main(["run", case, "-q", "--json", str(tmp_path / "r.json"), "--", *TOY]) == 0
    assert results(tmp_path)[case]["verdict"] == "PASS"


def test_a_should_is_not_judged_as_a_must():
    assert REGISTRY["frame.both-ways"].level == "should"


def test_a_type_that_comes_back_as_another_is_called_that(suite, toy):
    done = suite("run", "server:frame.echo[enc=off,size=1]", "--repeats", "0", *toy("retype"))
    assert "FR-001" in done.stdout and "altered" in done.stdout, done.stdout
    assert "a new peer was sent" not in done.stdout


def test_a_limit_that_does_not_open_names_the_derivation_of_the_key(suite, toy):
    done = suite("run", "server:key.derivation.leading-zero[enc=on,zeros=1]", "--repeats", "0", *toy("padded"))
    assert "KD-011" in done.stdout and "X begins with 1 zero byte" in done.stdout, done.stdout


def test_the_simplest_failure_comes_first():
    chosen = selection.select(["server:res.idle", "server:seal.tag.bit", "server:hs.complete", "server:close.stop"])

    class One:
        def __init__(self, instance):
            self.instance = instance

    first = text.simplest_first([One(instance) for instance in chosen])[0].instance.case
    assert first.id == "hs.complete"


@pytest.mark.parametrize(
    "status, said, is_crash",
    [
        (101, "thread 'main' (4711) panicked at src/main.rs:3:5:", True),
        (101, "", True),
        (1, "thread 'worker' panicked at src/lib.rs:1:1:", True),
        (1, 'Exception in thread "main" java.lang.NullPointerException', True),
        (1, "Error: no\n    at main.js:1\n\nNode.js v18.19.0", True),
        (133, "main/main.swift:3: Fatal error: Index out of range", True),
        (1, "the server was refused", False),
        (0, "Node.js v18.19.0", False),
    ],
)
def test_what_a_run_time_says_of_its_death_is_understood(status, said, is_crash):
    code = f"import sys; print({said!r}, file=sys.stderr, flush=True); sys.exit({status})"
    program = process.Process([sys.executable, "-c", code], control=False)
    ended = program.exited(20)
    program.end()
    program.close_streams()
    assert ended is not None and ended.is_crash is is_crash, ended


def test_bytes_that_came_before_a_wait_ended_are_shown():
    silent = wire.Silent("CLIENT_KEY", bytes(range(32)))
    assert "only 32 bytes came, as many as an X25519 key has: another dialect: 000102" in engine.arrived(silent)
    assert engine.arrived(wire.Silent("frame length")) == ""


@pytest.mark.parametrize("selector", ["hs.complete[enc=on", "!hs.complete[enc=on", "hs.complete]"])
def test_a_bracket_without_its_partner_is_refused(selector):
    with pytest.raises(selection.SelectionError, match="bracket"):
        selection.select([selector])


def test_the_messages_that_decide_have_types_of_16_bits():
    assert 0 < peer.SENTINEL_TYPE < 1 << 16

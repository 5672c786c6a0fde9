# SPDX-License-Identifier: MIT
"""Implementations and adapters that mean harm: the suite stays whole, and so does what is not its own."""

import json
import resource
import socket
import threading
import time

import pytest
from conftest import TOY
from goipc_conformance import wire
from goipc_conformance.adapter.level1 import EVENTS_MAX, Control
from goipc_conformance.run_folder import remove_socket
from goipc_conformance.wire import Log, Silent, Wire


def verdicts_of(path):
    return {case["key"]: (case["verdict"], case["outcome"]) for case in json.loads(path.read_text())["cases"]}


def test_a_file_that_an_adapter_names_is_not_removed(suite, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    done = suite("run", "server:hs.complete", "--repeats", "0", "--", *TOY, f"path={precious}")
    assert done.returncode == 1 and precious.read_text() == "mine", done.stdout + done.stderr


def test_a_socket_that_was_there_before_is_not_removed(suite, tmp_path):
    """However it is named: only what was made since the case began is the case's."""
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
    remove_socket(str(path), path.stat().st_mtime + 1)
    assert path.exists()
    remove_socket(str(path))
    assert not path.exists()


def test_paths_that_are_none_stop_no_run(suite, tmp_path):
    """A server is opened for a name with a NUL, and says so; and the path of another cannot even be written."""
    key = "server:end.name.refused[name=nul]"
    for words in ([], [r"path=/tmp/goipc-conf-\ud800"]):
        arguments = ["run", key, "server:hs.complete", "--json", "r.json", "--repeats", "0"]
        done = suite(*arguments, "--", *TOY, *words)
        assert done.returncode == 1 and "internal" not in done.stdout + done.stderr, done.stdout + done.stderr
        assert verdicts_of(tmp_path / "r.json")[key] == ("FAIL", "accepted")


@pytest.mark.parametrize("fault", ["flood", "flood-bytes", "flood-events"])
def test_an_implementation_that_never_stops_sending(suite, tmp_path, fault):
    """Every case ends, and what is kept of it is bounded."""
    arguments = [
        "run",
        "server:hs.hello-reply.version",
        "server:frame.length.runt",
        "--repeats",
        "0",
        "--json",
        "r.json",
    ]
    done = suite(*arguments, "--timeout-scale", "0.2", "--", *TOY, fault)
    assert done.returncode in (1, 3), done.stdout + done.stderr
    assert len(verdicts_of(tmp_path / "r.json")) == 6
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert largest < 600 * 1024, f"{largest} KiB"


@pytest.fixture
def flooded():
    """A wire whose other end sends without end."""
    ours, theirs = socket.socketpair()

    def flood():
        try:
            while True:
                theirs.sendall(bytes(65536))
        except OSError:
            pass

    thread = threading.Thread(target=flood)
    thread.start()
    yield Wire(ours, Log(), 1, 0.2)
    theirs.shutdown(socket.SHUT_RDWR)
    thread.join(20)
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "wait",
    [
        lambda one: one.wait_end(),
        lambda one: one.receive(1 << 40, "everything"),
        lambda one: one.send(bytes(1 << 24), "more than it reads"),
    ],
)
def test_bytes_without_end_are_no_reason_to_wait_without_end(flooded, wait):
    started = time.monotonic()
    with pytest.raises(Silent):
        wait(flooded)
    assert not flooded.ended_within(0.1) and not flooded.finish(0.1)
    assert time.monotonic() - started < 20
    assert len(flooded._received) <= wire.RECEIVED_MAX + (1 << 18)
    kept = sum(len(entry.data) for entry in flooded._log.entries)
    assert kept <= wire.LOG_BYTES_MAX + wire.LOGGED_MAX + wire.LOG_HEAD * wire.LOG_ENTRIES_MAX


def test_a_case_is_over_at_some_time(flooded):
    """Even one that always gets at once what it asks for."""
    flooded._log.over = time.monotonic() + 0.2
    with pytest.raises(Silent):
        while True:
            flooded.receive(1, "one more")


def test_events_are_bounded():
    control = Control.__new__(Control)
    control.transcript, control.events, control.fault = [], [{}] * EVENTS_MAX, None
    control._take(b'{"ev": "state"}')
    assert "events" in control.fault and len(control.events) == EVENTS_MAX

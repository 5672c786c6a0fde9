# SPDX-License-Identifier: MIT
"""A run that is cancelled: every program is ended, what was found is told, and the exit code says so."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import SUITE

# It answers hello, notes its process ID when it is answered, which a probe does not do, and never says a word again.
SILENT_SERVER = """
import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(f"/tmp/{sys.argv[1]}.sock")
server.listen()
kept = []
while True:
    connection, _ = server.accept()
    kept.append(connection)
    connection.sendall(bytes([2, 1]))
    if connection.recv(1):
        with open("pids", "a") as pids:
            pids.write(f"{os.getpid()}\\n")
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def waiting_run(tmp_path):
    """A run whose cases wait for an answer for minutes; the reports it was asked for go to `tmp_path`."""
    (tmp_path / "silent.py").write_text(SILENT_SERVER)
    started = []

    def start(*options):
        words = [sys.executable, "-m", "goipc_conformance", "run", "server:hs.complete", *options]
        words += ["--timeout-scale", "100", "--server", f"{sys.executable} silent.py {{name}}"]
        run = subprocess.Popen(
            words,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(SUITE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(run)
        wait_until(lambda: (tmp_path / "pids").exists())
        return run

    yield start
    for run in started:
        run.kill()
        run.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_program_is_ended_and_the_report_is_written(waiting_run, tmp_path, number):
    run = waiting_run("--json", "r.json")
    run.send_signal(number)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in out + err, out + err
    assert json.loads((tmp_path / "r.json").read_text())["run"]["interrupted"] is True
    assert "0 failed" in out.splitlines()[-1]
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    wait_until(lambda: not any(map(is_running, pids)))


def test_an_interrupted_ladder(waiting_run):
    run = waiting_run("--ladder")
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130 and "Interrupted" in out and "internal" not in err, out + err

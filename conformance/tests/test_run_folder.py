# SPDX-License-Identifier: MIT
"""The verdict depends neither on what lies in /tmp nor on the user's file creation mask, and nothing stays there."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from goipc_conformance.cases.endpoints import BAD_NAMES
from goipc_conformance.run_folder import RunFolder, run_folder, sweep

KILLED = """
import os, socket, sys
from pathlib import Path
from goipc_conformance.run_folder import RunFolder
place = Path(sys.argv[1])
folder = RunFolder(place)
for name in (folder.fresh_name() + ".sock", "odd.sock"):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(place / name))
folder.record(str(place / "odd.sock"))
full = place / folder.fresh_name()
full.mkdir()
(full / "file").touch()
(place / folder.fresh_name()).symlink_to("/etc")
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def killed_run(tmp_path):
    """A folder with all that a run leaves when it is killed, and a program that is that run and still lives."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        program.stdout.readline()
        yield program
        program.kill()


def names(place):
    return sorted(path.name for path in place.iterdir())


def test_a_killed_run_is_removed_at_the_next_start(tmp_path, killed_run):
    assert len(names(tmp_path)) == 5
    killed_run.send_signal(signal.SIGKILL)
    killed_run.wait()
    sweep(tmp_path)
    assert names(tmp_path) == []
    assert os.listdir("/etc")


def test_a_living_run_is_left_alone(tmp_path, killed_run):
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before


def test_what_belongs_to_others_is_left_alone(tmp_path):
    for other in ("goipc-conf", "goipc-confuse", "tmp", "goipc-conformance-x", ".goipc-live"):
        (tmp_path / other).mkdir()
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before


def test_a_recorded_name_that_has_a_new_server_is_left_alone(tmp_path):
    folder, path = RunFolder(tmp_path), str(tmp_path / "odd.sock")
    folder.record(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        folder.remove()
        assert names(tmp_path) == ["odd.sock"]


def test_the_folder_of_a_server_that_crashed_while_it_opened_is_removed(tmp_path):
    old, young = tmp_path / ".goipc-aaaaaa", tmp_path / ".goipc-bbbbbb"
    for folder in (old, young):
        folder.mkdir()
        (folder / "s").touch()
    os.utime(old, (time.time() - 3600,) * 2)
    sweep(tmp_path)
    assert names(tmp_path) == [young.name]


@pytest.mark.parametrize("kind", BAD_NAMES)
def test_a_bad_name_meets_only_what_the_run_made(kind):
    """Whatever path an implementation makes of it: its folder is the run's own, /tmp itself, or cannot be there."""
    name = BAD_NAMES[kind]()
    for path in (f"/tmp/{name}.sock", os.path.join("/tmp", f"{name}.sock")):
        folder = Path(os.path.normpath(path.split("\0")[0])).parent
        assert folder == Path("/tmp") or run_folder().path.name in str(folder)


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077])
def test_the_mode_of_a_socket_is_judged_alike_under_every_mask(suite, toy, mask):
    before = os.umask(mask)
    try:
        done = suite("run", "server:end.mode", "--repeats", 0, *toy())
    finally:
        os.umask(before)
    assert "FAIL server:end.mode: accepted" in done.stdout

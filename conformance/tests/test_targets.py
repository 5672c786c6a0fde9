# SPDX-License-Identifier: MIT
"""Ways to name an implementation: attached to, the reference, a command."""

import json
import os
import subprocess
import time

import pytest
from conftest import TOY
from goipc_conformance.adapter import attached, reference
from goipc_conformance.adapter.choose import target_from
from goipc_conformance.adapter.process import StartError

NAME = f"goipc-conf-attach-{os.getpid()}"


def wait_for(path, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not os.path.exists(path):
        assert time.monotonic() < deadline, f"{path} was never made"
        time.sleep(0.01)


@pytest.fixture
def started():
    """Starts programs that the suite then attaches to, and ends them."""
    programs = []

    def start(*words):
        program = subprocess.Popen(
            [*TOY, *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        programs.append(program)
        return program

    yield start
    for program in programs:
        program.kill()
        program.communicate()


def test_attaching_to_an_adapter(suite, started, tmp_path):
    control = str(tmp_path / "ctl")
    program = started(f"ctl={control}")
    wait_for(control)
    done = suite("run", "server:hs.complete", "server:key.prefix", "--json", "r.json", "--", f"attach:ctl:{control}")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["run"]["implementation"]["name"] == "toy" and document["totals"]["passed"] >= 9
    assert program.wait(20) == 0, "it is left alone, and sees the end of its input when the suite leaves"


def test_attaching_to_a_server_and_its_adapter(suite, started, tmp_path):
    """The suite does not open the server that is there already, and asks only what it was opened for."""
    control, path = str(tmp_path / "ctl"), f"/tmp/{NAME}.sock"
    started(f"ctl={control}", f"serving={NAME}")
    wait_for(control)
    wait_for(path)
    done = suite("run", "server:hs.complete", "--json", "r.json", "--", f"attach:unix:{path},ctl:{control}")
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = {case["id"]: case["verdict"] for case in json.loads((tmp_path / "r.json").read_text())["cases"]}
    assert verdicts == {"hs.complete[enc=on]": "PASS", "hs.complete[enc=off]": "UNSUPPORTED"}


def test_attaching_to_the_socket_of_a_server(suite, started, tmp_path):
    path = f"/tmp/{NAME}-0.sock"
    program = started()
    serve = {"id": 1, "cmd": "serve", "endpoint": {"name": f"{NAME}-0"}, "encryption": "off", "echo": True}
    program.stdin.write(json.dumps({**serve, "max_message_size": 65536}).encode() + b"\n")
    program.stdin.flush()
    wait_for(path)
    for words in (["--server", f"attach:unix:{path}"], ["--", f"attach:unix:{path}"]):
        done = suite("run", "server:hs.complete", "--plain", *words)
        assert done.returncode == 0 and "1 passed, 0 failed, 1 skipped" in done.stdout, done.stdout + done.stderr


def test_what_is_attached_to_is_not_hurried():
    assert attached.PATIENCE >= 3600
    assert attached.parse("unix:/a,ctl:/b") == attached.Place("/a", "/b")


def test_an_adapter_that_dies_while_attached_to(suite, started, tmp_path):
    control = str(tmp_path / "ctl")
    started(f"ctl={control}", "crash-on-key")
    wait_for(control)
    done = suite("run", "server:key.zero-point", "--repeats", "0", "--", f"attach:ctl:{control}")
    assert done.returncode in (1, 3) and "CRASH server:key.zero-point" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "text", ["attach:", "attach:tcp:/x", "attach:unix:", "attach:unix:/a,unix:/b", "attach:/x", "attach:ctl:/no/such"]
)
def test_what_cannot_be_attached_to_is_explained(suite, text):
    done = suite("run", "hs.complete", "--", text)
    assert done.returncode == 2 and "attach" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_attaching_takes_no_arguments():
    with pytest.raises(StartError):
        target_from(["attach:unix:/x", "--verbose"], None, None)


def test_the_reference_by_its_name(suite, tmp_path, monkeypatch):
    """Found in a tree by what is built there, and on the PATH where there is no tree."""
    tree = tmp_path / "tree"
    program = tree / "build" / "release" / "conformance" / reference.NAME
    program.parent.mkdir(parents=True)
    program.write_text("")
    assert reference.built_in(tree) == program and reference.built_in(tmp_path) is None
    installed = tmp_path / "bin" / reference.NAME
    installed.parent.mkdir()
    installed.write_text(f"#!/bin/sh\nexec {' '.join(TOY)}\n")
    installed.chmod(0o755)
    monkeypatch.setattr(reference, "built_in", lambda root: None)
    monkeypatch.setenv("PATH", str(installed.parent), prepend=":")
    assert reference.find() == installed
    assert target_from(["ref", "--crypto", "x"], None, None).words == (str(installed), "--crypto", "x")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match="neither built"):
        reference.find()


def test_running_the_reference(suite):
    try:
        reference.find()
    except StartError as error:
        pytest.skip(str(error))
    for words in (["ref", "hs.complete"], ["hs.complete", "--", "ref"]):
        done = suite("run", *words)
        assert done.returncode == 0 and "goipc" in done.stdout, done.stdout + done.stderr

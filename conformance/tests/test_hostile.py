# SPDX-License-Identifier: MIT
"""Implementations and adapters that mean harm: the suite stays whole, and so does what is not its own."""

import json
import socket

from conftest import TOY
from goipc_conformance.context import remove_socket


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

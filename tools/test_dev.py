# SPDX-License-Identifier: MIT
"""./dev says truly what is missing, and installs nothing that it was not allowed to."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASE = "sh cat cksum cut dirname env find getconf grep mkdir rm sed sort tail touch tr".split()
STUBS = {
    "apt-get": 'echo "apt-get $*" >>"$LOG"; case "$*" in *assume-no*) echo "Need to get 144 MB of archives." ;; esac',
    "apt-cache": 'echo "  Candidate: 1.0"',
}


@pytest.fixture
def dev(tmp_path):
    """Runs a copy of ./dev on a machine that has a shell, apt-get and nothing of what is needed."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for path in ROOT.iterdir():
        if path.name != "build":
            (tree / path.name).symlink_to(path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in BASE:
        (programs / name).symlink_to(shutil.which(name))

    def run(*arguments, user=1000, **stubs):
        log = tmp_path / "log"
        log.write_text("")
        for name, body in {**STUBS, "id": f"echo {user}", **stubs}.items():
            (programs / name).write_text(f"#!/bin/sh\n{body}\n")
            (programs / name).chmod(0o755)
        done = subprocess.run(
            [programs / "sh", tree / "dev", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": str(programs), "LOG": str(log), "HOME": str(tmp_path)},
        )
        return done, log.read_text()

    return run


def hinted(text: str) -> set[str]:
    """The packages that the message tells root to install."""
    return set(re.findall(r"as root, run: .*install --no-install-recommends (.*)", text)[0].split())


def packages(*groups: str) -> set[str]:
    """What the table of requirements has for the groups."""
    table = (ROOT / "dev").read_text(encoding="utf-8").split("TABLE'\n")[1].split("\nTABLE")[0]
    rows = [line.split("|") for line in table.splitlines()]
    return {name for group, _, names, _ in rows if group in groups for name in names.split()}


def test_a_user_without_sudo_is_told_the_whole_command(dev):
    done, log = dev("conformance")
    assert done.returncode == 1
    assert hinted(done.stderr) <= packages("c", "python", "suite")
    assert {"gcc", "cmake", "ninja-build", "libcjson-dev", "libtomcrypt-dev", "python3-venv"} <= hinted(done.stderr)
    assert log == ""


def test_a_command_asks_for_nothing_that_it_does_not_use(dev):
    quick, _ = dev("test", "--quick")
    assert "chromium" not in quick.stderr and "clang" not in quick.stderr
    build, _ = dev("build")
    assert hinted(build.stderr) <= packages("c")


def test_no_install_is_obeyed_by_root(dev):
    done, log = dev("conformance", "--no-install", user=0)
    assert done.returncode == 1 and "gcc" in hinted(done.stderr)
    assert log == ""


def test_root_is_told_the_size_before_anything_is_installed(dev):
    done, log = dev("conformance", user=0)
    assert "Need to get 144 MB" in done.stderr
    assert [line for line in log.splitlines() if " install -y " in line or line.startswith("apt-get install")]


def test_sudo_that_would_ask_for_a_password_without_a_terminal_is_not_waited_for(dev):
    done, log = dev("conformance", sudo='[ "$1" = -n ] && exit 1; sleep 600')
    assert done.returncode == 1 and "gcc" in hinted(done.stderr)
    assert log == ""


@pytest.mark.skipif(not shutil.which("apt-cache"), reason="only Debian's apt knows the names")
def test_every_package_exists():
    if "ID=debian" not in Path("/etc/os-release").read_text(encoding="utf-8").split():
        pytest.skip("the names are Debian's")
    every = packages("c", "python", "suite", "quick", "quick?", "test", "test?", "all?")
    known = subprocess.run(["apt-cache", "policy", *sorted(every)], capture_output=True, text=True, check=True).stdout
    if "gcc:" not in known:
        pytest.skip("the lists of packages are not there (apt-get update)")
    assert every - set(re.findall(r"^(\S+):\n.*\n  Candidate: [^(]", known, re.MULTILINE)) == set()

# SPDX-License-Identifier: MIT
"""Goal: goipc.exe, static and with the DLL, work with each other. Method: each connects to the other, under Wine."""

from __future__ import annotations

import os
import secrets
import subprocess
import threading

import pytest
from under_wine import BUILD, START_LIMIT_S, WINE

STATIC, DLL = BUILD / "static/ref/cli/goipc.exe", BUILD / "dll/bin/goipc.exe"


@pytest.mark.parametrize(("server", "client"), [(STATIC, DLL), (DLL, STATIC)], ids=["dll-static", "static-dll"])
def test_lines_come_back(server, client):
    name = f"goipc-cli-{os.getpid()}-{secrets.token_hex(4)}"
    serving = subprocess.Popen(
        [WINE, server, "serve", name, "--echo"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    guard = threading.Timer(START_LIMIT_S, serving.kill)
    guard.start()
    try:
        assert any("listening at" in line for line in serving.stderr)
        done = subprocess.run(
            [WINE, client, "connect", name, "--quiet", "--timeout", "60000", "--linger", "1000"],
            input=b"one\nzwei \xc3\xa4\n", capture_output=True, timeout=START_LIMIT_S, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, b"one\nzwei \xc3\xa4\n"), done.stderr
    finally:
        guard.cancel()
        serving.kill()
        serving.communicate()


def test_it_knows_its_version():
    done = subprocess.run([WINE, DLL, "version"], capture_output=True, text=True, timeout=START_LIMIT_S, check=True)
    assert done.stdout.startswith("goipc ")

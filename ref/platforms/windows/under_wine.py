# SPDX-License-Identifier: MIT
"""Runs a command while Wine is kept up: under_wine.py COMMAND...

The relay runs meanwhile, and the command finds its control port in GOIPC_RELAY. Without a program that stays, each
program that starts would start Windows first, for seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WINE, BUILD = ROOT / "ref/platforms/windows/wine", ROOT / "build/windows"
START_LIMIT_S = 120  # for a program to come up; a second on a quiet machine


def end_wine() -> None:
    environment = {**os.environ, "WINEPREFIX": str(BUILD / "prefix")}
    subprocess.run(["wineserver", "-k"], check=False, env=environment, stderr=subprocess.DEVNULL, timeout=60)


def main() -> int:
    end_wine()  # what a run that was killed has left
    relay = subprocess.Popen([WINE, BUILD / "relay.exe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    guard = threading.Timer(START_LIMIT_S, relay.kill)
    guard.start()
    try:
        word, port = (relay.stdout.readline().split() + ["", ""])[:2]
        guard.cancel()
        if word != "control":
            sys.exit("the relay did not start")
        return subprocess.run(sys.argv[1:], check=False, env={**os.environ, "GOIPC_RELAY": port}).returncode
    finally:
        guard.cancel()
        relay.stdin.close()  # ends it
        end_wine()
        relay.wait(60)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Wine runs at steady addresses where it may."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("allowed", [True, False])
def test_wine_runs_at_steady_addresses_where_it_may(tmp_path, allowed):
    places = [tmp_path / "ref/platforms/windows", tmp_path / "bin"]
    for place in places:
        place.mkdir(parents=True)
    script = shutil.copy(HERE / "wine", places[0])
    programs = {
        "setarch": 'test "$1" = -R && shift && steady=1 exec "$@"' if allowed else "exit 1",
        "true": "exit 0",
        "wine": 'echo "${steady:-random} $WINEPREFIX $*"',
    }
    for name, body in programs.items():
        (places[1] / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (places[1] / name).chmod(0o755)
    for name in ("sh", "dirname"):
        (places[1] / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [script, "a b.exe", "c"], env={"PATH": str(places[1])}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{'1' if allowed else 'random'} {tmp_path}/build/windows/prefix a b.exe c\n"

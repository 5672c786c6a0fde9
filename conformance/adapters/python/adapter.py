#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The package goipc (ports/python) under the suite: HP/1 on standard input and output, rungs 1 and 2.

With `serve NAME` or `connect NAME` it is an echo program (level 0).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "ports" / "python" / "src"))


def main() -> int:
    if sys.argv[1:]:
        from goipc.__main__ import main as program

        return program([*sys.argv[1:], "--echo"])
    from control import main as control

    return control()


if __name__ == "__main__":
    sys.exit(main())

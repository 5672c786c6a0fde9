# SPDX-License-Identifier: MIT
"""Lets the tests import the tools that lie beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

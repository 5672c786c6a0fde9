# SPDX-License-Identifier: MIT
"""The modules under test stand beside the tests; programs come from build/."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

# SPDX-License-Identifier: MIT
"""How much to draw. Apart from the search, so that the command line does not load Hypothesis for nothing."""

import dataclasses

CONFIRMATIONS = 3  # performances on fresh processes before a finding is reported


@dataclasses.dataclass(frozen=True)
class Profile:
    examples: int
    steps: int


PROFILES = {
    "quick": Profile(50, 15),
    "default": Profile(300, 20),
    "nightly": Profile(20_000, 40),
}

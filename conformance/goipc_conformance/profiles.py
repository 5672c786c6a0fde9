# SPDX-License-Identifier: MIT
"""What is asked for: how far down the levels go, and what is tolerated where."""

import dataclasses

from .case import Instance

# Requirements that a profile turns from an offer into a duty.
_NODE = ("KD-013", "KD-014")


@dataclasses.dataclass(frozen=True)
class Profile:
    name: str
    level: str
    summary: str

    def tolerates(self, instance: Instance, outcome: str) -> bool:
        """Whether an outcome that a case only tolerates is good enough."""
        if self.name == "strict":
            return False
        if self.name == "core":
            # The class of an error is a SHOULD; what happens on the wire is a MUST.
            return "wrong-class" in outcome.split("+") or instance.case.level != "must"
        if self.name == "node-ipc-client":
            return not any(identifier in _NODE for identifier in instance.case.reqs)
        return True


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("all", "may", "every case, tolerated outcomes count as passed (default)"),
        Profile("core", "must", "every MUST, and no tolerance on the wire"),
        Profile("strict", "should", "every MUST and SHOULD, no tolerance at all"),
        Profile("golang-ipc", "must", "every MUST, met at least the way golang-ipc meets it"),
        Profile("node-ipc-client", "may", "as all, and peers that hash 48 bytes of X have to be served"),
    )
}

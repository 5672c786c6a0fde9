# SPDX-License-Identifier: MIT
"""Connections belong to the process that made them (SE-015): a child would repeat nonces, and end what is its
parent's."""

from __future__ import annotations

import os

from .errors import OtherError


class Process:
    """The process in which this object was made."""

    _forks = 0  # between the first process that imported this module and the current one

    def __init__(self) -> None:
        self._made = Process._forks

    @property
    def is_current(self) -> bool:
        return self._made == Process._forks

    def check(self) -> None:
        """Raises OtherError in a child process."""
        if self._made != Process._forks:
            raise OtherError("the connection belongs to the process that made it", "connect after the fork")

    @classmethod
    def _count(cls) -> None:
        cls._forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Process._count)

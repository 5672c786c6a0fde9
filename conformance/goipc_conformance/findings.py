# SPDX-License-Identifier: MIT
"""What a case says: the words and sentences about what it saw, and why it cannot be asked or judged."""

DETAILS_MAX = 20  # sentences about what was seen; the first ones say it


class Verdictless(Exception):
    """The case cannot be asked here, which is no fault of anyone."""


class NotReady(Exception):
    """A server of level 0 that never accepted a connection, or a client that never came."""


class RunnerLacks(Exception):
    """The suite itself lacks descriptors or memory, which says nothing about the implementation."""


class RefusedPeer(Exception):
    """The server does not take connections any more."""


class Findings:
    """`words` are of outcome.WORDS; `details` explain them; `notes` are for the reader of a passed case, too."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.details: list[str] = []
        self.notes: list[str] = []

    def see(self, word: str, detail: str = "") -> None:
        if word not in self.words:
            self.words.append(word)
        if detail and len(self.details) < DETAILS_MAX and detail not in self.details:
            self.details.append(detail)

    def note(self, text: str) -> None:
        self.notes.append(text)

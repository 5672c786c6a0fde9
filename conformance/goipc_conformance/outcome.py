# SPDX-License-Identifier: MIT
"""Outcomes, words from a closed list for what was observed, and the verdicts that follow from them."""

import enum

# An outcome is one word or several joined by "+", in the order of this list, not of time.
WORDS = {
    "conforms": "everything that the case requires happened",
    "reply:N": "the client answered HELLO with this byte",
    "closed": "the connection was ended (end of file, reset and broken pipe are one outcome)",
    "ignored": "the input had no effect and the connection still works",
    "refused": "a failure was reported to the application, but the connection stayed open",
    "accepted": "input that must be refused was accepted",
    "connected": "a connection that must not exist was reported to the application",
    "delivered": "the application received a message that was not sent or must not be delivered",
    "not-delivered": "the application did not receive a message",
    "not-echoed": "the connection works, but an echo is missing",
    "altered": "a message arrived with another type or other data",
    "out-of-order": "messages arrived in another order",
    "sent": "bytes were sent that must not be sent",
    "malformed": "the bytes sent do not have the form that the protocol requires",
    "split": "bytes that must be sent in one write came in several",
    "wedged": "neither closed nor serving: the connection is open but does not react",
    "no-connection": "the client did not connect",
    "refused-new-peer": "afterwards a new peer was not served",
    "silent": "an event that must be reported to the application was not",
    "told-twice": "one failure was reported to the application more than once",
    "wrong-class": "a failure was reported with another class",
    "memory": "memory grew beyond what the limits allow",
    "descriptors": "descriptors were left open",
    "threads": "threads were left running",
    "spinning": "processor time was used while idle",
    "crashed": "the process crashed",
    "hung": "the implementation did not answer its control channel",
}


class Verdict(enum.Enum):
    PASS = "PASS"
    PASS_LENIENT = "PASS-LENIENT"
    FAIL = "FAIL"
    CRASH = "CRASH"
    HANG = "HANG"
    UNSUPPORTED = "UNSUPPORTED"
    SKIP = "SKIP"
    ERROR = "ERROR"
    # With expectations:
    XFAIL = "XFAIL"  # failed exactly as recorded
    XPASS = "XPASS"  # recorded as failing, but passes: the record is stale
    XDIFF = "XDIFF"  # fails in another way than recorded
    # After a retry:
    FLAKY = "FLAKY"  # failed first, passed when it was run again
    XFLAKY = "XFLAKY"  # the same, and the record explains it as a race

    @property
    def counts_as(self) -> str:
        if self in (Verdict.PASS, Verdict.PASS_LENIENT, Verdict.XFAIL, Verdict.XFLAKY):
            return "passed"
        if self in (Verdict.SKIP, Verdict.UNSUPPORTED):
            return "skipped"
        return "failed"


_ORDER = {word: index for index, word in enumerate(WORDS)}


def canonical(words: "list[str] | str") -> str:
    """The one way to write an outcome."""
    found = words.split("+") if isinstance(words, str) else words
    key = {word: _ORDER.get("reply:N" if word.startswith("reply:") else word, len(_ORDER)) for word in found}
    return "+".join(sorted(dict.fromkeys(found), key=lambda word: (key[word], word)))


def known(outcome: str) -> bool:
    return all(word in WORDS or word.startswith("reply:") for word in outcome.split("+"))


def judge(outcome: str, expect: tuple[str, ...], also: tuple[str, ...]) -> Verdict:
    if outcome in expect:
        return Verdict.PASS
    if outcome in also:
        return Verdict.PASS_LENIENT
    words = outcome.split("+")
    if "crashed" in words:
        return Verdict.CRASH
    if "wedged" in words or "hung" in words:
        return Verdict.HANG
    return Verdict.FAIL

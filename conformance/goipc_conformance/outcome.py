# SPDX-License-Identifier: MIT
"""What was seen, in words from a closed list, and what that means for a case."""

import enum

# An outcome is one word or several joined by "+", in the order of this list, whatever was seen first.
WORDS = {
    "conforms": "everything the case asks for happened",
    "reply:N": "the client answered HELLO with this byte",
    "closed": "the connection was ended (end of file, reset and broken pipe are one outcome)",
    "ignored": "the input had no effect and the connection still works",
    "refused": "the application was told of a failure, but the connection was left open",
    "accepted": "what has to be refused was accepted",
    "connected": "the application was told of a connection that must not exist",
    "delivered": "the application was given a message that nobody sent or that must not be delivered",
    "not-delivered": "a message was not given to the application",
    "not-echoed": "the connection works, but an echo is missing",
    "altered": "a message arrived with another type or other data",
    "out-of-order": "messages arrived in another order",
    "sent": "bytes were sent that must not be sent",
    "malformed": "what was sent does not have the form the protocol asks for",
    "split": "what has to leave in one write came in several",
    "wedged": "neither closed nor serving: the connection is open and dead",
    "no-connection": "the client did not connect",
    "refused-new-peer": "afterwards a new peer was not served",
    "silent": "the application was not told what it has to be told",
    "told-twice": "the application was told of one failure more than once",
    "wrong-class": "the application was told another kind of failure",
    "memory": "memory grew beyond what the limits allow",
    "descriptors": "descriptors were left open",
    "threads": "threads were left running",
    "spinning": "the processor is busy while nothing happens",
    "crashed": "the process died",
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
    # When it was asked again:
    FLAKY = "FLAKY"  # not as required or recorded once, but as required or recorded when it was asked again
    XFLAKY = "XFLAKY"  # the same, and the record says that this race is there

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

# SPDX-License-Identifier: MIT
"""What may come of an operation, without anything that could perform it: the oracle of the generated tier.

A connection is open or there is none. What was sent whole and valid while it was open comes back in order and
nothing else does; what must end a connection ends it; afterwards the next peer is served.
"""

from . import operations as ops

OPEN, ECHOED, IGNORED, CLOSED, SERVED, TURNED_AWAY = "open", "echoed", "ignored", "closed", "served", "turned-away"
Message = tuple[int, bytes]


class Model:
    def __init__(self, knobs: ops.Knobs):
        self.knobs = knobs
        self.open = False
        self.owed: list[Message] = []  # what has to come back, in this order
        self.sent = 0  # messages on the open connection, which can be sent again

    def allowed(self, operation: ops.Operation) -> tuple[str, ...]:
        """The outcomes that conform; none where the operation means nothing now and is not performed."""
        match operation:
            case ops.Connect():
                return () if self.open else (OPEN,)
            case ops.BadHandshake():
                return () if self.open else (CLOSED,)
            case _ if not self.open:
                return ()
            case ops.Messages() | ops.Pause():
                return (ECHOED,)
            case ops.Control():
                return (IGNORED,)
            case ops.BadSeal():
                return (CLOSED,) if self.knobs.encrypted else ()
            case ops.Resend():
                return self._repeated() if self.sent else ()
            case ops.Rearrange(how="duplicate"):
                return self._repeated()
            case ops.Rearrange(how="same-nonce"):
                return self._repeated() if self.knobs.encrypted else ()
            case ops.Rearrange():
                return (ECHOED,)
            case ops.Beside():
                return (SERVED, TURNED_AWAY) if self.knobs.role == "server" else ()
            case _:
                return (CLOSED,)

    def _repeated(self) -> tuple[str, ...]:
        """A receiver may refuse a nonce that it has seen (SE-014), and need not; a plain frame has none."""
        return (ECHOED, CLOSED) if self.knobs.encrypted else (ECHOED,)

    def happened(self, outcome: str) -> None:
        """The connection after this outcome."""
        if outcome in (OPEN, CLOSED):
            self.open = outcome == OPEN
            self.owed.clear()
            self.sent = 0

    def owes(self, messages: list[Message]) -> None:
        self.owed += messages
        self.sent += len(messages)

    def arrives(self, message: Message) -> str | None:
        """What is wrong with a message that came back, as a word of outcome.WORDS."""
        if self.owed and message == self.owed[0]:
            del self.owed[0]
            return None
        if message in self.owed:
            return "out-of-order"
        return "altered" if self.owed else "delivered"

# SPDX-License-Identifier: MIT
"""What can be done to an implementation, as data: a session is a list of these and a few knobs. Nothing
in here knows keys, nonces or sockets; those are made when it is performed, anew every time."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

SCHEMA = "goipc-trace-v1"
PROMOTED = Path(__file__).parent / "promoted"  # traces that became cases


@dataclasses.dataclass(frozen=True)
class Operation:
    """`kind` is its name in files; the fields are its parameters."""

    kind: ClassVar[str] = ""
    # Whether the connection, if there is one, must be over after it.
    ends: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        return {"op": self.kind, **dataclasses.asdict(self)}

    @property
    def signature(self) -> str:
        """What distinguishes one finding from another."""
        return self.kind


@dataclasses.dataclass(frozen=True)
class Messages(Operation):
    """Valid messages in one write, cut at these places (in thousandths of the whole)."""

    kind: ClassVar[str] = "messages"
    types: tuple[int, ...] = (1,)
    sizes: tuple[int, ...] = (0,)
    cuts: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Control(Operation):
    """A frame of type 0, to be discarded."""

    kind: ClassVar[str] = "control"
    size: int = 0


@dataclasses.dataclass(frozen=True)
class BadLength(Operation):
    """A frame whose length cannot be: 0, one too little, one too much, or 2^32 - 1."""

    kind: ClassVar[str] = "bad-length"
    ends: ClassVar[bool] = True
    length: str = "zero"  # zero, short, over, huge

    @property
    def signature(self) -> str:
        return f"{self.kind}.{self.length}"


@dataclasses.dataclass(frozen=True)
class BadSeal(Operation):
    """A sealed frame with one thing wrong; without encryption it does nothing."""

    kind: ClassVar[str] = "bad-seal"
    ends: ClassVar[bool] = True
    fault: str = "tag"  # tag, body, nonce, short-plaintext, reflected
    bit: int = 0

    @property
    def signature(self) -> str:
        return f"{self.kind}.{self.fault}"


@dataclasses.dataclass(frozen=True)
class Truncate(Operation):
    """The first part of a valid frame, then the end of our direction."""

    kind: ClassVar[str] = "truncate"
    ends: ClassVar[bool] = True
    size: int = 20
    keep: int = 500  # thousandths


@dataclasses.dataclass(frozen=True)
class Leave(Operation):
    """We go: in order, or at once with everything unread."""

    kind: ClassVar[str] = "leave"
    ends: ClassVar[bool] = True
    how: str = "finish"  # finish, abrupt

    @property
    def signature(self) -> str:
        return f"{self.kind}.{self.how}"


@dataclasses.dataclass(frozen=True)
class Resend(Operation):
    """A frame that went before on this connection, byte for byte: the last one, or so many before it. Where it was
    sealed, its nonce comes a second time, too."""

    kind: ClassVar[str] = "resend"
    back: int = 0


@dataclasses.dataclass(frozen=True)
class Rearrange(Operation):
    """Valid frames in one write, but not as they were made: two have changed places, one is missing, one is there
    twice, or two were sealed with one nonce. `at` is which."""

    kind: ClassVar[str] = "rearrange"
    HOWS: ClassVar[tuple[str, ...]] = ("swap", "drop", "duplicate", "same-nonce")
    how: str = "swap"
    sizes: tuple[int, ...] = (1, 2)
    at: int = 0

    @property
    def signature(self) -> str:
        return f"{self.kind}.{self.how}"


@dataclasses.dataclass(frozen=True)
class Pause(Operation):
    """A valid frame that stops in the middle for a while and then goes on."""

    kind: ClassVar[str] = "pause"
    size: int = 20
    keep: int = 500  # thousandths that come before the pause
    ms: int = 1


@dataclasses.dataclass(frozen=True)
class Abort(Operation):
    """The first part of a valid frame, none of it or some, then we are gone in both directions."""

    kind: ClassVar[str] = "abort"
    ends: ClassVar[bool] = True
    size: int = 20
    keep: int = 0  # thousandths


@dataclasses.dataclass(frozen=True)
class Beside(Operation):
    """For a server: a second peer while the first one is there. It is served, or turned away at once, and the first
    one notices nothing. Then one of the two goes: the second in order or at once, or the first."""

    kind: ClassVar[str] = "beside"
    HOWS: ClassVar[tuple[str, ...]] = ("finish", "abrupt", "stays")
    how: str = "finish"

    @property
    def signature(self) -> str:
        return f"{self.kind}.{self.how}"


@dataclasses.dataclass(frozen=True)
class Connect(Operation):
    """A connection with a proper handshake, its messages cut or not."""

    kind: ClassVar[str] = "connect"
    every: int = 0  # cut our handshake messages after so many bytes; 0: whole


@dataclasses.dataclass(frozen=True)
class BadHandshake(Operation):
    """A connection whose handshake goes wrong in one place.

    The faults of a key are told apart, because they reach different code: `key-off-curve` is well formed (97 bytes, 04,
    both coordinates in range) and only no point of the curve; `key-prefix` is a point that does not begin with
    04; `garbage` is one byte repeated; `key-cut` is too short. `vanish` leaves between two steps, `abort` after
    any number of our bytes.
    """

    kind: ClassVar[str] = "bad-handshake"
    ends: ClassVar[bool] = True
    # Without encryption nobody sends a key.
    FAULTS: ClassVar[tuple[str, ...]] = ("vanish", "abort", "reply", "limit-reply-cut")
    KEY_FAULTS: ClassVar[tuple[str, ...]] = ("garbage", "key-off-curve", "key-prefix", "key-cut")
    fault: str = "vanish"
    value: int = 1

    @property
    def signature(self) -> str:
        return f"{self.kind}.{self.fault}"


KINDS: dict[str, type[Operation]] = {
    one.kind: one
    for one in (
        *(Messages, Control, BadLength, BadSeal, Truncate, Leave, Resend, Rearrange, Pause, Abort, Beside),
        *(Connect, BadHandshake),
    )
}


def simpler(operation: Operation) -> Iterator[Operation]:
    """Smaller operations of the same signature, the boldest first: shorter lists, numbers nearer to the least."""
    default = type(operation)()
    for field in dataclasses.fields(operation):
        value, least = getattr(operation, field.name), getattr(default, field.name)
        if isinstance(value, tuple):
            lists = _simpler_list(operation, value)
            # Type 0 is no message.
            yield from (
                dataclasses.replace(operation, **{field.name: one})
                for one in lists
                if field.name != "types" or 0 not in one
            )
        elif isinstance(value, int):
            yield from (dataclasses.replace(operation, **{field.name: one}) for one in _simpler_number(value))
        else:
            assert isinstance(least, str)  # a fault by name, which is part of what was found


def _simpler_list(operation: Operation, value: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    keep = 2 if isinstance(operation, Rearrange) else 0
    if len(value) > keep:
        yield value[:keep]
        yield from (value[:at] + value[at + 1 :] for at in range(len(value)))
    for at, number in enumerate(value):
        yield from (value[:at] + (one,) + value[at + 1 :] for one in _simpler_number(number))


def _simpler_number(value: int) -> Iterator[int]:
    """Towards 0, first all the way, then half, a quarter, an eighth ... of it."""
    step = value
    while step > 0:
        yield value - step
        step //= 2


class TraceError(Exception):
    """A file that is no trace of ours."""


def operation_from_json(entry: dict[str, Any]) -> Operation:
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items() if key != "op"}
    try:
        return KINDS[entry["op"]](**fields)
    except (KeyError, TypeError) as error:
        raise TraceError(f"not an operation: {entry!r} ({error})") from None


@dataclasses.dataclass(frozen=True)
class Knobs:
    """What holds for a whole session."""

    role: str = "server"  # of the implementation under test
    encrypted: bool = True
    maximum: int = 65536

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Trace:
    knobs: Knobs
    operations: tuple[Operation, ...]
    seed: str = "1"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "seed": self.seed,
            "knobs": self.knobs.to_json(),
            "operations": [one.to_json() for one in self.operations],
        }

    @staticmethod
    def from_json(document: dict[str, Any]) -> "Trace":
        if document.get("schema") != SCHEMA:
            raise TraceError(f"the schema is {document.get('schema')!r}, not {SCHEMA!r}")
        try:
            return Trace(
                Knobs(**document["knobs"]),
                tuple(operation_from_json(entry) for entry in document["operations"]),
                str(document.get("seed", "1")),
            )
        except (KeyError, TypeError) as error:
            raise TraceError(f"not a trace: {error}") from None

    @property
    def describe(self) -> str:
        mode = "encrypted" if self.knobs.encrypted else "plain"
        return f"{self.knobs.role}, {mode}: " + ", ".join(one.signature for one in self.operations)

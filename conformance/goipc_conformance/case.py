# SPDX-License-Identifier: MIT
"""A case: what is asked, of whom, why, and what may come of it. The cases themselves are in `cases/`."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .outcome import canonical, known

ENC = ("on", "off")
BOTH = ("server", "client")
AREAS = {
    "codec": "codec without sockets",
    "hs": "handshake",
    "key": "public keys and key derivation",
    "frame": "frames",
    "seal": "sealed frames",
    "type": "message types",
    "limit": "limits",
    "conn": "life of a connection",
    "close": "closing",
    "api": "what the application is told",
    "end": "endpoints and names",
    "res": "resources",
}


@dataclasses.dataclass(frozen=True)
class Case:
    id: str
    title: str
    why: str
    hint: str
    reqs: tuple[str, ...]
    expect: tuple[str, ...]
    body: Callable[..., None]
    also: tuple[str, ...] = ()
    level: str = "must"
    roles: tuple[str, ...] = BOTH
    adapter_level: int = 0
    needs: tuple[str, ...] = ()
    params: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    when: Callable[..., bool] | None = None
    tags: tuple[str, ...] = ()
    config: Callable[..., dict[str, Any]] | None = None
    liveness: bool = True
    positive: bool = False
    own_server: bool = False  # the body opens the server itself
    group: int = 0  # requests of the ladder
    since: str = "1.0"

    @property
    def area(self) -> str:
        return self.id.split(".")[0]

    def instances(self) -> "list[Instance]":
        names = sorted(self.params)
        result = []
        for role in self.roles:
            for values in itertools.product(*(self.params[name] for name in names)):
                params = dict(zip(names, values))
                if self.when is None or self.when(role=role, **params):
                    result.append(Instance(self, role, params))
        return result


@dataclasses.dataclass(frozen=True)
class Instance:
    """One case with its parameters, in one role of the implementation under test."""

    case: Case
    role: str
    params: dict[str, Any]

    @property
    def id(self) -> str:
        if not self.params:
            return self.case.id
        return f"{self.case.id}[{','.join(f'{key}={value}' for key, value in sorted(self.params.items()))}]"

    @property
    def key(self) -> str:
        return f"{self.role}:{self.id}"


REGISTRY: dict[str, Case] = {}
Body = TypeVar("Body", bound=Callable[..., None])


def case(
    id: str,
    title: str,
    *,
    reqs: str,
    expect: str,
    why: str,
    hint: str = "",
    also: str = "",
    **options: Any,
) -> Callable[[Body], Body]:
    """Declares a case. `reqs`, `expect` and `also` are words separated by blanks."""

    def declare(body: Body) -> Body:
        assert id not in REGISTRY, f"two cases named {id}"
        assert id.split(".")[0] in AREAS, f"{id}: unknown area"
        assert all(map(known, (expect + " " + also).split())), f"{id}: unknown outcome"
        REGISTRY[id] = Case(
            id=id,
            title=title,
            why=why,
            hint=hint,
            reqs=tuple(reqs.split()),
            expect=tuple(map(canonical, expect.split())),
            also=tuple(map(canonical, also.split())),
            body=body,
            **options,
        )
        return body

    return declare

# SPDX-License-Identifier: MIT
"""Cases that the generated tier found: each is a trace file in generated/promoted."""

import json
from typing import Any

from ..case import case
from ..generated import operations as ops
from ..generated.performer import Finding, Performer


def declare(content: dict[str, Any]) -> None:
    trace, facts = ops.Trace.from_json(content), content["case"]

    @case(
        facts["id"],
        facts["title"],
        reqs=" ".join(facts["reqs"]),
        expect="conforms",
        params={"enc": ("on" if trace.knobs.encrypted else "off",)},
        roles=(trace.knobs.role,),
        liveness=False,
        tags=("generated",),
        why=facts["why"],
        hint=facts["hint"],
        config=lambda **_: {"maximum": trace.knobs.maximum},
    )
    def perform(t: Any) -> None:
        performer = Performer(t, trace.knobs)
        try:
            for operation in trace.operations:
                performer.perform(operation)
            performer.finish()
        except Finding as finding:
            t.see(finding.word, finding.detail)


for path in sorted(ops.PROMOTED.glob("*.json")):
    declare(json.loads(path.read_text(encoding="utf-8")))

# SPDX-License-Identifier: MIT
"""The way of a new port from nothing to everything: one step at a time, and always the next thing to do."""

import argparse
import dataclasses
from collections.abc import Callable

from . import running
from .case import Instance
from .report import text, totals_line


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    belongs: Callable[[Instance], bool]
    next_thing: str


def _plain_echo(instance: Instance) -> bool:
    return (
        instance.params.get("enc") == "off" and instance.case.positive and instance.case.area in ("hs", "frame", "type")
    )


def _handshakes(instance: Instance) -> bool:
    return instance.case.area in ("hs", "key") and instance.params.get("enc", "on") == "on" and instance.case.positive


def _sealed(instance: Instance) -> bool:
    return instance.params.get("enc") == "on" and instance.case.positive


STEPS = (
    Step(
        "codec",
        lambda i: i.case.area == "codec",
        "encode and decode frames, and derive the key from X without its leading zero bytes (no socket needed yet)",
    ),
    Step(
        "plain echo",
        _plain_echo,
        "listen at or connect to /tmp/NAME.sock, the plain handshake messages, and frames in any number of pieces",
    ),
    Step("handshake", _handshakes, "the two public keys, the key derivation and the sealed limit"),
    Step("sealed frames", _sealed, "AES-256-GCM around every frame, a nonce that never repeats"),
    Step(
        "limits and application",
        lambda i: i.case.area in ("limit", "type", "api", "end"),
        "limits on what is sent and received, names, and what the application is told",
    ),
    Step(
        "hostile peers",
        lambda i: bool({"dos", "security"} & set(i.case.tags)),
        "refuse what cannot be, close that one connection, and go on serving",
    ),
    Step("everything", lambda i: True, "the rest: order, closing, reconnecting"),
)


def climb(options: argparse.Namespace, instances: list[Instance]) -> int:
    left, totals, code = list(instances), {"passed": 0, "failed": 0, "skipped": 0}, 0
    asked_any = False
    for number, step in enumerate(STEPS, 1):
        mine = [instance for instance in left if step.belongs(instance)]
        left = [instance for instance in left if not step.belongs(instance)]
        if not mine:
            continue
        run = running.perform(options, mine)
        for key, value in run.totals.items():
            totals[key] += value
        asked = run.totals["passed"] + run.totals["failed"]
        asked_any = asked_any or asked > 0
        print(
            f"step {number} of {len(STEPS)}, {step.name}: "
            + (totals_line(run.totals) if asked else f"not run ({run.totals['skipped']} skipped)")
        )
        if run.exit_code in (1, 3, 130):
            code = run.exit_code
            if run.interrupted:
                print("\nInterrupted.")
                break
            failed = [result for result in run.results if result.verdict.counts_as == "failed"]
            result = failed[0]
            print(f"\nFirst of {len(failed)} failures in this step:\n{result.verdict.value} {result.key}")
            print("\n".join(text.failure_lines(result, text.again(result, run), options.verbose)))
            print(f"\nNext: {step.next_thing}.")
            break
    else:
        code = 0 if asked_any else 2
        print("\nAll steps passed." if asked_any else "\nNo case could run.")
    print(totals_line(totals))
    return code

# SPDX-License-Identifier: MIT
"""Asks again what was not as required, so that a race is told from a fault, and a loaded machine from both.

The repetitions run one at a time, each on a fresh process, after everything else. A case that is never as required or
recorded keeps its verdict. One that is, once it is asked again, is FLAKY: not reliable, so it fails, and every outcome
is shown. It is XFLAKY and passes only where the record of the implementation names the race and every outcome is one
that the race explains.
"""

from collections.abc import Callable

from .engine import Engine, Repeat, Result
from .expectations import Expectations, judge_by
from .outcome import Verdict

# So many failures are no accident of timing; to ask them all again would only take long.
SUSPECTS_MAX = 20


def confirm(
    engine: Engine,
    results: list[Result],
    record: Expectations | None,
    times: int,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    suspects = [result for result in results if result.verdict.counts_as == "failed"]
    if not times or len(suspects) > SUSPECTS_MAX:
        return
    for suspect in suspects:
        say(f"asking {suspect.key} again, up to {times} times")
        settle(suspect, engine, record, times)


def settle(suspect: Result, engine: Engine, record: Expectations | None, times: int) -> None:
    races = [record.race_for(suspect) if record else None]
    for _ in range(times):
        repeat = engine.ask(suspect.instance)
        if record:
            judge_by(record, repeat)
        suspect.repeats += (Repeat(repeat.verdict, repeat.outcome or repeat.reason),)
        if repeat.verdict.counts_as == "passed":
            suspect.race = races[0]
            suspect.verdict = Verdict.XFLAKY if all(races) else Verdict.FLAKY
            return
        races.append(record.race_for(repeat) if record else None)

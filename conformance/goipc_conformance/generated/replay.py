# SPDX-License-Identifier: MIT
"""Trace files: a finding as semantic operations, independent of Hypothesis and of keys and nonces, which are
made anew when it is performed. Promoted ones are permanent cases."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__
from ..adapter.subject import Subject
from ..wire import LogEntry
from . import operations as ops
from .search import Found, minimal, perform_trace


def wire_to_json(wire: list[LogEntry]) -> list[dict[str, Any]]:
    return [
        {
            "t": round(entry.at, 6),
            "dir": entry.direction,
            "peer": entry.peer,
            "label": entry.label,
            "size": entry.size,
            "hex": entry.data[:256].hex(),
        }
        for entry in wire
    ]


def document(found: Found, subject: str) -> dict[str, Any]:
    return found.trace.to_json() | {
        "suite": __version__,
        "subject": subject,
        "expected": "conforms",
        "observed": {
            "word": found.word,
            "detail": found.detail,
            "signature": found.signature,
            "verdict": found.verdict,
            "again": found.again,
        },
        "wire": wire_to_json(found.wire),
    }


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[ops.Trace, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ops.TraceError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ops.TraceError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ops.TraceError(f"{path} is no trace: it holds no object")
    return ops.Trace.from_json(content), content


def shrink(make_subject: Callable[[str], Subject], trace: ops.Trace, timeout: float) -> ops.Trace | None:
    """The least part of it that shows the same; None when it shows nothing."""
    finding, _ = perform_trace(make_subject, trace, timeout)
    return minimal(make_subject, trace, finding, timeout) if finding else None


def promote(
    content: dict[str, Any], identifier: str, title: str, reqs: list[str], directory: Path = ops.PROMOTED
) -> Path:
    """Makes a case of it: the operations and what the case needs, without the run that found it."""
    trace = ops.Trace.from_json(content)
    path = directory / f"{identifier}.json"
    if path.exists():
        raise ops.TraceError(f"there is a case {identifier} already: {path}")
    observed = content.get("observed", {})
    write(
        path,
        trace.to_json()
        | {
            "case": {
                "id": identifier,
                "title": title,
                "reqs": reqs,
                "why": f"Found by the generated tier: {observed.get('signature', 'a departure from the model')}.",
                "hint": str(observed.get("detail", "")),
            }
        },
    )
    return path

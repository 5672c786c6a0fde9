# SPDX-License-Identifier: MIT
"""Finds files that come with the suite: copied into the package when it is installed, in the tree otherwise."""

from importlib import resources
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLED = _PACKAGE / "data"
_SUITE = _PACKAGE.parent
# Where each bundled file lives in the source tree.
SOURCES = {
    "requirements.json": _SUITE.parent / "spec" / "requirements.json",
    "spec.md": _SUITE.parent / "spec" / "goipc.md",
    "schemas": _SUITE / "schemas",
    "expectations": _SUITE / "expectations",
    "harness-protocol.md": _SUITE / "docs" / "harness-protocol.md",
    "vectors": _SUITE.parent / "spec" / "vectors",
}


def find(name: str) -> Path | None:
    """A bundled file or folder by name, such as "schemas/hp1.schema.json"."""
    head, _, rest = name.partition("/")
    for base in (SOURCES.get(head), _BUNDLED / head):
        if base is not None:
            path = base / rest if rest else base
            if path.exists():
                return path
    return None


def read_text(name: str) -> str | None:
    """Through the loader, so that it works from inside a zip application, too."""
    path = find(name)
    if path is not None:
        return path.read_text(encoding="utf-8")
    try:
        return resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    except (OSError, TypeError):
        return None


def read_registry() -> str | None:
    """The register of cases, part of the package; None when it is not there."""
    try:
        return resources.files(__package__).joinpath("cases/registry.toml").read_text(encoding="utf-8")
    except OSError:
        return None

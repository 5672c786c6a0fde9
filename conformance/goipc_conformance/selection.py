# SPDX-License-Identifier: MIT
"""Selecting cases: globs over IDs, `@file`, `req:ID`, `tag:NAME`, `area:NAME`, and `!` before any of them."""

import fnmatch
import functools
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from . import cases as _cases  # noqa: F401  (fills the registry)
from . import data_files
from .case import REGISTRY, Instance


class SelectionError(Exception):
    """A selector that selects nothing, or cannot be read."""


LEVELS = {"must": ("must",), "should": ("must", "should"), "may": ("must", "should", "may")}


@functools.cache
def aliases() -> dict[str, str]:
    """Earlier names of cases, from the registry."""
    text = data_files.read_registry()
    entries = tomllib.loads(text).get("case", []) if text else []
    return {alias: entry["id"] for entry in entries for alias in entry.get("aliases", ())}


# Earlier words for values of parameters.
_VALUES = (("step=half-hello", "step=half-greeting"), ("step=hello", "step=greeting"))


@functools.cache
def earlier_names(case_id: str) -> tuple[str, ...]:
    return tuple(alias for alias, current in aliases().items() if current == case_id)


def names_of(instance: Instance) -> set[str]:
    """Every name that a selector may call the instance or its case by, the earlier ones included."""
    parameters = {instance.id.removeprefix(instance.case.id)}
    for new, old in _VALUES:
        parameters |= {text.replace(new, old) for text in parameters}
    bases = (instance.case.id, *earlier_names(instance.case.id))
    return {base + text for base in bases for text in ("", *parameters)}


@functools.cache
def all_instances() -> tuple[Instance, ...]:
    return tuple(instance for case in REGISTRY.values() for instance in case.instances())


def _glob(pattern: str) -> re.Pattern[str]:
    """Brackets belong to IDs, so only * and ? are special. A bare case ID stands for all its parameters."""
    escaped = re.sub(r"([\[\]])", lambda match: {"[": "[[]", "]": "[]]"}[match.group(1)], pattern)
    return re.compile(fnmatch.translate(escaped))


def matcher(selector: str) -> Callable[[Instance], bool]:
    kind, _, value = selector.partition(":")
    if kind == "req":
        return lambda instance: value in instance.case.reqs
    if kind == "tag":
        return lambda instance: value in instance.case.tags
    if kind == "area":
        return lambda instance: instance.case.area == value
    role = None
    if kind in ("server", "client", "codec") and value:
        role, selector = kind, value
    if selector.count("[") != selector.count("]"):
        raise SelectionError(f"{selector!r} has a bracket without its partner")
    pattern = _glob(selector)
    return lambda instance: (role is None or instance.role == role) and any(map(pattern.match, names_of(instance)))


def _expand(selectors: Iterable[str]) -> list[str]:
    result = []
    for selector in selectors:
        if not selector.startswith("@"):
            result.append(selector)
            continue
        try:
            lines = Path(selector[1:]).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise SelectionError(f"cannot read {selector[1:]}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SelectionError(f"cannot read {selector[1:]}: it is not UTF-8") from None
        result += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return result


def select(
    selectors: Iterable[str], *, roles: Iterable[str] = (), level: str = "may", tags: Iterable[str] = ()
) -> list[Instance]:
    """Every selector has to match something, so that a slip of the pen never makes a run pass."""
    chosen = [i for i in all_instances() if i.case.level in LEVELS[level]]
    wanted_roles = set(roles)
    words = _expand(selectors)
    positive = [word for word in words if not word.startswith("!")]
    for word in words:
        matches = matcher(word.lstrip("!"))
        if not any(map(matches, all_instances())):
            raise SelectionError(f"no case matches {word!r}; `goipc-conformance list` shows them all")
    if positive:
        matchers = [matcher(word) for word in positive]
        chosen = [i for i in chosen if any(matches(i) for matches in matchers)]
    for word in words:
        if word.startswith("!"):
            unwanted = matcher(word[1:])
            chosen = [i for i in chosen if not unwanted(i)]
    if wanted_roles:
        chosen = [i for i in chosen if i.role in wanted_roles]
    if not chosen:
        raise SelectionError("the selection is empty")
    return chosen

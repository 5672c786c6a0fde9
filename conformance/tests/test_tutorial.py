# SPDX-License-Identifier: MIT
"""Follows docs/tutorial.md literally: its files are written, its commands typed, its exit codes and lines compared."""

import re
import shlex

import pytest
from conftest import SUITE

BLOCK = re.compile(r"^```(\w+) (\w+)=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps():
    return BLOCK.findall((SUITE / "docs" / "tutorial.md").read_text(encoding="utf-8"))


def test_the_tutorial_has_steps():
    assert [kind for kind, *_ in steps()].count("console") >= 4


def test_the_tutorial_works(suite, tmp_path):
    for kind, _, value, body in steps():
        if kind == "python":
            (tmp_path / value).write_text(body, encoding="utf-8")
            continue
        command, *wanted = body.strip().splitlines()
        words = shlex.split(command.removeprefix("$ "))
        assert words[0] == "goipc-conformance"
        done = suite(*words[1:], "--timeout-scale", "0.5", timeout=400)
        assert done.returncode == int(value), f"{command}\n{done.stdout[-3000:]}{done.stderr}"
        for line in wanted:
            assert line.strip() in done.stdout, f"{command}: {line!r} is not in\n{done.stdout[-3000:]}"


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md", "docs/verdicts.md", "docs/harness-protocol.md"])
def test_links_lead_somewhere(name):
    page = SUITE / name
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link

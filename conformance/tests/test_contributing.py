# SPDX-License-Identifier: MIT
"""CONTRIBUTING.md says how a case, a requirement and an error code are added; each list is followed in a copy."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import SUITE

ROOT = SUITE.parent
COPIED = ("spec", "tools", "conformance/goipc_conformance", "conformance/schemas", "ref/include", "ref/src")
CASE = """

@case(
    "end.{}",
    "A case that a test adds",
    reqs="EP-003",
    expect="conforms",
    positive=True,
    roles=SERVER,
    liveness=False,
    why="The steps of CONTRIBUTING.md have to work.",
)
def added(t):
    t.fresh()
"""


def steps(heading):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {heading}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL).group(1)
    return re.split(r"^\d\. ", section, flags=re.MULTILINE)[1:]


@pytest.fixture
def tree(tmp_path):
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(tree, *command):
    environment = {**os.environ, "PYTHONPATH": str(tree / "conformance"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        list(map(str, command)), cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def texts(tree):
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def changed(before, after):
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize("heading", ["Add a case", "Add a requirement", "Add an error code"])
def test_a_list_has_at_most_four_steps_and_names_what_there_is(heading):
    found = steps(heading)
    assert 1 <= len(found) <= 4
    commands = (ROOT / "dev").read_text(encoding="utf-8")
    for name in re.findall(r"`([^`]+)`", " ".join(found)):
        if name.startswith("./dev "):
            assert f"\n{name.split()[1]}|" in commands, name
        elif "/" in name:
            assert (ROOT / name).exists(), name


def test_a_case_is_one_file_by_hand_and_one_that_is_generated(tree):
    before = texts(tree)
    path = tree / "conformance/goipc_conformance/cases/endpoints.py"
    path.write_text(path.read_text(encoding="utf-8") + CASE.format("added"), encoding="utf-8")
    said = run(tree, sys.executable, "-m", "goipc_conformance", "register", "--accept")
    assert "1 of them new: end.added" in said
    assert changed(before, texts(tree)) == {
        "conformance/goipc_conformance/cases/endpoints.py",
        "conformance/goipc_conformance/cases/registry.toml",
    }
    assert "end.added" in run(tree, sys.executable, "-m", "goipc_conformance", "explain", "end.added")


def test_a_requirement_is_one_file_by_hand(tree):
    before = texts(tree)
    path = tree / "spec/goipc.md"
    text = path.read_text(encoding="utf-8")
    last = re.search(r'<a id="HS-040">.*\n\n', text)
    sentence = '<a id="HS-041"></a>**[HS-041]** (both; wire) A peer MUST do what a test adds.\n\n'
    path.write_text(text[: last.end()] + sentence + text[last.end() :], encoding="utf-8")
    for tool in ("requirements.py", "generate.py"):
        run(tree, sys.executable, tree / "spec/tools" / tool)
    assert changed(before, texts(tree)) == {"spec/goipc.md", "spec/requirements.json"}
    known = json.loads((tree / "spec/requirements.json").read_text(encoding="utf-8"))["requirements"]
    assert "A peer MUST do what a test adds." in [one["text"] for one in known if one["id"] == "HS-041"]
    assert "| [HS-041](#HS-041) |" in path.read_text(encoding="utf-8")


def test_an_error_code_is_one_line_of_the_header(tree):
    if (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        pytest.skip("no C compiler")
    header = tree / "ref/include/goipc.h"
    first, rest = header.read_text(encoding="utf-8").split("    X(ARGUMENT, 100,", 1)
    header.write_text(f'{first}    X(ADDED, 199, "what a test adds") \\\n    X(ARGUMENT, 100,{rest}', encoding="utf-8")
    program = tree / "program.c"
    program.write_text(
        '#include "goipc.h"\n#include <stdio.h>\n'
        'int main(void) { printf("%s: %s", goipc_error_name(GOIPC_ERROR_ADDED),'
        " goipc_error_text(GOIPC_ERROR_ADDED)); }\n",
        encoding="utf-8",
    )
    (source,) = (tree / "ref/src").rglob("error.c")
    includes = ["-I", header.parent, "-I", tree / "ref/src"]
    run(tree, compiler, "-std=c11", "-Wall", "-Werror", *includes, "-o", tree / "program", program, source)
    assert run(tree, tree / "program") == "ADDED: what a test adds"

# SPDX-License-Identifier: MIT
"""The files for CI systems, run step by step as their systems would run them, but for the installation."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from conftest import SUITE, TOY

CASES = "server:hs.hello-reply.version"


@pytest.fixture
def program(tmp_path):
    """A folder with the command as an installation leaves it."""
    folder = tmp_path / "goipc-conformance" / "bin"
    folder.mkdir(parents=True)
    command = folder / "goipc-conformance"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m goipc_conformance "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


def shell(script, folder, program, **variables):
    places = {"PYTHONPATH": str(SUITE), "PATH": f"{program}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **places, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def adapter(tmp_path):
    """A command with a blank in it, which only quotes keep whole."""
    folder = tmp_path / "my adapter"
    folder.mkdir()
    start = folder / "start"
    start.write_text(f'#!/bin/sh\nexec "{TOY[0]}" "{TOY[1]}" "$@"\n', encoding="utf-8")
    start.chmod(0o755)
    return start


@pytest.mark.parametrize("fault, status", [("", 0), ("altered", 1)])
def test_the_action(tmp_path, program, adapter, fault, status):
    action = yaml.safe_load((SUITE / "action.yml").read_text(encoding="utf-8"))
    steps = {step.get("id"): step for step in action["runs"]["steps"]}
    inputs = {name: value["default"] for name, value in action["inputs"].items()}
    inputs |= {"command": f"'{adapter}' {fault}", "select": f"{CASES} server:type.zero.between"}
    variables = {name: inputs[text.split(".")[1].rstrip(" }")] for name, text in steps["run"]["env"].items()}
    variables |= {"RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary"}
    done = shell(steps["run"]["run"], tmp_path, program, **variables)
    assert done.returncode == status, done.stdout + done.stderr
    results = (tmp_path / "output").read_text(encoding="utf-8").strip().removeprefix("results=")
    assert json.loads((tmp_path / results).read_text(encoding="utf-8"))["cases"]
    assert "passed" in (tmp_path / "summary").read_text(encoding="utf-8")


@pytest.mark.parametrize("fault, status", [("", 0), ("altered", 1)])
def test_the_gitlab_jobs(tmp_path, program, adapter, fault, status):
    jobs = yaml.safe_load((SUITE / "docs" / "gitlab-ci.yml").read_text(encoding="utf-8"))
    assert jobs["conformance"]["parallel"] == 4
    cases = {"ADAPTER": f"{TOY[0]} {TOY[1]} {fault}"}
    install, *run = jobs["conformance"]["script"]
    assert install.startswith("pip install")
    script = "\n".join(run).replace(
        "goipc-conformance run ", f"goipc-conformance run '{CASES}' server:type.zero.between "
    )
    states = [
        shell(script, tmp_path, program, CI_NODE_INDEX=str(index), CI_NODE_TOTAL="4", **cases).returncode
        for index in (1, 2, 3, 4)
    ]
    assert max(states) == status
    install, *judge = jobs["judge"]["script"]
    done = shell("\n".join(judge), tmp_path, program)
    assert done.returncode == status, done.stdout + done.stderr
    whole = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    parts = [json.loads((tmp_path / f"results-{index}.json").read_text(encoding="utf-8")) for index in (1, 2, 3, 4)]
    assert len(whole["cases"]) == sum(len(part["cases"]) for part in parts) > 1
    page = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert page.split("</table>")[0].count("<tr>") == 2, "one row below the head: the run, not its shards"

# SPDX-License-Identifier: MIT
"""The suite away from its tree: as a wheel, which is what pip and pipx install, and as one file."""

import os
import re
import subprocess
import sys

import pytest
from conftest import SUITE, TOY

FEW = ["server:hs.complete", "server:key.prefix"]
OFFLINE = re.compile(
    r"No matching distribution|Could not find a version|ConnectionError|NewConnectionError|Could not fetch"
)


def run(words, cwd, **environment):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**clean, "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts)


def examine(command, folder, **environment):
    """What an installed suite has to be able to do without the tree."""
    done = run([*command, "explain", "key.off-curve"], folder, **environment)
    assert done.returncode == 0 and "KD-008" in done.stdout, done.stdout + done.stderr
    reports = ["--json", "r.json", "--html", "pages", "--md", "r.md", "--junit", "r.xml"]
    done = run([*command, "run", *FEW, *reports, "--", *TOY], folder, PYTHONPATH=str(SUITE))
    assert done.returncode == 0 and " passed, 0 failed, 0 skipped" in done.stdout, done.stdout + done.stderr
    assert (folder / "pages" / "index.html").exists()
    done = run([*command, "doctor", "--", *TOY], folder, PYTHONPATH=str(SUITE))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    before = listing(SUITE)
    done = run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", out, SUITE], out)
    if done.returncode != 0 and OFFLINE.search(done.stderr):
        pytest.skip("a wheel is built with setuptools from the package index, which cannot be reached")
    assert done.returncode == 0, done.stderr
    assert listing(SUITE) == before, "building leaves nothing in the tree"
    return next(out.glob("goipc_conformance-*.whl"))


def test_the_wheel_holds_everything(wheel, tmp_path):
    site = tmp_path / "site"
    done = run([sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", site, wheel], tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("requirements.json", "schemas/hp1.schema.json", "expectations/golang-ipc-1.2.4.toml"):
        assert (site / "goipc_conformance" / "data" / name).exists(), name
    program = site / "bin" / "goipc-conformance"
    assert program.exists(), "pipx finds the program by this entry"
    where = "import goipc_conformance; print(goipc_conformance.__file__)"
    assert str(site) in run([sys.executable, "-c", where], tmp_path, PYTHONPATH=str(site)).stdout
    done = run([sys.executable, "-m", "goipc_conformance", "--version"], tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr


def test_the_wheel_works(wheel, tmp_path):
    site, folder = tmp_path / "site", tmp_path / "elsewhere"
    folder.mkdir()
    run([sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", site, wheel], tmp_path)
    # The toy imports the tree's own package through PYTHONPATH; the suite must not.
    start = f"import sys; sys.path.insert(0, {str(site)!r}); from goipc_conformance.cli import run; run()"
    examine([sys.executable, "-c", start], folder)


def test_pipx_installs_a_command_that_works(tmp_path):
    """The first line of the tutorial."""
    folders = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "USE_EMOJI": "0"}
    folders |= {"PIPX_MAN_DIR": str(tmp_path / "man"), "PIPX_DEFAULT_PYTHON": sys.executable}
    before = listing(SUITE)
    done = run([sys.executable, "-m", "pipx", "install", SUITE], tmp_path, **folders)
    if done.returncode != 0 and OFFLINE.search(done.stdout + done.stderr):
        pytest.skip("pipx installs what the suite needs from the package index, which cannot be reached")
    assert done.returncode == 0, done.stdout + done.stderr
    assert listing(SUITE) == before
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    examine([tmp_path / "bin" / "goipc-conformance"], elsewhere)


def test_the_suite_as_one_file(tmp_path):
    folder, program = tmp_path / "elsewhere", tmp_path / "goipc-conformance.pyz"
    folder.mkdir()
    before = listing(SUITE)
    done = run([sys.executable, SUITE / "bundle.py", program], tmp_path)
    assert done.returncode == 0, done.stderr
    assert listing(SUITE) == before
    examine([sys.executable, program], folder)


def test_a_wrong_command_of_the_single_file_is_explained_in_a_line(tmp_path):
    program = tmp_path / "goipc-conformance.pyz"
    run([sys.executable, SUITE / "bundle.py", program], tmp_path)
    done = run([sys.executable, program, "run", "--", "/no/such/program"], tmp_path)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1


def test_missing_packages_are_named(tmp_path):
    program = tmp_path / "goipc-conformance.pyz"
    run([sys.executable, SUITE / "bundle.py", program], tmp_path)
    done = run([sys.executable, "-I", "-S", program, "list"], tmp_path)
    assert done.returncode == 3 and "is missing" in done.stderr and len(done.stderr.strip().splitlines()) == 1

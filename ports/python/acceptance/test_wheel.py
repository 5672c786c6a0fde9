# SPDX-License-Identifier: MIT
"""The package as a user gets it: built, installed into a fresh environment, and used from a fresh folder."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1]
NEEDED = ("cryptography", "cffi", "_cffi_backend", "pycparser", "typing_extensions")  # of the wheel, at run time


def command(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"  # building leaves files behind
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*"))
    command(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source, cwd=folder)
    return folder


def dependencies(folder: Path) -> Path:
    """What the package needs, from the environment of the tests, so that no network is needed."""
    folder.mkdir()
    for name in NEEDED:
        found = importlib.util.find_spec(name)
        if found and found.origin:
            path = Path(found.origin).parent if found.submodule_search_locations else Path(found.origin)
            (folder / path.name).symlink_to(path)
    return folder


def install(what: Path, folder: Path) -> Path:
    """A fresh environment with the package, and its interpreter."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    command(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", what, cwd=folder)
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(f"{dependencies(folder / 'dependencies')}\n")
    return python


def test_what_the_archives_hold(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert wheel.name == "goipc-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read("goipc-1.0.0.dist-info/METADATA").decode()
        sources = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    assert {"goipc/py.typed", "goipc-1.0.0.dist-info/licenses/LICENSE"} <= set(names)
    assert all(name.startswith(("goipc/", "goipc-1.0.0.dist-info/")) for name in names)
    assert all(source.startswith("# SPDX-") and "MIT" in source[:40] for source in sources.values())
    assert "License-Expression: MIT" in metadata and "specification edition 1.0.0" in metadata
    required = re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)
    assert [one for one in required if "extra ==" not in one] == ["cryptography>=41"]
    with tarfile.open(sdist) as archive_of_sources:
        inside = {name.partition("/")[2] for name in archive_of_sources.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "src/goipc/py.typed"} <= inside


def test_a_user_installs_the_wheel(built: Path, tmp_path: Path) -> None:
    python = install(next(built.glob("*.whl")), tmp_path)
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    (tmp_path / "first.py").write_text(readme.partition("```python\n")[2].partition("```")[0])
    assert command(python, "-X", "dev", "-W", "error", "first.py", cwd=tmp_path) == "Message(type=1, data=b'hello')\n"
    version = command(python, "-m", "goipc", "--version", cwd=tmp_path)
    assert version == "goipc 1.0.0 (specification edition 1.0.0, protocol 2)\n"
    assert str(tmp_path) in command(python, "-c", "import goipc; print(goipc.__file__)", cwd=tmp_path)
    help_text = command(python, "-c", "import goipc; help(goipc.serve)", cwd=tmp_path)
    assert "clients_max: 'int' = 64" in help_text and "encryption:" in help_text


def test_a_users_types_are_checked(built: Path, tmp_path: Path) -> None:
    """mypy sees the types of the installed package, those of the options among them."""
    python = install(next(built.glob("*.whl")), tmp_path)
    (tmp_path / "good.py").write_text(
        "import goipc\n"
        "async def main() -> bytes:\n"
        "    async with goipc.connect('x', encryption='off', timeout_s=1) as connection:\n"
        "        return (await connection.receive()).data\n"
    )
    (tmp_path / "bad.py").write_text(
        "import goipc\nclient = goipc.Client('x', timeout=1)\ngoipc.connect('x', encryption='of')\nclient.send('1', b'')\n"
    )
    check = (sys.executable, "-m", "mypy", "--strict", "--python-executable", python)
    command(*check, "good.py", cwd=tmp_path)
    done = subprocess.run((*check, "bad.py"), cwd=tmp_path, capture_output=True, text=True)
    assert re.findall(r"bad.py:(\d+): error", done.stdout) == ["2", "3", "4"], done.stdout


def test_the_sdist_builds(built: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    source = next(tmp_path.glob("goipc-*"))
    command(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source, cwd=tmp_path)
    assert next(tmp_path.glob("*.whl")).name == "goipc-1.0.0-py3-none-any.whl"

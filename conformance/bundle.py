# SPDX-License-Identifier: MIT
"""What travels with an installed suite, and the suite as one file.

usage: bundle.py OUT.pyz
"""

import importlib.util
import shutil
import sys
import tempfile
import zipapp
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "goipc_conformance"


def sources() -> dict[str, Path]:
    """Read from the module itself, without importing the package and what it needs."""
    spec = importlib.util.spec_from_file_location("data_files", PACKAGE / "data_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SOURCES


def copy_data(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name, source in sources().items():
        if source.is_dir():
            shutil.copytree(source, target / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, target / name)
        elif name == "requirements.json":
            raise SystemExit(f"{source} is missing: build from the whole source tree")


def make_zipapp(out: Path) -> None:
    """One file that any Python 3.11 with the packages of pyproject.toml runs."""
    with tempfile.TemporaryDirectory(prefix="goipc-zipapp-") as folder:
        package = Path(folder) / "goipc_conformance"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "data"))
        copy_data(package / "data")
        out.parent.mkdir(parents=True, exist_ok=True)
        zipapp.create_archive(
            folder, out, interpreter="/usr/bin/env python3", main="goipc_conformance.cli:run", compressed=True
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make_zipapp(Path(sys.argv[1]))
    print(sys.argv[1])

# SPDX-License-Identifier: MIT
"""Where the adapter of the C reference is: the target `ref`."""

import shutil
from pathlib import Path

from .process import StartError

NAME = "goipc-adapter-c"
PRESETS = ("release", "debug", "suite-release", "asan")


def built_in(root: Path) -> Path | None:
    """The one that was built in this source tree."""
    for preset in PRESETS:
        path = root / "build" / preset / "conformance" / NAME
        if path.exists():
            return path
    return None


def find() -> Path:
    """The one of the tree that the suite or the working directory belongs to, else an installed one."""
    for start in (Path(__file__).resolve(), Path.cwd() / "x"):
        for folder in start.parents:
            found = built_in(folder)
            if found is not None:
                return found
    installed = shutil.which(NAME)
    if installed is None:
        raise StartError(
            f"the reference was not found: {NAME} is neither built in this tree (cmake --preset release && "
            "cmake --build build/release) nor on the PATH"
        )
    return Path(installed)

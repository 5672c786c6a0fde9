# SPDX-License-Identifier: MIT
"""Copies what the suite shares with the rest of the tree into the package, so that it works outside of it."""

import atexit
import shutil
import sys
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


class BuildWithData(build_py):
    def run(self):
        super().run()
        if self.editable_mode:
            return  # the tree is at hand
        target = Path(self.build_lib) / "goipc_conformance" / "data"
        sys.path.insert(0, str(HERE))
        from bundle import copy_data

        shutil.rmtree(target, ignore_errors=True)
        copy_data(target)


# Elsewhere, so that nothing is left in the tree, and nothing that was left there gets into a package.
BUILD = tempfile.mkdtemp(prefix="goipc-conformance-build-")
atexit.register(shutil.rmtree, BUILD, ignore_errors=True)

setup(cmdclass={"build_py": BuildWithData}, options={"build": {"build_base": BUILD}, "egg_info": {"egg_base": BUILD}})

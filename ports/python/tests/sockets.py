# SPDX-License-Identifier: MIT
"""Names for the sockets of tests."""

import glob
import os
import uuid
from collections.abc import Iterator

import pytest


@pytest.fixture
def name() -> Iterator[str]:
    """A name of its own for each test, of which no socket may stay behind."""
    name = f"goipc-py-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    yield name
    assert glob.glob(f"/tmp/{name}*") == []

# SPDX-License-Identifier: MIT
import glob
import os
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings


@pytest.fixture
def name() -> Iterator[str]:
    """A name of its own for each test, of which no socket may stay behind."""
    name = f"goipc-py-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    yield name
    assert glob.glob(f"/tmp/{name}*") == []


# What the machine does besides must not fail a property.
settings.register_profile("goipc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("goipc")

# SPDX-License-Identifier: MIT
from hypothesis import HealthCheck, settings
from sockets import name

__all__ = ["name"]

# What the machine does besides must not fail a property.
settings.register_profile("goipc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("goipc")

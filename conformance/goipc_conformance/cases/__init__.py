# SPDX-License-Identifier: MIT
"""The cases, one file per area. Importing this package fills `case.REGISTRY`."""

import importlib

AREAS = (
    "codec_role",
    "endpoints",
    "handshake",
    "keys",
    "frames",
    "sealing",
    "types_limits",
    "connection",
    "closing",
    "resource_use",
    "endurance",
    "promoted",
)

for _area in AREAS:
    importlib.import_module(f"{__name__}.{_area}")

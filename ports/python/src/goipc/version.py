# SPDX-License-Identifier: MIT
"""The version of the package, and the edition of the specification that it implements."""

__version__ = "1.0.0"
SPECIFICATION_EDITION = "1.0.0"
"""Of spec/goipc.md. The first two numbers of both are always the same."""

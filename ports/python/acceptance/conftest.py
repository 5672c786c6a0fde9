# SPDX-License-Identifier: MIT
from sockets import name

__all__ = ["name"]

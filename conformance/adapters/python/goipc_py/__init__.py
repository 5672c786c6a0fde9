# SPDX-License-Identifier: MIT
"""A second implementation of the golang-ipc protocol, version 2, written from spec/goipc.md alone.

Encryption here does not authenticate the peer: whoever owns the path of the socket is the server.
"""

from .codec import Closed, Fault, LocalError
from .endpoint import Server, connect

__version__ = "1.0.0"
__all__ = ["Closed", "Fault", "LocalError", "Server", "connect", "__version__"]

# SPDX-License-Identifier: MIT
"""Talk to golang-ipc programs from Python: typed messages between two programs on one machine.

    async with goipc.connect("name") as connection:
        await connection.send(1, b"hello")
        async for message in connection:
            print(message.type, message.data)

`connect` and `serve` are for asyncio, `Client` for scripts without it. `ClientOptions` and `ServerOptions` say
what each takes by keyword, `errors` what can go wrong. The protocol itself, without input or output, is `session`.

Encryption here does not authenticate the peer: any process that can create the socket is the server. What protects
is the permission of the socket, and the check of the peer's user, which is on by default.
"""

from .blocking import Client
from .client import ClientConnection, connect
from .codec import Message
from .connection import Connection, Status, StatusChange
from .errors import (
    AuthenticationError,
    Closed,
    ConnectionLost,
    EncryptionError,
    EndpointError,
    Error,
    FramingError,
    NameInUse,
    NameNotAllowed,
    OptionError,
    OtherError,
    PeerRefused,
    PermissionDenied,
    PublicKeyError,
    ReservedTypeError,
    TimedOut,
    TooLargeError,
    VersionError,
)
from .options import ClientOptions, ServerOptions
from .peers import Credentials
from .server import Server, serve
from .version import SPECIFICATION_EDITION, __version__

__all__ = [
    "AuthenticationError",
    "Client",
    "ClientConnection",
    "ClientOptions",
    "Closed",
    "Connection",
    "ConnectionLost",
    "Credentials",
    "EncryptionError",
    "EndpointError",
    "Error",
    "FramingError",
    "Message",
    "NameInUse",
    "NameNotAllowed",
    "OptionError",
    "OtherError",
    "PeerRefused",
    "PermissionDenied",
    "PublicKeyError",
    "ReservedTypeError",
    "SPECIFICATION_EDITION",
    "Server",
    "ServerOptions",
    "Status",
    "StatusChange",
    "TimedOut",
    "TooLargeError",
    "VersionError",
    "__version__",
    "connect",
    "serve",
]

# SPDX-License-Identifier: MIT
"""The errors of the package: one exception for each class of Section 13 of the specification.

Error
├── VersionError            version        the peer speaks another version of the protocol
├── EncryptionError         encryption     the peer's encryption setting does not suit
├── PublicKeyError          key            the peer's public key is not acceptable
├── AuthenticationError     auth           a sealed frame does not open, or came back
├── FramingError            framing        a length is impossible, or the stream ended inside a frame
├── TooLargeError           too-large      a message is larger than the limit
├── ReservedTypeError       reserved-type  the application used type 0
├── TimedOut                timeout        a time limit passed (a TimeoutError, too)
├── Closed                  closed         there is no open connection
│   └── ConnectionLost      closed         the stream ended in the handshake, or sending failed
├── OtherError              other          anything else
│   ├── OptionError         other          an option or an argument is out of range (a ValueError, too)
│   └── PeerRefused         other          the peer runs as a user that is not admitted
└── EndpointError           other          the name cannot be used
    ├── NameNotAllowed      name           the name is empty, too long, or holds "/" or a byte 0
    ├── NameInUse           in-use         something is at the path already
    └── PermissionDenied    permission     the system does not allow it
"""

from __future__ import annotations

from typing import ClassVar


class Error(Exception):
    """Everything that goes wrong here.

    `error_class` is the class of Section 13, `cause` says what happened, and `remedy` what to do about it
    (empty where there is nothing to say). The text of the exception is both.
    """

    error_class: ClassVar[str] = "other"

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause}; {remedy}" if remedy else cause)
        self.cause = cause
        self.remedy = remedy


class VersionError(Error):
    """The peer speaks another version of the protocol."""

    error_class = "version"


class EncryptionError(Error):
    """One side wants encryption and the other does not."""

    error_class = "encryption"


class PublicKeyError(Error):
    """The peer's public key is not acceptable."""

    error_class = "key"


class AuthenticationError(Error):
    """A sealed frame does not open, or a frame of this side came back."""

    error_class = "auth"


class FramingError(Error):
    """A length is impossible, or the stream ended inside a frame."""

    error_class = "framing"


class TooLargeError(Error):
    """A message is larger than the limit: the application's own (nothing was sent), or one of the peer's."""

    error_class = "too-large"


class ReservedTypeError(Error):
    """The application used message type 0. Nothing was sent."""

    error_class = "reserved-type"


class TimedOut(Error, TimeoutError):
    """A time limit passed."""

    error_class = "timeout"


class Closed(Error):
    """There is no open connection: it was closed in order, or never made."""

    error_class = "closed"

    def __init__(self, cause: str = "the connection is closed", remedy: str = "") -> None:
        super().__init__(cause, remedy)


class ConnectionLost(Closed):
    """The stream ended in the handshake, or sending failed."""


class OtherError(Error):
    """A failure without a class of its own."""


class OptionError(OtherError, ValueError):
    """An option or an argument is out of range. Nothing was done."""


class PeerRefused(OtherError):
    """The peer runs as a user that is not admitted."""


class EndpointError(Error):
    """The name cannot be used."""


class NameNotAllowed(EndpointError):
    """The name is empty, too long, or holds "/" or a byte 0."""

    error_class = "name"


class NameInUse(EndpointError):
    """Something is at the path already, and was left alone."""

    error_class = "in-use"


class PermissionDenied(EndpointError):
    """The system does not allow it."""

    error_class = "permission"

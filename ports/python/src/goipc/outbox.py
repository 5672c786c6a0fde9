# SPDX-License-Identifier: MIT
"""Output that the system has not taken yet."""

from __future__ import annotations

import collections
import itertools
import socket

COPY_SIZE_MAX = 16384  # smaller pieces are gathered; larger ones are kept as they are
PIECE_COUNT_MAX = 16  # of one write


class Outbox:
    """A queue of bytes that is filled piece by piece and emptied into a socket."""

    def __init__(self) -> None:
        self.size = 0  # bytes in the queue
        self._pieces: collections.deque[bytes | bytearray | memoryview] = collections.deque()
        self._tail: bytearray | None = None  # the last piece, while more can be gathered in it

    def add(self, head: bytes, body: bytes = b"") -> None:
        """Appends both, so that they go out in one write where the system takes them."""
        size = len(head) + len(body)
        if size <= COPY_SIZE_MAX:
            if self._tail is None:
                self._tail = bytearray()
                self._pieces.append(self._tail)
            self._tail += head + body
        else:
            self._tail = None
            self._pieces.append(head)
            self._pieces.append(body)
        self.size += size

    def flush(self, sock: socket.socket) -> None:
        """Hands everything over. Raises what the socket raises, BlockingIOError among it; the rest stays."""
        while self._pieces:
            if len(self._pieces) == 1:
                sent = sock.send(self._pieces[0])
            else:
                sent = sock.sendmsg(itertools.islice(self._pieces, PIECE_COUNT_MAX))
            self._drop(sent)

    def _drop(self, count: int) -> None:
        self.size -= count
        self._tail = None  # a bytearray cannot grow while a memoryview of it exists
        while count:
            first = self._pieces[0]
            if count < len(first):
                self._pieces[0] = memoryview(first)[count:]
                return
            count -= len(first)
            self._pieces.popleft()

    def clear(self) -> None:
        self.size = 0
        self._tail = None
        self._pieces.clear()

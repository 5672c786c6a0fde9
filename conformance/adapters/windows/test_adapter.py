# SPDX-License-Identifier: MIT
"""Goal: the adapter for programs under Wine tells the suite of an end no sooner than the pipe has been closed."""

from __future__ import annotations

import asyncio
import socket

import adapter


def test_a_peer_that_has_gone_is_gone_only_when_the_pipe_is_closed(monkeypatch):
    """The next peer is let in after that. Bytes for the one that has gone must not be taken for the end."""
    monkeypatch.setattr(adapter, "DRAIN_S", 60)

    async def scenario() -> None:
        suite, near = socket.socketpair()
        relay, far = socket.socketpair()
        relay.settimeout(10)
        near_streams = await asyncio.open_unix_connection(sock=near)
        joined = asyncio.ensure_future(adapter.join(near_streams, await asyncio.open_unix_connection(sock=far)))
        suite.close()
        assert await asyncio.to_thread(relay.recv, 1) == b"", "the relay is told of the end"
        for _ in range(3):
            relay.sendall(b"nobody reads this")
            await asyncio.wait([joined], timeout=0.1)
        assert not joined.done()
        relay.close()
        await asyncio.wait_for(joined, 10)

    asyncio.run(scenario())

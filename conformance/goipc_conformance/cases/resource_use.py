# SPDX-License-Identifier: MIT
"""What an implementation uses: faults that no look at the wire would find. Read from the operating system."""

import glob
import os
import resource
import time
from collections.abc import Callable

from .. import codec, resources
from ..case import ENC, case
from ..context import Context, Verdictless
from ..wire import Closed, Silent

SERVER = ("server",)
MEBIBYTE = 1 << 20


def warmed_up(t: Context) -> resources.Usage:
    """Usage after a first connection came and went: lazily made things exist by then."""
    for _ in range(3):
        peer = t.open_patiently()
        t.exchange_sentinel(peer)
        peer.wire.finish(t.timeout)
    return t.usage()


@case(
    "res.descriptors",
    "Ended connections leak no descriptors",
    roles=SERVER,
    params={"enc": ENC, "count": (25,)},
    reqs="CN-009",
    expect="conforms",
    tags=("dos",),
    liveness=False,
    why="The limit is often 1024; a server that leaks one per client soon has none left.",
    hint="Close the socket on every exit path.",
)
def descriptors(t: Context) -> None:
    before = warmed_up(t)
    for _ in range(t.p.count):
        peer = t.open_patiently()
        t.exchange_sentinel(peer)
        peer.wire.finish(t.timeout)
    settled(
        t,
        lambda: t.usage().descriptors <= before.descriptors + 2,
        "descriptors",
        lambda: f"{t.usage().descriptors} descriptors, {before.descriptors} before",
    )


@case(
    "res.descriptors.failed",
    "Failed handshakes leak no descriptors",
    roles=SERVER,
    params={"enc": ENC, "count": (25,)},
    reqs="CN-009 CN-003",
    expect="conforms",
    tags=("dos",),
    liveness=False,
    why="Leaks are most common on error paths.",
    hint="Close the socket on every exit path.",
)
def descriptors_failed(t: Context) -> None:
    before = warmed_up(t)
    for index in range(t.p.count):
        peer = t.begin()
        try:
            peer.check_hello()
            if index % 2:
                peer.send_hello_reply(2)
        except Closed:
            pass
        peer.wire.close()
    settled(
        t,
        lambda: t.usage().descriptors <= before.descriptors + 2,
        "descriptors",
        lambda: f"{t.usage().descriptors} descriptors, {before.descriptors} before",
    )


@case(
    "res.threads",
    "Ended connections leak no threads",
    roles=SERVER,
    params={"enc": ENC, "count": (40,)},
    reqs="CN-009",
    expect="conforms",
    tags=("dos",),
    liveness=False,
    why="golang-ipc leaks a writer for every connection.",
    hint="End each thread of a connection with the connection.",
)
def threads(t: Context) -> None:
    before = warmed_up(t)
    for _ in range(t.p.count):
        peer = t.open_patiently()
        t.exchange_sentinel(peer)
        peer.wire.finish(t.timeout)
    settled(
        t,
        lambda: t.usage().threads <= before.threads + 8,
        "threads",
        lambda: f"{t.usage().threads} threads, {before.threads} before",
    )


def settled(t: Context, good: Callable[[], bool], word: str, describe: Callable[[], str]) -> None:
    """Cleaning up may take a moment after the peer has seen the end."""
    if not t.wait_events(good, max(1.0, t.timeout)):
        t.see(word, describe())


@case(
    "res.memory.announced",
    "An announced length alone reserves no memory",
    params={"enc": ENC, "length": (0x10000000, 0xFFFFFFFF)},
    reqs="FR-007 SC-003 LM-015",
    expect="closed",
    tags=("dos",),
    why="Four bytes must not reserve gigabytes, not even of address space.",
    hint="Check the length first; grow the buffer with the bytes that arrive.",
)
def memory_announced(t: Context) -> None:
    peer = t.open()
    t.exchange_sentinel(peer)
    before = t.usage()
    peer.raw(codec.u32(t.p.length), f"a length of {t.p.length}")
    t.settle_end_or_wedge(peer)
    # The peaks, since the memory may be taken late, or be given back by now.
    after = resources.usage_of(t.subject.pid())
    if after is None:
        return  # it has died, and that is what will be reported
    grown = after.virtual_peak - before.virtual_peak, after.resident_peak - before.resident_peak
    # An allocator may reserve 128 MiB for a moment, and may have done so before.
    if grown[0] > 150 * MEBIBYTE or grown[1] > 32 * MEBIBYTE:
        t.see("memory", f"the address space grew by {grown[0] >> 20} MiB, the memory by {grown[1] >> 20} MiB")


@case(
    "res.memory.traffic",
    "Memory does not grow with the number of messages",
    params={"enc": ENC, "count": (400,)},
    reqs="SC-003 CN-009",
    expect="conforms",
    tags=("dos", "slow"),
    liveness=False,
    why="A leak per message exhausts the memory on a long connection.",
    hint="Free or reuse the memory of each message.",
)
def memory_traffic(t: Context) -> None:
    peer = t.open()
    data = t.payload(60000)
    for _ in range(30):
        t.exchange(peer, 5, data)
    before = t.usage()
    for _ in range(t.p.count):
        t.exchange(peer, 5, data)
    grown = t.usage().resident - before.resident
    # Collected languages breathe; of the messages, had each stayed once, there would be 24 MB.
    if grown > t.p.count * len(data) // 2:
        t.see("memory", f"{t.p.count} messages left {grown >> 10} KiB behind")


@case(
    "res.memory.handshake",
    "Bytes before the end of the handshake use bounded memory",
    roles=SERVER,
    params={"enc": ("on",)},
    level="should",
    reqs="SC-004 SC-003 HS-004",
    expect="conforms closed",
    tags=("dos", "slow"),
    why="Every client can send these bytes; the protocol has no authentication.",
    hint="Stop reading when the buffer is full.",
)
def memory_handshake(t: Context) -> None:
    peer = t.begin().handshake(until="hello-reply")
    before = t.usage()
    block = bytes(65536)
    try:
        for _ in range(256):
            if not peer.wire.send_without_reading(block, 0.05):
                break
    except Closed:
        pass
    if peer.wire.ended_within(1.0):
        t.see("closed")
    grown = t.usage().resident - before.resident
    if grown > 4 * MEBIBYTE:
        t.see("memory", f"16 MiB of bytes before the handshake's end left {grown >> 10} KiB behind")
    peer.wire.close()


def cpu_while(t: Context, seconds: float) -> float:
    before = t.usage().cpu
    time.sleep(seconds)  # idleness is what is measured
    return t.usage().cpu - before


def busy_share(t: Context, seconds: float) -> float:
    """The part of the moments at which a thread ran or waited for a processor: on a machine that is busy with other
    things an endless loop uses little time, and yet it never rests. 0 where the system does not tell."""
    deadline, busy, moments = time.monotonic() + seconds, 0, 0
    while time.monotonic() < deadline:
        busy += any(state_of(path) == "R" for path in glob.glob(f"/proc/{t.subject.pid()}/task/*/stat"))
        moments += 1
        time.sleep(0.005)  # the next moment
    return busy / moments if moments else 0.0


def state_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2][:1]
    except OSError:
        return ""  # the thread has ended


@case(
    "res.idle",
    "An idle implementation uses no processor time",
    params={"enc": ("on",), "state": ("connected", "ended", "failed", "stalled")},
    when=lambda role, enc, state: role == "server" or state in ("connected", "ended"),
    reqs="SC-002",
    expect="conforms",
    tags=("dos", "alone"),
    liveness=False,
    why="An endless loop over a closed connection uses up the processor.",
    hint="Wait in poll, and remove closed descriptors from it.",
)
def idle(t: Context) -> None:
    peer = t.open() if t.p.state != "stalled" else t.begin()
    if t.p.state == "stalled":
        peer.check_hello()
    else:
        t.exchange_sentinel(peer)
    if t.p.state == "ended":
        peer.wire.finish(t.timeout)
    elif t.p.state == "failed":
        peer.raw(codec.frame(bytes(40)), "a frame that does not open")
        try:
            peer.wire.wait_end(t.timeout)
        except Silent:
            raise Verdictless("this implementation does not fail the connection") from None
    share = busy_share(t, 0.5)
    if share > 0.9:
        t.see("spinning", f"in {share:.0%} of the moments of 0.5 s of idleness a thread wanted the processor")
    used = cpu_while(t, 0.5)
    if used > 0.25:
        t.see("spinning", f"{used:.2f} s of processor time in 0.5 s of idleness")


@case(
    "res.descriptors.exhausted",
    "A server without free descriptors keeps serving, does not spin, and recovers",
    roles=SERVER,
    params={"enc": ("on",)},
    level="should",
    reqs="CN-008 CN-005 SC-002",
    expect="conforms",
    tags=("dos", "alone"),
    why="accept fails and the socket stays ready: a retry at once spins, giving up ends the service.",
    hint="Wait briefly, or until a connection ends, then accept again.",
)
def descriptors_exhausted(t: Context) -> None:
    peer = t.open()
    t.exchange(peer, 5, b"before")
    pid = t.subject.pid() or 0
    try:
        highest = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
        limits = resource.prlimit(
            pid, resource.RLIMIT_NOFILE, (highest + 1, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1])
        )
    except (AttributeError, OSError, ValueError):  # macOS has no prlimit
        raise Verdictless("the limit of the process cannot be set here") from None
    try:
        strays = [t.begin() for _ in range(3)]
        t.exchange(peer, 6, b"during")
        used = cpu_while(t, 0.4)
        if used > 0.2:
            t.see("spinning", f"{used:.2f} s of processor time in 0.4 s of waiting")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    for stray in strays:
        stray.wire.close()
    t.exchange(peer, 7, b"after")

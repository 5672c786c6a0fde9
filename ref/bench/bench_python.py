#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package as a contestant of the benchmark: the workloads and the line of JSON of harness.c, in two
processes as there. With mode=blocking the client is goipc.Client."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ports" / "python" / "src"))

import goipc  # noqa: E402
from goipc.errors import Closed  # noqa: E402

ADVICE = "usage: bench_python.py oneway|back|roundtrip|handshake SIZE COUNT [encrypted=1] [mode=blocking]"


class Run:
    """What the command line asks for."""

    def __init__(self, arguments: list[str]):
        if len(arguments) < 3:
            sys.exit(ADVICE)
        self.workload, self.size, self.count = arguments[0], int(arguments[1]), int(arguments[2])
        self.name = os.environ.get("GOIPC_BENCH_NAME") or f"goipc-bench-{os.getpid()}"
        self.blocking = "mode=blocking" in arguments
        self.options = {"encryption": "required" if "encrypted=1" in arguments else "off"}
        self.data = bytes(self.size)


def usage() -> dict:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    resident = None
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * resource.getpagesize() // 1024
    return {
        "CPU": spent.ru_utime + spent.ru_stime,
        "Switches": spent.ru_nvcsw + spent.ru_nivcsw,
        "RSS": resident,
    }


def result(run: Run, seconds: float, mine: list[dict], theirs: list[dict]) -> dict:
    return {
        "messages": run.count,
        "seconds": seconds,
        "cpu_client_s": mine[1]["CPU"] - mine[0]["CPU"],
        "cpu_server_s": theirs[1]["CPU"] - theirs[0]["CPU"],
        "switches_client": mine[1]["Switches"] - mine[0]["Switches"],
        "switches_server": theirs[1]["Switches"] - theirs[0]["Switches"],
        "rss_client_kib": mine[1]["RSS"],
        "rss_server_kib": theirs[1]["RSS"],
        "rss_server_before_kib": theirs[0]["RSS"],
    }


# The child


async def serve(run: Run) -> None:
    done = asyncio.Event()
    ended = 0
    usages = []

    async def measured(connection: goipc.Connection) -> None:
        await connection.send(*await connection.receive())
        usages.append(usage())
        if run.workload == "oneway":
            for _ in range(run.count):
                await connection.receive()
            await connection.send(1, b"\0")
        elif run.workload == "back":
            for _ in range(run.count):
                await connection.send(1, run.data)
            await connection.receive()
        else:
            for _ in range(run.count):
                await connection.send(*await connection.receive())
        usages.append(usage())
        print(json.dumps(usages), flush=True)
        await connection.receive()
        done.set()

    async def handshaken(connection: goipc.Connection) -> None:
        nonlocal ended
        async for _ in connection:
            pass
        ended += 1
        if ended in (1, run.count + 1):
            usages.append(usage())
        if ended == run.count + 1:
            print(json.dumps(usages), flush=True)
            done.set()

    handler = handshaken if run.workload == "handshake" else measured
    async with goipc.serve(run.name, handler, **run.options):
        print("listening", flush=True)
        await done.wait()


# The parent


async def measure(run: Run, replies) -> dict:
    latencies = []
    async with goipc.connect(run.name, **run.options) as client:
        await client.send(1, run.data)
        await client.receive()
        mine = [usage()]
        start = time.perf_counter()
        if run.workload == "oneway":
            for _ in range(run.count):
                await client.send(1, run.data)
            await client.receive()
        elif run.workload == "back":
            for _ in range(run.count):
                await client.receive()
            await client.send(1, b"\0")
        else:
            for _ in range(run.count):
                at = time.perf_counter()
                await client.send(1, run.data)
                await client.receive()
                latencies.append((time.perf_counter() - at) * 1e6)
        seconds = time.perf_counter() - start
        mine.append(usage())
        told = result(run, seconds, mine, await asyncio.to_thread(hear, replies)) | quantiles(latencies)
        await client.send(1, b"\0")
    return told


def measure_blocking(run: Run, replies) -> dict:
    latencies = []
    with goipc.Client(run.name, **run.options) as client:
        client.send(1, run.data)
        client.receive()
        mine = [usage()]
        start = time.perf_counter()
        if run.workload == "oneway":
            for _ in range(run.count):
                client.send(1, run.data)
            client.receive()
        elif run.workload == "back":
            for _ in range(run.count):
                client.receive()
            client.send(1, b"\0")
        else:
            for _ in range(run.count):
                at = time.perf_counter()
                client.send(1, run.data)
                client.receive()
                latencies.append((time.perf_counter() - at) * 1e6)
        seconds = time.perf_counter() - start
        mine.append(usage())
        told = result(run, seconds, mine, hear(replies)) | quantiles(latencies)
        client.send(1, b"\0")
    return told


async def measure_handshakes(run: Run, replies) -> dict:
    async def once() -> None:
        async with goipc.connect(run.name, **run.options):
            pass

    await once()
    mine = [usage()]
    start = time.perf_counter()
    for _ in range(run.count):
        await once()
    seconds = time.perf_counter() - start
    mine.append(usage())
    return result(run, seconds, mine, await asyncio.to_thread(hear, replies))


def quantiles(latencies: list[float]) -> dict:
    if not latencies:
        return {}
    latencies.sort()
    return {"p50_us": latencies[len(latencies) // 2], "p99_us": latencies[len(latencies) * 99 // 100]}


def hear(replies) -> list[dict]:
    return json.loads(replies.readline())


def main() -> None:
    run = Run(sys.argv[1:])
    if "GOIPC_BENCH_NAME" in os.environ:
        try:
            asyncio.run(serve(run))
        except Closed:
            pass
        return
    child = subprocess.Popen(
        [sys.executable, *sys.argv], env=os.environ | {"GOIPC_BENCH_NAME": run.name}, stdout=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    if run.blocking and run.workload != "handshake":
        told = measure_blocking(run, child.stdout)
    else:
        told = asyncio.run((measure_handshakes if run.workload == "handshake" else measure)(run, child.stdout))
    child.wait()
    print(json.dumps(told))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""The program `python -m goipc`: listens or connects, sends lines and prints messages, as the C program does.

Each line of standard input is sent as one message; a server sends it to every client. Each message that arrives is
printed as one line, in which control characters are escaped.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from . import SPECIFICATION_EDITION, Closed, Connection, Error, Message, __version__, connect, serve

DONE, FAILED, INTERRUPTED = 0, 1, 130


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m goipc", description=__doc__)
    version = f"goipc {__version__} (specification edition {SPECIFICATION_EDITION}, protocol 2)"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("serve", "connect"):
        sub = commands.add_parser(command, help={"serve": "listen", "connect": "connect to a server"}[command])
        sub.add_argument("name", help="of the endpoint; the socket is DIRECTORY/NAME.sock")
        sub.add_argument("-e", "--echo", action="store_true", help="send every message back instead of printing it")
        sub.add_argument("-t", "--type", type=int, default=1, help="type of the messages sent (%(default)s)")
        sub.add_argument("-T", "--show-types", action="store_true", help="print the type and a tab before each message")
        settings = ["required", "off"] + ["optional"] * (command == "connect")
        sub.add_argument("--encryption", choices=settings, default="required", help="(%(default)s)")
        sub.add_argument("-d", "--directory", default="/tmp", help="where the socket is (%(default)s)")
        sub.add_argument("--max-message-size", type=int, default=3145728, metavar="BYTES", help="(%(default)s)")
        sub.add_argument("--any-user", action="store_true", help="talk to peers of every user")
        sub.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors on standard error")
        if command == "serve":
            sub.add_argument("-c", "--clients-max", type=int, default=64, help="clients served at once (%(default)s)")
            sub.add_argument("--unmask", action="store_true", help="let every user connect (socket mode 0777)")
        else:
            sub.add_argument("--timeout", type=float, default=10.0, metavar="S", help="for connecting (%(default)s)")
            sub.add_argument("-r", "--reconnect", action="store_true", help="connect again when the server goes")
            sub.add_argument("--linger", type=float, metavar="S", help="how long to go on after the end of input")
    return parser.parse_args(arguments)


def show(message: Message, with_type: bool) -> None:
    text = message.data.decode("utf-8", "backslashreplace")
    # Escape sequences of a peer must not reach a terminal, and no message may look like two.
    safe = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    print(f"{message.type}\t{safe}" if with_type else safe, flush=True)


async def lines() -> AsyncIterator[bytes]:
    """Standard input, which a thread reads: not every kind of it can be waited for."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes](64)

    def put(line: bytes) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()

    def read() -> None:
        rest = b""
        with contextlib.suppress(RuntimeError, OSError):  # the loop is closed, or standard input is
            # Not sys.stdin: a thread that waits in it makes the interpreter abort at its end.
            while data := os.read(0, 65536):
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    put(line.removesuffix(b"\r") + b"\n")
            if rest:
                put(rest + b"\n")
        with contextlib.suppress(RuntimeError):
            put(b"")

    threading.Thread(target=read, daemon=True).start()
    while line := await queue.get():
        yield line[:-1]


async def receive(connection: Connection, options: argparse.Namespace) -> None:
    async for message in connection:
        if options.echo:
            await connection.send(message.type, message.data)
        else:
            show(message, options.show_types)


async def run_server(options: argparse.Namespace) -> None:
    serving = serve(
        options.name,
        lambda connection: receive(connection, options),
        encryption=options.encryption,
        directory=options.directory,
        message_size_max=options.max_message_size,
        peers="any" if options.any_user else "same-user",
        clients_max=options.clients_max,
        unmask_permissions=options.unmask,
    )
    async with serving as server:
        if not options.quiet:
            print(f"listening at {server.path}", file=sys.stderr, flush=True)
        async for line in lines():
            for connection in server.connections:
                try:
                    await connection.send(options.type, line, timeout_s=10)
                except Error as error:
                    print(f"client {connection.number}: {error}", file=sys.stderr)
        await server.serve_forever()


async def run_client(options: argparse.Namespace) -> None:
    say: Callable[[str], None] = (lambda text: None) if options.quiet else (lambda text: print(text, file=sys.stderr))
    connecting = connect(
        options.name,
        encryption=options.encryption,
        directory=options.directory,
        message_size_max=options.max_message_size,
        peers="any" if options.any_user else "same-user",
        timeout_s=options.timeout,
        reconnect=options.reconnect,
        on_status=lambda change: say(change.status.value + (f": {change.error}" if change.error else "")),
    )
    async with connecting as connection:
        receiving = asyncio.create_task(receive(connection, options))
        sending = asyncio.create_task(send_lines(connection, options))
        await asyncio.wait([receiving, sending], return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            await sending
            await asyncio.wait([receiving], timeout=options.linger)
        for task in (receiving, sending):
            if not task.done():
                task.cancel()
        await asyncio.wait([receiving, sending])
        if not receiving.cancelled() and (error := receiving.exception()):
            raise error


async def send_lines(connection: Connection, options: argparse.Namespace) -> None:
    with contextlib.suppress(Closed):  # receiving says why
        async for line in lines():
            await connection.send(options.type, line)
        await connection.drain()


async def until_terminated(work: Coroutine[Any, Any, None]) -> None:
    """SIGTERM closes in order, as Ctrl-C does, so that no socket stays behind."""
    task = asyncio.ensure_future(work)
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        await task
    except asyncio.CancelledError:
        if not terminated:
            raise
        raise SystemExit(128 + signal.SIGTERM) from None


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    logging.basicConfig(level=logging.ERROR if options.quiet else logging.WARNING, format="goipc: %(message)s")
    try:
        asyncio.run(until_terminated(run_server(options) if options.command == "serve" else run_client(options)))
    except Error as error:
        print(f"goipc: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main())

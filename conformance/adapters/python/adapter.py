#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Without arguments HP/1; with `serve NAME` or `connect NAME` an echo program (rung 0)."""

import argparse
import contextlib
import io
import os
import signal
import sys
import threading

from goipc_py import Closed, Fault, LocalError, Server, connect
from goipc_py.control import Control


def echo(connection) -> None:
    with contextlib.suppress(Closed):
        while True:
            kind, data = connection.receive()
            try:
                connection.send(kind, data)
            except LocalError as error:
                print(f"not echoed: {error}", file=sys.stderr)


def serve(connection) -> None:
    try:
        echo(connection)
    except Fault as fault:
        print(f"connection {connection.number}: {fault.kind}: {fault}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command")
    for command, settings in (("serve", ["on", "off", "required"]), ("connect", ["required", "optional", "off"])):
        sub = commands.add_parser(command)
        sub.add_argument("name")
        sub.add_argument("--encryption", choices=settings, default=settings[0])
        sub.add_argument("--directory", default="/tmp")
        sub.add_argument("--limit-bytes", type=int, default=3145728)
        if command == "serve":
            sub.add_argument("--clients-max", type=int, default=64)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if not options.command:
        lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8")
        Control(lines, sys.stdout).run()
        sys.stdout.flush()
        os._exit(0)  # threads that wait for a peer do not hold up the end
    common = {"directory": options.directory, "limit_bytes": options.limit_bytes}
    if options.command == "serve":
        encryption = "off" if options.encryption == "off" else "on"
        Server(options.name, serve, encryption=encryption, clients_max=options.clients_max, **common)
        threading.Event().wait()
    try:
        connection = connect(options.name, encryption=options.encryption, **common)
        echo(connection)
        connection.close()
        connection.join(2)
    except (Fault, LocalError) as error:
        print(f"{error.kind}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Sends every message back: python echo_server.py NAME"""

import asyncio
import logging
import sys

import goipc


async def echo(connection: goipc.Connection) -> None:
    async for message in connection:
        await connection.send(message.type, message.data)


async def main(name: str) -> None:
    async with goipc.serve(name, echo, clients_max=8) as server:
        print(f"listening at {server.path}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        asyncio.run(main(sys.argv[1] if sys.argv[1:] else "example"))
    except goipc.Error as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass

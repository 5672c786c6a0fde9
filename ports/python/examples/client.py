# SPDX-License-Identifier: MIT
"""Sends a message and prints what comes back: python client.py NAME [TEXT]"""

import asyncio
import sys

import goipc


async def main(name: str = "example", text: str = "hello") -> None:
    async with goipc.connect(name, timeout_s=10) as connection:
        await connection.send(1, text.encode())
        message = await connection.receive(timeout_s=10)
        print(message.type, message.data.decode())


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:3]))
    except goipc.Error as error:
        sys.exit(str(error))

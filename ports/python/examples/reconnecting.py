# SPDX-License-Identifier: MIT
"""Prints what a server sends, and connects again when it goes: python reconnecting.py NAME"""

import asyncio
import sys

import goipc


def tell(change: goipc.StatusChange) -> None:
    print(f"[{change.status.value}]", change.error or "", flush=True)


async def main(name: str = "example") -> None:
    async with goipc.connect(name, reconnect=True, timeout_s=30, on_status=tell) as connection:
        async for message in connection:
            print(message.type, message.data.decode(errors="replace"), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:2]))
    except goipc.Error as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass

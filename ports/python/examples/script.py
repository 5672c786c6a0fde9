# SPDX-License-Identifier: MIT
"""The same without asyncio: python script.py NAME [TEXT]"""

import sys

import goipc


def main(name: str = "example", text: str = "hello") -> None:
    with goipc.Client(name, timeout_s=10) as client:
        client.send(1, text.encode())
        message = client.receive(timeout_s=10)
        print(message.type, message.data.decode())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except goipc.Error as error:
        sys.exit(str(error))

# SPDX-License-Identifier: MIT
"""A client of level 0 that does everything right, for tests of the suite: it takes only what it was told to take.

usage: echo_client.py [--plain] [--delay SECONDS] NAME
"""

import argparse
import os
import socket
import time

from goipc_conformance import codec, keys


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def shake_hands(sock: socket.socket, plain: bool) -> bytes | None:
    """The key of the connection; none for a plain one."""
    version, flag = read(sock, 2)
    if version != 2 or flag != int(not plain):
        sock.sendall(b"\1" if version != 2 else b"\2")
        raise EOFError
    sock.sendall(b"\0")
    key = None
    if not plain:
        own = keys.PrivateKey(keys.scalar_from(os.urandom(32).hex()))
        public = read(sock, 97)
        try:
            keys.decode_point(public)
        except keys.InvalidKey:
            raise EOFError from None
        sock.sendall(own.public)
        key = keys.session_key(own.shared_x(public))
    read(sock, codec.read_u32(read(sock, 4)))
    sock.sendall(b"\0")
    return key


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("name")
    options = parser.parse_args()
    time.sleep(options.delay)  # as a virtual machine takes to start
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(f"/tmp/{options.name}.sock")
    try:
        key, number = shake_hands(sock, options.plain), 0
        while True:
            body = read(sock, codec.read_u32(read(sock, 4)))
            if key:
                number += 1
                body = codec.seal(key, os.urandom(8) + codec.u32(number), codec.unseal(key, body))
            sock.sendall(codec.frame(body))
    except (EOFError, OSError, codec.CodecError):
        pass


main()

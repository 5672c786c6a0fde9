# SPDX-License-Identifier: MIT
"""A small implementation with an HP/1 adapter, for tests of the suite only. It can be told to misbehave: the suite has
to notice, and to call it by its name.

usage: toy.py [FAULT ...]
"""

import functools
import hashlib
import json
import os
import socket
import sys
import threading
import time

from goipc_conformance import codec, keys

FAULTS = set(sys.argv[1:])
out_lock = threading.Lock()
state = {"echo": True, "listener": None, "numbers": 0}


def say(message: dict) -> None:
    with out_lock:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


@functools.cache
def altering() -> bool:
    """`altered`: always. `altered-once=FILE`: only in the first process that asks."""
    for path in (fault.partition("=")[2] for fault in FAULTS if fault.startswith("altered-once=")):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            return True
        except FileExistsError:
            return False
    return "altered" in FAULTS


class Chance:
    """Random bytes for one connection; with `fixed` the same in every run."""

    def __init__(self, number: int):
        self.number, self.drawn = number, 0

    def draw(self, size: int) -> bytes:
        if "fixed" not in FAULTS:
            return os.urandom(size)
        self.drawn += 1
        return hashlib.shake_128(f"toy {self.number} {self.drawn}".encode()).digest(size)


class End(Exception):
    """The connection is over."""


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(min(size - len(data), 65536))
        if not piece:
            raise End
        data += piece
    return data


def serve_one(sock: socket.socket, number: int, encrypted: bool, maximum: int) -> None:
    key, chance = None, Chance(number)
    try:
        sock.sendall(bytes([2, int(encrypted)]))
        if "silent" in FAULTS:
            time.sleep(3600)
        if read(sock, 1) != b"\0":
            raise End
        if encrypted:
            own = keys.PrivateKey(keys.scalar_from("toy", number, chance.draw(16).hex()))
            sock.sendall(own.public)
            public = read(sock, 97)
            try:
                keys.decode_point(public)
            except keys.InvalidKey:
                if "crash-on-key" in FAULTS:
                    os.abort()
                raise End from None
            derive = keys.session_key_padded if "padded" in FAULTS else keys.session_key
            key = derive(own.shared_x(public))
        seal = (lambda text: codec.seal(key, chance.draw(12), text)) if key else (lambda text: text)
        sock.sendall(codec.frame(seal(codec.u32(maximum))))
        read(sock, 1)
        say({"ev": "state", "state": "connected", "conn": number})
        while "flood" in FAULTS:
            sock.sendall(codec.frame(seal(codec.message_plaintext(7, b"flood"))) * 500)
        while "flood-bytes" in FAULTS:
            sock.sendall(bytes(65536))
        while "flood-events" in FAULTS:
            say({"ev": "message", "conn": number, "type": 7, "len": 5, "data": "666c6f6f64"})
        messages(sock, number, key, seal, maximum)
    except (End, OSError):
        pass
    finally:
        if "one-only" in FAULTS:
            # shutdown, so that the thread that waits in accept lets go of the socket, too
            try:
                state["listener"].shutdown(socket.SHUT_RDWR)
                os.unlink(state["path"])
            except OSError:
                pass
        sock.close()


def messages(sock, number, key, seal, maximum) -> None:
    overhead = 32 if key else 4
    while True:
        size = codec.read_u32(read(sock, 4))
        if "runt" not in FAULTS and not overhead <= size <= maximum + overhead:
            raise End
        body = read(sock, size)
        if key:
            try:
                body = codec.unseal(key, body)
            except codec.CodecError:
                if "discard" in FAULTS:
                    continue
                raise End from None
        message_type, data = codec.read_u32(body), body[4:]
        if message_type == 0:
            continue
        if altering():
            data = data[:-1]
        say(
            {
                "ev": "message",
                "conn": number,
                "type": message_type,
                "len": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
        if "mute" in FAULTS:
            continue
        if state["echo"]:
            back = message_type + ("retype" in FAULTS)
            sock.sendall(codec.frame(seal(codec.message_plaintext(back, data))))
        if "drop" in FAULTS:
            raise End
        if "deafen" in FAULTS:
            FAULTS.add("mute")


def accept_loop(listener: socket.socket, encrypted: bool, maximum: int) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        state["numbers"] += 1
        threading.Thread(target=serve_one, args=(sock, state["numbers"], encrypted, maximum), daemon=True).start()


def serve(request: dict) -> dict:
    name = request["endpoint"]["name"]
    path = f"/tmp/{name}.sock"
    if state["listener"]:
        if "serve-once" in FAULTS:
            return {"ok": False, "error": {"class": "in-use", "message": "there is one already"}}
        if "serve-both" in FAULTS:
            state["kept"] = state["listener"]
        else:
            state["listener"].shutdown(socket.SHUT_RDWR)  # so that the thread that waits in accept lets go of it
            state["listener"].close()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(16)
    state.update(listener=listener, path=path, echo=request.get("echo", False))
    maximum = 65536 if "max-fixed" in FAULTS else request.get("max_message_size", 3145728)
    arguments = (listener, request["encryption"] == "required", maximum)
    threading.Thread(target=accept_loop, args=arguments, daemon=True).start()
    for lie in (fault.partition("=")[2] for fault in FAULTS if fault.startswith("path=")):
        path = lie.encode().decode("unicode_escape")  # so that it can be one that no command line holds
    if "endpoint-text" in FAULTS:
        return {"ok": True, "endpoint": path}
    return {"ok": True, "endpoint": {"transport": "unix", "path": path}}


def answer(request: dict) -> dict:
    command = request["cmd"]
    if command == "hello":
        return {
            "ok": True,
            "hp": 1,
            "impl": {"name": "toy", "version": "1"},
            "roles": ["server", *FAULTS & {"codec"}],
            "caps": ["enc", "plain", *FAULTS & {"max-fixed"}],
            "isolation": "connection" if "shared" in FAULTS else "process",
        }
    if command == "serve":
        return serve(request)
    if command == "echo":
        state["echo"] = request["on"]
        return {"ok": True}
    if command == "stop":
        return {"ok": True}
    if command == "decode" and "codec" in FAULTS:
        return {"ok": True, "frames": [], "rest": len(request["hex"]) // 2}
    if command == "encode" and "codec" in FAULTS:
        plaintext = codec.message_plaintext(request["type"], bytes.fromhex(request["data"]))
        return {"ok": True, "hex": codec.frame(plaintext).hex()}
    if "yes-man" in FAULTS:
        return {"ok": True}
    return {"ok": False, "unsupported": True, "reason": f"no {command}"}


def speak_on_a_socket() -> None:
    """`ctl=PATH`: the harness protocol on a socket instead of the standard streams, as a program under a debugger
    offers it."""
    for name in (fault.partition("=")[2] for fault in FAULTS if fault.startswith("serving=")):
        serve({"endpoint": {"name": name}, "encryption": "required", "max_message_size": 65536, "echo": True})
    for path in (fault.partition("=")[2] for fault in FAULTS if fault.startswith("ctl=")):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(1)
        conversation, _ = listener.accept()
        os.dup2(conversation.fileno(), 0)
        os.dup2(conversation.fileno(), 1)


def main() -> None:
    speak_on_a_socket()
    if "die" in FAULTS:
        sys.exit(7)
    if "garbage" in FAULTS:
        print("Hello, I am not JSON.", flush=True)
    if "deaf" in FAULTS:
        time.sleep(3600)
    for line in sys.stdin:
        request = json.loads(line)
        if "input-closed" in FAULTS:
            os.close(0)  # before the answer, so that whoever has it finds nobody to write to
        say({"id": request["id"], **answer(request)})
        if "input-closed" in FAULTS:
            time.sleep(3600)
        if request["cmd"] == "stop":
            if "leak" in FAULTS:
                print("==1==ERROR: LeakSanitizer: detected memory leaks", file=sys.stderr, flush=True)
                os._exit(99)
            break
    if state["listener"]:
        try:
            os.unlink(state["path"])
        except (OSError, ValueError):
            pass
    os._exit(0)


main()

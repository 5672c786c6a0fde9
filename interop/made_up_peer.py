# SPDX-License-Identifier: MIT
"""One side of a made-up library with an adapter, for tests of the judge. Messages travel as lines of JSON.

usage: made_up_peer.py [FAULT ...]
"""

import hashlib
import json
import os
import socket
import sys
import threading

MAXIMUM = 3145728
FAULTS = set(sys.argv[1:])
state = {"conn": 0, "echo": False, "received": 0, "listener": None, "stream": None, "kept": None}
lock = threading.Lock()


def say(**line):
    with lock:
        print(json.dumps(line), flush=True)


def spoiled(kind, data):
    """What a faulty receiver makes of its second message."""
    state["received"] += 1
    if state["received"] != 2:
        return [(kind, data)]
    if "die" in FAULTS:
        os._exit(7)
    if "garbage" in FAULTS:
        print("no JSON", flush=True)
    if "swap" in FAULTS:
        state["kept"] = (kind, data)
    changed = {
        "alter": [(kind, bytes(len(data)) if any(data) else b"\1" * len(data) or b"\1")],
        "retype": [(kind + 1, data)],
        "shorten": [(kind, data[:-1] if data else b"more")],
        "lose": [],
        "swap": [],
    }
    return next((changed[fault] for fault in changed if fault in FAULTS), [(kind, data)])


def received(stream, conn):
    for line in stream:
        kind, data = json.loads(line)
        messages = spoiled(kind, bytes.fromhex(data))
        if state["kept"] and state["received"] > 2:
            messages, state["kept"] = [*messages, state["kept"]], None
        for one, text in messages:
            say(ev="message", conn=conn, type=one, len=len(text), sha256=hashlib.sha256(text).hexdigest())
            if state["echo"]:
                send(one, text.hex())
    if "bitter-end" in FAULTS:
        say(ev="error", conn=conn, **{"class": "framing"}, message="the end came inside a frame")
    say(ev="state", conn=conn, state="disconnected")


def send(kind, data):
    state["stream"].write(json.dumps([kind, data]) + "\n")
    state["stream"].flush()


def begin(connection):
    state["conn"], state["socket"] = state["conn"] + 1, connection
    state["stream"] = connection.makefile("rw", encoding="ascii")
    if "unconnected" not in FAULTS:
        say(ev="state", conn=state["conn"], state="connected")
    threading.Thread(target=received, args=(state["stream"], state["conn"]), daemon=True).start()


def accept(listener):
    while True:
        begin(listener.accept()[0])


def serve(request):
    state["listener"] = socket.socket(socket.AF_UNIX)
    state["listener"].bind(f"/tmp/{request['endpoint']['name']}.sock")
    state["listener"].listen()
    threading.Thread(target=accept, args=(state["listener"],), daemon=True).start()
    return {"ok": True}


def connect(request):
    if "refuse" in FAULTS or "refuse-otherwise" in FAULTS:
        return {"ok": False, "error": {"class": "encryption" if "refuse" in FAULTS else "other", "message": "no"}}
    if "unconnected" in FAULTS:
        return {"ok": False, "error": {"class": "timeout", "message": "no"}}
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(request["endpoint"]["path"])
    begin(connection)
    return {"ok": True, "conn": state["conn"], "encrypted": "plain" not in FAULTS}


def answer(request):
    command = request["cmd"]
    if command == "hello":
        impl = {"name": "made up", "version": "1"}
        return {"ok": True, "hp": 1, "impl": impl, "roles": ["server", "client"], "caps": ["enc", "plain"]}
    if command in ("serve", "connect"):
        state["echo"] = request.get("echo", False)
        return (serve if command == "serve" else connect)(request)
    if command == "send":
        if len(request["data"]) // 2 * request.get("repeat", 1) > MAXIMUM:
            if "boundless" in FAULTS:
                return {"ok": True}
            return {"ok": False, "error": {"class": "too-large", "message": "too large"}}
        send(request["type"], request["data"] * request.get("repeat", 1))
    if command == "close":
        state["socket"].shutdown(socket.SHUT_RDWR)
    if command == "stats":
        return {"ok": True, "refusals": int("refused" in FAULTS)}
    return {"ok": True}


for text in sys.stdin:
    asked = json.loads(text)
    say(id=asked["id"], **answer(asked))
    if asked["cmd"] == "stop":
        os._exit(0)

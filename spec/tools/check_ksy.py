# SPDX-License-Identifier: MIT
"""Compiles spec/goipc.ksy and runs the compiled grammar over the vectors.

Every message of every transcript must come out with the fields that the vector names; what the
vectors say is malformed must be refused. Needs node, and npm once for the compiler.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys

import specdoc

BUILD = specdoc.ROOT / "build" / "ksy"
TOOL = specdoc.SPEC_DIR / "tools" / "ksy"


def skip(reason: str) -> int:
    print(f"SKIP ksy: {reason}")
    print("0 passed, 0 failed, 1 skipped")
    return 0


def install() -> str | None:
    """The compiler under build/ksy; a reason when it cannot be had."""
    if not shutil.which("node"):
        return "no node"
    BUILD.mkdir(parents=True, exist_ok=True)
    package = (TOOL / "package.json").read_text(encoding="utf-8")
    stamp = BUILD / "package.json"
    if (
        (BUILD / "node_modules" / "kaitai-struct-compiler").is_dir()
        and stamp.exists()
        and (stamp.read_text(encoding="utf-8") == package)
    ):
        return None
    if not shutil.which("npm"):
        return "no npm to install kaitai-struct-compiler with"
    stamp.write_text(package, encoding="utf-8")
    result = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund"],
        cwd=BUILD,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        return "npm could not install kaitai-struct-compiler"
    return None


def compiled():
    import yaml

    grammar = yaml.safe_load((specdoc.SPEC_DIR / "goipc.ksy").read_text(encoding="utf-8"))
    subprocess.run(
        ["node", str(TOOL / "compile.js"), str(BUILD)],
        input=json.dumps(grammar),
        text=True,
        check=True,
        env=os.environ | {"NODE_PATH": str(BUILD / "node_modules")},
    )
    spec = importlib.util.spec_from_file_location("goipc_ksy", BUILD / "goipc.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Goipc


def parse(grammar, stream: bytes, from_server: bool, sealed: bool):
    from kaitaistruct import KaitaiStream

    tree = grammar(from_server, sealed, KaitaiStream(io.BytesIO(stream)))
    # Compiled without "autoread" by newer compilers.
    if hasattr(tree, "_read") and not hasattr(tree, "frames"):
        tree._read()
    return tree


def load(name: str) -> list[dict]:
    content = json.loads((specdoc.SPEC_DIR / "vectors" / f"{name}.json").read_text(encoding="utf-8"))
    return content["testGroups"][0]["tests"]


def wire_of(item, sealed: bool) -> bytes:
    """The bytes of a LIMIT or frame, put together again from its fields."""
    length = item.length.to_bytes(4, "big")
    if sealed:
        return length + item.body.nonce + item.body.ciphertext + item.body.tag
    if isinstance(item.plain, int):
        return length + item.plain.to_bytes(4, "big")
    return length + item.plain.type.to_bytes(4, "big") + item.plain.data


def messages_of(tree, from_server: bool, sealed: bool) -> list[bytes]:
    out = []
    key = b""
    if sealed:
        key = tree.public_key.form + tree.public_key.x + tree.public_key.y
    if from_server:
        out.append(bytes([2, tree.hello.flag.value]))
        out += [key] if key else []
        out.append(wire_of(tree.limit, sealed))
    else:
        out.append(bytes([tree.hello_reply.value]))
        out += [key] if key else []
        out.append(bytes([tree.limit_reply]))
    return out + [wire_of(frame, sealed) for frame in tree.frames]


def transcript(grammar, test: dict, role: str) -> str | None:
    from_server, sealed = role == "server", test["sealed"]
    wires = [bytes.fromhex(m["wire"]) for m in test["messages"] if m["from"] == role]
    try:
        tree = parse(grammar, b"".join(wires), from_server, sealed)
    except Exception as error:  # any exception of the generated code is a refusal
        return None if "refused" in test else f"refused: {error!r}"
    if "refused" in test:
        return "accepted"
    got = messages_of(tree, from_server, sealed)
    if got != wires:
        return f"{len(got)} messages, not as in the vector"
    frames = [m for m in test["messages"] if m["from"] == role and m["name"] == "FRAME"]
    if not sealed:
        fields = [(frame.plain.type, frame.plain.data.hex()) for frame in tree.frames]
        if fields != [(m["type"], m["data"]) for m in frames]:
            return "types or data differ"
    return None


def main() -> int:
    reason = install()
    if reason:
        return skip(reason)
    grammar = compiled()
    passed, failures = 0, []

    def count(name: str, fault: str | None) -> None:
        nonlocal passed
        if fault:
            failures.append(f"{name}: {fault}")
        else:
            passed += 1

    for test in load("transcript"):
        for role in ("server", "client"):
            count(f"{test['id']} {role}", transcript(grammar, test, role))
    # The grammar knows no limit: what is only too large is left out.
    for test in load("frame"):
        if test.get("error") == "too-large":
            continue
        whole = bytes.fromhex(test["wire"])[: test.get("consumed")]
        try:
            tree = parse(grammar, b"\0\0" + whole, False, False)
        except Exception as error:
            fault = None if "consumed" not in test else f"refused: {error!r}"
            if test["id"] == "frame-prefix-0":
                fault = f"refused: {error!r}"
        else:
            fault = None if "consumed" in test or not whole else "accepted"
            if "consumed" in test and wire_of(tree.frames[0], False) != whole:
                fault = "fields differ"
        count(test["id"], fault)
    for line in failures:
        print(f"FAIL {line}")
    print(f"{passed} passed, {len(failures)} failed, 0 skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

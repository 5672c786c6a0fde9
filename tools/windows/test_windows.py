# SPDX-License-Identifier: MIT
"""Where Wine cannot be had `./dev windows` says so and skips; what MSVC refuses, msvc.py refuses."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import adapter
import msvc
import pytest

HERE = Path(__file__).resolve().parent
# What build.sh asks for, in its order, and the Debian package it names.
NEEDED = {
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
    "wine": "wine",
    "wineserver": "wine64",
    "cmake": "cmake",
    "ninja": "ninja-build",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The programs in a tree of their own, and a machine with nothing but a few tools: `bin`."""
    (tmp_path / "tools/windows").mkdir(parents=True)
    for name in ("windows/run.py", "windows/build.sh", "windows/msvc.py", "tally.py"):
        shutil.copy(HERE.parent / name, tmp_path / "tools" / name)
    (tmp_path / "bin").mkdir()
    for name in ("sh", "dirname", "mkdir", "date"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    give(tmp_path, "uname", "echo x86_64")
    return tmp_path


def give(tree: Path, name: str, script: str) -> None:
    program = tree / "bin" / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def windows(tree: Path) -> tuple[int, list[str]]:
    command = [sys.executable, str(tree / "tools/windows/run.py")]
    done = subprocess.run(
        command, env={"PATH": str(tree / "bin")}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("absent", NEEDED)
def test_without_a_tool_it_skips_and_names_the_package(tree, absent):
    for name in NEEDED:
        if name != absent:
            give(tree, name, "exit 0")
    status, lines = windows(tree)
    assert f"SKIP windows: {absent} is not here (Debian package {NEEDED[absent]})" in lines
    assert (status, lines[-1]) == (0, "0 passed, 0 failed, 1 skipped")


@pytest.mark.parametrize("allowed", [True, False])
def test_wine_runs_at_steady_addresses_where_it_may(tree, allowed):
    script = shutil.copy(HERE / "wine", tree / "tools/windows/wine")
    give(tree, "setarch", 'test "$1" = -R && shift && steady=1 exec "$@"' if allowed else "exit 1")
    give(tree, "true", "exit 0")
    give(tree, "wine", 'echo "${steady:-random} $WINEPREFIX $*"')
    done = subprocess.run(
        [script, "a b.exe", "c"], env={"PATH": str(tree / "bin")}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{'1' if allowed else 'random'} {tree}/build/windows/prefix a b.exe c\n"


def test_on_another_processor_it_skips(tree):
    for name in NEEDED:
        give(tree, name, "exit 0")
    give(tree, "uname", "echo aarch64")
    status, lines = windows(tree)
    assert any(line.startswith("SKIP windows: ") and line.endswith("aarch64") for line in lines)
    assert (status, lines[-1]) == (0, "0 passed, 0 failed, 1 skipped")


def test_with_all_tools_a_build_that_fails_is_a_failure(tree):
    for name in NEEDED:
        give(tree, name, "exit 1")
    (tree / "tools/cross").mkdir()
    shutil.copy(shutil.which("false"), tree / "tools/cross/dependencies.sh")
    status, lines = windows(tree)
    assert (status, lines[-1]) == (1, "0 passed, 1 failed, 0 skipped")


def test_without_the_sources_of_libtomcrypt_it_skips(tree):
    for name in NEEDED:
        give(tree, name, "exit 0")
    for name in ("cat", "cksum"):
        (tree / "bin" / name).symlink_to(shutil.which(name))
    shutil.copytree(HERE.parent / "cross", tree / "tools/cross")
    toolchain = tree / "ref/cmake/windows-toolchain.cmake"
    toolchain.parent.mkdir(parents=True)
    toolchain.touch()
    status, lines = windows(tree)
    assert "SKIP cross: apt-get is not here to fetch the sources of libtomcrypt" in lines
    assert (status, lines[-1]) == (0, "0 passed, 0 failed, 1 skipped")


REFUSED = {
    "attribute": "int f(void) __attribute__((const));",
    "statement expression": "int f(int a) { return ({ a + 1; }); }",
    "typeof": "int f(int a) { __typeof__(a) b = a; return b; }",
    "variable-length array": "int f(int n) { int a[n]; a[0] = n; return a[0]; }",
    "empty initializer": "struct s { int a; }; int f(void) { struct s b = {}; return b.a; }",
    "array without elements": "struct s { int n; int a[0]; }; int f(struct s *p) { return p->n; }",
    "omitted operand": "int f(int a) { return a ?: 1; }",
    "case range": "int f(int a) { switch (a) { case 1 ... 3: return 1; default: return 0; } }",
    "pointer to void in sums": "void *f(void *p) { return p + 1; }",
    "builtin": "int f(unsigned a) { return __builtin_clz(a); }",
    "ssize_t": "#include <sys/types.h>\nssize_t f(void) { return 1; }",
    "max_align_t": "#include <stddef.h>\nint f(void) { return (int)_Alignof(max_align_t); }",
    "strcasecmp": "#include <string.h>\nint f(const char *a) { return strcasecmp(a, a); }",
    "unistd.h": "#include <unistd.h>\nint f(void) { return 0; }",
    "pthread.h": "#  include <pthread.h>\nint f(void) { return 0; }",
}
TAKEN = """
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
struct s { int n; uint8_t bytes[]; };
enum { COUNT = 3 };
_Static_assert(_Alignof(struct s) <= 2 * sizeof(void *), "aligned");
_Atomic int shared;
#if !defined(_MSC_VER) || defined(__GNUC__)
#error is not MSVC
#endif
size_t f(int a);
size_t f(int a)
{
    const int list[COUNT] = {[1] = a};
    const struct s empty = {.n = list[0]};
    return offsetof(struct s, bytes) + (size_t)empty.n;
}
"""


def complaint(tmp_path: Path, text: str) -> str:
    clang, headers = msvc.find_tools()
    if clang is None or headers is None:
        pytest.skip("clang or the headers of mingw-w64 are not installed")
    source = tmp_path / "source.c"
    source.write_text(text + "\n", encoding="utf-8")
    return msvc.complaint(clang, headers, source, [])


@pytest.mark.parametrize("name", REFUSED)
def test_what_msvc_refuses_is_refused(tmp_path, name):
    assert complaint(tmp_path, REFUSED[name])


def test_what_msvc_takes_is_taken(tmp_path):
    assert complaint(tmp_path, TAKEN) == ""


def test_the_list_of_sources_is_that_of_the_build():
    if not os.access(msvc.COMMANDS, os.R_OK):
        pytest.skip("there is no build for Windows")
    names = {path.name for path in msvc.sources()}
    assert {"transport.c", "listener.c", "poller.c", "session.c", "relay.c"} <= names


def test_a_peer_that_has_gone_is_gone_only_when_the_pipe_is_closed(monkeypatch):
    """The next peer is let in after that. Bytes for the one that has gone must not be taken for the end."""
    monkeypatch.setattr(adapter, "DRAIN_S", 60)

    async def scenario() -> None:
        suite, near = socket.socketpair()
        relay, far = socket.socketpair()
        relay.settimeout(10)
        near_streams = await asyncio.open_unix_connection(sock=near)
        joined = asyncio.ensure_future(adapter.join(near_streams, await asyncio.open_unix_connection(sock=far)))
        suite.close()
        assert await asyncio.to_thread(relay.recv, 1) == b"", "the relay is told of the end"
        for _ in range(3):
            relay.sendall(b"nobody reads this")
            await asyncio.wait([joined], timeout=0.1)
        assert not joined.done()
        relay.close()
        await asyncio.wait_for(joined, 10)

    asyncio.run(scenario())

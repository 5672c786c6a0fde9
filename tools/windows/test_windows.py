# SPDX-License-Identifier: MIT
"""What MSVC refuses, msvc.py refuses; Wine runs at steady addresses."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import msvc
import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("allowed", [True, False])
def test_wine_runs_at_steady_addresses_where_it_may(tmp_path, allowed):
    places = [tmp_path / "tools/windows", tmp_path / "bin"]
    for place in places:
        place.mkdir(parents=True)
    script = shutil.copy(HERE / "wine", places[0])
    programs = {
        "setarch": 'test "$1" = -R && shift && steady=1 exec "$@"' if allowed else "exit 1",
        "true": "exit 0",
        "wine": 'echo "${steady:-random} $WINEPREFIX $*"',
    }
    for name, body in programs.items():
        (places[1] / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (places[1] / name).chmod(0o755)
    for name in ("sh", "dirname"):
        (places[1] / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [script, "a b.exe", "c"], env={"PATH": str(places[1])}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{'1' if allowed else 'random'} {tmp_path}/build/windows/prefix a b.exe c\n"


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

# SPDX-License-Identifier: MIT
"""Goal: what Microsoft's compiler refuses, msvc.py refuses. Method: one small source for each kind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import msvc  # noqa: E402

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

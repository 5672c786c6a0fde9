# SPDX-License-Identifier: MIT
"""Every rule of ban.py finds its example, and prose, literals and reasons are left alone."""

from __future__ import annotations

import ban
import pytest

EXAMPLES = {
    "unbounded": "void f(void) { strcpy(a, b); }",
    "scanf": 'int x = sscanf(text, "%d", &y);',
    "strncpy": "void f(void) { strncpy(a, b, 3); }",
    "strtok": "void f(void) { strtok(a, b); }",
    "ato": "int x = atoi(text);",
    "rand": "int x = rand ();",
    "alloca": "char *x = alloca(size);",
    "vla": "void f(size_t size)\n{\n    uint8_t copy[size];\n}",
    "temporary": "char *x = mktemp(name);",
    "shell": "int x = system(line);",
    "byte-order": "uint32_t x = htonl(y);",
    "packed": "struct __attribute__((packed)) x { int y; };",
    "memcmp": "int x = memcmp(key, other, 32);",
    "memset": "void f(void) { bzero(a, 3); }",
    "allocation": "void *x = malloc(3);",
    "shared": "const char *text = strerror(errno);",
    "exit": "void f(void) { abort(); }",
    "print": 'void f(void) { printf("x"); }',
    "sleep": "void f(void) { usleep(3); }",
    "goto": "void f(void) { goto again; }",
    "typedef": "typedef struct goipc_session *goipc_handle;",
}
NAMES = {"memset": "ref/src/core/session.c", "allocation": "ref/src/core/wire.c"}


def rules_found(text: str, name: str) -> set[str]:
    return {what.split(":")[0] for _, what in ban.findings(text, name)}


def test_every_rule_has_an_example():
    assert set(EXAMPLES) == {rule.name for rule in ban.RULES}


@pytest.mark.parametrize("rule", EXAMPLES)
def test_rule_finds_its_example(rule):
    name = NAMES.get(rule, "ref/src/core/handshake.c")
    assert rule in rules_found(EXAMPLES[rule], name)


@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_reason_excuses(rule):
    name = NAMES.get(rule, "ref/src/core/handshake.c")
    excused = "\n".join(f"{line} /* ban: public bytes only */" for line in EXAMPLES[rule].splitlines())
    assert rule not in rules_found(excused, name)


@pytest.mark.parametrize(
    "text",
    [
        "/* never strcpy(a, b) here */",
        'const char *text = "strcpy(a, b)"; char quote = \'"\';',
        "void f(void) { goto done; done: return; }",
        "void f(void) { allocator->free(memory); my_free(memory); }",
        "typedef struct goipc_session goipc_session;",
        "typedef int (*callback)(void *context);",
        'const char *url = "http://x"; /* see http://y */',
    ],
)
def test_what_is_allowed(text):
    assert ban.findings(text, "ref/src/core/handshake.c") == []


def test_places_matter():
    assert rules_found("void *x = malloc(3);", "ref/src/core/buffer.c") == set()
    assert rules_found("void *x = malloc(3);", "ref/test/test_wire.c") == set()


def test_the_line_is_the_right_one():
    text = '/* one\n two */\nint a;\nchar *b = "x";\nint c = atoi(b);\n'
    assert [number for number, _ in ban.findings(text, "ref/cli/goipc.c")] == [5]


def test_line_comments_and_conditions():
    assert rules_found("int a; // no\n", "ref/src/core/wire.c") == {"comment"}
    inside = "int f(void)\n{\n#ifdef _WIN32\n    return 1;\n#endif\n    return 0;\n}\n"
    outside = "#ifdef _WIN32\nint f(void)\n{\n    return 1;\n}\n#endif\n"
    assert rules_found(inside, "ref/src/core/wire.c") == {"condition"}
    assert rules_found(outside, "ref/src/core/wire.c") == set()

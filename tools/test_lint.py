# SPDX-License-Identifier: MIT
"""Goal: every rule for C in .pre-commit-config.yaml finds its example. Method: the expressions, as pre-commit uses them."""

from __future__ import annotations

import re
from pathlib import Path

import functions
import links
import pytest
import yaml
from tally import ROOT

CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
RULES = {hook["id"]: hook for hook in CONFIG["repos"][0]["hooks"] if hook["language"] == "pygrep"}
EXAMPLES = {
    "tabs": ["\tint x;", "int x;\r"],
    "width-c": ["x" * 101],
    "place": ["cd /ho" + "me/somebody", "see /wo" + "rk/x"],
    "unfinished": ["/* TO" + "DO: this */"],
    "unbounded": ["strcpy(a, b);", "strncpy(a, b, 3);", "x = sprintf(a, b);"],
    "state": ["strtok(a, b);", "char *x = mktemp(name);"],
    "random": ["int x = rand();"],
    "stack": ["char *x = alloca(size);", "    uint8_t copy[size];"],
    "numbers": ['int x = sscanf(text, "%d", &y);', "int x = atoi(text);"],
    "sleep": ["usleep(3);"],
    "host": ["abort();", 'printf("x");', "system(line);"],
    "allocation": ["void *x = malloc(3);"],
    "threads": ["text = strerror(errno);"],
    "wipe": ["bzero(a, 3);"],
    "secrets": ["int x = memcmp(key, other, 32);"],
    "bytes": ["uint32_t x = htonl(y);", "struct __attribute__((packed)) x { int y; };"],
    "goto": ["goto again;"],
    "pointer": ["typedef struct goipc_session *goipc_handle;"],
    "comment": ["int x; // no", "// no"],
    "condition": ["{\n    int x;\n#ifdef Y\n#endif\n}"],
}
CLEAN = """#if X
#endif
int f(void)
{
    char *at = goipc_strcpy(a, b); /* see https://example.org: memcmp and free are not called */
    uint8_t copy[SIZE];

    object.free(at);
    memcmp(a, b, 3); /* public */
    sprintf(a, b); /* allowed: the size is known */
    goto done;
}
"""


def finds(rule: str, text: str) -> bool:
    hook = RULES[rule]
    if "--multiline" in hook.get("args", []):
        return bool(re.search(hook["entry"].encode(), text.encode(), re.MULTILINE | re.DOTALL))
    return any(re.search(hook["entry"].encode(), line) for line in text.encode().split(b"\n"))


def test_every_rule_has_an_example():
    assert set(EXAMPLES) == set(RULES)


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in EXAMPLES.items() for text in texts])
def test_rule_finds_its_example(rule, text):
    assert finds(rule, text)


@pytest.mark.parametrize("rule", RULES)
def test_rule_leaves_the_rest_alone(rule):
    assert not finds(rule, CLEAN)


def test_links_that_lead_nowhere_are_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A *head*ing\n[a](#a-heading) [b](#no) [c](none.md) [d](https://example.org) [e](page.md)\n")
    assert [problem.partition(": ")[2] for problem in links.problems(page)] == [
        "link to #no: no such heading",
        "link to none.md: no such file",
    ]


def test_a_function_of_python_that_is_too_long_is_found():
    def function(lines: int) -> str:
        return "async def f():\n" + "    x = 1\n" * (lines - 1)

    assert list(functions.too_long(function(functions.LINES_MAX))) == []
    assert list(functions.too_long(function(functions.LINES_MAX + 1))) == [(1, "f", functions.LINES_MAX + 1)]

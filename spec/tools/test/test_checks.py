# SPDX-License-Identifier: MIT
"""Goal: every check of the specification can fail. Method: a copy of the tree with one fault planted in
it, and the check that is there for such a fault; the unharmed copy passes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = ["check.py", "--text"]
TRACE = ["check.py", "--coverage"]

# name, file, what to replace (a regular expression, once), with what, the check, words of its complaint
FAULTS = [
    ("two key words", "spec/goipc.md", "A server MUST send 2", "A server MUST and SHOULD send 2", TEXT, "2 key words"),
    ("no key word", "spec/goipc.md", "A server MUST send 2", "A server sends 2", TEXT, "0 key words"),
    ("no subject", "spec/goipc.md", "A peer MUST make a new", "One MUST make a new", TEXT, "KD-001 names no subject"),
    ("wrong anchor", "spec/goipc.md", 'id="HS-009"', 'id="HS-999"', TEXT, "identifier HS-009"),
    ("unknown identifier", "spec/goipc.md", "EP-022 applies", "EP-099 applies", TEXT, "EP-099"),
    ("key word elsewhere", "spec/goipc.md", "It is not a goal", "It MUST NOT be a goal", TEXT, "outside"),
    ("no reason", "spec/goipc.md", r"review: needs a second machine", "review", TEXT, "test 'review'"),
    ("unknown class", "spec/goipc.md", r"\(key\) when X or Y", "(keys) when X or Y", TEXT, "keys"),
    ("stale index", "spec/goipc.md", "make a new key pair", "make a fresh key pair", TEXT, "requirements.json"),
    ("constant", "spec/goipc.md", r"P384_PUBLIC_SIZE \| 97", "P384_PUBLIC_SIZE | 98", TEXT, "P384_PUBLIC_SIZE"),
    ("header", "ref/include/goipc.h", "GOIPC_TAG_SIZE 16u", "GOIPC_TAG_SIZE 15u", TEXT, "TAG_SIZE"),
    ("grammar", "spec/goipc.ksy", r"length - 28", "length - 27", TEXT, "ksy ciphertext"),
    ("sum", "spec/goipc.md", "and 234 bytes", "and 235 bytes", TEXT, "Section 4"),
    ("number", "spec/goipc.md", "path holds 107", "path holds 108", TEXT, "108"),
    ("number gone", "spec/tools/numbers.toml", r"107 =", "777 =", TEXT, "777"),
    ("worked example", "spec/goipc.md", "S 0006  00 30 00 00", "S 0006  00 30 00 01", TEXT, "example"),
    ("known answer", "spec/goipc.md", r"K         0c ed", "K         0c ee", TEXT, "K"),
    ("section", "spec/goipc.md", r"\(Section 16\.2\)", "(Section 16.9)", TEXT, "no Section 16.9"),
    ("file", "spec/goipc.md", "The file `deviations.md`", "The file `deviation.md`", TEXT, "deviation.md"),
    ("spelling", "spec/goipc.md", "Optionally the", "Optionally the".replace("ll", "l"), TEXT, "spelling"),
    ("unwanted word", "spec/goipc.md", "carries messages", "carries packet messages", TEXT, "packet"),
    ("word twice", "spec/goipc.md", "It is not a goal", "It is is not a goal", TEXT, "twice"),
    (
        "long line",
        "spec/goipc.md",
        "what is between them",
        "what is between them, that is all the rest of it and so on",
        TEXT,
        "72",
    ),
    ("profile", "spec/registries.toml", '"LM-003", "SE-010"', '"LM-003"', TEXT, "SE-010"),
    ("citation", "ref/test/test_wire.c", "req: FR-001", "req: FR-999", TRACE, "FR-999"),
    ("vector", "spec/vectors/kdf.json", r'"key": "..', '"key": "00', ["check_go.py"], "key"),
    ("digest", "spec/vectors/accumulated.json", r'"digest": "..', '"digest": "00', ["check_go.py"], "digest"),
    (
        "stale vector",
        "spec/vectors/kdf.json",
        r'"key": "..',
        '"key": "00',
        ["vectors.py", "--check", "--only", "kdf"],
        "stale",
    ),
    (
        "schema",
        "spec/schemas/kdf.schema.json",
        '"minimum": 1',
        '"minimum": 1000',
        ["vectors.py", "--check", "--only", "kdf"],
        "kdf",
    ),
    ("stale header", "spec/vectors/seal.json", r'"wire": "..', '"wire": "ff', ["header.py", "--check"], "stale"),
    ("lost identifier", "spec/goipc.md", r'<a id="EP-005".*\n', "\n", ["requirements.py", "--check"], "vanished"),
    ("abnf order", "spec/goipc.md", r" /\n +C:public-key S:public-key \)", " )", ["check_abnf.py"], "eager"),
    ("abnf size", "spec/goipc.md", "12OCTET", "11OCTET", ["check_abnf.py"], "is not a sealed-limit"),
    ("abnf name", "spec/goipc.md", "version flag\n", "version flags\n", ["check_abnf.py"], "flags is used"),
    (
        "ksy nonce",
        "spec/goipc.ksy",
        r"- id: nonce\n        size: 12",
        "- id: nonce\n        size: 11",
        ["check_ksy.py"],
        "transcript",
    ),
    ("lua field", "spec/goipc.lua", r"range\(4, 12\)", "range(4, 11)", ["check_lua.py"], "sealed"),
    ("lua pieces", "spec/goipc.lua", r"side\.bytes:append\(chunk\)", "side.bytes = chunk", ["check_lua.py"], "cut 1"),
    (
        "lua end",
        "spec/goipc.lua",
        r"if side\.bytes:len\(\) > 0 then\n",
        "if false then\n",
        ["check_lua.py"],
        "no complaint",
    ),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for part in ("spec", "ref/include", "ref/src", "ref/test", "tools"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "build").mkdir()
    if (ROOT / "build" / "ksy").is_dir():
        (tmp_path / "build" / "ksy").symlink_to(ROOT / "build" / "ksy")
    return tmp_path


def run(tree: Path, check: list[str]) -> subprocess.CompletedProcess:
    command = [sys.executable, str(tree / "spec" / "tools" / check[0]), *check[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tree)


@pytest.mark.parametrize(("file", "old", "new", "check", "words"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_fault_is_found(tree: Path, file: str, old: str, new: str, check: list[str], words: str):
    path = tree / file
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(old, lambda _: new, text, count=1)
    assert count == 1 and changed != text, "the fault was not planted"
    path.write_text(changed, encoding="utf-8")
    done = run(tree, check)
    if "SKIP" in done.stdout and "FAIL" not in done.stdout:
        pytest.skip(done.stdout.splitlines()[0])
    assert done.returncode == 1, done.stdout[-500:] + done.stderr[-500:]
    complaints = "\n".join(line for line in done.stdout.splitlines() if not re.match(r"\d+ passed", line))
    assert words in complaints


def test_unharmed_tree_passes(tree: Path):
    for check in (TEXT, ["header.py", "--check"], ["requirements.py", "--check"], ["generate.py", "--check"]):
        done = run(tree, check)
        assert done.returncode == 0, done.stdout[-500:]


def test_paint_shows_the_verdicts(tree: Path):
    cases = [
        {"key": "server:a", "reqs": ["HS-009@00000000"], "verdict": "PASS"},
        {"key": "server:b", "reqs": ["HS-009", "KD-006"], "verdict": "XFAIL"},
        {"key": "server:c", "reqs": ["KD-008"], "verdict": "PASS-LENIENT"},
    ]
    run_of = {"implementation": {"name": "some one"}}
    results = tree / "results.json"
    results.write_text(json.dumps({"schema": "goipc-conformance-results-v1", "run": run_of, "cases": cases}))
    assert run(tree, ["render.py", "--paint", str(results)]).returncode == 0
    page = (tree / "build" / "docs" / "goipc-some-one-verdicts.html").read_text(encoding="utf-8")

    def chip(name: str) -> tuple[str, str]:
        found = re.search(rf'id="{name}">.*?<span class="chip ([^"]*)"[^>]*>([^<]*)<', page)
        return found.group(1), found.group(2)

    assert chip("HS-009") == ("bad-text", "1 pass, 1 xfail")
    assert chip("KD-006") == ("bad-text", "1 xfail")
    assert chip("KD-008") == ("good", "pass")
    assert chip("KD-001") == ("", "no case")
    results.write_text("{}")
    assert run(tree, ["render.py", "--paint", str(results)]).returncode != 0

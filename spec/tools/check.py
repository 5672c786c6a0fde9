# SPDX-License-Identifier: MIT
"""Checks the specification and joins it with code, tests, cases and results.

usage: check.py [--results FILE ...]

It fails when a requirement that must be covered is not; when a case or a comment cites an identifier
that is unknown or withdrawn; when a number in the prose differs from the header, the grammar or the
vectors; when a block of bytes does not do what the text says; and on broken links, misspellings and
words the project does not use. Whether a sentence changed since its cases were last read is checked
by the register of cases (conformance/goipc_conformance/cases/registry.toml).

It writes build/docs/coverage.md and coverage.html. Results of the suite are taken from
build/conformance, or from the files given.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import generate
import reference
import render
import requirements
import results
import specdoc
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt

ROOT, SPEC = specdoc.ROOT, specdoc.SPEC_DIR
OUTPUT = ROOT / "build" / "docs"
HEADER = ROOT / "ref" / "include" / "goipc.h"
TEXTS = ("goipc.md", "deviations.md", "README.md")
CITATION = re.compile(r"\breq: *([A-Z]{2}-\d{3}[^*\n]*)")
NAME = re.compile(r"\b[A-Z]{2}-\d{3}\b")
# Where a citation counts as code that obeys, and where as a test.
PLACES = (
    ("ref/test", "test"),
    ("ref/src", "code"),
    ("ref/include", "code"),
    ("ref/cli", "code"),
    ("fuzz", "test"),
    ("proofs", "test"),
    ("interop", "test"),
    ("conformance/adapters", "code"),
)
SUFFIXES = {".c", ".h", ".go", ".py", ".cc", ".js", ".rs"}
# Words with a better one in this project.
UNWANTED = {
    "packet": "frame or message",
    "payload": "data",
    "octet": "byte",
    "socket file": "socket",
    "conn": "connection",
    "handshaking": "handshake",
    "ciphered": "sealed",
    "cleartext": "plain",
    "plain text": "plain",
    "plain-text": "plain",
    "e.g.": "for example",
    "i.e.": "that is",
    "utilize": "use",
    "in order to": "to",
    "simply": "",
    "obviously": "",
    "of course": "",
}


# --- what the specification says of itself -------------------------------------------------------


def check_form(tally: specdoc.Tally, document: specdoc.Document) -> None:
    known = {item.id for item in document.requirements if item.status == "active"}
    for name in TEXTS:
        path = SPEC / name
        if path.exists():
            cited = set(specdoc.ID.findall(path.read_text(encoding="utf-8")))
            tally.check(cited <= known, f"{name}: unknown or withdrawn: {sorted(cited - known)}")
    subjects = re.compile(
        r"\b(server|client|sender|receiver|peer|implementation|application|policy|timeout|limit|"
        r"claim|documentation|memory|change|interface|call|unit)\b",
        re.IGNORECASE,
    )
    for item in document.requirements:
        before = item.text.split(item.keyword)[0]
        tally.check(subjects.search(before), f"goipc.md:{item.line}: {item.id} names no subject")
        tally.check(item.text.endswith("."), f"goipc.md:{item.line}: {item.id} is not a sentence")
    outside = [line for line in informative(document.lines) if specdoc.KEYWORD.search(line)]
    tally.check(not outside, f"a key word outside a requirement: {outside[:1]}")
    listed = set(re.findall(r"^\| ([A-Z]{2}-\d{3}) \|", "\n".join(document.lines), re.MULTILINE))
    registries = tomllib.loads((SPEC / "registries.toml").read_text(encoding="utf-8"))
    cited = {
        name
        for profile in registries["profile"].values()
        for key in ("replaces", "raises")
        for name in profile.get(key, [])
    }
    tally.check(listed == cited, f"profiles: text and registries differ in {sorted(listed ^ cited)}")
    areas = {item.id[:2] for item in document.requirements}
    tally.check(areas == set(registries["requirement_area"]), "the areas of registries.toml")
    classes = {row[0] for row in table(document.lines, "### 13.1 Classes")}
    tally.check(classes == set(registries["error_class"]["values"]), "the error classes")
    used = set()
    for item in document.requirements:
        used |= set(re.findall(r"(?:fail the connection|report locally) \(([\w-]+)\)", item.text))
    tally.check(used <= classes, f"classes that are not in Section 13.1: {sorted(used - classes)}")


def informative(lines: list[str]) -> list[str]:
    """The lines that are neither a requirement, nor the section on key words, nor generated."""
    out, requirement, section = [], False, ""
    for line in lines:
        heading = specdoc.HEADING.match(line)
        section = heading.group(2) if heading else section
        if line.startswith('<a id="'):
            requirement = True
        elif not line.strip():
            requirement = False
        if requirement or section.startswith(("2.1", "3.2", "0.", "Appendix E", "Normative")):
            continue
        out.append(line)
    return out


def table(lines: list[str], heading: str) -> list[list[str]]:
    rows = []
    for line in lines[lines.index(heading) + 1 :]:
        if line.startswith("|"):
            rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]


# --- numbers -------------------------------------------------------------------------------------


def constants(lines: list[str]) -> dict[str, int]:
    return {name: int(value) for name, value, _ in table(lines, "### 2.5 Constants")}


def check_numbers(tally: specdoc.Tally, document: specdoc.Document) -> None:
    values = constants(document.lines)
    check_header(tally, values)
    check_grammar(tally, values)
    check_vectors(tally, values, document)
    allowed = tomllib.loads((SPEC / "tools" / "numbers.toml").read_text(encoding="utf-8"))["prose"]
    known = set(values.values()) | {int(number) for number in allowed}
    known |= {2**32 - 1, 2**32, values["MESSAGE_SIZE_DEFAULT"] + 4, values["MESSAGE_SIZE_DEFAULT"] + 32}
    seen: dict[int, int] = {}
    fenced = False
    for number, line in enumerate(document.lines, start=1):
        if line.startswith("```"):
            fenced = not fenced
        if fenced or re.match(r"\| (\[|`\w+\.json`)", line):
            continue
        words = re.sub(r"\b[0-9a-f]{2}( [0-9a-f]{2})+\b|kdf-\w+|[A-Z]{2}-\d{3}|\d{4}-\d\d-\d\d|10,000", " ", line)
        for found in re.findall(r"(?<![\w.^])\d{3,}(?![\w^])", words):
            seen.setdefault(int(found), number)
    for found, number in sorted(seen.items()):
        tally.check(found in known, f"goipc.md:{number}: where does {found} come from?")
    text = "\n".join(document.lines)
    stale = [number for number in allowed if number not in text]
    tally.check(not stale, f"numbers.toml: {stale} stand nowhere in the text")


def check_header(tally: specdoc.Tally, values: dict[str, int]) -> None:
    """Every constant of the table that the C header has too is the same there."""
    if not HEADER.exists():
        tally.skip("header", "no ref/include/goipc.h")
        return
    text = HEADER.read_text(encoding="utf-8")
    header = {name: int(value) for name, value in re.findall(r"#define GOIPC_(\w+) (\d+)u\b", text)}
    shared = [name for name in values if name in header]
    tally.check(len(shared) >= 10, f"only {shared} are shared with goipc.h")
    for name in shared:
        tally.check(values[name] == header[name], f"{name} is {values[name]} here, {header[name]} in goipc.h")
    default = re.search(r"handshake_timeout_ms; */\* 0: ([\d,]+)", text)
    if default:
        tally.check(
            int(default.group(1).replace(",", "")) == values["HANDSHAKE_TIMEOUT_MS"],
            "the default handshake timeout of goipc.h",
        )
    status = {name: int(value) for name, value in re.findall(r"X\((\w+), (\d+),", text)}
    tally.check(len(status) == len(set(status.values())), "goipc.h: an error number stands twice")


def check_grammar(tally: specdoc.Tally, values: dict[str, int]) -> None:
    ksy = (SPEC / "goipc.ksy").read_text(encoding="utf-8")
    lua = (SPEC / "goipc.lua").read_text(encoding="utf-8")
    plain, sealed = values["PLAIN_OVERHEAD"], values["SEALED_OVERHEAD"]
    coordinate = values["P384_SHARED_SIZE"]
    for what, text, pattern in (
        ("ksy version", ksy, rf"contents: \[{values['PROTOCOL_VERSION']}\]"),
        ("ksy bounds", ksy, rf"sealed \? {sealed} : {plain}'"),
        ("ksy coordinates", ksy, rf"id: x\n +size: {coordinate}\n +- id: y\n +size: {coordinate}\n"),
        ("ksy nonce", ksy, rf"id: nonce\n +size: {values['NONCE_SIZE']}\n"),
        ("ksy ciphertext", ksy, rf"size: length - {values['NONCE_SIZE'] + values['TAG_SIZE']}\n"),
        ("ksy tag", ksy, rf"id: tag\n +size: {values['TAG_SIZE']}\n"),
        ("ksy data", ksy, rf"size: length - {values['FRAME_TYPE_SIZE']}\n"),
        (
            "lua sizes",
            lua,
            rf"= {values['HELLO_SIZE']}, {values['REPLY_SIZE']}, "
            rf"{values['P384_PUBLIC_SIZE']}, {values['FRAME_LENGTH_SIZE']}\n",
        ),
        ("lua overhead", lua, rf"\[false\] = {plain}, \[true\] = {sealed} "),
    ):
        tally.check(re.search(pattern, text), f"{what}: not as in Section 2.5")


def check_vectors(tally: specdoc.Tally, values: dict[str, int], document: specdoc.Document) -> None:
    """The sizes in the table, and the sums in Section 4, against the transcripts."""
    sizes = defaultdict(set)
    totals = {}
    for test in load("transcript"):
        if "refused" in test:
            continue
        mode = "sealed" if test["sealed"] else "plain"
        sums = {"server": 0, "client": 0}
        for message in test["messages"]:
            size = len(message["wire"]) // 2
            if message["name"] == "FRAME":
                sizes[f"overhead {mode}"].add(size - 4 - len(message["data"]) // 2)
                continue
            sizes[f"{message['name']} {mode}"].add(size)
            sums[message["from"]] += size
        totals[mode] = sums
    expect = {
        "HELLO plain": "HELLO_SIZE",
        "HELLO sealed": "HELLO_SIZE",
        "HELLO_REPLY plain": "REPLY_SIZE",
        "LIMIT_REPLY sealed": "REPLY_SIZE",
        "SERVER_KEY sealed": "P384_PUBLIC_SIZE",
        "CLIENT_KEY sealed": "P384_PUBLIC_SIZE",
        "LIMIT plain": "LIMIT_SIZE_PLAIN",
        "LIMIT sealed": "LIMIT_SIZE_SEALED",
        "overhead plain": "PLAIN_OVERHEAD",
        "overhead sealed": "SEALED_OVERHEAD",
    }
    for what, name in expect.items():
        tally.check(sizes[what] == {values[name]}, f"{name} is {values[name]}, the vectors have {sizes[what]}")
    text = "\n".join(document.lines)
    said = [
        int(number)
        for number in re.search(
            r"handshake is (\d+) bytes plain \((\d+) from the server, (\d+) from the client\) and (\d+) "
            r"bytes encrypted \((\d+) from the server, (\d+) from the client\)",
            text,
        ).groups()
    ]
    counted = []
    for mode in ("plain", "sealed"):
        server, client = totals[mode]["server"], totals[mode]["client"]
        counted += [server + client, server, client]
    tally.check(said == counted, f"Section 4 says {said}, the vectors have {counted}")


# --- bytes in the text ---------------------------------------------------------------------------


def load(name: str) -> list[dict]:
    content = json.loads((SPEC / "vectors" / f"{name}.json").read_text(encoding="utf-8"))
    return [test for group in content["testGroups"] for test in group["tests"]]


def check_bytes(tally: specdoc.Tally, document: specdoc.Document) -> None:
    """Runs every block of bytes in the text through the protocol."""
    text = "\n".join(document.lines)
    dumps = re.findall(r"<!-- generated: example (\S+) -->(.*?)<!-- end generated -->", text, re.DOTALL)
    transcripts = {test["id"]: test for test in load("transcript")}
    for name, region in dumps:
        test = transcripts[name]
        streams = {"S": b"", "C": b""}
        for letter, at, row in re.findall(r"^([SC]) ([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", region, re.MULTILINE):
            tally.check(int(at, 16) == len(streams[letter]), f"{name}: offset {at} of {letter}")
            streams[letter] += bytes.fromhex(row)
        for role, letter, other in (("server", "C", "S"), ("client", "S", "C")):
            side = test[role]
            draws = [bytes.fromhex(draw) for draw in side.get("random_draws", [])]
            receiver = reference.Receiver(role, side["encryption"], side["limit"], draws)
            receiver.feed(streams[letter])
            receiver.end()
            got = [event for event in receiver.events if event["event"] == "message"]
            want = [{"event": "message"} | item for item in test["delivered"][role]]
            tally.check(
                got == want and receiver.events[-1]["event"] == "closed",
                f"{name}: the {role} makes {receiver.events} of it",
            )
            tally.check(streams[other].startswith(receiver.output), f"{name}: what the {role} sends")
    tally.check(len(dumps) == 2, f"{len(dumps)} worked examples")
    check_answer(tally, text)
    for number, line in enumerate(document.lines, start=1):
        for size, found in re.findall(r"\| (plain|sealed) \| `((?:[0-9a-f]{2} ?){4})`", line):
            want = reference.u32(reference.PLAIN_OVERHEAD if size == "plain" else reference.SEALED_OVERHEAD)
            tally.check(bytes.fromhex(found) == want, f"goipc.md:{number}: {found}")
    for name in TEXTS:
        path = SPEC / name
        if not path.exists():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            for span in re.findall(r"`([^`]*)`", line):
                if re.fullmatch(r"[0-9a-fA-F ]+", span) and " " in span:
                    tally.check(re.fullmatch(r"[0-9a-f]{2}( [0-9a-f]{2})*", span), f"{name}:{number}: bytes {span}")


def check_answer(tally: specdoc.Tally, text: str) -> None:
    region = re.search(r"<!-- generated: answer \S+ -->(.*?)<!-- end generated -->", text, re.DOTALL).group(1)
    fields, name = {}, ""
    for label, row in re.findall(r"^(\S*) +((?:[0-9a-f]{2} ?)+)$", region, re.MULTILINE):
        name = label or name
        fields[name] = fields.get(name, b"") + bytes.fromhex(row)
    x = reference.shared_x(fields["private"], fields["peer"])
    tally.check(x == fields["X"] and reference.strip(x) == fields["strip(X)"], "Section 8.4: X")
    tally.check(reference.derive_key(x) == fields["K"], "Section 8.4: K")
    zeros = len(x) - len(reference.strip(x))
    tally.check(zeros > 0 and f"SHA-256 over {48 - zeros} bytes" in text, "Section 8.4: the bytes hashed")


# --- language and links --------------------------------------------------------------------------


def check_language(tally: specdoc.Tally) -> None:
    files = [SPEC / name for name in TEXTS if (SPEC / name).exists()]
    tool = Path(sys.executable).parent / "codespell"
    command = str(tool) if tool.exists() else shutil.which("codespell")
    if command:
        done = subprocess.run(
            [command, "--ignore-words-list=shs", *map(str, files), str(SPEC / "registries.toml")],
            capture_output=True,
            text=True,
            check=False,
        )
        tally.check(done.returncode == 0, f"spelling: {done.stdout.strip()}")
    else:
        tally.skip("spelling", "no codespell")
    for path in files:
        faults, fenced = [], False
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            if line.startswith("```"):
                fenced = not fenced
            if not fenced:
                faults += [f"{path.name}:{number}: {fault}" for fault in language_faults(line)]
        tally.check(not faults, "\n".join(faults))
    text = render.to_text(specdoc.SOURCE)
    long = [line for line in text.split("\n") if len(line) > render.COLUMNS]
    tally.check(not long, f"text edition: {len(long)} lines over {render.COLUMNS} columns: {long[:1]}")


def language_faults(line: str) -> list[str]:
    words = re.sub(r"`[^`]*`", "", line)
    faults = [
        f"say {better or 'it without'}: {word!r}"
        for word, better in UNWANTED.items()
        if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", words, re.IGNORECASE)
    ]
    double = re.search(r"\b([A-Za-z]+) \1\b", words)
    return faults + ([f"twice: {double.group(1)!r}"] if double else [])


def check_links(tally: specdoc.Tally) -> None:
    for name in TEXTS:
        path = SPEC / name
        if not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        anchors = set(re.findall(r'<a id="([^"]+)"', text))
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith(("http://", "https://")):
                continue
            file, _, anchor = target.partition("#")
            if file:
                tally.check((path.parent / file).exists(), f"{name}: no {file}")
            elif not anchor.startswith("section-"):
                tally.check(anchor in anchors, f"{name}: no anchor {anchor}")
        headings = {render.slug(found) for found in re.findall(r"^#{2,4} (.+)$", text, re.MULTILINE)}
        if name == "goipc.md":
            for number in re.findall(r"\b(?:Section|Appendix) ([0-9A-E]+(?:\.[0-9]+)*)", text):
                if not re.search(rf"(?:SP800-38D\]|\]), Section {re.escape(number)}", text):
                    tally.check(f"section-{number.lower()}" in headings, f"{name}: no Section {number}")
        for mentioned in re.findall(r"`([\w./-]+\.(?:md|toml|json|ksy|lua|h))`", text):
            places = (SPEC / mentioned, SPEC / "vectors" / mentioned, HEADER.parent / mentioned)
            tally.check(any(place.exists() for place in places), f"{name}: no file {mentioned}")


# --- traceability --------------------------------------------------------------------------------


def citations(tally: specdoc.Tally, known: set[str]) -> dict[str, dict[str, list[str]]]:
    """Identifier -> code or test -> places, from the comments of the tree."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for folder, kind in PLACES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in SUFFIXES or "node_modules" in path.parts:
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
                for text in CITATION.findall(line):
                    for name in NAME.findall(text):
                        place = f"{path.relative_to(ROOT)}:{number}"
                        tally.check(name in known, f"{place}: {name} is unknown or withdrawn")
                        found[name][kind].append(place)
    return found


def cases_of(tally: specdoc.Tally, known: set[str]) -> dict[str, set[str]] | None:
    """Identifier -> cases, as the suite lists them; None without the suite."""
    command = Path(sys.executable).parent / "goipc-conformance"
    if not command.exists():
        return None
    done = subprocess.run([str(command), "list", "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        tally.check(False, f"goipc-conformance list failed: {done.stderr.strip()[-200:]}")
        return None
    found = defaultdict(set)
    for case in json.loads(done.stdout):
        for cited in case["reqs"]:
            name = cited.split("@")[0]
            if case["case"] not in found[name]:  # once, not for every set of parameters
                tally.check(name in known, f"case {case['case']}: {name} is unknown or withdrawn")
            found[name].add(case["case"])
    return found


def check_coverage(tally: specdoc.Tally, document: specdoc.Document, cases, cited) -> None:
    """Every active MUST has what its kind of test calls for."""
    for item in document.requirements:
        if item.level != "MUST" or item.status != "active" or item.test == "none":
            continue
        code, test = cited[item.id]["code"], cited[item.id]["test"]
        if item.test == "review":
            tally.check(code or test, f"{item.id} (review) is cited by no code and no test")
        elif cases is not None:
            enough = cases[item.id] or (item.test == "hook" and test)
            tally.check(enough, f"{item.id} ({item.test}) has no case: {item.text[:80]}")


def write_coverage(document: specdoc.Document, cases, cited, found) -> None:
    names = sorted(found)
    head = ["requirement", "key word", "test", "code", "unit tests", "cases", *names]
    lines = [
        "# Coverage of the specification",
        "",
        f"Edition {document.meta['edition']}: {len(document.requirements)} requirements. "
        "A MUST tested by `wire` or `control` needs a case; by `hook`, a case or a unit test; by "
        "`review`, the reason beside it and a place in the code or a test that cites it.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for item in document.requirements:
        places = cited[item.id]
        row = [
            f"[{item.id}](goipc.html#{item.id})",
            item.keyword,
            item.test + (f": {item.reason}" if item.reason else ""),
            brief(places["code"]),
            brief(places["test"]),
            brief(sorted((cases or {}).get(item.id, [])), 3),
        ]
        row += [results.summary(found[name].get(item.id)) for name in names]
        lines.append("| " + " | ".join(row) + " |")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    (OUTPUT / "coverage.md").write_text(text.replace("goipc.html#", "../../spec/goipc.md#"), encoding="utf-8")
    markdown = MarkdownIt("commonmark").enable("table")
    body = markdown.render(text).replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    body = re.sub(r"<td>pass</td>", '<td class="good">pass</td>', body)
    body = re.sub(r"<td>([^<]*(?:fail|crash|hang|error)[^<]*)</td>", r'<td class="bad-text">\1</td>', body)
    page = Environment(loader=FileSystemLoader(render.TEMPLATES), autoescape=False).get_template("page.html.j2")
    contents = '<ol><li><a href="goipc.html">The specification</a></li></ol>'
    html = page.render(title="Coverage of the specification", contents=contents, body=body)
    (OUTPUT / "coverage.html").write_text(html + "\n", encoding="utf-8")


def brief(places: list[str], most: int = 2) -> str:
    shown = ", ".join(f"`{place.removeprefix('ref/')}`" for place in places[:most])
    return shown + (f" and {len(places) - most} more" if len(places) > most else "")


def check_generated(tally: specdoc.Tally, document: specdoc.Document) -> None:
    """The index of requirements and the regions of the text are those of the text."""
    built = json.dumps(requirements.build(), indent=2, ensure_ascii=False) + "\n"
    tally.check(requirements.OUTPUT.read_text(encoding="utf-8") == built, "requirements.json is stale")
    text = specdoc.SOURCE.read_text(encoding="utf-8")
    for match in generate.REGION.finditer(text):
        tally.check(generate.fill(match) == match.group(0), f"goipc.md: region {match.group(2)} is stale")
    tally.check(len(document.requirements) >= 120, "fewer than 120 requirements")


def main() -> int:
    parser = argparse.ArgumentParser(description="check the specification and its coverage")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--text", action="store_true", help="only what the text itself must satisfy")
    part.add_argument("--coverage", action="store_true", help="only what joins it with the rest")
    parser.add_argument("--results", type=Path, nargs="*", help="result files of the suite")
    arguments = parser.parse_args()

    tally = specdoc.Tally()
    try:
        document = specdoc.read()
    except specdoc.SpecError as error:
        tally.check(False, str(error))
        return tally.finish()
    if not arguments.coverage:
        check_generated(tally, document)
        check_form(tally, document)
        check_numbers(tally, document)
        check_bytes(tally, document)
        check_language(tally)
        check_links(tally)
    if not arguments.text:
        files = arguments.results or list((ROOT / "build" / "conformance").glob("**/*.json"))
        trace(tally, document, files)
    return tally.finish()


def trace(tally: specdoc.Tally, document: specdoc.Document, files: list[Path]) -> None:
    known = {item.id for item in document.requirements if item.status == "active"}
    cited = citations(tally, known)
    cases = cases_of(tally, known)
    if cases is None:
        tally.skip("cases", "the conformance suite is not installed")
    check_coverage(tally, document, cases, cited)
    write_coverage(document, cases, cited, results.verdicts_of(files))


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Holds the documents to what they claim: the programs, commands and tables in them are real.

- The two programs in README.md are byte for byte the files ref/example/echo_server.c and echo_client.c,
  build with the flags pkg-config would give, and talk to each other.
- The same two are the EXAMPLES of goipc(3), and what EXAMPLES of goipc(1) shows runs and says what it is to say.
- With --results, the table of results is what the last complete runs gave (--update brings it up to date), and what
  the table of platforms says of Windows is what the last run under Wine found.
- Functions and files that design.md names exist.
- The number of lines of the core in the README is that of ref/src/core.
- Every `./dev COMMAND` that a document names exists; every folder in the table exists.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import storeys  # noqa: E402
from tally import Tally, relative  # noqa: E402

PROGRAMS = {"echo_server.c": ROOT / "ref/example/echo_server.c", "echo_client.c": ROOT / "ref/example/echo_client.c"}
ARCHIVE = ROOT / "build/release/ref/libgoipc.a"
IMPLEMENTATIONS = {
    "goipc-nettle+ipsec-mb": "the library with nettle and IPSec MB, both roles",
    "goipc-openssl": "the library with OpenSSL, both roles",
    "goipc-tomcrypt": "the library with libtomcrypt, both roles",
    "golang-ipc-1.2.4": "golang-ipc 1.2.4, both roles",
}
FIGURES = ("passed", "known", "failed", "skipped")
COMMAND_LINE = ROOT / "build/release/ref/cli/goipc"
COMMAND_PAGE = ROOT / "ref/doc/goipc.1"
LIBRARY_PAGE = ROOT / "ref/doc/goipc.3"
EXAMPLES = re.compile(r"(?<=^\.SH EXAMPLES\n)(.*?)(?=^\.SH )", re.DOTALL | re.MULTILINE)
LITERAL = re.compile(r"^\.nf\n(.*?)^\.fi$", re.DOTALL | re.MULTILINE)
RESULTS = re.compile(r"(<!-- results -->)\n(.*?)(<!-- end of results -->)", re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CORE_LINES = re.compile(r"(?<=^## The minimal reference: )[\d,]+(?= lines$)", re.MULTILINE)
COMMAND = re.compile(r"\./dev ([a-z][\w-]*)")


def without_licence(text: str) -> str:
    return re.sub(r"\A(?:/\* SPDX[^\n]*\*/\n)\n*", "", text).strip()


def to_roff(text: str) -> str:
    """Literal text for a manual page."""
    return re.sub(r"^(?=[.'])", r"\\&", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.MULTILINE)


def from_roff(text: str) -> str:
    return text.replace("\\&", "").replace("\\-", "-").replace("\\e", "\\")


def page_examples(path: Path) -> list[str]:
    """The literal blocks in the EXAMPLES of a manual page."""
    found = EXAMPLES.search(path.read_text(encoding="utf-8"))
    return [from_roff(body) for body in LITERAL.findall(found.group(1))] if found else []


def readme_programs(text: str) -> list[str]:
    return [body for language, body in BLOCK.findall(text) if language == "c"]


def check_programs(where: str, sources: list[str], tally: Tally) -> None:
    shown = [without_licence(source) for source in sources]
    for name, path in PROGRAMS.items():
        if not path.exists():
            tally.fail(name, f"{relative(path)} is not there")
        else:
            tally.check(
                without_licence(path.read_text(encoding="utf-8")) in shown,
                f"{name} in {where}",
                "shows another program (documents.py --update)",
            )


def check_commands(tally: Tally) -> None:
    listed = subprocess.run(["./dev", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  ([a-z][\w-]*) ", listed, re.MULTILINE)) | {"help"}
    for path in sorted(ROOT.rglob("*.md")):
        if {"build", "node_modules"} & set(path.relative_to(ROOT).parts):
            continue
        named = set(COMMAND.findall(path.read_text(encoding="utf-8")))
        unknown = sorted(named - known)
        tally.check(not unknown, f"commands in {relative(path)}", f"unknown: {', '.join(unknown)}")


def check_core_lines(text: str, tally: Tally) -> None:
    lines = f"{storeys.core_lines(storeys.read_files()):,}"
    tally.check(CORE_LINES.findall(text) == [lines], "lines of the core", f"{lines} now (documents.py --update)")


def check_names_of_design(tally: Tally) -> None:
    """What design.md calls a function or a file is one."""
    text = (ROOT / "ref/doc/design.md").read_text(encoding="utf-8")
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "ref").rglob("*.[ch]")}
    everything = "\n".join(sources.values())
    files = {path.name for path in sources}
    for name in sorted(set(re.findall(r"`(\w+(?:\.[ch])?)`", text))):
        known = name in files if name.endswith((".c", ".h")) else re.search(rf"\b{name}\b", everything)
        tally.check(bool(known) or name.isupper() or name == "release", f"design.md: {name}", "is not in ref/")


def check_folders(text: str, tally: Tally) -> None:
    rows = re.findall(r"^\| \[?`([\w./-]+/)`", text, re.MULTILINE)
    tally.check(bool(rows), "folders", "README.md has no table of folders")
    for folder in rows:
        tally.check((ROOT / folder).is_dir(), f"folder {folder}", "is not there")


def build(name: str, source: str, folder: Path) -> Path | None:
    """Compiles a program as a reader would who has the library's static archive."""
    (folder / name).write_text(source, encoding="utf-8")
    program = folder / name.removesuffix(".c")
    libraries = subprocess.run(
        ["pkg-config", "--libs", "--silence-errors", str(ARCHIVE.parent / "goipc-static.pc")],
        capture_output=True,
        text=True,
    ).stdout.split()
    command = [os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-DGOIPC_STATIC=1"]
    command += ["-I", str(ROOT / "ref/include"), str(folder / name), "-o", str(program), str(ARCHIVE)]
    command += [word for word in libraries if word not in ("-lgoipc", "-l:libgoipc.a")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr)
        return None
    return program


def check_run(where: str, sources: list[str], tally: Tally) -> None:
    """The programs as shown, under a name of this run, exchange a message."""
    if len(sources) != len(PROGRAMS) or not ARCHIVE.exists():
        tally.fail(f"run {where}", "needs the two programs, and ./dev build release")
        return
    with tempfile.TemporaryDirectory(prefix="goipc-") as place:
        programs = [build(name, source, Path(place)) for name, source in zip(PROGRAMS, sources, strict=True)]
        for name, program in zip(PROGRAMS, programs, strict=True):
            tally.check(program is not None, f"build {name} of {where}")
        if None in programs:
            return
        unique = f"readme-{os.getpid()}-{secrets.token_hex(4)}"
        server = subprocess.Popen([programs[0], unique], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            # The client retries until the server listens, so no order of starting is assumed.
            client = subprocess.run([programs[1], unique, "hello"], capture_output=True, text=True, timeout=30)
            tally.check(client.returncode == 0, "client", f"exit code {client.returncode}: {client.stderr}")
            tally.check(client.stdout == "hello\n", "answer", f"hello expected, {client.stdout!r} printed")
        except subprocess.TimeoutExpired:
            tally.fail("client", "still running after 30 s")
        finally:
            server.kill()
            server.communicate()
            Path(f"/tmp/{unique}.sock").unlink(missing_ok=True)


def check_commands_of_page(tally: Tally) -> None:
    """What goipc(1) shows, as one script of a shell, under a name of this run."""
    unique = f"readme-{os.getpid()}-{secrets.token_hex(4)}"
    shown = page_examples(COMMAND_PAGE)
    if not shown or not COMMAND_LINE.exists():
        tally.fail("goipc.1 examples", "needs its EXAMPLES, and ./dev build release")
        return
    script = re.sub(r"\bdemo\b", unique, "".join(shown))
    with tempfile.TemporaryDirectory(prefix="goipc-") as place, open(f"{place}/said", "w+", encoding="utf-8") as said:
        shell = subprocess.Popen(
            ["sh", "-eu", "-c", f"{script}\nkill $!\nwait"],
            cwd=place,
            env={**os.environ, "PATH": f"{COMMAND_LINE.parent}:{os.environ['PATH']}"},
            stdout=said,
            start_new_session=True,
        )
        try:
            code = shell.wait(timeout=60)
            tally.check(code == 0, "goipc.1 examples", f"exit code {code}")
        except subprocess.TimeoutExpired:
            tally.fail("goipc.1 examples", "still running after 60 s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
            Path(f"/tmp/{unique}.sock").unlink(missing_ok=True)
        said.seek(0)
        lines = said.read().splitlines()
    for wanted in ("hello", "HELLO: version 2, plain (0)", 'type 5, 2 bytes of data "hi"'):
        tally.check(any(line.endswith(wanted) for line in lines), f"goipc.1 says {wanted}", f"it printed {lines}")


def judged(name: str) -> dict[str, int] | None:
    """How often each verdict was given in the last run of the suite, and the number of cases."""
    path = ROOT / "build/conformance" / f"{name}.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["run"]["selection"] or not found["cases"]:
        return None
    cases = len({case["case"] for case in found["cases"]})
    # A result of which the record speaks is known, whichever of its outcomes a race gave this time.
    counted = collections.Counter(
        "known" if case["recorded"] and case["counts_as"] != "failed" else case["counts_as"] for case in found["cases"]
    )
    return {"cases": cases, "runs": len(found["cases"])} | {key: counted[key] for key in FIGURES}


def results() -> str | None:
    """The table of results as the last runs of ./dev conformance and ./dev interop give it."""
    rows = ["| tested | how | passed | known deviations | failed | not applicable |", "|---|---|---|---|---|---|"]
    for name, title in IMPLEMENTATIONS.items():
        found = judged(name)
        if found is None:
            return None
        rows.append(
            f"| {title} | {found['cases']} cases, {found['runs']} runs | "
            + " | ".join(str(found[key]) for key in FIGURES)
            + " |"
        )
    path = ROOT / "build/interop/results.json"
    if not path.exists():
        return None
    exchanges = [row for row in json.loads(path.read_text(encoding="utf-8")) if row.get("os", "linux") == "linux"]
    good = sum(1 for row in exchanges if row["ok"])
    rows.append(f"| both together | {len(exchanges)} live exchanges | {good} | | {len(exchanges) - good} | |")
    return "\n".join(rows)


def check_results(tally: Tally) -> None:
    """What README.md says was measured is what the last complete runs gave."""
    found = results()
    if found is None:
        tally.skip("results", "run ./dev conformance and ./dev interop first")
        return
    shown = RESULTS.search((ROOT / "README.md").read_text(encoding="utf-8"))
    same = shown is not None and shown.group(2).strip() == found
    tally.check(same, "results", f"README.md is stale (documents.py --update); the last runs gave\n{found}")


def check_windows(tally: Tally) -> None:
    """What the table of platforms claims for Windows: judged by the suite, and messages exchanged with golang-ipc."""
    suite, exchanges = ROOT / "build/windows/conformance.json", ROOT / "build/interop/results.json"
    if not suite.exists() or not exchanges.exists():
        tally.skip("Windows", "run ./dev windows first")
        return
    run = json.loads(suite.read_text(encoding="utf-8"))
    system, totals = run["run"]["implementation"]["os"], run["totals"]
    good = system == "windows" and totals["passed"] > 0 and not totals["failed"] and not run["run"]["interrupted"]
    tally.check(good, "Windows: suite", f"on {system}: {totals}")
    rows = [row for row in json.loads(exchanges.read_text(encoding="utf-8")) if row.get("os") == "windows"]
    met = {(row["server"], row["client"], row["encrypted"]) for row in rows if row["ok"]}
    pairs = (("goipc", "golang-ipc"), ("golang-ipc", "goipc"))
    wanted = {(*pair, encrypted) for pair in pairs for encrypted in (True, False)}
    failed = sum(1 for row in rows if not row["ok"])
    tally.check(wanted <= met and not failed, "Windows: interop", f"{failed} failed; not met: {sorted(wanted - met)}")


def update() -> None:
    """Puts the two programs into README.md and goipc(3), in this order, and the results into their table."""
    readme = ROOT / "README.md"
    sources = iter(PROGRAMS.values())

    def fill(match: re.Match[str]) -> str:
        if match.group(1) != "c":
            return match.group()
        return f"```c\n{without_licence(next(sources).read_text(encoding='utf-8'))}\n```"

    text = BLOCK.sub(fill, readme.read_text(encoding="utf-8"))
    text = CORE_LINES.sub(f"{storeys.core_lines(storeys.read_files()):,}", text)
    found = results()
    if found is not None:
        text = RESULTS.sub(lambda match: f"{match.group(1)}\n\n{found}\n\n{match.group(3)}", text)
    readme.write_text(text, encoding="utf-8")
    shown = "".join(
        f".PP\n.IR {name} :\n.PP\n.nf\n{to_roff(without_licence(path.read_text(encoding='utf-8')))}\n.fi\n"
        for name, path in PROGRAMS.items()
    )
    page = EXAMPLES.sub(lambda _: shown.removeprefix(".PP\n"), LIBRARY_PAGE.read_text(encoding="utf-8"))
    LIBRARY_PAGE.write_text(page, encoding="utf-8")


def main() -> int:
    if sys.argv[1:] == ["--update"]:
        update()
    tally = Tally()
    if sys.argv[1:] == ["--results"]:
        check_results(tally)
        check_windows(tally)
        return tally.finish()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for where, sources in (("README.md", readme_programs(text)), ("goipc.3", page_examples(LIBRARY_PAGE))):
        check_programs(where, sources, tally)
        check_run(where, sources, tally)
    check_commands_of_page(tally)
    check_commands(tally)
    check_core_lines(text, tally)
    check_names_of_design(tally)
    check_folders(text, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

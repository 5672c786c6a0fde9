# SPDX-License-Identifier: MIT
"""Holds the documents to what they claim: the programs, commands and tables in them are real.

- The two programs in README.md are byte for byte the files ref/example/echo_server.c and echo_client.c,
  build with the flags pkg-config would give, and talk to each other.
- With --results, the table of results is what the last complete runs gave (--update brings it up to date), and what
  the table of platforms says of Windows is what the last run under Wine found.
- Every `./dev COMMAND` that a document names exists; every folder in the table exists.
"""

from __future__ import annotations

import collections
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from gatelib import ROOT, Tally, project_files, relative

PROGRAMS = {"echo_server.c": ROOT / "ref/example/echo_server.c", "echo_client.c": ROOT / "ref/example/echo_client.c"}
ARCHIVE = ROOT / "build/release/ref/libgoipc.a"
IMPLEMENTATIONS = {
    "goipc-openssl": "the library with OpenSSL, both roles",
    "goipc-tomcrypt": "the library with libtomcrypt, both roles",
    "golang-ipc-1.2.4": "golang-ipc 1.2.4, both roles",
}
RESULTS = re.compile(r"(<!-- results -->)\n(.*?)(<!-- end of results -->)", re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\./dev ([a-z][\w-]*)")


def without_licence(text: str) -> str:
    return re.sub(r"\A(?:/\* SPDX[^\n]*\*/\n)\n*", "", text).strip()


def check_programs(text: str, tally: Tally) -> None:
    shown = [without_licence(body) for language, body in BLOCK.findall(text) if language == "c"]
    for name, path in PROGRAMS.items():
        if not path.exists():
            tally.fail(name, f"{relative(path)} is not there")
        else:
            tally.check(
                without_licence(path.read_text(encoding="utf-8")) in shown, name, "README.md shows another program"
            )


def check_commands(tally: Tally) -> None:
    listed = subprocess.run(["./dev", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  ([a-z][\w-]*) ", listed, re.MULTILINE)) | {"help"}
    for path in project_files(("*.md",)):
        named = set(COMMAND.findall(path.read_text(encoding="utf-8")))
        unknown = sorted(named - known)
        tally.check(not unknown, f"commands in {relative(path)}", f"unknown: {', '.join(unknown)}")


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
        ["pkg-config", "--libs", "--silence-errors", "libcrypto"], capture_output=True, text=True
    ).stdout.split()
    command = [os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-DGOIPC_STATIC=1"]
    command += ["-I", str(ROOT / "ref/include"), str(folder / name), "-o", str(program), str(ARCHIVE)]
    command += ["-ltomcrypt", "-ltommath", *libraries, "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr)
        return None
    return program


def check_run(text: str, tally: Tally) -> None:
    """The programs as shown, under a name of this run, exchange a message."""
    sources = [body for language, body in BLOCK.findall(text) if language == "c"]
    if len(sources) != len(PROGRAMS) or not ARCHIVE.exists():
        tally.fail("run", "needs the two programs in README.md, and ./dev build release")
        return
    with tempfile.TemporaryDirectory(prefix="goipc-") as place:
        programs = [build(name, source, Path(place)) for name, source in zip(PROGRAMS, sources, strict=True)]
        for name, program in zip(PROGRAMS, programs, strict=True):
            tally.check(program is not None, f"build {name}")
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


def judged(name: str) -> dict[str, int] | None:
    """How often each verdict was given in the last run of the suite, and the number of cases."""
    path = ROOT / "build/conformance" / f"{name}.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["run"]["selection"] or not found["cases"]:
        return None
    verdicts = collections.Counter(found["verdicts"])
    cases = len({case["case"] for case in found["cases"]})
    return {
        "cases": cases,
        "runs": sum(verdicts.values()),
        "passed": verdicts["PASS"] + verdicts["PASS-LENIENT"],
        "known": verdicts["XFAIL"] + verdicts["XFLAKY"],
        "failed": found["totals"]["failed"],
        "skipped": verdicts["SKIP"] + verdicts["UNSUPPORTED"],
    }


def results() -> str | None:
    """The table of results as the last runs of ./dev conformance and ./dev interop give it."""
    rows = ["| judged | how | passed | known deviations | failed | not applicable |", "|---|---|---|---|---|---|"]
    for name, title in IMPLEMENTATIONS.items():
        found = judged(name)
        if found is None:
            return None
        rows.append(
            f"| {title} | {found['cases']} cases, {found['runs']} runs | {found['passed']} | {found['known']} "
            f"| {found['failed']} | {found['skipped']} |"
        )
    path = ROOT / "build/interop/results.json"
    if not path.exists():
        return None
    exchanges = [row for row in json.loads(path.read_text(encoding="utf-8")) if row.get("os", "linux") == "linux"]
    good = sum(1 for row in exchanges if row["ok"])
    rows.append(f"| both together | {len(exchanges)} live exchanges | {good} | | {len(exchanges) - good} | |")
    return "\n".join(rows)


def essence(table: str) -> list[tuple[str, str, str]]:
    """What is the same on every machine: what was judged, by how much, and what failed."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [(row[0], row[1], row[4]) for row in rows[2:]]


def check_results(tally: Tally) -> None:
    """What README.md says was measured is what the last complete runs gave."""
    found = results()
    if found is None:
        tally.skip("results", "run ./dev conformance and ./dev interop first")
        return
    shown = RESULTS.search((ROOT / "README.md").read_text(encoding="utf-8"))
    same = shown is not None and essence(shown.group(2).strip()) == essence(found)
    tally.check(same, "results", f"README.md is stale (readme.py --update); the last runs gave\n{found}")


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
    """Puts the two programs into the two C blocks of README.md, in this order, and the results into their table."""
    readme = ROOT / "README.md"
    sources = iter(PROGRAMS.values())

    def fill(match: re.Match[str]) -> str:
        if match.group(1) != "c":
            return match.group()
        return f"```c\n{without_licence(next(sources).read_text(encoding='utf-8'))}\n```"

    text = BLOCK.sub(fill, readme.read_text(encoding="utf-8"))
    found = results()
    if found is not None:
        text = RESULTS.sub(lambda match: f"{match.group(1)}\n\n{found}\n\n{match.group(3)}", text)
    readme.write_text(text, encoding="utf-8")


def main() -> int:
    if sys.argv[1:] == ["--update"]:
        update()
    tally = Tally()
    if sys.argv[1:] == ["--results"]:
        check_results(tally)
        check_windows(tally)
        return tally.finish()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    check_programs(text, tally)
    check_commands(tally)
    check_folders(text, tally)
    check_run(text, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

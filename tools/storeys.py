# SPDX-License-Identifier: MIT
"""Holds ref/src to its three storeys: core, endpoint, platform.

- A file of core includes core alone; a file of endpoint includes endpoint and core; a file of platform includes its own
  folder, core, and of endpoint only the contracts that it fulfils (clock.h, lock.h, transport.h).
- What an object file calls is defined in its own storey, in one below, or declared in a contract of its storey.
  Within a storey a file calls only files that stand before it in ref/CMakeLists.txt, so there is no circle.
- The core calls nothing that waits, opens a socket, starts a thread or reads a clock.
- No file is longer than 700 lines.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tally import ROOT, Tally

SOURCE = ROOT / "ref" / "src"
OBJECTS = ROOT / "build" / "release" / "ref" / "CMakeFiles" / "goipc_testing.dir" / "src"
STOREYS = ("core", "endpoint", "platform")
# A storey's own headers whose functions the platform defines.
CONTRACTS = {"core": ("core/system.h",), "endpoint": ("endpoint/clock.h", "endpoint/lock.h", "endpoint/transport.h")}
LINES_MAX = 700
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
NAME = re.compile(r"\bgoipci?_\w+")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
NOT_IN_CORE = re.compile(
    r"(socket|bind|listen|accept4?|connect|send(msg|to)?|recv(msg|from)?|read|write|poll|epoll_\w+|kqueue|kevent"
    r"|clock_gettime|gettimeofday|time|nanosleep|pthread_(create|mutex_\w+|cond_\w+))(@.*)?"
)


def storey_of(name: str) -> str:
    return name.split("/", 1)[0]


def may_include(file: str, header: str) -> bool:
    """Whether a file of ref/src may include a header, both named as within ref/src."""
    if header == "goipc.h":
        return True
    storey, used = storey_of(file), storey_of(header)
    if "/" not in header or used not in STOREYS:
        return False
    if storey == "platform":
        own = file.rsplit("/", 1)[0] == header.rsplit("/", 1)[0]
        return own or used == "core" or header in CONTRACTS["endpoint"]
    return STOREYS.index(used) <= STOREYS.index(storey)


def check_includes(files: dict[str, str]) -> list[str]:
    return [
        f"{file} includes {header}"
        for file, text in sorted(files.items())
        for header in INCLUDE.findall(text)
        if not may_include(file, header)
    ]


def contract_names(files: dict[str, str]) -> dict[str, set[str]]:
    """The functions that each storey expects of the platform."""
    names = {
        storey: {name for header in headers for name in NAME.findall(COMMENT.sub("", files[header]))}
        for storey, headers in CONTRACTS.items()
    }
    return names | {"endpoint": names["core"] | names["endpoint"], "platform": set()}


def check_calls(
    defined: dict[str, set[str]], called: dict[str, set[str]], order: list[str], contracts: dict[str, set[str]]
) -> list[str]:
    """`defined` and `called` have the names of each file; `order` is that of CMakeLists.txt."""
    home = {name: file for file, names in defined.items() for name in names}
    found = []
    for file, names in sorted(called.items()):
        storey = storey_of(file)
        for name in sorted(names):
            other = home.get(name)
            if other is None:
                if storey == "core" and NOT_IN_CORE.fullmatch(name):
                    found.append(f"{file} calls {name}, which is no business of the core")
                continue
            if storey_of(other) == storey:
                # The files of the platform are one contract's; their order says nothing.
                if storey != "platform" and order.index(other) > order.index(file):
                    found.append(f"{file} calls {name} of {other}, which comes after it")
            elif STOREYS.index(storey_of(other)) > STOREYS.index(storey) and name not in contracts[storey]:
                found.append(f"{file} calls {name} of {other}, a storey above")
    return found


def check_lengths(files: dict[str, str]) -> list[str]:
    lengths = ((file, text.count("\n")) for file, text in sorted(files.items()))
    return [f"{file} has {count} lines, {LINES_MAX} allowed" for file, count in lengths if count > LINES_MAX]


def core_lines(files: dict[str, str]) -> int:
    """The minimal reference: lines of the core with one back end, comments and all."""
    optional = re.compile(r"core/crypto_((openssl|nettle|ipsec_mb)(_none)?|tomcrypt_none)\.c")
    return sum(
        text.count("\n") for file, text in files.items() if storey_of(file) == "core" and not optional.match(file)
    )


def read_files() -> dict[str, str]:
    paths = sorted(path for path in SOURCE.rglob("*") if path.suffix in (".c", ".h"))
    return {path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def symbols(path: Path, option: str) -> set[str]:
    lines = subprocess.run(["nm", "-P", option, str(path)], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in lines.splitlines()}


def build_order() -> list[str]:
    text = (ROOT / "ref" / "CMakeLists.txt").read_text(encoding="utf-8")
    order = re.findall(r"src/((?:core|endpoint)/\w+\.c)", text)
    # Back ends are added by a loop; they stand between what they use and the file that chooses.
    back_ends = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.glob("core/crypto_*_none.c"))
    back_ends += [name.replace("_none", "") for name in back_ends]
    at = order.index("core/crypto_choose.c")
    return order[:at] + back_ends + order[at:]


def main() -> int:
    tally = Tally()
    files = read_files()
    for name, found in (("includes", check_includes(files)), ("lengths", check_lengths(files))):
        tally.check(not found, name, "; ".join(found))
    objects = {path.relative_to(OBJECTS).as_posix().removesuffix(".o"): path for path in OBJECTS.rglob("*.c.o")}
    objects = {file: path for file, path in objects.items() if file in files}
    if not objects or shutil.which("nm") is None:
        tally.skip("calls", "needs ./dev build release, and nm")
        return tally.finish()
    defined = {file: symbols(path, "--defined-only") for file, path in objects.items()}
    called = {file: symbols(path, "--undefined-only") for file, path in objects.items()}
    found = check_calls(defined, called, build_order(), contract_names(files))
    tally.check(not found, "calls", "; ".join(found))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Programs made of golang-ipc's own README and example, word for word, as far as those go.

README.md of the module shows pieces: how to start, the loop that reads, and how to write. Here they stand in a program,
in which only what the README leaves to its reader is filled in.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULE = "github.com/james-barrow/golang-ipc"
# What a reader puts where the README says "do something with the received messages".
USE = """
        if err != nil {
            log.Println(err)
            return
        }
        if message.MsgType > 0 {
            fmt.Println(message.MsgType, string(message.Data))
            os.Exit(0)
        }
        if message.Status == "Connected" {
            %s
        }
"""


def source() -> Path:
    """The folder of the module, of the version that the suite's adapter requires."""
    if not shutil.which("go"):
        pytest.skip("Go is not installed")
    folder = ROOT / "conformance" / "adapters" / "go"
    command = ("go", "list", "-m", "-f", "{{.Dir}}", MODULE)
    subprocess.run(("go", "mod", "download"), cwd=folder, check=True, capture_output=True)
    return Path(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip())


def block(readme: str, after: str) -> str:
    found = re.search(r"```go\n(.*?)```", readme[readme.index(after) :], re.DOTALL)
    assert found
    return found[1]


def readme_program(side: str) -> str:
    """A server or a client of the README: it writes once connected, prints the first message, and ends."""
    readme = (source() / "README.md").read_text(encoding="utf-8")
    start = block(readme, {"server": "Create a server", "client": "Create a client"}[side])
    read, write = block(readme, "### Read messages"), block(readme, "### Write a message")
    if side == "server":  # the README has both lines, one of them as a comment
        read = read.replace("// message, err := s.Read() server", "message, err := s.Read()")
        read = read.replace("message, err := c.Read() // client", "")
        write = write.replace("//err := s.Write", "err := s.Write").replace("err := c.Write", "//err := c.Write")
    body = start + read.replace("// do something with the received messages", USE % write)
    return f'package main\nimport (\n"fmt"\n"log"\n"os"\nipc "{MODULE}"\n)\nfunc main() {{\n{body}\n}}\n'


def example_server() -> str:
    """The server of example/example.go."""
    text = (source() / "example" / "example.go").read_text(encoding="utf-8")
    return (
        f'package main\nimport (\n"log"\nipc "{MODULE}"\n)\nfunc main() {{ server() }}\n'
        + text[text.index("func server()") :]
    )


def example_client() -> str:
    """The client of example/example.go, with no server in the same process."""
    text = (source() / "example" / "example.go").read_text(encoding="utf-8")
    return text[: text.index("func server()")].replace("\tgo server()\n", "")


def build(program: str, folder: Path, name: str = "") -> Path:
    """Compiles it, with the name of the socket filled in."""
    place = folder / "program"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for file in ("go.mod", "go.sum"):
        shutil.copy(ROOT / "conformance" / "adapters" / "go" / file, place)
    text = program.replace("<name of socket or pipe>", name).replace('"example1"', f'"{name}"')
    (place / "main.go").write_text(text, encoding="utf-8")
    built = folder / f"go-{name}"
    done = subprocess.run(("go", "build", "-o", built, "."), cwd=place, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr + text
    return built

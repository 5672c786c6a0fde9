# SPDX-License-Identifier: MIT
"""A chat between programs in Go, C, Python and Node on one C server, and on one Go server."""

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import goipc
import golang
import pytest

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(goipc.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
C_PROGRAM = golang.ROOT / "build" / "release" / "ref" / "cli" / "goipc"
NODE_PACKAGE = golang.ROOT / "ports" / "node" / "src" / "index.mjs"

# Lines in, messages out, and back; the end of its input is the end of the program.
GO_CLIENT = """
package main

import (
    "bufio"
    "fmt"
    "os"

    ipc "github.com/james-barrow/golang-ipc"
)

func main() {
    client, err := ipc.StartClient("example1", nil)
    if err != nil {
        panic(err)
    }
    for {
        message, err := client.Read()
        if err != nil {
            panic(err)
        }
        if message.Status == "Connected" {
            break
        }
    }
    go func() {
        for {
            message, err := client.Read()
            if err != nil {
                return
            }
            if message.MsgType > 0 {
                fmt.Println(string(message.Data))
            }
        }
    }()
    lines := bufio.NewScanner(os.Stdin)
    for lines.Scan() {
        client.Write(1, lines.Bytes())
    }
    client.Close()
}
"""

# golang-ipc serves one client at a time: each gets an answer that holds what all before it have said.
GO_SERVER = """
package main

import (
    "fmt"
    "strings"
    "time"

    ipc "github.com/james-barrow/golang-ipc"
)

func main() {
    server, err := ipc.StartServer("example1", nil)
    if err != nil {
        panic(err)
    }
    var said []string
    for {
        message, err := server.Read()
        if err != nil {
            panic(err)
        }
        if message.MsgType > 0 {
            said = append(said, string(message.Data))
            server.Write(1, []byte(strings.Join(said, " | ")))
        }
        if message.Status == "Disconnected" {
            time.Sleep(100 * time.Millisecond) // the library closes the connection once more after it has told so
            fmt.Println("left")
        }
    }
}
"""

NODE_CLIENT = """
import readline from 'node:readline';
import { connect } from '%s';

const connection = await connect(process.argv[2]);
(async () => {
  for await (const { data } of connection) console.log(data.toString());
})();
for await (const line of readline.createInterface({ input: process.stdin })) await connection.send(1, line);
await connection.close();
"""


class Talker:
    """A program that says lines and hears lines."""

    def __init__(self, *command: str | Path) -> None:
        self.heard: queue.Queue[str] = queue.Queue()
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT, bufsize=1
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.heard.put(line.rstrip("\n"))

    def say(self, line: str) -> None:
        print(line, file=self.process.stdin, flush=True)

    def next(self) -> str:
        return self.heard.get(timeout=60)

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)
        self._thread.join(30)
        assert self.process.stdout
        self.process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def clients(name: str, tmp_path: Path) -> dict[str, tuple[str | Path, ...]]:
    """The commands of a client in each language."""
    if not C_PROGRAM.exists():
        pytest.skip("the program of the C library is not built")
    commands: dict[str, tuple[str | Path, ...]] = {
        "C": (C_PROGRAM, "connect", name, "--quiet", "--linger", "0"),
        "Python": (sys.executable, "-m", "goipc", "connect", name, "--quiet", "--linger", "0"),
        "Go": (golang.build(GO_CLIENT, tmp_path, name),),
    }
    if NODE_PACKAGE.exists() and shutil.which("node"):
        (tmp_path / "client.mjs").write_text(NODE_CLIENT % NODE_PACKAGE)
        commands["Node"] = ("node", tmp_path / "client.mjs", name)
    return commands


@contextlib.contextmanager
def talkers(commands: dict[str, tuple[str | Path, ...]]) -> Iterator[dict[str, Talker]]:
    running = {language: Talker(*command) for language, command in commands.items()}
    try:
        yield running
    finally:
        for one in running.values():
            one.kill()


def await_socket(name: str) -> None:
    until = time.monotonic() + 30
    while not os.path.exists(f"/tmp/{name}.sock"):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_on_one_c_server(name: str, clients: dict[str, tuple[str | Path, ...]]) -> None:
    """The server's program says to all what one has said; everybody hears all lines, in one order."""
    server = Talker(C_PROGRAM, "serve", name, "--clients-max", "8", "--quiet")
    await_socket(name)
    with talkers(clients) as everybody:
        for language, one in everybody.items():
            one.say(f"{language} has come")
        assert sorted(server.next() for _ in everybody) == sorted(f"{language} has come" for language in everybody)
        lines = [f"{language} says {turn}" for turn in ("hello", "well", "goodbye") for language in everybody]
        for line in lines:
            everybody[line.partition(" ")[0]].say(line)
            server.say(server.next())
        for language, one in everybody.items():
            assert [one.next() for _ in lines] == lines, language
        for one in everybody.values():
            one.end()
            assert one.process.returncode == 0
    server.process.terminate()
    server.end()


def test_on_one_go_server(name: str, tmp_path: Path, clients: dict[str, tuple[str | Path, ...]]) -> None:
    (tmp_path / "server").mkdir()
    server = Talker(golang.build(GO_SERVER, tmp_path / "server", name))
    await_socket(name)
    said: list[str] = []
    for turn in ("hello", "goodbye"):
        for language, command in clients.items():
            with talkers({language: command}) as only:
                said.append(f"{language} says {turn}")
                only[language].say(said[-1])
                assert only[language].next() == " | ".join(said)
                only[language].end()
                assert server.next() == "left"  # golang-ipc is deaf to a client that comes before
    server.kill()
    os.unlink(f"/tmp/{name}.sock")

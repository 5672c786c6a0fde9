#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Goal: the program `goipc` behaves where shells, service managers and terminals put it.

Each test starts the program in a folder of its own. Kinds: hostile text on a terminal and in a pipe, the ways a process
ends, odd standard descriptors, jobs of a shell, wrong usage, formats, and completion. Usage: test_program.py PROGRAM
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

PROGRAM = str(Path(sys.argv[1]).resolve())
LIMIT_S = 60
checks = 0
# What a peer may send to a terminal: title, screen, colour, a question to the terminal, 8-bit controls, a carriage
# return, a backspace, a forged line, the direction of writing, and bytes that are no UTF-8.
HOSTILE = [
    b"\x1b]0;pwned\x07\x1b[2J\x1b[31mroot@host:~# \x1b[6n",
    b"hello\n7\tgrant admin",
    b"first\rsecond\x08\x7f",
    "\u009b31m \u202egnp.exe \u2028 \u200b".encode(),
    b"\xff\xfe\x80\x9b31m",
    b"tab\there\x00zero\\n",
]
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e]")


def check(what: str, wanted: object, got: object) -> None:
    global checks
    checks += 1
    if wanted != got:
        raise AssertionError(f"{what}: expected {wanted!r}, got {got!r}")


def until(what: str, condition) -> None:
    """Waits for an event that has no descriptor."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {LIMIT_S} s")
        select.select([], [], [], 0.005)


class Scene:
    """A folder of sockets, and the processes started in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="goipc-"))
        self.started: list[subprocess.Popen] = []

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name: str = "demo") -> Path:
        return self.folder / f"{name}.sock"

    def start(self, *words: str, **options) -> subprocess.Popen:
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.DEVNULL if stream == "stdin" else subprocess.PIPE)
        command = [PROGRAM, *words, *(["-d", str(self.folder)] if words[0] in COMMANDS_WITH_FOLDER else [])]
        process = subprocess.Popen(command, **options)
        self.started.append(process)
        return process

    def serve(self, *words: str, name: str = "demo", **options) -> subprocess.Popen:
        process = self.start("serve", name, *words, **options)
        until("a server", lambda: self.path(name).exists() or process.poll() is not None)
        return process

    def tap(self, *words: str, **options) -> subprocess.Popen:
        process = self.start("tap", "demo", *words, **options)
        read_until(process.stderr, b"tapping")
        return process

    def run(self, *words: str, given: bytes = b"", **options) -> subprocess.CompletedProcess:
        options.setdefault("stdin", subprocess.PIPE)
        process = self.start(*words, **options)
        out, err = process.communicate(given if process.stdin else None, timeout=LIMIT_S)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def ask(self) -> bytes:
        """What a client gets back from an echoing server."""
        return self.run("connect", "demo", "-q", "--data", "hello", "--count", "1", "--timeout", "20000").stdout


COMMANDS_WITH_FOLDER = ("serve", "connect", "tap", "bench")


def read_until(stream, wanted: bytes) -> bytes:
    """Reads a pipe until something is in it."""
    got = b""
    end = time.monotonic() + LIMIT_S
    while wanted not in got:
        if not select.select([stream], [], [], max(0, end - time.monotonic()))[0]:
            raise AssertionError(f"{wanted!r} did not come, only {got!r}")
        piece = os.read(stream.fileno(), 65536)
        if not piece:
            raise AssertionError(f"the end came instead of {wanted!r}, after {got!r}")
        got += piece
    return got


class Terminal:
    """A process with a terminal of 80 columns."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(environment)
            os.execvp(command[0], command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, b"\x18\x00\x50\x00\x00\x00\x00\x00")
        self.seen = b""

    def read_until(self, wanted: bytes, after: int = 0) -> bytes:
        end = time.monotonic() + LIMIT_S
        while wanted not in self.seen[after:]:
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{wanted!r} did not appear, only {self.seen!r}")
            self.seen += os.read(self.fd, 65536)
        return self.seen

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


# --- hostile text ----------------------------------------------------------------------------------------------------


def test_terminal_is_not_controlled() -> None:
    for words in ([], ["-T"], ["--quoted"], ["--json"], ["--hex"]):
        with Scene() as scene:
            command = [PROGRAM, "serve", "demo", "-q", "-c", "9", "-d", str(scene.folder), *words]
            terminal = Terminal(command, LANG="C.UTF-8", LC_ALL="C.UTF-8")
            until("a server", scene.path().exists)
            for message in HOSTILE:
                given = message.hex().encode() + b"\n"
                scene.run("connect", "demo", "-q", "-x", "--linger", "0", given=given)
            scene.run("connect", "demo", "-q", "--data", "THE-END", "--linger", "0")
            end = b"5448452d454e44" if words == ["--hex"] else b"THE-END"
            seen = terminal.read_until(end).decode(errors="strict")
            terminal.end()
            check(f"controls with {words}", [], CONTROL.findall(seen.replace("\r\n", "\n").replace("1\t", "")))
            check(f"lines with {words}", len(HOSTILE), seen.split("THE-END")[0].count("\n") if end == b"THE-END" else 6)


def test_types_forge_no_line() -> None:
    with Scene() as scene:
        server = scene.serve("-q", "-T", "--count", str(len(HOSTILE)), "-c", "9")
        for message in HOSTILE:
            scene.run("connect", "demo", "-q", "-x", "--linger", "0", given=message.hex().encode() + b"\n")
        lines = server.communicate(timeout=LIMIT_S)[0].splitlines()
        check("lines with -T", len(HOSTILE), len(lines))
        check("types with -T", {b"1"}, {line.split(b"\t")[0] for line in lines})


def test_tap_forges_no_line() -> None:
    for words in ([], ["--json"]):
        with Scene() as scene:
            scene.serve("-q", "-c", "9")
            tap = scene.tap(*words)
            for message in [*HOSTILE, b'x"  client 9 left']:
                scene.run("connect", "demo", "-q", "-x", "--linger", "0", given=message.hex().encode() + b"\n")
            scene.run("connect", "demo", "-q", "--data", "THE-END", "--linger", "0")
            text = read_until(tap.stdout, b"THE-END").decode()
            check("controls of the tap", [], CONTROL.findall(text))
            messages = [line for line in text.splitlines() if re.search(r'type"?:? ?1\b', line)]
            check("lines of the tap", len(HOSTILE) + 2, len(messages))


def test_errors_are_clean() -> None:
    with Scene() as scene:
        done = scene.run("decode", "\x1b[31mfile\n")
        check("an escape in an error", False, b"\x1b" in done.stderr)
        check("one line", 1, done.stderr.count(b"\n"))
        done = scene.run("connect", "demo", "-x", "-q", "--linger", "0", "--timeout", "1", given=b"\x1b[31m\n")
        check("input in an error", False, b"\x1b" in done.stderr)


# --- the end of a process --------------------------------------------------------------------------------------------


def guardian_is_gone(scene: Scene) -> bool:
    return not scene.path("demo-tapped").exists() and scene.path().exists()


def test_tap_puts_the_name_back() -> None:
    ways = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGKILL, signal.SIGQUIT)
    for way in ways:
        with Scene() as scene:
            scene.serve("-q", "-c", "9", "--echo")
            tap = scene.tap("-q")
            if way == signal.SIGPIPE:
                tap.stdout.close()
            else:
                tap.send_signal(way)
            code = tap.wait(LIMIT_S)
            until(f"the name after {way.name}", lambda: guardian_is_gone(scene))  # noqa: B023
            good = way in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
            check(f"exit status after {way.name}", good, code == 0)
            check(f"the server after {way.name}", b"hello\n", scene.ask())


def test_tap_at_every_moment() -> None:
    """A signal at moments all over the start of a tap."""
    with Scene() as scene:
        scene.serve("-q", "-c", "9", "--echo")
        for i in range(40):
            tap = scene.start("tap", "demo", "-q")
            select.select([], [], [], i * 0.0005)
            tap.send_signal((signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)[i % 4])
            tap.communicate(timeout=LIMIT_S)
            until("the name", lambda: guardian_is_gone(scene))
        check("the server after 40 taps", b"hello\n", scene.ask())


def test_tap_with_a_reader_that_hangs() -> None:
    with Scene() as scene:
        scene.serve("-q", "-c", "9")
        tap = scene.tap("-q")
        client = scene.start("connect", "demo", "-q", "--data", "x" * 100, "--interval", "1")
        os.set_blocking(tap.stdout.fileno(), False)
        fcntl.fcntl(tap.stdout, 1031, 4096)  # F_SETPIPE_SZ
        until("a full pipe", lambda: not select.select([], [tap.stdout], [], 0)[1] and tap.stdout.peek(4096) != b"")
        tap.terminate()
        check("exit status", 0, tap.wait(LIMIT_S))
        client.kill()


def test_tap_recovers() -> None:
    """What is left when tap and guardian are killed: a dead socket at NAME, the server at NAME-tapped."""
    with Scene() as scene:
        scene.serve("-q", "-c", "9", "--echo")
        scene.path().rename(scene.path("demo-tapped"))
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(scene.path()))
        tap = scene.tap("-q")
        check("through the tap", b"hello\n", scene.ask())
        tap.terminate()
        check("exit status", 0, tap.wait(LIMIT_S))
        check("the name", ["demo.sock"], os.listdir(scene.folder))
        check("the server", b"hello\n", scene.ask())
        # A new server has the name: it keeps it, and the old one is left alone.
        scene.path().rename(scene.path("demo-tapped"))
        scene.serve("-q", "-c", "9")
        done = scene.run("tap", "demo", "-q")
        check("two servers", (1, True), (done.returncode, b"listen at both" in done.stderr))
        check("both are left", ["demo-tapped.sock", "demo.sock"], sorted(os.listdir(scene.folder)))


def test_new_server_during_a_tap() -> None:
    with Scene() as scene:
        scene.serve("-q", "-c", "9", "--echo")
        tap = scene.tap("-q")
        scene.path().unlink()
        scene.serve("-q", "-c", "9")
        inode = scene.path().stat().st_ino
        tap.terminate()
        error = tap.communicate(timeout=LIMIT_S)[1]
        check("exit status", 1, tap.returncode)
        check("it says so", True, b"another server has" in error)
        check("the new server keeps its name", inode, scene.path().stat().st_ino)


def test_tap_refuses() -> None:
    with Scene() as scene:
        done = scene.run("tap", "demo", "-q")
        check("no server", (1, True), (done.returncode, b"no server listens" in done.stderr))
        scene.path().write_text("a file")
        check("no socket", 1, scene.run("tap", "demo").returncode)
        check("the file is left", ["demo.sock"], os.listdir(scene.folder))
        check("abstract", 2, scene.run("tap", "demo", "--abstract").returncode)
        check("a long name", 1, scene.run("tap", "n" * 96).returncode)


def test_exit_status_of_a_client() -> None:
    for way, wanted in ((signal.SIGKILL, 1), (signal.SIGTERM, 0)):
        with Scene() as scene:
            server = scene.serve()
            client = scene.start("connect", "demo")
            read_until(server.stderr, b"client 1")  # whose last byte of the handshake the server has read
            read_until(client.stderr, b"connected to")
            server.send_signal(way)
            error = client.communicate(timeout=LIMIT_S)[1]
            check(f"the server ended by {way.name}, client says {error!r}", wanted, client.returncode)
    with Scene() as scene:
        server = scene.serve("-q")
        client = scene.start("connect", "demo", stdin=subprocess.PIPE)
        read_until(client.stderr, b"connected to")
        server.terminate()
        check("closed before the input ended", 1, client.wait(LIMIT_S))
    with Scene() as scene:
        server = scene.serve("--data", "one", "-q")
        client = scene.start("connect", "demo", "--count", "2")
        read_until(client.stdout, b"one")
        server.terminate()
        check("closed before the second message", 1, client.wait(LIMIT_S))


def test_signals_end_a_server() -> None:
    for way in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Scene() as scene:
            server = scene.serve("-q")
            server.send_signal(way)
            check(f"exit status after {way.name}", 0, server.wait(LIMIT_S))
            check("its name", [], os.listdir(scene.folder))
    with Scene() as scene:
        server = subprocess.Popen(
            ["nohup", PROGRAM, "serve", "demo", "-q", "--echo", "-d", str(scene.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        scene.started.append(server)
        until("a server", scene.path().exists)
        server.send_signal(signal.SIGHUP)
        check("a server under nohup", b"hello\n", scene.ask())


# --- standard descriptors --------------------------------------------------------------------------------------------


def test_closed_descriptors() -> None:
    for count in range(4):
        for closed in itertools.combinations(range(3), count):
            with Scene() as scene:
                redirect = " ".join(f"{fd}>&-" for fd in closed)
                server = subprocess.Popen(
                    ["sh", "-c", f'exec "$0" serve demo -q -c 9 -d "$1" {redirect}', PROGRAM, str(scene.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                scene.started.append(server)
                until("a server", lambda: scene.path().exists() or server.poll() is not None)  # noqa: B023
                done = scene.run("connect", "demo", "-q", "--data", "x", "--linger", "100")
                check(f"a client with {closed} closed", (0, b""), (done.returncode, done.stderr))
                for fd in range(3):
                    check(f"descriptor {fd}", "/dev/null", os.readlink(f"/proc/{server.pid}/fd/{fd}"))
                server.terminate()
                check(f"the server with {closed} closed", 0, server.wait(LIMIT_S))


def test_output_that_does_not_block() -> None:
    lines = b"".join(b"%06d %s\n" % (i, b"x" * 90) for i in range(3000))
    with Scene() as scene:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        server = scene.serve("-q", "--count", "3000", stdout=writer)
        os.close(writer)
        client = scene.start("connect", "demo", "-q", stdin=subprocess.PIPE)
        client.stdin.write(lines)  # more than the pipe holds, before anything is read
        client.stdin.close()
        client.stdin = None
        got = b""
        while piece := os.read(reader, 65536):
            got += piece
        os.close(reader)
        check("everything came", lines, got)
        check("the server", 0, server.wait(LIMIT_S))


def test_output_that_is_lost() -> None:
    with Scene() as scene:
        server = scene.serve("-q", "-c", "9")
        server.stdout.close()
        scene.run("connect", "demo", "-q", "--data", "x", "--linger", "0")
        check("exit status", 1, server.wait(LIMIT_S))
        error = server.stderr.read()
        check("said once", 1, error.count(b"cannot write to standard output"))
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as full, Scene() as scene:
            check("a full device", 1, scene.run("help", stdout=full).returncode)


# --- jobs of a shell -------------------------------------------------------------------------------------------------


def test_job_in_the_background() -> None:
    with Scene() as scene:
        shell = Terminal(["bash", "--norc", "-i"], PS1="$ ", TERM="dumb")
        shell.read_until(b"$ ")
        shell.type(f"{PROGRAM} serve demo -q -c 9 -d {scene.folder} &\n".encode())
        until("a server", scene.path().exists)
        client = scene.start("connect", "demo", "-q", stdin=subprocess.PIPE)
        client.stdin.write(b"connected\n")
        client.stdin.flush()
        shell.read_until(b"connected")
        shell.type(b"echo typed $((40 + 2))\n")
        shell.read_until(b"typed 42")
        shell.type(b"jobs; echo listed $((1 + 1))\n")
        check("the job", True, b"Running" in shell.read_until(b"listed 2"))
        check("it serves", 0, scene.run("connect", "demo", "-q", "--data", "x", "--linger", "0").returncode)
        shell.type(b"fg\n")
        at = len(shell.seen)
        shell.read_until(b"serve demo", at)
        shell.type(b"now it is mine\n")
        check("input after fg", b"now it is mine\n", read_until(client.stdout, b"\n"))
        shell.type(b"\x03")
        client.wait(LIMIT_S)
        shell.end()


# --- errors and usage ------------------------------------------------------------------------------------------------


def test_errors_are_said_once() -> None:
    with Scene() as scene:
        error = scene.run("connect", "demo", "--timeout", "100").stderr
        check("no server", 1, error.count(b"no server listens"))
        check("gave up", 1, error.count(b"gave up"))
        error = scene.run("connect", "demo", "--timeout", "100", "-q").stderr
        check("quiet", (1, 1), (error.count(b"no server listens"), error.count(b"\n")))
        scene.serve("-q", "--no-encryption")
        error = scene.run("connect", "demo", "--timeout", "5000").stderr
        check("encryption", 1, error.count(b"does not match"))
    with Scene() as scene:
        server = scene.serve()
        scene.start("connect", "demo", "-r")
        read_until(server.stderr, b"client 1")
        refused = scene.start("connect", "demo")
        read_until(refused.stderr, b"the server is full, or you are not allowed")
        check("a second server", 1, scene.run("serve", "demo").stderr.count(b"already listens"))


def test_usage() -> None:
    with Scene() as scene:
        for words, wanted in (
            (("serve", "x", "--from", "server"), b"--from is an option of decode, not of serve"),
            (("decode", "x", "--echo"), b"--echo is an option of serve, connect, not of decode"),
            (("bench", "x", "--raw"), b"--raw is an option of"),
            (("serve",), b"serve needs NAME"),
            (("serve", "a", "b"), b'"b" is one word too many'),
            (("connect", "x", "--tpye", "3"), b"there is no option --tpye"),
            (("connect", "x", "-Z"), b"there is no option -Z"),
            (("connect", "x", "-t"), b"--type needs a value"),
            (("connect", "x", "--type", "0"), b'takes a number from 1 to 4294967295, not "0"'),
            (("connect", "x", "--count", " 5"), b"takes a number"),
            (("connect", "x", "--hex", "--json"), b"exclude each other"),
            (("connect", "x", "--data", "a", "--file", "b"), b"exclude each other"),
            (("connect", "x", "--raw", "-T"), b"exclude each other"),
            (("connect", "x", "--encryption", "maybe"), b"takes required, optional or off"),
            (("decode", "x", "--key", "12"), b"64 hexadecimal digits"),
            (("completion", "tcsh"), b"bash, zsh or fish"),
            (("frobnicate",), b"there is no command"),
            ((), b"a command is missing"),
        ):
            done = subprocess.run([PROGRAM, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S)
            check(f"exit status of {words}", 2, done.returncode)
            check(f"{words} says {wanted}", True, wanted in done.stderr)
            check(f"{words} says it in a line", 1, done.stderr.count(b"\n"))
        for command in (*COMMANDS_WITH_FOLDER, "decode", "completion"):
            for words in ((command, "--help"), ("help", command), (command, "-h")):
                done = subprocess.run([PROGRAM, *words], capture_output=True, timeout=LIMIT_S)
                check(f"help of {command}", (0, b""), (done.returncode, done.stderr))
                check(f"title of {command}", True, done.stdout.startswith(f"usage: goipc {command} ".encode()))
                check(
                    f"columns of {command}", [], [line for line in done.stdout.decode().split("\n") if len(line) > 80]
                )
        check("raw on a terminal", True, run_on_terminal(scene, "serve", "demo", "--raw").startswith(b"goipc: --raw"))
        said = run_on_terminal(scene, "serve", "n" * 200).replace(b"\r", b"")
        check("an error on a terminal", [], [line for line in said.split(b"\n") if len(line) > 220])


def run_on_terminal(scene: Scene, *words: str) -> bytes:
    terminal = Terminal([PROGRAM, *words, "-d", str(scene.folder)])
    with contextlib.suppress(OSError):
        while piece := os.read(terminal.fd, 65536):
            terminal.seen += piece
    terminal.end()
    return terminal.seen


# --- formats and options ---------------------------------------------------------------------------------------------


def echo(words: list[str], given: bytes = b"") -> subprocess.CompletedProcess:
    with Scene() as scene:
        scene.serve("-q", "--echo")
        return scene.run("connect", "demo", "-q", "--timeout", "20000", *words, given=given)


def test_formats() -> None:
    quoted = b'"\\x1b[31m \\n\\t\\r\\\\\\" \xc3\xa4 \\xff\\x00"\n'
    check(
        "quoted both ways",
        (0, quoted),
        (lambda d: (d.returncode, d.stdout))(echo(["--quoted", "--count", "1"], quoted)),
    )
    done = echo(["--hex", "--count", "2"], b"00ff\n\n")
    check("hex both ways", (0, b"00ff\n\n"), (done.returncode, done.stdout))
    check("raw", b"ab", echo(["--raw", "--count", "2"], b"a\nb\n").stdout)
    for bad in (b"plain", b'"', b'"a"b"', b'"\\q"', b'"\\x1"', b'"a\\"'):
        done = echo(["--quoted", "--linger", "0"], bad + b"\n")
        check(f"refused {bad!r}", (1, 1), (done.returncode, done.stderr.count(b"not sent")))


def test_json() -> None:
    given = [{"data": 'a\x1b[31m\n"\\ä\u009b\u2028😀'}, {"type": 4294967295, "data": ""}, {"hex": "00ff"}]
    done = echo(["--json", "--count", "3"], b"".join(json.dumps(line).encode() + b"\n" for line in given))
    if b"without cJSON" in done.stderr:
        print("SKIP ref.program.json: built without cJSON")
        return
    check("no controls", [], CONTROL.findall(done.stdout.decode()))
    got = [json.loads(line) for line in done.stdout.splitlines()]
    check("json both ways", [{"type": 1, **line} for line in given], got)
    for bad in (
        b"",
        b"[]",
        b"{}",
        b'{"data":5}',
        b'{"data":"a","hex":""}',
        b'{"type":0,"data":""}',
        b'{"data":"a"} x',
        b'{"type":1.5,"data":""}',
        b'{"hex":"0"}',
        b'{"data":"a\\u0000b"}',
        b'{"type":4294967296,"data":""}',
        b'{"client":-1,"data":""}',
        b"[" * 100000,
    ):
        done = echo(["--json", "--linger", "0"], bad + b"\n")
        check(f"refused {bad[:30]!r}", (1, 1), (done.returncode, done.stderr.count(b"not sent")))


def test_json_names_a_client() -> None:
    with Scene() as scene:
        server = scene.serve("-q", "--json", "-c", "9", stdin=subprocess.PIPE)
        first = scene.start("connect", "demo", "-q", "--data", "one")
        one = json.loads(read_until(server.stdout, b"\n"))
        second = scene.start("connect", "demo", "-q", "--data", "two", "--count", "1")
        two = json.loads(read_until(server.stdout, b"\n"))
        check("what arrives", [("one", 1), ("two", 1)], [(one["data"], one["type"]), (two["data"], two["type"])])
        server.stdin.write(json.dumps({"client": two["client"], "data": "for two"}).encode() + b"\n")
        server.stdin.write(json.dumps({"client": one["client"], "data": "for one"}).encode() + b"\n")
        server.stdin.flush()
        if select.select([server.stderr], [], [], 0)[0]:
            print("SKIP ref.program.json: built without cJSON")
            return
        check("the second", b"for two\n", second.communicate(timeout=LIMIT_S)[0])
        check("the first", b"for one\n", read_until(first.stdout, b"\n"))


def test_data_and_file() -> None:
    with Scene() as scene:
        (scene.folder / "bytes").write_bytes(b"a\nb\x00")
        scene.serve("-q", "--echo", "-c", "9")
        done = scene.run("connect", "demo", "-q", "--file", str(scene.folder / "bytes"), "--raw", "--count", "1")
        check("a file", (0, b"a\nb\x00"), (done.returncode, done.stdout))
        done = scene.run("connect", "demo", "-q", "--file", "-", "--raw", "--count", "1", given=b"from\nstdin")
        check("standard input", (0, b"from\nstdin"), (done.returncode, done.stdout))
        check("no file", 1, scene.run("connect", "demo", "-q", "--file", str(scene.folder / "none")).returncode)
        start = time.monotonic()
        done = scene.run("connect", "demo", "-q", "--data", "x", "--interval", "60", "--count", "3")
        check("again and again", (0, b"x\nx\nx\n"), (done.returncode, done.stdout))
        check("with pauses", True, time.monotonic() - start >= 0.12)
    with Scene() as scene:
        scene.serve("-q", "--data", "welcome", "-c", "9")
        for _ in range(2):
            done = scene.run("connect", "demo", "-q", "--count", "1", stdin=subprocess.DEVNULL)
            check("a server's data", (0, b"welcome\n"), (done.returncode, done.stdout))


def test_timeout() -> None:
    with Scene() as scene:
        check("no server", 1, scene.run("connect", "demo", "-q", "--timeout", "50").returncode)
        scene.serve("-q", "-c", "9")
        done = scene.run("connect", "demo", "-q", "--data", "x", "--count", "1", "--timeout", "200")
        check("no answer", (1, True), (done.returncode, b"0 of 1 have arrived" in done.stderr))
        check("a server in vain", 1, scene.run("serve", "other", "-q", "--count", "1", "--timeout", "50").returncode)


def test_bench() -> None:
    with Scene() as scene:
        scene.serve("-q", "--echo", "-c", "9")
        for size in ("0", "64", "300000"):
            done = scene.run("bench", "demo", "-q", "-n", "20", "--size", size)
            check(f"size {size}", 0, done.returncode)
            check("two rates", (1, 1), (done.stdout.count(b"round trips"), done.stdout.count(b"one way")))
            check("columns", [], [line for line in done.stdout.split(b"\n") if len(line) > 80])
        figures = json.loads(scene.run("bench", "demo", "-q", "-n", "20", "--json").stdout)
        check("count", 20, figures["count"])
        check("too large", 1, scene.run("bench", "demo", "-q", "--size", "4000000").returncode)
    with Scene() as scene:
        scene.serve("-q", "-c", "9")
        done = scene.run("bench", "demo", "-q", "--timeout", "200")
        check("no echo", (1, True), (done.returncode, b"no echo" in done.stderr))
    with Scene() as scene:
        scene.serve("-q", "--data", "something else", "-c", "9")
        done = scene.run("bench", "demo", "-q")
        check("another message", (1, True), (done.returncode, b"does not echo" in done.stderr))


def complete(*words: str) -> list[str]:
    script = """eval "$("$1" completion bash)"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _goipc
                printf '%s\\n' "${COMPREPLY[@]}" """
    done = subprocess.run(
        ["bash", "-c", script, "bash", PROGRAM, "goipc", *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    return done.stdout.split()


def test_completion() -> None:
    check("commands", ["serve"], complete("s"))
    check("options of serve", {"--clients-max", "--count", "--crypto"}, set(complete("serve", "x", "--c")))
    check("options of decode", {"--crypto"}, set(complete("decode", "x", "--c")))
    check("words", ["required"], complete("serve", "x", "--encryption", "r"))
    check("help", ["decode"], complete("help", "d"))
    with Scene() as scene:
        scene.serve("-q")
        check("names", ["demo"], complete("connect", "-d", str(scene.folder), "d"))
    for shell in ("zsh", "fish"):
        text = subprocess.run([PROGRAM, "completion", shell], capture_output=True, check=True).stdout
        check(f"{shell} has every command", [], [c for c in COMMANDS_WITH_FOLDER if c.encode() not in text])
        if shutil.which(shell) is None:
            print(f"SKIP ref.program.{shell}: {shell} is not installed")
            continue
        done = subprocess.run([shell, "-n", "/dev/stdin"], input=text, capture_output=True, timeout=LIMIT_S)
        check(f"syntax of {shell}", (0, b""), (done.returncode, done.stderr))


def main() -> int:
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    for name, test in tests:
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        try:
            test()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    print(f"ok {checks} checks")
    return 0


if __name__ == "__main__":
    sys.exit(main())

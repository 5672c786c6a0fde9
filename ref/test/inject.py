# SPDX-License-Identifier: MIT
"""Makes one system call of the real programs fail, each in its turn, and looks what becomes of it.

    inject.py [--program PATH] [--only server|client] [--call NAME]

`goipc serve --echo` and `goipc connect` exchange two lines; strace makes the Nth call of one kind fail in
one of them, for every N after start-up and every error that the kernel may give there. Allowed: that
nothing is noticed, or a clear error and exit status 1. Not allowed: a signal, a sanitizer's report, a
hang, a silent failure, wrong output, and a server that lives but serves the next client no more.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from tally import Tally  # noqa: E402

PATIENCE_S = 20
ATTEMPTS = 3
LINES = "first line\nsecond line\n"
# What the kernel may answer; the first that fits each call's manual page and is not the ordinary course.
ERRORS = {
    "socket": ("EMFILE", "ENOBUFS"),
    "bind": ("EADDRINUSE", "EACCES"),
    "listen": ("EADDRINUSE",),
    "connect": ("ECONNREFUSED", "EAGAIN", "EACCES"),
    "accept4": ("ECONNABORTED", "EMFILE"),
    "recvfrom": ("ECONNRESET", "EINTR"),
    "recvmsg": ("ECONNRESET", "EINTR"),
    "sendmsg": ("EPIPE", "EINTR", "EAGAIN"),
    "sendto": ("EPIPE", "EINTR", "EAGAIN"),
    "epoll_create1": ("EMFILE",),
    "epoll_ctl": ("ENOMEM",),
    "epoll_wait": ("EINTR",),
    "epoll_pwait": ("EINTR",),
    "poll": ("EINTR",),
    "ppoll": ("EINTR",),
    "eventfd2": ("EMFILE",),
    "pipe2": ("EMFILE",),
    "getsockopt": ("ENOBUFS",),
    "setsockopt": ("ENOBUFS",),
    "fcntl": ("EINVAL",),
    "fstat": ("EIO",),
    "chmod": ("EPERM",),
    "fchmod": ("EPERM",),
    "fchmodat": ("EPERM",),
    "rename": ("EACCES",),
    "renameat2": ("EACCES",),
    "link": ("EEXIST", "EPERM"),
    "linkat": ("EEXIST", "EPERM"),
    "flock": ("EAGAIN", "EINTR", "ENOLCK"),
    "mkdir": ("EACCES",),
    "rmdir": ("ENOTEMPTY",),
    "unlink": ("EACCES",),
    "unlinkat": ("EACCES",),
    "lstat": ("EACCES",),
    "stat": ("EACCES",),
    "newfstatat": ("EACCES",),
    "openat": ("EMFILE",),
    "read": ("EINTR", "EIO"),
    "write": ("EINTR", "EIO"),
    "shutdown": ("ENOTCONN",),
    "getrandom": ("ENOSYS",),
    "rt_sigaction": ("EINVAL",),
    "timerfd_create": ("EMFILE",),
}


# What is not made to fail; a call that is in neither list is reported.
NOT_OURS = {
    "close",  # frees the descriptor in any case
    "exit",
    "exit_group",
    "futex",  # the C library's and the sanitizer's
    "getpid",
    "mmap",  # allocations are made to fail by test_fault
    "rt_sigreturn",
}
LEFT_OUT: set[str] = set()

# Where looking at a file or removing it fails, it stays.
REMOVING = {"unlink", "unlinkat", "rmdir", "newfstatat", "lstat", "stat"}


@dataclass(frozen=True)
class Fault:
    role: str
    call: str
    when: int
    error: str

    def __str__(self) -> str:
        return f"{self.role}: {self.call} number {self.when} fails with {self.error}"


class Program:
    """One of the two, perhaps under strace."""

    def __init__(self, command: list[str], wrapper: list[str], text: str | None) -> None:
        options = "abort_on_error=0:exitcode=99:detect_leaks=0"  # leaks cannot be looked for under strace
        self.process = subprocess.Popen(
            wrapper + command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"ASAN_OPTIONS": options},
            start_new_session=True,
        )
        if text is not None:
            try:
                self.process.stdin.write(text)
                self.process.stdin.close()
            except BrokenPipeError:
                pass
            self.process.stdin = None
        self.hung = False

    def finish(self, patience_s: float = PATIENCE_S) -> tuple[int, str, str]:
        try:
            out, err = self.process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.hung = True
            os.killpg(self.process.pid, signal.SIGKILL)
            out, err = self.process.communicate()
        return self.process.returncode, out, err

    def stop(self) -> tuple[int, str, str]:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        return self.finish()


class Scene:
    """A server and a client in a directory of their own."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.name = f"inject-{os.getpid()}"

    def serve(self, wrapper: list[str]) -> Program:
        command = [self.program, "serve", self.name, "-d", str(self.folder), "--echo", "--handshake-timeout", "2000"]
        server = Program(command, wrapper, None)
        path = self.folder / f"{self.name}.sock"
        deadline = time.monotonic() + PATIENCE_S
        while server.process.poll() is None and not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return server

    def connect(self, wrapper: list[str]) -> Program:
        command = [self.program, "connect", self.name, "-d", str(self.folder), "--timeout", "4000", "--linger", "300"]
        return Program(command, wrapper, LINES)


def judge(who: str, code: int, err: str, hung: bool) -> list[str]:
    """What is wrong with how a program ended."""
    if hung:
        return [f"{who} hangs"]
    if "Sanitizer" in err or "runtime error" in err or code == 99:
        return [f"{who}: {err[-600:]}"]
    if code < 0 or code > 2:
        return [f"{who} ended by signal or with status {code}: {err[-300:]}"]
    if code != 0 and not re.search(r"goipc\S*: \S", err):
        return [f"{who} failed with status {code} and said nothing clear: {err[-300:]!r}"]
    return []


def tracing(log: Path, *options: str) -> list[str]:
    return ["strace", "-f", "-o", str(log), *options]


def is_spent(log: Path | None) -> bool:
    """Whether the fault has happened already."""
    return log is None or "(INJECTED)" in log.read_text(errors="replace")


def ask_again(scene: Scene) -> tuple[bool, str, str]:
    """Whether the next client is served, what it got, and what it said."""
    code, out, err = scene.connect([]).finish()
    return code == 0 and out == LINES, f"status {code}, {out!r}", err


def play(
    scene: Scene, role: str, wrapper: list[str], may_leave: bool = False, log: Path | None = None
) -> tuple[list[str], bool]:
    """Problems, and whether the fault was noticed at all. `log` is strace's, where there is a fault."""
    server = scene.serve(wrapper if role == "server" else [])
    problems: list[str] = []
    noticed = False
    if server.process.poll() is None:
        client = scene.connect(wrapper if role == "client" else [])
        code, out, err = client.finish()
        problems += judge("client", code, err, client.hung)
        noticed = code != 0
        if code == 0 and out != LINES:
            # A connection that was lost in between may cost lines, but then somebody says so.
            noticed = True
            if not err.strip():
                problems.append(f"client ended well with output {out!r} and no word of it")
        if server.process.poll() is None:
            own_fault = role == "server" and not is_spent(log)
            served, got, said = ask_again(scene)
            if own_fault and not served:
                # The fault was this client's own; it is the one after it that must be served.
                noticed = True
                if not said.strip():
                    problems.append(f"the second client got {got}, and no word of it")
                served, got, said = ask_again(scene)
            if not served and (server.process.poll() is None or not own_fault):
                problems.append(f"the next client is not served: {got}, {said[-300:]}")
    code, _, err = server.stop()
    noticed = noticed or code != 0
    if code != -signal.SIGTERM:
        problems += judge("server", code, err, server.hung)
    left = [path.name for path in scene.folder.iterdir()]
    if left and not noticed and not may_leave:
        problems.append(f"files are left: {left}")
    return problems, noticed


def places(scene: Scene, role: str, log: Path) -> dict[str, list[int]]:
    """The calls after start-up, by name, as numbers that strace counts by."""
    play(scene, role, tracing(log))
    wakers: set[str] = set()
    counts: collections.Counter[str] = collections.Counter()
    found: dict[str, list[int]] = {}
    started = False
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"\d+\s+(\w+)\((\w*)", line)
        if not match:
            continue
        call, descriptor = match.groups()
        counts[call] += 1
        opened = re.search(r"\beventfd2?\(.*= (\d+)$", line)
        if opened:
            wakers.add(opened.group(1))
        if call in ("read", "write") and descriptor in wakers:
            continue  # one that does not wait fails with EAGAIN only, when it is set (or not set) already
        # The loader and the sanitizer use neither of these.
        started = started or call in ("socket", "epoll_create1", "eventfd2")
        if started and call in ERRORS:
            found.setdefault(call, []).append(counts[call])
        elif started:
            LEFT_OUT.add(call)
    return found


def faults(scene: Scene, roles: list[str], log: Path, per_call: int) -> list[Fault]:
    found = []
    for role in roles:
        for call, numbers in sorted(places(scene, role, log).items()):
            for number in numbers[:per_call]:
                found += [Fault(role, call, number, error) for error in ERRORS[call]]
    return found


def provoke(scene: Scene, fault: Fault, log: Path) -> tuple[list[str], bool]:
    """As `play`. How often a call is made differs a little from run to run; a fault that never happened shows
    nothing, however well all goes."""
    inject = f"inject={fault.call}:error={fault.error}:when={fault.when}"
    for _ in range(ATTEMPTS):
        problems, noticed = play(
            scene, fault.role, tracing(log, "-e", inject), may_leave=fault.call in REMOVING, log=log
        )
        for path in scene.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if problems or is_spent(log):
            return problems, noticed
    return [f"the fault did not happen in {ATTEMPTS} runs"], False


def default_program() -> str | None:
    for preset in ("asan", "release", "debug"):
        path = ROOT / "build" / preset / "ref" / "cli" / "goipc"
        if path.exists():
            return str(path)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=default_program())
    parser.add_argument("--only", choices=("server", "client"))
    parser.add_argument("--call", help="only this system call")
    parser.add_argument("--per-call", type=int, default=1000, help="how many places of each call (default: all)")
    options = parser.parse_args()
    tally = Tally()
    if options.program is None:
        tally.skip("inject", "the program goipc is not built")
        return tally.finish()
    if (
        shutil.which("strace") is None
        or subprocess.run(["strace", "-o", os.devnull, "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0
    ):
        tally.skip("inject", "strace is not installed, or may not trace here")
        return tally.finish()
    with tempfile.TemporaryDirectory(prefix="goipc-inject-") as scratch:
        folder = Path(scratch) / "sockets"
        folder.mkdir(mode=0o700)
        log = Path(scratch) / "log"
        scene = Scene(options.program, folder)
        problems, _ = play(scene, "server", [])
        tally.check(not problems, "no fault", "; ".join(problems))
        noticed_count = 0
        for fault in faults(scene, [options.only] if options.only else ["server", "client"], log, options.per_call):
            if options.call and fault.call != options.call:
                continue
            problems, noticed = provoke(scene, fault, log)
            noticed_count += noticed
            tally.check(not problems, str(fault), "; ".join(problems))
    unknown = LEFT_OUT - NOT_OURS
    tally.check(not unknown, "every call is known", f"neither made to fail nor left out: {', '.join(sorted(unknown))}")
    print(f"{noticed_count} faults were noticed, the others made no difference")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

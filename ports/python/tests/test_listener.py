# SPDX-License-Identifier: MIT
"""The name in the file system, and who may come."""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import goipc
import pytest
from goipc import listener as listeners
from goipc import peers
from support import in_loop, serving


async def idle(connection: goipc.Connection) -> None:
    await connection.receive()


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o177, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o777])
@in_loop
async def test_mode(name: str, mask: int, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode is as asked for under every mask, and never wider: not when it is bound, and not when it listens."""
    seen = []

    def look(self: listeners.Listener, wanted: int) -> None:
        seen.append(stat.S_IMODE(os.lstat(self.path).st_mode))
        set_mode(self, wanted)

    set_mode = listeners.Listener._set_mode
    monkeypatch.setattr(listeners.Listener, "_set_mode", look)
    with umask(mask):
        async with goipc.serve(name, idle, socket_mode=mode) as server:
            assert stat.S_IMODE(os.lstat(server.path).st_mode) == mode
        assert os.umask(mask) == mask
    assert len(seen) == 1 and seen[0] | mode == mode


@in_loop
async def test_the_name_is_bound_in_place(name: str) -> None:
    """`ss` and systemd-tmpfiles know a live socket by the path it was bound to."""
    async with goipc.serve(name, idle) as server:
        assert stat.S_ISSOCK(os.lstat(server.path).st_mode)
        with open("/proc/net/unix", encoding="utf-8") as file:
            assert f" {server.path}\n" in file.read()


@in_loop
async def test_a_live_server_is_left_alone(name: str) -> None:
    async with serving(name) as application:
        before = os.lstat(f"/tmp/{name}.sock").st_ino
        with pytest.raises(goipc.NameInUse, match="another server listens at .*; stop it"):
            await goipc.serve(name, idle)
        assert os.lstat(f"/tmp/{name}.sock").st_ino == before
        await application.next("connected")  # EP-022: the other one completed the handshake
        await application.next("closed")


@in_loop
async def test_a_file_is_left_alone(name: str) -> None:
    path = Path(f"/tmp/{name}.sock")
    path.write_text("precious")
    with pytest.raises(goipc.NameInUse, match="not a socket and was left alone"):
        await goipc.serve(name, idle)
    assert path.read_text() == "precious"
    path.unlink()
    path.symlink_to("/tmp/elsewhere")
    with pytest.raises(goipc.NameInUse):
        await goipc.serve(name, idle)
    assert path.is_symlink()
    path.unlink()


def leave_stale(name: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(f"/tmp/{name}.sock")


@in_loop
async def test_a_stale_socket_is_replaced(name: str) -> None:
    leave_stale(name)
    async with serving(name), goipc.connect(name):
        pass


@in_loop
async def test_two_at_once_give_one_winner(name: str) -> None:
    """Five times: three processes go for one stale socket."""
    program = textwrap.dedent("""
        import asyncio, sys, goipc
        async def main():
            while await asyncio.to_thread(sys.stdin.readline):
                try:
                    async with goipc.serve(sys.argv[1], lambda connection: connection.receive()):
                        print("won", flush=True)
                        await asyncio.to_thread(sys.stdin.readline)
                except goipc.NameInUse:
                    print("lost", flush=True)
                    await asyncio.to_thread(sys.stdin.readline)
                print("ready", flush=True)
        asyncio.run(main())
    """)
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, name, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        )
        for _ in range(3)
    ]

    async def tell_all() -> list[bytes]:
        for child in children:
            assert child.stdin
            child.stdin.write(b"go\n")
        return sorted([await child.stdout.readline() for child in children if child.stdout])

    try:
        for _ in range(5):
            leave_stale(name)
            assert await tell_all() == [b"lost\n", b"lost\n", b"won\n"]
            async with goipc.connect(name):  # the winner has the name
                pass
            assert await tell_all() == [b"ready\n"] * 3
    finally:
        for child in children:
            child.stdin.close() if child.stdin else None
            await child.wait()


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(goipc.__file__).parents[1])}


@in_loop
async def test_another_file_at_the_path_is_not_removed(name: str) -> None:
    async with goipc.serve(name, idle) as server:
        os.unlink(server.path)
        Path(server.path).touch()
    assert os.path.exists(server.path)
    os.unlink(server.path)


@in_loop
async def test_directories(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with goipc.serve(name, idle, directory=tmp_path) as server, goipc.connect(name, directory=tmp_path):
        assert server.path == f"{tmp_path}/{name}.sock"
    monkeypatch.chdir(tmp_path)
    async with goipc.serve(name, idle, directory="."), goipc.connect(name, directory=tmp_path):
        pass
    tmp_path.chmod(0o777)
    with pytest.raises(goipc.PermissionDenied, match="other users can replace files .*; use a directory"):
        await goipc.serve(name, idle, directory=tmp_path)
    tmp_path.chmod(0o1777)
    async with goipc.serve(name, idle, directory=tmp_path):
        pass
    with pytest.raises(goipc.EndpointError, match="No such file or directory; make the directory first"):
        await goipc.serve(name, idle, directory=tmp_path / "none")
    longest = "x" * (107 - len(f"{tmp_path}/.sock"))
    async with goipc.serve(longest, idle, directory=tmp_path), goipc.connect(longest, directory=tmp_path):
        pass
    with pytest.raises(goipc.NameNotAllowed, match="108 bytes, and the system takes 107; use a shorter"):
        goipc.connect(longest + "x", directory=tmp_path)


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EACCES, errno.ENOMEM])
@in_loop
async def test_what_the_system_refuses(name: str, trouble: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One exception with the cause, and nothing left open, which in_loop requires."""

    def refuse(self: object, wanted: int) -> None:
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(listeners.Listener, "_set_mode", refuse)
    with pytest.raises(goipc.EndpointError, match=os.strerror(trouble)):
        await goipc.serve(name, idle)


def in_namespace(arguments: list[str], command: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell command in a user name space of its own, or skips the test."""
    tool = shutil.which("unshare")
    if not tool or subprocess.run([tool, *arguments, "true"], capture_output=True).returncode != 0:
        pytest.skip("unshare is not allowed here")
    return subprocess.run(
        [tool, *arguments, "sh", "-c", command], capture_output=True, text=True, timeout=60, env=environment()
    )


def test_a_full_disk(tmp_path: Path) -> None:
    command = f"mount -t tmpfs -o nr_inodes=1 none {tmp_path} && {sys.executable} -m goipc serve full -d {tmp_path}"
    done = in_namespace(["-rm"], command)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("No space left on device; free some space, or choose another directory")


# Peers


@in_loop
async def test_the_peer_is_known(name: str) -> None:
    async with serving(name) as application, goipc.connect(name) as client:
        connection = await application.next("connected")
        assert client.peer == connection.peer == (os.geteuid(), os.getegid(), os.getpid())


@pytest.mark.parametrize("user", [12345, -1])
@pytest.mark.parametrize("admitted", [False, True])
@in_loop
async def test_other_users(name: str, user: int, admitted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "credentials_of", lambda sock: peers.Credentials(user, user, 1))
    policy: Any = ("any" if user < 0 else [12345]) if admitted else ("same-user" if user < 0 else [54321])
    async with serving(name, peers=policy) as application:
        if admitted:
            async with goipc.connect(name, peers=policy):
                await application.next("connected")
            return
        with pytest.raises(goipc.PeerRefused, match="set peers"):
            await goipc.connect(name, peers=policy, timeout_s=20)  # at once, not after trying for 20 s
        assert await application.next("handshake failed") == "other"


@in_loop
async def test_a_peer_of_an_unknown_user_is_refused(name: str) -> None:
    """In a name space without a number for the server's user, the kernel reports the overflow uid, which is that of
    every process there, too. It must not count as the same user."""
    async with serving(name):
        done = await asyncio.to_thread(
            in_namespace, ["-U"], f"{sys.executable} -m goipc connect {name} --timeout 5 </dev/null"
        )
    assert done.returncode == 1
    assert "does not tell which user the peer runs as (another user name space?)" in done.stderr


def test_macos_and_bsd_ask_getpeereid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other system's call, in place of Linux's."""
    monkeypatch.delattr(socket, "SO_PEERCRED")
    monkeypatch.setattr(peers, "_getpeereid", lambda descriptor: (501, 20))
    left, right = socket.socketpair()
    with left, right:
        assert peers.credentials_of(left) == (501, 20, -1)

# SPDX-License-Identifier: MIT
"""Names, paths and the socket file."""

import os
import random
import socket
import stat
import string
from collections.abc import Callable

from ..adapter.level1 import ServeRefused
from ..adapter.subject import ServeConfig
from ..case import case
from ..context import Context, Verdictless
from ..run_folder import fresh_folder, fresh_name, run_folder

SERVER, CLIENT = ("server",), ("client",)


def serve(t: Context, name: str) -> str:
    return t.subject.serve(ServeConfig(name=name, maximum=t.maximum))


def expect_refusal(t: Context, name: str, shown: str, classes: tuple[str, ...]) -> None:
    """Opening has to fail with one of the classes."""
    if t.role == "server":
        try:
            t.path = serve(t, name)
        except ServeRefused as error:
            if error.error_class not in classes:
                t.see("wrong-class", f"serve answered {error.error_class} for {shown}")
            return
        t.see("accepted", f"a server was opened for {shown} at {t.path}")
        return
    reply = t.call("connect", endpoint={"transport": "unix", "name": name}, encryption="required", timeout_ms=500)
    if reply["ok"]:
        t.see("connected", f"connect succeeded for {shown}")
    elif t.class_of(reply) not in classes:
        t.see("wrong-class", f"connect answered {t.class_of(reply)} for {shown}")


# Each path that an implementation could make of one of these names either can be written by every user or leads into a
# folder that is not there, so that the outcome depends on the implementation alone.
BAD_NAMES: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "slash": lambda: f"{fresh_folder().name}/x",
    "parent": lambda: f"../tmp/{fresh_name()}",
    "absolute": lambda: f"{fresh_folder()}/x",
    "nul": lambda: f"{fresh_name()}\0x",
}


@case(
    "end.name.refused",
    "An invalid name is rejected before the file system is changed",
    adapter_level=1,
    own_server=True,
    params={"name": tuple(BAD_NAMES)},
    reqs="EP-001 EP-002",
    expect="conforms",
    also="wrong-class",
    liveness=False,
    tags=("security",),
    why="Names come from configuration and users; a path in a name can leave the directory.",
    hint="Refuse the empty name, '/' and NUL with the class name.",
)
def name_refused(t: Context) -> None:
    if t.p.name == "nul" and t.subject.identity.details.get("language") == "c":
        raise Verdictless("a string of C ends at the first NUL, so that no such name can be given")
    name = BAD_NAMES[t.p.name]()
    expect_refusal(t, name, repr(name), ("name",))


@case(
    "end.name.too-long",
    "A name that is too long for the system is rejected, not truncated",
    adapter_level=1,
    own_server=True,
    params={"size": (99, 108, 300)},
    reqs="EP-004",
    expect="conforms",
    also="wrong-class",
    liveness=False,
    tags=("security",),
    why="A truncated path is another path.",
    hint="Compare with the size of sun_path before copying.",
)
def name_too_long(t: Context) -> None:
    expect_refusal(t, "x" * t.p.size, f"a name of {t.p.size} bytes", ("name",))


@case(
    "end.name.longest",
    "The longest name works",
    roles=SERVER,
    adapter_level=1,
    own_server=True,
    params={"size": (1, 97)},
    reqs="EP-004 EP-006",
    expect="conforms",
    positive=True,
    liveness=False,
    why="97 bytes, /tmp/, .sock and a NUL are 108 bytes, the size of sun_path on Linux.",
    hint="Include the NUL in the length.",
)
def name_longest(t: Context) -> None:
    if os.uname().sysname != "Linux":
        raise Verdictless("the longest name differs between systems")
    name = f"{fresh_name()}-{'x' * 97}"[: t.p.size] if t.p.size > 1 else one_byte_name()
    t.path = serve(t, name)
    t.exchange_sentinel(t.open())


def one_byte_name() -> str:
    """Drawn, so that two runs at the same time hardly ever choose the same one."""
    names = list("~^%+=@,:;" + string.ascii_letters + string.digits)
    random.shuffle(names)
    for name in names:
        if not os.path.lexists(f"/tmp/{name}.sock"):
            run_folder().record(f"/tmp/{name}.sock")
            return name
    raise Verdictless("every short name is in use on this machine")


@case(
    "end.path",
    "The socket has the path that a golang-ipc application expects",
    roles=SERVER,
    adapter_level=1,
    own_server=True,
    reqs="EP-006 EP-008",
    expect="conforms",
    positive=True,
    liveness=False,
    tags=("interop",),
    why="Both sides derive the path from the name alone.",
    hint="/tmp/, the name, .sock.",
)
def path(t: Context) -> None:
    name = fresh_name()
    t.path = serve(t, name)
    if t.path != f"/tmp/{name}.sock":
        t.see("malformed", f"the server says it listens at {t.path}")
        t.path = f"/tmp/{name}.sock"
    if not stat.S_ISSOCK(os.stat(t.path).st_mode):
        t.see("malformed", "what stands at the path is no socket")
    t.exchange_sentinel(t.open())


@case(
    "end.in-use",
    "The socket of a running server is not taken over",
    roles=SERVER,
    adapter_level=1,
    own_server=True,
    reqs="EP-011",
    expect="conforms",
    also="wrong-class",
    liveness=False,
    tags=("security",),
    why="golang-ipc deletes the socket of a running server; new clients reach the second server.",
    hint="Test the socket first: replace it only if no process listens.",
)
def in_use(t: Context) -> None:
    name = fresh_name()
    holder = t.listen(f"/tmp/{name}.sock")
    before = os.stat(holder.path).st_ino
    expect_refusal(t, name, "a name in use", ("in-use",))
    # A prober may have connected; what counts is whose socket it is.
    if not os.path.exists(holder.path) or os.stat(holder.path).st_ino != before:
        t.see("accepted", "the socket of the living server was replaced")


@case(
    "end.stale",
    "A socket that a dead server left behind is replaced",
    roles=SERVER,
    adapter_level=1,
    own_server=True,
    level="should",
    reqs="EP-012",
    expect="conforms",
    positive=True,
    liveness=False,
    why="Otherwise a person has to clean up after every crash.",
    hint="Replace the socket if no process listens and your user owns it.",
)
def stale(t: Context) -> None:
    name = fresh_name()
    t.path = f"/tmp/{name}.sock"
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(t.path)
    dead.close()
    t.path = serve(t, name)
    t.exchange_sentinel(t.open())


@case(
    "end.occupied",
    "A file or directory at the path stays unchanged",
    roles=SERVER,
    adapter_level=1,
    own_server=True,
    params={"what": ("file", "folder", "link")},
    reqs="EP-010",
    expect="conforms",
    also="wrong-class",
    liveness=False,
    tags=("security",),
    why="golang-ipc deletes the file or directory at its path, with all contents.",
    hint="Only a socket may be replaced.",
)
def occupied(t: Context) -> None:
    name = fresh_name()
    path = f"/tmp/{name}.sock"
    kept = f"/tmp/{name}.kept"
    try:
        if t.p.what == "folder":
            os.mkdir(path)
            open(f"{path}/precious", "w").close()
        elif t.p.what == "file":
            open(path, "w").close()
        else:
            open(kept, "w").close()
            os.symlink(kept, path)
        before = os.lstat(path)
        expect_refusal(t, name, f"a {t.p.what} at the path", ("in-use", "permission", "name", "other"))
        try:
            after = os.lstat(path)
        except FileNotFoundError:
            after = None
        if after is None or after.st_ino != before.st_ino or after.st_mode != before.st_mode:
            t.see("accepted", f"the {t.p.what} is gone")
    finally:
        for rest in (f"{path}/precious", path, kept):
            try:
                os.rmdir(rest) if os.path.isdir(rest) and not os.path.islink(rest) else os.unlink(rest)
            except OSError:
                pass


@case(
    "end.removed",
    "A server that closes removes its socket",
    roles=SERVER,
    adapter_level=1,
    level="should",
    reqs="EP-013",
    expect="conforms",
    positive=True,
    liveness=False,
    why="Without the socket clients fail at once instead of later.",
    hint="Unlink the socket that you bound.",
)
def removed(t: Context) -> None:
    t.exchange_sentinel(t.open())
    t.stop_and_watch()
    if os.path.lexists(t.path):
        t.see("accepted", "the socket is still there")


@case(
    "end.not-own",
    "A server that closes does not remove another server's socket at its path",
    roles=SERVER,
    adapter_level=1,
    reqs="EP-014",
    expect="conforms",
    liveness=False,
    tags=("security",),
    why="A new server may use the path; without its socket no client reaches it.",
    hint="Remember device and inode, and compare before unlinking.",
)
def not_own(t: Context) -> None:
    t.exchange_sentinel(t.open())
    os.unlink(t.path)
    successor = t.listen(t.path)
    inode = os.stat(successor.path).st_ino
    t.stop_and_watch()
    if not os.path.lexists(t.path) or os.stat(t.path).st_ino != inode:
        t.see("accepted", "the successor's socket was removed")


@case(
    "end.mode",
    "Only the server's own user can connect by default",
    roles=SERVER,
    adapter_level=1,
    level="should",
    reqs="EP-015",
    expect="conforms",
    liveness=False,
    tags=("security", "open-umask"),
    why="Connecting requires write permission on the socket; encryption does not authenticate peers.",
    hint="Mode 0600, independent of the umask.",
)
def mode(t: Context) -> None:
    bits = stat.S_IMODE(os.stat(t.path).st_mode)
    t.note(f"the mode is {bits:04o}")
    if bits & 0o022:
        t.see("accepted", f"the mode of the socket is {bits:04o}")
    t.exchange_sentinel(t.open())


@case(
    "end.directory",
    "Another directory can be configured",
    roles=SERVER,
    adapter_level=1,
    own_server=True,
    needs=("directory",),
    level="may",
    reqs="EP-006 EP-009",
    expect="conforms",
    positive=True,
    liveness=False,
    why="All users share /tmp.",
    hint="The directory, /, the name, .sock.",
)
def directory(t: Context) -> None:
    name, folder = fresh_name(), str(fresh_folder())
    reply = t.call(
        "serve", endpoint={"transport": "unix", "name": name, "directory": folder}, encryption="required", echo=True
    )
    if not reply["ok"]:
        t.see("refused", t.class_of(reply))
        return
    t.path = str(reply.get("endpoint", {}).get("path", ""))
    if t.path != f"{folder}/{name}.sock":
        t.see("malformed", f"the path is {t.path}")
    t.exchange_sentinel(t.open())

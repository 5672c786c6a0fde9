# SPDX-License-Identifier: MIT
"""A program under test: started in a group of its own, watched, and always ended."""

import dataclasses
import functools
import os
import re
import resource
import shlex
import signal
import subprocess
import tempfile
from typing import IO

# Texts by which the death of a process is recognised whatever its exit status.
CRASH_TEXTS = re.compile(
    r"^(panic: .*|fatal error: .*|SIGSEGV: .*|==\d+==ERROR: \w+Sanitizer.*|.*runtime error: .*"
    r"|thread '.*'(?: \(\d+\))? panicked at .*|Exception in thread \".*\" .*|.*Fatal error: .*|Node\.js v\d+\..*|Traceback \(most recent call last\):|\w+: \w+/.*Assertion .* failed\.?"
    r"|terminate called .*|Unhandled exception.*)$",
    re.MULTILINE,
)
SANITIZER_EXIT = 99
PANIC_EXIT = 101  # of Rust


class StartError(Exception):
    """The program cannot be started at all: the command is wrong."""


@dataclasses.dataclass(frozen=True)
class Exit:
    status: int
    text: str  # a recognised crash text, or ""

    @property
    def describe(self) -> str:
        if self.status < 0:
            try:
                how = f"killed by {signal.Signals(-self.status).name}"
            except ValueError:
                how = f"killed by signal {-self.status}"
        else:
            how = f"exit status {self.status}"
        return f"{how}: {self.text}" if self.text else how

    @property
    def is_crash(self) -> bool:
        if self.status < 0 or self.status in (SANITIZER_EXIT, PANIC_EXIT) or self.status >= 128:
            return True
        # A sanitizer may report and let the program go on; other texts are a death only with a status that says so.
        return bool(self.text) and (self.status != 0 or "Sanitizer" in self.text or "runtime error: " in self.text)


def split_command(command: str | list[str]) -> list[str]:
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise StartError(f"cannot split the command into words: {error}") from None
    if not words:
        raise StartError("the command is empty")
    return words


@functools.cache
def forbid_core_files() -> None:
    """For this process and all that it starts: a program under test may die a thousand times."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


class Process:
    def __init__(self, words: list[str], control: bool, umask: int = -1):
        """With control, standard input and output are pipes; otherwise output is only captured. The file creation
        mask is ours unless one is given."""
        self.words = words
        # Disk-backed, so that a program that floods its standard error costs no memory here.
        self._captured = tempfile.TemporaryFile(prefix="goipc-conformance-")
        environment = dict(os.environ)
        forbid_core_files()
        environment.setdefault("ASAN_OPTIONS", f"exitcode={SANITIZER_EXIT}")
        try:
            self._popen = subprocess.Popen(
                words,
                stdin=subprocess.PIPE if control else subprocess.DEVNULL,
                stdout=subprocess.PIPE if control else self._captured,
                stderr=self._captured,
                start_new_session=True,
                env=environment,
                umask=umask,
            )
        except (OSError, ValueError) as error:
            self._captured.close()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise StartError(f"cannot start {words[0]!r}: {reason}") from None
        self.pid = self._popen.pid
        self.asked_to_end = False

    @property
    def stdin(self) -> IO[bytes]:
        assert self._popen.stdin is not None, "started without control"
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._popen.stdout is not None, "started without control"
        return self._popen.stdout

    def captured(self, limit: int = 8192) -> str:
        """The end of what the program wrote to its standard error."""
        if self._captured.closed:
            return self._last
        # pread leaves the offset alone, which the program shares.
        descriptor = self._captured.fileno()
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, limit, max(0, size - limit)).decode("utf-8", "replace")

    _last = ""

    def _captured_head(self) -> str:
        if self._captured.closed:
            return self._last
        return os.pread(self._captured.fileno(), 65536, 0).decode("utf-8", "replace")

    def exited(self, timeout: float = 0.0) -> Exit | None:
        try:
            status = self._popen.wait(timeout) if timeout > 0 else self._popen.poll()
        except subprocess.TimeoutExpired:
            return None
        if status is None:
            return None
        found = CRASH_TEXTS.search(self._captured_head())
        return Exit(status, found.group(0).strip()[:200] if found else "")

    def crash_text(self) -> str:
        found = CRASH_TEXTS.search(self._captured_head())
        return found.group(0).strip()[:200] if found else ""

    def end(self, grace: float = 0.5) -> Exit | None:
        """Ends the program and everything it started. The exit is returned when it ended by itself before."""
        before = self._popen.poll()
        found = self.exited() if before is not None else None
        self.asked_to_end = True
        if before is None:
            self._signal(signal.SIGTERM)
            try:
                self._popen.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        self._signal(signal.SIGKILL)
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            pass
        self._last = self.captured()
        return found

    def kill(self) -> None:
        """At once, and without waiting; `end` is still to come."""
        if self._popen.returncode is None:
            self._signal(signal.SIGKILL)

    def close_streams(self) -> None:
        """After `end`, and after whoever reads standard output has seen its end."""
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass
        self._captured.close()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

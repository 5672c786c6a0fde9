# SPDX-License-Identifier: MIT
"""What a process uses, read from the operating system so that no adapter has to tell."""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Usage:
    resident: int  # bytes
    virtual: int  # bytes
    descriptors: int
    threads: int
    cpu: float  # seconds


def usage_of(pid: int | None) -> Usage | None:
    """None where the system does not tell, or the process has gone."""
    if pid is None:
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, the second field, may hold blanks and brackets.
            fields = file.read().rsplit(b")", 1)[1].split()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, IndexError):
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(
        resident=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        virtual=int(fields[20]),
        descriptors=descriptors,
        threads=int(fields[17]),
        cpu=(int(fields[11]) + int(fields[12])) / ticks,
    )

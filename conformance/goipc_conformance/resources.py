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
    resident_peak: int  # bytes, ever since it started
    virtual_peak: int  # bytes


def usage_of(pid: int | None) -> Usage | None:
    """None where the system does not tell, or the process has gone."""
    if pid is None:
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, the second field, may hold blanks and brackets.
            fields = file.read().rsplit(b")", 1)[1].split()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/status", "rb") as file:
            status = dict(line.split(b":", 1) for line in file if b":" in line)
        peaks = [int(status[name].split()[0]) * 1024 for name in (b"VmHWM", b"VmPeak")]
    except (OSError, IndexError, KeyError, ValueError):
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    return Usage(
        resident=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        virtual=int(fields[20]),
        descriptors=descriptors,
        threads=int(fields[17]),
        cpu=(int(fields[11]) + int(fields[12])) / ticks,
        resident_peak=peaks[0],
        virtual_peak=peaks[1],
    )

"""What this process takes, by the names that Prometheus's library has for it.

The library says it of the process that writes the page. Of several processes each says it of
itself, so that it can be added up; what has no meaning in a sum is left out.

Source: proc_pid_stat(5)
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .families import Family, Join

CPU: Final = "process_cpu_seconds"
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
TICKS: Final = os.sysconf("SC_CLK_TCK")


def process() -> Iterator[Family]:
    """What it takes now; the processor's time alone where there is no /proc."""
    times = os.times()
    spent = times.user + times.system
    yield Family(
        CPU, "Total user and system CPU time spent in seconds.", "counter", (), [((), spent)]
    )
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        boot = _booted()
        files = len(os.listdir("/proc/self/fd"))
    except (OSError, ValueError):
        return
    start, virtual, resident = int(fields[19]), int(fields[20]), int(fields[21])
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield _gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", virtual)
    yield _gauge("process_resident_memory_bytes", "Resident memory size in bytes.", resident * PAGE)
    yield _gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        boot + start / TICKS,
        join="min",
    )
    yield _gauge("process_open_fds", "Number of open file descriptors.", files)
    yield _gauge("process_max_fds", "Maximum number of open file descriptors.", most)


def _gauge(name: str, documentation: str, value: float, *, join: Join = "sum") -> Family:
    return Family(name, documentation, "gauge", (), [((), value)], join=join)


def _booted() -> float:
    with open("/proc/stat") as file:
        for line in file:
            if line.startswith("btime "):
                return float(line.split()[1])
    raise ValueError("/proc/stat does not say when the machine started")

"""The memory of this process, and when there is too much of it.

Source: proc_pid_statm(5); malloc_trim(3), which gives back what is free between what is used.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path

STATM = Path("/proc/self/statm")
LOOK_SECONDS = 0.5
"""How often the memory is looked at: it must be over the limit twice in a row, so that a moment,
such as the load of a model, ends nothing."""


def resident() -> int | None:
    """The bytes that are in memory; None where the system does not say."""
    try:
        pages = int(STATM.read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


async def exceeded(limit: int, release: Callable[[], None]) -> int:
    """Wait until more than `limit` bytes are in memory, and stay there although caches were let
    go; how many then are. `release` lets go those of the app.

    Where the system does not say how many are, it waits for ever.
    """
    was_over = False
    while True:
        found = resident()
        is_over = found is not None and found > limit
        if found is not None and is_over and was_over:
            return found
        if is_over:
            release()
            gc.collect()
            trim()
        was_over = is_over
        await asyncio.sleep(LOOK_SECONDS)


def trim() -> None:
    """Have glibc give back all that is free. Other libraries of C have no call for that."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

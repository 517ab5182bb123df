"""What a worker does to its process before it answers: one thread of native code, and malloc.

Workers are as many as there are cores, so threads of BLAS, OpenMP and pyarrow would stand in each
other's way. Dask's nanny sets MALLOC_TRIM_THRESHOLD_, with which glibc gives back and takes anew
each block of a batch: 30 to 45 % more CPU. mallopt(3) undoes that in a process that runs.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
"""Parameters of mallopt(3), by their numbers in malloc.h."""

LARGE_BLOCK: Final = 32 * 1024 * 1024
"""From which on a block is taken from the system and given back: the most that glibc allows."""
FREE_BLOCK: Final = 128 * 1024 * 1024
"""Free memory that is kept for the next batch."""


@cache
def settle_process() -> None:
    """Do that, once for the life of the process."""
    import pyarrow
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    pyarrow.set_cpu_count(1)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and no need for it
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
            mallopt(M_TRIM_THRESHOLD, FREE_BLOCK)


@cache
def end_with(parent: int) -> None:
    """Let this process end when the one that started it is gone, perhaps already: a pool of
    processes waits some minutes for work that its driver, once killed, does not send."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of native code while the body runs, in a process that goes on."""
    import pyarrow
    from threadpoolctl import threadpool_limits

    before = pyarrow.cpu_count()
    pyarrow.set_cpu_count(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        pyarrow.set_cpu_count(before)

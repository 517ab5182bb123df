"""Whose child a process is, and what becomes of it when that ends. Linux alone.

Source: prctl(2), PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from typing import Final

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

PATIENCE: Final = 10.0
"""Seconds in which a process must have become the child of who is to wait for it."""
TURN: Final = 0.0005


def adopt_orphans() -> None:
    """Be the parent of every process below this one whose own has ended."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with(parent: int, number: signal.Signals) -> bool:
    """Get this signal when the parent ends; False where it has ended, or is another process."""
    _prctl(PR_SET_PDEATHSIG, number)
    return os.getppid() == parent


def fork_for(parent: int, on_fork: Callable[[int], None]) -> bool:
    """Fork a process that becomes the child of `parent`, which adopts orphans and is told the
    process id by `on_fork`. True in that process, False in this one.

    To be called in a process of one thread.
    """
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return False
    own = os.getpid()
    forked = 0
    try:
        os.setpgid(0, 0)  # what ends the others of this group, ends none that nobody knows of
        forked = os.fork()
        if forked:
            on_fork(forked)
    finally:
        if forked or os.getpid() == own:
            os._exit(0)
    deadline = time.monotonic() + PATIENCE
    while os.getppid() == own and time.monotonic() < deadline:
        time.sleep(TURN)
    if not end_with(parent, signal.SIGTERM):
        os._exit(1)
    return True


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")

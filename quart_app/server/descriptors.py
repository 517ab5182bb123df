"""The descriptors of this process: each connection takes one, and so does each open file."""

from __future__ import annotations

import logging
import os
import resource
from contextlib import suppress

from .sockets import LISTENERS

RESERVE = 64
"""Descriptors that are kept free of connections, for tables, models, the database, and connections
that are accepted only to be told that they are one too many."""

RESERVED_SHARE = 4
"""Where there are few, no more than one of so many is kept free."""

USED_AT_LEAST = 32
"""What a server has open before its first connection, where the system does not say."""

logger = logging.getLogger(__name__)


def allow_many() -> None:
    """Raise the number of open files, and so of connections, to what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS has a bound of its own below `hard`
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_within(wanted: int) -> int:
    """How many connections there may be, at least one: `wanted`, or what descriptors are left for.

    To be called when the process listens. Fewer than `wanted` are logged.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    reserve = min(RESERVE, limit // RESERVED_SHARE)
    most = max(1, limit - _used() - LISTENERS - reserve)
    if most >= wanted:
        return wanted
    logger.warning(
        "At most %d connections are open at a time, not %d (MAX_CONNECTIONS), since the process "
        "may have %d files open (ulimit -n).",
        *(most, wanted, limit),
    )
    return most


def _used() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return USED_AT_LEAST

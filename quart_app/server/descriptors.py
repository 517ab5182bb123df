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


def connections_within(wanted: int, *, others: int = 0) -> int:
    """How many connections there may be, at least one: `wanted`, or what descriptors are left for
    beside those of `others`.

    To be called when the process listens. Fewer than `wanted` are logged.
    """
    most = max(1, _left(wanted + others) - others)
    if most >= wanted:
        return wanted
    logger.warning(
        "At most %d connections are open at a time, not %d (MAX_CONNECTIONS), since the process "
        "may have %d files open (ulimit -n).",
        *(most, wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    )
    return most


def connections_beside(wanted: int) -> int:
    """How many connections a server beside that of HTTP may have, at least one: `wanted`, or half
    of what descriptors are left for."""
    return max(1, min(wanted, _left(2 * wanted) // 2))


def _left(most: int) -> int:
    """Descriptors that are left for connections, where there is a limit; at most as many."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return most
    reserve = min(RESERVE, limit // RESERVED_SHARE)
    return min(most, limit - (len(open_descriptors()) or USED_AT_LEAST) - LISTENERS - reserve)


def open_descriptors() -> list[int]:
    """Those of this process; none where the system does not list them."""
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return []

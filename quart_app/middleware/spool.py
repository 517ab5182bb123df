"""A body on its way to a temporary file without a name, within bounds of size and time.

The file is gone when it is closed, or when the process ends, however that happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import tempfile
from collections.abc import AsyncIterator
from typing import IO, Final, cast

from ..inference import NotReady, too_large
from .table_places import DiskRoom, TableFile, Wait

MINIMUM_RATE: Final = 64 * 1024
"""Bytes in a second that a sender must keep up with, beside the time that any request has."""

BLOCK: Final = 1024 * 1024
"""Bytes that are written at once: each write is a hop to a thread and back."""

NO_ROOM_RETRY_AFTER: Final = 60

logger = logging.getLogger(__name__)


async def spool(
    parts: AsyncIterator[bytes], *, limit: int, seconds: float, room: DiskRoom, wait: Wait
) -> TableFile:
    """The parts in a file that stands at its beginning, for the caller to close.

    `room` is what it takes its bytes of, until it is closed; `wait` is around the wait for a part.

    `seconds` is what the parts may take, and longer by what comes at `MINIMUM_RATE`.

    Raises:
        RequestTooLarge: there are more than `limit` bytes; the rest is not read.
        TimeoutError: they came too slowly.
        NotReady: the file could not be written, or there is no room for it.
    """
    begun = asyncio.get_running_loop().time()
    received = 0
    block = bytearray()
    file = TableFile(cast(io.FileIO, temporary_file(buffering=0)), room)
    try:
        while True:
            async with wait(begun + seconds + received / MINIMUM_RATE):
                part = await anext(parts, None)
            if part is None:
                break
            received += len(part)
            if received > limit:
                raise too_large(f"A table may have {limit} bytes", limit)
            file.take_room(len(part))
            block += part
            if len(block) >= BLOCK:
                await asyncio.to_thread(write, file, bytes(block))
                block.clear()
        await asyncio.to_thread(write, file, bytes(block))
        file.seek(0)
    except BaseException:
        with contextlib.suppress(OSError):  # what could not be written is tried once more
            file.close()
        raise
    return file


def temporary_file(*, buffering: int = -1) -> IO[bytes]:
    """A new one without a name. Raises NotReady."""
    try:
        return tempfile.TemporaryFile(buffering=buffering)
    except OSError as error:
        raise no_room(error) from error


def write(file: IO[bytes], block: bytes) -> None:
    """Write to a temporary file, to its disk. Raises NotReady."""
    try:
        file.write(block)
        file.flush()
    except OSError as error:
        raise no_room(error) from error


def no_room(error: OSError) -> NotReady:
    """Log why a table cannot be kept, and say it to its sender in other words."""
    logger.warning("A table could not be kept in a temporary file: %s", error)
    return NotReady("There is no room here for a table at the moment.", NO_ROOM_RETRY_AFTER)

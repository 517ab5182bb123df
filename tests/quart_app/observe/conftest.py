"""What the tests of the logs need: a pipe that holds little."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of 4 KB: its end to read, and its end to write."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    yield read, write
    for end in read, write:
        with contextlib.suppress(OSError):
            os.close(end)

"""How much memory there is here, and which errors say that there was none left.

Source: proc_meminfo(5); the files memory.max of cgroup v2 and memory.limit_in_bytes of v1
(https://docs.kernel.org/admin-guide/cgroup-v2.html).
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

MEGABYTE: Final = 1024 * 1024

_WORDS: Final = ("could not allocate", "unable to allocate", "cannot allocate memory", "bad_alloc")


def memory_here(root: Path = Path("/")) -> int | None:
    """The bytes of memory that this process may have: those of the machine, or of its group of
    processes, if they are fewer. None where the system does not say. `root` is where its files
    are."""
    known = [size for size in (_of_machine(root), *_of_groups(root)) if size]
    return min(known, default=None)


def _of_machine(root: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    return None


def _of_groups(root: Path) -> Iterator[int]:
    """The limits of the groups that the process is in, each of which is within another."""
    groups = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, kinds, path = line.split(":", 2)
        if not kinds:
            place, name = groups, "memory.max"
        elif "memory" in kinds.split(","):
            place, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))
        for folder in (inner, *inner.parents):
            with contextlib.suppress(OSError, ValueError):  # none has no limit, or says "max"
                yield int((place / folder / name).read_text())


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text().splitlines() if line.count(":") >= 2]
    except OSError:
        return []


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left, or was raised because of one that did.
    Compiled code says it in words of its own."""
    reason: BaseException | None = error
    while reason is not None:
        words = str(reason).lower()
        if isinstance(reason, MemoryError) or any(each in words for each in _WORDS):
            return True
        if isinstance(reason, OSError) and reason.errno == errno.ENOMEM:
            return True
        reason = reason.__cause__ or reason.__context__
    return False

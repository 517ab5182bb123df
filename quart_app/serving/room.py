"""Whether there is the memory to load another version beside what is loaded.

Source: proc_meminfo(5), cgroup v2 memory.current.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from model_store import ModelStore
from model_store.manifest import ARTIFACT, GRAPH
from model_store.memory import memory_here
from model_store.plain import FORM_DATA, FORM_HEADER

TIMES: Final = 2.0
"""How many bytes of memory a byte of an artifact takes at most while it is loaded: it lies there
beside what is made of it."""

STATM: Final = Path("/proc/self/statm")
PAGE: Final = 4096


def missing(store: ModelStore, name: str, version: int, limit: int | None = None) -> str | None:
    """Why a version cannot be loaded beside what is loaded; None where it can, or where the system
    does not say. `limit` are the bytes that the process may have by its settings. Blocks.

    Raises:
        ModelNotFound, VersionNotFound, CorruptVersion
    """
    found = store.manifest(name, version)
    serves_plain = found.served is not None and found.served.by == "plain"
    read = (FORM_HEADER, FORM_DATA) if serves_plain else (ARTIFACT, GRAPH)
    size = sum(file.size for each, file in found.files.items() if each in read)
    here, used = memory_here(), _resident()
    here = min((bound for bound in (here, limit) if bound is not None), default=None)
    if here is None or used is None or used + TIMES * size <= here:
        return None
    return (
        f"There is not the memory to load version {version} beside the one that serves: "
        f"{TIMES * size / 1e6:.0f} MB more than {used / 1e6:.0f} of {here / 1e6:.0f}. "
        "QUART_APP_SWAP=after lets the old one go first."
    )


def _resident() -> int | None:
    try:
        return int(STATM.read_bytes().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return None

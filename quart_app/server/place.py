"""Where a worker stands among those that serve with it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec


class Place(msgspec.Struct, frozen=True):
    """One of several workers of a server, or the only one.

    `slot` is from 0 to `workers` - 1; a worker that replaces another takes its slot. `folder` is
    shared by all workers of a server, private to its user (0700), and gone with the supervisor;
    None where there is one process. `generation` says which loading of the models it was forked of.
    """

    slot: int = 0
    workers: int = 1
    folder: Path | None = None
    generation: int = 0


ALONE: Final = Place()

"""What a supervisor tells a loader at its start, in a file that both can read alone."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any, Final, NamedTuple

FORERUNNER: Final = -1
"""The slot of who says that the models are on their way."""

DUMP: Final = signal.SIGUSR2
"""The signal at which a worker writes where it hangs."""

LINGER: Final = 15 * 60.0
"""Seconds that a worker which has been replaced goes on with what it has accepted: a long table, to
a client or into a file."""


class Orders(NamedTuple):
    """`channel`, `board` and `sockets` are descriptors; without sockets the loader is to open them.

    `served` is the file in which the loader before has said what it had loaded. Of `skipped` each
    is a name, a version and why that is not to be loaded. With `forerun` somebody is to say that
    the models are on their way.
    """

    supervisor: int
    channel: int
    board: int
    sockets: list[int]
    folder: str
    workers: int
    generation: int
    bank: int
    forerun: bool
    served: str | None
    skipped: list[tuple[str, int, str]]

    @classmethod
    def read(cls, path: str) -> Orders:
        """Those of a file."""
        return cls(**json.loads(Path(path).read_text()))

    def write(self) -> Path:
        """The file, which is written now."""
        path = Path(self.folder, f"orders-{self.generation}.json")
        path.write_text(json.dumps(self._asdict()))
        return path

    @property
    def report(self) -> Path:
        """The file in which the loader is to say which versions it has loaded."""
        return Path(self.folder, f"served-{self.generation}.json")

    def served_before(self) -> dict[str, int]:
        """The versions that serve now, by name."""
        found: Any = {} if self.served is None else json.loads(Path(self.served).read_text())
        return dict(found)

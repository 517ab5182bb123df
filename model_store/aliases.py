"""The names of versions of one model, in a file beside them."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from . import files
from .errors import CorruptVersion, words_of

CHAMPION: Final = "champion"
"""The alias whose version serves."""

FORMAT: Final = 1
ALIASES: Final = "aliases.json"
LIMIT: Final = 1024 * 1024


class Aliases(msgspec.Struct, frozen=True, kw_only=True):
    """Each alias with the version that it names, and which versions served before, oldest first.

    `format` is raised as the manifest's is.
    """

    format: int = FORMAT
    versions: dict[str, int] = {}
    history: list[int] = []

    @classmethod
    def read(cls, folder: Path) -> Aliases:
        """The aliases of the model in a folder, which may have none.

        Raises:
            CorruptVersion: there is a file, and it cannot be read.
        """
        path = folder / ALIASES
        if not path.is_symlink() and not path.exists():
            return cls()
        try:
            found = msgspec.json.decode(files.read(path, LIMIT), type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptVersion(
                f"{folder.name}/{ALIASES} cannot be read; remove it and promote again.",
                words_of(error),
            ) from error
        if found.format > FORMAT:
            raise CorruptVersion(
                f"The aliases of {folder.name} have format {found.format}, and this program reads "
                f"up to {FORMAT}; upgrade quart-app."
            )
        return found

    def write(self, folder: Path) -> None:
        """Put these aliases in place of those of the model in a folder."""
        files.replace(folder / ALIASES, msgspec.json.encode(self))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One writer of aliases at a time; the kernel frees the lock of a killed one."""
    with (folder / ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

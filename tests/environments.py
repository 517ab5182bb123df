"""Virtual environments with some of the distributions that are installed here, made of links."""

from __future__ import annotations

import venv
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path


def environment(folder: Path, names: Iterable[str]) -> Path:
    """A new environment in the folder, with these distributions and no others: its Python."""
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in names:
        for entry in _entries(name):
            link = packages / entry.name
            if not link.exists():
                link.symlink_to(entry)
    return folder / "bin" / "python"


def _entries(name: str) -> set[Path]:
    """The files and folders of a distribution among all that is installed."""
    found = distribution(name)
    tops = {file.parts[0] for file in found.files or ()} - {".."}
    return {Path(str(found.locate_file(top))) for top in tops}

"""The files of an input: which they are, what their heads tell, and the columns that folders name.

Parquet says in its footer how many rows there are and of which types; of CSV only the line of names
is read, and each column is one of texts. Folders named `year=2024` are a column `year`, as Hive has
it: what it holds is text in an address, and means what a cell of CSV does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote

from ..csv_columns import ColumnDecoder
from ..csv_records import MAX_RECORD
from ..errors import InvalidRun, InvalidTable, words_of
from .places import Place, Stat, is_pattern, matches, split_pattern

Format = Literal["parquet", "csv"]

HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
READERS: Final = 8
"""Heads that are read at a time."""

_PARQUET: Final = re.compile(r"\.(parquet|parq|pq)$", re.IGNORECASE)
_CSV: Final = re.compile(r"\.(csv|tsv)(\.(gz|bz2|zst))?$", re.IGNORECASE)
_PARTITION: Final = re.compile(r"([^=/]+)=([^/]*)")
_BLOCK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the input by its path below the input's folder. `partitions` are the columns that
    its folders name. `rows` of CSV are not known; `groups` are the rows of each row group of
    Parquet."""

    name: str
    format: Format
    stat: Stat
    schema: Any
    partitions: dict[str, str | None]
    rows: int | None = None
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """All files of an input, in the order of their names, below one folder. `rows` are those of all
    files; None where that is not known before they are read."""

    folder: Place
    sources: tuple[Source, ...]
    rows: int | None

    @property
    def format(self) -> Format:
        return self.sources[0].format


def find(address: str | os.PathLike[str]) -> Input:
    """The files at an address: a file, a folder, or a pattern. Their heads are read.

    Raises:
        InvalidRun: there are none, or one is no table, or they are of both formats.
    """
    folder, names = _named(os.fspath(address))
    formats = {_format(folder, name) for name in names}
    if len(formats) > 1:
        raise InvalidRun(
            f"{address} has both Parquet and CSV; take one by a pattern such as "
            f"{address}/**/*.parquet."
        )
    with ThreadPoolExecutor(READERS) as readers:
        sources = list(readers.map(lambda name: _source(folder, name), names))
    known = [source.rows for source in sources if source.rows is not None]
    return Input(folder, tuple(sources), sum(known) if len(known) == len(sources) else None)


def _named(address: str) -> tuple[Place, list[str]]:
    """The folder of an input, and the files below it that it means."""
    place = None if is_pattern(address) and "://" in address else Place.of(address)
    kind = "nothing" if place is None else place.kind()
    if place is not None and kind == "file":
        above, _, name = place.path.rpartition("/")
        return Place(place.filesystem, above, os.path.dirname(address) or "."), [name]
    if place is not None and kind == "folder":
        names = place.files()
        if not names:
            raise InvalidRun(f"There is no file in {address}.")
        return place, names
    if not is_pattern(address):
        raise InvalidRun(f"There is no file or folder {address}.")
    base, pattern = split_pattern(address)
    folder = Place.of(base)
    names = [name for name in folder.files() if matches(pattern, name)]
    if not names:
        raise InvalidRun(f"No file matches {address}.")
    return folder, names


def _format(folder: Place, name: str) -> Format:
    if _PARQUET.search(name):
        return "parquet"
    if _CSV.search(name):
        return "csv"
    raise InvalidRun(
        f"{folder.below(name)} ends neither in .parquet nor in .csv; take the tables alone by a "
        f"pattern such as {folder}/*.parquet."
    )


def stem(name: str) -> str:
    """The path of a file without what tells its format."""
    return _CSV.sub("", _PARQUET.sub("", name))


# Heads ---------------------------------------------------------------------------


def _source(folder: Place, name: str) -> Source:
    place = folder.below(name)
    try:
        read = _parquet if _format(folder, name) == "parquet" else _csv
        return read(place, name, place.stat())
    except (OSError, InvalidTable, _arrow_error()) as error:
        raise InvalidRun(f"{place} cannot be read: {words_of(error)}") from error


def _arrow_error() -> type[Exception]:
    import pyarrow

    found: type[Exception] = pyarrow.ArrowException
    return found


def _parquet(place: Place, name: str, stat: Stat) -> Source:
    from pyarrow import parquet

    with place.open() as file:
        footer = parquet.read_metadata(file)
        schema = footer.schema.to_arrow_schema().remove_metadata()
    _require_once(place, schema.names)
    groups = tuple(footer.row_group(i).num_rows for i in range(footer.num_row_groups))
    partitions = partitions_of(place.path, schema.names)
    return Source(name, "parquet", stat, schema, partitions, footer.num_rows, groups)


def _csv(place: Place, name: str, stat: Stat) -> Source:
    import pyarrow

    names = _csv_names(place)
    schema = pyarrow.schema([(column, pyarrow.string()) for column in names])
    return Source(name, "csv", stat, schema, partitions_of(place.path, names))


def _csv_names(place: Place) -> tuple[str, ...]:
    decoder = ColumnDecoder()
    read = 0
    with place.stream() as stream:
        while not decoder.names and read <= MAX_RECORD:
            block = stream.read(_BLOCK)
            read += len(block)
            if block:
                decoder.feed(block)
            else:
                decoder.finish()
    return decoder.names


def _require_once(place: Place, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidRun(f"{place} has more than one column {', '.join(twice)}.")


def partitions_of(path: str, columns: Iterable[str]) -> dict[str, str | None]:
    """The columns that the folders of a path name, also those above the input's, but for those that
    the file itself has."""
    known = set(columns)
    found: dict[str, str | None] = {}
    for part in path.split("/")[:-1]:
        if (named := _PARTITION.fullmatch(part)) and unquote(named[1]) not in known:
            value = unquote(named[2])
            found[unquote(named[1])] = None if value == HIVE_NULL else value
    return found

"""What a run is to do, known before anything is written: its parts, and the columns that come out.

A part is a file of the input, or some row groups of one with many rows, of about a million rows, or
fewer where the whole input has not many millions, so that several workers end at about the same
time. Its name follows from the file's and from the first row group alone, so that a part that was
made twice is one. The schema of what comes out follows from the manifest and from the heads of the
input.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..answer_columns import added_datatypes, added_names
from ..column_types import DATE, TEXT
from ..columns import Column
from ..errors import InvalidRun
from ..literals import NAMES_SHOWN
from ..manifest import Manifest
from .inputs import Format, Input, Source, stem

PART_ROWS: Final = 1_000_000
"""Rows of a part at most, about: a row group is not divided."""
LEAST_PART_ROWS: Final = 250_000
PARTS: Final = 16
"""So many parts there are at least, where they do not get fewer rows than that."""

ALL: Final = "all"
NONE: Final = "none"

_PREFIX: Final = "part-"
_ARROW_TYPES: Final = {
    **{"BOOL": "bool", "INT64": "int64", "UINT64": "uint64", "FP64": "double"},
    "BYTES": "string",
}
_PART: Final = re.compile(rf"{_PREFIX}.*\.(parquet|csv)")


@dataclass(frozen=True, slots=True)
class Part:
    """One unit of a run by the path of its file below the output's folder. Of Parquet it is `rows`
    rows in the row groups from `first` until `end`, before which the file has `before` rows."""

    name: str
    source: Source
    first: int = 0
    end: int = 0
    before: int = 0
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All of that. `kept` are the columns of the input that come out as well, and `schema` has
    these and what is added, in their order. `explained` says whether reasons are added, `part_rows`
    how many rows a part of several row groups has at most."""

    input: Input
    parts: tuple[Part, ...]
    kept: tuple[str, ...]
    schema: Any
    format: Format
    explained: bool = False
    part_rows: int = PART_ROWS

    @property
    def rows(self) -> int | None:
        """All rows; None where that is not known before they are read."""
        return self.input.rows

    @property
    def folders(self) -> list[str]:
        """The folders below the output's that have parts."""
        return sorted({part.name.rpartition("/")[0] for part in self.parts})


def make_plan(
    found: Input,
    manifest: Manifest,
    columns: Literal["all", "none"] | Sequence[str],
    format: Format,
    *,
    explained: bool = False,
) -> Plan:
    """Plan a run over an input.

    Raises:
        InvalidRun: the input has not the columns of the model, or has them in types that they
            cannot have; or the files have columns of types that do not go together.
    """
    for source in found.sources:
        require_fit(found.folder.below(source.name).address, source, manifest)
    kept = _kept(found.sources, columns)
    schema = _schema(found, kept, format, added_fields(kept, manifest, explained=explained))
    names = _names(found.sources)
    most = _part_rows(found)
    parts = sorted(
        (
            part
            for source in found.sources
            for part in _parts(source, names[source.name], format, most)
        ),
        key=lambda part: part.name,
    )
    return Plan(found, tuple(parts), kept, schema, format, explained, most)


# Parts ---------------------------------------------------------------------------


def _names(sources: Sequence[Source]) -> dict[str, str]:
    """By file what its parts are called: without the end of its name, where no other has the
    same."""
    counts = Counter(stem(source.name) for source in sources)
    called = {
        source.name: stem(source.name) if counts[stem(source.name)] == 1 else source.name
        for source in sources
    }
    if len(set(called.values())) < len(called):  # x.csv, x.tsv and x.csv.csv
        return {name: name for name in called}
    return called


def _part_rows(found: Input) -> int:
    """Rows of a part at most, by the input alone."""
    fewer = min(PART_ROWS, max(LEAST_PART_ROWS, (found.rows or 0) // PARTS))
    divided = any(
        [*_ranges(source.groups, fewer)] != [*_ranges(source.groups, PART_ROWS)]
        for source in found.sources
    )
    return fewer if divided else PART_ROWS


def _parts(source: Source, called: str, format: Format, most: int) -> Iterator[Part]:
    folder, slash, name = called.rpartition("/")
    digits = max(5, len(str(len(source.groups))))  # so that parts sort by name
    for first, end in _ranges(source.groups, most) if source.groups else [(0, 0)]:
        path = f"{folder}{slash}{_PREFIX}{name}-{first:0{digits}}.{format}"
        rows = sum(source.groups[first:end]) if source.format == "parquet" else None
        yield Part(path, source, first, end, sum(source.groups[:first]), rows)


def _ranges(groups: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Row groups one after another, together until the next would make it more than `most`."""
    first = rows = 0
    for group, size in enumerate(groups):
        if group > first and rows + size > most:
            yield first, group
            first, rows = group, 0
        rows += size
    yield first, len(groups)


def is_part(name: str) -> bool:
    """Whether a path below an output is that of a part."""
    return _PART.fullmatch(name.rpartition("/")[2]) is not None


# Whether the input is the model's ------------------------------------------------


def require_fit(where: str, source: Source, manifest: Manifest) -> None:
    """Raises InvalidRun where a file has not the columns of a model, as far as its head tells."""
    there = {*source.schema.names, *source.partitions}
    columns = manifest.signature.columns
    lacking = [column.name for column in columns if column.name not in there]
    if lacking:
        raise InvalidRun(
            f"{where} has not the columns of {manifest.name}: it lacks {_listed(lacking)}; it has "
            f"{_listed(sorted(there))}."
        )
    for column in columns:
        if column.name in source.schema.names:
            require_type(where, column, source.schema.field(column.name).type)


def require_type(where: str, column: Column, kind: Any) -> None:
    """Raises InvalidRun where no value of this Arrow type, but for a missing one, is one of the
    column's."""
    from pyarrow import types

    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        kind = kind.value_type
    texts = _is_text(kind)
    numbers = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    moments = types.is_date(kind) or types.is_timestamp(kind)
    truths = types.is_boolean(kind)
    fits = texts or types.is_null(kind) or numbers or moments or truths
    if column.kind.measured:
        fits = fits and not (moments or truths)
    elif column.kind is DATE:
        fits = fits and not (numbers or truths)
    elif column.kind is TEXT:
        fits = texts or types.is_null(kind)
    if not fits:
        raise InvalidRun(
            f"The column {column.name} of {where} is of the type {kind}; expected "
            f"{column.expected}."
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


# What comes out ------------------------------------------------------------------


def _kept(sources: Sequence[Source], columns: str | Sequence[str]) -> tuple[str, ...]:
    there = dict.fromkeys(name for source in sources for name in source.schema.names)
    if columns == ALL:
        return tuple(there)
    if columns == NONE:
        return ()
    chosen = [columns] if isinstance(columns, str) else list(columns)
    for name in chosen:
        if name not in there:
            raise InvalidRun(
                f"The input has no column {name!r} to keep; it has {_listed([*there])}."
            )
    return tuple(dict.fromkeys(chosen))


def _schema(found: Input, kept: Sequence[str], format: Format, added: list[Any]) -> Any:
    import pyarrow

    fields = []
    for name in kept:
        kind = _common_type(found, name)
        if format == "csv":
            kind = _in_csv(name, kind)
        fields.append(pyarrow.field(name, kind))
    return pyarrow.schema([*fields, *added])


def added_fields(names: Sequence[str], manifest: Manifest, *, explained: bool = False) -> list[Any]:
    """The fields of what is added to columns of these names; the error is the last."""
    import pyarrow

    datatypes = added_datatypes(manifest, explained=explained)
    kinds = [*(_ARROW_TYPES[datatype] for datatype in datatypes), "string"]
    added = zip(added_names(names, manifest, explained=explained), kinds, strict=True)
    return [pyarrow.field(name, pyarrow.type_for_alias(kind)) for name, kind in added]


def _common_type(found: Input, name: str) -> Any:
    """The type that holds what each file has in a column of this name."""
    kind: Any = None
    for source in found.sources:
        if name not in source.schema.names:
            continue
        other = source.schema.field(name).type
        kind = other if kind is None else _together(kind, other)
        if kind is None:
            first = next(each for each in found.sources if name in each.schema.names)
            raise InvalidRun(
                f"The column {name} is of the type {first.schema.field(name).type} in "
                f"{first.name} and of the type {other} in {source.name}; leave it out by "
                "--columns, or score these files one by one."
            )
    return kind


def _together(one: Any, other: Any) -> Any:
    """The type that holds the values of two; None where none holds them as they are."""
    import pyarrow
    from pyarrow import types

    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    one, other = map(_plain, (one, other))
    if one == other:
        return one
    kinds = (one, other)
    for is_kind in (types.is_signed_integer, types.is_unsigned_integer, types.is_floating):
        if all(map(is_kind, kinds)):
            return max(kinds, key=lambda kind: kind.bit_width)
    if all(map(_is_text, kinds)):
        return pyarrow.large_string()
    return None


def _plain(kind: Any) -> Any:
    from pyarrow import types

    return kind.value_type if types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _in_csv(name: str, kind: Any) -> Any:
    """The type in which a column is written to CSV; whether pyarrow can is found out by a row."""
    import pyarrow
    from pyarrow import csv, types

    if types.is_string_view(kind):
        return pyarrow.large_string()
    bytes_ = types.is_binary(kind) or types.is_large_binary(kind)
    try:
        if types.is_nested(kind) or bytes_ or types.is_fixed_size_binary(kind):
            raise pyarrow.ArrowInvalid(str(kind))
        csv.write_csv(pyarrow.table({name: pyarrow.nulls(1, kind)}), pyarrow.BufferOutputStream())
    except pyarrow.ArrowException:
        raise InvalidRun(
            f"The column {name} is of the type {kind}, which CSV cannot hold; leave it out by "
            "--columns, or write Parquet."
        ) from None
    return kind


def shown_schema(schema: Any) -> list[tuple[str, str]]:
    """Names and types of columns, as the record has them."""
    return [(field.name, str(field.type)) for field in schema]


def total(rows: Iterable[int | None]) -> int:
    """The sum of the numbers that are known."""
    return sum(each for each in rows if each is not None)

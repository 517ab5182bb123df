"""One part of a run: read, answered and written, with no more than a batch in memory."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from ..errors import InvalidTable, ModelStoreError, words_of
from ..memory import is_out_of_memory
from .answering import Answerer, Answers
from .bundle import Bundle
from .places import Place, Stat
from .plan import Part, added_fields
from .reading import Batch, batches, given, rules_of
from .record import RECORD

DIGEST: Final = b"quart-app.score"
"""The key in the metadata of a part below which stands what it is a part of."""
FAULTY: Final = b"quart-app.faulty"
"""And how many of its rows have no answer."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

LOOKED_AT: Final = 16_384
"""Rows that tell whether the values of a column repeat themselves."""

Tell = Callable[[int], None]
"""Is told how many rows were answered since it was told the last time."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What all parts of a run have in common, sent to each worker once. `digest` tells what a run
    writes, `run` the attempt, and `record` is what the run's record is in the output's folder.
    Where a part has more than `most` faulty rows it is given up."""

    run: str
    digest: str
    bundle: Bundle
    input: Place
    output: Place
    record: Stat
    kept: tuple[str, ...]
    schema: Any
    most: int | None = None
    explained: bool = False

    def __hash__(self) -> int:
        return hash(self.run)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Work) and self.run == other.run


@dataclass(frozen=True, slots=True)
class Done:
    """A part that is written, with how many rows it has, and how many of these have no answer."""

    name: str
    rows: int
    faulty: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A part that is not written, and why. `ends` says that the others would fare no better, and
    `faulty` that it is for the rows that have no answer."""

    name: str
    reason: str
    ends: bool = False
    faulty: bool = False


Outcome = Done | Failed


class _TooManyFaulty(Exception):
    """A part has more rows without an answer than a run may have."""


def score_part(work: Work, part: Part, tell: Tell = lambda rows: None) -> Outcome:
    """Do one part. Whatever goes wrong is told, and nothing of the part stays. Blocks."""
    place = work.input.below(part.source.name)
    try:
        answerer = _answerer(work)
    except Exception as error:
        return Failed(part.name, words_of(error), ends=True)
    try:
        return _score(work, part, place, answerer, tell)
    except _TooManyFaulty as error:
        return Failed(part.name, str(error), faulty=True)
    except ModelStoreError as error:
        return Failed(part.name, error.told)
    except Exception as error:
        told = f"{place}: {words_of(error)}"
        full = isinstance(error, OSError) and error.errno in _FULL
        return Failed(part.name, told, ends=full or is_out_of_memory(error))


@lru_cache(maxsize=1)
def _answerer(work: Work) -> Answerer:
    """The model of a run, which is loaded once in each process."""
    return Answerer(work.bundle.load(), explained=work.explained)


def _score(work: Work, part: Part, place: Place, answerer: Answerer, tell: Tell) -> Done:
    _require_same(place, part.source.stat)
    signature = answerer.model.manifest.signature
    wanted = {*work.kept, *signature.names}
    rules = rules_of(part.source)
    added = added_fields(work.kept, answerer.model.manifest, explained=work.explained)
    rows = faulty = 0
    output = work.output.below(part.name)
    with output.written(work.run) as temporary:
        with _writer(temporary, part.name, work) as writer:
            for batch in batches(place, part, sorted(wanted)):
                answers = answerer.answer_sound(
                    given(batch, part, signature), batch.rows, batch.faults, rules
                )
                faulty += len(answers.errors)
                if work.most is not None and faulty > work.most:
                    raise _TooManyFaulty(_first_faulty(place, part.before + rows, answers))
                writer.write(_record_batch(batch, answers, work, added))
                rows += batch.rows
                tell(batch.rows)
            writer.add({DIGEST: work.digest, FAULTY: str(faulty)})
        _require_same(place, part.source.stat)
        if part.rows is not None and rows != part.rows:
            raise InvalidTable(f"{place} has {rows} rows where its footer tells {part.rows}.")
        _require_current(work)
    return Done(part.name, rows, faulty)


def _require_same(place: Place, stat: Stat) -> None:
    """Raises InvalidTable where a file is not what it was when the run was planned."""
    if place.stat() != stat:
        raise InvalidTable(
            f"{place} has changed since the run was planned; begin again with --overwrite."
        )


def _require_current(work: Work) -> None:
    """Raises InvalidTable where another run was begun in the output's folder, of which a worker
    that has outlived its driver knows nothing."""
    try:
        current = work.output.below(RECORD).stat() == work.record
    except OSError:
        current = False
    if not current:
        raise InvalidTable(f"{work.output} is another run's by now.")


def _first_faulty(place: Place, before: int, answers: Answers) -> str:
    row = min(answers.errors)
    return f"Row {before + row} of {place} (counted from 0): {answers.errors[row]}"


def _record_batch(batch: Batch, answers: Answers, work: Work, added: list[Any]) -> Any:
    import pyarrow

    arrays = []
    for name, field in zip(work.kept, work.schema, strict=False):
        found = batch.columns.get(name)
        if found is None:
            found = pyarrow.nulls(batch.rows, field.type)
        elif found.type != field.type:
            found = found.cast(field.type)
        arrays.append(found)
    return pyarrow.record_batch([*arrays, *answers.arrays(added)], schema=work.schema)


# Writing -------------------------------------------------------------------------


class _Parquet:
    """Writes Parquet: by dictionaries what is no float and repeats itself in the first rows, all
    else as it is, for which a dictionary costs more than the rest of writing."""

    def __init__(self, path: str, schema: Any) -> None:
        self._path = path
        self._schema = schema
        self._writer: Any = None

    def write(self, batch: Any) -> None:
        if self._writer is None:
            coded = [field.name for field in self._schema if _repeats(batch.column(field.name))]
            self._writer = self._begun(coded)
        self._writer.write_batch(batch)

    def add(self, told: dict[bytes, str]) -> None:
        if self._writer is None:  # there was no batch
            self._writer = self._begun([])
        self._writer.add_key_value_metadata({key.decode(): text for key, text in told.items()})

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _begun(self, coded: list[str]) -> Any:
        from pyarrow import parquet

        return parquet.ParquetWriter(self._path, self._schema, use_dictionary=coded)


def _repeats(column: Any) -> bool:
    import pyarrow
    from pyarrow import types

    if types.is_floating(column.type):
        return False
    some = column.slice(0, LOOKED_AT)
    try:
        return len(some.unique()) <= len(some) * 3 / 4
    except pyarrow.ArrowNotImplementedError:  # lists and structs, which have none
        return False


class _Csv:
    """Writes CSV, with quotes round texts and empty cells for what is missing."""

    def __init__(self, path: str, schema: Any) -> None:
        from pyarrow import csv

        self._writer = csv.CSVWriter(path, schema)

    def write(self, batch: Any) -> None:
        self._writer.write_batch(batch)

    def add(self, told: dict[bytes, str]) -> None:
        pass

    def close(self) -> None:
        self._writer.close()


@contextmanager
def _writer(path: str, name: str, work: Work) -> Iterator[_Parquet | _Csv]:
    writer = (_Csv if name.endswith(".csv") else _Parquet)(path, work.schema)
    try:
        yield writer
    finally:
        writer.close()


# What is there already -----------------------------------------------------------


def written_part(output: Place, part: Part, digest: str, schema: Any) -> Done | None:
    """A part that an earlier attempt of this run has written; None where it is to be done."""
    import pyarrow

    place = output.below(part.name)
    try:
        if part.name.endswith(".csv"):
            return _written_csv(place, part, schema)
        return _written_parquet(place, part, digest)
    except (OSError, pyarrow.ArrowException, ValueError):
        return None


def _written_parquet(place: Place, part: Part, digest: str) -> Done | None:
    from pyarrow import parquet

    with place.open() as file:
        footer = parquet.read_metadata(file)
    told = footer.metadata or {}
    if told.get(DIGEST) != digest.encode() or part.rows not in (None, footer.num_rows):
        return None
    return Done(part.name, footer.num_rows, int(told[FAULTY]))


def _written_csv(place: Place, part: Part, schema: Any) -> Done | None:
    """CSV has no place for what it is a part of; it has its place at all when it was whole."""
    from pyarrow import csv

    names: Sequence[str] = schema.names
    rows = faulty = 0
    with (
        place.stream() as stream,
        csv.open_csv(
            stream,
            csv.ReadOptions(use_threads=False),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                include_columns=[names[-1]],
                column_types={names[-1]: "string"},
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=False,
            ),
        ) as reader,
    ):
        for batch in reader:
            rows += batch.num_rows
            faulty += batch.num_rows - batch.column(0).null_count
    return Done(part.name, rows, faulty) if part.rows in (None, rows) else None

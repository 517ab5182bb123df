"""The rows of a sample: which of its columns a pipeline takes, and what it says of the targets.

A sample is a CSV file, whose columns are texts, or a Parquet or Feather file, whose columns have
types. What neither tells of a column is found out by asking the pipeline.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from . import frames
from .agreement import Truth
from .arrow_files import ArrowFile, kind_of
from .column_facts import NULLS, JSONLabel, Null
from .column_types import TYPES, ColumnType
from .errors import InvalidPipeline, LoadFailed
from .labels import json_labels, labels_of
from .literals import NAMES_SHOWN, iso, parse_number, told_category
from .questions import Cells, Reading
from .reading_choice import choose
from .readings import KnownValues, readings
from .signature import Container
from .structure import Hint, Structure
from .tables import INDEX, Table, same_name
from .task import SUPERVISED, classes_of, last_of, task_of
from .task import told as answers_of
from .text_rules import MISSING_WORDS
from .training import Feature, Training, objects
from .typed_columns import typed_readings

MOST_ROWS: Final = 100_000
ASKED: Final = 50
"""So many rows are asked whether a pipeline takes a DataFrame."""
UNLABELLED: Final = -1
"""The label of a row that has none, to scikit-learn's semi-supervised classifiers."""


@dataclass(frozen=True, slots=True)
class SampleFile:
    """The columns of a file by name: texts, or with types. Those of an array have their names by
    their places alone. One that `may_have_more` has columns that no pipeline takes, such as what is
    predicted, where nobody is there to name them."""

    path: str
    columns: Mapping[str, Sequence[str] | Feature]
    is_array: bool = False
    may_have_more: bool = False

    @classmethod
    def read(cls, path: str) -> SampleFile:
        """The first MOST_ROWS of a file.

        Raises:
            InvalidTable: it is no such file; a line of CSV is named.
        """
        if kind_of(Path(path)) is None:
            return cls(path, Table.read(Path(path), max_rows=MOST_ROWS).columns)
        file = ArrowFile.read(Path(path), max_rows=MOST_ROWS)
        if not frames.is_installed():
            columns = {name: _feature(name, array) for name, array in file.arrays().items()}
            return cls(path, columns)
        frame = file.frame()
        frame.columns = [str(name) for name in frame.columns]
        notes, features = file.notes(), Training.of(frame).features
        return cls(path, {each.name: _as_written(each, notes) for each in features})

    def named(self, name: str) -> str | None:
        """The column of this name, or else the one that has it but for spaces around and case."""
        return same_name(self.columns, name)

    @property
    def has_types(self) -> bool:
        """Whether the columns have types."""
        return any(isinstance(column, Feature) for column in self.columns.values())

    @property
    def names(self) -> str:
        """The names of all columns, in a sentence."""
        return ", ".join(self.columns)


def _feature(name: str, array: NDArray[Any]) -> Feature:
    return Feature(name, array, "object" if array.dtype.kind == "O" else array.dtype.name)


def _as_written(feature: Feature, notes: Mapping[str, object]) -> Feature:
    """A column, of the dtype `text` where pandas alone makes its own of what another wrote."""
    own = feature.dtype == "str" and feature.name not in notes
    return replace(feature, dtype="text") if own else feature


@dataclass(frozen=True, slots=True)
class SampleRows:
    """A sample as a pipeline takes it: `training` are its inputs, `truth` is what it should tell of
    them, if the sample says that. `notes` are sentences on how the rows were read."""

    training: Training
    truth: Truth | None
    notes: tuple[str, ...]


def read_sample(
    pipeline: Any,
    structure: Structure,
    file: str | SampleFile,
    targets: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    missing: Mapping[str, str] | None = None,
    dropped: Sequence[str] = (),
) -> SampleRows:
    """Rows that a pipeline was trained on, out of a file or its path. `targets` are the columns
    that it tells; `types` are those that a person says the others had, and `missing` the missing
    values; `dropped` are columns that it does not take. Blocks.

    Raises:
        InvalidTable: it is no file of rows.
        InvalidPipeline: its columns are not the pipeline's, a cell is not what it should be, or
            nothing tells how a column is to be read.
        LoadFailed: the pipeline needs a DataFrame, and pandas is not installed.
    """
    file = SampleFile.read(file) if isinstance(file, str) else file
    told = _named(file, targets)
    inputs, notes = _inputs(file, structure, set(told.values()), _named(file, dropped).values())
    said = {
        name: TYPES[kind] for name, kind in _said(file, inputs, "type", types or {}, TYPES).items()
    }
    nulls = _nulls(file, inputs, missing or {})
    if told and task_of(pipeline) not in SUPERVISED:
        passed = ", ".join(told)
        notes.append(f"{passed}: not compared, as the pipeline was not fitted to tell it")
    truth = _truth(pipeline, {name: file.columns[column] for name, column in told.items()})
    hints = structure.hints or [Hint() for _ in inputs]
    containers = _containers(structure, file)
    columns = [
        _column(name, file.columns[column], hint, said.get(name), nulls.get(name))
        for (name, column), hint in zip(inputs.items(), hints, strict=True)
    ]
    cells = Cells({name: cells for name, (cells, _) in zip(inputs, columns, strict=True)})
    possible = [found for _, found in columns]
    with warnings.catch_warnings():
        # What a pipeline says of a reading that it was not trained on is nobody's concern.
        warnings.simplefilter("ignore")
        read = _of_types if file.has_types else _of_texts
        training, decided = read(pipeline, cells, possible, containers, truth)
    return SampleRows(training, truth, (*notes, *decided))


def _containers(structure: Structure, file: SampleFile) -> list[Container]:
    """What the pipeline may have been trained on, the plainest first: not every step remembers
    that it was a DataFrame."""
    if structure.texts:
        return ["texts"]
    if structure.names is not None:
        return ["frame"]
    return ["matrix", "frame"] if frames.is_installed() and not file.is_array else ["matrix"]


# Columns -------------------------------------------------------------------------


def _named(file: SampleFile, names: Sequence[str]) -> dict[str, str]:
    """The columns of the file that a person named, by these names."""
    found = {}
    for name in names:
        column = file.named(name)
        if column is None:
            raise InvalidPipeline(f"{file.path} has no column {name!r}; it has {file.names}.")
        found[name] = column
    return found


def _inputs(
    file: SampleFile, structure: Structure, targets: set[str], dropped: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """The columns that the pipeline takes, by its names and in its order, and what to know.

    Raises:
        InvalidPipeline: they are others, or more, or fewer.
    """
    rest = [name for name in file.columns if name not in targets and name not in dropped]
    notes = []
    if INDEX in rest and not _knows_index(structure, len(rest)):
        rest.remove(INDEX)
        notes.append(_index_passed_over(file, structure, len(rest)))
    if structure.names is None or file.is_array:
        _require_count(file, structure, rest, aimed=bool(targets))
        names: Sequence[str] | None = ["text"] if structure.texts else structure.names
        names = names if file.is_array else None
        return dict(zip(names or [name.strip() for name in rest], rest, strict=True)), notes
    spelled = structure.spelled(file.columns)
    found = {name: file.named(spelled.get(name, name)) for name in structure.names}
    lacking = [name for name, column in found.items() if column is None]
    if lacking:
        raise InvalidPipeline(
            f"{file.path} lacks the columns {', '.join(lacking)}; it has {', '.join(rest)}."
        )
    strange = [name for name in rest if name not in found.values()]
    if strange and file.may_have_more:
        notes.append(f"{', '.join(strange)}: not used, since the pipeline does not know them")
    elif strange:
        raise InvalidPipeline(
            f"{file.path} has columns that the pipeline does not know: {', '.join(strange)}; "
            f"{_ways_out(strange, aimed=bool(targets))}."
        )
    return {name: column for name, column in found.items() if column is not None}, notes


def _require_count(
    file: SampleFile, structure: Structure, rest: Sequence[str], *, aimed: bool
) -> None:
    count = len(structure.hints)
    if count in {0, len(rest)} and rest:
        return
    # An id is another in each row.
    odd = [name for name in rest if _is_id(file.columns[name])]
    ways = _ways_out(odd if len(odd) == len(rest) - count else [], aimed=aimed)
    raise InvalidPipeline(
        f"The pipeline takes {count} columns, and {file.path} has {len(rest)}: "
        f"{', '.join(rest)}; {ways}."
    )


def _ways_out(strange: Sequence[str], *, aimed: bool) -> str:
    """What to type where a sample has columns that a pipeline does not take: `strange` ones, or any
    where none is named. With `aimed` one is known that it tells."""
    each = [f"--drop {shlex.quote(name)}" for name in strange[:NAMES_SHOWN]] or ["--drop COLUMN"]
    leave = f"leave out what it does not take with {' '.join(each)}"
    if aimed:
        return leave
    told = shlex.quote(strange[-1]) if len(strange) == 1 else "COLUMN"
    return f"name what the pipeline tells with --target {told}, or {leave}"


def _is_id(column: Sequence[str] | Feature) -> bool:
    """Whether each row has another value that is no fraction."""
    values = column.values.tolist() if isinstance(column, Feature) else list(column)
    whole = not any(isinstance(value, float) or "." in str(value) for value in values)
    return whole and len(set(map(str, values))) == len(values)


def _knows_index(structure: Structure, count: int) -> bool:
    """Whether the pipeline takes a column that has no name in the file."""
    return INDEX in structure.names if structure.names else len(structure.hints) == count


def _index_passed_over(file: SampleFile, structure: Structure, others: int) -> str:
    """A sentence on a first column without a name, which pandas writes of its index: of rows that
    were shuffled or chosen too, where the pipeline takes the `others` and no more.

    Raises:
        InvalidPipeline: it does not tell one row from another, so it may be more than that.
    """
    cells = file.columns[INDEX]
    given = list(cells.values) if isinstance(cells, Feature) else list(cells)
    if not isinstance(cells, Feature) and given == [str(i) for i in range(len(given))]:
        return "The first column, which has no name and counts the rows, is passed over."
    takes_no_more = bool(structure.names) or len(structure.hints) == others
    if takes_no_more and len(set(given)) == len(given):
        return (
            "The first column, which has no name and another value in each row, as pandas writes "
            "its index, is passed over."
        )
    raise InvalidPipeline(
        f"{file.path} has a first column without a name, which pandas writes of its index; "
        "leave it out (index=False), or give it the name that the pipeline knows."
    )


def _said(
    file: SampleFile,
    inputs: Mapping[str, str],
    option: str,
    words: Mapping[str, str],
    known: Iterable[str],
) -> dict[str, str]:
    """What an option says of the inputs, by their names.

    Raises:
        InvalidPipeline: there is no such input, or the word for it is not known.
    """
    names = {column: name for name, column in inputs.items()}
    found = {}
    for name, word in words.items():
        column = file.named(name)
        if column not in names:
            raise InvalidPipeline(
                f"--{option} {name}={word}: the pipeline takes no column {name!r} of the sample; "
                f"it takes {', '.join(inputs)}."
            )
        if word not in known:
            raise InvalidPipeline(
                f"--{option} {name}={word}: expected one of {', '.join(known)}, got {word!r}."
            )
        found[names[column]] = word
    return found


def _nulls(
    file: SampleFile, inputs: Mapping[str, str], missing: Mapping[str, str]
) -> dict[str, Null]:
    """The missing values that are said of the inputs, by their names."""
    words = _said(file, inputs, "missing", missing, NULLS)
    return {name: cast(Null, word) for name, word in words.items()}


# Cells ---------------------------------------------------------------------------


def _column(
    name: str,
    cells: Sequence[str] | Feature,
    hint: Hint,
    said: ColumnType | None,
    null: Null | None,
) -> tuple[NDArray[Any], Sequence[Reading]]:
    """The cells of a column, and how they may be read. What is said of one with types goes before
    these, and it is read as the texts that a CSV file has."""
    if isinstance(cells, Feature) and said is None:
        return cells.values, typed_readings(replace(cells, name=name), hint, null)
    texts = _texts(cells)
    return objects(texts), readings(name, texts, hint, said, null)


def _texts(cells: Sequence[str] | Feature) -> Sequence[str]:
    if not isinstance(cells, Feature):
        return cells
    return [_text(value) for value in cells.values.tolist()]


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return iso(value) if hasattr(value, "isoformat") else str(value)


def _of_texts(
    pipeline: Any,
    cells: Cells,
    readings: Sequence[Sequence[Reading]],
    containers: Sequence[Container],
    truth: Truth | None,
) -> tuple[Training, list[str]]:
    """As what the pipeline was trained on, which it is asked; and what was decided."""
    state, decided = choose(pipeline, cells, readings, containers, truth)
    return cells.read(state), decided


def _of_types(
    pipeline: Any,
    cells: Cells,
    readings: Sequence[Sequence[Reading]],
    containers: Sequence[Container],
    truth: Truth | None,
) -> tuple[Training, list[str]]:
    """As a DataFrame, which is what a file with types gives, unless the pipeline takes but an
    array; and what was decided."""
    for container in reversed(containers):
        state, decided = choose(pipeline, cells, readings, [container], truth)
        training = cells.read(state)
        if container == containers[0] or _takes(pipeline, training):
            return training, decided
    raise AssertionError("the last container is taken as it is")


def _takes(pipeline: Any, training: Training) -> bool:
    try:
        answers_of(pipeline, training.take(range(min(len(training), ASKED))))
    except (LoadFailed, MemoryError):
        raise
    except Exception:
        return False
    return True


# Targets -------------------------------------------------------------------------


def _truth(pipeline: Any, targets: Mapping[str, Sequence[str] | Feature]) -> Truth | None:
    """What the sample says the pipeline should tell."""
    if not targets or task_of(pipeline) not in SUPERVISED:
        return None
    known = classes_of(pipeline)
    tables: list[list[JSONLabel] | None]
    if isinstance(known, list):
        tables = [json_labels(labels_of(each)) for each in known]
    elif known is not None and len(targets) > 1:
        # Each class is a target of its own, which applies or does not.
        tables = [[0, 1] for _ in targets]
    else:
        tables = [None if known is None else json_labels(labels_of(known)) for _ in targets]
    columns = []
    unlabelled = _knows_unlabelled(pipeline)
    for (name, cells), classes in zip(targets.items(), tables, strict=False):
        values = cells.values.tolist() if isinstance(cells, Feature) else cells
        if unlabelled and UNLABELLED not in (classes or ()):
            values = [None if _number(value) == UNLABELLED else value for value in values]
        columns.append(
            _numbers(name, values) if classes is None else _labels(name, values, classes)
        )
    return Truth(tuple(columns), tuple(tables[: len(columns)]))


def _knows_unlabelled(pipeline: Any) -> bool:
    """Whether it learns of rows without a label as well."""
    return type(last_of(pipeline)).__module__.startswith("sklearn.semi_supervised.")


def _labels(name: str, values: Sequence[Any], classes: Sequence[JSONLabel]) -> NDArray[Any]:
    known = KnownValues(classes)
    shown = ", ".join(map(told_category, classes[:NAMES_SHOWN]))
    more = f" and {len(classes) - NAMES_SHOWN} more" if len(classes) > NAMES_SHOWN else ""
    return objects(_read_all(name, values, known.find, f"one of {shown}{more}"))


def _numbers(name: str, values: Sequence[Any]) -> NDArray[Any]:
    found = _read_all(name, values, _number, "a number")
    return np.array([np.nan if each is None else each for each in found], dtype=np.float64)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return parse_number(value.strip())
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _read_all(
    name: str, values: Sequence[Any], read: Callable[[Any], Any], expected: str
) -> list[Any]:
    """What each value stands for, None where it is missing.

    Raises:
        InvalidPipeline: a value stands for nothing; the first is named.
    """
    distinct: dict[Any, Any] = {}
    found, odd = [], []
    for row, value in enumerate(values):
        key = (type(value), value)
        if key not in distinct:
            distinct[key] = read(value)
        found.append(distinct[key])
        if distinct[key] is None and not _is_missing(value):
            odd.append(row)
    if odd:
        more = f"; so are {len(odd) - 1} more rows" if len(odd) > 1 else ""
        got = f"got {values[odd[0]]!r}{more}."
        raise InvalidPipeline(f"Row {odd[0]} of the sample: {name}: expected {expected}, {got}")
    return found


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in MISSING_WORDS
    return bool(value is None or value != value)

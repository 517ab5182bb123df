"""Rows that a pipeline was trained on, or a sample of them, column by column; and what they tell.

They come as a numpy array, a DataFrame or a list of texts; or as columns, of which one of these is
made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from . import frames
from .column_facts import NULLS, JSONLabel, Null, null_of, plain_label
from .column_types import BOOLEAN, CATEGORY, TYPES, ColumnType
from .column_types.base import most_exact
from .columns import Column
from .errors import InvalidPipeline
from .literals import NAMES_SHOWN, shown_value
from .signature import Container
from .structure import Hint
from .values import python_value

MOST_CELLS: Final = 20_000_000
"""Of a sparse matrix."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the data: `values` of shape (rows,), and the dtype that it came with.

    Texts, dates and mixtures are an array of objects, with NaN or None for what is missing, which
    was the missing value `null`. `categories` are those that its dtype has, perhaps `ordered`.
    `kind` is what a person said that it is.
    """

    name: str
    values: NDArray[Any]
    dtype: str
    categories: tuple[Any, ...] | None = None
    ordered: bool = False
    null: Null | None = None
    kind: ColumnType | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """The rows. `original` is what they were given as, `dtype` that of the matrix they make."""

    features: tuple[Feature, ...]
    dtype: str
    container: Container
    original: Any

    def __len__(self) -> int:
        return len(self.features[0].values)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @classmethod
    def of(cls, X: Any, names: Sequence[str] | None = None) -> Training:
        """Training data of shape (rows, columns), or (rows,) of texts.

        Names are those given, else the columns of a DataFrame, else x0, x1, …, else `text`.

        Raises:
            InvalidPipeline: another shape, or a column whose values are of no kind that is known.
        """
        if hasattr(X, "dtypes") and hasattr(X, "columns"):
            found = _of_frame(X, names)
        else:
            array = _array(X)
            found = _of_texts(array, X, names) if array.ndim == 1 else _of_matrix(array, X, names)
        if not len(found):
            raise InvalidPipeline("There are no rows in the training data.")
        return found

    @classmethod
    def of_features(cls, features: Sequence[Feature], container: Container) -> Training:
        """Columns as the one value that a pipeline is given. The dtype `text` is what texts have
        there.

        Raises:
            InvalidPipeline: a column's values are of no kind that is known.
            LoadFailed: it is to be a DataFrame, and pandas is not installed.
        """
        names = [feature.name for feature in features]
        if container == "texts":
            (feature,) = features
            found = _of_texts(feature.values, feature.values.tolist(), names)
        elif container == "frame":
            columns = [
                frames.FrameColumn(
                    each.name, each.values, each.dtype, each.categories, each.ordered, each.null
                )
                for each in features
            ]
            found = _of_frame(frames.made_of(columns), None)
        else:
            found = _of_matrix(_matrix(features), None, names)
            if found.dtype != "object":
                # In a matrix of floats, integers stay what they were by themselves.
                found = replace(found, features=tuple(features))
        said = zip(found.features, features, strict=True)
        kept = tuple(replace(feature, kind=given.kind) for feature, given in said)
        return replace(found, features=kept)

    def typed(self, types: Mapping[str, str], missing: Mapping[str, str] | None = None) -> Training:
        """The same with what a person says that columns are, and which missing value they had.

        Raises:
            InvalidPipeline: there is no such column, no such type or no such missing value.
        """
        nulls = missing or {}
        for option, words, known in (("types", types, TYPES), ("missing", nulls, NULLS)):
            for name, word in words.items():
                if name not in self.names:
                    shown = ", ".join(self.names[:NAMES_SHOWN])
                    raise InvalidPipeline(
                        f"{option}: there is no column {name!r} in X; it has {shown}."
                    )
                if word not in known:
                    raise InvalidPipeline(
                        f"{option}: {name}: expected one of {', '.join(known)}, got {word!r}."
                    )
        features = (
            replace(
                each,
                kind=TYPES[types[each.name]] if each.name in types else each.kind,
                null=cast(Null, nulls[each.name]) if each.name in nulls else each.null,
            )
            for each in self.features
        )
        return replace(self, features=tuple(features))

    def take(self, rows: Sequence[int]) -> Any:
        """These rows as they were given; None where they came as text."""
        if hasattr(self.original, "iloc"):
            return self.original.iloc[list(rows)]
        if self.original is None:
            return None
        if isinstance(self.original, np.ndarray) or frames.is_sparse(self.original):
            return self.original[list(rows)]
        return [self.original[row] for row in rows]

    def columns(self, hints: Sequence[Hint]) -> tuple[Column, ...]:
        """What the columns are, with what the pipeline tells of them, if anything."""
        known = hints if len(hints) == len(self.features) else [Hint()] * len(self.features)
        return tuple(
            _described(feature, hint) for feature, hint in zip(self.features, known, strict=True)
        )


def missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of the values are missing: NaN, NaT or None."""
    if values.dtype.kind in "iub":
        return np.zeros(len(values), dtype=bool)
    if values.dtype.kind == "O":
        return np.array([value is None or value != value for value in values], dtype=bool)
    odd: NDArray[np.bool_] = values != values
    return odd


# From what was given -------------------------------------------------------------


def _array(X: Any) -> NDArray[Any]:
    if frames.is_sparse(X):
        return _dense(X)
    try:
        array = np.asarray(X)
    except ValueError:
        raise InvalidPipeline(f"Training data is a table: {_uneven(X)}.") from None
    if array.ndim == 0:
        raise InvalidPipeline(
            f"Training data is an array of the shape (rows, columns), a DataFrame of pandas or a "
            f"list of texts, got a {type(X).__name__}."
        )
    if array.ndim > 2 or 0 in array.shape:
        raise InvalidPipeline(
            f"Training data needs the shape (rows, columns), got {tuple(array.shape)}."
        )
    if array.dtype.names:
        raise InvalidPipeline(
            f"The training data is an array of records with the fields "
            f"{', '.join(array.dtype.names)}; give a DataFrame of it."
        )
    return array


def _uneven(X: Any) -> str:
    """Which of the rows has another length than the first."""
    try:
        lengths = [len(row) for row in X]
    except TypeError:
        return "each of its rows needs as many values as it has columns"
    row = next((row for row, length in enumerate(lengths) if length != lengths[0]), None)
    if row is None:
        return "a value of it is a list or an array itself"
    return f"row 0 has {lengths[0]} values, and row {row} has {lengths[row]}"


def _dense(X: Any) -> NDArray[Any]:
    """A sparse matrix as a matrix: each of its columns is a value that a client sends."""
    cells = int(np.prod(X.shape))
    if cells > MOST_CELLS:
        raise InvalidPipeline(
            f"Sparse training data of the shape {X.shape} would have {cells} values, and at most "
            f"{MOST_CELLS} are taken; put what makes it sparse, such as a vectorizer, into the "
            "pipeline, and give what that takes."
        )
    dense: NDArray[Any] = np.asarray(X.toarray())
    return dense


def _of_frame(frame: Any, names: Sequence[str] | None) -> Training:
    found = frames.columns_of(frame)
    if not found:
        raise InvalidPipeline("The training data has no columns.")
    chosen = _names(names, [column.name for column in found])
    features = tuple(Feature(name, *column[1:]) for name, column in zip(chosen, found, strict=True))
    return Training(features, _matrix_dtype([each.values for each in features]), "frame", frame)


def _matrix_dtype(columns: Sequence[NDArray[Any]]) -> str:
    """That of the matrix that numeric columns make together, if it holds each of them as it is."""
    kinds = {column.dtype for column in columns}
    if any(kind.kind not in "iuf" for kind in kinds):
        return "bool" if kinds == {np.dtype(bool)} else "object"
    together = np.result_type(*kinds)
    found = "int64"
    if together.kind == "f" or len({kind.kind for kind in kinds}) > 1:
        found = "float32" if together == np.float32 else "float64"
    exact = (_holds(np.dtype(found), column) for column in columns if column.dtype.kind in "iu")
    return found if all(exact) else "object"


def _holds(dtype: np.dtype[Any], integers: NDArray[Any]) -> bool:
    """Whether a matrix of this dtype holds the integers as they are."""
    most = most_exact(dtype) if dtype.kind == "f" else np.iinfo(dtype).max
    least = -most if dtype.kind == "f" else np.iinfo(dtype).min
    return not len(integers) or bool(least <= integers.min() and integers.max() <= most)


def _of_texts(array: NDArray[Any], X: Any, names: Sequence[str] | None) -> Training:
    values = array.astype(object)
    odd = next((row for row, value in enumerate(values) if not isinstance(value, str)), None)
    if odd is not None:
        raise InvalidPipeline(
            f"Training data needs the shape (rows, columns), got {tuple(array.shape)}; only texts "
            f"may come as a list, and row {odd} is {shown_value(values[odd])}."
        )
    (name,) = _names(names, ["text"])
    dtype = str(X.dtype) if frames.is_series(X) else "object"
    return Training((Feature(name, values, dtype),), "object", "texts", X)


def _of_matrix(array: NDArray[Any], X: Any, names: Sequence[str] | None) -> Training:
    chosen = _names(names, [f"x{i}" for i in range(array.shape[1])])
    kind = array.dtype.kind
    if kind not in "iufbMOU":
        raise InvalidPipeline(
            f"Training data must be numbers, texts, booleans or dates, got the dtype {array.dtype}."
        )
    given = X.tocsr() if frames.is_sparse(X) else array if X is None else np.asarray(X)
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    if kind in "OU":
        array = array.astype(object)
    dtype = _matrix_dtype(list(array.T)) if kind in "iuf" else array.dtype.name
    features = tuple(
        Feature(name, values, array.dtype.name, null=null_of(values) if kind == "O" else None)
        for name, values in zip(chosen, array.T, strict=True)
    )
    return Training(features, dtype, "matrix", given)


def _matrix(features: Sequence[Feature]) -> NDArray[Any]:
    """Columns side by side: in the dtype that numbers have in common, or as objects."""
    columns = [feature.values for feature in features]
    kinds = {column.dtype.kind for column in columns}
    if kinds <= set("iuf") or kinds == {"b"}:
        return np.column_stack(columns)
    matrix = np.empty((len(columns[0]), len(columns)), dtype=object)
    for i, column in enumerate(columns):
        matrix[:, i] = objects(column.tolist())
    return matrix


def _names(given: Sequence[str] | None, found: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(str(name) for name in (found if given is None else given))
    if len(chosen) != len(found):
        raise InvalidPipeline(f"There are {len(found)} columns, but {len(chosen)} names for them.")
    odd = [name for name in chosen if not name or _CONTROL.search(name)]
    if odd:
        raise InvalidPipeline(
            f"A column's name needs text without control characters, got {odd[0]!r}: a form could "
            "not send it."
        )
    if len(set(chosen)) != len(chosen):
        twice = sorted({name for name in chosen if chosen.count(name) > 1})
        raise InvalidPipeline(f"Column names must differ; more than once: {', '.join(twice)}.")
    return chosen


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """Values as an array of objects, whatever they are."""
    cells = np.empty(len(values), dtype=object)
    cells[:] = values
    return cells


# What a column is ----------------------------------------------------------------


def _without_numpy(values: NDArray[Any]) -> NDArray[Any]:
    """Objects of which those that are numpy's scalars are Python's own, as a client sends them."""
    if values.dtype.kind != "O" or not any(isinstance(value, np.generic) for value in values):
        return values
    return objects(
        [python_value(each) if isinstance(each, np.generic) else each for each in values]
    )


def _described(feature: Feature, hint: Hint) -> Column:
    """What the column is.

    Raises:
        InvalidPipeline: it is none that a client could send values of.
    """
    try:
        return _describe(feature, hint)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidPipeline(
            f"The values of the column {feature.name} do not go together, as times with a zone and "
            f"without do not: {type(error).__name__}: {error}; make them of one kind."
        ) from error


def _describe(feature: Feature, hint: Hint) -> Column:
    present = _without_numpy(feature.values[~missing(feature.values)])
    kind = _kind(feature, present, hint)
    learned = kind.learn(present, feature.dtype, _categories(feature, hint))
    facts: dict[str, Any] = {"dtype": hint.dtype or feature.dtype} | learned
    if null := hint.null or feature.null:
        facts["null"] = null
    if hint.null == "none" and facts["dtype"] == "str":
        facts["dtype"] = "object"  # No column of texts of pandas holds None.
    # Only an encoder, or pandas's own categories, vouch for a list.
    vouched = hint.categories is not None or feature.categories is not None
    return Column(
        name=feature.name,
        type=kind.name,
        open=kind is CATEGORY and not vouched,
        ordered=feature.ordered,
        **facts,
    )


def _kind(feature: Feature, present: NDArray[Any], hint: Hint) -> ColumnType:
    if feature.kind is not None:
        return feature.kind
    if feature.categories is not None:
        return CATEGORY
    if BOOLEAN.recognizes(present):
        return BOOLEAN  # an encoder may have made numbers of truths
    if hint.kind is not None and hint.kind is not BOOLEAN:
        return hint.kind
    for kind in TYPES.values():
        if kind.recognizes(present):
            return kind
    raise InvalidPipeline(
        f"The column {feature.name} holds values of several kinds, or of one that is not known: "
        f"{_examples(feature)}; make them texts, numbers, booleans or dates."
    )


def _examples(feature: Feature) -> str:
    """The types of the values of a column, each with the first of them."""
    found: dict[str, str] = {}
    null = missing(feature.values)
    for row, value in enumerate(feature.values.tolist()):
        name = type(value).__name__
        if not null[row] and name not in found:
            found[name] = f"{name} (row {row}: {shown_value(value)})"
    return ", ".join(found[name] for name in sorted(found))


def _categories(feature: Feature, hint: Hint) -> tuple[JSONLabel, ...] | None:
    """The categories that are known of a column, if there are such."""
    known = feature.categories or hint.categories
    if known is None:
        return None
    if feature.dtype == "category":
        # pandas holds what it is served with as floats of 64 bits, and compares all of them.
        known = tuple(each.item() if isinstance(each, np.floating) else each for each in known)
    plain = [plain_label(value, feature.dtype) for value in known]
    odd = [value for value in plain if not isinstance(value, str | int | float)]
    if odd:
        raise InvalidPipeline(
            f"A category of {feature.name} must be a text or a number, got {odd[0]!r}."
        )
    return tuple(plain)

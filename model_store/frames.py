"""What a pipeline was fitted on, made of the matrix of a batch; and pandas, where that is needed.

A pipeline that was fitted on a DataFrame looks its columns up by name, or warns when it gets a bare
matrix. A column gets the dtype that it had in training. What that dtype does not hold is held as
pandas itself would: a larger integer in a wider dtype, integers with a missing value or a fraction
among them as floats, booleans with a missing value as objects. So the dtype of a column may depend
on all of its rows; `parts` says which rows are to be asked apart because of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .column_facts import Null, null_of
from .columns import Column
from .errors import LoadFailed
from .signature import Matrix, Signature
from .values import Positions

EXACT: Final = 2**53
"""Up to it all integers are floats of 64 bits."""
OF_OBJECTS: Final = frozenset({"object", "date", "datetime"})
"""How columns of objects are called."""


def was_fitted_on_frame(pipeline: Any) -> bool:
    """Whether the pipeline remembers column names, which it does only of a DataFrame."""
    return getattr(pipeline, "feature_names_in_", None) is not None


def as_fitted(matrix: Matrix, signature: Signature) -> Any:
    """Rows as the pipeline knows them: an array, a DataFrame, a sparse matrix, or an array or a
    Series of texts.

    Raises:
        LoadFailed: pandas is needed and not installed.
    """
    if signature.container == "matrix":
        return _as_array(matrix, signature)
    if signature.container == "texts":
        return matrix[:, 0]
    if signature.container == "sparse":
        return _sparse(_as_array(matrix, signature))
    frame = from_matrix(matrix, signature)
    return frame.iloc[:, 0] if signature.container == "series" else frame


def _sparse(matrix: Matrix) -> Any:
    from scipy.sparse import csr_matrix

    # It holds no objects, so that beside a fraction any integer is a float.
    return csr_matrix(matrix.astype(np.float64) if matrix.dtype.kind == "O" else matrix)


def is_sparse(rows: Any) -> bool:
    """Whether these are a sparse matrix or array of scipy."""
    return hasattr(rows, "tocsr") and hasattr(rows, "toarray")


def is_frame(rows: Any) -> bool:
    """Whether these are a DataFrame of pandas."""
    return hasattr(rows, "iloc") and hasattr(rows, "columns")


def beside(first: Any, second: Any, count: int) -> Any:
    """A DataFrame with so many columns of the first, and the others of the second, whose names all
    of them have."""
    import pandas

    columns = [
        (first if place < count else second).iloc[:, place].reset_index(drop=True)
        for place in range(second.shape[1])
    ]
    return pandas.concat(columns, axis=1).set_axis(second.columns, axis="columns")


def is_series(rows: Any) -> bool:
    """Whether these are a Series of pandas."""
    return hasattr(rows, "iloc") and not hasattr(rows, "columns")


def _as_array(matrix: Matrix, signature: Signature) -> Matrix:
    """The matrix with the dtype that the array of training had, as far as that holds the rows."""
    trained = signature.trained
    if trained is None:
        return _with_nulls(matrix, signature)
    if trained == matrix.dtype:
        return matrix
    if trained.kind in "iu":
        return _integers(matrix, trained)
    if trained.kind == "b" and any(_missing(cells).any() for cells in matrix.T):
        return matrix
    return matrix.astype(trained)


def from_matrix(matrix: Matrix, signature: Signature) -> Any:
    """The matrix as a DataFrame.

    Raises:
        LoadFailed: pandas is not installed.
    """
    pandas = _pandas()
    names = list(signature.names)
    if signature.trained is not None and signature.trained == matrix.dtype:
        return pandas.DataFrame(matrix, columns=names)
    columns = enumerate(signature.columns)
    frame = pandas.DataFrame({i: _of_column(matrix[:, i], column) for i, column in columns})
    return frame.set_axis(names, axis="columns")


def is_installed() -> bool:
    """Whether there is pandas."""
    return find_spec("pandas") is not None


def _pandas() -> Any:
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise LoadFailed(
            "This pipeline was fitted on a DataFrame and needs pandas; install it with "
            "pip install 'quart-app[pandas]', or fit the pipeline on a numpy array."
        ) from error
    return pandas


def _of_column(cells: NDArray[Any], column: Column) -> Any:
    """A column of a DataFrame: an array of numbers or truths, or a Series, which takes longer."""
    import pandas

    dtype = column.dtype
    if dtype == "category":
        categories = pandas.Categorical(
            cells, categories=list(column.categories or ()), ordered=column.ordered
        )
        return pandas.Series(categories)
    if dtype.startswith("datetime64"):
        moments = pandas.to_datetime(pandas.Series(cells), utc="," in dtype)
        return moments.astype(dtype)
    if dtype in OF_OBJECTS or (dtype == "str" and int(pandas.__version__.split(".")[0]) < 3):
        return pandas.Series(_with_null(cells, column), dtype="object")
    if column.array_dtype is None:
        return _of_pandas(cells, dtype)
    if column.array_dtype.kind in "iu":
        whole = _integers(cells, column.array_dtype)
        return whole if whole.dtype.kind != "O" else pandas.Series(whole)
    if column.array_dtype.kind == "b" and _missing(cells).any():
        return pandas.Series(cells, dtype="object")
    return cells.astype(column.array_dtype)


def _of_pandas(cells: NDArray[Any], dtype: str) -> Any:
    """A column of a dtype that is pandas's own; a wider one where that is needed."""
    import pandas

    values = [
        None if missing else cell
        for cell, missing in zip(cells.tolist(), _missing(cells), strict=True)
    ]
    try:
        return pandas.Series(pandas.array(values, dtype=dtype))
    except (TypeError, ValueError, OverflowError):
        whole = all(type(value) is int for value in values)
        return pandas.Series(values if whole else pandas.array(values))


def _with_null(cells: NDArray[Any], column: Column) -> NDArray[Any]:
    """Objects in which what is missing is pandas's own, where training had that."""
    if column.null != "na" or not column.missing:
        return cells
    import pandas

    found = cells.copy()
    found[_missing(cells)] = pandas.NA
    return found


def _with_nulls(matrix: Matrix, signature: Signature) -> Matrix:
    if not any(column.null == "na" for column in signature.columns):
        return matrix
    columns = enumerate(signature.columns)
    return np.stack([_with_null(matrix[:, i], column) for i, column in columns], axis=1)


def _integers(cells: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers as integers of this dtype, of a wider one, or as floats; as objects where these
    would round them. The shape stays."""
    if cells.dtype.kind == "O":
        return _of_python(cells, dtype)
    with np.errstate(invalid="ignore"):
        for wider in (dtype, np.dtype(np.int64), np.dtype(np.uint64)):
            found = cells.astype(wider)
            if (found == cells).all():
                return found
    return cells.astype(np.float64)


def _of_python(cells: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    values = cells.ravel().tolist()
    if all(type(value) is int or (type(value) is float and value.is_integer()) for value in values):
        low, high = int(min(values, default=0)), int(max(values, default=0))
        for wider in (dtype, np.dtype(np.int64), np.dtype(np.uint64)):
            bounds = np.iinfo(wider)
            if bounds.min <= low and high <= bounds.max:
                return np.array([int(value) for value in values], dtype=wider).reshape(cells.shape)
        return cells
    return cells if _has_large(cells) else cells.astype(np.float64)


def _has_large(cells: NDArray[Any]) -> bool:
    """Whether there are integers that floats would round."""
    if cells.dtype.kind != "O":
        return False
    return any(type(cell) is int and abs(cell) > EXACT for cell in cells.ravel().tolist())


def _missing(cells: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells of a matrix are missing: NaN, NaT or None."""
    if cells.dtype.kind != "O":
        odd: NDArray[np.bool_] = cells != cells
        return odd
    return np.array([cell is None or cell != cell for cell in cells.tolist()], dtype=bool)


# Rows that change the dtype of a column ----------------------------------------


def parts(matrix: Matrix, signature: Signature) -> list[Positions] | None:
    """The positions of the rows that are asked together, where not all are; else None.

    A row goes with those that leave its columns the same dtypes. That is looked at where the
    pipeline does, and where integers would be rounded to floats for the sake of others.
    """
    if len(matrix) == 1 or not (signature.apart or matrix.dtype.kind == "O"):
        return None
    columns = {
        place: column
        for place, column in enumerate(signature.columns)
        if column.discrete is not None or column.coded
    }
    # All columns of an array are of one dtype.
    together = signature.container in {"matrix", "sparse"}
    apart = signature.apart or (together and _has_large(matrix[:, list(columns)]))
    codes = [_codes(matrix[:, place], column, apart=apart) for place, column in columns.items()]
    if not any(code.any() for code in codes):
        return None
    table = np.stack(codes, axis=1)
    if together:
        table = table.max(axis=1, keepdims=True)
    kinds, places = np.unique(table, axis=0, return_inverse=True)
    if len(kinds) == 1:
        return None
    return [np.flatnonzero(places.ravel() == place) for place in range(len(kinds))]


def _codes(cells: NDArray[Any], column: Column, *, apart: bool) -> NDArray[np.int8]:
    """Of each cell whether its column keeps its dtype (0), is wider (1), or is none of integers or
    of truths (2), be it only where values of categories are."""
    found = np.zeros(len(cells), dtype=np.int8)
    missing = _missing(cells)
    if column.discrete is None or column.discrete.kind == "b":
        found[missing] = 2 if apart else 0
        return found
    values = [0 if odd else cell for cell, odd in zip(cells.tolist(), missing, strict=True)]
    fraction = np.array([value != int(value) for value in values])
    if not column.nullable:
        fraction |= missing
    # Of pandas's own dtypes a missing value is turned into another one with the dtype.
    apart = apart or column.nullable
    if apart:
        bounds = np.iinfo(column.discrete)
        found[[not bounds.min <= value <= bounds.max for value in values]] = 1
    if apart or any(abs(value) > EXACT for value in values):
        found[fraction] = 2
    return found


# What a DataFrame holds ----------------------------------------------------------


class FrameColumn(NamedTuple):
    """A column of a DataFrame: what is missing in `values` is None, or NaN, whatever the `null`
    was, the most frequent one."""

    name: str
    values: NDArray[Any]
    dtype: str
    categories: tuple[Any, ...] | None = None
    ordered: bool = False
    null: Null | None = None


def made_of(columns: Sequence[FrameColumn]) -> Any:
    """A DataFrame of such columns. Of the dtype `text` are those to which pandas gives the dtype
    that texts have there; with a None among them, which is no missing text to pandas, they stay
    objects.

    Raises:
        LoadFailed: pandas is not installed.
    """
    series = {i: _series_of(column) for i, column in enumerate(columns)}
    return _pandas().DataFrame(series).set_axis([each.name for each in columns], axis="columns")


def _series_of(column: FrameColumn) -> Any:
    pandas, values = _pandas(), column.values
    if column.dtype == "category":
        categories = pandas.Categorical(
            values, categories=column.categories, ordered=column.ordered
        )
        return pandas.Series(categories)
    if column.dtype.startswith("datetime64"):
        moments = pandas.to_datetime(pandas.Series(values), utc="," in column.dtype)
        return moments.astype(column.dtype)
    if column.dtype == "text" or (column.dtype == "object" and column.null == "na"):
        return _texts(column)
    return pandas.Series(values, dtype=column.dtype)


def _texts(column: FrameColumn) -> Any:
    pandas = _pandas()
    if column.null == "na":
        values = column.values.copy()
        values[_missing(values)] = pandas.NA
        return pandas.Series(values, dtype="object")
    plain = not any(value is None for value in column.values)
    return pandas.Series(column.values, dtype=pandas.Series(["a"]).dtype if plain else "object")


def columns_of(frame: Any) -> list[FrameColumn]:
    """The columns of a DataFrame."""
    return [_column_of(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]


def _column_of(name: str, series: Any) -> FrameColumn:
    dtype = str(series.dtype)
    if dtype == "category":
        categories = tuple(series.cat.categories.to_numpy())
        return FrameColumn(name, _objects(series), dtype, categories, bool(series.cat.ordered))
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iufb":
        return FrameColumn(name, series.to_numpy(), dtype)
    if dtype.startswith("datetime64"):
        return FrameColumn(name, _objects(series.astype("object")), dtype)
    null = null_of(series.to_numpy(dtype=object)) if dtype == "object" else None
    return FrameColumn(name, _objects(series), dtype, null=null)


def _objects(series: Any) -> NDArray[Any]:
    """The values as an array of objects, with NaN for pandas's own missing values."""
    nulls = series.isna().to_numpy()
    cells = np.empty(len(series), dtype=object)
    cells[:] = [
        value if not null or value is None else np.nan
        for value, null in zip(series.tolist(), nulls, strict=True)
    ]
    return cells


def texts_of(frame: Any) -> dict[str, list[str]]:
    """The columns of a DataFrame as text, empty where a value is missing."""
    return {
        column.name: [
            "" if value is None or value != value else str(value) for value in _plain(column.values)
        ]
        for column in columns_of(frame)
    }


def _plain(values: NDArray[Any]) -> list[Any]:
    """Python values, with whole numbers written as such."""
    return [
        int(value) if isinstance(value, float) and value.is_integer() else value
        for value in values.tolist()
    ]

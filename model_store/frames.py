"""What a pipeline was fitted on, made of the matrix of a batch; and pandas, where that is needed.

A pipeline that was fitted on a DataFrame looks its columns up by name, or warns when it gets a bare
matrix. A column gets the dtype that it had in training, except that a missing value makes an
integer a float and a boolean an object, as in pandas itself.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .columns import Column
from .errors import LoadFailed
from .signature import Matrix, Signature

WITHOUT_NULL: Final = ("int", "uint", "bool")
"""How the names of dtypes begin that know no missing value."""


def was_fitted_on_frame(pipeline: Any) -> bool:
    """Whether the pipeline remembers column names, which it does only of a DataFrame."""
    return getattr(pipeline, "feature_names_in_", None) is not None


def as_fitted(matrix: Matrix, signature: Signature) -> Any:
    """Rows as the pipeline knows them: the matrix, a DataFrame, or an array of texts.

    Raises:
        LoadFailed: pandas is needed and not installed.
    """
    if signature.container == "texts":
        return matrix[:, 0]
    return from_matrix(matrix, signature) if signature.container == "frame" else matrix


def from_matrix(matrix: Matrix, signature: Signature) -> Any:
    """The matrix as a DataFrame.

    Raises:
        LoadFailed: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise LoadFailed(
            "This pipeline was fitted on a DataFrame and needs pandas; install it with "
            "pip install 'quart-app[pandas]', or fit the pipeline on a numpy array."
        ) from error
    names = list(signature.names)
    if all(column.dtype == matrix.dtype.name for column in signature.columns):
        return pandas.DataFrame(matrix, columns=names)
    columns = enumerate(signature.columns)
    frame = pandas.DataFrame({i: _as_series(matrix[:, i], column) for i, column in columns})
    return frame.set_axis(names, axis="columns")


def _as_series(cells: NDArray[Any], column: Column) -> Any:
    import pandas

    if column.dtype == "category":
        return pandas.Series(pandas.Categorical(cells, categories=list(column.categories or ())))
    if column.dtype.startswith("datetime64"):
        moments = pandas.to_datetime(pandas.Series(cells), utc="," in column.dtype)
        return moments.astype(column.dtype)
    if column.dtype.startswith(WITHOUT_NULL) and column.missing and _any_missing(cells):
        return pandas.Series(
            cells, dtype="object" if column.dtype.startswith("bool") else "float64"
        )
    dtype = "object" if column.dtype in {"date", "datetime"} else column.dtype
    return pandas.Series(cells).astype(dtype)


def _any_missing(cells: NDArray[Any]) -> bool:
    return bool((cells != cells).any()) or any(cell is None for cell in cells)


def columns_of(frame: Any) -> list[tuple[str, NDArray[Any], str, tuple[Any, ...] | None]]:
    """The columns of a DataFrame: name, values, dtype, and the categories where it has them.

    Missing values come as NaN, or None where the column holds nothing but None for them.
    """
    return [_column_of(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]


def _column_of(name: str, series: Any) -> tuple[str, NDArray[Any], str, tuple[Any, ...] | None]:
    dtype = str(series.dtype)
    if dtype == "category":
        categories = tuple(series.cat.categories.tolist())
        return name, _objects(series), dtype, categories
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iufb":
        return name, series.to_numpy(), dtype, None
    if dtype.startswith("datetime64"):
        return name, _objects(series.astype("object")), dtype, None
    return name, _objects(series), dtype, None


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
        name: ["" if value is None or value != value else str(value) for value in _plain(values)]
        for name, values, *_ in columns_of(frame)
    }


def _plain(values: NDArray[Any]) -> list[Any]:
    """Python values, with whole numbers written as such."""
    return [
        int(value) if isinstance(value, float) and value.is_integer() else value
        for value in values.tolist()
    ]

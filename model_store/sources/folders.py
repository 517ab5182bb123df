"""Folders: those that MLflow writes, those of Hugging Face, and those with one file of a model.
Each shows which of its files is the model, and may bring rows along.

What a folder says of itself is read as data. Its own list of types to trust is not read at all, and
its code is not run: an operator says both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import UnreadableFile, Untrusted
from ..sample_file import SampleFile
from ..training import Feature, objects
from . import single_file

MLMODEL: Final = "MLmodel"
CONFIG: Final = "config.json"
MOST: Final = 16 * 1024 * 1024
FLAVOURS: Final = {
    "sklearn": "pickled_model",
    "xgboost": "data",
    "lightgbm": "data",
    "catboost": "data",
}
"""The flavours of MLflow that are taken, and the key under which each names its file."""
DTYPES: Final = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "datetime": "datetime64[ns]",
}
"""The types of MLflow's signatures, but for texts. https://mlflow.org/docs/latest/ml/model/signatures"""
TEXT: Final = "text"
NUMBERS: Final = frozenset(
    {
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    }
)
"""Dtypes that the signature of an array may have."""
CELL: Final = str | int | float | bool | None


class _Saved(msgspec.Struct):
    """Where an example stands, and of what it was made."""

    artifact_path: str
    type: str = ""
    pandas_orient: str = ""
    params: str = ""


class _Signature(msgspec.Struct):
    inputs: str | None = None


class _MLmodel(msgspec.Struct):
    flavors: dict[str, dict[str, Any]]
    signature: _Signature | None = None
    saved_input_example_info: _Saved | None = None


class _Tensor(msgspec.Struct):
    dtype: str = ""


class _Column(msgspec.Struct):
    name: str | None = None
    type: str = ""
    tensor: _Tensor | None = msgspec.field(default=None, name="tensor-spec")


class _Split(msgspec.Struct):
    """A table of pandas. Columns that are called 0, 1, … are left out."""

    data: list[list[Any]]
    columns: list[str | int] | None = None


class _Array(msgspec.Struct):
    """An array, or one for each column."""

    inputs: list[Any] | dict[str, list[Any]]


class _Wished(msgspec.Struct):
    """An example beside parameters for `predict`."""

    inputs: Any


class _File(msgspec.Struct):
    file: str


class _Sklearn(msgspec.Struct):
    model: _File
    example_input: dict[str, list[Any]] | None = None


class _Config(msgspec.Struct):
    sklearn: _Sklearn


def find(folder: Path, *, code: bool) -> tuple[Path, SampleFile | None]:
    """The file of the model in a folder, and the rows that came along. With `code` the operator has
    named a module, which stands for what the folder brings of its own.

    Raises:
        UnreadableFile: it is no such folder, or it names what is not in it.
        Untrusted: it has code of its own, and no module is named.
    """
    if (folder / MLMODEL).is_file():
        return _of_mlflow(folder, code)
    if (folder / CONFIG).is_file():
        return _of_config(folder)
    return single_file.find(folder)


# MLflow ---------------------------------------------------------------------------


def _of_mlflow(folder: Path, code: bool) -> tuple[Path, SampleFile | None]:
    file = folder / MLMODEL
    found = _converted(_yaml(_bounded(file), file), _MLmodel, file)
    known = [name for name in FLAVOURS if name in found.flavors]
    if not known:
        raise UnreadableFile(
            f"{file} has the flavours {', '.join(found.flavors) or 'none'}; taken are "
            f"{', '.join(FLAVOURS)}. Save the pipeline with mlflow.sklearn.save_model(pipeline, "
            "path)."
        )
    flavour = found.flavors[known[0]]
    if flavour.get("code") and not code:
        raise Untrusted(
            f"{file} brings code of its own in {flavour['code']!r}, which the model needs and "
            "which would be run: look at it, and name the module with the model's classes with "
            "--code module.py."
        )
    name = flavour.get(FLAVOURS[known[0]])
    if not isinstance(name, str):
        raise UnreadableFile(
            f"{file}: flavors.{known[0]}.{FLAVOURS[known[0]]}: expected the name of a file, got "
            f"{name!r:.60}; name the file of the model itself."
        )
    return inside(folder, name), _example(folder, found)


def _example(folder: Path, found: _MLmodel) -> SampleFile | None:
    """The rows that came along: a table of pandas, or arrays of numpy.
    https://github.com/mlflow/mlflow/blob/master/mlflow/models/utils.py has how they are written."""
    saved = found.saved_input_example_info
    is_table = saved is not None and (saved.type, saved.pandas_orient) == ("dataframe", "split")
    if saved is None or not (is_table or saved.type == "ndarray"):
        return None
    file = inside(folder, saved.artifact_path)
    kind = _Wished if saved.params else Any
    data = _decoded(_bounded(file), kind, file)
    data = data.inputs if saved.params else data
    known = []
    if found.signature is not None and found.signature.inputs is not None:
        known = _decoded(found.signature.inputs.encode(), list[_Column], folder / MLMODEL)
    types = {each.name: _dtype_of(each) for each in known if each.name is not None}
    if is_table:
        rows = _converted(data, _Split, file)
        names = None if rows.columns is None else list(map(str, rows.columns))
        return _of_rows(file, rows.data, names, types)
    inputs = _converted(data, _Array, file).inputs
    if isinstance(inputs, dict):
        if any(isinstance(cell, list) for cells in inputs.values() for cell in cells):
            return None
        return _sample(file, inputs, types)
    # A lone dimension is a column.
    cells = [each if isinstance(each, list) else [each] for each in inputs]
    if any(isinstance(cell, list) for row in cells for cell in row):
        return None
    dtypes = {_dtype_of(each) for each in known}
    return _of_rows(file, cells, None, {}, dtypes.pop() if len(dtypes) == 1 else "")


def _dtype_of(column: _Column) -> str:
    """The dtype of numpy that a signature says, if it does."""
    if column.tensor is not None:
        return column.tensor.dtype
    return {**DTYPES, "string": TEXT}.get(column.type, "")


def _of_rows(
    file: Path,
    rows: Sequence[Sequence[Any]],
    names: Sequence[str] | None,
    types: Mapping[str, str],
    dtype: str = "",
) -> SampleFile | None:
    """Rows as columns of these names, or of none; all of them have the `dtype` where it is known.

    Raises:
        UnreadableFile: a row is not as wide as others.
    """
    width = len(rows[0]) if names is None and rows else len(names or ())
    if any(len(row) != width for row in rows):
        raise UnreadableFile(
            f"{file} has rows that are not as wide as its columns; give rows with --sample."
        )
    known = names or [f"x{place}" for place in range(width)]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(known)}
    types = types or dict.fromkeys(known, dtype)
    return _sample(file, columns, types, is_array=names is None)


def _yaml(data: bytes, file: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise UnreadableFile(
            f"{file} is YAML, which needs PyYAML; install it with pip install 'quart-app[mlflow]'."
        ) from error
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(data, loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnreadableFile(
            f"{file} is no YAML that can be read; write the folder again, or name the file of the "
            "model itself."
        ) from error


# Hugging Face ---------------------------------------------------------------------


def _of_config(folder: Path) -> tuple[Path, SampleFile | None]:
    file = folder / CONFIG
    found = _decoded(_bounded(file), _Config, file).sklearn
    example = found.example_input
    rows = {len(cells) for cells in (example or {}).values()}
    # Of texts that stand in no column there is one list, under the key `data`.
    if not example or list(example) == ["data"] or len(rows) != 1:
        return inside(folder, found.model.file), None
    return inside(folder, found.model.file), _sample(file, example, {})


# Both -----------------------------------------------------------------------------


def inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder.

    Raises:
        UnreadableFile: it leads elsewhere.
    """
    found = folder / name
    if Path(name).is_absolute() or not found.resolve().is_relative_to(folder.resolve()):
        raise UnreadableFile(
            f"{folder} names the file {name!r:.200}, which is not in it; copy the folder with its "
            f"files, as cp -rL {folder} copy does, or name the file of the model itself."
        )
    return found


def _bounded(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST + 1)
    except OSError as error:
        raise UnreadableFile(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > MOST:
        raise UnreadableFile(
            f"{file} is larger than {MOST} bytes; name the file of the model itself."
        )
    return data


def _decoded(data: bytes, kind: Any, file: Path) -> Any:
    try:
        return _converted(msgspec.json.decode(data), kind, file)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise
        raise UnreadableFile(
            f"{file} is no JSON that can be read; write the folder again, or name the file of the "
            "model itself."
        ) from error


def _converted(found: Any, kind: Any, file: Path) -> Any:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise UnreadableFile(
            f"{file} is not what it should be: {error}. Write the folder again, or name the file "
            "of the model itself."
        ) from error


def _sample(
    file: Path,
    columns: Mapping[str, Sequence[Any]],
    types: Mapping[str, str],
    *,
    is_array: bool = False,
) -> SampleFile | None:
    """The rows, each column with the type of the signature where it takes that."""
    if len({len(cells) for cells in columns.values()}) > 1:
        raise UnreadableFile(
            f"{file} has columns that are not of one length; give rows with --sample."
        )
    found = {name: _feature(name, cells, types.get(name, "")) for name, cells in columns.items()}
    if not found or not all(len(each.values) for each in found.values()):
        return None
    return SampleFile(str(file), found, is_array)


def _feature(name: str, cells: Sequence[Any], dtype: str) -> Feature:
    if not all(isinstance(cell, CELL) for cell in cells):
        raise UnreadableFile(
            f"The example of the folder: {name}: expected texts and numbers, got lists or objects; "
            "give rows with --sample."
        )
    numeric = dtype in NUMBERS or dtype.startswith("datetime64[")
    values = None if dtype == TEXT else _typed(cells, dtype if numeric else None)
    if values is None:
        return Feature(name, objects(cells), "text" if _are_texts(cells) else "object")
    return Feature(name, values, values.dtype.name)


def _typed(cells: Sequence[Any], dtype: str | None) -> NDArray[Any] | None:
    """The cells as an array of numbers, booleans or moments; None where they are no such."""
    if dtype is None:
        given = [cell for cell in cells if cell is not None]
        if not given or any(isinstance(cell, str) for cell in given):
            return None
        whole = len(given) == len(cells)
        dtype = "float64"
        if whole and all(type(cell) is bool for cell in given):
            dtype = "bool"
        elif whole and all(type(cell) is int for cell in given):
            dtype = "int64"
    try:
        if dtype.startswith("datetime"):
            return np.array(cells, dtype=dtype)
        return np.array([np.nan if cell is None else cell for cell in cells]).astype(dtype)
    except (TypeError, ValueError, OverflowError):
        return None


def _are_texts(cells: Sequence[Any]) -> bool:
    return all(cell is None or isinstance(cell, str) for cell in cells)

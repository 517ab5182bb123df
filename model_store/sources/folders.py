"""Folders: those that MLflow writes, and those of Hugging Face. Each says which of its files is the
model, and brings rows along.

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
CELL: Final = str | int | float | bool | None


class _Saved(msgspec.Struct):
    """Where an example stands, and of what it was made."""

    artifact_path: str
    type: str = ""
    pandas_orient: str = ""


class _Signature(msgspec.Struct):
    inputs: str | None = None


class _MLmodel(msgspec.Struct):
    flavors: dict[str, dict[str, Any]]
    signature: _Signature | None = None
    saved_input_example_info: _Saved | None = None


class _Column(msgspec.Struct):
    name: str | None = None
    type: str = ""


class _Split(msgspec.Struct):
    columns: list[str | int]
    data: list[list[Any]]


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
    raise UnreadableFile(
        f"{folder} is a folder with neither MLmodel (MLflow) nor config.json (Hugging Face) in it; "
        f"name the file of the model: quart-app models import {folder}/model.pkl"
    )


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
    saved = found.saved_input_example_info
    if saved is None or (saved.type, saved.pandas_orient) != ("dataframe", "split"):
        return None
    file = inside(folder, saved.artifact_path)
    rows = _decoded(_bounded(file), _Split, file)
    types = {}
    if found.signature is not None and found.signature.inputs is not None:
        columns = _decoded(found.signature.inputs.encode(), list[_Column], folder / MLMODEL)
        types = {each.name: each.type for each in columns if each.name is not None}
    names = list(map(str, rows.columns))
    if any(len(row) != len(names) for row in rows.data):
        raise UnreadableFile(
            f"{file} has rows that are not as wide as its columns; give rows with --sample."
        )
    return _sample(
        file, {name: [row[i] for row in rows.data] for i, name in enumerate(names)}, types
    )


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
    file: Path, columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]
) -> SampleFile | None:
    """The rows, each column with the type of the signature where it takes that."""
    found = {name: _feature(name, cells, types.get(name, "")) for name, cells in columns.items()}
    if not found or not all(len(each.values) for each in found.values()):
        return None
    return SampleFile(str(file), found)


def _feature(name: str, cells: Sequence[Any], kind: str) -> Feature:
    if not all(isinstance(cell, CELL) for cell in cells):
        raise UnreadableFile(
            f"The example of the folder: {name}: expected texts and numbers, got lists or objects; "
            "give rows with --sample."
        )
    values = _typed(cells, DTYPES.get(kind)) if kind != "string" else None
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

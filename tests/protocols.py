"""Rows as the clients of each protocol write them, and bodies with a fault somewhere."""

from __future__ import annotations

import copy
import json
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import numpy as np
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from model_store import Column, Manifest, Model, ModelStore
from quart_app.inference import InferenceRequest, InvalidRequest

from .drawing import as_trained, drawn_rows
from .kinds import frame_of, objects

Row = dict[str, Any]
Inputs = list[dict[str, Any]]
Read = TypeVar("Read")

DTYPES: Final = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def plain(request: InferenceRequest) -> dict[str, Any]:
    """A request whose arrays are lists, so that it can be compared; the types of values show."""
    columns = request.columns
    named = columns if isinstance(columns, Mapping) else dict(enumerate(columns))
    return {
        "columns": {name: [_told(value) for value in values] for name, values in named.items()},
        "rows": request.rows,
        "many": request.many,
        "wire": request.rules,
        "tensor": request.tensor,
        "id": request.id,
        "outputs": [tuple(wanted) for wanted in request.outputs],
        "binary": request.binary,
    }


def require_whole(request: InferenceRequest, max_rows: int) -> None:
    """What holds for every request that was read: as many values in each column as rows."""
    assert 1 <= request.rows <= max_rows
    found = request.columns
    values = list(found.values()) if isinstance(found, Mapping) else list(found)
    assert all(len(column) == request.rows for column in values)


def unless_refused(read: Callable[[], Read]) -> Read | None:
    """What `read` returns; None where it refuses with a sentence, which is all it may raise."""
    try:
        return read()
    except InvalidRequest as error:
        sentence = str(error)
    assert sentence.endswith(".")
    return None


def refuse_constant(token: str) -> None:
    """For `json.loads`: NaN and its like are no JSON, and never leave a server."""
    raise AssertionError(f"{token} is no JSON")


def _told(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def lists(rows: Sequence[Row]) -> list[list[Any]]:
    """The rows as lists, in the order of their columns."""
    return [list(row.values()) for row in rows]


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The rows as lists of values by column."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def datatype(column: Column, values: Sequence[Any]) -> str:
    """What a client would send the values of a column as."""
    kinds = {type(value) for value in values if value is not None}
    if column.type == "boolean":
        return "BOOL"
    if kinds <= {int, float} and column.numeric:
        return "INT64" if kinds == {int} and column.type != "number" else "FP64"
    return "BYTES"


def inputs(signature: Sequence[Column], rows: Sequence[Row]) -> Inputs:
    """The inputs of V2 in JSON: one for each column."""
    return [
        {
            "name": column.name,
            "shape": [len(rows), 1],
            "datatype": datatype(column, values),
            "data": values,
        }
        for column in signature
        if (values := [row[column.name] for row in rows])
    ]


def matrix(rows: Sequence[Row], name: str = "anything", datatype: str = "FP64") -> Inputs:
    """The one input of V2 in JSON that holds all columns."""
    data = lists(rows)
    return [{"name": name, "shape": [len(rows), len(data[0])], "datatype": datatype, "data": data}]


def packed(inputs: Inputs, **members: Any) -> tuple[bytes, int]:
    """The body of the binary extension, and the length of its JSON.

    A missing number is NaN, and a missing text the word that Python's `str` makes of it."""
    told, tail = [], []
    for each in inputs:
        data = flat(each["data"])
        name = each["datatype"]
        if None in data and name.startswith("INT"):
            name = "FP64"
        tail.append(as_bytes(name, data))
        told.append(
            {
                "name": each["name"],
                "shape": each["shape"],
                "datatype": name,
                "parameters": {"binary_data_size": len(tail[-1])},
            }
        )
    head = json.dumps({"inputs": told, **members}).encode()
    return b"".join([head, *tail]), len(head)


def as_bytes(datatype: str, values: Sequence[Any]) -> bytes:
    """Values as the binary extension has them."""
    if datatype == "BYTES":
        texts = [("nan" if value is None else value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    numbers = [float("nan") if value is None else value for value in values]
    return np.array(numbers, dtype=DTYPES[datatype]).tobytes()


def flat(data: Sequence[Any]) -> list[Any]:
    """The values of nested lists, row by row."""
    return [value for each in data for value in (flat(each) if isinstance(each, list) else [each])]


def unpacked(body: bytes, header_length: int) -> dict[str, Any]:
    """An answer of the binary extension, with the values of its tensors as `data`."""
    content = json.loads(body[:header_length])
    at = header_length
    for each in content["outputs"]:
        if "data" in each:
            continue
        size = each["parameters"]["binary_data_size"]
        data, at = body[at : at + size], at + size
        if each["datatype"] == "BYTES":
            each["data"] = list(_texts(data))
        else:
            each["data"] = np.frombuffer(data, dtype=DTYPES[each["datatype"]]).tolist()
    assert at == len(body)
    return dict(content)


def _texts(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        at += 4 + length
        yield data[at - length : at].decode()


JUNK: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 2, 2**31, 2**63, -(2**63), 2**64, 10**400, 1e308, -0.5, 1.9])
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.sampled_from(["nan", "1", "INT64", "FP64", "BYTES", "BOOL", "FP16", "predict", "pd"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@st.composite
def mutated(draw: st.DrawFn, valid: Sequence[Any]) -> Any:
    """One of the valid values of JSON, in which up to three nodes were replaced, dropped or
    doubled."""
    content = {"": copy.deepcopy(draw(st.sampled_from(valid)))}
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(content))
        parent, key = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(["replace", "drop", "double"]))
        if change == "replace" or parent is content:
            parent[key] = draw(JUNK)
        elif change == "drop":
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            parent[f"{key}2"] = copy.deepcopy(parent[key])
    return content[""]


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in list(pairs):
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)


# Models to ask, and what their pipelines say ------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """Rows for a model, and what its pipeline says of them, asked without anything of ours between.

    `shares` are the probabilities of each target, or empty."""

    manifest: Manifest
    rows: list[Row]
    labels: list[Any]
    shares: list[list[list[float]]]

    @classmethod
    def of(cls, store: ModelStore, name: str, rows: list[Row]) -> Self:
        model = store.load(store.verify(name, pickles="always"))
        fitted = as_fitted(model, rows)
        labels = np.asarray(model.pipeline.predict(fitted)).tolist()
        if not hasattr(model.pipeline, "predict_proba"):
            return cls(model.manifest, rows, labels, [])
        shares = model.pipeline.predict_proba(fitted)
        tables = shares if isinstance(shares, list) else [shares]
        return cls(model.manifest, rows, labels, [table.tolist() for table in tables])

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.manifest.signature.columns

    @property
    def numeric(self) -> bool:
        """Whether the rows are a matrix of numbers."""
        return all(column.numeric for column in self.columns)

    def same(self, labels: Any, shares: Any = None) -> None:
        """Require the pipeline's answer: labels equal, floats within 1e-12."""
        kinds = {type(label) for label in flat(self.labels)}
        if kinds == {float}:
            np.testing.assert_allclose(labels, self.labels, rtol=1e-12)
        else:
            assert labels == self.labels
        assert {type(label) for label in flat(labels)} == kinds
        if shares is not None:
            for found, table in zip(shares, self.shares, strict=True):
                np.testing.assert_allclose(found, table, rtol=1e-12)


def as_fitted(model: Model, rows: list[Row]) -> Any:
    """The rows as what the pipeline was fitted on."""
    if model.manifest.name == "mixed":
        return frame_of(rows)
    if model.manifest.name == "objects":
        return objects(frame_of(rows))
    if model.manifest.signature.container == "texts":
        return [text for row in rows for text in row.values()]
    return as_trained(model.manifest, rows)


def drawn(store: ModelStore, name: str, count: int) -> list[Row]:
    """Rows for a model, in which each value that may be missing is missing once."""
    manifest = store.manifest(name)
    rows = drawn_rows(manifest, 5, count)
    missing = [column.name for column in manifest.signature.columns if column.missing]
    for row, column in zip(rows, missing, strict=False):
        row[column] = None
    return rows


def publish_words(store: ModelStore) -> Manifest:
    """`words`: a classifier of texts, which is all that it takes."""
    texts = ["good film", "bad film", "good book", "bad book", "größe ☃", "poor"] * 5
    moods = ["gut", "schlecht", "gut", "schlecht", "größe", "schlecht"] * 5
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, moods)
    return store.publish("words", pipeline, texts, moods)


def publish_line(store: ModelStore) -> Manifest:
    """`line`: a regression of one number."""
    X = np.linspace(0, 1, 20)[:, None]
    return store.publish("line", LinearRegression().fit(X, 2 * X[:, 0] + 1), X, 2 * X[:, 0] + 1)


def publish_everything(root: Path, *stores: Path) -> ModelStore:
    """A store at `root` with the models of others, and those of this module."""
    for store in stores:
        shutil.copytree(store, root, dirs_exist_ok=True)
    found = ModelStore(root)
    publish_words(found)
    publish_line(found)
    return found

"""The ways into a server: how each writes rows, and what it answers.

A door writes one row, or several at once. What it cannot carry it changes as docs/protocols.md says
(a form has no null: an empty text is a missing value), or does not ask.
"""

from __future__ import annotations

import csv
import io
import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import numpy as np
from quart.typing import TestClientProtocol as Client

from quart_app.client import AsyncClient, ClientError

from ..protocols import DTYPES as TENSORS
from .dtypes import ObjectInteger, Value
from .pipelines import Fitted, Row
from .rows import Answer

EXACT: Final = 2**53
"""Up to here a float holds each integer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none."""

    status: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.status} {self.sentence}"


Outcome = list[Answer] | Refusal
"""An answer for each row, or one refusal of all."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a client within the process, and the project's own over a socket."""

    inside: Client
    outside: AsyncClient


class Door(ABC):
    """A way to ask for one row, or with `many` for several at once."""

    name: str
    one = True
    many = True

    def carries(self, fitted: Fitted, row: Row) -> bool:
        """Whether the door can say this row at all."""
        return True

    def together(self, fitted: Fitted, rows: list[Row]) -> list[int]:
        """The places of rows that the door can say in one breath."""
        return [place for place, row in enumerate(rows) if self.carries(fitted, row)]

    @abstractmethod
    async def ask(self, asker: Asker, model: str, fitted: Fitted, rows: list[Row]) -> Outcome:
        """What the server answers to these rows."""


def as_json(value: Value) -> Any:
    """A value as JSON has it."""
    return value.isoformat() if isinstance(value, datetime) else value


def as_text(value: Value) -> str:
    """A value as people type it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(as_json(value))


def _plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{name: as_json(value) for name, value in row.items()} for row in rows]


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    plain = _plain(rows)
    return {name: [row[name] for row in plain] for name in plain[0]}


async def _read(response: Any) -> tuple[Any, Refusal | None]:
    data = await response.get_data()
    if response.status_code == 200:
        return data, None
    try:
        content = json.loads(data)
        sentence = content.get("error") or content.get("message")
    except ValueError:
        sentence = data.decode(errors="replace")[:200]
    return data, Refusal(response.status_code, str(sentence))


def _shares(told: Any) -> tuple[float, ...] | None:
    return None if told is None else tuple(told.values())


# JSON, forms, CSV ------------------------------------------------------------------


class Native(Door):
    """The JSON of this server: an object, or a list of them."""

    def __init__(self, name: str, *, many: bool) -> None:
        self.name, self.one, self.many = name, not many, many

    async def ask(self, asker: Asker, model: str, fitted: Fitted, rows: list[Row]) -> Outcome:
        plain = _plain(rows)
        body: Any = plain if self.many else plain[0]
        response = await asker.inside.post(f"/models/{model}/predict", json=body)
        data, refusal = await _read(response)
        if refusal:
            return refusal
        told = json.loads(data)
        if not self.many:
            return [Answer(told["prediction"], _shares(told.get("probabilities")))]
        shares = told.get("probabilities") or [None] * len(rows)
        return [
            Answer(label, _shares(each))
            for label, each in zip(told["predictions"], shares, strict=True)
        ]


class Form(Door):
    """A form or a query: an empty text is a missing value."""

    many = False

    def __init__(self, name: str, *, query: bool) -> None:
        self.name, self.query = name, query

    async def ask(self, asker: Asker, model: str, fitted: Fitted, rows: list[Row]) -> Outcome:
        texts = {name: as_text(value) for name, value in rows[0].items()}
        path = f"/models/{model}/predict"
        headers = {"Accept": "application/json"}
        if self.query:
            response = await asker.inside.get(f"{path}?{urlencode(texts)}", headers=headers)
        else:
            response = await asker.inside.post(path, form=texts, headers=headers)
        data, refusal = await _read(response)
        if refusal:
            return refusal
        told = json.loads(data)
        return [Answer(told["prediction"], _shares(told.get("probabilities")))]


def _table(rows: Sequence[Row]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(rows[0])
    # A line of nothing would be no row.
    writer.writerows([as_text(value) for value in row.values()] for row in rows)
    return file.getvalue().encode()


class Table(Door):
    """CSV in and out."""

    name = "csv"

    def carries(self, fitted: Fitted, row: Row) -> bool:
        return _told_apart(row)

    async def ask(self, asker: Asker, model: str, fitted: Fitted, rows: list[Row]) -> Outcome:
        headers = {"Content-Type": "text/csv"}
        path = f"/models/{model}/predict"
        response = await asker.inside.post(path, data=_table(rows), headers=headers)
        data, refusal = await _read(response)
        if refusal:
            return refusal
        lines = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
        faults = [line["error"] for line in lines if line["error"]]
        if faults:
            return Refusal(400, faults[0])
        example = fitted.y[0].item()
        return [Answer(_label(line["prediction"], example)) for line in lines]


def _told_apart(row: Row) -> bool:
    """Whether there is a line: an only cell that is empty makes none in most readers."""
    return len(row) > 1 or as_text(next(iter(row.values()))) != ""


def _label(text: str, example: object) -> Any:
    """A label that is written, as the type of the labels of training."""
    if isinstance(example, bool):
        return {"True": True, "true": True, "False": False, "false": False}.get(text, text)
    if isinstance(example, int | float):
        return type(example)(text)
    return text


# Tensors ---------------------------------------------------------------------------


class V2(Door):
    """The Open Inference Protocol, in JSON or in bytes."""

    def __init__(self, name: str, *, binary: bool) -> None:
        self.name, self.binary = name, binary

    def carries(self, fitted: Fitted, row: Row) -> bool:
        if self.binary:
            absent = {name for name, value in row.items() if value is None}
            families = {column.plan.name: column.plan.dtype.family for column in fitted.columns}
            # Bytes have no null but NaN, and NaT among texts that are dates.
            if any(families[name] in ("truth", "text", "day") for name in absent):
                return False
        return all(
            not isinstance(value, int) or -(2**63) <= value < 2**64 for value in row.values()
        )

    def together(self, fitted: Fitted, rows: list[Row]) -> list[int]:
        """A tensor has one datatype: no large integers beside what makes it one of floats, and
        none below 0 beside what makes it unsigned."""
        places = Door.together(self, fitted, rows)
        for column in fitted.columns:
            if column.plan.dtype.family != "integer":
                continue
            name = column.plan.name
            datatype = _datatype(
                [rows[place][name] for place in places], fitted, name, binary=self.binary
            )
            if datatype == "FP64" and isinstance(column.plan.dtype, ObjectInteger):
                # What was an object is not made an integer again.
                places = [place for place in places if type(rows[place][name]) is int]
            elif datatype == "FP64":
                places = [place for place in places if abs(rows[place][name] or 0) <= EXACT]  # type: ignore[arg-type]
            elif datatype == "UINT64":
                places = [place for place in places if (rows[place][name] or 0) >= 0]  # type: ignore[operator]
        return places

    async def ask(self, asker: Asker, model: str, fitted: Fitted, rows: list[Row]) -> Outcome:
        inputs: list[dict[str, Any]] = []
        tail = b""
        for name, values in _columns(rows).items():
            datatype = _datatype(values, fitted, name, binary=self.binary)
            tensor: dict[str, Any] = {"name": name, "shape": [len(rows)], "datatype": datatype}
            if self.binary:
                data = _bytes(datatype, values)
                tensor["parameters"] = {"binary_data_size": len(data)}
                tail += data
            else:
                tensor["data"] = values
            inputs.append(tensor)
        head = json.dumps({"inputs": inputs}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))} if self.binary else {}
        path = f"/v2/models/{model}/infer"
        response = await asker.inside.post(path, data=head + tail, headers=headers)
        data, refusal = await _read(response)
        if refusal:
            return refusal
        outputs = {each["name"]: each for each in json.loads(data)["outputs"]}
        labels = outputs["predict"]["data"]
        if "predict_proba" not in outputs:
            return [Answer(label) for label in labels]
        shares = np.reshape(outputs["predict_proba"]["data"], (len(rows), -1)).tolist()
        return [Answer(label, tuple(each)) for label, each in zip(labels, shares, strict=True)]


def _datatype(values: Sequence[Any], fitted: Fitted, name: str, *, binary: bool) -> str:
    """What a client would send the values as."""
    present = [value for value in values if value is not None]
    family = next(c.plan.dtype.family for c in fitted.columns if c.plan.name == name)
    if all(isinstance(value, bool) for value in present) and family == "truth":
        return "BOOL"
    if family in ("text", "day", "moment"):
        return "BYTES"
    if family == "float" or any(isinstance(value, float) for value in present):
        return "FP64"
    if binary and len(present) < len(values):
        return "FP64"
    return "UINT64" if max(present, default=0) >= 2**63 else "INT64"


def _bytes(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [("NaT" if value is None else value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    numbers = [float("nan") if value is None else value for value in values]
    return np.array(numbers, dtype=TENSORS[datatype]).tobytes()


# Rows in JSON of others --------------------------------------------------------------


class Typed(Door):
    """V1, and the four forms of MLflow's scoring."""

    def __init__(self, name: str, path: str, member: str) -> None:
        self.name, self.path, self.member = name, path, member

    async def ask(self, asker: Asker, model: str, fitted: Fitted, rows: list[Row]) -> Outcome:
        body = {self.member: self._content(rows)}
        response = await asker.inside.post(self.path.format(quote(model)), json=body)
        return await _predictions(response)

    def _content(self, rows: list[Row]) -> Any:
        plain = _plain(rows)
        if self.member == "dataframe_split":
            data = [list(row.values()) for row in plain]
            return {"columns": list(plain[0]), "data": data}
        if self.member == "inputs":
            return _columns(rows)
        if self.member == "instances" and "invocations" in self.path:
            return [list(row.values()) for row in plain]
        return plain


class ScoredTable(Door):
    """MLflow's scoring of CSV."""

    name = "invocations, csv"

    def carries(self, fitted: Fitted, row: Row) -> bool:
        return _told_apart(row)

    async def ask(self, asker: Asker, model: str, fitted: Fitted, rows: list[Row]) -> Outcome:
        headers = {"Content-Type": "text/csv"}
        path = f"/invocations?model={quote(model)}"
        return await _predictions(await asker.inside.post(path, data=_table(rows), headers=headers))


async def _predictions(response: Any) -> Outcome:
    data, refusal = await _read(response)
    if refusal:
        return refusal
    return [Answer(label) for label in json.loads(data)["predictions"]]


# The project's client ------------------------------------------------------------------


class Own(Door):
    """`quart_app.client`, which takes Python's own values."""

    def __init__(self, name: str, *, many: bool) -> None:
        self.name, self.one, self.many = name, not many, many

    async def ask(self, asker: Asker, model: str, fitted: Fitted, rows: list[Row]) -> Outcome:
        try:
            if not self.many:
                one = await asker.outside.predict(model, rows[0])
                shares: Any = one.probabilities
                return [Answer(one.prediction, _shares(shares))]
            found = await asker.outside.predict_many(model, rows)
        except ClientError as error:
            return Refusal(error.status or 0, str(error))
        return [Answer(label) for label in found.predictions]


FIRST: Final = Native("json", many=False)
DOORS: Final[tuple[Door, ...]] = (
    FIRST,
    Native("json, many", many=True),
    Form("query", query=True),
    Form("form", query=False),
    Table(),
    V2("v2", binary=False),
    V2("v2, binary", binary=True),
    Typed("v1, instances", "/v1/models/{}:predict", "instances"),
    Typed("v1, inputs", "/v1/models/{}:predict", "inputs"),
    Typed("invocations, split", "/invocations?model={}", "dataframe_split"),
    Typed("invocations, records", "/invocations?model={}", "dataframe_records"),
    Typed("invocations, instances", "/invocations?model={}", "instances"),
    Typed("invocations, inputs", "/invocations?model={}", "inputs"),
    ScoredTable(),
    Own("client", many=False),
    Own("client, many", many=True),
)

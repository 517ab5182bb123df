"""Labels of every type, by every door: what a client reads is what the pipeline answered."""

from __future__ import annotations

import csv
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from markupsafe import escape
from quart.typing import TestClientProtocol as Client
from sklearn.tree import DecisionTreeClassifier

from model_store import ModelStore
from quart_app import create_app
from quart_app.client import Prediction, Predictions

from ..answers import CASES, CLASSES, FITTED, Case, Strays, objects, pipeline
from ..conftest import started
from ..protocols import unpacked

NAMES: Final = {f"m{number}": case for number, case in enumerate(CASES)}
"""The names of the models, which are no sentences."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with a model of each case; not to be written to."""
    store = ModelStore(tmp_path_factory.mktemp("outputs"))
    for name, case in NAMES.items():
        rows = np.arange(len(CASES[case].told), dtype=float).reshape(-1, 1)
        store.publish(name, pipeline(case), rows, CASES[case].answers)
    return store.root


def cell(label: Any) -> str:
    """A label as it stands in CSV, where a number is written as in JSON."""
    return msgspec.json.encode(label).decode() if type(label) is float else str(label)


def texts(told: list[Any]) -> list[Any]:
    """Labels as text, as CSV and a tensor of BYTES have them."""
    return [texts(each) if isinstance(each, list) else str(each) for each in told]


def flat(told: list[Any]) -> list[Any]:
    return [label for each in told for label in (each if isinstance(each, list) else [each])]


def tensor(case: Case) -> list[Any]:
    """The labels in the datatype of the case."""
    as_datatype: dict[str, Callable[[Any], Any]] = {"BYTES": str, "FP64": float, "BOOL": bool}
    return list(map(as_datatype.get(case.datatype, int), flat(case.told)))


# The doors ------------------------------------------------------------------------------

ROW: Final = {"x0": 0.0}


def rows(case: Case) -> list[dict[str, float]]:
    return [{"x0": float(row)} for row in range(len(case.told))]


def inputs(case: Case) -> dict[str, Any]:
    count = len(case.told)
    values = list(map(float, range(count)))
    return {"inputs": [{"name": "x0", "shape": [count], "datatype": "FP64", "data": values}]}


async def one(client: Client, name: str, case: Case) -> Any:
    answer = await (await client.post(f"/models/{name}/predict", json=ROW)).get_data()
    told = msgspec.json.decode(answer, type=Prediction)
    return told.prediction, told.probabilities


async def many(client: Client, name: str, case: Case) -> Any:
    answer = await (await client.post(f"/models/{name}/predict", json=rows(case))).get_data()
    told = msgspec.json.decode(answer, type=Predictions)
    return told.predictions, told.probabilities


def shares(case: Case) -> Any:
    """The probabilities of a row."""
    if case.known is None:
        return None
    if not isinstance(case.known[0], list):
        return {str(label): 1 / len(case.known) for label in case.known}
    return [{str(label): 1 / len(known) for label in known} for known in case.known]


async def query(client: Client, name: str, case: Case) -> Any:
    path = f"/models/{name}/predict?x0=0"
    return (await (await client.get(path, headers={"Accept": "application/json"})).get_json())[
        "prediction"
    ]


async def form(client: Client, name: str, case: Case) -> Any:
    path, asked = f"/models/{name}/predict", {"Accept": "application/json"}
    answer = await client.post(path, form={"x0": "0"}, headers=asked)
    return (await answer.get_json())["prediction"]


async def page(client: Client, name: str, case: Case) -> Any:
    """Whether the labels stand in the page."""
    path, asked = f"/models/{name}/predict", {"Accept": "text/html"}
    answer = await client.post(path, form={"x0": "0"}, headers=asked)
    shown = await answer.get_data(as_text=True)
    return [str(escape(on_page(label, case))) in shown for label in flat(case.told[:1])]


def on_page(label: Any, case: Case) -> str:
    if isinstance(label, float):
        return f"{label:.6g}" if case.known is None else str(label).removesuffix(".0")
    text = str(label)
    return text if text and text == text.strip() else f'"{text}"'


async def plain(client: Client, name: str, case: Case) -> Any:
    """The older route, for a client that reads text."""
    answer = await client.post(f"/predict?model={name}", json=ROW, headers={"Accept": "text/plain"})
    return await answer.get_data(as_text=True)


async def table(client: Client, name: str, case: Case) -> Any:
    """CSV, whose cells a spreadsheet would not run."""
    lines = "".join(f"{row}\n" for row in range(len(case.told)))
    answer = await client.post(
        f"/models/{name}/predict", data=f"x0\n{lines}", headers={"Content-Type": "text/csv"}
    )
    found = list(csv.DictReader((await answer.get_data(as_text=True)).splitlines(keepends=True)))
    names = [key for key in found[0] if key.startswith("prediction")]
    return [[each[key] for key in names] for each in found]


async def v2(client: Client, name: str, case: Case) -> Any:
    answer = await client.post(f"/v2/models/{name}/infer", json=inputs(case))
    return told_in(await answer.get_json())


async def v2_binary(client: Client, name: str, case: Case) -> Any:
    asked = {**inputs(case), "parameters": {"binary_data_output": True}}
    answer = await client.post(f"/v2/models/{name}/infer", json=asked)
    length = int(answer.headers["Inference-Header-Content-Length"])
    return told_in(unpacked(await answer.get_data(as_text=False), length))


def told_in(content: dict[str, Any]) -> tuple[str, list[Any]]:
    (output,) = (each for each in content["outputs"] if each["name"] == "predict")
    return output["datatype"], output["data"]


async def metadata(client: Client, name: str, case: Case) -> Any:
    found = await (await client.get(f"/v2/models/{name}")).get_json()
    config = await (await client.get(f"/v2/models/{name}/config")).get_json()
    return found["outputs"][0]["datatype"], config["output"][0]["data_type"]


async def v1(client: Client, name: str, case: Case) -> Any:
    answer = await client.post(f"/v1/models/{name}:predict", json={"instances": rows(case)})
    return (await answer.get_json())["predictions"]


async def description(client: Client, name: str, case: Case) -> Any:
    """The types and the classes, as the model's description and its card have them."""
    found = await (await client.get(f"/models/{name}")).get_json()
    card = await (await client.get(f"/models/{name}/card")).get_json()
    outputs = [each for each in found["outputs"] if each["name"] == "prediction"]
    classes = [each.get("classes") for each in outputs]
    assert classes == [each["classes"] for each in card["targets"]]
    return [each["type"] for each in outputs], classes


TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string"}


def described(case: Case) -> tuple[list[str], list[Any]]:
    several = isinstance(case.told[0], list)
    columns = [list(each) for each in zip(*case.told, strict=True)] if several else [case.told]
    types = [sorted({TYPES[type(label)] for label in column}) for column in columns]
    known: list[Any] = [None] * len(columns)
    if case.known is not None:
        known = case.known if several else [case.known]
    return [" or ".join(each).replace("integer or number", "number") for each in types], known


CONFIG: Final = {"BYTES": "TYPE_STRING"}

Ask = Callable[[Client, str, Case], Awaitable[Any]]
DOORS: Final[dict[str, tuple[Ask, Callable[[Case], Any]]]] = {
    "one row": (one, lambda case: (case.told[0], shares(case))),
    "many rows": (
        many,
        lambda case: (case.told, [shares(case)] * len(case.told) if case.known else None),
    ),
    "query": (query, lambda case: case.told[0]),
    "form": (form, lambda case: case.told[0]),
    "page": (page, lambda case: [True] * len(flat(case.told[:1]))),
    "text": (plain, lambda case: ", ".join(texts(flat(case.told[:1])))),
    "CSV": (table, lambda case: [list(map(cell, flat([each]))) for each in case.told]),
    "V2": (v2, lambda case: (case.datatype, tensor(case))),
    "V2 in bytes": (v2_binary, lambda case: (case.datatype, tensor(case))),
    "V2 metadata": (
        metadata,
        lambda case: (case.datatype, CONFIG.get(case.datatype, f"TYPE_{case.datatype}")),
    ),
    "V1": (v1, lambda case: case.told),
    "description": (description, described),
}


async def misread(root: Path, names: Mapping[str, str], doors: Iterable[str]) -> dict[Any, Any]:
    """What was read otherwise than it is, and what it is, by case and door."""
    wrong = {}
    async with started(create_app(MODEL_STORE=root, RECIPES="")) as app:
        client = app.test_client()
        for name, case in names.items():
            for door in doors:
                ask, expected = DOORS[door]
                found, wanted = await ask(client, name, CASES[case]), expected(CASES[case])
                if repr(found) != repr(wanted):  # which tells 1 from 1.0 and True
                    wrong[case, door] = (found, wanted)
    return wrong


@pytest.mark.forms
async def test_a_label_of_any_type_is_told_as_itself_by_every_door(root: Path) -> None:
    assert await misread(root, NAMES, DOORS) == {}


@pytest.mark.forms
async def test_labels_that_a_tree_was_fitted_on_come_back_as_they_are(tmp_path: Path) -> None:
    """By its plain form, which answers in place of the pipeline."""
    store, names = ModelStore(tmp_path), {}
    for number, case in enumerate(FITTED):
        y = CLASSES[case].answers
        rows = np.arange(len(y), dtype=float).reshape(-1, 1)
        served = store.publish(f"m{number}", DecisionTreeClassifier().fit(rows, y), rows, y).served
        assert served is not None
        assert served.by == "plain"
        names[f"m{number}"] = f"classes: {case}"
    doors = ("query", "text", "CSV", "V2", "V2 in bytes", "V2 metadata", "V1")
    assert await misread(tmp_path, names, doors) == {}


STRAYS: Final[dict[str, tuple[Strays, int, str]]] = {
    "another label": (
        Strays(np.array([0, 1]), np.array([7]), np.array([0, 1])),
        500,
        "answered with other than its classes: 7.",
    ),
    "another type": (
        Strays(np.array(["a", "b"], object), objects(0), np.array(["a", "b"])),
        500,
        "answered with other than its classes: 0.",
    ),
    "nothing": (
        Strays(np.array(["a", "b"], object), objects(None), np.array(["a", "b"])),
        500,
        "answered with other than its classes: None.",
    ),
    "one of two targets": (
        Strays(np.array([["a", 0], ["b", 1]]), np.array([["a", 2]]), [["a", "b"], [0, 1]]),
        500,
        "answered with other than its classes: '2'.",
    ),
    "more probabilities": (
        Strays(np.array([0, 1]), np.array([1]), np.array([0, 1]), shares=3),
        500,
        "gave probabilities of the shape (1, 3).",
    ),
    "not a number": (
        Strays(np.array([0.0, 1]), np.array([np.nan]), np.array([0.0, 1])),
        400,
        "no answer to these values: it would not be a finite number",
    ),
    "a missing text": (
        Strays(np.array(["a", "b"], object), objects(np.nan), np.array(["a", "b"])),
        400,
        "no answer to these values",
    ),
}


async def test_what_is_no_label_of_a_model_is_never_told_as_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, rows = ModelStore(tmp_path), np.array([[0.0], [1.0]])
    for number, (stray, _, _) in enumerate(STRAYS.values()):
        store.publish(f"m{number}", stray, rows)
    async with started(create_app(MODEL_STORE=tmp_path, RECIPES="")) as app:
        client = app.test_client()
        for number, (_, status, sentence) in enumerate(STRAYS.values()):
            ask = f"/models/m{number}/predict"
            for answer in (
                await client.post(ask, json={"x0": 100}),
                await client.post(ask, json=[{"x0": 100}]),
                await client.post(ask, data="x0\n100\n", headers={"Content-Type": "text/csv"}),
                await client.post(f"/v1/models/m{number}:predict", json={"instances": [[100]]}),
            ):
                assert answer.status_code == status
                told = await answer.get_data(as_text=True)
                assert sentence in (caplog.text if status == 500 else told)
            caplog.clear()

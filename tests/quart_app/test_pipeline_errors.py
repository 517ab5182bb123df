"""What a pipeline says of its failure: to the log, and not to who asked."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model_store import ModelStore
from quart_app import create_app

from ..conftest import started

SECRET = "secret /etc/hostname"
ROW = {"x0": 13, "x1": 1}
ID = {"X-Request-ID": "req-4711"}
HTML = {"Accept": "text/html"}
V2_ROW = [
    {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
    for name, value in ROW.items()
]


class Telling(LogisticRegression):  # type: ignore[misc]
    """Raises for a 13, what is of the row, and for a 14, what is a defect."""

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        if (X == 13).any():
            raise ValueError(SECRET)
        if (X == 14).any():
            raise RuntimeError(SECRET)
        return np.asarray(super().predict(X))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = np.array([[1.0, 2.0], [2.0, 1.0], [5.0, 6.0], [6.0, 5.0]])
    store = ModelStore(tmp_path_factory.mktemp("telling"))
    store.publish("telling", Telling().fit(rows, [0, 0, 1, 1]), rows, np.array([0, 0, 1, 1]))
    return store.root


PREDICT = "/models/telling/predict"
TABLE = "x0,x1\n" + "1,1\n" * 1000 + "13,1\n14,1\n"
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "JSON": (PREDICT, {"json": ROW}),
    "many rows": (PREDICT, {"json": [ROW, {"x0": 1, "x1": 1}]}),
    "a form": (PREDICT, {"form": ROW, "headers": HTML}),
    "text": (PREDICT, {"json": ROW, "headers": {"Accept": "text/plain"}}),
    "V1": ("/v1/models/telling:predict", {"json": {"instances": [ROW]}}),
    "V2": ("/v2/models/telling/infer", {"json": {"inputs": V2_ROW}}),
    "MLflow": ("/invocations", {"json": {"dataframe_records": [ROW]}}),
    "a table": (PREDICT, {"data": TABLE, "headers": {"Content-Type": "text/csv"}}),
    "a defect": (PREDICT, {"json": {"x0": 14, "x1": 1}}),
}


@pytest.mark.parametrize("shows", [False, True])
@pytest.mark.parametrize("way", WAYS)
async def test_what_the_pipeline_said_is_in_the_log_with_the_id_and_shown_only_on_wish(
    way: str, shows: bool, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, request = WAYS[way]
    headers = request.get("headers", {}) | ID
    app = create_app(MODEL_STORE=root, RECIPES="", SHOW_ERRORS=shows)
    async with started(app) as running:
        caplog.set_level(logging.WARNING)
        answer = await running.test_client().post(path, **request | {"headers": headers})
        body = await answer.get_data(as_text=True)
    expected = {"a table": 200, "a defect": 500}.get(way, 400)
    assert answer.status_code == expected, body
    assert (SECRET in body) is shows
    assert SECRET in caplog.text
    assert "req-4711" in caplog.text
    if way not in {"a defect", "many rows"}:
        assert "with another value of x0 it has one." in body

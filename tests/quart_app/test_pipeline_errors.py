"""What is not our own in a failure, as what a pipeline said: to the log, and not to who asked."""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from model_store import ModelStore
from model_store.head_files import HEAD
from model_store.manifest import ARTIFACT, MANIFEST
from quart_app import create_app

from ..conftest import started
from ..model_store.conftest import edit_manifest, put

SECRET = "secret /etc/hostname"
KEY = "0123456789abcdef0123456789abcdef"
ROW = {"x0": 13, "x1": 1}
ID = {"X-Request-ID": "req-4711"}
HTML = {"Accept": "text/html"}
V2_ROW = [
    {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
    for name, value in ROW.items()
]


ON_LOAD: list[bool] = []
"""Whether what is loaded shall fail, and what is asked for the golden rows."""
ON_REPLAY: list[bool] = []


class Telling(LogisticRegression):  # type: ignore[misc]
    """Raises for a 13, what is of the row, and for a 14, what is a defect."""

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        if (X == 13).any():
            raise ValueError(SECRET)
        if (X == 14).any():
            raise RuntimeError(SECRET)
        if ON_REPLAY:
            raise RuntimeError(SECRET)
        return np.asarray(super().predict(X))

    def __setstate__(self, state: dict[str, Any]) -> None:
        if ON_LOAD:
            raise RuntimeError(SECRET)
        super().__setstate__(state)


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


# Models that do not load --------------------------------------------------------------


def unreadable(folder: Path) -> None:
    (folder / ARTIFACT).unlink()
    (folder / ARTIFACT).mkdir()


def running_code(folder: Path) -> None:
    put(folder / "steps.py", f"raise OSError({SECRET!r})".encode())
    put(folder / ARTIFACT, b"csteps\nStep\n.")
    edit_manifest(folder, "code", value="steps.py")


def of_a_package_that_is_gone(folder: Path) -> None:
    put(folder / ARTIFACT, b"clost_package\nThing\n.")
    edit_manifest(folder, "allowed", value=["lost_package.Thing"])


def unsound(folder: Path) -> None:
    matrix = scipy.sparse.csr_array(np.eye(2))
    matrix.indices[0] = 99
    put(folder / ARTIFACT, pickle.dumps(FunctionTransformer(kw_args={"a": matrix})))


def forged(folder: Path) -> None:
    step = b"cpandas._libs.tslibs.offsets\nWeek\n(I1\nI00\nI9\ntR."
    put(folder / ARTIFACT, step)


FAILURES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a manifest that is none": (lambda folder: (folder / MANIFEST).write_text("[]"), "Expected"),
    "a head that is none": (
        lambda folder: (folder.parent / HEAD).write_text("[]"),
        "Expected",
    ),
    "a file that is a folder": (unreadable, "IsADirectoryError"),
    "code that raises": (running_code, SECRET),
    "a package that is not there": (of_a_package_that_is_gone, "ModuleNotFoundError"),
    "indices that lead elsewhere": (unsound, "ValueError"),
    "what pandas does not take": (forged, "ValueError"),
    "raised when it is loaded": (lambda _: ON_LOAD.append(True), SECRET),
    "raised when it is warmed": (lambda _: ON_REPLAY.append(True), SECRET),
}
ASKED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/health/ready", {}),
    ("GET", "/models", {}),
    ("GET", "/models/telling", {}),
    ("GET", "/models/telling", {"headers": HTML}),
    ("GET", "/", {"headers": HTML}),
    ("GET", "/models/telling/about", {"headers": HTML}),
    ("GET", "/metrics", {}),
    ("GET", "/openapi.json", {}),
    ("GET", "/v2/models/telling/ready", {}),
    ("GET", "/v2/models/telling", {}),
    ("GET", "/v1/models/telling", {}),
    ("POST", "/v2/repository/index", {}),
    ("POST", "/v2/repository/models/telling/load", {"headers": {"Authorization": "Bearer " + KEY}}),
    ("POST", "/models/telling/versions/1/predict", {"json": ROW}),
    ("POST", "/models/telling/file", {"headers": HTML}),
    *(("POST", path, request) for path, request in WAYS.values()),
)


@pytest.mark.parametrize("shows", [False, True])
@pytest.mark.parametrize("name", FAILURES)
async def test_why_a_model_failed_is_told_in_our_own_words_alone(
    name: str, shows: bool, root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fail, words = FAILURES[name]
    store = tmp_path / "secret-place"
    shutil.copytree(root, store)
    caplog.set_level(logging.WARNING)
    try:
        fail(store / "telling" / "1")
        app = create_app(
            MODEL_STORE=store,
            RECIPES="",
            SHOW_ERRORS=shows,
            API_KEYS=f"k:{hashlib.sha256(KEY.encode()).hexdigest()}",
        )
        async with started(app) as running:
            client = running.test_client()
            bodies = [
                await (await client.open(path, method=method, **request)).get_data(as_text=True)
                for method, path, request in ASKED
            ]
    finally:
        ON_LOAD.clear()
        ON_REPLAY.clear()
    assert '"state": "failed"' in bodies[0].replace('":"', '": "'), bodies[0]
    assert words in caplog.text
    told = [body for body in bodies if words in body]
    assert bool(told) is shows
    if not shows:
        foreign = re.compile(r"secret|Traceback|[a-z]Error: |/tmp/")
        assert not [body for body in bodies if foreign.search(body)]

"""A body beyond a limit is refused with the setting that allows more, at every door."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path
from typing import Any, Final

import pytest
from quart.datastructures import FileStorage

from quart_app import create_app
from quart_app.config import SETTINGS

from ...conftest import started

ASKED: Final = "/models/exam/predict"
LARGE: Final = b"[" + b" " * 3000 + b"]"
BINARY: Final = {"Inference-Header-Content-Length": "0"}
CSV: Final = {"Content-Type": "text/csv"}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
GZIP: Final = {"Content-Encoding": "gzip"}
JSON: Final = {"Content-Type": "application/json"}

DOORS: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "json": (ASKED, {"data": LARGE, "headers": JSON}, "JSON_BYTES"),
    "gzip": (ASKED, {"data": gzip.compress(LARGE), "headers": JSON | GZIP}, "JSON_BYTES"),
    "form": (ASKED, {"data": LARGE, "headers": FORM}, "FORM_BYTES"),
    "table": (ASKED, {"data": b"X1,X2\n" + b"1,2\n" * 900, "headers": CSV}, "CSV_BYTES"),
    "file": (
        "/models/exam/file",
        {"files": {"file": FileStorage(io.BytesIO(b"X1,X2\n" + b"1,2\n" * 900), "a.csv")}},
        "CSV_BYTES",
    ),
    "v1": ("/v1/models/exam:predict", {"data": LARGE}, "JSON_BYTES"),
    "v2": ("/v2/models/exam/infer", {"data": LARGE}, "JSON_BYTES"),
    "v2 in bytes": ("/v2/models/exam/infer", {"data": LARGE, "headers": BINARY}, "TENSOR_BYTES"),
    "invocations": ("/invocations", {"data": LARGE, "headers": JSON}, "JSON_BYTES"),
    "rows": (ASKED, {"json": [{"X1": 1, "X2": 2}] * 9}, "ROWS"),
    "rows of v1": (
        "/v1/models/exam:predict",
        {"json": {"instances": [{"X1": 1, "X2": 2}] * 9}},
        "ROWS",
    ),
    "rows of v2": (
        "/v2/models/exam/infer",
        {
            "json": {
                "inputs": [
                    {"name": name, "shape": [9], "datatype": "FP64", "data": [1.0] * 9}
                    for name in ("X1", "X2")
                ]
            }
        },
        "ROWS",
    ),
}


@pytest.mark.parametrize("door", DOORS)
async def test_what_is_beyond_a_limit_is_told_the_setting(bundled_root: Path, door: str) -> None:
    path, sent, setting = DOORS[door]
    limits: dict[str, Any] = dict.fromkeys(
        ("MAX_JSON_BYTES", "MAX_FORM_BYTES", "MAX_CSV_BYTES"), 2000
    )
    app = create_app(
        MODEL_STORE=bundled_root, RECIPES="", MAX_ROWS=8, MAX_TENSOR_BYTES=2000, **limits
    )
    async with started(app) as running:
        answer = await running.test_client().post(path, **sent)
    assert answer.status_code == 413
    text = str(await answer.get_data(as_text=True))
    assert re.findall(r"QUART_APP_(\w+)", text) == [f"MAX_{setting}"]


def test_the_settings_that_are_told_are_settings() -> None:
    told = {setting for _, _, setting in DOORS.values()} | {"TENSOR_ROWS"}
    assert {f"MAX_{setting}" for setting in told} <= {setting.name for setting in SETTINGS}

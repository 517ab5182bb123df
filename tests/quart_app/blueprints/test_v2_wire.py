"""V2 over a real port: bodies of megabytes, content codings, and limits."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from model_store import ModelStore

from ...conftest import Server, serving
from ...protocols import packed, unpacked

pytestmark = pytest.mark.process

HEADER = "Inference-Header-Content-Length"
IRIS = "/v2/models/iris/infer"
EXAM = "/v2/models/exam/infer"
X1 = {"name": "X1", "shape": [1], "datatype": "FP64", "data": [61.1]}
X2 = {"name": "X2", "shape": [1], "datatype": "FP64", "data": [17.3]}


@pytest.fixture(scope="module")
def server(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the bundled models, once it is ready."""
    folder = tmp_path_factory.mktemp("port")
    with serving(cwd=folder, QUART_APP_MODEL_STORE=bundled_root) as running:
        running.wait_until_ready()
        yield running


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}


@pytest.mark.parametrize("coding", CODINGS)
def test_bodies_of_a_megabyte_go_and_come_in_each_coding(
    coding: str, server: Server, bundled: ModelStore
) -> None:
    random = np.random.default_rng(0)
    rows = random.uniform(1, 7, (40_000, 4))
    model = bundled.load(bundled.verify("iris", pickles="always"))
    each = {
        "name": "x",
        "shape": [40_000, 4],
        "datatype": "FP64",
        "data": rows.ravel().tolist(),
    }
    body, length = packed([each], parameters={"binary_data_output": True})
    answer = httpx.post(
        server.url + IRIS,
        content=CODINGS[coding](body),
        headers={HEADER: str(length), "Content-Encoding": coding, "Accept-Encoding": coding},
        timeout=30,
    )
    assert answer.status_code == 200
    assert answer.headers.get("Content-Encoding", "identity") == coding
    assert "Accept-Encoding" in answer.headers["Vary"]
    found = unpacked(answer.content, int(answer.headers[HEADER]))
    labels, shares = (output["data"] for output in found["outputs"])
    assert labels == model.pipeline.predict(rows).tolist()
    np.testing.assert_allclose(
        np.reshape(shares, (-1, 3)), model.pipeline.predict_proba(rows), rtol=1e-12
    )


def test_json_goes_and_comes_in_each_coding(server: Server) -> None:
    body = json.dumps({"inputs": [X1, X2], "id": "7"}).encode()
    for sent, code in CODINGS.items():
        for wanted in CODINGS:
            answer = httpx.post(
                server.url + EXAM,
                content=code(body),
                headers={"Content-Encoding": sent, "Accept-Encoding": wanted},
            )
            assert answer.json()["outputs"][0]["data"] == [0]
            assert answer.headers.get("Content-Encoding", "identity") == wanted


def test_tensors_beyond_the_limit_are_a_413_and_the_server_answers_on(server: Server) -> None:
    limit = 16 * 1024 * 1024
    for body, headers in (
        (bytes(limit + 1), {}),
        (gzip.compress(bytes(limit + 1)), {"Content-Encoding": "gzip"}),
    ):
        answer = httpx.post(
            server.url + EXAM, content=body, headers={HEADER: "0", **headers}, timeout=30
        )
        assert answer.status_code == 413
        assert str(limit) in answer.json()["error"]
    body, length = packed([X1, X2])
    assert httpx.post(server.url + EXAM, content=body, headers={HEADER: str(length)}).is_success

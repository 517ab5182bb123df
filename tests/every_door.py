"""A program that serves a store in its own process, asks each model at every door, and prints the
modules that were imported by then. It needs nothing that tests need.

    python every_door.py STORE SETTINGS-AS-JSON
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from quart.datastructures import FileStorage
from quart.typing import TestClientProtocol as Client

from model_store import Manifest, Model
from quart_app import create_app
from quart_app.context import context_of

HTML = {"Accept": "text/html"}
CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/jsonl"}

PAGES = (
    *("/", "/docs", "/openapi.json", "/metrics", "/health", "/health/ready", "/ping"),
    *("/v1/models", "/v2", "/v2/models", "/v2/models/stats"),
    "/version",
)
OF_MODEL = (
    *("/models/{}", "/models/{}/about", "/models/{}/card", "/models/{}/file"),
    *("/models/{}/file/example.csv", "/v1/models/{}", "/v2/models/{}", "/v2/models/{}/config"),
    *("/v2/models/{}/ready", "/v2/models/{}/stats"),
)


async def main(root: str, settings: Mapping[str, Any]) -> None:
    app = create_app(MODEL_STORE=root, RECIPES="", TOUR=False, **settings)
    async with app.test_app() as running:
        registry = context_of(app).registry
        await registry.started.wait()
        client = running.test_client()
        for page in PAGES:
            await require(await client.get(page, headers=HTML))
        for name, entry in registry.entries.items():
            assert entry.servable is not None, entry.reason
            await ask(client, name, entry.servable._model)


async def ask(client: Client, name: str, model: Model) -> None:
    for page in OF_MODEL:
        for headers in (HTML, {"Accept": "application/json"}):
            await require(await client.get(page.format(name), headers=headers))
    rows, labels = model.sample.rows, model.sample.predictions
    path = f"/models/{name}/predict"
    one = json.loads(await require(await client.post(path, json=rows[0])))
    assert same(one["prediction"], labels[0])
    many = json.loads(await require(await client.post(path, json=rows)))
    assert all(map(same, many["predictions"], labels))
    for measure, numbers in (model.sample.measures or {}).items():
        assert all(map(same, many[measure], numbers))
    texts = {key: "" if value is None else str(value) for key, value in rows[0].items()}
    for headers in (HTML, {"Accept": "application/json"}):
        await require(await client.get(path, query_string=texts, headers=headers))
        await require(await client.post(path, form=texts, headers=headers))
    assert (await client.post(path, json={})).status_code == 400
    await require(await client.post(path, data=table(rows * 300), headers=CSV))
    lines = "\n".join(map(json.dumps, rows * 300)).encode()
    await require(await client.post(path, data=lines, headers=LINES))
    file = FileStorage(stream=io.BytesIO(table(rows)), filename="rows.csv")
    await require(await client.post(f"/models/{name}/file", files={"file": file}), 303)
    await ask_as_others(client, name, model.manifest, rows)


async def ask_as_others(
    client: Client, name: str, manifest: Manifest, rows: list[dict[str, Any]]
) -> None:
    """By the protocols of other servers."""
    v1 = {"instances": rows}
    await require(await client.post(f"/v1/models/{name}:predict", json=v1))
    split = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
    for body in ({"dataframe_split": split}, {"dataframe_records": rows}):
        await require(await client.post(f"/invocations?model={name}", json=body))
    infer = f"/v2/models/{name}/infer"
    inputs = [
        {"name": column, "shape": [1], "datatype": datatype, "data": [value]}
        for column, value in rows[0].items()
        for datatype in ["BYTES" if isinstance(value, str) else "FP64"]
    ]
    await require(await client.post(infer, json={"inputs": inputs}))
    tail = b"".join(as_bytes(each) for each in inputs)
    head = json.dumps({"inputs": inputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    await require(await client.post(infer, data=head + tail, headers=headers))


def as_bytes(tensor: dict[str, Any]) -> bytes:
    """The one value of a tensor, which from now on stands behind the JSON."""
    (value,) = tensor.pop("data")
    if isinstance(value, str):
        text = value.encode()
        data = struct.pack("<I", len(text)) + text
    else:
        data = struct.pack("<d", float("nan") if value is None else value)
    tensor["parameters"] = {"binary_data_size": len(data)}
    return data


def same(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return found == expected


def table(rows: Iterable[Mapping[str, Any]]) -> bytes:
    rows = list(rows)
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    text = "\n".join(",".join("" if each is None else str(each) for each in line) for line in lines)
    return f"{text}\n".encode()


async def require(response: Any, status: int = 200) -> bytes:
    """The body of an answer that has this status."""
    data: bytes = await response.get_data()
    assert response.status_code == status, (response.status_code, data[:500])
    return data


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
    print(*sys.modules)

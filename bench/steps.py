"""Microseconds of each step on the way of a request, in this process: where a regression lies.

python -m bench --only steps
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store import ModelStore
from model_store.backend import served_here
from quart_app.config import Config
from quart_app.protocols import native
from quart_app.serving.batcher import Batcher
from quart_app.serving.servable import Servable
from quart_app.serving.workers import Workers

from .workloads import NAMES, Workload, publish

SAMPLES = 15
SAMPLE_SECONDS = 0.02

Row = dict[str, Any]


def measure() -> list[Row]:
    """For each model, the steps of one row."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return [asyncio.run(_steps(publish(name, Path(folder)))) for name in NAMES]


async def _steps(workload: Workload) -> Row:
    store = ModelStore(workload.store)
    model = store.load(store.verify(workload.name))
    pipeline = store.load(store.verify(workload.name, pickles="always")).pipeline
    signature = model.manifest.signature
    config = Config()
    body = json.dumps(dict(zip(workload.columns, workload.rows[0], strict=True))).encode()
    request = native.decode(body, max_rows=config.max_rows)

    def validate() -> NDArray[Any]:
        return signature.validate(request.named(signature.names), request.rows, request.rules)

    matrix = validate()
    workers = Workers(1, patience=config.deadline)
    with workers, ThreadPoolExecutor(1) as validator:
        servable = Servable(model, workers, config, validator=validator)
        hop: Batcher[NDArray[Any]] = Batcher(
            lambda rows: rows,
            executor=workers,
            max_batch_size=config.max_batch_size,
            max_queue_size=config.max_queue_size,
        )
        response = await servable.infer(request)
        row = {
            "model": workload.name,
            "by": served_here(model.manifest.served).by,
            "decode": _time(lambda: native.decode(body, max_rows=config.max_rows)),
            "validate": _time(validate),
            "hop": await _time_async(lambda: hop.submit(matrix)),
            "predict": _time(lambda: model.predict(matrix)),
            "encode": _time(lambda: native.encode(response, many=False)),
            "infer": await _time_async(lambda: servable.infer(request)),
            "pipeline": _time(lambda: _plain(pipeline, matrix)),
        }
        await hop.close()
        await servable.close()
    return row


def _plain(pipeline: Any, matrix: NDArray[Any]) -> tuple[Any, Any]:
    """What `predict` stands for, without any of ours."""
    return pipeline.predict(matrix), pipeline.predict_proba(matrix)


def _time(step: Callable[[], object]) -> float:
    """The microseconds of one call: the median of samples of many calls each."""
    calls = 1
    while (took := _sample(step, calls)) < SAMPLE_SECONDS:
        calls = max(2 * calls, int(calls * SAMPLE_SECONDS / max(took, 1e-9)))
    return statistics.median(_sample(step, calls) for _ in range(SAMPLES)) / calls * 1e6


def _sample(step: Callable[[], object], calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        step()
    return time.perf_counter() - begun


async def _time_async(step: Callable[[], Awaitable[object]]) -> float:
    took = []
    for _ in range(SAMPLES * 40):
        begun = time.perf_counter()
        await step()
        took.append(time.perf_counter() - begun)
    return float(np.median(took)) * 1e6

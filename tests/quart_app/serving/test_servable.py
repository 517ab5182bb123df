"""A request and a table of the same rows have one answer, and the same faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from model_store import InvalidRows, Model, ModelStore
from quart_app.config import Config
from quart_app.inference import InferenceRequest
from quart_app.serving.servable import CELLS_ON_THE_LOOP, Servable
from quart_app.serving.workers import Workers

from ...kinds import PUBLISHED

Holder = Callable[[list[Any]], Any]

HOLDERS: dict[str, Holder] = {
    "lists": list,
    "objects": lambda values: np.array(values, dtype=object),
    "arrow": pa.array,
}


@asynccontextmanager
async def serving(model: Model) -> AsyncIterator[Servable]:
    with Workers(1, patience=10) as workers, ThreadPoolExecutor(1) as validator:
        servable = Servable(model, workers, Config(), validator=validator)
        yield servable
        await servable.close()


def columns_of(model: Model, rows: int) -> dict[str, list[Any]]:
    sample = model.sample.rows
    return {
        name: [sample[row % len(sample)][name] for row in range(rows)]
        for name in model.manifest.signature.names
    }


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("rows", [1, CELLS_ON_THE_LOOP])  # on the loop, and in a thread
@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "many"])
async def test_a_request_is_answered_as_the_model_answers_its_columns(
    kinds: ModelStore, name: str, rows: int, holder: str
) -> None:
    model = kinds.load(kinds.verify(name))
    columns = columns_of(model, rows)
    expected = model.answer({key: HOLDERS[holder](each) for key, each in columns.items()}, rows)
    async with serving(model) as servable:
        response = await servable.infer(InferenceRequest(columns, rows, many=True))
    assert (response.labels == expected.labels).all()
    pairs = zip(response.probabilities or (), expected.probabilities or (), strict=True)
    assert all((mine == theirs).all() for mine, theirs in pairs)


@pytest.mark.parametrize("holder", HOLDERS)
async def test_a_request_with_a_row_that_does_not_fit_is_refused_with_the_faults_of_all(
    kinds: ModelStore, holder: str
) -> None:
    model = kinds.load(kinds.verify("mixed"))
    columns = columns_of(model, 20)
    columns["sex"][3] = columns["port"][3] = "nowhere"
    columns["age"][7] = float("inf")
    request = InferenceRequest(columns, 20, many=True)
    async with serving(model) as servable:
        with pytest.raises(InvalidRows) as refused:
            await servable.infer(request)
    found = model.answer({key: HOLDERS[holder](each) for key, each in columns.items()}, 20)
    assert found.unfit is not None
    assert np.flatnonzero(found.unfit.mask).tolist() == [3, 7]
    assert (found.unfit.faults, found.unfit.total) == (refused.value.faults, 3)

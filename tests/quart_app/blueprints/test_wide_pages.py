"""Pages of models with very many columns or categories: short enough to be used."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model_store import ModelStore
from quart_app import create_app

from ...conftest import started

WIDE: Final = 400
CITIES: Final = 5000
HTML: Final = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = ModelStore(tmp_path_factory.mktemp("wide"))
    rows = np.random.default_rng(0).normal(size=(20, WIDE)).round(3)
    frame = pandas.DataFrame(rows, columns=[f"c{i}" for i in range(WIDE)])
    answers = np.arange(20.0)
    store.publish("wide", LinearRegression().fit(frame, answers), frame, answers)
    cities = pandas.DataFrame({"city": [f"city-{i:04}" for i in range(CITIES)]})
    pipeline = make_pipeline(OneHotEncoder(), LinearRegression())
    answers = np.arange(float(CITIES))
    store.publish("cities", pipeline.fit(cities, answers), cities, answers)
    return store.root


@pytest.fixture
async def client(root: Path) -> AsyncIterator[Client]:
    async with started(create_app(MODEL_STORE=root, RECIPES="")) as app:
        yield app.test_client()


async def page(client: Client, path: str, form: dict[str, str] | None = None) -> str:
    if form is None:
        answer = await client.get(path, headers=HTML)
    else:
        answer = await client.post(path, form=form, headers=HTML)
    return str(await answer.get_data(as_text=True))


async def test_a_field_of_hundreds_is_short_and_has_its_label(client: Client) -> None:
    found = await page(client, "/models/wide")
    control = r'<input name="(c\d+)" type=number step=[\w.]+ placeholder="-?[\d.e-]+">'
    labelled = re.findall(rf"<label>(c\d+) {control}</label>", found)
    assert [one for one, _ in labelled] == [other for _, other in labelled]
    assert len(labelled) == WIDE
    assert len(found) < 90 * WIDE + 4000


async def test_a_wrong_value_among_hundreds_is_told_at_its_field(client: Client) -> None:
    row = {f"c{i}": "0.5" for i in range(WIDE)} | {"c7": "much"}
    found = await page(client, "/models/wide/predict", row)
    assert '<a href="#field-8">c7: expected a number' in found
    assert re.search(r'<input type="text" id="field-8" name="c7"[^>]* value="much"', found)
    assert found.count('value="0.5"') == WIDE - 1
    answered = await page(client, "/models/wide/predict", row | {"c7": "1"})
    assert "There is an error" not in answered
    assert '<section class="result"' in answered


async def test_a_card_of_hundreds_of_columns_says_how_many_more_there_are(client: Client) -> None:
    assert "And 200 more columns" in await page(client, "/models/wide/about")


async def test_one_of_thousands_of_categories_is_typed_and_near_ones_are_offered(
    client: Client,
) -> None:
    asked = await page(client, "/models/cities")
    assert "One of 5,000, such as city-" in asked
    assert len(asked) < 10_000
    wrong = await page(client, "/models/cities/predict", {"city": "City 0123"})
    assert "Expected one of 5,000, got" in wrong
    assert "Near that: city-0123" in wrong
    assert '<option value="city-0123"></option>' in wrong
    assert len(wrong) < 10_000
    answered = await page(client, "/models/cities/predict", {"city": "city-0123"})
    assert "There is an error" not in answered
    assert 'value="city-0123"' in answered
    assert len(answered) < 20_000

"""A page shows an answer in words, as JSON, as a command, and how it would move."""

from __future__ import annotations

import html
import json
import re
import shlex
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from quart.typing import TestClientProtocol as Client
from sklearn.datasets import load_iris
from sklearn.svm import LinearSVC

from model_store import ModelStore
from model_store.manifest import Target
from quart_app import create_app
from quart_app.blueprints.results import LONGEST_LINK, MARGIN, WIDTH, _place

from ...conftest import started
from ...kinds import PUBLISHED
from .test_pages import HTML, PASSENGER, Page, read

TONS = Target(name="mass", minimum=0.0, maximum=10.0, quantiles=(0, 1, 2, 3, 10))


# Where a number lies --------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1.0, "Lower than all of the training data."),
        (0.5, "Higher than 12 % of the training data."),
        (2.0, "Higher than 50 % of the training data."),
        (10.0, "Higher than 100 % of the training data."),
        (11.0, "Higher than all of the training data."),
    ],
)
def test_a_number_is_placed_among_those_of_the_training_data(value: float, words: str) -> None:
    place = _place(TONS, value)
    assert place is not None
    assert place.words == words
    assert place.box is not None
    assert MARGIN <= place.low < place.box[0] < place.box[1] < place.high <= WIDTH - MARGIN
    assert MARGIN <= place.here <= WIDTH - MARGIN
    assert (place.here < place.low, place.here > place.high) == (value < 0, value > 10)


def test_a_number_has_a_place_only_where_there_is_a_range() -> None:
    assert _place(TONS, None) is None
    assert _place(Target(name="mass"), 1.0) is None
    assert _place(Target(name="mass", minimum=1.0, maximum=1.0), 1.0) is None
    huge = _place(Target(name="mass", minimum=-1.7e308, maximum=1.7e308), 0.0)
    assert huge is not None
    assert huge.here == WIDTH / 2
    assert huge.words == "Within the range of the training data."


# The page ------------------------------------------------------------------------


async def asked(client: Client, name: str, row: dict[str, str]) -> str:
    answer = await client.post(f"/models/{name}/predict", form=row, headers=HTML)
    assert answer.status_code == 200
    return await answer.get_data(as_text=True)


def shown(page: str, summary: str) -> str:
    """The text under that summary."""
    found = re.search(rf"<summary>{summary}</summary>\s*<pre.*?>(.*?)</pre>", page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


async def test_the_json_on_the_page_is_the_one_that_a_client_gets(kinds_client: Client) -> None:
    told = json.loads(shown(await asked(kinds_client, "mixed", PASSENGER), "As JSON"))
    answer = await kinds_client.post(
        "/models/mixed/predict", form=PASSENGER, headers={"Accept": "application/json"}
    )
    same = await answer.get_json()
    assert told | {"id": ""} == same | {"id": ""}


@pytest.mark.parametrize("name", ["mixed", "awkward", "numbers"])
async def test_the_command_on_the_page_asks_for_the_same(name: str, kinds_client: Client) -> None:
    example = Page(
        await (await kinds_client.get(f"/models/{name}?example=0", headers=HTML)).get_data(
            as_text=True
        )
    ).sent
    page = await asked(kinds_client, name, example)
    curl, silent, url, *rest = shlex.split(shown(page, "As a command"))
    assert (curl, silent, rest[::2]) == ("curl", "-s", ["-H", "-d"])
    kind, _, value = rest[1].partition(": ")
    answer = await kinds_client.post(
        urlsplit(url).path, headers={kind: value}, data=rest[3].encode()
    )
    assert answer.status_code == 200
    found = await answer.get_json()
    assert found | {"id": ""} == json.loads(shown(page, "As JSON")) | {"id": ""}


async def test_a_link_that_is_too_long_for_some_is_not_offered(kinds_client: Client) -> None:
    row = PASSENGER | {"note": "n" * LONGEST_LINK}
    page = Page(await asked(kinds_client, "mixed", row))
    assert "Link to this result" not in page.links
    assert "Change the values" in page.links


async def test_an_example_fills_the_form_and_gets_the_answer_that_it_is_called_by(
    client: Client,
) -> None:
    page = await read(client, "/models/iris")
    offered = {text: link for text, link in page.links.items() if "example=" in link}
    assert list(offered) == ["typical values", "Setosa", "Versicolor", "Virginica"]
    for called, link in offered.items():
        filled = await read(client, link.removesuffix("#ask"))
        assert all(filled.sent.values())
        answered = Page(await asked(client, "iris", filled.sent))
        if called != "typical values":
            assert answered.answers == [f"species: {called}"]


@pytest.mark.parametrize("number", ["9", "-1", "x", "", "\u0661", "9" * 5000, "0" * 9 + "99"])
async def test_an_example_that_there_is_not_fills_nothing(number: str, client: Client) -> None:
    page = await client.get("/models/iris", query_string={"example": number}, headers=HTML)
    assert page.status_code == 200
    assert not any(Page(await page.get_data(as_text=True)).sent.values())


async def test_the_page_says_how_the_answer_would_move_with_each_value(client: Client) -> None:
    flower = (await read(client, "/models/iris?example=3")).sent
    page = await asked(client, "iris", flower)
    assert page.count("<figure>") == 4
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == list(flower)
    assert "How likely <strong>Virginica</strong> is" in page


async def test_without_probabilities_the_page_says_where_the_answer_changes(
    tmp_path: Any,
) -> None:
    data = load_iris()
    X = data.data[:, 2:3]
    store = ModelStore(tmp_path)
    store.publish("petals", LinearSVC().fit(X, data.target), X, data.target)
    async with started(create_app(MODEL_STORE=tmp_path, RECIPES="")) as app:
        page = await asked(app.test_client(), "petals", {"x0": "1.5"})
    runs = re.findall(r"<li>(.*?) to (.*?): (\d)</li>", page)
    assert [label for *_, label in runs] == sorted({label for *_, label in runs})
    assert (float(runs[0][0]), float(runs[-1][1])) == (np.min(X), np.max(X))


async def test_too_many_columns_have_no_curves_and_the_page_says_why(
    kinds_client: Client,
) -> None:
    row = (await read(kinds_client, "/models/many?example=0")).sent
    page = await asked(kinds_client, "many", row)
    assert "<figure>" not in page
    assert "The model has more than 20 columns." in page


# About ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
async def test_every_model_has_a_page_about_it(name: str, kinds_client: Client) -> None:
    answer = await kinds_client.get(f"/models/{name}/about", headers=HTML)
    page = await answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "<script" not in page
    for heading in ("How good it is", "Where it comes from", "What it takes", "Versions"):
        assert f"<h2>{heading}</h2>" in page


async def test_the_page_about_a_model_tells_what_its_card_does(client: Client) -> None:
    for name in ("iris", "diabetes"):
        card = await (await client.get(f"/models/{name}/card")).get_json()
        page = html.unescape(
            await (await client.get(f"/models/{name}/about", headers=HTML)).get_data(as_text=True)
        )
        for value in card["measurement"]["scores"].values():
            assert f"{value:.3f}" in page
        for told in (
            card["origin"]["data"],
            card["measurement"]["how"],
            card["versions"][0]["why"],
            card["served"],
            *(column["name"] for column in card["inputs"]),
        ):
            assert told in page
        strips = {"iris": 3 * 4, "diabetes": 5}[name]  # of each class, of each column
        assert page.count("chart-strip") == strips
        assert page.count('role="img"') == 2 + strips

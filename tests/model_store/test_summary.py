"""What was published shows itself, and whatever was given from outside is shown as text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, scale

from model_store import Manifest, ModelStore

X = np.random.default_rng(1).normal(3, 1, (40, 2))
Y = np.where(X[:, 0] > 3, "high", "low")
PAGE = "http://127.0.0.1:8000/models/m"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    store = ModelStore(tmp_path_factory.mktemp("store"))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    return store.publish(
        "m", pipeline, X, Y, feature_names=["years", "bill"], metrics={"accuracy": 0.9731}
    )


def test_a_terminal_shows_what_was_published_in_lines(published: Manifest) -> None:
    text = str(published)
    assert repr(published) == text
    lines = text.splitlines()
    assert lines[:4] == [
        "m version 1",
        "Pipeline: StandardScaler → LogisticRegression",
        "Tells: the prediction: high, low",
        "Scores: accuracy 0.973",
    ]
    assert lines[4].startswith("Answered by: plain data: it gave the answers of the pipeline to ")
    assert lines[6].split() == ["COLUMN", "TYPE", "VALUES", "TYPICAL", "UNIT"]
    assert [line.split()[:2] for line in lines[7:9]] == [["years", "number"], ["bill", "number"]]
    assert lines[-1] == f"Its page, once quart-app serve runs: {PAGE}"
    assert "Warning" not in text


class Reader(HTMLParser):
    """The tags of a page, each closed, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_a_notebook_shows_the_same_in_html(published: Manifest) -> None:
    page = Reader(published._repr_html_())
    assert set(page.tags) == {"a", "code", "div", "p", "strong", "table", "td", "th", "tr"}
    for text in ("m version 1", "accuracy 0.973", "years", "bill", "number", "plain data", PAGE):
        assert text in page.text


def test_html_in_words_and_names_is_text(tmp_path_factory: pytest.TempPathFactory) -> None:
    sly = "<script>a('&\"')</script>"
    labels = np.where(Y == "high", "<b>high", "<b>low")
    found = ModelStore(tmp_path_factory.mktemp("store")).publish(
        "m",
        LogisticRegression().fit(X, labels),
        X,
        labels,
        feature_names=["<img src=x>", "b&b"],
        target_name="<i>",
        title=sly,
        notice=sly,
        validation=sly,
        metrics={sly: 1.0},
        units={"b&b": "<u>"},
    )
    page = Reader(found._repr_html_())
    assert not {"script", "b", "img", "i", "u"} & set(page.tags)
    for text in (sly, "<img src=x>", "b&b", "<b>high", "<u>"):
        assert text in page.text


def test_what_a_server_needs_or_does_otherwise_is_a_warning(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    store = ModelStore(tmp_path_factory.mktemp("store"))
    varying = make_pipeline(FunctionTransformer(scale), LogisticRegression()).fit(X, Y)
    frame = pandas.DataFrame(X, columns=["a", "b"])
    of_frame = make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression()).fit(frame, Y)
    cases = {
        "varies": (store.publish("m", varying, X, Y, allow_varying=True), ["so each row is asked"]),
        "frame": (
            store.publish("m", of_frame, frame, Y),
            ["The pipeline itself answers", "the server needs it: pip install 'quart-app[pandas]'"],
        ),
    }
    for found, sentences in cases.values():
        for sentence in sentences:
            assert any(
                line.startswith("Warning: ") and sentence in line
                for line in str(found).splitlines()
            )
            assert sentence in Reader(found._repr_html_()).text


def test_of_many_columns_some_are_shown(tmp_path_factory: pytest.TempPathFactory) -> None:
    wide = np.random.default_rng(2).normal(size=(30, 40))
    store = ModelStore(tmp_path_factory.mktemp("store"))
    found = store.publish("m", LogisticRegression().fit(wide, wide[:, 0] > 0), wide)
    assert "and 10 more columns" in str(found)
    assert "and 10 more columns" in found._repr_html_()

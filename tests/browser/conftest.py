"""A server with models good and odd, and browsers to look at it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from model_store import ModelStore
from quart_app.window import DAY
from tests import kinds, recorded
from tests.conftest import Server, serving

from .page import Page, launch

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

ODD_NAMES = ('<script>window.ran="column"</script>', "\"quoted\" 'twice' & more", "größe ☃")
ODD_TITLE = "<img src=x onerror='window.ran=\"title\"'>"
ODD_CLASSES = ("<b>bold</b>", "</strong> & so on")
WIDE = "w" * 64


@pytest.fixture(scope="session")
def server(bundled_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves the bundled models, those of `tests.kinds`, `odd` (HTML in every name), a model of 30
    columns with long names, `long` with long categories, `tried` with a shadow, and `broken`, which
    does not load."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(bundled_root, folder / "models")
    store = ModelStore(folder / "models")
    _publish_odd(store)
    _publish_wide(store)
    _publish_long(store)
    _publish_tried(store)
    for publish in kinds.PUBLISHED.values():
        publish(store)
    shutil.copytree(store.root / "exam", store.root / "broken")
    for name in ("diabetes", "exam", "odd", "several"):
        store.record(name, share=1.0)
    settings = {"QUART_APP_MODEL_STORE": store.root, "QUART_APP_RECIPES": ""}
    settings["DATABASE_URL"] = _record(folder, store)
    with serving(cwd=folder, **settings) as server:
        server.wait_until_ready()
        yield server


def _record(folder: Path, store: ModelStore) -> str:
    """Leave records of `exam`, whose points are not those of training any more, and of `odd`, and
    what half of them turned out to be; the URL of their database."""
    url = f"sqlite:///{folder}/records.sqlite3"
    records, _ = recorded.records_of(url, store)
    random, now = np.random.default_rng(0), time.time()
    points = pd.DataFrame(random.uniform(0, 60, (600, 2)), columns=["X1", "X2"])
    odd = pd.DataFrame(random.uniform(-1, 1, (150, 3)), columns=[*ODD_NAMES])
    for name, rows in (("exam", points), ("odd", odd)):
        asked = recorded.ask(store, rows, name)
        at = np.linspace(now - 6 * DAY, now - 60, len(rows)).tolist()
        ids = recorded.record(records, asked, at, name=name, milliseconds=3.0)
        truths = dict(zip(ids, [*asked.labels[: len(ids) // 3], *asked.labels], strict=False))
        recorded.tell(records, truths, now, name)
        recorded.refuse(records, [now - 50, now - 3600], name=name)
    return url


def _publish_odd(store: ModelStore) -> None:
    X = np.linspace(-1, 1, 30).reshape(10, 3)
    y = np.array(ODD_CLASSES * 5)
    store.publish(
        "odd",
        DecisionTreeClassifier(random_state=0).fit(X, y),
        X,
        y,
        feature_names=ODD_NAMES,
        target_name="<i>kind</i>",
        title=ODD_TITLE,
        description=ODD_TITLE,
        notice=ODD_TITLE,
    )


def _publish_wide(store: ModelStore) -> None:
    X = np.random.default_rng(0).normal(size=(40, 30)) * 1e6
    y = (X[:, 0] > 0).astype(int)
    names = [f"{i}_{'without_a_space_' * 6}" for i in range(30)]
    pipeline = LogisticRegression().fit(X / 1e6, y)
    store.publish(WIDE, pipeline, X, y, feature_names=names, target_name=WIDE)


def _publish_long(store: ModelStore) -> None:
    X = np.array([[f"{i % 3}{WIDE}", f"{i % 4}{WIDE}"] for i in range(24)], dtype=object)
    y = np.arange(24) % 2
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(X, y)
    store.publish("long", pipeline, X, y, feature_names=["buttons", "list"])


def _publish_tried(store: ModelStore) -> None:
    X, y = np.linspace(-1, 1, 20).reshape(10, 2), np.arange(10) > 4
    for _ in range(3):
        store.publish("tried", LogisticRegression().fit(X, y), X, y)
    store.promote("tried", 1, why=ODD_TITLE)
    store.challenge("tried", 3, "shadow", share=0.5, why=WIDE)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One Chromium for all tests."""
    with _running(tmp_path_factory.mktemp("profile"), script=True) as driver:
        yield driver


@pytest.fixture(scope="session")
def scriptless_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One Chromium whose pages run no script."""
    with _running(tmp_path_factory.mktemp("profile"), script=False) as driver:
        yield driver


@contextlib.contextmanager
def _running(profile: Path, *, script: bool) -> Iterator[WebDriver]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None or importlib.util.find_spec("selenium") is None:
        absent("These tests need Chromium, chromedriver and selenium.")
    running = launch(browser, driver, profile, script=script)
    try:
        yield running
    finally:
        running.quit()


def absent(sentence: str) -> NoReturn:
    """Skip the test for want of something, or fail it where a browser is required."""
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture
def page(chromium: WebDriver, server: Server) -> Page:
    """A browser, wide and light."""
    return fresh(chromium, server)


@pytest.fixture
def scriptless(scriptless_chromium: WebDriver, server: Server) -> Page:
    """A browser without JavaScript."""
    return fresh(scriptless_chromium, server)


def fresh(driver: WebDriver, server: Server) -> Page:
    """The browser as if just opened."""
    page = Page(driver, server.url)
    driver.get("about:blank")
    page.look()
    page.obey()
    page.forget()
    return page

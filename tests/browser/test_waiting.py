"""The pages of a server whose model is still on its way."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from model_store import ModelStore
from tests.conftest import serving

from .conftest import fresh
from .held import GATE, Held
from .page import Page

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file whose appearance lets the model load."""
    return tmp_path / "gate"


@pytest.fixture(params=["chromium", "scriptless_chromium"])
def waiting(request: pytest.FixtureRequest, tmp_path: Path, gate: Path) -> Iterator[Page]:
    """A browser before a server that is loading its only model, `held`."""
    driver: WebDriver = request.getfixturevalue(request.param)
    store = ModelStore(tmp_path / "models")
    X = np.array([[-1.0], [1.0]])
    store.publish("held", Held().fit(X, [0, 1]), X, [0, 1])
    settings = {"QUART_APP_MODEL_STORE": store.root, "QUART_APP_RECIPES": "", GATE: gate}
    with serving(cwd=tmp_path, **settings) as server:
        yield fresh(driver, server)


SEEN = {
    "/": ".state-ready",
    "/models/held": "form input",
    "/models/held/predict?x0=5": ".result",
}
"""What each page shows once the model is loaded."""


def test_the_pages_of_a_loading_model_turn_into_what_was_asked_for(
    waiting: Page, gate: Path
) -> None:
    tabs = {}
    for path in SEEN:
        waiting.driver.switch_to.new_window("tab")
        tabs[path] = waiting.driver.current_window_handle
        waiting.open(path)
        assert "This page looks again" in waiting.text("main")
        assert waiting.all("form") == []
    gate.touch()
    for path, selector in SEEN.items():
        waiting.driver.switch_to.window(tabs[path])
        waiting.until(partial(waiting.all, selector))
        assert waiting.driver.current_url == waiting.url + path
        assert waiting.all("meta[http-equiv=refresh]") == []
        waiting.driver.close()
    waiting.driver.switch_to.window(waiting.driver.window_handles[0])

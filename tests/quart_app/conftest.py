"""A store with the models of `tests.kinds`, and a client of an app that serves them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app import create_app

from ..conftest import started
from ..kinds import PUBLISHED


@pytest.fixture(scope="session")
def kinds_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with every model of `tests.kinds`; not to be written to."""
    store = ModelStore(tmp_path_factory.mktemp("kinds"))
    for publish in PUBLISHED.values():
        publish(store)
    return store.root


@pytest.fixture
def kinds(kinds_root: Path) -> ModelStore:
    """A store with every model of `tests.kinds`; not to be written to."""
    return ModelStore(kinds_root)


@pytest.fixture
async def kinds_client(kinds_root: Path) -> AsyncIterator[Client]:
    """A client of an app that serves them."""
    async with started(create_app(MODEL_STORE=kinds_root, RECIPES="")) as app:
        yield app.test_client()

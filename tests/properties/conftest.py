"""A server for the pipelines of a module, and no logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from .served import served
from .trials import Trials


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with served(tmp_path_factory.mktemp("properties")) as running:
        yield Trials(running)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the server logs of a pipeline that fails would bury the smallest example."""
    caplog.set_level(logging.CRITICAL + 1)

"""A store with the models of `tests.kinds`, a client of an app that serves them, and commands."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from quart_app import create_app
from quart_app.cli.main import main
from quart_app.serving import short_calls

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


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a command."""

    code: int
    stdout: str
    stderr: str


Command = Callable[..., Ended]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`quart-app` in this process, without settings but these: in one of its own most commands
    would take less time than their imports."""
    for name in os.environ:
        if name.startswith("QUART_APP_"):
            monkeypatch.delenv(name)

    def command(*arguments: str, **variables: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["quart-app", *arguments])
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return Ended(int(ended.value.code or 0), told.out, told.err)

    return command


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models that are loaded from now on predict in threads alone, which can be kept busy."""
    monkeypatch.setattr(short_calls, "ROWS", ())

"""A server in this process, to which pipelines are published one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config

from model_store import ModelStore
from quart_app import create_app
from quart_app.client import AsyncClient
from quart_app.context import context_of

from .doors import Asker


@dataclass(frozen=True, slots=True)
class Served:
    """The store, and who asks the app that serves it; all of it runs in `runner`."""

    store: ModelStore
    asker: Asker
    runner: asyncio.Runner

    @contextlib.contextmanager
    def loaded(self, model: str) -> Iterator[None]:
        """While its newest version answers."""
        self.runner.run(self._change(model, "load"))
        try:
            yield
        finally:
            self.runner.run(self._change(model, "unload"))

    async def _change(self, model: str, change: str) -> None:
        path = f"/v2/repository/models/{model}/{change}"
        response = await self.asker.inside.post(path, json={})
        assert response.status_code == 200, await response.get_data(as_text=True)


@contextlib.contextmanager
def served(root: Path) -> Iterator[Served]:
    """An empty store at `root`, and an app that serves what will be in it."""
    with asyncio.Runner() as runner:
        running = _running(root)
        asker = runner.run(running.__aenter__())
        try:
            yield Served(ModelStore(root), asker, runner)
        finally:
            runner.run(running.__aexit__(None, None, None))


@contextlib.asynccontextmanager
async def _running(root: Path) -> AsyncIterator[Asker]:
    app = create_app(MODEL_STORE=root, RECIPES="", KEYS_FOR="none")
    config, stop = Config(), asyncio.Event()
    config.errorlog = None
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config.bind = [f"fd://{listening.detach()}"]  # The server closes it.
    task = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    await context_of(app).registry.started.wait()
    async with AsyncClient(url, retries=0) as outside:
        yield Asker(app.test_client(), outside)
    stop.set()
    await task

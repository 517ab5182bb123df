"""What most tests need: a store with the bundled models, an app that serves it, and a server."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from quart import Quart
from quart.typing import TestAppProtocol as RunningApp
from quart.typing import TestClientProtocol as Client

from model_store import ModelStore
from model_store.recipes import RECIPES
from quart_app import create_app
from quart_app.context import context_of

STDERR = ".serve.log"
"""The file in the working directory of a server that has what it wrote to stderr."""

MakeApp = Callable[..., AbstractAsyncContextManager[RunningApp]]


def pytest_configure() -> None:
    """Let no test fail since a busy machine took longer than Hypothesis has it. The few tests that
    other Pythons run need no Hypothesis."""
    if find_spec("hypothesis") is not None:
        from hypothesis import settings

        settings.register_profile("untimed", deadline=None)
        settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def not_following() -> Iterator[None]:
    """Servers of tests look at their store when they start, and later only where a test says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUART_APP_FOLLOW", "0")
        yield


@pytest.fixture(scope="session")
def bundled_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with every bundled model, trained once; not to be written to."""
    root = tmp_path_factory.mktemp("bundled")
    store = ModelStore(root)
    for recipe in RECIPES.values():
        recipe.train(store)
    return root


@pytest.fixture
def bundled(bundled_root: Path) -> ModelStore:
    """A store with every bundled model; not to be written to."""
    return ModelStore(bundled_root)


@pytest.fixture
def store(bundled_root: Path, tmp_path: Path) -> ModelStore:
    """A store of the test's own, with every bundled model."""
    shutil.copytree(bundled_root, tmp_path / "models")
    return ModelStore(tmp_path / "models")


@contextlib.asynccontextmanager
async def started(app: Quart) -> AsyncIterator[RunningApp]:
    """The app within its lifespan, once each of its models is ready or has failed."""
    async with app.test_app() as running:
        await context_of(app).registry.started.wait()
        yield running


@pytest.fixture
async def client(bundled_root: Path) -> AsyncIterator[Client]:
    """A client of an app that serves the bundled models."""
    async with started(create_app(MODEL_STORE=bundled_root, RECIPES="")) as app:
        yield app.test_client()


@dataclass(frozen=True, slots=True)
class Server:
    """A running `serve` command."""

    url: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def grpc_address(self) -> str:
        """Where it listens for gRPC. To be called once, before its log is read."""
        assert self.process.stdout is not None
        lines = (line.split() for line in self.process.stdout)
        return next(line[-1] for line in lines if line[:1] == ["gRPC"])

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Return when readiness is 200."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"{self.url}/health/ready", timeout=seconds).close()
                return
            assert time.monotonic() < deadline, "the server did not get ready"
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 30) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


@contextlib.contextmanager
def serving(*arguments: str, cwd: Path, **settings: Any) -> Iterator[Server]:
    """`python -m quart_app serve` on a free port, once it listens; killed at the end."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("QUART_APP_") and name != "DATABASE_URL"
    }
    environment |= {"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONUNBUFFERED": "1"}
    environment |= {"HOST": "127.0.0.1", "PORT": "0", "QUART_APP_SHUTDOWN_DELAY": "0.2"}
    environment |= {name: str(value) for name, value in settings.items()}
    with (cwd / STDERR).open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "quart_app", "serve", *arguments],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        yield Server(_announced_url(process), process)
    finally:
        process.kill()
        process.communicate()


def publish_own(folder: Path, name: str, source: str) -> None:
    """Publish a model of the class `Model` in a module of its own, of this name, in a process of
    its own, so that the module is not imported here."""
    (folder / f"{name}.py").write_text(source)
    script = (
        f"import numpy, {name}\n"
        "from model_store import ModelStore\n"
        "X, y = numpy.array([[0.0], [1.0], [2.0], [3.0]]), numpy.array([0, 0, 1, 1])\n"
        f"ModelStore('models').publish({name!r}, {name}.Model().fit(X, y), X, y, "
        f"code='{name}.py')\n"
    )
    path = own_settings(folder)["PYTHONPATH"]
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, check=True)


def own_settings(folder: Path) -> dict[str, str]:
    """What a server of the models is told that `publish_own` has published there."""
    path = f"{Path(__file__).parent.parent}{os.pathsep}{folder}"
    return {"PYTHONPATH": path, "QUART_APP_MODEL_STORE": str(folder / "models")}


def _announced_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            return found[0]
    raise AssertionError(f"The server ended with {process.wait()} before it listened.")


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager[Server]]:
    """`serving`, as a fixture."""
    return serving


@pytest.fixture
def make_app(bundled_root: Path) -> MakeApp:
    """A started app with the bundled models and these settings."""
    return lambda **settings: started(create_app(MODEL_STORE=bundled_root, RECIPES="", **settings))

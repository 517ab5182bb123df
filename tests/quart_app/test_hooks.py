"""Nothing around a view goes through a thread: to be alive takes no thread that others may hold."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from inspect import iscoroutinefunction
from typing import Any

import pytest
from quart import Quart

from quart_app import create_app

from ..conftest import MakeApp

PATIENCE = 20.0
SETTINGS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "with an origin": {"CORS_ORIGINS": "https://app.example.com"},
    "with any origin": {"CORS_ORIGINS": "*"},
    "with keys and a rate": {"KEYS_FOR": "predictions", "RATE_LIMIT": "1000/second"},
    "with prefixes": {"TOUR_PREFIX": "", "CLASSIC_PREFIX": "/old"},
    "with nothing that can be left out": {"CLASSIC": "false", "METRICS": "false"},
}


def functions_around(app: Quart) -> Iterator[Callable[..., Any]]:
    """Whatever Quart calls for a request, of the app and of its blueprints, but for
    `url_value_preprocessor`, which it calls at once."""
    for table in (
        app.before_request_funcs,
        app.before_websocket_funcs,
        app.after_request_funcs,
        app.after_websocket_funcs,
        app.teardown_request_funcs,
        app.teardown_websocket_funcs,
    ):
        for hooks in table.values():
            yield from hooks
    yield from app.teardown_appcontext_funcs
    yield from app.view_functions.values()
    for by_code in app.error_handler_spec.values():
        for by_kind in by_code.values():
            yield from by_kind.values()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_nothing_that_is_called_for_a_request_is_synchronous(settings: dict[str, Any]) -> None:
    """Quart would send it through a thread of the default executor."""
    found = list(functions_around(create_app(RECIPES="", **settings)))
    assert found
    assert [function for function in found if not iscoroutinefunction(function)] == []


@contextlib.asynccontextmanager
async def no_thread_is_free() -> AsyncIterator[None]:
    """The default executor of the loop is full meanwhile."""
    gate = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    hanging = loop.run_in_executor(None, gate.wait, PATIENCE)
    try:
        yield
    finally:
        gate.set()
        await hanging


PATHS = [
    "/health/live",
    "/health/ready",
    "/v2/health/live",
    "/v2/health/ready",
    "/ping",
    "/models/exam/predict?X1=61&X2=17",
    "/nowhere",
]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
async def test_while_no_thread_is_free_the_server_says_that_it_is_alive_and_predicts(
    settings: dict[str, Any], make_app: MakeApp
) -> None:
    async with make_app(**settings) as app:
        client = app.test_client()
        expected = [(await client.get(path)).status_code for path in PATHS]
        async with no_thread_is_free(), asyncio.timeout(PATIENCE / 2):
            assert [(await client.get(path)).status_code for path in PATHS] == expected

"""A tour of the idioms of Flask: each as a view, as its twin in Flask, and as a page on both.

It has what nothing else here needs: tasks in a database, and a library for long numbers. So it is
imported where it is served only.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from quart import Quart, Response, current_app, request
from quart_schema import hide
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter

from ...config import Config
from ...errors import answer_with, name_of
from ...marks import guarded
from ...tasks.task import InvalidTask, TaskNotFound, TasksError, TasksUnavailable, TooManyTasks
from ...tasks.tasks import Tasks
from . import pages, views
from .app_tasks import EXTENSION

__all__ = ["register"]

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CATCH_ALL: Final = "tour.profile"

TASKS: Final[tuple[Callable[..., Any], ...]] = (
    views.all_tasks,
    views.add_task,
    views.one_task,
    views.change_task,
    views.remove_task,
)
"""The views of the tasks. Their mark is not set where they stand: a page shows them there beside
their twins, which know no marks."""

STATUS: Final[dict[type[TasksError], int]] = {
    InvalidTask: 400,
    TaskNotFound: 404,
    TooManyTasks: 409,
    TasksUnavailable: 503,
}


def register(app: Quart, config: Config) -> None:
    """Serve the tour below its prefix, which may be empty; after all other routes."""
    tasks = app.extensions[EXTENSION] = Tasks(config.database_url)

    @app.while_serving
    async def close_tasks() -> AsyncGenerator[None, None]:
        yield
        await tasks.close()

    app.register_blueprint(pages.blueprint, url_prefix=config.tour_prefix or None)
    app.register_blueprint(views.blueprint, url_prefix=config.tour_prefix or None)
    app.before_request(_leave_to_others)
    for view in TASKS:
        guarded(view)
    for endpoint, view in app.view_functions.items():
        if endpoint.partition(".")[0] in {pages.blueprint.name, views.blueprint.name}:
            hide(view)  # the document of the API is about models


@views.blueprint.errorhandler(TasksError)
async def _refuse(error: TasksError) -> Response:
    kind = type(error)
    return await answer_with(error, STATUS[kind], name_of(kind))


async def _leave_to_others() -> None:
    """Let no name be a profile that is the address of something else, by other methods.

    Without a prefix the catch-all takes GET at every address of one part that knows no GET.
    """
    refused = isinstance(request.routing_exception, MethodNotAllowed)
    if request.endpoint != CATCH_ALL and not refused:
        return
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    others = set(adapter.allowed_methods()) - READING
    if others and _endpoint_of_get(adapter) == CATCH_ALL:
        raise MethodNotAllowed([*sorted(others), "OPTIONS"])


def _endpoint_of_get(adapter: MapAdapter) -> str | None:
    try:
        endpoint: str = adapter.match(method="GET")[0]
    except HTTPException:
        return None
    return endpoint

"""What the views of one app share, reached from the current app as in any Quart extension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from quart import Quart, current_app, request

from .config import Config
from .middleware.bodies import UNTIL
from .middleware.request_record import Observer, note
from .observe.metrics import Metrics
from .serving.registry import Registry
from .serving.servable import Servable
from .tables.jobs import Jobs
from .tasks.tasks import Tasks

EXTENSION = "quart_app"


@dataclass(frozen=True, slots=True)
class Context:
    config: Config
    registry: Registry
    tasks: Tasks
    jobs: Jobs
    metrics: Metrics
    observers: list[Observer]


def context_of(app: Quart) -> Context:
    return cast(Context, app.extensions[EXTENSION])


def get_config() -> Config:
    return context_of(current_app).config


def get_registry() -> Registry:
    return context_of(current_app).registry


def get_tasks() -> Tasks:
    return context_of(current_app).tasks


def get_jobs() -> Jobs:
    return context_of(current_app).jobs


def get_metrics() -> Metrics:
    return context_of(current_app).metrics


def note_asked(servable: Servable, rows: int | None = None) -> None:
    """Let the record of the current request say which version of a model was asked about how many
    rows."""
    manifest = servable.manifest
    note(request.scope, model=manifest.name, version=manifest.version, rows=rows)


def get_until() -> float | None:
    """The moment, in the loop's time, by which the current request must be answered."""
    return cast(float | None, request.scope.get(UNTIL))

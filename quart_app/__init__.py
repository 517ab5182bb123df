"""A server for trained scikit-learn pipelines: `create_app` makes it."""

from __future__ import annotations

from typing import Any

from quart import Quart

from model_store import ModelStore

from . import errors, fast_path, openapi, startup, templating
from .blueprints import (
    card,
    classic,
    files,
    health,
    invocations,
    metrics,
    pages,
    predict,
    tour,
    v1,
    v2,
)
from .config import Config
from .context import EXTENSION, Context
from .lazy_rules import Rule
from .middleware import access, bodies, cors, headers, limits, request_record
from .middleware.request_record import Observer
from .observe.metrics import Metrics
from .serving.registry import Registry
from .tables.jobs import Jobs
from .tasks.tasks import Tasks

__all__ = ["create_app"]


def create_app(**settings: Any) -> Quart:
    """The app, from the settings given by name (`MODEL_STORE="models"`) and the environment.

    Each app has a store, models and threads of its own, and starts once.

    Raises:
        ConfigError: an unknown setting, or a value that it does not take.
    """
    config = Config.read(**settings)
    app = Quart(__name__)
    app.url_rule_class = Rule
    app.url_map.merge_slashes = False
    registry = Registry(ModelStore(config.model_store), config)
    in_flight = limits.InFlight(config.max_requests)
    counted = Metrics(registry, in_flight)
    observers: list[Observer] = [counted] if config.metrics else []
    app.extensions[EXTENSION] = Context(
        config, registry, Tasks(config.database_url), Jobs(config), counted, observers
    )
    templating.register(app, config.templates)
    limits.bound_requests(app, in_flight)
    bodies.register(app, config)
    limits.check_heads(app)
    cors.register(app, config.cors_origins)
    guard = access.register(app, config)
    headers.register(app, config.proxies)
    errors.register(app)
    openapi.register(app)
    startup.register(app)
    for module in (pages, card, predict, files, v2, v1, invocations, health):
        app.register_blueprint(module.blueprint)
    if config.metrics:
        app.register_blueprint(metrics.blueprint)
    if config.classic:
        app.register_blueprint(classic.blueprint, url_prefix=config.classic_prefix)
    tour.register(app, config.tour_prefix)
    request_record.register(app, observers)
    fast_path.register(app, guard, in_flight)  # around all other middleware
    return app

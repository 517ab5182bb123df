"""A server for trained scikit-learn pipelines: `create_app` makes it."""

from __future__ import annotations

from typing import Any

from quart import Quart

from model_store import ModelStore

from . import bodies, cors, errors, lifespan, limits, openapi, templating
from .blueprints import card, classic, files, health, invocations, pages, predict, tour, v1, v2
from .config import Config
from .context import EXTENSION, Context
from .jobs import Jobs
from .registry import Registry
from .tasks import Tasks

__all__ = ["create_app"]


def create_app(**settings: Any) -> Quart:
    """The app, from the settings given by name (`MODEL_STORE="models"`) and the environment.

    Each app has a store, models and threads of its own, and starts once.

    Raises:
        ConfigError: an unknown setting, or a value that it does not take.
    """
    config = Config.read(**settings)
    app = Quart(__name__)
    app.url_map.merge_slashes = False
    registry = Registry(ModelStore(config.model_store), config)
    app.extensions[EXTENSION] = Context(config, registry, Tasks(config.database_url), Jobs(config))
    templating.register(app, config.templates)
    limits.bound_requests(app, config)
    bodies.register(app, config)
    limits.check_heads(app)
    cors.register(app, config.cors_origins)
    errors.register(app)
    openapi.register(app)
    lifespan.register(app)
    for module in (pages, card, predict, files, v2, v1, invocations, health):
        app.register_blueprint(module.blueprint)
    if config.classic:
        app.register_blueprint(classic.blueprint, url_prefix=config.classic_prefix)
    tour.register(app, config.tour_prefix)
    return app

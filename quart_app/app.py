"""The app, made of its parts: the table of contents."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from quart import Quart

from . import errors, extras, openapi, startup, templating
from .answering import Answering
from .asgi import Layer, stack
from .blueprints import (
    card,
    classic,
    files,
    health,
    invocations,
    life,
    live,
    mcp,
    metrics,
    pages,
    predict,
    predictions,
    records,
    v1,
    v2,
)
from .config import Config, ConfigError
from .context import EXTENSION, Context, template_context
from .fast_path import FastPath
from .lazy_rules import Rule
from .middleware import cors
from .middleware.access import Access, AccessLayer
from .middleware.bodies import BodyLimit, raise_refusal
from .middleware.headers import CommonHeaders
from .middleware.limits import Heads, InFlight, InFlightLimit
from .middleware.request_record import Observer, Recorder, note_route
from .observe.metrics import Metrics
from .protocols import mcp as mcp_calls
from .protocols.protocol import Protocol
from .protocols.registry import Protocols
from .recording import Recording
from .server.place import ALONE, Place
from .serving.loading import Loaded
from .serving.registry import Registry
from .tables.jobs import Jobs

if TYPE_CHECKING:
    from .observe.traces import Traces
    from .sharing.sharing import Sharing

logger = logging.getLogger(__name__)


def create_app(
    protocols: Sequence[Protocol] = (),
    /,
    *,
    place: Place = ALONE,
    loaded: Loaded | None = None,
    **settings: Any,
) -> Quart:
    """The app, from the settings given by name (`MODEL_STORE="models"`) and the environment.

    It speaks `protocols` beside the bundled ones. Each app has a store, models and threads of its
    own, and starts once. `place` says among how many workers it serves; models that were `loaded`
    in this process before are served without being loaded again.

    Raises:
        ConfigError: an unknown setting, or a value that it does not take.
    """
    config = Config.read(**settings)
    app = Quart(__package__)
    app.url_rule_class = Rule
    app.url_map.merge_slashes = False
    protocols_of = _protocols(config, protocols)
    context = app.extensions[EXTENSION] = _context(config, protocols_of, app, place, loaded)
    access, in_flight = context.access, context.in_flight
    templating.register(app, config.templates)
    errors.register(app)
    openapi.register(app)
    startup.register(app, loaded)
    _register_hooks(app, config)
    _register_views(app, context)
    layers: list[Layer] = [  # from outside in
        partial(FastPath, quart=app, access=access, in_flight=in_flight),
        partial(Recorder, observers=context.observers, tracing=context.tracing),
        partial(CommonHeaders, proxies=config.proxies),
        partial(AccessLayer, access=access),
        cors.layer(config.cors_origins),
        Heads,
        partial(
            BodyLimit, config=config, protocols=context.protocols, limits=context.answering.limits
        ),
        partial(InFlightLimit, in_flight=in_flight),
    ]
    app.asgi_app = stack(app.asgi_app, layers)  # type: ignore[method-assign, assignment, arg-type]
    return app


def _protocols(config: Config, others: Sequence[Protocol]) -> Protocols:
    return Protocols((*((mcp_calls.PROTOCOL,) if config.mcp else ()), *others))


def _context(
    config: Config, protocols: Protocols, app: Quart, place: Place, loaded: Loaded | None
) -> Context:
    registry = Registry(config.store(), config, loaded)
    in_flight = InFlight(config.max_requests)
    answering = Answering(registry, config)
    tracing = _tracing(config)
    observers: list[Observer] = []
    recording = Recording(config, registry, answering, observers, errors.described)
    spans = None if tracing is None else tracing.outbox
    counted = Metrics(registry, in_flight, recording, spans)
    if config.metrics:
        observers.append(counted)
    if tracing is not None:
        observers.append(tracing)
    jobs, siblings = _shared(place, config, registry, counted, recording)
    return Context(
        config,
        registry,
        answering,
        protocols,
        jobs,
        counted,
        observers,
        Access(config, app),
        in_flight,
        recording,
        tracing,
        siblings,
    )


def _shared(
    place: Place, config: Config, registry: Registry, metrics: Metrics, recording: Recording
) -> tuple[Jobs, Sharing | None]:
    """The jobs, and what a worker shares with the others where it has any."""
    if place.folder is None:
        return Jobs(config), None
    # Imported by one of several workers only.
    from .sharing.sharing import Sharing
    from .siblings.channel import Channel
    from .tables.jobs import KEPT_SECONDS
    from .tables.shelf import Shelf

    channel = Channel(place)
    jobs = Jobs(config, shelf=Shelf(channel, KEPT_SECONDS))
    return jobs, Sharing(channel, registry, metrics, recording, jobs)


def _tracing(config: Config) -> Traces | None:
    """What follows requests, where traces are asked for.

    Raises:
        ConfigError: an exporter is not installed, or OpenTelemetry finds fault with a variable.
    """
    if not config.trace_exporters:
        return None
    try:
        # Imported where traces are asked for only.
        from .observe.traces import Traces

        return Traces(config)
    except ImportError as error:
        logger.warning(
            "there are no traces: they need the extra otel, pip install 'quart-app[otel]' (%s)",
            error,
        )
        return None
    except ValueError as error:
        raise ConfigError(f"A variable OTEL_...: OpenTelemetry says {str(error)!r}.") from None


def _register_views(app: Quart, context: Context) -> None:
    config = context.config
    for module in (pages, card, life, live, records, predict, files, v2, v1, invocations, health):
        app.register_blueprint(module.blueprint)
    if config.metrics:
        app.register_blueprint(metrics.blueprint)
    if config.mcp:
        app.register_blueprint(mcp.blueprint(context))
    predictions.register(app, context.protocols)
    if config.classic:
        app.register_blueprint(classic.blueprint, url_prefix=config.classic_prefix)
    if config.tour:
        _register_tour(app, config)


def _register_tour(app: Quart, config: Config) -> None:
    if missing := extras.missing(extras.TOUR):
        logger.info(
            "the tour is off without %s; pip install 'quart-app[tour]' brings that, and "
            "QUART_APP_TOUR=false says that no tour is wanted",
            ", ".join(missing),
        )
        return
    # Imported where it is served only: nothing else needs what it is made of.
    from .blueprints import tour

    tour.register(app, config)


def _register_hooks(app: Quart, config: Config) -> None:
    # The layer of bodies has limits of its own, and a deadline.
    app.config |= {"MAX_CONTENT_LENGTH": None, "BODY_TIMEOUT": None}
    app.url_value_preprocessor(note_route)
    app.before_request(raise_refusal)
    app.context_processor(template_context)
    if cors.varies(config.cors_origins):
        app.after_request(cors.vary)

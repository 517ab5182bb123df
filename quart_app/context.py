"""What the views of one app share, reached from the current app as in any Quart extension."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec
from quart import Quart, current_app, request

from .about import repository
from .about.readiness import readiness
from .answering import Answering, Call
from .asgi import RequestState, Scope, state_of
from .config import Config
from .documents import Ready
from .figures import Watched
from .keys import require_for
from .middleware.access import Access
from .middleware.clients import route_key
from .middleware.limits import InFlight
from .middleware.request_record import Observer
from .observe.metrics import Metrics
from .protocols.protocol import Payload
from .protocols.registry import Protocols
from .recording import Recording
from .serving.registry import Registry
from .serving.servable import Servable
from .tables.jobs import Jobs
from .tables.scoring import Scorer

if TYPE_CHECKING:
    from .memory.live import Live
    from .memory.opened import SharedRecords
    from .observe.families import Family
    from .observe.traces import Traces
    from .sharing.sharing import Sharing

EXTENSION = "quart_app"
LIVE: Final = "quart_app.live"
RECORDS: Final = "quart_app.records"

AnyScorer = TypeVar("AnyScorer", bound=Scorer)

MODEL: Final = "model"
"""The parameter of a query that names the model."""


class Context(msgspec.Struct, frozen=True):
    """The parts of one app. `tracing` is None unless traces are configured, and `siblings` unless
    the app is that of one of several workers."""

    config: Config
    registry: Registry
    answering: Answering
    protocols: Protocols
    jobs: Jobs
    metrics: Metrics
    observers: list[Observer]
    access: Access
    in_flight: InFlight
    recording: Recording
    tracing: Traces | None
    siblings: Sharing | None = None


def context_of(app: Quart) -> Context:
    """The context of an app that `create_app` made."""
    return cast(Context, app.extensions[EXTENSION])


def get_config() -> Config:
    """The settings of the current app."""
    return context_of(current_app).config


def get_registry() -> Registry:
    """The models of the current app: those that are loaded, and their store."""
    return context_of(current_app).registry


def get_jobs() -> Jobs:
    return context_of(current_app).jobs


async def get_readiness() -> Ready:
    """Whether traffic should come to this server."""
    return await readiness_of(context_of(current_app))


async def readiness_of(context: Context) -> Ready:
    """Whether traffic should come to the server of this app."""
    if context.siblings is None:
        return readiness(context.registry)
    return await context.siblings.readiness()


async def statistics_of(context: Context, servables: Iterable[Servable]) -> dict[str, Any]:
    """What these versions have done on this server since they were loaded, as Triton tells it."""
    if context.siblings is None:
        return repository.statistics((each.manifest, each.statistics) for each in servables)
    manifests = {(each.manifest.name, each.manifest.version): each.manifest for each in servables}
    return repository.statistics(await context.siblings.statistics([*manifests.values()]))


async def load_everywhere(context: Context, name: str) -> None:
    """Load the version that a name means now, in all workers of this server.

    Raises:
        ModelNotFound: the store has no such model.
        NotReady: the version cannot be loaded.
    """
    await context.registry.load_again(name)
    if context.siblings is not None:
        await context.siblings.load(name)


async def unload_everywhere(context: Context, name: str) -> None:
    """Answer no more for a model, in all workers of this server.

    Raises:
        ModelNotFound: it is neither served nor in the store.
    """
    await context.registry.unload(name)
    if context.siblings is not None:
        await context.siblings.unload(name)


async def follow_everywhere(context: Context, name: str, until: float | None) -> None:
    """Have all workers of this server follow a head at once, and wait for it until a moment of the
    loop's time; what takes longer goes on."""
    own = context.registry.follow_within(name, until)
    if context.siblings is None:
        await own
    else:
        await asyncio.gather(own, context.siblings.follow(name))


async def get_families() -> Iterable[Family]:
    """The metrics of this server."""
    context = context_of(current_app)
    if context.siblings is None:
        return context.metrics.families()
    return await context.siblings.families()


def get_live() -> Live:
    """What reads the records, made when it is first asked for: a server starts without."""
    extensions = current_app.extensions
    if LIVE not in extensions:
        from .memory.live import Live

        extensions[LIVE] = Live(get_records(), get_registry().store)
    return cast("Live", extensions[LIVE])


async def get_watched() -> Mapping[str, Watched]:
    """How the models that are recorded do, by name."""
    context = context_of(current_app)
    models = {
        name: entry.manifest.version
        for name, entry in context.registry.entries.items()
        if entry.manifest is not None and context.recording.state(name).share
    }
    if not models:
        return {}
    return await get_live().watched(models, context.config.drift_window)


def get_records() -> SharedRecords:
    """The records of predictions, opened when they are first asked for: a server starts without."""
    extensions = current_app.extensions
    if RECORDS not in extensions:
        from .memory.opened import SharedRecords, open_records

        context = context_of(current_app)
        records = open_records(context.config.database_url, context.registry.store)
        extensions[RECORDS] = SharedRecords(records)
    return cast("SharedRecords", extensions[RECORDS])


async def settle() -> None:
    """Wait until what was predicted before is recorded, for a moment at most: who reads a record,
    or tells its truth, may have been answered just now."""
    context = context_of(current_app)
    if context.siblings is None:
        await context.recording.settle()
    else:
        await context.siblings.settle()


def is_recorded(name: str) -> bool:
    """Whether predictions of a model are recorded, all or some."""
    return context_of(current_app).recording.state(name).share > 0


def get_answering() -> Answering:
    """What makes the predictions of the current app, for all of its protocols."""
    return context_of(current_app).answering


def get_state() -> RequestState:
    """What the layers know of the current request."""
    return state_of(cast(Scope, request.scope))


def get_until() -> float | None:
    """The moment, in the loop's time, by which the current request must be answered."""
    return get_state().until


async def template_context() -> dict[str, str | bool | None]:
    """What every template is told: `signed_in`, the name of the API key that a browser sends by
    HTTP Basic, where it was asked for; and whether there are tools for `agents`."""
    state = get_state()
    return {
        "signed_in": state.key if state.is_signed_in else None,
        "agents": get_config().mcp,
    }


async def get_call(name: str | None = None, version: str | None = None) -> Call:
    """The current request as one for a prediction. Without a name in its address, the query may
    have one."""
    state = get_state()
    body = state.body or cast(bytes, await request.get_data())
    headers = cast(Sequence[tuple[bytes, bytes]], request.scope["headers"])
    payload = Payload(body, request.content_type or "", headers)
    if name is None:
        name = request.args.get(MODEL)
    key = partial(route_key, cast(Scope, request.scope))
    return Call(payload, name, version, state.until, state.record, state.models, key)


def require_allowed(name: str) -> None:
    """Do nothing where the current request may ask or change this model.

    A view whose address has the `name` of a model need not call it: the layer of access has looked.

    Raises:
        KeyNotForModel: its API key is one for other models.
    """
    require_for(get_state().models, name)


def scorer_of(
    servable: Servable,
    kind: type[AnyScorer] = Scorer,  # type: ignore[assignment]
    *,
    door: str,
    explain: str | None = None,
) -> AnyScorer:
    """What answers tables of this kind with this model, and explains the answers on a scale."""
    config = get_config()
    return kind(
        servable.manifest,
        partial(get_answering().infer, servable, door=door),
        config.deadline,
        request_id=get_state().request_id,
        show_errors=config.show_errors,
        explain=explain,
        most_explained=config.max_explained_rows,
    )

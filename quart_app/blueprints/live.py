"""How models do in use: the figures as JSON, and as the page "Live"."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from quart import Blueprint, Response, current_app, render_template, request
from quart_schema import document_querystring, document_response, hide, tag

from model_store import Manifest

from ..context import context_of, get_live, get_registry, get_until
from ..documents import ErrorBody
from ..errors import note_error
from ..figures import ColumnFigures, Monitor
from ..inference import InvalidRequest, NotReady
from ..marks import figures
from ..negotiation import html_response, json_response, varied
from ..window import Window

if TYPE_CHECKING:
    from ..memory import drawing

blueprint = Blueprint("live", __name__, url_prefix="/models/<name>")

WINDOW: Final = "7d"
"""How far back, where nothing is said."""
WINDOWS: Final = (("1h", "Hour"), ("24h", "Day"), ("7d", "7 days"), ("30d", "30 days"))
MOST_DRAWN: Final = 9
"""Columns that are drawn, those that are farthest from the training data; a table has all."""


class Query(msgspec.Struct, frozen=True):
    """How far back, as 7d, 24h, 90m or 30s; with `exact` each record is read."""

    window: str = WINDOW
    exact: bool = False


class Drawn(NamedTuple):
    """The charts of the page; those of columns with what they are of."""

    columns: list[tuple[ColumnFigures, drawing.Pairs]]
    answers: list[drawing.Line]
    requests: drawing.Columns | None
    latency: drawing.Line | None


@blueprint.get("/monitor")
@figures
@tag({"live"})
@document_querystring(Query)
@document_response(Monitor)
@document_response(ErrorBody, 400)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 503)
async def monitor(name: str) -> Response:
    """How a model does in use: requests, answers, and drift from its training data."""
    return json_response(await _figures(name, await _serving(name), _query()))


@blueprint.get("/live")
@figures
@hide
async def page(name: str) -> Response:
    """How a model does in use, in charts."""
    servable = await get_registry().servable(name, until=get_until())
    manifest, query = servable.manifest, _query()
    found: Monitor | None = None
    problem = None
    try:
        found = await _figures(name, manifest.version, query)
    except NotReady as error:
        note_error(error)
        problem = str(error)
    titles = _titles(manifest)
    html = await render_template(
        "pages/live.html",
        manifest=manifest,
        found=found,
        problem=problem,
        drawn=None if found is None else _drawn(found, titles, manifest.words),
        drifting=[] if found is None else [each for each in found.drift.columns if each.drifts],
        titles=titles,
        window=query.window,
        windows=WINDOWS,
    )
    return varied(html_response(html, 503 if found is None else 200))


def _query() -> Query:
    """What the query says.

    Raises:
        InvalidRequest: it says something else.
    """
    try:
        return msgspec.convert(request.args.to_dict(), Query, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The query: {error}") from None


async def _serving(name: str) -> int:
    """The number of the version that the name means.

    Raises:
        ModelNotFound
    """
    registry = get_registry()
    entry = registry.entries.get(name)
    if entry is not None and entry.manifest is not None:
        return entry.manifest.version
    return await asyncio.to_thread(registry.store.resolve, name)


async def _figures(name: str, version: int, query: Query) -> Monitor:
    """The figures.

    Raises:
        InvalidRequest: the query names no window.
        NotReady: the records cannot be read.
        DeadlineExceeded
    """
    from ..memory.monitor import Question

    try:
        window = Window.before(query.window, time.time())
    except ValueError as error:
        raise InvalidRequest(f"window: expected {error}, got {query.window!r:.60}.") from None
    state = context_of(current_app).recording.state(name)
    question = Question(name, version, window, state, query.exact)
    return await get_live().figures(question, get_until())


def _drawn(found: Monitor, titles: Mapping[str, str], words: Mapping[str, str]) -> Drawn:
    from ..memory import drawing

    if found.reason is not None:
        return Drawn([], [], None, None)
    columns = []
    for column in found.drift.columns[:MOST_DRAWN]:
        chart = drawing.pairs(column, titles.get(column.name, column.name), words)
        if chart is not None:
            columns.append((column, chart))
    return Drawn(
        columns, drawing.answers(found, words), drawing.requests(found), drawing.latency(found)
    )


def _titles(manifest: Manifest) -> dict[str, str]:
    """How columns and targets are called, by name."""
    named = [(each.name, each.label, each.unit) for each in manifest.signature.columns]
    told = [(each.name, each.label, each.unit) for each in manifest.targets if each.name]
    return {
        name: (label or name) + (f" ({unit})" if unit else "")
        for name, label, unit in (*told, *named)
        if name is not None
    }

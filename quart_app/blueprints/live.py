"""How models do in use: the figures as JSON, and as the page "Live"."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from quart import Blueprint, Response, current_app, render_template, request
from quart_schema import document_querystring, document_response, hide, tag
from werkzeug.exceptions import ServiceUnavailable

from model_store import Manifest

from ..context import context_of, get_live, get_registry, get_until
from ..documents import ErrorBody
from ..errors import answer_with
from ..figures import ColumnFigures, Monitor
from ..inference import InvalidRequest
from ..marks import figures
from ..negotiation import html_response, json_response, varied

if TYPE_CHECKING:
    from ..memory import drawing

logger = logging.getLogger(__name__)

blueprint = Blueprint("live", __name__, url_prefix="/models/<name>")

WINDOW: Final = "7d"
"""How far back, where nothing is said."""
WINDOWS: Final = (("1h", "Hour"), ("24h", "Day"), ("7d", "7 days"), ("30d", "30 days"))
UNREADABLE: Final = "The records cannot be read at the moment; the server's log says why."
UNREADABLE_KIND: Final = "records_unavailable"
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
    found = await _figures(name, await _serving(name), _query())
    if found is None:
        return await answer_with(ServiceUnavailable(UNREADABLE), 503, UNREADABLE_KIND)
    return json_response(found)


@blueprint.get("/live")
@figures
@hide
async def page(name: str) -> Response:
    """How a model does in use, in charts."""
    servable = await get_registry().servable(name, until=get_until())
    manifest, query = servable.manifest, _query()
    found = await _figures(name, manifest.version, query)
    titles = _titles(manifest)
    html = await render_template(
        "pages/live.html",
        manifest=manifest,
        found=found,
        problem=UNREADABLE if found is None else None,
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


async def _figures(name: str, version: int, query: Query) -> Monitor | None:
    """The figures; None where the records cannot be read, which is logged.

    Raises:
        InvalidRequest: the query names no window.
    """
    from ..memory.database import RecordsUnavailable

    recording = context_of(current_app).recording.state(name)
    try:
        return await get_live().figures(name, version, query.window, recording, exact=query.exact)
    except RecordsUnavailable as error:
        logger.warning("The records of %s cannot be read: %s", name, error)
        return None
    except ValueError as error:
        raise InvalidRequest(f"window: expected {error}, got {query.window!r:.60}.") from None


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

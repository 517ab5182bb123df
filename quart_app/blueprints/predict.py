"""Predictions by the native protocol: by query, by form, by JSON, by table."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from functools import partial

from msgspec.structs import replace
from quart import Blueprint, Response, redirect, request, url_for
from quart_schema import hide
from werkzeug.wrappers import Response as WerkzeugResponse

from model_store import InvalidRows
from model_store.errors import Unanswerable

from ..answering import Call, note
from ..asgi import SpooledTable
from ..context import (
    get_answering,
    get_call,
    get_config,
    get_registry,
    get_state,
    get_until,
    scorer_of,
)
from ..inference import EXPLAIN, InferenceRequest, UnsupportedBody
from ..marks import predicts, speaks
from ..negotiation import json_reply, varied, wants_html
from ..protocols import csv, form, jsonl, native
from ..protocols.explained import scale_of, settled
from ..serving.servable import Servable
from ..tables import parquet
from ..tables.lines import LinePiece, LineScorer
from ..tables.scoring import Piece, Scorer
from .pages import model_page

blueprint = Blueprint("predict", __name__, url_prefix="/models/<name>")


@blueprint.get("/predict")
@blueprint.get("/versions/<version>/predict")
@predicts
@hide
async def by_query(name: str, version: str | None = None) -> Response | WerkzeugResponse:
    """Predict for the one row in the query."""
    if not request.query_string and wants_html(request):
        if version is None:
            return varied(redirect(url_for("pages.model", name=name)))
        servable = await get_registry().servable(name, version, until=get_until())
        return await model_page(servable, version=version)
    return await answer(await get_call(name, version), form.decode(request.query_string))


@blueprint.post("/predict")
@blueprint.post("/versions/<version>/predict")
@speaks(native.PROTOCOL)
@hide
async def by_body(name: str, version: str | None = None) -> Response:
    """Predict for the row in a form, the rows in JSON, or the table in CSV, JSON Lines or
    Parquet."""
    call = _to_explain(await get_call(name, version))
    table = get_state().table
    if table is not None:
        return await answer_table(call, table)
    if not wants_html(request):
        return varied(json_reply(await get_answering().answer(native.PROTOCOL, call)))
    return await answer(call, await get_answering().decode(native.PROTOCOL, call.payload))


def _to_explain(call: Call) -> Call:
    """The call as one that is to be explained, where the query says so.

    Raises:
        InvalidRequest: it says something else.
    """
    asked = request.args.get(EXPLAIN)
    return call if asked is None else replace(call, explain=scale_of(asked))


async def answer(call: Call, asked: InferenceRequest) -> Response:
    """The prediction as JSON, or on the model's page, where a person sent one row."""
    answering = get_answering()
    chosen = answering.choose(call, await answering.find(call))
    servable = chosen.servable
    asked = settled(asked, servable.manifest.signature.names)
    if call.explain is not None:
        asked = replace(asked, explain=call.explain)
    door = "page" if wants_html(request) else "query"
    infer = partial(answering.predict, chosen, asked, call, door=door)
    if asked.many or not wants_html(request):
        reply = await answering.encode(native.PROTOCOL, await infer(), asked)
        return varied(json_reply(reply))
    page = partial(model_page, servable, version=call.version)
    named = asked.named(servable.manifest.signature.names)
    values = {column: cells[0] for column, cells in named.items()}
    try:
        response = await infer()
    except (InvalidRows, Unanswerable) as error:
        return await page(values=values, error=error)
    return await page(values=values, asked=asked, answer=response)


async def answer_table(call: Call, table: SpooledTable) -> Response:
    """The table with its predictions, row by row; what is wrong at its beginning is an error."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedBody(f"Expected {request.mimetype} in UTF-8, got {charset}.")
    servable = await get_answering().find(call)
    note(call.record, servable)
    content_type, pieces = await _answered(call, servable, table)
    first = await anext(pieces)

    async def lines() -> AsyncGenerator[bytes, None]:
        rows = first.rows
        note(call.record, servable, rows)
        async with contextlib.aclosing(pieces):
            yield first.lines
            async for piece in pieces:
                rows += piece.rows
                note(call.record, servable, rows)
                yield piece.lines

    response = Response(lines(), content_type=content_type)
    response.timeout = None  # each chunk has a deadline of its own
    return response


async def _answered(
    call: Call, servable: Servable, table: SpooledTable
) -> tuple[str, AsyncGenerator[Piece | LinePiece, None]]:
    """What answers a table of this kind, with the kind of its answer."""
    if request.mimetype in jsonl.CONTENT_TYPES:
        scorer = scorer_of(servable, LineScorer, door="jsonl", explain=call.explain)
        return request.mimetype, scorer.answer_lines(table.file)
    read = await parquet.as_csv(table.file, get_config())
    if read is not table.file:
        table.owner.enter_context(read)
    return csv.ANSWER_TYPE, scorer_of(servable, Scorer, door="csv", explain=call.explain).answer(
        read
    )

"""Asking a model: by query, by form, by JSON. The way of every request is the same.

bytes → decode → `Servable.infer` → encode → bytes
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import IO, cast

from quart import Blueprint, Response, redirect, request, url_for
from quart_schema import hide
from werkzeug.wrappers import Response as WerkzeugResponse

from model_store import InvalidRows
from model_store.errors import Unanswerable

from ..context import get_config, get_registry, get_until, note_asked
from ..inference import InferenceRequest, UnsupportedBody
from ..middleware.bodies import TABLE
from ..middleware.request_record import note
from ..negotiation import FORMS, JSON, json_bytes, varied, wants_html
from ..protocols import csv, form, native
from ..tables.scoring import Scorer
from .pages import model_page

blueprint = Blueprint("predict", __name__, url_prefix="/models/<name>")


@blueprint.get("/predict")
@blueprint.get("/versions/<version>/predict")
@hide
async def by_query(name: str, version: str | None = None) -> Response | WerkzeugResponse:
    """Predict for the one row in the query."""
    if not request.query_string and wants_html(request):
        if version is None:
            return varied(redirect(url_for("pages.model", name=name)))
        servable = await get_registry().servable(name, version, until=get_until())
        return await model_page(servable, version=version)
    return await answer(name, version, form.decode(request.query_string))


@blueprint.post("/predict")
@blueprint.post("/versions/<version>/predict")
@hide
async def by_body(name: str, version: str | None = None) -> Response:
    """Predict for the row in a form, the rows in JSON, or the table in CSV."""
    if TABLE in request.scope:
        return await answer_table(name, version)
    return await answer(name, version, await decode_body())


async def decode_body() -> InferenceRequest:
    """The rows in the body, by its content type; none at all counts as JSON.

    Raises:
        InvalidRequest: also as RequestTooLarge and UnsupportedBody.
    """
    body, mimetype = cast(bytes, await request.get_data()), request.mimetype
    if mimetype in FORMS:
        boundary = request.mimetype_params.get("boundary", "")
        return form.decode(body, boundary=boundary if mimetype == form.MULTIPART else None)
    if mimetype in ("", JSON) or mimetype.endswith("+json"):
        return native.decode(body, max_rows=get_config().max_rows)
    raise UnsupportedBody(
        f"Expected a body of {JSON}, {form.CONTENT_TYPE} or {csv.CONTENT_TYPE}, got {mimetype}."
    )


async def answer(name: str, version: str | None, asked: InferenceRequest) -> Response:
    """Ask the model and answer as JSON, or on its page, where a person asked for one row."""
    until = get_until()
    servable = await get_registry().servable(name, version, until=until)
    note_asked(servable, asked.rows)
    if asked.many or not wants_html(request):
        response = await servable.infer(asked, until=until)
        return varied(json_bytes(native.encode(response, many=asked.many)))
    named = asked.named(servable.manifest.signature.names)
    values = {column: found[0] for column, found in named.items()}
    try:
        response = await servable.infer(asked, until=until)
    except (InvalidRows, Unanswerable) as error:
        return await model_page(servable, values=values, error=error, version=version)
    return await model_page(servable, values=values, asked=asked, answer=response, version=version)


async def answer_table(name: str, version: str | None) -> Response:
    """Answer the table in CSV, row by row, as one; what is wrong at its beginning is an error."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedBody(f"Expected {csv.CONTENT_TYPE} in UTF-8, got {charset}.")
    servable = await get_registry().servable(name, version, until=get_until())
    note_asked(servable)
    file = cast(dict[str, IO[bytes]], request.scope)[TABLE]
    pieces = Scorer(servable, get_config().deadline).answer(file)
    first = await anext(pieces)
    scope = request.scope

    async def answer() -> AsyncGenerator[bytes, None]:
        rows = 0
        async with contextlib.aclosing(pieces):
            yield first.lines
            async for piece in pieces:
                rows += piece.rows
                note(scope, rows=rows)
                yield piece.lines

    response = Response(answer(), content_type=csv.ANSWER_TYPE)
    response.timeout = None  # each chunk has a deadline of its own
    return response

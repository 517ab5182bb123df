"""Records of predictions: what turned out true is told here, and who has a key reads them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec
from quart import Blueprint, Response, render_template, request
from quart_schema import document_querystring, document_response, tag
from werkzeug.exceptions import Conflict, NotFound

from model_store import InvalidRows, Manifest
from model_store.truth import Truths

from ..answering import LARGE
from ..context import (
    get_answering,
    get_call,
    get_records,
    get_registry,
    get_until,
    is_recorded,
    settle,
)
from ..documents import ErrorBody, FeedbackAnswer, Place, RecordedRow
from ..errors import note_error
from ..inference import InvalidRequest
from ..marks import keeps_feedback, records
from ..negotiation import FORMS, html_response, json_response, varied, wants_html
from ..protocols import csv, feedback, jsonl
from ..serving.threads import run_aside
from .was_right import question

if TYPE_CHECKING:
    from ..memory.truths import Kept

blueprint = Blueprint("records", __name__, url_prefix="/models/<name>")


class Span(msgspec.Struct, frozen=True):
    """From when to when: dates, dates with times in ISO 8601, or how long ago, such as 7d. With
    `truth` those predictions alone of which it is known."""

    since: str | None = None
    until: str | None = None
    truth: bool = False
    format: Literal["jsonl", "csv"] = "jsonl"


# Feedback ----------------------------------------------------------------------------


@blueprint.post("/feedback")
@keeps_feedback
@tag({"records"})
@document_response(FeedbackAnswer)
@document_response(ErrorBody, 400)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 409)
@document_response(ErrorBody, 503)
async def tell(name: str) -> Response:
    """Say what turned out true of predictions: `{"id": "…", "row": 0, "truth": 1}`, a list of such,
    or CSV with these columns. A later truth takes the place of a former one."""
    manifest = (await get_registry().servable(name, until=get_until())).manifest
    truths = Truths(manifest)
    if truths.reason is not None:
        raise InvalidRequest(truths.reason)
    if not is_recorded(name):
        raise Conflict(f"Predictions of {name} are not recorded, nor is what turned out true.")
    given, empty = await _given(truths)
    try:
        told = feedback.checked(given, truths)
    except InvalidRows as error:
        if not (wants_html(request) and request.mimetype in FORMS):
            raise
        note_error(error)
        return await _page(manifest, error=error)
    await settle()
    # Imported where something is told only.
    from ..memory.truths import keep

    kept = await get_records().call(
        partial(keep, model=name, told=told, at=time.time()), get_until()
    )
    if wants_html(request):
        return await _page(manifest, kept=kept)
    return varied(json_response(_answer(name, kept, empty)))


async def _given(truths: Truths) -> tuple[list[feedback.Given], int]:
    if request.mimetype in FORMS:
        return [feedback.of_form(await request.form)], 0
    payload = (await get_call()).payload
    read = partial(feedback.decode, payload, truths.names, max_rows=get_answering().limits.rows)
    return await run_aside(read, large=len(payload.body) > LARGE)


def _answer(name: str, kept: Kept, empty: int) -> FeedbackAnswer:
    unknown = [Place(*place) for place in kept.unknown]
    return FeedbackAnswer(
        model=name, kept=kept.kept, replaced=kept.replaced, unknown=unknown, empty=empty
    )


async def _page(
    manifest: Manifest, *, kept: Kept | None = None, error: InvalidRows | None = None
) -> Response:
    """What became of the truth in a form; where it is none, the form again."""
    form = await request.form
    row = feedback.of_form(form).row
    page = await render_template(
        "pages/feedback.html",
        manifest=manifest,
        kept=kept,
        error=error,
        question=question(manifest, form.get("id", ""), row, entered=form.getlist("truth")),
    )
    return varied(html_response(page, 200 if error is None else 400))


# Reading -----------------------------------------------------------------------------


@blueprint.get("/predictions")
@records
@tag({"records"})
@document_querystring(Span)
@document_response(ErrorBody, 400)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 503)
async def export(name: str) -> Response:
    """What was recorded of a model, the oldest first, as JSON Lines or CSV. Needs an API key,
    whatever the settings say."""
    from ..memory.export import export as pieces_of

    manifest = (await get_registry().servable(name, until=get_until())).manifest
    span = _span()
    since, until = _moment("since", span.since, 0.0), _moment("until", span.until, float("inf"))
    await settle()
    pieces = get_records().stream(
        lambda found: pieces_of(found, manifest, since, until, format=span.format, truth=span.truth)
    )
    first = await anext(pieces, b"")

    async def body() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    kind = csv.ANSWER_TYPE if span.format == "csv" else jsonl.CONTENT_TYPE
    response = Response(body(), content_type=kind)
    response.timeout = None  # there may be a million
    return response


@blueprint.get("/predictions/<id>")
@records
@tag({"records"})
@document_response(list[RecordedRow])
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 503)
async def show(name: str, id: str) -> Response:
    """All that is kept of the rows of one request. Needs an API key, whatever the settings say."""
    from ..memory.export import recorded
    from ..memory.truths import find

    await settle()
    found = await get_records().call(partial(find, id=id, model=name), get_until())
    if not found:
        raise NotFound(f"Nothing is kept of {id!r:.60}.")
    return json_response([recorded(known) for known in found])


def _span() -> Span:
    """What the query says.

    Raises:
        InvalidRequest: it says something else.
    """
    known = {field.name for field in msgspec.structs.fields(Span)}
    for name in request.args:
        if name not in known:
            raise InvalidRequest(f"Expected {', '.join(sorted(known))}, got {name!r:.60}.")
    try:
        return msgspec.convert(request.args.to_dict(), Span, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The query: {error}.") from None


def _moment(name: str, text: str | None, otherwise: float) -> float:
    from ..memory.moments import moment_of

    try:
        return otherwise if text is None else moment_of(text, time.time())
    except ValueError as error:
        raise InvalidRequest(f"{name}: expected {error}, got {text!r:.60}.") from None

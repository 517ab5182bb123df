"""Every exception that a request can end in, and its status: one table, one handler.

A client reads `{"error": "...", "details": [...]}`, a browser a page with the same sentence, and
whoever prefers plain text the sentence alone. What is not in the table is a defect of ours: it is
logged with its traceback, and the client is told nothing of it. What a pipeline or another
library says of a failure is logged as well, and told to clients with SHOW_ERRORS alone: it may name
a path or a setting.
"""

from __future__ import annotations

import errno
import logging
import re
from http import HTTPStatus
from typing import Final

from quart import Quart, Response, current_app, render_template, request
from werkzeug.exceptions import HTTPException, NotFound, TooManyRequests

from model_store import InvalidRows, ModelStoreError
from model_store.errors import (
    InvalidChallenger,
    ModelNotFound,
    PredictionFailed,
    StoreNotWritable,
    Unanswerable,
    Unexplained,
)

from .asgi import RequestState
from .context import context_of, get_state
from .documents import ErrorBody
from .inference import (
    BUSY,
    BUSY_RETRY_AFTER,
    FAILED,
    INTERNAL,
    DeadlineExceeded,
    InvalidRequest,
    NotReady,
    RequestTooLarge,
    UnsupportedBody,
)
from .keys import KeyNotForModel
from .negotiation import html_response, json_response, text_response, varied, wants_html, wants_text
from .pipeline_errors import log_words, shown
from .serving.batcher import Closed, QueueFull
from .tables.jobs import JobNotFound
from .templating import bundled_template

STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (RequestTooLarge, 413),
    (UnsupportedBody, 415),
    (InvalidRequest, 400),
    (InvalidRows, 400),
    (KeyNotForModel, 403),
    (ModelNotFound, 404),
    (NotReady, 503),
    (QueueFull, 503),
    (Closed, 503),
    (DeadlineExceeded, 504),
    (Unanswerable, 400),
    (PredictionFailed, 500),
    (InvalidChallenger, 409),
    (StoreNotWritable, 409),
    (Unexplained, 400),
    (ModelStoreError, 503),
    (JobNotFound, 404),
)
"""The first row that fits an exception gives its status. A blueprint may add rows of its own, by
`answer_with`."""


def name_of(kind: type[Exception]) -> str:
    """What the access log and the metrics call a class of exceptions."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


KINDS: Final = {kind: name_of(kind) for kind, _ in STATUS}

UNKNOWN: Final = "internal_error"

DESCRIPTIONS: Final = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    408: "The request took too long to arrive.",
    413: "The body is too large.",
    500: INTERNAL,
}
"""Our words for what the framework refuses."""

logger = logging.getLogger(__name__)


def register(app: Quart) -> None:
    """Let every exception of every view end in `answer`."""
    app.register_error_handler(Exception, answer)


def status_of(error: Exception) -> int:
    """The HTTP status of an exception."""
    if isinstance(error, HTTPException):
        return error.code or 500
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def kind_of(error: Exception) -> str:
    """One of a bounded number of names for the error."""
    if isinstance(error, HTTPException):
        known = error.code in HTTPStatus.__members__.values()
        return HTTPStatus(error.code).name.lower() if error.code and known else "http_error"
    return next((name for kind, name in KINDS.items() if isinstance(error, kind)), UNKNOWN)


def described(error: Exception) -> tuple[int, str]:
    """The HTTP status and the kind of an exception."""
    return status_of(error), kind_of(error)


def note_error(error: Exception) -> None:
    """Let the record of the current request say what it ended in, and the log what a pipeline said
    of that."""
    _note(error, kind_of(error))


def _note(error: Exception, kind: str) -> None:
    note_in(get_state(), error, kind)


def note_in(state: RequestState, error: Exception, kind: str) -> None:
    """As `note_error`, of the request that has this state."""
    if state.record is not None:
        state.record.error = kind
    if isinstance(error, ModelStoreError | NotReady) and status_of(error) != 500:
        log_words(error, error.words, state.reference)


def sentence_of(error: Exception) -> str:
    """What a client is told of an error of a model."""
    return shown(error, words=context_of(current_app).config.show_errors)


async def answer(error: Exception) -> Response:
    """The exception as an answer in the client's own kind."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        error = NotFound()  # a file whose name stands in the address
    if isinstance(error, HTTPException) and error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    return await answer_with(error, status_of(error), kind_of(error))


async def answer_with(error: Exception, status: int, kind: str) -> Response:
    """The exception as an answer in the client's own kind, with this status. The access log and
    the metrics call it by this kind, of which there may be a bounded number."""
    _note(error, kind)
    if status == 500:
        asked = request.method, request.path, get_state().reference
        logger.error("%s %r failed (%s)", *asked, exc_info=error)
    words = context_of(current_app).config.show_errors
    message = message_of(error, status, words=words)
    protocol = context_of(current_app).protocols.at(request.path)
    if protocol.error is not None:
        return with_headers(json_response(protocol.error(message, status), status), error)
    if wants_html(request):
        refresh = error.retry_after if isinstance(error, NotReady) else None
        response = await _page(status, message, refresh)
    elif wants_text(request):
        response = text_response(message, status)
    else:
        details = error.faults if isinstance(error, InvalidRows) else ()
        response = json_response(ErrorBody(error=message, details=details), status)
    return varied(with_headers(response, error))


async def _page(status: int, message: str, refresh: int | None) -> Response:
    """The page that tells of an error. Where the operator's own cannot be made, it is the bundled
    one, and where that cannot either, the sentence alone."""
    said = {"status": status, "message": message, "refresh": refresh}
    try:
        return html_response(await render_template("error.html", **said), status)
    except Exception:
        logger.exception("The page of the error could not be made; the bundled one is tried.")
    try:
        page = await bundled_template(current_app, "error.html").render_async(said)
    except Exception:
        logger.exception("The bundled page of the error could not be made.")
        return text_response(message, status)
    return html_response(page, status)


def with_headers(response: Response, error: Exception) -> Response:
    """Add the headers that belong to the error."""
    if isinstance(error, HTTPException):
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                response.headers[name] = value
    if not isinstance(error, HTTPException) and (seconds := retry_after_of(error)) is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def retry_after_of(error: Exception) -> int | None:
    """In how many seconds a client may come again; None where waiting does not help."""
    if isinstance(error, QueueFull | Closed):
        return BUSY_RETRY_AFTER
    if isinstance(error, TooManyRequests) and isinstance(error.retry_after, int):
        return error.retry_after
    return error.retry_after if isinstance(error, NotReady) else None


def message_of(error: Exception, status: int, *, words: bool) -> str:
    """What a client is told of an error that has this status; with `words` also what a pipeline or
    a library said of it."""
    if isinstance(error, HTTPException):
        return DESCRIPTIONS.get(status, error.description or error.name)
    if isinstance(error, QueueFull | Closed):
        return BUSY
    if isinstance(error, PredictionFailed) and status == 500:
        return shown(error, words=True) if words else FAILED
    if status == 500:
        return DESCRIPTIONS[500]
    return shown(error, words=words)

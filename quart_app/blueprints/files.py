"""A file of rows: uploaded, answered in the background, looked at while it is, and downloaded."""

from __future__ import annotations

import asyncio
import contextlib
import re
import unicodedata
from collections.abc import Sequence
from itertools import islice
from typing import IO, Final, NamedTuple
from urllib.parse import quote

import msgspec
from quart import Blueprint, Response, redirect, render_template, request, url_for
from quart_schema import hide
from werkzeug.wrappers import Response as WerkzeugResponse

from model_store import Fault, InvalidRows, Manifest
from model_store.errors import Unanswerable
from model_store.literals import parse_number

from ..answering import note
from ..asgi import SpooledTable
from ..context import get_config, get_jobs, get_registry, get_state, get_until, scorer_of
from ..errors import note_error, sentence_of
from ..inference import (
    TABLES_RETRY_AFTER,
    InvalidRequest,
    NotReady,
    RequestTooLarge,
    UnsupportedBody,
)
from ..marks import keeps_predictions
from ..negotiation import html_response, json_response, varied, wants_html
from ..protocols import csv
from ..protocols import form as forms
from ..serving.servable import Servable
from ..tables import parquet
from ..tables.job import Job, Shelved, State
from ..tables.jobs import JobNotFound
from ..tables.scoring import CHECKED_ROWS
from .fields import as_text

blueprint = Blueprint("files", __name__, url_prefix="/models/<name>")

REFRESH: Final = 2
"""Seconds after which the page of a job that runs looks again."""

PATIENCE: Final = 0.5
"""Seconds that a client is kept for a job that may end at once."""

FAULTS_SHOWN: Final = 20
NAME_LENGTH: Final = 80
MOST_ANSWERS: Final = 100
"""Columns of answers that a page shows; the file has all of them."""

NAMES_LINE: Final = 1
"""The number of the line of names, as spreadsheets count."""


class JobStatus(msgspec.Struct, omit_defaults=True):
    """A job as JSON. `errors` counts the rows without an answer, `progress` goes from 0 to 1."""

    state: str
    rows: int
    errors: int
    progress: float
    model: str
    version: int
    filename: str
    reason: str | None = None
    download: str | None = None


class ShownRow(NamedTuple):
    """A row of a result as it is shown, with its number in the file."""

    number: int
    answers: Sequence[str]
    error: str
    inputs: Sequence[str]


# Uploading -----------------------------------------------------------------------


@blueprint.get("/file")
@hide
async def form(name: str) -> Response:
    """The form for a file, and what is expected of it."""
    return await _form_page(await get_registry().servable(name, until=get_until()))


@blueprint.get("/file/example.csv")
@hide
async def example(name: str) -> Response:
    """A table of one row that the model answers."""
    servable = await get_registry().servable(name, until=get_until())
    row = {column: as_text(servable.example[column]) for column in _names(servable.manifest)}
    response = Response(csv.example(row), content_type=csv.ANSWER_TYPE)
    response.headers["Content-Disposition"] = attachment(f"{name}-example.csv")
    return response


@blueprint.post("/file")
@keeps_predictions
@hide
async def upload(name: str) -> Response | WerkzeugResponse:
    """Begin to answer the file in the form, once its first rows are found to be sound."""
    state = get_state()
    servable = await get_registry().servable(name, until=get_until())
    note(state.record, servable)
    if get_registry().draining:
        raise NotReady("The server is stopping.", TABLES_RETRY_AFTER)
    if state.table is None:
        raise UnsupportedBody(f"Expected a form with a file, as {forms.MULTIPART}.")
    try:
        chosen, filename = _chosen(state.table), shown_filename(state.table.filename or "")
        with contextlib.ExitStack() as own:
            table = await parquet.as_csv(chosen, get_config())
            if table is not chosen:
                own.enter_context(table)
            job = await get_jobs().start(scorer_of(servable, door="job"), table, filename)
            own.pop_all()
        if table is chosen:
            state.table.keep()
    except (InvalidRequest, InvalidRows, Unanswerable) as error:
        if wants_html(request) and not isinstance(error, RequestTooLarge):
            return await _form_page(servable, error)
        raise
    try:
        await get_jobs().wait(job, PATIENCE)
    except asyncio.CancelledError:  # the client has gone, and nobody else knows of it
        get_jobs().cancel(job)
        raise
    return redirect(url_for("files.job", name=name, id=job.id), 303)


def _chosen(table: SpooledTable) -> IO[bytes]:
    if not table.file.read(1):
        if table.filename:
            raise InvalidRequest("The file is empty.")
        raise InvalidRequest("Choose a file.")
    table.file.seek(0)
    return table.file


async def _form_page(
    servable: Servable, error: InvalidRequest | InvalidRows | Unanswerable | None = None
) -> Response:
    if error is not None:
        note_error(error)
    manifest, jobs = servable.manifest, get_jobs()
    faults = error.faults[:FAULTS_SHOWN] if isinstance(error, InvalidRows) else ()
    page = await render_template(
        "pages/file.html",
        manifest=manifest,
        problem=sentence_of(error) if isinstance(error, InvalidRequest | Unanswerable) else None,
        faults=[(_line(fault, manifest), fault) for fault in faults],
        total=error.total if isinstance(error, InvalidRows) else 0,
        checked=CHECKED_ROWS,
        limit=get_config().max_csv_bytes,
        minutes=jobs.kept / 60,
    )
    return varied(html_response(page, 200 if error is None else 400))


def _line(fault: Fault, manifest: Manifest) -> int:
    """The row of the file that has the fault, as spreadsheets count."""
    if fault.got == "nothing" or fault.column not in _names(manifest):
        return NAMES_LINE
    return NAMES_LINE + 1 + fault.row


def _names(manifest: Manifest) -> tuple[str, ...]:
    return manifest.signature.names


# What became of it ---------------------------------------------------------------


@blueprint.get("/files/<id>")
@keeps_predictions
@hide
async def job(name: str, id: str) -> Response:
    """How far a job is, with its first rows; as JSON without them."""
    found = await get_jobs().find(name, id)
    if not wants_html(request):
        return _unstored(varied(json_response(_status(found))))
    inputs = len(_names(found.manifest))
    page = await render_template(
        "pages/job.html",
        job=found,
        manifest=found.manifest,
        answer_names=found.names[inputs:-1][:MOST_ANSWERS],
        unshown=max(0, len(found.names) - inputs - 1 - MOST_ANSWERS),
        input_names=found.names[:inputs],
        first=[_shown(found, number, row) for number, row in enumerate(found.first)],
        faulty=[_shown(found, number, row) for number, row in found.faulty.items()],
        minutes=get_jobs().kept / 60,
        refresh=REFRESH if found.state is State.RUNNING else None,
    )
    return _unstored(varied(html_response(page)))


@blueprint.post("/files/<id>/stop")
@keeps_predictions
@hide
async def stop(name: str, id: str) -> WerkzeugResponse:
    """Let a job end where it is."""
    jobs = get_jobs()
    await jobs.stop(await jobs.find(name, id), PATIENCE)
    return redirect(url_for("files.job", name=name, id=id), 303)


@blueprint.get("/files/<id>/download")
@keeps_predictions
@hide
async def download(name: str, id: str) -> Response:
    """The whole result, as CSV."""
    found = await get_jobs().find(name, id)
    if found.state is not State.DONE:
        raise JobNotFound(f"There is nothing to download: the job is {found.state}.")
    content = b"" if request.method == "HEAD" else found.content()
    response = Response(content, content_type=csv.ANSWER_TYPE)
    response.content_length = found.written
    response.timeout = None  # as long as the client goes on reading
    stem = re.sub(r"\.[^.]*$", "", found.filename)
    response.headers["Content-Disposition"] = attachment(f"{name}-{stem}.csv")
    return _unstored(response)


def _status(job: Job | Shelved) -> JobStatus:
    done = job.state is State.DONE
    return JobStatus(
        state=job.state,
        rows=job.rows,
        errors=job.errors,
        progress=round(job.progress, 4),
        model=job.manifest.name,
        version=job.manifest.version,
        filename=job.filename,
        reason=job.reason,
        download=url_for("files.download", name=job.manifest.name, id=job.id) if done else None,
    )


def _shown(job: Job | Shelved, number: int, row: Sequence[str]) -> ShownRow:
    inputs = len(_names(job.manifest))
    measured = not job.manifest.exact
    beside = tuple(measure.name for measure in job.manifest.measures)
    told = zip(job.names[inputs:-1], row[inputs:-1], strict=True)
    answers = [
        _answer(cell, share=name.startswith("probability"), measured=measured or name in beside)
        for name, cell in islice(told, MOST_ANSWERS)
    ]
    return ShownRow(NAMES_LINE + 1 + number, answers, row[-1], row[:inputs])


def _answer(cell: str, *, share: bool, measured: bool) -> str:
    """A cell of an answer, with fewer digits where it is a probability or a measured number."""
    number = parse_number(cell)
    if number is None or not (share or measured):
        return cell
    return f"{number:.4f}" if share else f"{number:.6g}"


def _unstored(response: Response) -> Response:
    """Let nobody on the way keep what belongs to who has the id."""
    response.headers["Cache-Control"] = "no-store"
    return response


# Names of files ------------------------------------------------------------------


def shown_filename(sent: str) -> str:
    """What a sender calls a file, without folders and without what has no shape of its own."""
    name = re.split(r"[/\\]", sent)[-1]
    name = "".join(c for c in name if c.isprintable()).strip()
    return name[:NAME_LENGTH] or "unnamed"


def attachment(filename: str) -> str:
    """The header that lets a browser save an answer as a file (RFC 6266), under a name of letters,
    digits, dots, hyphens and low lines."""
    stem, _, suffix = re.sub(r"[^\w.-]+", "_", filename).rpartition(".")
    stem = stem.strip("._-") or "file"
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    header = f'attachment; filename="{plain or "file"}.{suffix}"'
    if plain == stem:
        return header
    return f"{header}; filename*=UTF-8''{quote(f'{stem}.{suffix}', safe='')}"

"""The models, for a person and as JSON, and the documentation of the API."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast
from urllib.parse import urlencode, urljoin

import msgspec
from quart import Blueprint, Response, current_app, redirect, render_template, request, url_for
from quart.helpers import send_from_directory
from quart_schema import document_response, hide, tag
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response as WerkzeugResponse

from model_store import InvalidRows, Manifest, ModelStore, ModelStoreError
from model_store.backend import served_here
from model_store.errors import Unanswerable
from model_store.literals import shown_category
from model_store.manifest import Evaluation

from ..about.card import read_card
from ..about.description import describe
from ..context import get_registry, get_state, get_until, get_watched
from ..documents import ErrorBody, ModelDescription, ModelList
from ..errors import note_error, sentence_of
from ..inference import InferenceRequest, InferenceResponse
from ..marks import form_page, mark, predicts
from ..negotiation import html_response, json_response, varied, wants_html
from ..protocols import form
from ..serving.registry import LOADING_RETRY_AFTER, Registry
from ..serving.servable import Servable
from .fields import as_text, examples, fields

if TYPE_CHECKING:
    from ..about import charts
    from ..about.overall import Matters
    from .results import Result

blueprint = Blueprint("pages", __name__)
blueprint.add_app_template_filter(shown_category, "category_text")


logger = logging.getLogger(__name__)

PREDICT: Final = "classic.predict"
"""The endpoint that predicts for whatever names no model, where it is served."""
MOST_FALLEN: Final = 100
"""Clusters whose sizes a page shows."""
TOUR: Final = "tour_pages.index"
"""The endpoint of the first page of the tour, where that is served."""


class Alive(msgspec.Struct, frozen=True):
    """What a client finds at the root."""

    models: list[str]
    status: Literal["alive"] = "alive"


@blueprint.get("/")
@mark(only_with="classic")
@form_page
@tag({"models"})
@document_response(Alive)
async def home() -> Response:
    """The models, to choose one from; that the server is alive, where no page is wanted.

    Values in the query are those of a model, as at `/predict`.
    """
    predict = current_app.view_functions.get(PREDICT)
    if request.query_string and predict is not None:
        return cast(Response, await current_app.ensure_async(predict)())
    registry = get_registry()
    if not wants_html(request):
        return varied(json_response(Alive(await registry.names())))
    models = await _describe_all(registry)
    page = await render_template(
        "pages/home.html",
        models=models,
        watched=await get_watched(),
        older=predict is not None,
        tour=TOUR in current_app.view_functions,
        refresh=LOADING_RETRY_AFTER if registry.waiting else None,
    )
    return varied(html_response(page))


@blueprint.post("/")
@mark(only_with="classic")
@predicts
@hide
async def ask() -> Response:
    """What `/predict` answers, where that is served."""
    predict = current_app.view_functions.get(PREDICT)
    if predict is None:
        raise MethodNotAllowed(["GET", "HEAD", "OPTIONS"])
    return cast(Response, await current_app.ensure_async(predict)())


@blueprint.get("/models")
@tag({"models"})
@document_response(ModelList)
async def models() -> Response | WerkzeugResponse:
    """All models, with what they take and what they tell."""
    if wants_html(request):
        return varied(redirect(url_for("pages.home")))
    return varied(json_response(ModelList(await _describe_all(get_registry()))))


@blueprint.get("/models/<name>")
@tag({"models"})
@document_response(ModelDescription)
@document_response(ErrorBody, 404)
@document_response(ErrorBody, 503)
async def model(name: str) -> Response:
    """One model: its form for a person, else what it takes and what it tells."""
    registry = get_registry()
    if wants_html(request):
        servable = await registry.servable(name, until=get_until())
        return await model_page(servable, values=_example(servable))
    entry = registry.entries.get(name)
    description = await asyncio.to_thread(describe, registry.store, name, entry, registry.others)
    return varied(json_response(description))


def _example(servable: Servable) -> Mapping[str, object]:
    """The values of the example whose number the query names."""
    number = request.args.get("example", "")
    found = examples(servable.manifest, servable.sample)
    return next((each.row for i, each in enumerate(found) if number == str(i)), {})


async def model_page(
    servable: Servable,
    *,
    values: Mapping[str, object] | None = None,
    asked: InferenceRequest | None = None,
    answer: InferenceResponse | None = None,
    error: InvalidRows | Unanswerable | None = None,
    version: str | None = None,
) -> Response:
    """The form of a model, with what was entered, and above it the answer or what was wrong.

    `answer` is that to the one row `asked`. `version` is the one that the request named, so that
    the form goes on asking it.
    """
    manifest = servable.manifest
    if error is not None:
        note_error(error)
    faults = error.faults if isinstance(error, InvalidRows) else ()
    errors = {fault.column: fault for fault in faults}
    told = None
    if asked is not None and answer is not None:
        told = await _result(servable, asked, answer, predict_url(manifest.name, version, values))
    page = await render_template(
        "pages/model.html",
        manifest=manifest,
        examples=examples(manifest, servable.sample) if version is None else (),
        fields=fields(manifest.signature.columns, values or {}, errors),
        errors=errors,
        unanswerable=sentence_of(error) if isinstance(error, Unanswerable) else None,
        stray=[fault for name, fault in errors.items() if name not in manifest.signature.names],
        result=told,
        action=predict_url(manifest.name, version),
        served=served_here(manifest.served).sentence,
    )
    return varied(html_response(page, 200 if error is None else 400))


async def _result(
    servable: Servable, asked: InferenceRequest, answer: InferenceResponse, link: str
) -> Result:
    # What draws is imported for the first that is drawn, here and below: a server starts without.
    from ..about.what_if import what_if
    from ..about.why import why
    from .results import result

    signature = servable.manifest.signature
    (row,) = signature.values(signature.validate(asked.named(signature.names), 1, asked.rules))
    reasons = await why(servable, asked, until=get_until())
    found = await what_if(servable, asked, until=get_until())
    url = urljoin(request.host_url, link.partition("?")[0])
    record = get_state().record
    return result(
        servable.manifest,
        answer,
        row,
        found,
        reasons,
        url=url,
        link=link,
        recorded=record is not None and record.recorded,
    )


@blueprint.get("/models/<name>/about")
@hide
async def about(name: str) -> Response:
    """What there is to know of a model before it is trusted."""
    registry = get_registry()
    servable = await registry.servable(name, until=get_until())
    manifest = servable.manifest
    card = await asyncio.to_thread(read_card, registry.store, name, None, manifest)
    page = await render_template(
        "pages/about.html",
        card=card,
        drawn=_drawn(manifest),
        matters=await asyncio.to_thread(_matters, registry.store, manifest),
        unexplained=servable.unexplained,
        fallen=_fallen(manifest),
    )
    return html_response(page)


def _matters(store: ModelStore, manifest: Manifest) -> Matters | None:
    """Which columns matter; None where that is not kept, or cannot be read."""
    from ..about.overall import matters

    try:
        return matters(store, manifest)
    except ModelStoreError:
        logger.exception("What matters to %s cannot be read", manifest.name)
        return None


class Fallen(NamedTuple):
    """Which share of so many rows of the training data fell to what, in words, the largest first;
    `more` were left out."""

    rows: int
    shares: list[tuple[str, float]]
    more: int


def _fallen(manifest: Manifest) -> Fallen | None:
    """Where rows of training fell that nobody had sorted; None where that is not known."""
    counts = manifest.target.counts
    if not counts or manifest.task not in ("clustering", "anomaly detection"):
        return None
    rows = sum(counts.values())
    classes = sorted(manifest.target.classes or (), key=lambda each: -counts.get(str(each), 0))
    shares = [
        (form.word(each, manifest.words), counts.get(str(each), 0) / rows) for each in classes
    ]
    return Fallen(rows, shares[:MOST_FALLEN], max(0, len(shares) - MOST_FALLEN))


def _drawn(
    manifest: Manifest,
) -> list[tuple[Evaluation, charts.Matrix | None, charts.Scatter | None]]:
    """Each measurement with its chart."""
    from ..about import charts

    drawn = []
    for target, found in zip(manifest.targets, manifest.evaluations, strict=False):
        of = f" of {target.name}" if manifest.several and target.name else ""
        matrix = None
        if found.confusion is not None:
            title = f"What was answered where each class{of} was true"
            matrix = charts.matrix(found.confusion, title=title, words=manifest.words)
        title = f"What was answered beside the truth{of}"
        drawn.append((found, matrix, charts.scatter(found, title=title, unit=target.unit)))
    return drawn


def predict_url(name: str, version: str | None, query: Mapping[str, object] | None = None) -> str:
    """Where a model, or one version of it, is asked."""
    path = url_for("predict.by_query", name=name, version=version)
    if not query:
        return path
    return f"{path}?{urlencode({column: as_text(value) for column, value in query.items()})}"


@blueprint.get("/docs")
@hide
async def docs() -> Response:
    """The API, to read and to try."""
    return html_response(await render_template("pages/docs.html"))


@blueprint.get("/docs/assets/<path:file>")
@hide
async def docs_asset(file: str) -> Response:
    """A file of Swagger UI, from the package that carries it: nothing comes from elsewhere."""
    return await send_from_directory(_swagger_folder(), file)


def _swagger_folder() -> Path:
    # Found without importing the package, which would import Flask.
    spec = importlib.util.find_spec("flask_swagger_ui")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "dist"


async def _describe_all(registry: Registry) -> list[ModelDescription]:
    def all_of_them() -> list[ModelDescription]:
        return [describe(registry.store, name, entries.get(name), others) for name in names]

    names, entries, others = await registry.names(), registry.entries, registry.others
    return await asyncio.to_thread(all_of_them)

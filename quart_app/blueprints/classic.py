"""The routes of the older Flask apps, so that their pages, bookmarks and clients go on working.

Pages are for browsers here: a request without a preference gets one, but at `/predict`, which
answers as any prediction does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import structs
from quart import Blueprint, Response, redirect, render_template, request, url_for
from quart.blueprints import BlueprintSetupState
from quart_schema import hide
from werkzeug.wrappers import Response as WerkzeugResponse

from model_store import InvalidRows
from model_store.errors import ModelNotFound, Unanswerable
from model_store.labels import json_labels
from model_store.manifest import Target
from model_store.recipes import RECIPES

from ..answering import Call, Chosen
from ..context import (
    MODEL,
    get_answering,
    get_call,
    get_config,
    get_registry,
    get_until,
    require_allowed,
)
from ..errors import note_error, sentence_of
from ..inference import InferenceError, InferenceRequest, InferenceResponse, InvalidRequest
from ..marks import form_page, predicts
from ..negotiation import (
    html_response,
    json_bytes,
    json_reply,
    kind_wanted,
    text_response,
    varied,
    wants_html,
)
from ..protocols import form, native, plain
from ..protocols.protocol import Payload
from ..serving.column_aliases import AliasedModel, by_position, by_synonym, meaning
from ..serving.servable import Servable
from .fields import fields

blueprint = Blueprint("classic", __name__)

IRIS: Final = "iris"
DOOR: Final = "classic"
"""What records of predictions call these routes."""
MOST_TOLD: Final = 20
"""Things that a sentence tells."""
BLOOD_DONATION: Final = "blood-donation"
SHORT_NAMES: Final = {
    "sepal length (cm)": "slen",
    "sepal width (cm)": "swid",
    "petal length (cm)": "plen",
    "petal width (cm)": "pwid",
}
"""What the form at `/home` calls the columns of the iris."""
Body = Response | WerkzeugResponse
ShowAnswer = Callable[[AliasedModel, InferenceResponse], Awaitable[Response]]


class Form(msgspec.Struct, frozen=True):
    """The form of a page: where it goes, and by which button. With `named` a field's id is its
    name."""

    action: str
    method: Literal["get", "post"] = "post"
    button: str = "Predict"
    named: bool = False


# Pages ---------------------------------------------------------------------------


@blueprint.get("/random")
@hide
async def random() -> Response:
    """The form of the iris, by the names of its features."""
    iris = AliasedModel(await _servable(IRIS))
    return await _form_page(iris, Form(await _predict_url(iris.servable)))


@blueprint.get("/home")
@hide
async def home() -> Response:
    """The form of the iris, by short names."""
    return await _form_page(AliasedModel(await _servable(IRIS), SHORT_NAMES), _home_form())


@blueprint.route("/classify", methods=["GET", "POST"])
@predicts
@hide
async def classify() -> Body:
    """The variety of the iris that the form at `/home` describes."""
    asked = await _sent()
    if _nothing(asked) and kind_wanted(request, usual="page") == "page":
        return varied(redirect(url_for("classic.home")))
    chosen = await _chosen(await _servable(IRIS))
    return await _answer(chosen, SHORT_NAMES, asked, _home_form(), usual="page", show=_variety_page)


@blueprint.route("/ml-model", methods=["GET", "POST"])
@form_page
@hide
async def ml_model() -> Response:
    """The form of the blood donation, and the result in it."""
    asked, action = await _sent(), Form(request.path)
    servable = await _servable(BLOOD_DONATION)
    if _nothing(asked):
        return await _form_page(AliasedModel(servable), action)
    chosen = await _chosen(servable)
    names = by_synonym(chosen.servable.manifest, asked.names)
    return await _answer(chosen, names, asked, action, usual="page")


# Predictions ---------------------------------------------------------------------


@blueprint.route("/predict", methods=["GET", "POST"])
@predicts
@hide
async def predict() -> Response:
    """Predict by the model that has these columns, or that `?model=` names."""
    asked = await _sent(choosing=True)
    servable = await _choose(asked)
    action = Form(await _predict_url(servable))
    if _nothing(asked) and wants_html(request):
        return await _form_page(AliasedModel(servable), action)
    chosen = await _chosen(servable)
    names = by_synonym(chosen.servable.manifest, asked.names)
    return await _answer(chosen, names, asked, action, usual="json")


@blueprint.post("/predict_api")
@predicts
@hide
async def predict_api() -> Response:
    """The bare prediction for one donor, whatever the content type of the JSON says."""
    call, answering = await get_call(), get_answering()
    asked = await answering.decode(native.PROTOCOL, Payload(call.payload.body))
    if asked.many:
        raise InvalidRequest("Expected a JSON object of features, got a list.")
    chosen = answering.choose(call, await _servable(BLOOD_DONATION))
    names = by_position(chosen.servable.manifest, asked.names)
    response = await answering.predict_by(names, chosen, asked, call, door=DOOR)
    return json_bytes(msgspec.json.encode(json_labels(response.labels)[0]))


async def root() -> Body:
    """As `/`, where these routes have a prefix."""
    if request.method != "POST" and not request.query_string:
        return redirect(url_for("pages.home"))
    return await predict()


@blueprint.record
def _register_root(state: BlueprintSetupState) -> None:
    if state.url_prefix:
        state.add_url_rule("/", "root", hide(root), methods=["GET", "POST"])


# Asking --------------------------------------------------------------------------


async def _sent(*, choosing: bool = False) -> InferenceRequest:
    """The row in the query, or the rows in the body where there is one. Where a model is to be
    chosen, the query may name it."""
    asked = form.decode(request.query_string)
    columns = cast(Mapping[str, Any], asked.columns)
    if choosing:
        columns = {name: values for name, values in columns.items() if name != MODEL}
    if request.method == "POST" and (not columns or await request.get_data()):
        call = await get_call()
        return await get_answering().decode(native.PROTOCOL, call.payload)
    return msgspec.structs.replace(asked, columns=columns)


def _nothing(asked: InferenceRequest) -> bool:
    """Whether only the address was asked for."""
    return not asked.names and request.method != "POST"


async def _servable(name: str) -> Servable:
    require_allowed(name)
    try:
        return await get_registry().servable(name, until=get_until())
    except ModelNotFound:
        raise _absent(name) from None


async def _chosen(servable: Servable) -> Chosen:
    """Which version of a model answers: this one, or the canary that is tried beside it."""
    return get_answering().choose(await get_call(), servable)


async def _choose(asked: InferenceRequest) -> Servable:
    call = await get_call()
    try:
        return await get_answering().find(call, asked.names, meaning)
    except ModelNotFound:
        name = call.name or get_config().default_model
        if name in RECIPES:
            raise _absent(name) from None
        raise
    except InvalidRequest:
        if not get_registry().entries:
            raise _absent(IRIS) from None
        raise


def _absent(name: str) -> ModelNotFound:
    return ModelNotFound(
        f"There is no model {name!r} yet; the command that trains it is: "
        f"quart-app models train {name}"
    )


# Answering -----------------------------------------------------------------------


async def _answer(
    chosen: Chosen,
    names: Mapping[str, str],
    asked: InferenceRequest,
    action: Form,
    *,
    usual: Literal["page", "json"],
    show: ShowAnswer | None = None,
) -> Response:
    """The answer in the client's own kind, who calls the columns by these names; its page, if none
    other is given, is that of the form with what was sent."""
    answering, model = get_answering(), AliasedModel(chosen.servable, names)
    infer = partial(answering.predict_by, names, chosen, asked, await get_call(), door=DOOR)
    kind = kind_wanted(request, usual=usual)
    if asked.many or kind != "page":
        response = await infer()
        if kind == "text":
            return varied(text_response(plain.encode(response)))
        return varied(json_reply(await answering.encode(native.PROTOCOL, response, asked)))
    columns = cast(Mapping[str, Any], asked.columns)
    values = {name: found[0] for name, found in columns.items()}
    try:
        response = await infer()
    except (InvalidRows, Unanswerable) as error:
        return await _form_page(model, action, values=values, error=error)
    if show is not None:
        return await show(model, response)
    return await _form_page(model, action, values=values, answer=response)


async def _variety_page(model: AliasedModel, answer: InferenceResponse) -> Response:
    """The label alone, and a way back to the form."""
    manifest = model.servable.manifest
    told = form.encode(answer, manifest.words, manifest.measures)[0]
    page = await render_template(
        "classic/variety.html",
        manifest=manifest,
        told=told,
        variety=told.prediction,
        value=plain.encode(answer),
    )
    return varied(html_response(page))


async def _form_page(
    model: AliasedModel,
    action: Form,
    *,
    values: Mapping[str, object] | None = None,
    answer: InferenceResponse | None = None,
    error: InvalidRows | Unanswerable | None = None,
) -> Response:
    """The form with what was entered, and above it the sentence of the result or what was wrong."""
    if error is not None:
        note_error(error)
    manifest, signature = model.servable.manifest, model.signature
    faults = error.faults if isinstance(error, InvalidRows) else ()
    errors = {fault.column: fault for fault in faults}
    found = fields(signature.columns, values or {}, errors)
    if action.named:
        found = [structs.replace(field, id=field.column.name) for field in found]
    answers = [] if answer is None else form.encode(answer, manifest.words, manifest.measures)
    told = list(zip(manifest.targets, answers, strict=False))
    page = await render_template(
        "classic/model.html",
        manifest=manifest,
        form=action,
        fields=found,
        errors=errors,
        unanswerable=sentence_of(error) if isinstance(error, Unanswerable) else None,
        stray=[fault for name, fault in errors.items() if name not in signature.names],
        told=told,
        prediction_text=_sentence(told),
        value=None if answer is None else plain.encode(answer),
    )
    return varied(html_response(page, 200 if error is None else 400))


def _sentence(told: Sequence[tuple[Target, form.Answer]]) -> str | None:
    """What the model tells, in words; of several targets one after the other, of very many the
    first."""
    parts = []
    for target, answer in told[:MOST_TOLD]:
        unit = f" {target.unit}" if target.unit else ""
        parts.append(f"{target.label or target.name or 'value'}: {answer.prediction}{unit}")
    return f"Predicted {', '.join(parts)}" if parts else None


def _home_form() -> Form:
    return Form(url_for("classic.classify"), "get", "Submit", named=True)


async def _predict_url(servable: Servable) -> str:
    """Where this model is asked: its name is in the address only where its columns do not tell."""
    manifest = servable.manifest
    try:
        found = await get_answering().find(Call(Payload(b"")), manifest.signature.names, meaning)
    except (InferenceError, ModelNotFound):
        found = None
    name = None if found is servable else manifest.name
    return url_for("classic.predict", model=name)

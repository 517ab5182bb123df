"""The one place that answers: decode → find the model → note → infer → encode.

Every protocol, page and table predicts through here. Whoever wants to know of predictions
subscribes with `on_answer`; nothing wraps `Servable.infer`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import structs

from model_store import InvalidRows, Manifest
from model_store.errors import Unanswerable

from .asgi import Record
from .config import Config
from .inference import Bound, InferenceRequest, InferenceResponse, InvalidRequest
from .keys import require_for
from .protocols.explained import settled
from .protocols.protocol import Limits, Payload, Protocol, Reply
from .serving.challenge import Challenge, Variant
from .serving.column_aliases import AliasedModel
from .serving.registry import Registry
from .serving.select_model import Meaning, choose, literally
from .serving.servable import Servable

LARGE: Final = 256 * 1024
"""Bytes from which on a body is decoded, and a response encoded, in a thread."""

BYTES_PER_ROW: Final = 64
"""About what a row of a response has."""


class Call(msgspec.Struct, frozen=True):
    """A request for a prediction, as it came.

    `name` and `version` are those of the model that the address names; without a name the request
    itself, else its columns, tell which it is.
    `until` is the moment, in the loop's time, by which the response must be there; None gives it
    the whole deadline. `record` is told which model answers how many rows. `models` are those that
    may be asked; None where all may. `key` says what keeps the client with one version while a
    canary is tried. `explain` is the scale on which the answers are to be explained, where the
    address asks for that.
    """

    payload: Payload
    name: str | None = None
    version: str | None = None
    until: float | None = None
    record: Record | None = None
    models: tuple[str, ...] | None = None
    key: Callable[[], str] = str
    explain: str | None = None


class Chosen(NamedTuple):
    """The version that answers a request, and as what, where a challenger is tried."""

    servable: Servable
    challenge: Challenge | None = None
    variant: Variant = "champion"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A prediction that was made: what a subscriber is told.

    The columns of `request` have the names of the model. `record` is that of the HTTP request, None
    for a part of a table. `door` is the protocol, or the page, by which it came. `nanoseconds` is
    what the model took, its queue included.
    """

    manifest: Manifest
    request: InferenceRequest
    response: InferenceResponse
    record: Record | None
    door: str = "json"
    variant: Variant = "champion"
    nanoseconds: int = 0


class Failure(msgspec.Struct, frozen=True):
    """A request that a model got and did not answer: what a subscriber is told. The fields are
    those of an `Answer`, with the `error` in place of the response."""

    manifest: Manifest
    request: InferenceRequest
    error: Exception
    record: Record | None
    door: str = "json"
    variant: Variant = "champion"
    nanoseconds: int = 0


OnAnswer = Callable[[Answer], None]
OnFailure = Callable[[Failure], None]


class InBytes(Exception):
    """JSON alone was wanted, and the request asks for bytes. Nothing was predicted."""


class Answering:
    """Answers requests by the models of one registry. Belongs to its event loop."""

    def __init__(self, registry: Registry, config: Config) -> None:
        self.limits = Limits(
            Bound(config.max_rows, "QUART_APP_MAX_ROWS"),
            Bound(config.max_tensor_rows, "QUART_APP_MAX_TENSOR_ROWS"),
            Bound(config.max_json_bytes, "QUART_APP_MAX_JSON_BYTES"),
            Bound(config.max_form_bytes, "QUART_APP_MAX_FORM_BYTES"),
            Bound(config.max_tensor_bytes, "QUART_APP_MAX_TENSOR_BYTES"),
        )
        self._registry = registry
        self._default = config.default_model
        self._subscribers: list[OnAnswer] = []
        self._on_failure: list[OnFailure] = []

    def on_answer(self, subscriber: OnAnswer) -> None:
        """Let a subscriber know of every prediction from now on, before its response is sent.

        It is called in the event loop and must not block; what it raises is a defect.
        """
        self._subscribers.append(subscriber)

    def on_failure(self, subscriber: OnFailure) -> None:
        """Let a subscriber know of every request that a model got and did not answer, as
        `on_answer` does of the others. What was refused before a model was found is told to the
        observers of requests alone."""
        self._on_failure.append(subscriber)

    async def answer(self, protocol: Protocol, call: Call, *, in_json: bool = False) -> Reply:
        """The response to a request, in the words of its protocol.

        With `in_json` only one that is JSON.

        Raises:
            InBytes: with `in_json`, where the request asks for bytes.
            InvalidRequest, InvalidRows, ModelNotFound, NotReady: and what `Servable.infer` raises.
        """
        payload, door = call.payload, protocol.door
        if call.record is not None:
            call.record.named, call.record.door = call.name, door
        if protocol.model_first:
            chosen = self.choose(call, self._loaded(call) or await self.find(call))
            note(call.record, chosen.servable)
            columns = chosen.servable.manifest.signature.columns
            payload = Payload(payload.body, payload.content_type, payload.headers, columns)
            request = await self.decode(protocol, payload)
        else:
            try:
                request = await self.decode(protocol, payload)
            except InvalidRequest as error:
                _note_named(call.record, call.name or error.model)
                raise
            if request.model is not None and call.name is None:
                call = structs.replace(call, name=request.model, version=request.version)
                _note_named(call.record, call.name)
            chosen = self.choose(call, self._loaded(call) or await self.find(call, request.names))
        if in_json and request.in_bytes:
            raise InBytes
        if request.beside:
            request = settled(request, chosen.servable.manifest.signature.names)
        if call.explain is not None:
            request = structs.replace(request, explain=call.explain)
        try:
            response = await self.predict(chosen, request, call, door=door)
        except Unanswerable as error:
            if request.rows == 1:
                raise
            raise await chosen.servable.blamed(request, error, until=call.until) from error
        return await self.encode(protocol, response, request)

    async def decode(self, protocol: Protocol, payload: Payload) -> InferenceRequest:
        """The request in a body, decoded in a thread where that is large.

        Raises:
            InvalidRequest: also as RequestTooLarge and UnsupportedBody.
        """
        if len(payload.body) > LARGE:
            return await asyncio.to_thread(protocol.decode, payload, self.limits)
        return protocol.decode(payload, self.limits)

    async def find(
        self, call: Call, names: Sequence[str] = (), meaning: Meaning = literally
    ) -> Servable:
        """The model that the address names, else the one that has columns of these names.

        Raises:
            ModelNotFound, VersionNotFound: there is none.
            InvalidRequest: the names do not tell which.
            NotReady: it is on its way, or has failed.
            KeyNotForModel: the request may not ask it.
        """
        if call.name is not None:
            require_for(call.models, call.name)
            return await self._registry.servable(call.name, call.version, until=call.until)
        servable = await choose(
            self._registry, names, default=self._default, meaning=meaning, until=call.until
        )
        require_for(call.models, servable.manifest.name)
        return servable

    def choose(self, call: Call, servable: Servable) -> Chosen:
        """Which version answers: the one that was found, or the canary that is tried beside it. Who
        names a version gets that one, and is counted for neither."""
        challenge = None if call.version is not None else self._registry.challenge(servable)
        if challenge is None:
            return Chosen(servable)
        variant = challenge.variant(call.key)
        return Chosen(challenge.chosen(variant), challenge, variant)

    async def predict(
        self, chosen: Chosen, request: InferenceRequest, call: Call, *, door: str
    ) -> InferenceResponse:
        """The response of the version that was chosen; what is tried beside it, or as it, is told.

        Raises:
            As `Servable.infer`.
        """
        challenge, variant = chosen.challenge, chosen.variant
        infer = self.infer(
            chosen.servable,
            request,
            until=call.until,
            record=call.record,
            door=door,
            variant=variant,
        )
        if challenge is None:
            return await infer
        begun = time.perf_counter_ns()
        try:
            response = await infer
        except Exception as error:
            challenge.failed(variant, request, error)
            raise
        challenge.answered(variant, request, response, time.perf_counter_ns() - begun, door)
        return structs.replace(response, variant=variant)

    async def predict_by(
        self,
        names: Mapping[str, str],
        chosen: Chosen,
        request: InferenceRequest,
        call: Call,
        *,
        door: str,
    ) -> InferenceResponse:
        """As `predict`, of a request that calls some columns by other names, keyed by the column.

        Raises:
            InvalidRows: the faults name the columns as the request does.
            As `Servable.infer`.
        """
        model = AliasedModel(chosen.servable, names)
        own = model.own(request)
        try:
            return await self.predict(chosen, own, call, door=door)
        except InvalidRows:
            await asyncio.to_thread(model.require_fit, request)
            raise

    async def infer(
        self,
        model: Servable,
        request: InferenceRequest,
        *,
        until: float | None = None,
        record: Record | None = None,
        door: str = "page",
        variant: Variant = "champion",
    ) -> InferenceResponse:
        """The model's response, of which the subscribers are told.

        Records call the way that it came by `door`; without the `record` of its request it is
        counted in their summaries alone.

        Raises:
            As `Servable.infer`.
        """
        note(record, model, request.rows)
        turns = None if record is None else record.turns
        begun = time.perf_counter_ns()
        try:
            response = await model.infer(request, until=until, turns=turns)
        except Exception as error:
            took = time.perf_counter_ns() - begun
            self._tell_failure(Failure(model.manifest, request, error, record, door, variant, took))
            raise
        if record is not None:
            record.told = True
        if self._subscribers:
            took = time.perf_counter_ns() - begun
            answer = Answer(model.manifest, request, response, record, door, variant, took)
            for subscriber in self._subscribers:
                subscriber(answer)
        return response

    def _tell_failure(self, failure: Failure) -> None:
        if failure.record is not None:
            failure.record.told = True
        for subscriber in self._on_failure:
            subscriber(failure)

    async def encode(
        self, protocol: Protocol, response: InferenceResponse, request: InferenceRequest
    ) -> Reply:
        """The body of the response, encoded in a thread where it is large."""
        if request.rows * BYTES_PER_ROW > LARGE:
            return await asyncio.to_thread(protocol.encode, response, request)
        return protocol.encode(response, request)

    def _loaded(self, call: Call) -> Servable | None:
        """What `find` answers at once; None where it would have to look or wait."""
        if call.name is None or (call.models is not None and call.name not in call.models):
            return None
        return self._registry.loaded(call.name, call.version)


def _note_named(record: Record | None, name: str | None) -> None:
    if record is not None:
        record.named = name


def note(record: Record | None, servable: Servable, rows: int | None = None) -> None:
    """Let the record of a request say which version of a model answers how many rows."""
    if record is not None:
        record.model, record.version = servable.manifest.name, servable.manifest.version
        if rows is not None:
            record.rows = rows

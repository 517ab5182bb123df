"""The methods of `inference.GRPCInferenceService`: what the views of V2 do, in messages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec

from model_store.errors import ModelNotFound

from .. import protobuf
from ..about import repository
from ..answering import Call
from ..context import (
    Context,
    load_everywhere,
    readiness_of,
    statistics_of,
    unload_everywhere,
)
from ..inference import InvalidRequest, NotReady, too_large
from ..keys import require_for
from ..marks import Marks
from ..middleware.clients import route_key
from ..protobuf import InvalidMessage, Message
from ..protocols import v2_documents, v2_grpc
from ..protocols.protocol import Payload
from ..protocols.v2_documents import ModelMetadata, TensorMetadata
from ..serving.servable import Servable
from ..version import VERSION
from .calls import Exchange, Method, Streamed, Unary

SERVICE: Final = "inference.GRPCInferenceService"

MAX_BYTES: Final = 64 * 1024
"""Bytes of a message that asks for no prediction."""

PREDICTS: Final = Marks(predicts=True)
CHANGES: Final = Marks(changes=True)


class InferenceService:
    """Answers by the models of one app."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = context.registry
        self._answering = context.answering

    @property
    def methods(self) -> Mapping[str, Method]:
        """The methods by their paths."""
        methods: dict[str, Method] = {
            "ServerLive": Unary(self._live, is_counted=False),
            "ServerReady": Unary(self._ready, is_counted=False),
            "ModelReady": Unary(self._model_ready),
            "ServerMetadata": Unary(self._server),
            "ModelMetadata": Unary(self._model),
            "ModelInfer": Unary(self._infer, PREDICTS),
            "ModelStreamInfer": Streamed(self._infer_in_stream, _failed, PREDICTS),
            "ModelConfig": Unary(self._config),
            "ModelStatistics": Unary(self._statistics),
            "RepositoryIndex": Unary(self._index),
            "RepositoryModelLoad": Unary(self._load, CHANGES),
            "RepositoryModelUnload": Unary(self._unload, CHANGES),
        }
        return {f"/{SERVICE}/{name}": method for name, method in methods.items()}

    async def _infer(self, exchange: Exchange, message: bytes) -> bytes:
        state = exchange.state
        call = Call(
            Payload(message),
            until=exchange.until,
            record=state.record,
            models=state.models,
            key=partial(route_key, exchange.scope),
        )
        return (await self._answering.answer(v2_grpc.PROTOCOL, call)).body

    async def _infer_in_stream(self, exchange: Exchange, message: bytes) -> bytes:
        return v2_grpc.streamed(await self._infer(exchange, message))

    async def _live(self, exchange: Exchange, message: bytes) -> bytes:
        return _written("ServerLiveResponse", live=True)

    async def _ready(self, exchange: Exchange, message: bytes) -> bytes:
        return _written("ServerReadyResponse", ready=(await readiness_of(self._context)).ready)

    async def _model_ready(self, exchange: Exchange, message: bytes) -> bytes:
        request = _read("ModelReadyRequest", message)
        try:
            await self._servable(exchange, request)
        except (ModelNotFound, NotReady):  # Triton says no more of a model that it does not have
            return _written("ModelReadyResponse", ready=False)
        return _written("ModelReadyResponse", ready=True)

    async def _server(self, exchange: Exchange, message: bytes) -> bytes:
        server = v2_documents.ServerMetadata("quart-app", VERSION)
        return _written("ServerMetadataResponse", **msgspec.to_builtins(server))

    async def _model(self, exchange: Exchange, message: bytes) -> bytes:
        servable = await self._servable(exchange, _read("ModelMetadataRequest", message))
        return _written(
            "ModelMetadataResponse",
            **_metadata(await repository.metadata(self._registry, servable)),
        )

    async def _config(self, exchange: Exchange, message: bytes) -> bytes:
        servable = await self._servable(exchange, _read("ModelConfigRequest", message))
        return _written("ModelConfigResponse", config=v2_documents.config(servable.manifest))

    async def _statistics(self, exchange: Exchange, message: bytes) -> bytes:
        request = _read("ModelStatisticsRequest", message)
        servables = self._registry.servables
        if request.name:
            servables = [await self._servable(exchange, request)]
        return _written("ModelStatisticsResponse", **await statistics_of(self._context, servables))

    async def _index(self, exchange: Exchange, message: bytes) -> bytes:
        request = _read("RepositoryIndexRequest", message)
        rows = await repository.index(self._registry, only_ready=request.ready)
        return _written("RepositoryIndexResponse", models=msgspec.to_builtins(rows))

    async def _load(self, exchange: Exchange, message: bytes) -> bytes:
        request = _read("RepositoryModelLoadRequest", message)
        name = _named(exchange, request)
        repository.refuse_files(request.parameters)
        await load_everywhere(self._context, name)
        return _written("RepositoryModelLoadResponse", model_name=name, isLoaded=True)

    async def _unload(self, exchange: Exchange, message: bytes) -> bytes:
        name = _named(exchange, _read("RepositoryModelUnloadRequest", message))
        await unload_everywhere(self._context, name)
        return _written("RepositoryModelUnloadResponse", model_name=name, isUnloaded=True)

    async def _servable(self, exchange: Exchange, request: Message) -> Servable:
        """The model that a message names."""
        if not request.name:
            raise InvalidRequest("name: expected the name of a model, got nothing.")
        return await self._registry.servable(
            request.name, request.version or None, until=exchange.until
        )


def _named(exchange: Exchange, request: Message) -> str:
    """The model to load or unload, which the key of the call has to be for."""
    name: str = request.model_name or request.repository_name
    if not name:
        raise InvalidRequest("model_name: expected the name of a model, got nothing.")
    require_for(exchange.state.models, name)
    return name


def _metadata(model: ModelMetadata) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(model),
        "inputs": [_tensor(tensor) for tensor in model.inputs],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
    }


def _tensor(tensor: TensorMetadata) -> dict[str, Any]:
    parameters = {name: {"string_param": value} for name, value in tensor.parameters.items()}
    return {**msgspec.to_builtins(tensor), "parameters": parameters}


def _failed(message: str) -> bytes:
    return _written("ModelStreamInferResponse", error_message=message)


def _read(name: str, message: bytes) -> Message:
    """A message that asks for no prediction.

    Raises:
        InvalidRequest, RequestTooLarge
    """
    if len(message) > MAX_BYTES:
        raise too_large(f"A message {name} may have {MAX_BYTES} bytes", MAX_BYTES)
    try:
        return protobuf.parsed(protobuf.message_class(f"inference.{name}"), message)
    except InvalidMessage as error:
        raise InvalidRequest(str(error)) from None


def _written(name: str, /, **fields: Any) -> bytes:
    written: bytes = protobuf.message_class(f"inference.{name}")(**fields).SerializeToString()
    return written

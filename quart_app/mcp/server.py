"""Answers messages: what this server is, which models there are as tools, and calls of them.

Nothing is kept between two messages. What is wrong with the rows of a call, or keeps a model from
answering them, is a result with `isError` and a sentence, so that an agent reads it and mends its
call; what is wrong with a message is an error of JSON-RPC.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from model_store import InvalidRows, Manifest, ModelStoreError
from model_store.errors import ModelNotFound, Unanswerable

from ..answering import Answering, Call
from ..asgi import Record, Scope, Tracing
from ..config import Config
from ..errors import kind_of, message_of, status_of
from ..inference import InferenceError, InvalidRequest
from ..keys import KeyNotForModel
from ..pipeline_errors import log_words
from ..protocols.json_body import parse_object
from ..protocols.mcp import PROTOCOL
from ..protocols.protocol import Payload
from ..serving.batcher import Closed, QueueFull
from ..serving.registry import Registry
from ..version import VERSION
from . import tools
from .messages import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    NO_ID,
    Message,
    Params,
    RpcError,
    failure,
    id_of,
    object_in,
    read,
    result,
    text_in,
)
from .origins import require_ours
from .revisions import CALL, DISCOVER, SUPPORTED, is_modern, negotiated

MANY: Final = 20
"""With more models there is a tool to list and describe them."""

PAGE: Final = 100
PAGE_BYTES: Final = 1024 * 1024
"""Tools of one page of the list, and bytes after which it ends."""

METHODS: Final = frozenset({CALL, "tools/list", DISCOVER, "initialize", "ping"})
"""What spans call by its name."""

LISTED: Final = 100
"""Models that the tool that lists them names at once."""

DISCOVERED_MS: Final = 60_000
LISTED_MS: Final = 0
"""For how long a client may keep what it was told, in milliseconds. A model may be published or
promoted at any moment, and is to be there at the next list."""

INSTRUCTIONS: Final = (
    "Each tool is a trained model: it takes `rows`, a list of objects with a value for every "
    "column, and predicts for each. Send many rows in one call. Where rows are faulty the result "
    "says what was expected of which column."
)
INFO: Final = {"name": "quart-app", "title": "quart-app", "version": VERSION}
INFO_KEY: Final = "io.modelcontextprotocol/serverInfo"

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """A response: its HTTP status, and its body, which is empty for a notification."""

    status: int
    body: bytes = b""


class _Tool(NamedTuple):
    manifest: Manifest
    encoded: bytes


class Server:
    """Answers for the models of one registry. Belongs to its event loop."""

    def __init__(
        self,
        registry: Registry,
        answering: Answering,
        config: Config,
        tracing: Tracing | None = None,
        *,
        page: int = PAGE,
    ) -> None:
        self._registry = registry
        self._answering = answering
        self._config = config
        self._tracing = tracing
        self._page = page
        self._tools: dict[str, _Tool] = {}
        self._added = b',"resultType":"complete","_meta":%b}' % msgspec.json.encode(
            {INFO_KEY: INFO}
        )

    async def answer(self, scope: Scope, call: Call) -> Outcome:
        """The response to a message. No message raises."""
        id = NO_ID
        try:
            require_ours(scope, self._config)
            message = read(call.payload.body)
            if message.id is not None:
                id = message.id
            if message.params is None:
                raise RpcError(INVALID_PARAMS, "params: expected an object.")
            if self._tracing is not None and call.record is not None:
                self._follow(self._tracing, call.record, message.method, message.params)
            modern = is_modern(message, message.params, call.payload)
            if message.id is None:
                return Outcome(202)
            try:
                content = await self._result(message, message.params, call, modern)
            except RpcError as error:
                # Clients of the older era take 404 for the end of their session.
                return Outcome(error.status if modern else 200, failure(id, error))
        except RpcError as error:
            if call.record is not None:
                call.record.error = "invalid_request"
            return Outcome(error.status, failure(_known(id, call), error))
        return Outcome(200, result(id, content[:-1] + self._added if modern else content))

    def _follow(self, tracing: Tracing, record: Record, method: str, params: Params) -> None:
        """Let the span of the request belong to who calls the tool, and say which.

        Source: modelcontextprotocol.io, SEP-414; OpenTelemetry's conventions for it.
        """
        tracing.adopt(record, object_in(params.meta))
        if record.trace is not None:
            method = method if method in METHODS else "_OTHER"
            name = text_in(params.name) if method == CALL else None
            record.trace.attributes["mcp.method.name"] = method
            record.trace.name = method
            if name is not None and name in self._registry.entries:
                record.trace.name = f"{method} {name}"
                record.trace.attributes["gen_ai.tool.name"] = name

    async def _result(self, message: Message, params: Params, call: Call, modern: bool) -> bytes:
        """The result of a request, as JSON.

        Raises:
            RpcError
        """
        if message.method == CALL:
            return await self._call(params, call)
        if message.method == "tools/list":
            return await self._list(params, call.models, modern)
        if modern and message.method == DISCOVER:
            return msgspec.json.encode(self._discovered())
        if not modern and message.method == "initialize":
            return msgspec.json.encode(_initialized(text_in(params.protocol_version)))
        if not modern and message.method == "ping":
            return b"{}"
        raise RpcError(METHOD_NOT_FOUND, f"There is no method {_shown(message.method)} here.")

    def _discovered(self) -> Mapping[str, Any]:
        return {
            "supportedVersions": list(SUPPORTED),
            "capabilities": {"tools": {}},
            "instructions": INSTRUCTIONS,
            "ttlMs": DISCOVERED_MS,
            "cacheScope": "public",
        }

    # Tools ---------------------------------------------------------------------------

    async def manifests(self, models: Container[str] | None) -> dict[str, Manifest]:
        """What may be called: the loaded models and those that were published since, by name."""
        found = await self._registry.later()
        for name, entry in self._registry.entries.items():
            if entry.servable is not None:
                found[name] = entry.servable.manifest
        return {name: found[name] for name in sorted(found) if models is None or name in models}

    async def _list(self, params: Params, models: Container[str] | None, modern: bool) -> bytes:
        manifests = await self.manifests(models)
        names = list(manifests)
        start = _start(params, names)
        listed: list[Raw] = []
        if len(names) > MANY and start == 0:
            listing = tools.listing_of(_listing(names), self._config.max_rows)
            listed.append(Raw(msgspec.json.encode(listing)))
        size, end = 0, start
        while end < len(names) and end - start < self._page and size < PAGE_BYTES:
            encoded = self._encoded(manifests[names[end]])
            size += len(encoded)
            listed.append(Raw(encoded))
            end += 1
        self._forget(manifests, models)
        content: dict[str, Any] = {"tools": listed}
        if end < len(names):
            content["nextCursor"] = names[end - 1]
        if modern:
            scope = "private" if self._config.keys_for == "predictions" else "public"
            content |= {"ttlMs": LISTED_MS, "cacheScope": scope}
        return msgspec.json.encode(content)

    def _encoded(self, manifest: Manifest) -> bytes:
        """The tool of a model, made once for each version."""
        tool = self._tools.get(manifest.name)
        if tool is None or tool.manifest != manifest:
            made = msgspec.json.encode(self._tool(manifest))
            tool = self._tools[manifest.name] = _Tool(manifest, made)
        return tool.encoded

    def _tool(self, manifest: Manifest) -> Mapping[str, Any]:
        loaded = self._registry.loaded(manifest.name, str(manifest.version))
        example = None if loaded is None else loaded.example
        return tools.tool_of(manifest, self._config.max_rows, example)

    def _forget(self, manifests: Mapping[str, Manifest], models: Container[str] | None) -> None:
        if models is None and len(self._tools) > len(manifests):
            self._tools = {name: self._tools[name] for name in manifests if name in self._tools}

    # Calls ---------------------------------------------------------------------------

    async def _call(self, params: Params, call: Call) -> bytes:
        name = text_in(params.name)
        if name is None:
            raise RpcError(INVALID_PARAMS, "params.name: expected the name of a tool.")
        arguments = b"{}" if isinstance(params.arguments, msgspec.UnsetType) else params.arguments
        payload = Payload(bytes(arguments))
        asked = Call(payload, name, None, call.until, call.record, call.models, call.key)
        try:
            reply = await self._answering.answer(PROTOCOL, asked)
        except (ModelNotFound, KeyNotForModel) as error:
            if isinstance(error, ModelNotFound) and (listed := await self._described(asked)):
                return listed
            _note(call, error)
            raise RpcError(INVALID_PARAMS, f"There is no tool {_shown(name)} here.") from None
        except (InferenceError, InvalidRows, ModelStoreError, QueueFull, Closed) as error:
            return self._faulty(call, error)
        return _told(reply.body)

    def _faulty(self, call: Call, error: Exception) -> bytes:
        """The result that says what is wrong with a call."""
        status = status_of(error)
        _note(call, error)
        if status >= 500 and not isinstance(error, InferenceError | QueueFull | Closed):
            logger.error("A call of the tool failed", exc_info=error)
        elif isinstance(error, Unanswerable):
            log_words(error, error.words, "a call of its tool")
        return _failed(message_of(error, status, words=self._config.show_errors))

    async def _described(self, call: Call) -> bytes | None:
        """What the tool that lists the models says; None where there is no such tool."""
        manifests = await self.manifests(call.models)
        if len(manifests) <= MANY or call.name != _listing(manifests):
            return None
        try:
            sent = parse_object(bytes(call.payload.body))
            return _told(msgspec.json.encode(self._models(sent, manifests)))
        except InvalidRequest as error:
            return _failed(str(error))

    def _models(
        self, sent: Mapping[str, Any], manifests: Mapping[str, Manifest]
    ) -> Mapping[str, Any]:
        for argument, value in sent.items():
            if argument not in (tools.SEARCH, tools.MODEL):
                raise InvalidRequest(f"{_shown(argument)}: there is no such argument.")
            if not isinstance(value, str):
                raise InvalidRequest(f"{argument}: expected a text.")
        if (name := sent.get(tools.MODEL)) is not None:
            if name not in manifests:
                raise InvalidRequest(f"There is no model {_shown(name)}.")
            tool = msgspec.json.decode(self._encoded(manifests[name]))
            return {"models": [_summary(manifests[name], tool)], "total": 1}
        text = sent.get(tools.SEARCH, "")
        found = [each for each in manifests.values() if tools.matches(each, text)]
        listed = [_summary(each) for each in found[:LISTED]]
        return {"models": listed, "total": len(found)}


def _summary(manifest: Manifest, tool: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    told = {
        "name": manifest.name,
        "title": manifest.title or manifest.name,
        "description": manifest.description or "",
        "version": manifest.version,
    }
    if tool is not None:
        told |= {key: tool[key] for key in ("description", "inputSchema", "outputSchema")}
    return told


def _initialized(requested: str | None) -> Mapping[str, Any]:
    return {
        "protocolVersion": negotiated(requested),
        "capabilities": {"tools": {}},
        "serverInfo": INFO,
        "instructions": INSTRUCTIONS,
    }


def _start(params: Params, names: list[str]) -> int:
    """Where the page begins that a cursor names: after the model of that name, if it has gone
    meanwhile after where it was.

    Raises:
        RpcError
    """
    if isinstance(params.cursor, msgspec.UnsetType):
        return 0
    cursor = text_in(params.cursor)
    if cursor is None:
        raise RpcError(INVALID_PARAMS, "params.cursor: expected a text.")
    return sum(name <= cursor for name in names)


def _listing(names: Container[str]) -> str:
    """What the tool that lists the models is called: nothing that a model is."""
    name = tools.LIST
    while name in names:
        name += "_"
    return name


def _told(body: bytes) -> bytes:
    """A result that is JSON, for programs and as a text for models of language."""
    text = msgspec.json.encode(body.decode())
    return b'{"content":[{"type":"text","text":%b}],"structuredContent":%b,"isError":false}' % (
        text,
        body,
    )


def _failed(sentence: str) -> bytes:
    text = msgspec.json.encode(sentence)
    return b'{"content":[{"type":"text","text":%b}],"isError":true}' % text


def _note(call: Call, error: Exception) -> None:
    if call.record is not None:
        call.record.error = kind_of(error)


def _known(id: bytes, call: Call) -> bytes:
    return id if id != NO_ID else id_of(call.payload.body)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")

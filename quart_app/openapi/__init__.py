"""The OpenAPI document: the routes as quart-schema finds them, and paths for each loaded model.

It follows the models that are loaded at the moment it is asked for. The generic predict routes
are left out, since each model has its own columns and classes.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import msgspec
from quart import Quart, Response
from quart.json.provider import DefaultJSONProvider
from quart_schema import Info, OpenAPIProvider, QuartSchema, hide

from model_store import Manifest

from ..context import context_of, get_registry
from ..middleware.access import SCHEMES, Guard
from ..negotiation import JSON
from ..serving.servable import Servable
from ..version import VERSION
from .failures import add_failures
from .operations import add_classic, add_invocations, add_model, add_protocol, add_records
from .schemas import PROTOCOLS, REFERENCE, Schema, answer_schema, row_schema

__all__ = ["Provider", "answer_schema", "register", "row_schema"]


def register(app: Quart) -> None:
    """Serve the document at /openapi.json."""
    Documentation(
        app,
        info=Info(title="quart-app", version=VERSION),
        openapi_path="/openapi.json",
        security_schemes=dict(SCHEMES),
        # Its pages take scripts from elsewhere and hold one inline: /docs is a page of ours.
        swagger_ui_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        conversion_preference="msgspec",
        openapi_provider_class=Provider,
    )
    # Columns keep the order in which the model takes them.
    cast(DefaultJSONProvider, app.json).sort_keys = False


class Documentation(QuartSchema):
    """quart-schema, with a document that is made once for the versions that are loaded: with a
    hundred models that takes a tenth of a second, which the event loop does not have."""

    def __init__(self, app: Quart, **options: Any) -> None:
        super().__init__(app, **options)
        self._making = asyncio.Lock()
        self._made_of: list[Manifest] | None = None
        self._made = b""

    @hide
    async def openapi(self) -> Response:
        async with self._making:
            servables = get_registry().servables
            manifests = [servable.manifest for servable in servables]
            if manifests != self._made_of:
                provider = cast(Provider, self.openapi_provider)
                make = partial(provider.encoded, servables)
                self._made, self._made_of = await asyncio.to_thread(make), manifests
            return Response(self._made, mimetype=JSON)


class Provider(OpenAPIProvider):
    """quart-schema's document with the loaded models in it."""

    def schema(self) -> Schema:
        """The document as it is now."""
        return self.document(context_of(cast(Quart, self._app)).registry.servables)

    def encoded(self, servables: Sequence[Servable]) -> bytes:
        """The document with these models as JSON. msgspec writes it: json's encoder is ten times as
        slow, and would keep the interpreter to itself from a thread as well."""
        provider = cast(DefaultJSONProvider, self._app.json)
        return msgspec.json.encode(self.document(servables), enc_hook=provider.default)

    def document(self, servables: Sequence[Servable]) -> Schema:
        """The document with these models."""
        document = super().schema()
        document["paths"] = dict(document["paths"])
        context = context_of(cast(Quart, self._app))
        errors = [protocol.error_schema for protocol in context.protocols]
        named = {schema["title"]: schema for schema in errors if schema is not None}
        document["components"]["schemas"] |= PROTOCOLS | named
        add_records(document)
        for servable in servables:
            add_model(document, servable)
        add_invocations(document, servables)
        if context.config.classic:
            add_classic(document, servables, context.config.classic_prefix)
        for protocol in context.protocols:
            add_protocol(document, protocol)
        app = cast(Quart, self._app)
        add_failures(document, Guard(context.config, app), context.protocols, context.config)
        return document

    def build_response_object(
        self, model: type[Any], headers_model: type[Any] | None
    ) -> tuple[Schema, Schema]:
        """An answer's schema, with every structure in it as a component.

        quart-schema 0.25 keeps only the first of the components that msgspec names, so that
        references to the others lead nowhere.
        """
        (schema,), components = msgspec.json.schema_components([model], ref_template=REFERENCE)
        is_ours = isinstance(model, type) and issubclass(model, msgspec.Struct)
        description = (inspect.getdoc(model) if is_ours else None) or "The answer."
        return {"description": description, "content": {JSON: {"schema": schema}}}, components

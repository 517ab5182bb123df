"""The OpenAPI document: the routes as quart-schema finds them, and paths for each loaded model.

It follows the models that are loaded at the moment it is asked for. The generic predict routes
are left out, since each model has its own columns and classes.
"""

from __future__ import annotations

import inspect
from typing import Any, cast

import msgspec
from quart import Quart
from quart.json.provider import DefaultJSONProvider
from quart_schema import Info, OpenAPIProvider, QuartSchema

from ..access import SCHEMES, Guard
from ..context import context_of
from ..negotiation import JSON
from ..version import VERSION
from .failures import add_failures
from .operations import add_classic, add_invocations, add_model
from .schemas import PROTOCOLS, REFERENCE, Schema, answer_schema, row_schema

__all__ = ["answer_schema", "register", "row_schema"]


def register(app: Quart) -> None:
    """Serve the document at /openapi.json."""
    QuartSchema(
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


class Provider(OpenAPIProvider):
    """quart-schema's document with the loaded models in it."""

    def schema(self) -> Schema:
        """The document as it is now."""
        document = super().schema()
        document["paths"] = dict(document["paths"])
        document["components"]["schemas"] |= PROTOCOLS
        context = context_of(cast(Quart, self._app))
        servables = context.registry.servables
        for servable in servables:
            add_model(document, servable)
        add_invocations(document, servables)
        if context.config.classic:
            add_classic(document, servables, context.config.classic_prefix)
        add_failures(document, Guard(context.config, self._app.url_map), context.config)
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

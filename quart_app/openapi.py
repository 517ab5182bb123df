"""The OpenAPI document: the routes as quart-schema finds them, and a path for each loaded model.

It follows the models that are loaded at the moment it is asked for. The generic predict routes
are left out, since each model has its own columns and classes.
"""

from __future__ import annotations

import inspect
from typing import Any, Final, cast
from urllib.parse import quote

import msgspec
from quart import Quart
from quart.json.provider import DefaultJSONProvider
from quart_schema import Info, OpenAPIProvider, QuartSchema

from model_store import Column, Manifest
from model_store.manifest import Target

from .context import context_of
from .description import label_type
from .negotiation import HTML
from .protocols import form, native
from .servable import Servable
from .version import VERSION

Schema = dict[str, Any]

REFERENCE: Final = "#/components/schemas/{name}"

FAILURES: Final = {
    400: "The rows do not fit the model; every fault is named.",
    404: "There is no such version.",
    408: "The body took too long to arrive.",
    413: "Too many bytes or rows.",
    415: "A content type that is not spoken here.",
    500: "The model failed on these values.",
    503: "The model is on its way, or too much is waiting; see Retry-After.",
    504: "There was no answer in time.",
}
ANSWERS: Final = ("Prediction", "Predictions")


def register(app: Quart) -> None:
    """Serve the document at /openapi.json."""
    QuartSchema(
        app,
        info=Info(title="quart-app", version=VERSION),
        openapi_path="/openapi.json",
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
        for servable in context_of(cast(Quart, self._app)).registry.servables:
            add_model(document, servable)
        return document

    def build_response_object(
        self, model: type[Any], headers_model: type[Any] | None
    ) -> tuple[Schema, Schema]:
        """An answer's schema, with every structure in it as a component.

        quart-schema 0.25 keeps only the first of the components that msgspec names, so that
        references to the others lead nowhere.
        """
        (schema,), components = msgspec.json.schema_components([model], ref_template=REFERENCE)
        content = {native.CONTENT_TYPE: {"schema": schema}}
        return {"description": inspect.getdoc(model) or "", "content": content}, components


def add_model(document: Schema, servable: Servable) -> None:
    """Add the schemas of one model and the paths that predict with it."""
    manifest = servable.manifest
    name = manifest.name
    if f"{name}.Row" in document["components"]["schemas"]:
        return
    document["components"]["schemas"] |= {
        f"{name}.Row": row_schema(manifest),
        f"{name}.Prediction": answer_schema(manifest, many=False),
        f"{name}.Predictions": answer_schema(manifest, many=True),
    }
    path = f"/models/{quote(name)}"
    document["paths"][f"{path}/predict"] = _operations(servable, [])
    document["paths"][f"{path}/versions/{{version}}/predict"] = _operations(
        servable,
        [
            {
                "name": "version",
                "in": "path",
                "required": True,
                "description": "A number or an alias.",
                "schema": {"type": "string"},
                "example": str(manifest.version),
            }
        ],
    )


def row_schema(manifest: Manifest) -> Schema:
    """One row as a JSON object."""
    columns = manifest.signature.columns
    return {
        "type": "object",
        "properties": {column.name: _value_schema(column) for column in columns},
        "required": [column.name for column in columns],
        "additionalProperties": False,
    }


def answer_schema(manifest: Manifest, *, many: bool) -> Schema:
    """What the model answers to one row, or to a list of them."""
    labels = [_label(target) for target in manifest.targets]
    properties: Schema = {
        ("predictions" if many else "prediction"): _many(_each(manifest, labels), many)
    }
    if manifest.probabilities:
        shares = [_shares(target) for target in manifest.targets]
        properties["probabilities"] = _many(_each(manifest, shares), many)
    properties |= {
        "model": {"type": "string"},
        "version": {"type": "integer"},
        "id": {"type": "string"},
    }
    required = list(properties)
    properties["notice"] = {"type": "string"}
    return {"type": "object", "properties": properties, "required": required}


def _each(manifest: Manifest, schemas: list[Schema]) -> Schema:
    """The one schema, or a list with one for each target."""
    if not manifest.several:
        return schemas[0]
    return {"type": "array", "prefixItems": schemas, "minItems": len(schemas)}


def _shares(target: Target) -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return {"type": "object", "properties": {str(label): share for label in target.classes or ()}}


def _operations(servable: Servable, parameters: list[Schema]) -> Schema:
    manifest, example = servable.manifest, servable.example
    row = _reference(f"{manifest.name}.Row")
    about = {"tags": [manifest.name], "responses": _responses(manifest.name)}
    # In a query and in a form an empty value is a missing one.
    texts = {name: "" if value is None else value for name, value in example.items()}
    in_query = [
        {
            "name": column.name,
            "in": "query",
            "required": True,
            "schema": _value_schema(column),
            "example": texts[column.name],
        }
        | ({"allowEmptyValue": True} if column.missing else {})
        for column in manifest.signature.columns
    ]
    body = {
        native.CONTENT_TYPE: {
            "schema": {"oneOf": [row, {"type": "array", "items": row, "minItems": 1}]},
            "examples": {"one": {"value": example}, "many": {"value": [example]}},
        },
        form.CONTENT_TYPE: {"schema": row, "example": texts},
        form.MULTIPART: {"schema": row, "example": texts},
    }
    return {
        "get": about
        | {"summary": "Predict for the row in the query", "parameters": parameters + in_query},
        "post": about
        | {
            "summary": "Predict for one row, or for a list of rows",
            "parameters": parameters,
            "requestBody": {"required": True, "content": body},
        },
    }


def _responses(name: str) -> Schema:
    answer = {"oneOf": [_reference(f"{name}.{kind}") for kind in ANSWERS]}
    page = {HTML: {"schema": {"type": "string"}}}
    failure = {native.CONTENT_TYPE: {"schema": _reference("ErrorBody")}} | page
    return {
        "200": {
            "description": "The answer.",
            "content": {native.CONTENT_TYPE: {"schema": answer}} | page,
        },
        **{
            str(status): {"description": description, "content": failure}
            for status, description in FAILURES.items()
        },
    }


def _reference(name: str) -> Schema:
    return {"$ref": REFERENCE.format(name=name)}


def _label(target: Target) -> Schema:
    if target.classes is None:
        return {"type": "number"}
    return {"type": label_type(target.classes), "enum": target.classes}


def _many(schema: Schema, many: bool) -> Schema:
    return {"type": "array", "items": schema} if many else schema


def _value_schema(column: Column) -> Schema:
    """What a client may send for a column."""
    schema: Schema = {"type": _json_type(column)}
    if column.type == "category" and column.categories:
        schema["examples" if column.open else "enum"] = list(column.categories)
    if column.type == "date":
        schema["format"] = "date-time" if "T" in str(column.typical) else "date"
    if column.missing:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"].append(None)
    if column.label is not None:
        schema["title"] = column.label
    told = [column.description, f"In {column.unit}." if column.unit else None]
    if any(told):
        schema["description"] = " ".join(text for text in told if text)
    return schema


def _json_type(column: Column) -> str:
    if column.type == "category":
        return "number" if column.numeric else "string"
    return {"text": "string", "date": "string"}.get(column.type, column.type)

"""The operations that predict: for each loaded model by each protocol, with examples that work."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from msgspec.structs import replace

from ..inference import EXPLAIN
from ..negotiation import HTML, JSON
from ..negotiation import TEXT as PLAIN
from ..protocols import datatypes, form, jsonl, v2_binary
from ..protocols.explained import ROWS, SCALES
from ..protocols.protocol import Protocol
from ..protocols.registry import BUNDLED
from ..serving.servable import Servable
from .schemas import (
    BYTES,
    OBJECT,
    TEXT,
    Schema,
    answer_schema,
    explained_rows,
    reference,
    row_schema,
    value_schema,
)

CSV: Final = "text/csv"
ANSWERS: Final = ("Prediction", "Predictions")

PARAMETER: Final = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")
"""A part of a route that is filled in, as `<name>` or `<converter:name>`."""


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
    version = {
        "name": "version",
        "in": "path",
        "required": True,
        "description": "A number or an alias.",
        "schema": {"type": "string"},
        "example": str(manifest.version),
    }
    paths, quoted = document["paths"], quote(name)
    for inside, parameters in (("", []), ("/versions/{version}", [version])):
        paths[f"/models/{quoted}{inside}/predict"] = {
            "get": _by_query(servable, parameters),
            "post": _by_body(servable, parameters),
        }
        paths[f"/v2/models/{quoted}{inside}/infer"] = {"post": _infer(servable, parameters)}
        paths[f"/v1/models/{quoted}{inside}:predict"] = {"post": _instances(servable, parameters)}
        if servable.explains:
            explain = {"post": _explained(servable, parameters)}
            paths[f"/v1/models/{quoted}{inside}:explain"] = explain


def add_invocations(document: Schema, servables: Iterable[Servable]) -> None:
    """Add the route that chooses the model by the columns, with an example for each that these
    tell."""
    models, examples = _by_name(servables), _told_apart(servables)
    body = {
        JSON: {
            "schema": reference("Dataframe"),
            "examples": _examples(
                {name: {"dataframe_split": _split(row)} for name, row in examples.items()}
            ),
        },
        CSV: {
            "schema": TEXT,
            "examples": _examples({name: _csv(row) for name, row in examples.items()}),
        },
    }
    document["paths"]["/invocations"] = {
        "post": _post(
            "Predict by the model that has these columns",
            "invocations",
            [_chooser(models)],
            body,
            reference("PredictionList"),
        )
    }


def add_records(document: Schema) -> None:
    """Say what bodies feedback has, and in what kinds an export comes."""
    told = {
        "type": "object",
        "required": ["id", "truth"],
        "properties": {
            "id": {"type": "string", "minLength": 1, "description": "That of the response."},
            "row": {"type": "integer", "minimum": 0, "default": 0},
            "truth": {"description": "What the model could have predicted."},
        },
        "additionalProperties": False,
    }
    document["paths"]["/models/{name}/feedback"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            JSON: {
                "schema": {"oneOf": [told, {"type": "array", "items": told, "minItems": 1}]},
            },
            CSV: {"schema": TEXT},
            jsonl.CONTENT_TYPE: {"schema": TEXT},
        },
    }
    document["paths"]["/models/{name}/predictions"]["get"]["responses"][200] = {
        "description": "The records, the oldest first.",
        "content": {jsonl.CONTENT_TYPE: {"schema": TEXT}, CSV: {"schema": TEXT}},
    }


def add_protocol(document: Schema, protocol: Protocol) -> None:
    """Add the routes of a protocol of which no more is known than what it says of itself."""
    if protocol in BUNDLED:
        return
    body: Schema = {kind: {"schema": {}} for kind in protocol.content_types or (JSON,)}
    for route in protocol.routes:
        names = PARAMETER.findall(route)
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": TEXT} for name in names
        ]
        operation = _post(protocol.summary, protocol.name, parameters, body, {})
        operation["responses"]["200"]["content"] = {protocol.reply_type: {"schema": {}}}
        document["paths"][PARAMETER.sub(r"{\1}", route)] = {"post": operation}


def add_classic(document: Schema, servables: Iterable[Servable], prefix: str) -> None:
    """Add the routes of the older apps that are for programs; their pages are no API."""
    models, examples = _by_name(servables), _told_apart(servables)
    model, paths = _chooser(models), document["paths"]
    answered = _any_answer(models)
    row = {"type": "object", "minProperties": 1}
    texts = {name: _texts(example) for name, example in examples.items()}
    by_body = {
        "tags": ["classic"],
        "summary": "Predict by the model that has these columns",
        "parameters": [model],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {"oneOf": [row, {"type": "array", "items": row, "minItems": 1}]},
                    "examples": _examples(examples),
                },
                form.CONTENT_TYPE: {"schema": row, "examples": _examples(texts)},
                form.MULTIPART: {"schema": row, "examples": _examples(texts)},
            },
        },
        "responses": {"200": answered},
    }
    columns = {
        "name": "columns",
        "in": "query",
        "description": "A value for each column of the model, each under its own name.",
        "style": "form",
        "explode": True,
        "schema": {"type": "object", "additionalProperties": TEXT},
        "examples": _examples(texts),
    }
    paths[f"{prefix}/predict"] = {
        "get": {
            "tags": ["classic"],
            "summary": "Predict for the row in the query, by the model that has these columns",
            "parameters": [model, columns],
            "responses": {"200": answered},
        },
        "post": by_body,
    }
    paths["/"]["post"] = dict(by_body)
    paths[f"{prefix}/predict_api"] = {"post": _bare(models)}


def _bare(models: Mapping[str, Servable]) -> Schema:
    """One prediction of the blood donation without anything around it."""
    name = "blood-donation"
    shown = {"examples": _examples({"row": models[name].example})} if name in models else {}
    row = {"type": "object", "minProperties": 1}
    return {
        "tags": ["classic"],
        "summary": "The bare prediction of the model blood-donation",
        "description": "Values are taken by name, or by position where no name is the model's.",
        "requestBody": {"required": True, "content": {JSON: {"schema": row, **shown}}},
        "responses": {
            "200": {
                "description": "The class, in its own JSON type.",
                "content": {JSON: {"schema": {}}},
            }
        },
    }


def _chooser(models: Iterable[str]) -> Schema:
    """The parameter that names the model."""
    names = list(models)
    return {
        "name": "model",
        "in": "query",
        "description": "The model, where the names of the columns do not tell it.",
        "schema": {"type": "string", "enum": names} if names else TEXT,
    }


def _any_answer(models: Iterable[str]) -> Schema:
    """What any of these models may answer."""
    answers = [reference(f"{name}.{kind}") for name in models for kind in ANSWERS]
    content = {JSON: {"schema": {"anyOf": answers} if answers else OBJECT}}
    return {
        "description": "The answer.",
        "content": content | {HTML: {"schema": TEXT}, PLAIN: {"schema": TEXT}},
    }


def _by_query(servable: Servable, parameters: list[Schema]) -> Schema:
    manifest = servable.manifest
    texts = _texts(servable.example)
    in_query = [
        {
            "name": column.name,
            "in": "query",
            "required": True,
            "schema": value_schema(replace(column, missing=False)),
            "example": texts[column.name],
        }
        | ({"allowEmptyValue": True} if column.missing else {})
        for column in manifest.signature.columns
    ]
    return {
        "tags": [manifest.name],
        "summary": "Predict for the row in the query",
        "parameters": parameters + in_query,
        "responses": {"200": _answered(manifest.name)},
    }


def _by_body(servable: Servable, parameters: list[Schema]) -> Schema:
    name, example = servable.manifest.name, servable.example
    row, texts = reference(f"{name}.Row"), _texts(example)
    answered = _answered(name)
    answered["content"] |= {kind: {"schema": TEXT} for kind in (CSV, jsonl.CONTENT_TYPE)}
    shapes = [row, {"type": "array", "items": row, "minItems": 1}]
    rows = {"one": example, "many": [example]}
    if servable.explains:
        shapes.append(explained_rows({"oneOf": list(shapes)}))
        rows["explained"] = {ROWS: example, EXPLAIN: True}
        parameters = [*parameters, _EXPLAIN]
    body = {
        JSON: {"schema": {"oneOf": shapes}, "examples": _examples(rows)},
        form.CONTENT_TYPE: {"schema": row, "example": texts},
        form.MULTIPART: {"schema": row, "example": texts},
        CSV: {"schema": TEXT, "example": _csv(example)},
        jsonl.CONTENT_TYPE: {"schema": TEXT, "example": jsonl.encode([example]).decode()},
    }
    return {
        "tags": [name],
        "summary": "Predict for one row, for a list of rows, or for the rows of a table",
        "parameters": parameters,
        "requestBody": {"required": True, "content": body},
        "responses": {"200": answered},
    }


_EXPLAIN: Final = {
    "name": EXPLAIN,
    "in": "query",
    "description": "Whether to explain the answers; or the scale on which to.",
    "allowEmptyValue": True,
    "schema": {"type": "string", "enum": ["true", "false", *SCALES]},
}


def _infer(servable: Servable, parameters: list[Schema]) -> Schema:
    length = {
        "name": v2_binary.HEADER,
        "in": "header",
        "description": "The bytes of the JSON, where tensors follow it in bytes.",
        "schema": {"type": "integer", "minimum": 0},
    }
    body = {
        JSON: {"schema": reference("InferRequest"), "example": {"inputs": _tensors(servable)}},
        v2_binary.CONTENT_TYPE: {"schema": BYTES},
    }
    found = _post(
        "Predict for tensors",
        servable.manifest.name,
        [*parameters, length],
        body,
        reference("InferResponse"),
    )
    found["responses"]["200"]["content"][v2_binary.CONTENT_TYPE] = {"schema": BYTES}
    return found


def _explained(servable: Servable, parameters: list[Schema]) -> Schema:
    """As `_instances`, with the explanations."""
    found = _instances(servable, parameters)
    found["summary"] = "Explain the predictions for instances"
    found["responses"]["200"]["content"] = {JSON: {"schema": reference("ExplanationList")}}
    return found


def _instances(servable: Servable, parameters: list[Schema]) -> Schema:
    row = servable.example
    examples = {
        "objects": {"instances": [row]},
        "lists": {"instances": [list(row.values())]},
        "inputs": {"inputs": {name: [value] for name, value in row.items()}},
    }
    body = {JSON: {"schema": reference("Instances"), "examples": _examples(examples)}}
    return _post(
        "Predict for instances",
        servable.manifest.name,
        parameters,
        body,
        reference("PredictionList"),
    )


def _post(summary: str, tag: str, parameters: list[Schema], body: Schema, answer: Schema) -> Schema:
    return {
        "tags": [tag],
        "summary": summary,
        "parameters": parameters,
        "requestBody": {"required": True, "content": body},
        "responses": {"200": {"description": "The answer.", "content": {JSON: {"schema": answer}}}},
    }


def _answered(name: str) -> Schema:
    answer = {"oneOf": [reference(f"{name}.{kind}") for kind in ANSWERS]}
    return {
        "description": "The answer.",
        "content": {JSON: {"schema": answer}, HTML: {"schema": TEXT}},
    }


# Examples ------------------------------------------------------------------------


def _examples(values: Mapping[str, Any]) -> Schema:
    return {name: {"value": value} for name, value in values.items()}


def _by_name(servables: Iterable[Servable]) -> dict[str, Servable]:
    return {servable.manifest.name: servable for servable in servables}


def _told_apart(servables: Iterable[Servable]) -> dict[str, dict[str, Any]]:
    """By name, an example of each model that is the only one with its columns."""
    models = _by_name(servables)
    owners = Counter(frozenset(each.manifest.signature.names) for each in models.values())
    return {
        name: each.example
        for name, each in models.items()
        if owners[frozenset(each.manifest.signature.names)] == 1
    }


def _texts(row: Mapping[str, Any]) -> dict[str, Any]:
    """In a query, in a form and in CSV an empty value is a missing one."""
    return {name: "" if value is None else value for name, value in row.items()}


def _tensors(servable: Servable) -> list[Schema]:
    return [
        {
            "name": column.name,
            "shape": [1, 1],
            "datatype": datatypes.of_column(column).name,
            "data": [servable.example[column.name]],
        }
        for column in servable.manifest.signature.columns
    ]


def _split(row: Mapping[str, Any]) -> Schema:
    return {"columns": list(row), "data": [list(row.values())]}


def _csv(row: Mapping[str, Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([list(row), list(_texts(row).values())])
    return text.getvalue()

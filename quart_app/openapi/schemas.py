"""JSON Schemas of what each model takes and what it answers, and of what the protocols add."""

from __future__ import annotations

from typing import Any, Final

from model_store import Column, Manifest
from model_store.manifest import Target
from model_store.task import DEVIATION

from ..about.description import label_types
from ..inference import EXPLAIN
from ..protocols.datatypes import DATATYPES
from ..protocols.explained import ROWS, SCALES

Schema = dict[str, Any]

REFERENCE: Final = "#/components/schemas/{name}"


def row_schema(manifest: Manifest) -> Schema:
    """One row as a JSON object."""
    columns = manifest.signature.columns
    return {
        "type": "object",
        "properties": {column.name: value_schema(column) for column in columns},
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
    for measure in manifest.measures:
        number = {"type": "number"} | ({"minimum": 0} if measure.name == DEVIATION else {})
        numbers = [number for _ in manifest.targets]
        properties[measure.name] = _many(_each(manifest, numbers), many)
    properties |= {
        "model": {"type": "string"},
        "version": {"type": "integer"},
        "id": {"type": "string"},
    }
    required = list(properties)
    properties["notice"] = {"type": "string"}
    explained = [explanation_schema(manifest) for _ in manifest.targets]
    properties["explanations" if many else "explanation"] = _many(_each(manifest, explained), many)
    properties["variant"] = {"type": "string", "enum": ["champion", "canary"]}
    return {"type": "object", "properties": properties, "required": required}


def explanation_schema(manifest: Manifest) -> Schema:
    """Why a row has its answer; there where it was asked for."""
    names = manifest.signature.names
    numbers = {"type": "object", "properties": {name: {"type": "number"} for name in names}}
    properties: Schema = {
        "base": {"type": "number"},
        "scale": {"type": "string", "enum": list(SCALES)},
        "class": {},
        "contributions": numbers | {"required": list(names)},
        "method": {"type": "string", "enum": ["exact", "sampling"]},
        "error": numbers,
    }
    required = ["base", "scale", "contributions", "method"]
    return {"type": "object", "properties": properties, "required": required}


EXPLAIN_SCHEMA: Final[Schema] = {
    "description": "Whether to explain the answers; or the scale on which to.",
    "oneOf": [{"type": "boolean"}, {"type": "string", "enum": list(SCALES)}],
}


def explained_rows(rows: Schema) -> Schema:
    """Rows, and beside them whether the answers are to be explained."""
    return {
        "type": "object",
        "properties": {ROWS: rows, EXPLAIN: EXPLAIN_SCHEMA},
        "required": [ROWS, EXPLAIN],
        "additionalProperties": False,
    }


def _each(manifest: Manifest, schemas: list[Schema]) -> Schema:
    """The one schema, or a list with one for each target."""
    if not manifest.several:
        return schemas[0]
    return {"type": "array", "prefixItems": schemas, "minItems": len(schemas)}


def _shares(target: Target) -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return {"type": "object", "properties": {str(label): share for label in target.classes or ()}}


def reference(name: str) -> Schema:
    return {"$ref": REFERENCE.format(name=name)}


def _label(target: Target) -> Schema:
    types = label_types(target)
    schema: Schema = {"type": types[0] if len(types) == 1 else types}
    return schema if target.classes is None else {**schema, "enum": target.classes}


def _many(schema: Schema, many: bool) -> Schema:
    return {"type": "array", "items": schema} if many else schema


def value_schema(column: Column) -> Schema:
    """What a client may send for a column."""
    schema: Schema = column.kind.schema(column)
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


# Of the wire protocols -----------------------------------------------------------

TEXT: Final[Schema] = {"type": "string"}
OBJECT: Final[Schema] = {"type": "object"}
BYTES: Final[Schema] = {"type": "string", "format": "binary"}
SHAPE: Final[Schema] = {"type": "array", "items": {"type": "integer"}}
ANY_LIST: Final[Schema] = {"type": "array", "items": {}}


def _object(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


_TENSOR: Final = {
    "name": TEXT,
    "shape": SHAPE,
    "datatype": {"type": "string", "enum": list(DATATYPES)},
    "parameters": OBJECT,
    "data": ANY_LIST,
}

PROTOCOLS: Final[dict[str, Schema]] = {
    "InferRequest": _object(
        ["inputs"],
        id=TEXT,
        parameters=OBJECT,
        inputs={
            "type": "array",
            "minItems": 1,
            "items": _object(["name", "shape", "datatype"], **_TENSOR),
        },
        outputs={"type": "array", "items": _object(["name"], name=TEXT, parameters=OBJECT)},
    ),
    "InferResponse": _object(
        ["model_name", "model_version", "id", "outputs"],
        model_name=TEXT,
        model_version=TEXT,
        id=TEXT,
        parameters=OBJECT,
        outputs={
            "type": "array",
            "items": _object(["name", "shape", "datatype"], **_TENSOR),
        },
    ),
    "Instances": {
        "oneOf": [
            _object(["instances"], instances=ANY_LIST),
            _object(["inputs"], inputs={"type": ["object", "array"]}),
        ]
    },
    "Dataframe": {
        "oneOf": [
            _object(["dataframe_split"], dataframe_split=OBJECT, params=OBJECT),
            _object(["dataframe_records"], dataframe_records=ANY_LIST, params=OBJECT),
            _object(["instances"], instances=ANY_LIST, params=OBJECT),
            _object(["inputs"], inputs={"type": ["object", "array"]}, params=OBJECT),
        ]
    },
    "PredictionList": _object(["predictions"], predictions=ANY_LIST),
    "ExplanationList": _object(
        ["explanations", "predictions"], explanations=ANY_LIST, predictions=ANY_LIST
    ),
}

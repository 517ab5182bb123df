"""What a tool says of a model: enough for a right first call, in JSON Schema 2020-12."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from model_store import Column, Manifest
from model_store.manifest import Target

from ..openapi.schemas import Schema, answer_schema, value_schema
from ..protocols.mcp import ROWS

READS_ONLY: Final = {
    "readOnlyHint": True,
    "destructiveHint": False,
    "idempotentHint": True,
    "openWorldHint": False,
}
CLASSES_SHOWN: Final = 20
DESCRIBED: Final = 300
"""Columns of a model that are described; of more an agent reads names and types alone."""

LIST: Final = "list_models"
SEARCH: Final = "search"
MODEL: Final = "model"


def tool_of(manifest: Manifest, max_rows: int, example: Mapping[str, Any] | None) -> Schema:
    """The tool that predicts with a model. `example` is a row that it answers, if one is known."""
    row = _row_schema(manifest)
    arguments: Schema = {
        "type": "object",
        "properties": {
            ROWS: {
                "type": "array",
                "description": "The rows to predict for: each an object with a value for every "
                "column. One row is a list of one.",
                "items": row,
                "minItems": 1,
                "maxItems": max_rows,
            }
        },
        "required": [ROWS],
        "additionalProperties": False,
    }
    example = example or _typical(manifest)
    if example is not None:
        arguments["examples"] = [{ROWS: [example]}]
    return {
        "name": manifest.name,
        "title": manifest.title or manifest.name,
        "description": _description(manifest, example),
        "inputSchema": arguments,
        "outputSchema": answer_schema(manifest, many=True),
        "annotations": {"title": manifest.title or manifest.name, **READS_ONLY},
    }


def listing_of(name: str, max_rows: int) -> Schema:
    """The tool that lists and describes the models, where there are many."""
    return {
        "name": name,
        "title": "List and describe the models",
        "description": "Lists the models of this server, each of which is a tool of its own that "
        f"takes up to {max_rows} rows. With `{SEARCH}` only those that have this text in their "
        f"name, title, description or columns; with `{MODEL}` that one, and how to call it.",
        "inputSchema": {
            "type": "object",
            "properties": {
                SEARCH: {"type": "string", "description": "A text to look for."},
                MODEL: {"type": "string", "description": "The name of one model."},
            },
            "additionalProperties": False,
            "examples": [{SEARCH: "price"}],
        },
        "outputSchema": {
            "type": "object",
            "properties": {
                "models": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "title": {"type": "string"},
                            "description": {"type": "string"},
                            "version": {"type": "integer"},
                            "inputSchema": {"type": "object"},
                            "outputSchema": {"type": "object"},
                        },
                        "required": ["name", "title", "description", "version"],
                    },
                },
                "total": {"type": "integer", "description": "How many models are found."},
            },
            "required": ["models", "total"],
        },
        "annotations": READS_ONLY,
    }


def matches(manifest: Manifest, text: str) -> bool:
    """Whether a model is found by a text, in any case."""
    words = (manifest.name, manifest.title, manifest.description, *manifest.signature.names)
    return any(text.casefold() in word.casefold() for word in words if word)


def _row_schema(manifest: Manifest) -> Schema:
    columns = manifest.signature.columns
    described = len(columns) <= DESCRIBED
    return {
        "type": "object",
        "properties": {
            column.name: _column_schema(column) if described else value_schema(column)
            for column in columns
        },
        "required": [column.name for column in columns],
        "additionalProperties": False,
    }


def _column_schema(column: Column) -> Schema:
    """What may be sent for a column, with its unit and what it was in the training data."""
    schema = value_schema(column)
    told = [schema.get("description")]
    if column.minimum is not None and column.maximum is not None:
        told.append(f"Between {column.minimum} and {column.maximum} in the training data.")
    if column.open and column.categories:
        told.append("Others than the examples are taken as well.")
    if column.missing:
        told.append("null where it is not known.")
    if any(told):
        schema["description"] = " ".join(text for text in told if text)
    if column.typical is not None and "enum" not in schema and "examples" not in schema:
        schema["examples"] = [column.typical]
    return schema


def _typical(manifest: Manifest) -> dict[str, Any] | None:
    row = {column.name: column.typical for column in manifest.signature.columns}
    missing = {column.name for column in manifest.signature.columns if column.missing}
    known = all(value is not None or name in missing for name, value in row.items())
    return row if known else None


def _description(manifest: Manifest, example: Mapping[str, Any] | None) -> str:
    told = [manifest.description, _told_of(manifest), manifest.notice]
    if example is None:
        told.append("Every row has a value for every column.")
    return " ".join(_stopped(text) for text in told if text)


def _told_of(manifest: Manifest) -> str:
    if manifest.task == "transformation":
        return f"Transforms each row to {len(manifest.targets)} columns."
    what = "; ".join(_target(target) for target in manifest.targets[:CLASSES_SHOWN])
    beside = " with a probability for each class" if manifest.probabilities else ""
    return f"Predicts {what}{beside}"


def _target(target: Target) -> str:
    name = target.label or target.name or "a value"
    unit = f" in {target.unit}" if target.unit else ""
    if target.classes is None:
        return f"{name}{unit}"
    shown = ", ".join(map(str, target.classes[:CLASSES_SHOWN]))
    more = ", …" if len(target.classes) > CLASSES_SHOWN else ""
    return f"{name}{unit}, one of {shown}{more},"


def _stopped(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text.rstrip(',')}."

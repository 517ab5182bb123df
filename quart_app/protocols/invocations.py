"""The scoring protocol of MLflow, which SageMaker's containers speak as well.

    {"dataframe_split": {"columns": ["X1", "X2"], "data": [[61.1, 17.3], …]}}
    {"dataframe_records": [{"X1": 61.1, "X2": 17.3}, …]}
    {"instances": …} or {"inputs": …}, as in V1
    or CSV with a line of names
    → {"predictions": [0, …]}

Just one of the four, and `params`, which no model here has a use for. A text is no number here.

Source: mlflow.org/docs/latest/ml/deployment/deploy-model-locally
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from model_store import InvalidRows
from model_store.text_rules import CSV, TYPED

from ..inference import InferenceRequest, InvalidRequest, UnsupportedBody
from . import csv, rows, v1
from .json_body import kind, parse_object
from .native import body_limit
from .protocol import JSON, Limits, Payload, Protocol, Reply
from .unique_keys import members
from .v1 import encode

__all__ = ["PROTOCOL", "decode", "decode_csv", "encode", "error"]

FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")


def decode(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The rows in a JSON body.

    Raises:
        InvalidRequest: it has none of the four forms, or several, or a key stands twice.
        RequestTooLarge: more than `max_rows` rows.
    """
    content = parse_object(body, _objects)
    given = [name for name in FORMS if name in content]
    if len(given) != 1:
        raise InvalidRequest(
            f"Expected one of {', '.join(FORMS)}, got {' and '.join(given) or 'none of them'}."
        )
    if not isinstance(content.get("params", {}), dict | None):
        raise InvalidRequest(f"params: expected an object, got {kind(content['params'])}.")
    if given == ["dataframe_split"]:
        return _split(content["dataframe_split"], max_rows)
    if given == ["dataframe_records"]:
        return _records(content["dataframe_records"], max_rows)
    return v1.tensors(content, max_rows=max_rows)


def _objects(content: Any) -> Sequence[Any]:
    """The body, and what the four members hold: a table, rows, or an object of columns."""
    return members(content, *FORMS)


ERROR_CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's names (mlflow/protos/databricks.proto); any other fault of a request is a bad one."""


def error(message: str, status: int) -> dict[str, str]:
    """What a client reads when a request was not answered."""
    usual = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    return {"error_code": ERROR_CODES.get(status, usual), "message": message}


def decode_csv(body: bytes, *, max_rows: int) -> InferenceRequest:
    """The rows in CSV, whose first line names the columns.

    Raises:
        InvalidRequest: it is no table, or has no rows.
        InvalidRows: with every row that cannot be read.
        RequestTooLarge: more than `max_rows` rows.
    """
    decoder = csv.Decoder()
    found = decoder.feed(body) + decoder.finish()
    rows.require_count(len(found), max_rows)
    if decoder.faults:
        raise InvalidRows(list(decoder.faults.values()), rows=len(found))
    columns = dict(zip(decoder.names, zip(*found, strict=True), strict=True))
    return InferenceRequest(columns, rows=len(found), many=True, rules=CSV)


def _split(table: Any, max_rows: int) -> InferenceRequest:
    if not isinstance(table, dict) or not {"columns", "data"} <= table.keys():
        raise InvalidRequest("dataframe_split: expected an object with columns and data.")
    names, data = table["columns"], table["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest("dataframe_split: columns: expected a list of texts.")
    if len(set(names)) < len(names):
        raise InvalidRequest("dataframe_split: columns: a name stands twice.")
    if not isinstance(data, list):
        raise InvalidRequest(f"dataframe_split: data: expected a list, got {kind(data)}.")
    rows.require_count(len(data), max_rows)
    columns = rows.of_lists(data, "dataframe_split: data")
    if len(columns) != len(names):
        raise InvalidRequest(
            f"dataframe_split: expected {len(names)} values in each row, one for each of columns; "
            f"got {len(columns)}."
        )
    named = dict(zip(names, columns, strict=True))
    return InferenceRequest(named, rows=len(data), many=True, rules=TYPED)


def _records(records: Any, max_rows: int) -> InferenceRequest:
    if not isinstance(records, list):
        raise InvalidRequest(f"dataframe_records: expected a list, got {kind(records)}.")
    rows.require_count(len(records), max_rows)
    columns = rows.of_objects(records)
    return InferenceRequest(columns, rows=len(records), many=True, rules=TYPED)


def decode_any(payload: Payload, limits: Limits) -> InferenceRequest:
    """The rows of a body in JSON or CSV, by its content type.

    Raises:
        InvalidRequest: also as RequestTooLarge and UnsupportedBody.
    """
    mimetype = payload.mimetype
    if mimetype in ("", JSON):
        return decode(bytes(payload.body), max_rows=limits.rows)
    if mimetype == csv.CONTENT_TYPE:
        return decode_csv(bytes(payload.body), max_rows=limits.rows)
    raise UnsupportedBody(f"Expected a body of {JSON} or {csv.CONTENT_TYPE}, got {mimetype}.")


PROTOCOL: Final = Protocol(
    "invocations",
    routes=("/invocations",),
    decode=decode_any,
    encode=lambda response, request: Reply(encode(response)),
    error=error,
    body_limit=body_limit,
    content_types=(JSON, csv.CONTENT_TYPE),
    namespace=("ping", "version"),
    summary="Predict by the model that has these columns",
    error_schema={
        "title": "ScoringError",
        "type": "object",
        "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
        "required": ["error_code", "message"],
    },
)

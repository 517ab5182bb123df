"""One recorded row: a prediction that was made, or a request that was refused or failed."""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

import msgspec

from model_store.column_facts import JSONLabel

JSONCell = JSONLabel | None
"""A value of a column as JSON has it, None where it was missing."""

Variant = Literal["champion", "canary", "shadow"]

LONGEST_ID: Final = 200
"""Characters of an id that is kept as it is."""


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One row of what a model was asked.

    `id` is that of the response, made by `record_id`, and `row` the place in its request. `at` is
    in seconds since 1970. `digest` is the sha256 of the artifact. `door` is the protocol or page by
    which it came. `status` is that of HTTP, also of other doors, and `error` the kind of error that
    it ended in. `inputs` are its values by column, as far as they fit the model and are kept.
    `outputs` is the answer, a list of several targets; `probabilities` are in the order of the
    classes of the manifest, a list of such lists of several targets.
    """

    id: str
    row: int = 0
    at: float
    model: str
    version: int
    digest: str | None = None
    variant: str = "champion"
    door: str
    status: int = 200
    milliseconds: float
    error: str | None = None
    inputs: dict[str, JSONCell] | None = None
    outputs: Any | None = None
    probabilities: Any | None = None


def record_id(id: str) -> str:
    """The id of a response as it is kept: what a client chose may be too long for an index, or hold
    what is no text to PostgreSQL."""
    if len(id) <= LONGEST_ID and "\0" not in id:
        return id
    digest = hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"long-{digest}"

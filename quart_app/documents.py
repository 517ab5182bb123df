"""The JSON that clients read of this server's own protocol: its shapes alone.

The client imports them too, so nothing here needs numpy or the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

import msgspec

from model_store.errors import Fault

Label = bool | int | float | str
"""What a model predicts, as JSON has it."""


class State(StrEnum):
    """Where a model is on its way."""

    PENDING = "pending"
    TRAINING = "training"
    IMPORTING = "importing"
    VERIFYING = "verifying"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    FAILED = "failed"
    UNLOADED = "unloaded"


Phase = Literal["starting", "serving", "hung", "draining", "memory"]


class ModelState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a model is on its way, and why it failed where it did."""

    state: State
    reason: str | None = None


class Ready(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether traffic should come here, in what phase the server is, and where each model is.

    The phase is `hung` when no thread is left that predicts, and `memory` when the process takes
    too much of it and is to end. With several workers each has its phase in `workers`, by its slot;
    one that is being replaced, or does not answer, has none.
    """

    ready: bool
    status: Phase
    models: dict[str, ModelState]
    workers: dict[int, Phase | None] = {}


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One column that a model takes. `minimum`, `maximum` and `typical` are those of the training
    data and bound nothing; so are the `quartiles` of numbers and their `step`, the resolution.
    `categories` are the known ones, and with `open` others are answered as well, of integers
    fractions; `missing` says that null is answered."""

    name: str
    type: str
    label: str | None
    unit: str | None
    description: str | None
    minimum: float | int | str | None
    maximum: float | int | str | None
    typical: Any
    quartiles: Sequence[float | int] | None = None
    step: float | int | None = None
    categories: Sequence[Any] | None
    open: bool
    missing: bool


class Output(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a model tells: `classes` are the labels it chooses from. Of several targets
    each has its name as `target`, and the prediction is a list in this order. `threshold` is the
    score below which a row is unusual, and `offset` what was taken off the estimator's raw score.
    """

    name: str
    type: str
    target: str | None = None
    label: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    classes: Sequence[Any] | None = None
    threshold: float | None = None
    offset: float | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """The last try to serve another version than before; `version` is null where the store does not
    tell which it would be. One that failed leaves what serves, and says the `reason`."""

    version: int | None
    state: Literal["loading", "ready", "failed"]
    reason: str | None = None


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a model, wherever it is."""

    name: str
    version: int | None
    versions: list[int]
    aliases: dict[str, int]
    state: str
    reason: str | None = None
    task: str | None = None
    title: str | None = None
    description: str | None = None
    notice: str | None = None
    inputs: Sequence[Input] = ()
    outputs: Sequence[Output] = ()
    metrics: dict[str, float] = {}
    validation: str | None = None
    served: str | None = None
    served_by: str | None = None
    reading: str | None = None
    varies: str | None = None


class ModelDescription(Description, frozen=True, kw_only=True):
    """A model as its clients see it. `version` is the one that answers where none is named; it
    is null while a model of the start-up is on its way, and so is what its manifest tells. `served`
    says whether plain data, the pipeline itself or its steps converted to ONNX answer, and why, and
    `served_by` is that in a word: plain, pipeline or onnx; `reading` says whether reading its
    artifact may run code; `varies` how its answer to a row is not that row's alone, or nothing.
    `update` is the last time that the server followed the store to another version."""

    state: State
    update: Update | None = None


class StoredModel(Description, frozen=True, kw_only=True):
    """A model in a store, whether or not a server has loaded it. `failed` is one whose manifest
    cannot be read, for that `reason`; artifacts are not looked at."""

    state: Literal["published", "failed"]


class ModelList(msgspec.Struct, frozen=True):
    """All models, in the order of their names."""

    models: list[ModelDescription]


class Place(msgspec.Struct, frozen=True):
    """One row of a prediction, by the id of its response."""

    id: str
    row: int


class FeedbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of truths that were sent: so many are `kept`, of which `replaced` took the place
    of others. `unknown` are those of which no prediction of this model was recorded, or not yet;
    they are kept as well, unless they are known to be another model's. `empty` rows of a table had
    no truth."""

    model: str
    kept: int
    replaced: int
    unknown: Sequence[Place] = ()
    empty: int = 0


class FormerTruth(msgspec.Struct, frozen=True, kw_only=True):
    """What was told before, from one moment to another."""

    truth: Label | list[Label]
    at: str
    replaced_at: str


class RecordedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one row of a request: the `predictions` of the version that answered, and of
    what was tried beside it, each as in an export; the truth, when it was told, and what was told
    before, the latest last."""

    id: str
    row: int
    predictions: Sequence[dict[str, Any]]
    truth: Label | list[Label] | None
    told_at: str | None
    former: Sequence[FormerTruth] = ()


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What a client reads when a request was not answered."""

    error: str
    details: Sequence[Fault] = ()

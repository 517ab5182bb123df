"""The JSON beside an artifact: what it is, what it takes, and the digests that prove it.

FORMAT is the number of the layout of a version's folder. Raise it when a reader of the number
before would misread the new one; then teach `read` to bring the old one forward, and keep a
folder of the old format among the tests. A field that is added with a default needs no new number.

1. One target, whose classes stood in the manifest itself, and numeric columns only.
2. Several targets, and columns of every kind.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from .backend import Served
from .carriers import carrier_of, carries_code
from .column_facts import JSONLabel
from .column_types import Datatype, datatype_of
from .errors import CorruptVersion, words_of
from .labels import datatype_of_numbers
from .libraries import Libraries
from .signature import Signature
from .task import Measure, MeasureName, Task

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"
ARTIFACT: Final = "pipeline.joblib"
SAMPLE: Final = "sample.json"
GRAPH: Final = "pipeline.onnx"
REASONS: Final = "reasons.json"
"""Which columns matter overall, for whoever reads of a version."""
REFERENCE: Final = "reference.json"
"""What the training data was like, for whoever looks for drift."""

TEXTS: Final = "str"
"""The `dtype` of a target whose answers are texts that are no classes."""


Variation = Literal["batch", "call"]
"""How answers to a row vary: with the rows beside it, or from one call to the next."""

_VARIATIONS: Final[dict[Variation, str]] = {
    "batch": "Its answer to a row depends on the rows beside it, so each row is asked alone.",
    "call": (
        "Its answer to the same row varies from call to call; each row is asked alone, and what it "
        "answered when it was published is not compared."
    ),
}


class File(msgspec.Struct, frozen=True):
    """The size in bytes and the sha256 of a file of the version."""

    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> File:
        return cls(size=len(data), sha256=hashlib.sha256(data).hexdigest())


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the pipeline was trained to tell: a number with its range, or a class.

    `classes` are the labels in the order of the columns of `predict_proba`; `counts` says how often
    each of them, as text, stood in the training data, or of clusters and outliers how often it was
    answered to rows of that. `dtype` is numpy's name of truths or whole numbers that are told, and
    "str" of texts without classes, None of other numbers. `quantiles` of the numbers in the
    training data stand at even shares, from the least number to the greatest.
    """

    name: str | None = None
    label: str | None = None
    unit: str | None = None
    classes: list[JSONLabel] | None = None
    minimum: float | None = None
    maximum: float | None = None
    counts: dict[str, int] | None = None
    dtype: str | None = None
    quantiles: tuple[float, ...] | None = None

    @property
    def numeric(self) -> bool:
        """Whether a number is told, and neither a class nor a text."""
        return self.classes is None and self.dtype != TEXTS

    def rank(self, value: float) -> float | None:
        """Which share of the training data lies below a number, from 0 to 1; half of what is equal
        to it counts. None where that is not known."""
        if self.quantiles is None:
            return None
        last = len(self.quantiles) - 1
        return (
            (_below(self.quantiles, value) + _below(self.quantiles, value, equal=True)) / 2 / last
        )


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """How often each class was answered where each was true: `counts[true][answered]`, in the
    order of `labels`."""

    labels: list[JSONLabel]
    counts: list[list[int]]


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answers to `rows` rows for one target. Of classes there is a `confusion`, where they are
    not too many; of numbers there are `points` of (true, answered), a seeded choice of many rows.
    """

    rows: int
    target: str | None = None
    confusion: Confusion | None = None
    points: list[tuple[float, float]] | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a pipeline was imported from, and the scikit-learn that wrote them; or the
    `guest`, another library that wrote them in its own format, with its version."""

    files: dict[str, File]
    scikit_learn: str | None = None
    guest: str | None = None

    @property
    def writer(self) -> str | None:
        """What wrote the files, where it is known."""
        if self.scikit_learn is not None:
            return f"scikit-learn {self.scikit_learn}"
        return self.guest


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of one model.

    `targets` are what it tells, mostly one, and `measures` the numbers beside that. `words` say a
    class in a person's language, keyed by `str(class)`. `metrics` were measured as `validation`
    says, and so were `evaluations`, one for each target. `rows` is how many rows of training data,
    or of a sample of it, told the ranges, and `data` says where they came from. `libraries` are
    those with which the golden rows were answered. `allowed` are the globals that the artifact may
    name and call beyond those of every artifact, and `code` is the file of the version that defines
    its own classes; with either, to read the artifact may run code (`runs_code`). `served` is what
    the comparison of its plain form, or of its ONNX graph, found; None before there was one.
    `varies` says how its answer to a row is not that row's alone, which was allowed when it was
    published; None where nothing of the kind was found. `labels_follow` says that its labels are
    those of the greatest probabilities, as was found when it was published. `unexplained` says, as
    a clause, why its plain form does not explain answers. `revision` counts the edits of all this;
    the artifact is the same in each.
    """

    format: int
    name: str
    version: int
    created: str
    revision: int = 1
    task: Task
    signature: Signature
    targets: tuple[Target, ...]
    probabilities: bool = False
    measures: tuple[Measure, ...] = ()
    metrics: dict[str, float] = {}
    validation: str | None = None
    evaluations: tuple[Evaluation, ...] = ()
    rows: int | None = None
    data: str | None = None
    title: str | None = None
    description: str | None = None
    notice: str | None = None
    words: dict[str, str] = {}
    estimator: str
    libraries: Libraries
    source: Source | None = None
    allowed: tuple[str, ...] = ()
    code: str | None = None
    served: Served | None = None
    varies: Variation | None = None
    labels_follow: bool = False
    unexplained: str | None = None
    files: dict[str, File]

    def __str__(self) -> str:
        # Imported here: a server shows none.
        from .summary import as_text

        return as_text(self)

    def __repr__(self) -> str:
        """As a notebook shows it."""
        return str(self)

    def _repr_html_(self) -> str:
        """As a notebook that has HTML shows it."""
        from .summary import as_html

        return as_html(self)

    @property
    def target(self) -> Target:
        """The first of the targets, which mostly is the only one."""
        return self.targets[0]

    @property
    def runs_code(self) -> bool:
        """Whether to read the artifact may run code, since more is allowed than by default."""
        return bool(self.allowed) or self.code is not None

    @property
    def reading(self) -> str:
        """What it is to read the artifact, for a person."""
        if not self.runs_code:
            return "Reading the artifact makes data and runs no code of its own."
        package = carrier_of(self.allowed)
        if package is not None and carries_code(self.allowed):
            return (
                "Reading the artifact runs its author's code, which it carries as "
                f"{package} wrote it."
            )
        names = ", ".join(self.allowed)
        own = "" if self.code is None else f"defines classes in {self.code}"
        why = " and ".join(filter(None, (names and f"may call {names}", own)))
        return f"Reading the artifact may run code: it {why}."

    @property
    def variation(self) -> str | None:
        """How its answers vary, for a person; None where they do not."""
        return None if self.varies is None else _VARIATIONS[self.varies]

    @property
    def datatype(self) -> Datatype:
        """What holds every label in a tensor, be it of one target or of several."""
        if any(target.dtype == TEXTS for target in self.targets):
            return "BYTES"
        if self.target.classes is None:
            return datatype_of_numbers(target.dtype or "float64" for target in self.targets)
        return datatype_of(label for target in self.targets for label in target.classes or ())

    @property
    def exact(self) -> bool:
        """Whether its answers are labels, which are equal or not, and no numbers that are near."""
        return self.task not in ("regression", "transformation")

    @property
    def several(self) -> bool:
        """Whether each answer is a list, one of each target."""
        return len(self.targets) > 1


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Golden rows as a client would send them, and what the pipeline answered when published.

    Of several targets a prediction is a list. `probabilities` holds a table for each target, with a
    list for each row; `measures` a number for each row, or a list of several targets.
    """

    rows: list[dict[str, JSONLabel | None]]
    predictions: list[JSONLabel | list[JSONLabel]]
    probabilities: list[list[list[float]]] | None = None
    measures: dict[MeasureName, list[float | list[float]]] | None = None


def write(value: Manifest | Sample) -> bytes:
    """The JSON of a manifest or a sample, indented for a person."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def read(data: bytes) -> Manifest:
    """The manifest in these bytes, brought to this format.

    Raises:
        CorruptVersion: not a manifest, or one of a newer format.
    """
    try:
        found = msgspec.json.decode(data, type=_Numbered).format
        if found > FORMAT:
            raise CorruptVersion(
                f"The manifest has format {found}, and this program reads up to {FORMAT}; "
                "upgrade quart-app."
            )
        if found == 1:
            data = msgspec.json.encode(_from_1(data))
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptVersion(
            "The manifest cannot be read; publish it again.", words_of(error)
        ) from error


def read_sample(data: bytes) -> Sample:
    """The sample in these bytes. In format 1 it held the table of its one target.

    Raises:
        CorruptVersion: not a sample.
    """
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
        tables = found.get("probabilities")
        if tables and tables[0] and not isinstance(tables[0][0], list):
            found["probabilities"] = [tables]
        return msgspec.convert(found, Sample)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError) as error:
        raise CorruptVersion(
            "The sample cannot be read; publish it again.", words_of(error)
        ) from error


def _below(quantiles: Sequence[float], value: float, *, equal: bool = False) -> float:
    """How many even steps of the quantiles lie below a number, or up to it with `equal`."""
    place = (bisect_right if equal else bisect_left)(quantiles, value)
    if place in (0, len(quantiles)):
        return min(place, len(quantiles) - 1)
    low, high = quantiles[place - 1], quantiles[place]
    return place - 1 + (value - low) / (high - low)


class _Numbered(msgspec.Struct):
    format: int


class _Format1(msgspec.Struct):
    """What format 1 said otherwise, and the rest of it."""

    signature: dict[str, Any]
    target: dict[str, Any] = {}
    classes: list[JSONLabel] | None = None


def _from_1(data: bytes) -> dict[str, Any]:
    """A manifest of format 1 as one of format 2. Checked as a whole when it is decoded."""
    told = msgspec.json.decode(data, type=_Format1)
    whole: dict[str, Any] = msgspec.json.decode(data)
    whole["format"] = 2
    whole["targets"] = [{**told.target, "classes": told.classes}]
    framed = told.signature.get("container") == "frame"
    for column in told.signature.get("columns", ()):
        if isinstance(column, dict):
            whole_number = framed and column.get("type") == "integer"
            column["dtype"] = "int64" if whole_number else told.signature.get("dtype", "float64")
    whole["signature"] = told.signature
    return whole

"""What all nodes are: data that is checked when it is read, and one step of arithmetic.

A node is a struct whose fields are written to the files and read from them as they are declared;
what it computes from them it keeps in cached properties. `check` is asked once, before anything
else, and believes nothing of the fields: after it no index points outside of what it points into,
and nothing is larger than the file that it came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from .sparse import Sparse

Array = NDArray[Any]
Rows = Array | Sparse
"""Features of shape (rows, features), of numbers or of objects."""

Splits = tuple[Array, Array]
"""Features, and the thresholds at which trees part their values."""

Label = str | int | float | bool
"""A class."""

MAX_WIDTH: Final = 1 << 22
"""Features that a node may have. Rows of so many are sparse."""

MAX_DENSE: Final = 1 << 17
"""Features that rows may have which are not sparse."""

SEVERAL: Final = -1
"""In place of the number of a column, where a feature is made of more than one."""

FEW: Final = 16
"""Numbers of which Python makes something in less time than numpy."""

MAX_COLUMNS: Final = 1 << 20
"""Columns that a form may be given."""


class Malformed(ValueError):
    """The data of a form are not what their nodes need."""


class Refused(Exception):
    """These rows have no answer. The message says why, as a clause: a value is missing."""


class Answer(NamedTuple):
    """What a model says of n rows.

    `labels` has the shape (n,), or (n, targets). `shares` are probabilities of shape (n, classes),
    of several targets a tuple of such; None where the model knows none.
    """

    labels: Array
    shares: Array | tuple[Array, ...] | None = None


class Node(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    dict=True,
    eq=False,
    tag_field="kind",
    tag=str.lower,
):
    """A node by its name in the files, the `kind`, which is that of its class in lower case."""


class Transform:
    """A step before the last. What it is given is never changed."""

    __slots__ = ()

    def check(self, width: int) -> int:
        """How many features come of so many.

        Raises:
            Malformed: the data do not fit each other, or this many features.
        """
        raise NotImplementedError

    def transform(self, rows: Rows) -> Rows:
        """
        Raises:
            Refused: the pipeline refuses these rows.
        """
        raise NotImplementedError

    def owners(self, columns: Array) -> Array:
        """The column that each feature which comes of it is made of, by its number; SEVERAL where
        it is, or may be, made of more than one. `columns` are the same of the features that it is
        given."""
        alone = len(columns) > 0 and bool((columns == columns[0]).all())
        return np.full(self.check(len(columns)), columns[0] if alone else SEVERAL)

    def folded(self, coefficients: Array, intercept: Array) -> tuple[Array, Array] | None:
        """The coefficients and intercepts of a linear model of what it makes, as one of what it is
        given; None where that is none. Coefficients are of shape (features, scores)."""
        return None


class Elementwise(Transform):
    """A step that makes one feature of each, by that feature alone."""

    __slots__ = ()

    def owners(self, columns: Array) -> Array:
        return columns


class Predictor:
    """A last step."""

    __slots__ = ()

    @property
    def decides(self) -> bool:
        """Whether it has a decision function."""
        return False

    @property
    def scorer(self) -> Predictor:
        """The predictor within whose scores and probabilities its own are; itself where there is
        none."""
        return self

    @property
    def has_scores(self) -> bool:
        """Whether it has scores, be they those of a decision function or not."""
        return self.decides

    @property
    def to_log_odds(self) -> float | None:
        """What the score of the second of two classes is multiplied with to be its log-odds; None
        where it is no such score."""
        return None

    def check(self, width: int) -> None:
        """
        Raises:
            Malformed: the data do not fit each other, or this many features.
        """
        raise NotImplementedError

    def answer(self, rows: Rows) -> Answer:
        """
        Raises:
            Refused: the pipeline refuses these rows.
        """
        raise NotImplementedError

    def scores(self, rows: Rows) -> Array:
        """What the decision function says, of shape (n,) or (n, classes).

        Raises:
            Refused: the pipeline refuses these rows.
        """
        raise NotImplementedError

    def both(self, rows: Rows) -> tuple[Answer, Array]:
        """`answer` and `scores`, for whom needs both of the same rows.

        What holds other predictors asks each of them once for it. With two questions at each level
        the time would double with every one that stands within another.

        Raises:
            Refused: the pipeline refuses these rows.
        """
        return self.answer(rows), self.scores(rows)

    @property
    def deviates(self) -> bool:
        """Whether it has a standard deviation beside its prediction."""
        return False

    def deviating(self, rows: Rows) -> tuple[Answer, Array]:
        """`answer`, and the standard deviation of each number in it.

        Raises:
            Refused: the pipeline refuses these rows.
        """
        raise NotImplementedError

    def splits(self) -> Iterator[Splits]:
        """Where it parts the values of its features, if it does, to be tried beside them."""
        yield from ()


class Classifier(Predictor):
    """A last step that takes its labels from a list of classes."""

    __slots__ = ()

    classes: list[Label]

    @cached_property
    def _labels(self) -> Array:
        return labels_of(self.classes)


# What nodes check ----------------------------------------------------------------


def require(fits: bool, expected: str) -> None:
    """Raises Malformed where something does not fit."""
    if not fits:
        raise Malformed(f"expected {expected}")


def require_floats(array: Array, *shape: int) -> None:
    """Raises Malformed where these are no floats of this shape; -1 stands for any length."""
    require(array.dtype.kind == "f", "floats")
    require_shape(array, *shape)


def require_places(array: Array, end: int, *shape: int, start: int = 0) -> None:
    """Raises Malformed where these are no integers of this shape from `start` up to before `end`;
    -1 stands for any length."""
    require(array.dtype.kind in "iu", "integers")
    require_shape(array, *shape)
    within = not array.size or (array.min() >= start and array.max() < end)
    require(within, f"integers from {start} to {end - 1}")


def require_shape(array: Array, *shape: int) -> None:
    found = array.shape
    fits = len(found) == len(shape) and all(
        wanted in (-1, length) for length, wanted in zip(found, shape, strict=True)
    )
    require(fits, f"an array of the shape {shape}, got {found}")


# What nodes are given --------------------------------------------------------------


def dense(rows: Rows) -> Array:
    """The rows as an array."""
    return rows.dense() if isinstance(rows, Sparse) else rows


def as_floats(rows: Rows) -> Array:
    """The array itself where its numbers are floats, else as float64, as scikit-learn does.

    Raises:
        Refused: there is something else than numbers in it.
    """
    array = dense(rows)
    if array.dtype.kind == "f":
        return array
    try:
        return array.astype(np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise Refused("a value is no number") from error


def finite(array: Array) -> Array:
    """The array, if all its numbers are finite.

    Raises:
        Refused: one is not.
    """
    if not all_finite(array):
        raise Refused(why_not_finite(array))
    return array


def all_finite(array: Array) -> bool:
    """Whether all numbers of an array of floats are finite."""
    if array.size > FEW or array.dtype.char not in "efd":
        return bool(np.isfinite(array).all())
    return all(map(math.isfinite, array.ravel().tolist()))


def why_not_finite(array: Array) -> str:
    """What is wrong with numbers of which one is not finite."""
    return "a value is missing" if np.isnan(array).any() else "a number is too large"


def is_missing(value: object) -> bool:
    """Whether a cell of a matrix of objects is missing: None, NaN or NaT."""
    return value is None or bool(value != value)


# What classifiers answer with -------------------------------------------------------

MAX_CHARACTERS: Final = 1 << 22
"""For which there is room in an array of texts."""


def labels_of(classes: list[Label]) -> Array:
    """Classes as the array that labels are taken from; of several types it is one of objects."""
    kinds = {type(each) for each in classes}
    # An array of texts has room for the longest in each place.
    texts = [len(each) for each in classes if isinstance(each, str)]
    if len(kinds) == 1 and max(texts, default=0) * len(texts) <= MAX_CHARACTERS:
        found = np.array(classes)
        if found.tolist() == classes:  # trailing zero characters are lost, large integers rounded
            return found
    mixed = np.empty(len(classes), dtype=object)
    mixed[:] = classes
    return mixed

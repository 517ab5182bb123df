"""Encoders of which each column is answered by itself, found out by asking them.

What libraries keep of a fitted encoder differs from one to the next, and so does what they do with
missing and unknown values. So a node is made of what an encoder answers to each category, to a
missing value and to an unknown one, with all other columns as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..node import Label, is_missing
from ..nodes.categories import Categories, Encode, OneHot, Other, Rename
from .encoders import Places, label_of
from .given import NotPacked

UNKNOWN_TEXT: Final = "\x00 no category"

MAX_CELLS: Final = 1 << 22
"""Features of all categories of one column, which are asked at once."""


@dataclass(frozen=True, slots=True)
class Column:
    """What an encoder answers of one column: `rows` of shape (places, features), in the order of
    the places of `categories`."""

    categories: Categories
    rows: NDArray[Any]

    @property
    def is_one_hot(self) -> bool:
        """Whether each category has a 1 at most, and 0s."""
        numbers = self.rows
        several = numbers.shape[1] > 1 and np.isin(numbers, (0, 1)).all()
        return bool(several and (numbers.sum(axis=1) <= 1).all())


def one_hot(columns: Sequence[Column]) -> OneHot:
    """The 1s of columns beside each other."""
    found = Places()
    for column in columns:
        numbers = column.rows.astype(np.float64)
        features = np.where(numbers.any(axis=1), numbers.argmax(axis=1), -1).tolist()
        found.append(column.categories, features, numbers.shape[1])
    return found.node(np.float64, sparse=False)


def numbers(columns: Sequence[Column]) -> Encode:
    """The numbers of columns beside each other, which have equally many."""
    rows = np.concatenate([column.rows for column in columns]).astype(np.float64)
    return Encode(columns=[column.categories for column in columns], numbers=rows)


def labels(columns: Sequence[Column]) -> Rename:
    """The values of columns beside each other, each of which becomes one."""
    rows = [value for column in columns for value in column.rows[:, 0].tolist()]
    found = [None if is_missing(value) else label_of(value) for value in rows]
    return Rename(columns=[column.categories for column in columns], labels=found)


@dataclass(frozen=True, slots=True)
class Asked:
    """An encoder that was fitted on columns of these names, with the known values of those that it
    encodes, by their places."""

    step: Any
    names: list[Any]
    known: dict[int, list[Any]]

    def column(self, at: int, features: slice) -> Column:
        """What becomes of one column, which makes these features.

        Raises:
            NotPacked: a category is no text and no number, or has no answer, or there are too many.
        """
        values: list[Label] = [label_of(value) for value in self.known[at] if not is_missing(value)]
        if len(values) * (features.stop - features.start) > MAX_CELLS:
            raise NotPacked(f"{type(self.step).__name__} of so many categories is not known")
        rows = self._rows(at, values)
        if rows is None:
            raise NotPacked(f"{type(self.step).__name__} does not answer its own categories")
        others: list[Other] = []
        strict = False
        probes: tuple[tuple[Other, Any], ...] = (
            ("none", None),
            ("nan", float("nan")),
            ("unknown", _unknown(values)),
        )
        for name, probe in probes:
            found = self._rows(at, [probe])
            if found is not None:
                others.append(name)
                rows = np.concatenate([rows, found])
            elif name != "unknown":
                strict = True
        return Column(Categories(values, others, strict), rows[:, features])

    def _rows(self, at: int, values: Sequence[Any]) -> NDArray[Any] | None:
        """The features of rows with these values in one column; None where they are refused."""
        import pandas

        columns = {}
        for place, name in enumerate(self.names):
            cells = np.empty(len(values), dtype=object)
            cells[:] = values if place == at else [self._usual(place)] * len(values)
            columns[name] = pandas.Series(cells, dtype=object if place in self.known else float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return np.asarray(self.step.transform(pandas.DataFrame(columns)), dtype=object)
            except ValueError:
                return None

    def _usual(self, place: int) -> Any:
        values = [value for value in self.known.get(place, [0.0]) if not is_missing(value)]
        return values[0] if values else None


def _unknown(values: Sequence[Any]) -> Any:
    """A value that is none of these, of their kind."""
    if values and all(isinstance(value, int | float) for value in values):
        return max(values) + 1
    return UNKNOWN_TEXT

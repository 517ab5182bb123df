"""Columns that are alike to a pipeline, so that a question about one of them is one about all.

With thousands of columns a question for each takes minutes. Columns are alike that have one type
and one dtype, that lacked values in training or did not, and that the same parts of the pipeline
take. What else there is between them is found by asking: all of them together, and where that is
refused some of them alone, and where these differ either half of them again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from .columns import Column
from .structure import inner_of, positions

FEW: Final = 8
"""So many are asked alone where all of them are refused together."""
EACH: Final = 24
"""Of so many columns each is asked alone then."""
MEMBERS: Final = 30
"""Of an ensemble so many members are looked into."""


def alike(pipeline: Any, columns: Sequence[Column], lacking: Sequence[bool]) -> list[list[int]]:
    """The positions of the columns, in groups of such as are alike. `lacking` says of each whether
    a value of it was missing in training."""
    marks = _Marks(len(columns))
    marks.walk(pipeline, range(len(columns)), [column.name for column in columns])
    groups: dict[Hashable, list[int]] = {}
    for i, column in enumerate(columns):
        known = (column.type, column.dtype, column.null, column.categories is None, lacking[i])
        groups.setdefault((known, tuple(marks.of[i])), []).append(i)
    return list(groups.values())


def sift(groups: Sequence[Sequence[int]], answers: Callable[[Sequence[int]], bool]) -> set[int]:
    """Those columns of which each alone may be odd. `answers` says whether there is an answer to a
    row in which some columns are odd, and is asked the fewer times the larger the groups are."""
    told: dict[int, bool] = {}

    def alone(column: int) -> bool:
        if column not in told:
            told[column] = answers([column])
        return told[column]

    def together(columns: Sequence[int]) -> bool:
        return alone(columns[0]) if len(columns) == 1 else answers(columns)

    def of(columns: Sequence[int]) -> set[int]:
        if together(columns) and alone(columns[len(columns) // 2]):
            return set(columns)
        if len(columns) <= EACH:
            return {column for column in columns if alone(column)}
        if not any(alone(column) for column in _spread(columns)):
            return set()
        middle = len(columns) // 2
        return of(columns[:middle]) | of(columns[middle:])

    every = [column for group in groups for column in group]
    if len(groups) > 1 and together(every) and all(alone(_middle(group)) for group in groups):
        return set(every)
    return {column for group in groups for column in of(group)}


def _middle(columns: Sequence[int]) -> int:
    return columns[len(columns) // 2]


def _spread(columns: Sequence[int]) -> list[int]:
    places = np.unique(np.linspace(0, len(columns) - 1, FEW).astype(int))
    return [columns[place] for place in places]


class _Marks:
    """For each column what the parts of a pipeline know of it that they do not of all columns. A
    mark too many only makes for smaller groups."""

    def __init__(self, count: int) -> None:
        self.of: list[list[Hashable]] = [[] for _ in range(count)]

    def walk(self, part: Any, places: Sequence[int], names: Sequence[str] | None) -> None:
        """Mark the columns at these places, which are what a part takes, if it takes so many."""
        if part is None or isinstance(part, str):
            return
        if getattr(part, "n_features_in_", len(places)) != len(places):
            return
        self._mark(part, places, names)
        for number, (_, inner, chosen) in enumerate(getattr(part, "transformers_", ())):
            taken = [places[i] for i in positions(chosen, len(places), names)]
            for place in taken:
                self.of[place].append(number)
            self.walk(inner, taken, None)
        for each in _parts(part):
            self.walk(each, places, names)

    def _mark(self, part: Any, places: Sequence[int], names: Sequence[str] | None) -> None:
        # What a class of the operator's own calls so may be anything.
        with contextlib.suppress(Exception):
            for i in _told_apart(part, names):
                self.of[places[i]].append(type(part).__name__)


def _parts(part: Any) -> Iterable[Any]:
    """The parts that are handed the columns of one."""
    if hasattr(part, "transformers_"):
        return
    for steps in (getattr(part, "steps", None), getattr(part, "transformer_list", None)):
        yield from (inner for _, inner in steps or ())
    several = getattr(part, "estimators_", None)
    if several is not None and not hasattr(part, "estimators_features_"):
        yield from np.ravel(np.asarray(several, dtype=object))[:MEMBERS]
    elif (inner := inner_of(part)) is not None:
        yield inner


def _told_apart(part: Any, names: Sequence[str] | None) -> Iterable[int]:
    """The columns that a part keeps, of those that it is given; of which it knows a missing value;
    or that it was told to change, by name."""
    if callable(getattr(part, "get_support", None)):
        return list(part.get_support(indices=True))
    if hasattr(part, "categories_"):
        return [
            i for i, each in enumerate(part.categories_) if any(v is None or v != v for v in each)
        ]
    if hasattr(part, "features_"):
        return list(part.features_)
    chosen = getattr(part, "variables_", None) or getattr(part, "cols", None)
    known = {name: i for i, name in enumerate(names or ())}
    return [known[name] for name in chosen or ()]

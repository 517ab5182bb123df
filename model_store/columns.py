"""One input of a pipeline, and how its values are brought to their type.

A column is first tried whole (`fill`), in numpy or in one pass; only where that finds something odd
is it walked value by value (`cell`), to say which row is wrong and why. So good input is quick and
bad input is told all its faults. What a value of a type is, its type says (`column_types`).

In a matrix of one numeric dtype a cell has that dtype. In a matrix of objects it is a Python value:
float, int, bool, str, or for a date what the pipeline was trained on. A cell is the value itself:
what a dtype would round is `Inexact`, and the rows become a matrix of objects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from numbers import Real
from types import NoneType
from typing import Any, Final, cast

import numpy as np

from .arrow import Texts
from .column_facts import ColumnFacts, JSONLabel
from .column_types import TYPES, ColumnType, Unfit
from .column_types.base import missing_cell
from .text_rules import JSON, TextRules
from .values import (
    NOWHERE,
    PYTHONS_OWN,
    Cells,
    Mask,
    Positions,
    Repeated,
    Values,
    python_value,
)

_INTEGERS: Final = re.compile(r"u?int(8|16|32|64)", re.IGNORECASE)

FEW: Final = 8
"""So few values are walked as fast as numpy looks at them together."""


class Column(ColumnFacts, frozen=True, kw_only=True, dict=True):
    """One input of a pipeline: its facts, and through its type what is done with its values.

    Raises:
        ValueError: there is no such type.
    """

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"expected a type of {', '.join(TYPES)}, got {self.type!r}")

    @cached_property
    def kind(self) -> ColumnType:
        """The type."""
        return TYPES[self.type]

    @cached_property
    def array_dtype(self) -> np.dtype[Any] | None:
        """What the column was in training where that was one of numpy's numbers or truths, which
        tell no missing value from others or are floats; else None."""
        try:
            found = np.dtype(self.dtype)
        except TypeError:
            return None
        return found if found.kind in "iufb" else None

    @cached_property
    def discrete(self) -> np.dtype[Any] | None:
        """The integers or truths that the column had in training, of numpy or, where they are
        `nullable`, of pandas; a value that they do not hold changes its dtype."""
        found = np.dtype(self.dtype.lower()) if _INTEGERS.fullmatch(self.dtype) else None
        return np.dtype(bool) if self.dtype == "bool" else found

    @property
    def coded(self) -> bool:
        """Whether it is a category of pandas whose values are numbers or truths: where one is
        missing, what pandas makes of the others is floats or objects."""
        return self.dtype == "category" and self.numeric

    @property
    def nullable(self) -> bool:
        """Whether its dtype is one of pandas's own, which has a missing value."""
        return self.array_dtype is None

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        words = self.kind.expected(self)
        return f"{words} or null" if self.missing else words

    def is_usual(self, cell: Any) -> bool:
        """Whether a cell is such as training had: a known category, a number within the range."""
        if cell is None or cell != cell:
            return False
        if self.categories is not None:
            return cell in self.known
        low, high = self.minimum, self.maximum
        if not isinstance(low, int | float) or not isinstance(high, int | float):
            return True
        return not isinstance(cell, Real) or low <= float(cell) <= high

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers, also where they name categories."""
        return self.kind.numeric(self)

    def plain(self, cell: Any) -> JSONLabel | None:
        """A cell as the JSON value that it came from; None for a missing one."""
        if isinstance(cell, np.datetime64):
            cell = cell.astype("datetime64[us]").item()
        if isinstance(cell, np.generic):
            cell = cell.item()
        if cell is None or cell != cell:
            return None
        found = self.kind.plain(cell)
        return self.shown(found) if isinstance(found, float) else found

    def plain_all(self, cells: Cells) -> list[JSONLabel | None]:
        """As `plain`, of each of some cells."""
        values = cells.tolist() if cells.dtype.kind in "iufb" else cells
        if cells.dtype == np.float64 and self.kind.keeps_floats and self.narrow is None:
            return [None if value != value else value for value in values]
        return [self.plain(value) for value in values]

    def cell(self, value: object, dtype: np.dtype[Any], rules: TextRules = JSON) -> Any:
        """One value as the cell of a matrix.

        Raises:
            Unfit: it is none of this column.
            Inexact: no cell of this dtype holds it as it is.
        """
        if type(value) not in PYTHONS_OWN:
            value = python_value(value)
        if isinstance(value, str):
            value = self.kind.read(self, value, rules)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return missing_cell(self, dtype)
        return self.kind.parse(self, value, dtype)

    def fill(self, target: Cells, values: Values, rules: TextRules = JSON) -> Positions | None:
        """Fill the cells of this column at once, and tell the positions of the values that do not
        fit; None where each value needs a closer look.

        Raises:
            Inexact: the cells cannot hold a value as it is.
        """
        if isinstance(values, np.ndarray):
            return self._fill_array(target, values, rules)
        if isinstance(values, Repeated):
            return self._fill_repeated(target, values, rules)
        if isinstance(values, Texts):
            return self._fill_arrow(target, values, rules)
        kinds = set(map(type, values))
        if kinds == {str}:
            return self._fill_texts(target, cast(Sequence[str], values), rules)
        if NoneType in kinds and len(values) > FEW:
            nulls = np.fromiter((value is None for value in values), bool, len(values))
            present = [value for value in values if value is not None]
            return self._fill_around(target, nulls, present, rules)
        return NOWHERE if self.kind.fill(self, target, values) else None

    def _fill_array(self, target: Cells, array: Cells, rules: TextRules) -> Positions | None:
        if isinstance(array, np.ma.MaskedArray):
            nulls = np.ma.getmaskarray(array)
            return self._fill_around(target, nulls, array.data[~nulls], rules)
        if array.dtype.kind in "OUT" and len(array) > FEW:
            return self.fill(target, array.tolist(), rules)
        if array.dtype.kind not in "iufbM":
            return None
        if array.dtype.kind == "M" and (nulls := np.isnat(array)).any():
            return self._fill_around(target, nulls, array[~nulls], rules)
        if array.dtype == np.longdouble:
            array = array.astype(np.float64)
        found = self.kind.fill_array(self, target, array)
        if found is not None or len(array) <= FEW:
            return found
        return self._fill_repeated(target, Repeated.of_array(array), rules)

    def _fill_arrow(self, target: Cells, texts: Texts, rules: TextRules) -> Positions | None:
        """As `fill`, of an Arrow array of texts: those that write numbers are read as a whole where
        the column is one of numbers, and each distinct one of the others once."""
        found = self.kind.read_all(texts) if rules.numerals and len(texts) > FEW else None
        if found is None:
            return self.fill(target, texts.values(), rules)
        numbers, odd = found
        if not odd.any():
            return self.kind.fill_array(self, target, numbers)
        plain, others = np.flatnonzero(~odd), np.flatnonzero(odd)
        unfit = []
        if len(plain):
            cells = np.empty(len(plain), dtype=target.dtype)
            faulty = self.kind.fill_array(self, cells, numbers[plain])
            target[plain] = cells
            unfit.append(plain if faulty is None else plain[faulty])
        cells = np.empty(len(others), dtype=target.dtype)
        unfit.append(others[self._fill_each(cells, texts.take(others).values(), rules)])
        target[others] = cells
        return np.sort(np.concatenate(unfit))

    def _fill_each(self, target: Cells, values: Values, rules: TextRules) -> Positions:
        """As `fill`, and value by value where each needs a closer look."""
        found = self.fill(target, values, rules)
        if found is not None:
            return found
        unfit = []
        for position, value in enumerate(values):
            try:
                target[position] = self.cell(value, target.dtype, rules)
            except Unfit:
                unfit.append(position)
        return np.array(unfit, dtype=np.intp)

    def _fill_texts(
        self, target: Cells, texts: Sequence[str], rules: TextRules
    ) -> Positions | None:
        """As `fill`, of values that all are texts."""
        found = self.kind.fill_texts(self, target, texts, rules)
        if found is not None:
            return found
        positions = {text: position for position, text in enumerate(dict.fromkeys(texts))}
        places = np.array([positions[text] for text in texts])
        return self._fill_repeated(target, Repeated(list(positions), places), rules)

    def _fill_repeated(self, target: Cells, values: Repeated, rules: TextRules) -> Positions | None:
        """As `fill`, looking once at values that are alike."""
        distinct, places = values.distinct, values.places
        if len(distinct) > len(places) // 2:
            return None
        cells = np.empty(len(distinct), dtype=target.dtype)
        fits = np.ones(len(distinct), dtype=bool)
        for position, value in enumerate(distinct):
            try:
                cells[position] = self.cell(value, target.dtype, rules)
            except Unfit:
                fits[position] = False
        if fits.all():
            target[:] = cells[places]
            return NOWHERE
        filled = fits[places]
        target[filled] = cells[places[filled]]
        return np.flatnonzero(~filled)

    def _fill_around(
        self, target: Cells, nulls: Mask, present: Values, rules: TextRules
    ) -> Positions | None:
        """As `fill`, of what is left when the missing values are set aside."""
        cells = np.empty(len(present), dtype=target.dtype)
        unfit = self.fill(cells, present, rules)
        if unfit is None:
            return None
        target[~nulls] = cells
        if self.missing:
            target[nulls] = missing_cell(self, target.dtype)
            return np.flatnonzero(~nulls)[unfit] if len(unfit) else NOWHERE
        odd = nulls.copy()
        odd[np.flatnonzero(~nulls)[unfit]] = True
        return np.flatnonzero(odd)

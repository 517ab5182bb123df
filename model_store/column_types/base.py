"""What a column type is: everything that is done with its values, in one class."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from ..column_facts import ColumnFacts, JSONLabel
from ..text_rules import TextRules
from ..values import Cells, Inexact, Mask, Positions

Control = Literal["number", "choice", "suggestions", "date", "datetime", "line", "paragraph"]
"""What a person enters a value with: `choice` is one of few, `line` and `paragraph` are text."""

Datatype = Literal["BOOL", "INT64", "UINT64", "FP64", "BYTES"]
"""How values lie in a tensor, in the words of the Open Inference Protocol; BYTES are texts."""

Reading = Literal["number", "date", "length"]
"""How a value becomes a number: as it is, as seconds since 1970, or as the length of a text."""

Schema = dict[str, Any]


class Numerals(Protocol):
    """Texts of which those that write numbers are read as a whole, as `arrow.Texts` are."""

    def floats(self) -> tuple[Cells, Mask]: ...

    def integers(self) -> tuple[Cells, Mask]: ...


class Unfit(Exception):
    """A value does not fit. The message says what was expected, if more than `expected`."""


class ColumnType(ABC):
    """What is done with the values of a column.

    A type is stateless: one instance serves all columns of it. What is abstract here is what a type
    cannot do without. The rest holds for any type, and is overridden where more is known, or where
    a whole array can be taken at once. A missing value never comes here.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The word for it in manifests, in the API and on pages."""

    # What every type must say ---------------------------------------------------

    @abstractmethod
    def parse(self, column: ColumnFacts, value: object, dtype: np.dtype[Any]) -> Any:
        """One value as a cell of a matrix of this dtype. It is a Python value, or a numpy scalar
        that has no equal in Python; a text has passed `read`.

        Raises:
            Unfit: it is none of this column.
            Inexact: it is one, and no cell of this dtype holds it as it is.
        """

    @abstractmethod
    def fill(self, column: ColumnFacts, target: Cells, values: Sequence[object]) -> bool:
        """Fill the cells at once if all values are usual ones that all fit; else False, and what is
        in the cells does not matter."""

    @abstractmethod
    def plain(self, cell: Any) -> JSONLabel:
        """A cell as the JSON value that it came from."""

    @property
    def keeps_floats(self) -> bool:
        """Whether a float that is a cell came from the same float."""
        return False

    @abstractmethod
    def expected(self, column: ColumnFacts) -> str:
        """What a value must be, in words."""

    @abstractmethod
    def schema(self, column: ColumnFacts) -> Schema:
        """The JSON Schema of a value that is not null."""

    @abstractmethod
    def control(self, column: ColumnFacts) -> Control:
        """What a person enters a value with."""

    @abstractmethod
    def datatype(self, column: ColumnFacts) -> Datatype:
        """How the values best lie in a tensor."""

    @abstractmethod
    def recognizes(self, values: Cells) -> bool:
        """Whether training data without its missing values looks like this type. The first of
        `TYPES` to say so has it."""

    # What holds where a type says no more ----------------------------------------

    def learn(
        self, values: Cells, dtype: str, known: tuple[JSONLabel, ...] | None
    ) -> dict[str, Any]:
        """Facts of a column from its training data without the missing values. `dtype` is what it
        came with, and `known` are the categories that an encoder or the dtype has."""
        return {}

    def numeric(self, column: ColumnFacts) -> bool:
        """Whether the values are numbers, also where they name categories."""
        return False

    @property
    def measured(self) -> bool:
        """Whether values are amounts, with others between any two."""
        return False

    @property
    def reading(self) -> Reading | None:
        """As which number drift takes a value; None where it counts values that are equal."""
        return "number" if self.measured else None

    def choices(self, column: ColumnFacts) -> tuple[JSONLabel, ...]:
        """The values that are known by name."""
        return ()

    def closed(self, column: ColumnFacts) -> bool:
        """Whether no others than its choices fit."""
        return False

    def unseen(self, column: ColumnFacts) -> JSONLabel | None:
        """A value of a kind that was in no training data, which a pipeline may refuse; None where
        all are alike."""
        return None

    def spread(self, column: ColumnFacts, points: int) -> list[JSONLabel]:
        """Values over the range of the training data, in order: those known by name, or so many
        amounts. None where the range is not known."""
        return list(self.choices(column))

    def draw(
        self, column: ColumnFacts, known: list[Any], count: int, random: np.random.Generator
    ) -> list[Any]:
        """Random values within the training data, of which `known` are some."""
        choices = list(self.choices(column)) or known
        unseen = self.unseen(column)
        if column.open and unseen is not None:
            choices = [*choices, unseen]
        if not choices:
            return [None] * count
        return [choices[place] for place in random.integers(len(choices), size=count)]

    def exact(self, column: ColumnFacts, dtype: str) -> frozenset[type]:
        """The types whose finite values stand in a matrix of this dtype as they are."""
        return frozenset()

    def read(self, column: ColumnFacts, text: str, rules: TextRules) -> object:
        """What a text stands for; None where that is a missing value.

        Raises:
            Unfit: it stands for nothing here.
        """
        text = text.strip()
        if (rules.blanks and not text) or (column.missing and text in rules.nulls):
            return None
        return text

    def fill_texts(
        self, column: ColumnFacts, target: Cells, texts: Sequence[str], rules: TextRules
    ) -> Positions | None:
        """Fill the cells at once, and tell the positions of the texts that do not fit; None where
        that takes a look at each."""
        return None

    def fill_array(self, column: ColumnFacts, target: Cells, array: Cells) -> Positions | None:
        """As `fill_texts`, of numbers, truths or `datetime64`, none of which is NaT."""
        return None

    def read_all(self, texts: Numerals) -> tuple[Cells, Mask] | None:
        """The numbers that texts write, for `fill_array`, and which of them have to be looked at
        alone; None where a text is more than a number."""
        return None


def missing_cell(column: ColumnFacts, dtype: np.dtype[Any]) -> Any:
    """A missing value as a cell of a matrix of this dtype.

    Raises:
        Unfit: the column takes none.
    """
    if not column.missing:
        raise Unfit
    if dtype.kind == "M":
        return np.datetime64("NaT")
    require_floats(column, dtype)
    return None if column.null == "none" and dtype.kind == "O" else math.nan


def require_exact(number: float, dtype: np.dtype[Any]) -> None:
    """Raises Inexact where a cell of this dtype would hold another number than this finite one."""
    if dtype.kind == "f" and isinstance(number, int) and abs(number) > most_exact(dtype):
        raise Inexact
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if number != int(number) or not bounds.min <= number <= bounds.max:
            raise Inexact


def require_floats(column: ColumnFacts, dtype: np.dtype[Any]) -> None:
    """Raises Inexact where a matrix of this dtype has no place for what makes floats of a column of
    integers: it holds integers or truths, or it has single precision for the columns beside it, and
    pandas would make the column one of 64 bits."""
    if dtype.kind in "iub" or (dtype == np.float32 and column.narrow is None):
        raise Inexact


def most_exact(dtype: np.dtype[Any]) -> int:
    """Up to which all integers are floats of this dtype."""
    return 1 << (int(np.finfo(dtype).nmant) + 1)

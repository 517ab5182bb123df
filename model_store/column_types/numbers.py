"""Numbers and integers."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..column_facts import ColumnFacts, JSONLabel, shortest
from ..literals import parse_number
from ..text_rules import TextRules
from ..values import NOWHERE, Cells, Inexact, Mask, Positions
from .base import (
    ColumnType,
    Control,
    Datatype,
    Numerals,
    Schema,
    Unfit,
    missing_cell,
    most_exact,
    require_exact,
    require_floats,
)

MOST_DECIMALS: Final = 6
"""Numbers of more decimals were not entered by a person."""
HALVES: Final = 2**22
"""Below it floats of 32 bits have a half between any two integers."""

_NUMERALS = "0123456789+-.eE "
_INT64 = np.iinfo(np.int64)
_UINT64 = np.iinfo(np.uint64)
_BYTES: Final = 8
"""Of the widest integers."""


def as_number(value: object) -> float | int:
    """A value that is a number already.

    Raises:
        Unfit: it is none, or a truth.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit
    return value


def read_number(text: str, rules: TextRules) -> float | int:
    """The number that a text stands for.

    Raises:
        Unfit: it stands for none, or texts are none here.
    """
    found = parse_number(text) if rules.numerals else None
    if found is None:
        raise Unfit
    return found


class _Amounts(ColumnType):
    """What numbers and integers have in common."""

    def numeric(self, column: ColumnFacts) -> bool:
        return True

    @property
    def measured(self) -> bool:
        return True

    def control(self, column: ColumnFacts) -> Control:
        return "number"

    def read(self, column: ColumnFacts, text: str, rules: TextRules) -> object:
        found = super().read(column, text, rules)
        return read_number(found, rules) if isinstance(found, str) else found

    # A whole column ---------------------------------------------------------------

    def fill(self, column: ColumnFacts, target: Cells, values: Sequence[object]) -> bool:
        kinds = set(map(type, values))
        if not kinds <= self._filled:
            return False
        try:
            # Of integers and floats together, numpy rounds the integers as `_cells` does; of
            # integers with and without a sign it makes floats, too.
            array = np.asarray(values)
        except OverflowError:
            return False
        usual = "iuf" if float in kinds else "iu"
        return array.dtype.kind in usual and not len(self.fill_array(column, target, array))

    def fill_texts(
        self, column: ColumnFacts, target: Cells, texts: Sequence[str], rules: TextRules
    ) -> Positions | None:
        numbers = self._numbers(column, texts, rules) if rules.numerals else None
        return None if numbers is None else self.fill_array(column, target, numbers)

    def fill_array(self, column: ColumnFacts, target: Cells, array: Cells) -> Positions:
        if array.dtype.kind not in "iuf":
            return np.arange(len(array))
        cells, odd = self._cells(column, array, target.dtype)
        if array.dtype.kind == "f":
            missing = np.isnan(array)
            if missing.any():
                return _fill_between(column, target, cells, odd & ~missing, missing)
        if odd.any():
            target[~odd] = cells[~odd]
            return np.flatnonzero(odd)
        target[:] = cells
        return NOWHERE

    def _numbers(
        self, column: ColumnFacts, texts: Sequence[str], rules: TextRules
    ) -> NDArray[Any] | None:
        """The numbers that all the texts write, NaN for a blank one that may be; else None."""
        may_miss = column.missing and rules.blanks
        if may_miss:
            texts = ["" if text in rules.nulls else text for text in texts]
        # Of these characters `float` and `int` make what `parse_number` does, or an error.
        if "".join(texts).strip(_NUMERALS):
            return None
        try:
            return self._converted(texts, may_miss)
        except (ValueError, OverflowError):
            return None

    @property
    @abstractmethod
    def _filled(self) -> frozenset[type]:
        """The types of a list that numpy takes at once."""

    @abstractmethod
    def _converted(self, texts: Sequence[str], may_miss: bool) -> NDArray[Any] | None:
        """As `_numbers`, of texts of the characters of numbers."""

    @abstractmethod
    def _cells(self, column: ColumnFacts, array: Cells, dtype: np.dtype[Any]) -> tuple[Cells, Mask]:
        """The values as cells, and which of them are none of the column; of NaN either."""

    # What is known of it ---------------------------------------------------------

    def draw(
        self, column: ColumnFacts, known: list[Any], count: int, random: np.random.Generator
    ) -> list[Any]:
        ends = known or [0.0, 1.0]
        lowest = float(min(ends) if column.minimum is None else column.minimum)
        highest = float(max(ends) if column.maximum is None else column.maximum)
        # Of halves, whose difference cannot overflow.
        halves = random.uniform(lowest / 2, max(lowest, highest) / 2, count)
        return self._drawn(column, (2 * halves).tolist())

    def spread(self, column: ColumnFacts, points: int) -> list[JSONLabel]:
        low, high = column.minimum, column.maximum
        if not isinstance(low, int | float) or not isinstance(high, int | float) or low == high:
            return []
        # The mean of two, each weighed, cannot overflow as their difference can.
        shares = np.linspace(0, 1, points).tolist()[1:-1]
        between = [low * (1 - share) + high * share for share in shares]
        return sorted(set(self._such_as_data(column, [low, high, *between])))

    @abstractmethod
    def _drawn(self, column: ColumnFacts, numbers: list[float]) -> list[Any]:
        """Numbers as values that the column takes."""

    @abstractmethod
    def _such_as_data(self, column: ColumnFacts, numbers: list[float]) -> list[Any]:
        """Numbers as values with no more digits than the training data."""


def _ranges(ordered: NDArray[Any], convert: Callable[[Any], int | float]) -> dict[str, Any]:
    """Facts of finite numbers in order, of which there are some."""

    def quantile(share: float) -> int | float:
        # The least value that this share does not exceed: an integer stays one.
        return convert(ordered[max(math.ceil(share * len(ordered)) - 1, 0)])

    quartiles = (quantile(1 / 4), quantile(2 / 4), quantile(3 / 4))
    return {
        "minimum": convert(ordered[0]),
        "maximum": convert(ordered[-1]),
        "typical": quartiles[1],
        "quartiles": quartiles,
    }


def _fill_between(
    column: ColumnFacts, target: Cells, cells: Cells, odd: Mask, missing: Mask
) -> Positions:
    """Fill what is neither odd nor missing, and what is missing where it may be."""
    unfit = odd if column.missing else odd | missing
    if column.missing:
        target[missing] = missing_cell(column, target.dtype)
    fits = ~(odd | missing)
    target[fits] = cells[fits]
    return np.flatnonzero(unfit)


class NumberType(_Amounts):
    """A finite number, held as a float."""

    name = "number"
    _filled = frozenset({float, int})

    def parse(self, column: ColumnFacts, value: object, dtype: np.dtype[Any]) -> float | int:
        number = as_number(value)
        held = _held(column, dtype)
        try:
            with np.errstate(over="ignore"):
                rounded = float(held(number))
        except OverflowError:
            raise Unfit("a finite number") from None
        if not math.isfinite(rounded):
            raise Unfit(_finite_range(held, number))
        return rounded

    def plain(self, cell: Any) -> float:
        return float(cell)

    @property
    def keeps_floats(self) -> bool:
        return True

    def expected(self, column: ColumnFacts) -> str:
        return "a number"

    def schema(self, column: ColumnFacts) -> Schema:
        return {"type": "number"}

    def datatype(self, column: ColumnFacts) -> Datatype:
        return "FP64"

    def recognizes(self, values: Cells) -> bool:
        if values.dtype.kind != "O":
            return values.dtype.kind == "f"
        kinds = set(map(type, values.tolist()))
        return all(issubclass(kind, int | float | np.number) for kind in kinds)

    def learn(
        self, values: Cells, dtype: str, known: tuple[JSONLabel, ...] | None
    ) -> dict[str, Any]:
        numbers = values.astype(np.float64) if values.dtype.kind == "O" else values
        finite = np.sort(numbers[np.isfinite(numbers)])
        return _ranges(finite, shortest) | {"step": _step(finite)} if len(finite) else {}

    def read_all(self, texts: Numerals) -> tuple[Cells, Mask]:
        return texts.floats()

    def exact(self, column: ColumnFacts, dtype: str) -> frozenset[type]:
        wide = dtype == "float64" and column.narrow is None
        return frozenset({float, int, np.float64, np.int64} if wide else ())

    def _converted(self, texts: Sequence[str], may_miss: bool) -> NDArray[Any] | None:
        if may_miss:
            texts = [text or "nan" for text in texts]
        numbers = np.array(list(map(float, texts)))
        # An integer has no negative zero, and a float has.
        return None if np.signbit(numbers[numbers == 0]).any() else numbers

    def _cells(self, column: ColumnFacts, array: Cells, dtype: np.dtype[Any]) -> tuple[Cells, Mask]:
        # Alone or in company, an integer takes the same way: rounded to a float64 first.
        with np.errstate(over="ignore"):
            cells = array.astype(np.float64).astype(_held(column, dtype))
        return cells, ~np.isfinite(cells)

    def _drawn(self, column: ColumnFacts, numbers: list[float]) -> list[Any]:
        return numbers

    def _such_as_data(self, column: ColumnFacts, numbers: list[float]) -> list[Any]:
        if column.step is None:
            return numbers
        # A decimal place, and so no more numbers than differ there.
        decimals = round(-math.log10(column.step))
        return [round(number, decimals) for number in numbers]


def _finite_range(held: type[np.floating[Any]], number: float) -> str:
    """What is expected instead of a number that is infinite among the floats of a column."""
    if held is np.float64 or not math.isfinite(number):
        return "a finite number"
    largest = float(np.finfo(held).max)
    return f"a number from {-largest:g} to {largest:g}, which {held.__name__} holds"


def _held(column: ColumnFacts, dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """The floats that a value is rounded to: those of training, else those of the matrix."""
    of_matrix: type[np.floating[Any]] = dtype.type if dtype.kind == "f" else np.float64
    return column.narrow or of_matrix


class IntegerType(_Amounts):
    """An integer of 64 bits, with or without a sign where those of training were so; a fraction,
    held as a float, where the column is open."""

    name = "integer"
    _filled = frozenset({int})

    def parse(self, column: ColumnFacts, value: object, dtype: np.dtype[Any]) -> int | float:
        number = as_number(value)
        if isinstance(number, float) and not number.is_integer():
            return _fraction(column, number, dtype)
        if not _INT64.min <= number <= _highest(column):
            raise Unfit("an integer of at most 64 bits")
        require_exact(int(number), dtype)
        return int(number)

    def plain(self, cell: Any) -> int | float:
        whole = int(cell)
        return whole if whole == cell else float(cell)

    def expected(self, column: ColumnFacts) -> str:
        return "a number" if column.open else "an integer"

    def schema(self, column: ColumnFacts) -> Schema:
        return {"type": "number" if column.open else "integer"}

    def datatype(self, column: ColumnFacts) -> Datatype:
        return "INT64"

    def unseen(self, column: ColumnFacts) -> JSONLabel | None:
        typical = column.typical
        if isinstance(typical, int | float) and abs(typical) < HALVES:
            return int(typical) + 0.5
        return 0.5

    def recognizes(self, values: Cells) -> bool:
        if values.dtype.kind != "O":
            return values.dtype.kind in "iu"
        kinds = set(map(type, values.tolist()))
        return bool(kinds) and all(issubclass(kind, int | np.integer) for kind in kinds)

    def learn(
        self, values: Cells, dtype: str, known: tuple[JSONLabel, ...] | None
    ) -> dict[str, Any]:
        ordered = np.sort(values)
        return _ranges(ordered, int) | {"step": 1} if len(ordered) else {}

    def read_all(self, texts: Numerals) -> tuple[Cells, Mask]:
        return texts.integers()

    def exact(self, column: ColumnFacts, dtype: str) -> frozenset[type]:
        return frozenset({int, np.int64} if dtype in ("float64", "int64") else ())

    def _converted(self, texts: Sequence[str], may_miss: bool) -> NDArray[Any] | None:
        return np.array(list(map(int, texts)), dtype=np.int64)

    def _cells(self, column: ColumnFacts, array: Cells, dtype: np.dtype[Any]) -> tuple[Cells, Mask]:
        cells, odd = _whole_numbers(array, _highest(column))
        if dtype.kind == "f":
            most = most_exact(dtype)
            if ((cells > most) | (cells < -most)).any():
                raise Inexact
        elif dtype.kind == "i" and cells.dtype.kind != "i":
            raise Inexact
        if column.open and array.dtype.kind == "f" and odd.any():
            return _with_fractions(column, cells, odd, array.astype(np.float64), dtype)
        return cells, odd

    def _drawn(self, column: ColumnFacts, numbers: list[float]) -> list[Any]:
        drawn: list[Any] = self._such_as_data(column, numbers)
        if column.open:
            drawn[::2] = numbers[::2]
        return drawn

    def _such_as_data(self, column: ColumnFacts, numbers: list[float]) -> list[Any]:
        return [round(number) for number in numbers]


def _fraction(column: ColumnFacts, number: float, dtype: np.dtype[Any]) -> float:
    """A float that is no integer, as a cell of a column of integers."""
    if not column.open:
        raise Unfit
    if not math.isfinite(number):
        raise Unfit("a finite number")
    require_floats(column, dtype)
    return number


def _with_fractions(
    column: ColumnFacts,
    cells: Cells,
    odd: Mask,
    numbers: NDArray[np.float64],
    dtype: np.dtype[Any],
) -> tuple[Cells, Mask]:
    """Cells of whole numbers, and which numbers are none, with the fractions among the cells."""
    fraction = odd & (numbers != np.floor(numbers)) & np.isfinite(numbers)
    if not fraction.any():
        return cells, odd
    require_floats(column, dtype)
    # Among objects an integer stays one.
    together = cells.astype(object if dtype.kind == "O" else np.float64)
    together[fraction] = numbers[fraction]
    return together, odd & ~fraction


def _highest(column: ColumnFacts) -> int:
    return int((_UINT64 if column.dtype.lower() in {"uint64", "object"} else _INT64).max)


def _whole_numbers(array: Cells, highest: int) -> tuple[Cells, Mask]:
    """The integers of 64 bits that numbers are, and which are none up to the highest."""
    if array.dtype.kind == "f":
        numbers = array.astype(np.float64)
        odd = (numbers != np.floor(numbers)) | (numbers < _INT64.min) | (numbers >= highest)
        numbers = np.where(odd, 0, numbers)
        if (numbers < 2.0**63).all():
            return numbers.astype(np.int64), odd
        # Of both signs and 64 bits, no integers of numpy are.
        whole = numbers.astype(np.uint64) if (numbers >= 0).all() else _python_integers(numbers)
        return whole, odd
    if array.dtype.kind == "i" or array.itemsize < _BYTES:
        return array.astype(np.int64), np.zeros(len(array), dtype=bool)
    odd = array > highest
    within = np.where(odd, 0, array)
    return within if (within > _INT64.max).any() else within.astype(np.int64), odd


def _python_integers(numbers: NDArray[np.float64]) -> Cells:
    cells = np.empty(len(numbers), dtype=object)
    cells[:] = [int(number) for number in numbers.tolist()]
    return cells


def _step(numbers: NDArray[Any]) -> float | None:
    """The decimal place of the last digit that any of the numbers has."""
    exact = numbers.astype(np.float64)
    for decimals in range(MOST_DECIMALS + 1):
        # A float32 is the decimal that rounds to it.
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = np.round(exact, decimals).astype(numbers.dtype)
        if (rounded == numbers).all():
            return float(f"1e-{decimals}")
    return None

"""What a column of a CSV file may have been when a pipeline was trained: text has no types.

A column is what the pipeline's own encoders say, or what a person says of it. Of any other there
are several readings, the plainest first; `reading_choice.py` asks the pipeline which it was.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from .column_facts import DIGITS, ColumnFacts, JSONLabel, Narrow, Null, narrow_of
from .column_types import BOOLEAN, CATEGORY, DATE, INTEGER, NUMBER, TEXT, ColumnType, Unfit
from .errors import InvalidPipeline
from .literals import parse_date, parse_number
from .structure import Hint
from .text_rules import CSV, MISSING_WORDS
from .training import Feature, objects

_LEADING_ZERO: Final = re.compile(r"[+-]?0[0-9]")
_USUAL: Final = re.compile(r"(America|Asia|Australia|Europe)/")
"""What zones are mostly called that have several names."""
_OF_NUMPY: Final = frozenset({"int64", "float64", "float32", "float16", "bool"})
_BLANK: Final = frozenset({""})
_INT64: Final = np.iinfo(np.int64)

Parse = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the cells of a column.

    `type` is how `--type` calls it, and `dtype` what it makes: numpy's or pandas's name, or `text`
    for what pandas makes of texts. `parse` reads a cell that is not missing, and raises `Unfit`
    where it is none of this reading. `words` are those that stand for a missing value, unless they
    are among the values that are `known`. A `last` one is tried only where the pipeline takes no
    other. `kind` is what the column is to be, where that was said.
    """

    type: str
    dtype: str
    parse: Parse
    words: frozenset[str] = MISSING_WORDS
    null: Null = "nan"
    known: KnownValues | None = None
    categories: tuple[JSONLabel, ...] | None = None
    kind: ColumnType | None = None
    last: bool = False

    @property
    def in_arrays(self) -> bool:
        """Whether an array of numpy holds the column: none has pandas's own missing value."""
        return self.null != "na"

    def takes(self, texts: Iterable[str]) -> bool:
        """Whether all of these cells can be read so."""
        return self.first_unfit(texts) is None

    def first_unfit(self, texts: Iterable[str]) -> int | None:
        """The position of the first cell that cannot be read so."""
        for position, text in enumerate(texts):
            try:
                self._cell(text)
            except Unfit:
                return position
        return None

    def lacks(self, texts: Iterable[str]) -> bool:
        """Whether some of the cells are missing values."""
        return any(self.is_missing(text) for text in texts)

    def is_missing(self, text: str) -> bool:
        """Whether a cell stands for a missing value."""
        if text.strip() not in self.words:
            return False
        return self.known is None or self.known.find(text) is None

    def missing(self, texts: Iterable[str]) -> NDArray[np.bool_]:
        """Which of the cells are missing values."""
        cells = list(texts)
        words = {text for text in set(cells) if self.is_missing(text)}
        return np.array([text in words for text in cells], dtype=bool)

    def feature(self, name: str, texts: Iterable[str]) -> Feature:
        """The column, of cells that can all be read so."""
        texts = list(texts)
        distinct = {text: self._cell(text) for text in set(texts)}
        values = objects([distinct[text] for text in texts])
        dtype = self._dtype(distinct)
        if dtype in _OF_NUMPY:
            try:
                values = values.astype(dtype)
            except (TypeError, ValueError):  # a text that an encoder of numbers does not know
                dtype = "object"
        null = self.null if self.lacks(distinct) else None
        return Feature(name, values, dtype, self.categories, null=null, kind=self.kind)

    def _dtype(self, texts: Iterable[str]) -> str:
        """As pandas has it: integers beside missing values are floats, truths are objects."""
        without_null = {"int64": "float64", "bool": "object"}
        if self.dtype in without_null and self.lacks(texts):
            return without_null[self.dtype]
        return self.dtype

    def _cell(self, text: str) -> Any:
        if self.is_missing(text):
            return None if self.null == "none" else math.nan
        return self.parse(text)


def readings(
    name: str,
    texts: Sequence[str],
    hint: Hint,
    said: ColumnType | None = None,
    null: Null | None = None,
) -> list[Reading]:
    """How the cells of a column may be read, the plainest first. Fewer are left by what was `said`
    of the column, and by the missing value `null` that it is said to have had.

    Raises:
        InvalidPipeline: a cell is not what was said of the column, or no cell is missing, or one
            is another missing value.
    """
    distinct = set(texts)
    if said is not None:
        found = _of_type(name, texts, distinct, hint, said)
    else:
        found = _of_hint(hint, distinct) or _possible(distinct)
    if hint.missing is None:
        found = _with_nulls(found, distinct)
    return found if null is None else of_null(name, distinct, found, null)


# Cells ---------------------------------------------------------------------------


class KnownValues:
    """Values that a pipeline knows by name, such as categories or classes, found by their text."""

    def __init__(self, values: Iterable[JSONLabel]) -> None:
        self._texts: set[JSONLabel] = set()
        self._others: dict[JSONLabel, JSONLabel] = {}
        self._truths: dict[str, JSONLabel] = {}
        for value in values:
            if isinstance(value, str):
                self._texts.add(value)
                continue
            self._others.setdefault(value, value)
            if isinstance(value, bool):
                self._truths[str(value).lower()] = value

    def find(self, value: JSONLabel) -> JSONLabel | None:
        """What a value names, or a cell: the text itself comes first, then the text without the
        spaces around it, then the truth or the number that it writes. None where it is none."""
        if not isinstance(value, str) and value in self._others:
            return self._others[value]
        text = str(value)
        stripped = text.strip()
        for each in (text, stripped):
            if each in self._texts:
                return each
        truth = self._truths.get(stripped.lower())
        number = parse_number(stripped)
        return self._others.get(number) if truth is None and number is not None else truth


def _integer(text: str) -> int:
    number = parse_number(text.strip())
    if not isinstance(number, int) or not _INT64.min <= number <= _INT64.max:
        raise Unfit
    return number


def _whole(text: str) -> int:
    """As `_integer`, also of what writes a whole number otherwise, such as 3.0."""
    number = _number(text)
    if not number.is_integer():
        raise Unfit
    return _integer(text) if "." not in text and "e" not in text.lower() else int(number)


def _number(text: str) -> float:
    number = parse_number(text.strip())
    if number is None:
        raise Unfit
    return float(number)


def _text(text: str) -> str:
    return text


def _truth(text: str) -> bool:
    lower = text.strip().lower()
    if lower not in {"true", "false"}:
        raise Unfit
    return lower == "true"


def _any_truth(text: str) -> bool:
    """A truth in any word that the server takes for one."""
    truth = BOOLEAN.read(ColumnFacts(name="", type=BOOLEAN.name), text, CSV)
    return bool(truth)


def _date_text(text: str) -> str:
    _moment(text)
    return text


def _moment(text: str) -> Any:
    moment = parse_date(text.strip())
    if moment is None:
        raise Unfit
    return moment


# Readings ------------------------------------------------------------------------

_NULLS: Final[Mapping[str, tuple[Null, ...]]] = {
    "text": ("nan", "none", "na"),
    "object": ("nan", "none"),
    "bool": ("nan", "none"),
}
"""The missing values that a dtype may have had, which becomes one of objects with them."""

_AS_INTEGER: Final = Reading(INTEGER.name, "int64", _integer)
_AS_NUMBER: Final = Reading(NUMBER.name, "float64", _number)
_AS_OBJECT: Final = Reading(INTEGER.name, "object", _integer)
_AS_NULLABLE: Final = Reading(INTEGER.name, "Int64", _integer, null="na")
_AS_NULLABLE_NUMBER: Final = Reading(NUMBER.name, "Float64", _number, null="na")
_AS_NULLABLE_TRUTH: Final = Reading(BOOLEAN.name, "boolean", _truth, null="na")
_AS_TEXT: Final = Reading(TEXT.name, "text", _text, words=_BLANK)
_AS_LITERAL: Final = Reading(TEXT.name, "text", _text)
"""A text that all the same writes a number, a truth or a date."""
_AS_TRUTH: Final = Reading(BOOLEAN.name, "bool", _truth)
_AS_MOMENT: Final = Reading(DATE.name, "datetime64[ns]", _moment)


def _with_nulls(readings: list[Reading], texts: Iterable[str]) -> list[Reading]:
    """These, and behind them what they are with each other missing value, where one is missing."""
    others = [
        replace(each, null=null)
        for each in readings
        for null in _NULLS.get(each.dtype, ())
        if null != each.null and each.lacks(texts)
    ]
    return [*readings, *others]


class Lacking(Protocol):
    """A reading of cells, some of which may be missing."""

    @property
    def null(self) -> Null:
        """What these are then."""

    def lacks(self, cells: Any, /) -> bool:
        """Whether some are."""


R = TypeVar("R", bound=Lacking)


def of_null(name: str, cells: Any, readings: Sequence[R], null: Null) -> list[R]:
    """The readings of a column with a missing value that was said.

    Raises:
        InvalidPipeline: no cell is missing, or each is another missing value.
    """
    lacking = [each for each in readings if each.lacks(cells)]
    if not lacking:
        raise InvalidPipeline(
            f"--missing {name}={null}: no value of the column {name} is missing in the sample."
        )
    found = [each for each in lacking if each.null == null]
    if not found:
        known = " or ".join(dict.fromkeys(each.null for each in lacking))
        raise InvalidPipeline(f"--missing {name}={null}: expected {known}, got {null!r}.")
    return found


def _of_hint(hint: Hint, texts: set[str]) -> list[Reading]:
    """How the pipeline's own parts say that a column is read; nothing where they do not."""
    if hint.categories:
        if set(hint.categories) <= {0, 1} and _AS_TRUTH.takes(texts):
            # An encoder makes the numbers 0 and 1 of pandas's own truths.
            own = not any(isinstance(value, bool) for value in hint.categories)
            if own and _AS_TRUTH.lacks(texts):
                return [_AS_NULLABLE_TRUTH]
            return [replace(_AS_TRUTH, null=hint.missing or "nan")]
        return [_of_categories(hint, hint.categories, _narrow_of(hint, texts))]
    if hint.text:
        return [replace(_AS_TEXT, words=frozenset())]
    if _wants_numbers(hint):
        as_number = _as_number(hint, texts)
        lacking = _AS_INTEGER.lacks(texts)
        numbers = [as_number, _AS_OBJECT] if lacking else [_AS_INTEGER, as_number]
        found = [each for each in numbers if each.takes(texts)]
        return found or [each for each in (_AS_TRUTH,) if each.takes(texts)]
    return [_AS_TEXT] if any(isinstance(value, str) for value in hint.values) else []


def _narrow_of(hint: Hint, texts: Iterable[str]) -> Narrow | None:
    """The narrow floats that the pipeline learned the column in, where its texts write such: all
    that they are, or so few digits that they are rounded to one."""
    narrow = narrow_of(hint.narrow or "")
    numbers = (parse_number(text.strip()) for text in texts)
    if narrow is None or not all(number is None or _writes(number, narrow) for number in numbers):
        return None
    return narrow


def _writes(number: float, narrow: Narrow) -> bool:
    rounded = _rounded(number, narrow)
    short = float(f"{number:.{DIGITS[narrow]}g}") == number
    return rounded == number or (short and math.isfinite(rounded))


def _rounded(number: float, narrow: Narrow) -> float:
    with np.errstate(over="ignore"):
        return float(narrow(number))


def _as_number(hint: Hint, texts: Iterable[str]) -> Reading:
    """Of any number: a narrow float where the pipeline learned such, and some of the texts write
    another number than the one that they are rounded to."""
    narrow = _narrow_of(hint, texts)
    numbers = [number for text in texts if (number := parse_number(text.strip())) is not None]
    if narrow is None or all(_rounded(number, narrow) == number for number in numbers):
        return _AS_NUMBER
    return replace(_AS_NUMBER, dtype=narrow.__name__)


def _of_categories(
    hint: Hint, categories: tuple[JSONLabel, ...], narrow: Narrow | None = None
) -> Reading:
    """Of the values that an encoder knows, be it as narrow floats."""
    dtype = hint.category_dtype
    if dtype == "object" and all(isinstance(value, str) for value in categories):
        dtype = "text"
    if narrow is not None:
        categories = tuple(_rounded(float(value), narrow) for value in categories)
        dtype = narrow.__name__ if dtype == "float64" else dtype
    known = KnownValues(categories)

    def parse(text: str) -> JSONLabel:
        number = None if narrow is None else parse_number(text.strip())
        named = text if narrow is None or number is None else _rounded(number, narrow)
        found = known.find(named)
        return text if found is None else found

    return Reading(
        CATEGORY.name,
        dtype,
        parse,
        null=hint.missing or "nan",
        known=known,
        categories=categories if dtype == "category" else None,
    )


def _wants_numbers(hint: Hint) -> bool:
    if hint.number or hint.minimum is not None:
        return True
    return bool(hint.values) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in hint.values
    )


def _possible(texts: set[str]) -> list[Reading]:
    """Of a column of which nothing is known, what these cells allow."""
    given = [text for text in texts if text.strip() not in MISSING_WORDS]
    whole = len(given) == len(texts)
    if not given:
        return [_AS_NUMBER]
    category = replace(_AS_TEXT, type=CATEGORY.name, dtype="category")
    if _AS_NUMBER.takes(given):
        return _of_numerals(given, whole)
    if _AS_TRUTH.takes(given):
        return [_AS_TRUTH, _AS_LITERAL, category, *([] if whole else [_AS_NULLABLE_TRUTH])]
    if _AS_MOMENT.takes(given):
        return [_AS_LITERAL, *_moments(given)]
    truths = replace(_AS_TRUTH, parse=_any_truth, last=True)
    return [_AS_TEXT, category, *([truths] if whole and truths.takes(given) else [])]


def _of_numerals(given: list[str], whole: bool) -> list[Reading]:
    """Of cells that all read as numbers; `whole` says that none is missing."""
    integers = _AS_INTEGER.takes(given)
    if any(_LEADING_ZERO.match(text.strip()) for text in given):
        numbers = replace(_AS_INTEGER if integers and whole else _AS_NUMBER, last=True)
        category = replace(_AS_LITERAL, type=CATEGORY.name, dtype="category")
        return [_AS_LITERAL, category, numbers]
    if not integers:
        beyond = all(isinstance(parse_number(text.strip()), int) for text in given)
        found = [_AS_LITERAL, _AS_NUMBER] if beyond else [_AS_NUMBER, _AS_LITERAL]
        return found if whole else [*found, _AS_NULLABLE_NUMBER]
    if not whole:
        return [_AS_NUMBER, _AS_NULLABLE, _AS_LITERAL, _AS_OBJECT]
    found = [_AS_INTEGER, _AS_NUMBER, _AS_LITERAL]
    if {text.strip() for text in given} <= {"0", "1"}:
        found.append(replace(_AS_TRUTH, parse=_any_truth))
    return [*found, replace(_AS_INTEGER, type=CATEGORY.name, dtype="category")]


def _moments(texts: Sequence[str]) -> list[Reading]:
    """Of cells that write moments: in UTC, or by the clocks that they were read from."""
    moments = [_moment(text) for text in texts]
    if not any(each.tzinfo is not None for each in moments):
        return [_AS_MOMENT]
    zone = _zone_of(moments)
    names = ["UTC"] if zone is None else ["UTC", zone]
    return [replace(_AS_MOMENT, dtype=f"datetime64[ns, {name}]") for name in names]


def _zone_of(moments: Sequence[datetime]) -> str | None:
    """A zone in which all moments are as far from UTC as they are written; None where that is not
    at all, or there is no such zone."""
    offsets = {each.utcoffset() for each in moments}
    if None in offsets or offsets == {timedelta(0)}:
        return None
    if len(offsets) == 1:
        return str(moments[0].tzinfo)
    for name in sorted(available_timezones(), key=lambda name: (not _USUAL.match(name), name)):
        zone = ZoneInfo(name)
        if all(each.astimezone(zone).utcoffset() == each.utcoffset() for each in moments):
            return name
    return None


# What a person says --------------------------------------------------------------


def _of_type(
    name: str, texts: Sequence[str], distinct: set[str], hint: Hint, said: ColumnType
) -> list[Reading]:
    """The readings of a type, the one that takes its name most literally last."""
    candidates = _candidates(distinct, hint, said)
    found = [replace(each, kind=said) for each in candidates if each.takes(distinct)]
    if found:
        return found
    row = candidates[-1].first_unfit(texts)
    assert row is not None
    expected = said.expected(ColumnFacts(name=name, type=said.name))
    raise InvalidPipeline(
        f"Row {row} of the sample: {name}: expected {expected}, as --type says, got {texts[row]!r}."
    )


def _candidates(distinct: set[str], hint: Hint, said: ColumnType) -> list[Reading]:
    given = [text for text in distinct if text.strip() not in MISSING_WORDS]
    whole = len(given) == len(distinct)
    if said is INTEGER:
        integers = replace(_AS_INTEGER, parse=_whole)
        if whole:
            return [integers]
        return [
            integers,
            replace(integers, dtype="Int64", null="na"),
            replace(integers, dtype="object"),
        ]
    if said is NUMBER:
        return [_AS_NUMBER] if whole else [_AS_NUMBER, _AS_NULLABLE_NUMBER]
    if said is BOOLEAN:
        truths = replace(_AS_TRUTH, parse=_any_truth)
        return [truths] if whole else [truths, replace(truths, dtype="boolean", null="na")]
    if said is DATE:
        moments = _moments(given) if _AS_MOMENT.takes(given) else [_AS_MOMENT]
        return [replace(_AS_LITERAL, parse=_date_text), *moments]
    if said is CATEGORY:
        if hint.categories:
            return [_of_categories(hint, hint.categories)]
        numbers = [_AS_INTEGER] if whole and _possible(distinct)[0] is _AS_INTEGER else []
        plain = [*numbers, _AS_TEXT]
        return [*plain, *(replace(each, dtype="category") for each in reversed(plain))]
    return [_AS_TEXT]

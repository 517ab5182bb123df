"""Labels: what a pipeline tells, brought to what JSON has.

A pipeline answers with whatever its estimator was fitted on: narrow and unsigned integers, texts of
numpy, dates, columns of pandas. An array of labels holds booleans, integers, floats or texts in a
dtype of their own; or objects, each of them `bool`, `int`, `float` or `str`, and NaN where a label
is missing. A date is its ISO 8601 text, as it is among the inputs. What JSON does not have stays an
object as it is, and is refused by whoever asks for classes or numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .column_facts import JSONLabel
from .column_types import Datatype
from .literals import iso
from .values import nanoseconds, python_value

Labels = NDArray[Any]

_PLAIN_KINDS: Final = frozenset("biuU")
_PLAIN_FLOATS: Final = frozenset("efd")
_JSON_TYPES: Final = frozenset({bool, int, float, str})
_NUMBERS: Final = frozenset({bool, int, float, Decimal})
_INT64, _UINT64 = np.iinfo(np.int64), np.iinfo(np.uint64)


# What came from a pipeline -------------------------------------------------------


def labels_of(told: Any) -> Labels:
    """What a pipeline answered, or what it was trained to answer, as labels of the same shape."""
    return plain(told if type(told) is np.ndarray else _array(told))


def _array(told: Any) -> Labels:
    """An array of what came as something else, before numpy gives all of it one type."""
    if isinstance(told, list | tuple):
        return np.array(told, dtype=object)
    if isinstance(told, np.ma.MaskedArray):
        found = np.asarray(told, dtype=object)
        found[np.ma.getmaskarray(told)] = np.nan
        return found
    if hasattr(told, "toarray"):
        return np.asarray(told.toarray())
    if hasattr(told, "iloc") and told.ndim > 1:
        return np.asarray(told.to_numpy(dtype=object))
    return np.asarray(told)


def plain(labels: Labels) -> Labels:
    """Labels of any dtype as this module says."""
    kind = labels.dtype.kind
    if kind in _PLAIN_KINDS or labels.dtype.char in _PLAIN_FLOATS:
        return labels
    if kind == "f":
        return labels.astype(np.float64)
    if kind == "M":
        moments, places = np.unique(labels, return_inverse=True)
        return _objects([_plain_value(moment) for moment in moments])[places.reshape(labels.shape)]
    if kind not in "OT":
        return _objects(list(labels.ravel())).reshape(labels.shape)
    values = labels.ravel().tolist()
    if set(map(type, values)) == {str}:
        return labels if kind == "O" else labels.astype(object)
    found = [value if type(value) in _JSON_TYPES else _plain_value(value) for value in values]
    return _array_of(found).reshape(labels.shape)


def _plain_value(value: Any) -> Any:
    if _is_missing(value):
        return np.nan
    if isinstance(value, Decimal):
        number = python_value(value)
        return number if Decimal(repr(number)) == value else value
    value = python_value(value)
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, date):
        return value.isoformat() if nanoseconds(value) else iso(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool | np.timedelta64):  # which is an integer to numpy
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _array_of(values: Sequence[Any]) -> Labels:
    """Plain values in a dtype of their own, where they have one that holds each exactly."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.array(values, dtype=np.float64)
    if kinds == {bool}:
        return np.array(values, dtype=np.bool_)
    if kinds == {int}:
        least, most = min(values), max(values)
        if _INT64.min <= least and most <= _INT64.max:
            return np.array(values, dtype=np.int64)
        if least >= 0 and most <= _UINT64.max:
            return np.array(values, dtype=np.uint64)
    return _objects(values)


def _objects(values: Sequence[Any]) -> Labels:
    return np.fromiter(values, dtype=object, count=len(values))


def _is_missing(label: Any) -> bool:
    """Whether it is NaN, NaT or pandas's NA."""
    try:
        return bool(label != label)
    except TypeError:  # NA neither is equal to itself nor is it not
        return True
    except ValueError:  # an array
        return False


# What JSON has -------------------------------------------------------------------


def json_labels(labels: Labels) -> list[Any]:
    """Labels as the JSON types that they are: str, int, float or bool; lists of several targets."""
    found: list[Any] = plain(labels).tolist()
    return found


def why_no_class(label: Any) -> str | None:
    """Why a label cannot be a class, in words that follow "It"; None where it can."""
    if label is None or (isinstance(label, float) and label != label):
        return "is a missing value"
    if type(label) not in _JSON_TYPES:
        return f"is of the type {type(label).__name__}"
    if isinstance(label, float) and not np.isfinite(label):
        return "is no finite number"
    if isinstance(label, int) and not _INT64.min <= label <= _UINT64.max:
        return "is an integer beyond 64 bits"
    if isinstance(label, str) and not _is_unicode(label):
        return "is a text that UTF-8 cannot hold"
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def numbers(labels: Labels) -> Labels | None:
    """Labels of the shape (n,) as numbers; None where one is none. What neither an integer of 64
    bits nor a float holds exactly is the nearest float."""
    if labels.dtype.kind in "biuf":
        return labels
    values = labels.tolist()
    if labels.dtype.kind != "O" or not set(map(type, values)) <= _NUMBERS:
        return None
    return _array_of([_held(value) for value in values])


def texts(labels: Labels) -> Labels | None:
    """Labels of the shape (n,) that all are texts; None where one is none."""
    if labels.dtype.kind == "U" or all(isinstance(each, str) for each in labels.tolist()):
        return labels
    return None


def _held(number: float | Decimal) -> float:
    if isinstance(number, float) or (
        isinstance(number, int) and _INT64.min <= number <= _UINT64.max
    ):
        return number
    try:
        return float(number)
    except OverflowError:
        return float("inf")


class Classes:
    """The classes of one target, among which labels are looked up.

    numpy gives an array one type. So where a target has texts, the labels of another beside it may
    have become texts as well: with `beside_texts` the text of a class stands for it.
    """

    def __init__(self, classes: Sequence[JSONLabel], *, beside_texts: bool = False) -> None:
        kinds = set(map(type, classes))
        self._kinds = _KINDS[kinds.pop()] if len(kinds) == 1 else ""
        self._known = frozenset(classes)
        self._class_of: dict[Any, JSONLabel] = {}
        if beside_texts:
            self._class_of |= {str(each): each for each in classes}
        self._class_of |= {each: each for each in classes}

    @classmethod
    def of_targets(
        cls, targets: Sequence[Sequence[JSONLabel] | None]
    ) -> tuple[Classes | None, ...]:
        """Those of each target; None of one that is a number."""
        texts = any(isinstance(label, str) for classes in targets for label in classes or ())
        return tuple(
            [None if classes is None else cls(classes, beside_texts=texts) for classes in targets]
        )

    def told(self, labels: Labels) -> Labels | None:
        """Labels of the shape (n,), each in the type of its class: 1.0 is the class 1. None where
        one is none of the classes."""
        values = labels.tolist()
        try:
            if labels.dtype.kind in self._kinds and self._known.issuperset(values):
                return labels
            return _array_of([self._class_of[value] for value in values])
        except (KeyError, TypeError):  # what cannot be hashed is no class
            return None

    def first_other(self, labels: Labels) -> Any:
        """The first label that is none of the classes, of some of which one is."""
        return next(each for each in labels.tolist() if self.told(_objects([each])) is None)


_KINDS: Final = {bool: "b", int: "iu", float: "f", str: "UO"}
"""The kinds of dtypes whose labels are such as classes of a type."""


def side_by_side(columns: Sequence[Labels]) -> Labels:
    """Labels of several targets as an array of shape (n, targets), each with its own type."""
    if len({column.dtype for column in columns}) == 1:
        return np.stack(columns, axis=1)
    found = np.empty((len(columns[0]), len(columns)), dtype=object)
    for place, column in enumerate(columns):
        found[:, place] = column.tolist()
    return found


# In tensors ----------------------------------------------------------------------


def datatype_of_numbers(dtypes: Iterable[str]) -> Datatype:
    """What holds in a tensor the numbers of these dtypes of numpy."""
    known = [np.dtype(dtype) for dtype in dtypes]
    if all(dtype.kind == "b" for dtype in known):
        return "BOOL"
    if all(dtype.kind in "iu" for dtype in known):
        if all(dtype.kind == "i" or dtype.itemsize < _UINT64.bits // 8 for dtype in known):
            return "INT64"
        if all(dtype.kind == "u" for dtype in known):
            return "UINT64"
    return "FP64"

"""What a check raises, and what several of them ask of arrays and attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import words_of

Array = NDArray[Any]
Check = Callable[[Sequence[Any]], None]
"""Looks at all values of some classes at once, and raises `Wrong` for the first that is."""

MISSING: Final = object()
FEW: Final = 4


class Wrong(Exception):
    """What is wrong with one of the values that are checked together, as the end of a sentence;
    `words` is what numpy or scipy said of it."""

    def __init__(self, sentence: str, index: int = 0, words: str | None = None) -> None:
        super().__init__(sentence)
        self.index = index
        self.words = words


def each(check: Callable[[Any], None]) -> Check:
    """A check of one value as one of several."""

    def check_all(values: Sequence[Any]) -> None:
        for index, value in enumerate(values):
            try:
                check(value)
            except Wrong as wrong:
                raise Wrong(str(wrong), index, wrong.words) from wrong
            # What is not there or of another type than the class itself makes of it.
            except Exception as error:
                raise Wrong("a look at its parts fails", index, words_of(error)) from error

    return check_all


def own(value: Any, name: str) -> Any:
    """An attribute that stands on the object itself; `MISSING` where it does not."""
    return vars(value).get(name, MISSING)


def holds(value: Any, name: str) -> bool:
    """Whether an object of a class of this name is in a value, at any depth."""
    waiting, seen = [value], {}
    while waiting:
        part = waiting.pop()
        if type(part).__name__ == name:
            return True
        if id(part) in seen:
            continue
        seen[id(part)] = part  # Kept, so that no other object gets its id.
        if isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype.hasobject else []
            continue
        waiting += part.values() if isinstance(part, dict) else ()
        waiting += part if isinstance(part, list | tuple) else ()
        waiting += getattr(part, "__dict__", {}).values()
    return False


def count(value: Any, name: str, least: int = 1) -> int:
    """An attribute that is a whole number.

    Raises:
        Wrong: it is not, or is less than `least`.
    """
    found = own(value, name)
    if isinstance(found, bool | np.bool_) or not isinstance(found, int | np.integer):
        raise Wrong(f"its {name} is {shown(found)}, and should be a whole number")
    if found < least:
        raise Wrong(f"its {name} is {found}, and should be at least {least}")
    return int(found)


def array(value: Any, name: str, kinds: str, dimensions: int) -> Array:
    """An attribute that is an array of numbers of these kinds.

    Raises:
        Wrong
    """
    return as_array(own(value, name), name, kinds, dimensions)


def as_array(found: Any, name: str, kinds: str, dimensions: int) -> Array:
    """The same of a value that has that name."""
    if type(found) not in (np.ndarray, np.matrix):
        raise Wrong(f"its {name} is {shown(found)}, and should be an array")
    if found.dtype.kind not in kinds or found.ndim != dimensions:
        raise Wrong(
            f"its {name} is an array of {found.dtype} with {found.ndim} dimensions, and should be "
            f"one of other numbers or with {dimensions}"
        )
    return cast(Array, found)


def equal(found: Any, expected: Any, what: str) -> None:
    """Raises Wrong where what is found is not what the parts say."""
    if found != expected:
        raise Wrong(f"{what} should be {expected} by its parts, and {_verb(found)}")


def within(indices: Array, end: int, what: str) -> None:
    """Raises Wrong where an index leads out of what has `end` places."""
    if indices.size and (indices.min() < 0 or indices.max() >= end):
        odd = indices[(indices < 0) | (indices >= end)].ravel()[0]
        raise Wrong(f"{what} leads to {odd}, which is not among {end}")


def _verb(found: Any) -> str:
    return "is missing" if found is MISSING else f"is {shown(found)}"


def shown(found: Any) -> str:
    """A value in a sentence: what it is, but never whatever an object says of itself."""
    if found is MISSING:
        return "missing"
    if isinstance(found, str):
        return repr(found[:60])
    if isinstance(found, bool | int | float | np.bool_ | np.number | None):
        return f"{found!r:.60}"
    if isinstance(found, list | tuple) and len(found) <= FEW:
        return f"({', '.join(map(shown, found))})"
    return f"of class {type(found).__name__}"

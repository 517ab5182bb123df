"""What a value in a pickle may be: its exact type, and what is in it.

A form looks at a value without running anything of it: types are compared and never asked, so that
no `__class__`, `__eq__` or `__len__` of a file's own making has a say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of value. `words` name it in a sentence, as in "expected a text"."""

    words: str
    fits: Callable[[Any], bool]


def exact(words: str, *types: type) -> Form:
    """A value of one of these types, and of none that is derived from them."""
    return Form(words, lambda value: type(value) in types)


def only(*values: Any) -> Form:
    """One of these numbers, texts or singletons."""
    words = " or ".join(map(repr, values))

    def fits(value: Any) -> bool:
        return any(type(value) is type(each) and value == each for each in values)

    return Form(words, fits)


def either(*forms: Form) -> Form:
    """What one of these forms takes."""
    words = " or ".join(form.words for form in forms)
    return Form(words, lambda value: any(form.fits(value) for form in forms))


def items(*forms: Form, least: int | None = None) -> Form:
    """A tuple with a value of each form, in this order; those beyond `least` may be absent."""
    least = len(forms) if least is None else least
    words = f"({', '.join(form.words for form in forms)})" if forms else "nothing"

    def fits(value: Any) -> bool:
        return (
            type(value) is tuple
            and least <= len(value) <= len(forms)
            and all(form.fits(each) for form, each in zip(forms, value, strict=False))
        )

    return Form(words, fits)


def many(form: Form, *kinds: type) -> Form:
    """A list or a tuple (one of `kinds`) whose values all have one form."""

    def fits(value: Any) -> bool:
        return type(value) in kinds and all(map(form.fits, value))

    return Form(f"a sequence of {form.words}", fits)


def fields(needed: Mapping[str, Form], optional: Mapping[str, Form] | None = None) -> Form:
    """A dict with these keys and no others."""
    forms = {**needed, **(optional or {})}
    words = "{" + ", ".join(f"{name}: {form.words}" for name, form in forms.items()) + "}"

    def fits(value: Any) -> bool:
        return (
            type(value) is dict
            and needed.keys() <= value.keys() <= forms.keys()
            and all(forms[name].fits(each) for name, each in value.items())
        )

    return Form(words, fits)


def within(low: int, high: int) -> Form:
    """An integer from `low` to `high`."""
    return Form(
        f"an integer from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def array(words: str, kinds: str, ndim: int) -> Form:
    """An array of one of these kinds of numbers (`np.dtype.kind`), in C order."""

    def fits(value: Any) -> bool:
        return (
            type(value) is np.ndarray
            and value.ndim == ndim
            and value.dtype.kind in kinds
            and value.dtype.isnative
            and value.flags.c_contiguous
            and value.flags.aligned
        )

    return Form(words, fits)


def of_pandas(words: str, *names: str) -> Form:
    """A value of one of these classes of pandas, which is not imported for that."""

    def fits(value: Any) -> bool:
        kind = type(value)
        return kind.__module__.split(".")[0] == "pandas" and kind.__name__ in names

    return Form(words, fits)


INTEGER: Final = exact("an integer", int)
NATURAL: Final = within(0, 2**62)
FLOAT: Final = exact("a float", float)
NUMBER: Final = exact("a number", int, float, bool)
FLAG: Final = Form("a flag", lambda value: type(value) in (bool, int) and value in (0, 1))
TEXT: Final = exact("a text", str)
DATA: Final = exact("bytes", bytes, bytearray)
RAW: Final = exact("bytes", bytes, bytearray, str)
"""Python 2 wrote bytes as texts, which are read as Latin-1."""
NONE: Final = only(None)
ANYTHING: Final = Form("anything", lambda value: True)
NOTHING: Final = items()
SHAPE: Final = many(NATURAL, tuple)
DTYPE: Final = Form("a dtype", lambda value: isinstance(value, np.dtype))
_PLAIN_TYPES: Final = frozenset({str, int, float, bool, complex, bytes, type(None)})
PLAIN: Final = Form(
    "a plain value",
    lambda value: type(value) in _PLAIN_TYPES or issubclass(type(value), np.generic),
)


def raw(data: Any) -> bytes | bytearray:
    """The bytes of what has the form `RAW`."""
    return data.encode("latin1") if isinstance(data, str) else data

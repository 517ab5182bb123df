"""What a pickle makes of a class that has no row: an object made empty, and given its attributes.

No `__init__`, no `__setstate__`, no `__setattr__` and no descriptor of the class runs. That is what
unpickling does for a class that says nothing of pickles, and for scikit-learn's estimators.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Hashable
from typing import Any, Final

from .row import Named, Row, refuse, shown

VERSION_KEY: Final = "_sklearn_version"
"""An estimator's state says which scikit-learn wrote it; the estimator itself does not."""

BUNCH: Final = "sklearn.utils._bunch.Bunch"


def is_plain(kind: type) -> bool:
    """Whether objects of a class are no more than their attributes (and items of a dict)."""
    return _is_plain(kind)


@functools.cache
def _is_plain(kind: Hashable) -> bool:
    assert isinstance(kind, type)
    if hasattr(kind, "__del__"):
        return False
    own = getattr(kind, "__setstate__", None)
    if own is not None and own is not _estimators_own() and not _ignores_states(kind):
        return False
    try:
        _new(kind)(kind)
    except TypeError:  # It has compiled parts, or is abstract.
        return False
    return not issubclass(kind, list | set | str | bytes | int | float | tuple | types.ModuleType)


def is_record(kind: type) -> bool:
    """Whether objects of a class are tuples whose places have names."""
    return issubclass(kind, tuple) and type(getattr(kind, "_fields", None)) is tuple


def record(kind: type, values: Any) -> Any:
    """A tuple of a class whose places have names.

    Raises:
        Untrusted: there is not one value for each.
    """
    names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    if type(values) is not tuple or len(values) != len(names):
        refuse(f"makes a {kind.__name__} of {shown(values)}", f"one value for each of {names}")
    return tuple.__new__(kind, values)


def make(kind: type) -> Any:
    """An object of a plain class, without attributes."""
    return _new(kind)(kind)


def fill(made: Any, state: Any) -> None:
    """Give attributes to an object of a plain class.

    Raises:
        Untrusted: the state is no dict of attributes, and no pair of that and of slots.
    """
    slots: Any = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    if _ignores_states(type(made)):
        return
    if state is not None:
        _require_attributes(made, state)
        attributes = object.__getattribute__(made, "__dict__")
        for name, value in state.items():
            attributes[sys.intern(name)] = value
        if _is_estimator(type(made)):
            attributes.pop(VERSION_KEY, None)
    if slots is not None:
        _require_attributes(made, slots)
        for name, value in slots.items():
            _slot(made, name).__set__(made, value)


def put(made: dict[Any, Any], key: Any, value: Any) -> None:
    """Give an item to an object of a plain class that is a dict.

    Raises:
        Untrusted: the class gives its items out as attributes, and Python has a meaning for this.
    """
    if type(key) is str and _is_special(key) and hasattr(type(made), "__getattr__"):
        refuse(f"gives a {type(made).__name__} the item {key}", "a name that Python leaves free")
    dict.__setitem__(made, key, value)


def _require_attributes(made: Any, state: Any) -> None:
    name = type(made).__name__
    if type(state) is not dict:
        refuse(f"gives a {name} the state {shown(state)}", "a dict of its attributes")
    for key, value in state.items():
        # numpy asks an object for addresses of memory by such a name.
        if type(key) is not str or _is_special(key):
            refuse(f"gives a {name} the attribute {shown(key)}", "a name that Python leaves free")
        if type(value) in (Named, Row):
            refuse(f"has a {name} hold {value.name}", "what an estimator may hold")


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _ignores_states(kind: type) -> bool:
    """Whether a class has a way of its own to take a state, which is to take nothing of it."""
    return f"{kind.__module__}.{kind.__qualname__}" == BUNCH


def _slot(made: Any, name: str) -> Any:
    for kind in type(made).__mro__:
        found = vars(kind).get(name)
        if found is not None:
            if type(found) is types.MemberDescriptorType:
                return found
            break
    refuse(f"gives a {type(made).__name__} the slot {shown(name)}", "a slot that its class has")


def _new(kind: type) -> Any:
    return dict.__new__ if issubclass(kind, dict) else object.__new__


def _estimators_own() -> Any:
    from sklearn.base import BaseEstimator

    return BaseEstimator.__setstate__


def _is_estimator(kind: type) -> bool:
    return getattr(kind, "__setstate__", None) is _estimators_own()

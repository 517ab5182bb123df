"""Everything that a loaded pipeline holds, object by object.

The walk is iterative and meets each object once, so neither a long chain nor a loop in a file can
hold it up. It ends with an error where an object is of a class that nobody vouches for, or where
an object holds itself: what predicts would follow such a loop for ever.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import re
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..errors import Unsound, Untrusted
from ..pickles import Global
from ..reconstruct.row import shown
from ..trust import Trust
from .functions import FUNCTIONS
from .guests import BOOSTERS, PACKAGES
from .known import KNOWN, LONG, MAY_LOOP, name_of

DEEPEST: Final = 200
"""How far estimators may stand within each other; scikit-learn calls them within each other too."""

PATH: Final = 200
"""Letters of a path in a sentence."""

PLAIN: Final = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, bytearray, slice, range),
        *(type(Ellipsis), type(NotImplemented), np.dtype, re.Pattern),
        *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone),
        *(decimal.Decimal, fractions.Fraction),
    }
)
SEQUENCES: Final = frozenset({list, tuple, set, frozenset, deque})
MAPPINGS: Final = frozenset({dict, OrderedDict, Counter, defaultdict})
EMPTY: Final = (*SEQUENCES, *MAPPINGS)
"""What is called for a key that a dict lacks may be one of these, which is empty then."""
ARRAYS: Final = frozenset({np.ndarray, np.matrix, np.ma.MaskedArray, np.recarray, np.record})
COLUMNS: Final = frozenset({"NumpyExtensionArray", "Series", "DataFrame"})
"""Classes of pandas that may hold objects of any class, in columns for which there is no type."""
CLOSED: Final = (KNOWN["pandas"] - COLUMNS) | {"interpolate.interp1d"} | BOOSTERS
"""Classes whose attributes are theirs alone: pandas's hold texts and numbers, the function that an
interpolation holds is checked with it, and boosters hold what was made for them when they were
read."""
TRAINING: Final = {"cluster.BisectingKMeans": ("_kmeans_single", "sklearn.cluster._kmeans")}
"""An attribute with a function of a module that only training calls, and that trusts what it is
given: it may stand there and nowhere else."""
METRIC: Final = 11
"""Its place in the state of a k-d or ball tree."""
FUNCTION: Final = 3
"""Its place in the state of a distance that calls one."""
OURS: Final = PACKAGES | {"sklearn", "scipy", "numpy", "pandas", "joblib", "builtins"}
"""Packages of which only what is known is taken. What stands in others was allowed by name."""


@dataclass(slots=True, eq=False)
class Place:
    """Where in the pipeline a value stands: in which other one, and by what name."""

    value: Any
    parent: Place | None = None
    label: str = ""
    own: bool = False
    """Whether it is part of something that the operator allowed by name."""
    depth: int = 0

    def __str__(self) -> str:
        labels: list[str] = []
        place = self
        while place.parent is not None:
            labels.append(place.label)
            place = place.parent
        path = type(place.value).__name__ + "".join(reversed(labels))
        return path if len(path) <= PATH else f"{path[: PATH // 2]}...{path[-PATH // 2 :]}"

    def describe(self) -> str:
        """Its path, and of what class it is."""
        kind = type(self.value).__name__
        return kind if self.parent is None else f"{self} (of class {kind})"


def walk(pipeline: Any, trust: Trust) -> Iterator[Place]:
    """Every object but plain values and containers, each after all that it holds.

    Raises:
        Untrusted: an object is of a class without a check, or a function is not allowed.
        Unsound: an object holds itself, or they stand too deep within each other.
    """
    root = Place(pipeline)
    path: dict[int, Place] = {}
    seen: dict[int, Any] = {}
    stack: list[tuple[Place, bool]] = [(root, False)]
    while stack:
        place, done = stack.pop()
        value = place.value
        if done:
            del path[id(value)]
            if type(value) not in SEQUENCES and type(value) not in MAPPINGS:
                yield place
            continue
        if id(value) in path:
            _require_may_loop(place)
            continue
        if id(value) in seen:
            continue
        seen[id(value)] = value  # Kept, so that no other object gets its id.
        path[id(value)] = place
        stack.append((place, True))
        for label, part in _parts(place, trust):
            if type(part) not in PLAIN:
                stack.append((_part(place, label, part), False))


def _part(place: Place, label: str, part: Any) -> Place:
    return Place(part, place, label, place.own, place.depth)


def _require_may_loop(place: Place) -> None:
    if type(place.value).__name__ not in MAY_LOOP:
        raise Unsound(f"{place.describe()} holds itself, so that a walk through it never ends.")


def _parts(place: Place, trust: Trust) -> Iterable[tuple[str, Any]]:
    """What a value holds, with the ends of their paths.

    Raises:
        Untrusted: nobody vouches for the value.
    """
    value, kind = place.value, type(place.value)
    if kind in PLAIN:
        return ()
    if kind in MAPPINGS:
        return _of_mapping(value)
    if kind in SEQUENCES:
        return _numbered(value)
    if kind in ARRAYS:
        return _of_array(value)
    if isinstance(value, np.dtype | np.ufunc):
        return ()
    if isinstance(value, np.generic):
        return ((" as Python's", value.item()),) if value.dtype.hasobject else ()
    if isinstance(value, type):
        _require_scalar(place, trust)
        return ()
    if isinstance(value, FUNCTIONS):
        _require_allowed(place, trust)
        return ()
    if kind is functools.partial:
        return (("'s function", value.func), *_numbered(value.args), *_of_mapping(value.keywords))
    if kind is types.MethodType:
        _require_allowed(place, trust)
        return (("'s object", value.__self__),)
    return _of_object(place, trust)


def _of_mapping(value: Any) -> Iterator[tuple[str, Any]]:
    made = value.default_factory if isinstance(value, defaultdict) else None
    if made is not None and not any(made is each for each in EMPTY):
        yield "'s default", made
    for key, part in value.items():
        if type(key) not in PLAIN:
            yield "'s key", key
        if type(part) not in PLAIN:
            yield f"[{shown(key)}]", part


def _numbered(value: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for i, part in enumerate(value):
        if type(part) not in PLAIN:
            yield f"[{i}]", part


def _of_array(value: Any) -> Iterable[tuple[str, Any]]:
    if type(value) is np.ma.MaskedArray:
        return ((".data", value.data), (".mask", value.mask))
    return _numbered(value.ravel().tolist()) if value.dtype.hasobject else ()


def _of_object(place: Place, trust: Trust) -> Iterable[tuple[str, Any]]:
    """The attributes of an object, once its class is known or allowed."""
    kind = type(place.value)
    if name_of(kind) is None and not place.own:
        _require_own(place, trust)
        place.own = True
    place.depth += kind.__name__ not in LONG
    if place.depth > DEEPEST:
        raise Unsound(f"{place.describe()} stands more than {DEEPEST} objects deep.")
    if name_of(kind) in CLOSED:
        return ()
    if name_of(kind) in COLUMNS:
        return _of_columns(place.value)
    attributes = {**_slots(place.value), **getattr(place.value, "__dict__", {})}
    parts = [
        (f".{name}" if str(name).isidentifier() else f"[{shown(name)}]", part)
        for name, part in attributes.items()
        if not _is_of_training(kind, name, part)
    ]
    return [*parts, *_items(place.value), *_hidden(place.value)]


def _of_columns(value: Any) -> Iterator[tuple[str, Any]]:
    """The objects in what pandas has of one column or of several."""
    several = type(value).__name__ == "DataFrame"
    for name, column in value.items() if several else [(None, value)]:
        if column.dtype.kind == "O":
            for label, part in _numbered(column.to_numpy().tolist()):
                yield f"[{name!r:.60}]{label}" if several else label, part


def _is_of_training(kind: type, name: str, part: Any) -> bool:
    attribute, module = TRAINING.get(name_of(kind) or "", ("", ""))
    return name == attribute and isinstance(part, FUNCTIONS) and part.__module__ == module


def _slots(value: Any) -> dict[str, Any]:
    """The attributes that stand in places of their own, as those of some splines do."""
    found = {}
    for kind in type(value).__mro__:
        names = vars(kind).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if hasattr(value, name) and name not in ("__dict__", "__weakref__"):
                found[name] = getattr(value, name)
    return found


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    """What stands in an object that is a container as well."""
    if isinstance(value, dict):
        return _of_mapping(value)
    return _numbered(value) if isinstance(value, tuple | list | set | frozenset | deque) else ()


def _hidden(value: Any) -> Iterable[tuple[str, Any]]:
    """What compiled objects hold beside their attributes, and may bring from a file."""
    name = name_of(type(value)) or ""
    if name.startswith(("neighbors.KDTree", "neighbors.BallTree")):
        return ((".dist_metric", value.__getstate__()[METRIC]),)
    if name.startswith("metrics.PyFuncDistance"):
        function, arguments = value.__getstate__()[FUNCTION:]
        return ((".func", function), (".kwargs", arguments))
    return ()


# Who is vouched for ---------------------------------------------------------------


def _require_own(place: Place, trust: Trust) -> None:
    """Raises Untrusted where neither we nor the operator vouch for the class of an object."""
    kind = type(place.value)
    if not is_allowed(kind, trust):
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise Untrusted(
            f"{place.describe()} is of a class that is not checked here before compiled code takes "
            f"it. If you know who made the file, allow it with --trusted {name}."
        )


def is_allowed(kind: type, trust: Trust) -> bool:
    """Whether the operator allowed this class, by its name or by that of what makes it."""
    if f"{kind.__module__}.{kind.__qualname__}" in trust.allowed:
        return True
    if trust.code is not None and trust.code.covers(kind.__module__):
        return True
    # What has no name in the file was made by something that has one.
    package = kind.__module__.partition(".")[0]
    return bool(trust.allowed) and package not in OURS and package not in sys.stdlib_module_names


def _require_scalar(place: Place, trust: Trust) -> None:
    """A class that an estimator holds is a dtype; another one would be called like a function."""
    kind = place.value
    if place.own or kind in PLAIN or kind is object or issubclass(kind, np.generic | np.dtype):
        return
    if (name_of(kind) or "").endswith("Dtype"):  # of pandas
        return
    if not is_allowed(kind, trust):
        raise Untrusted(
            f"{place} is the class {kind.__module__}.{kind.__qualname__}, which an estimator "
            "would call. If you know who made the file, allow it with --trusted "
            f"{kind.__module__}.{kind.__qualname__}."
        )


def _require_allowed(place: Place, trust: Trust) -> None:
    """Raises Untrusted where a function is none that a file may name."""
    function = place.value
    if trust.carries and isinstance(function, types.FunctionType | types.MethodType):
        return
    if isinstance(function, types.MethodType):
        kind = type(function.__self__)
        named = Global(kind.__module__, f"{kind.__qualname__}.{function.__name__}")
    else:
        named = Global(str(function.__module__), function.__qualname__)
    modules = [module for _, module in TRAINING.values()]
    if not place.own and (named.module in modules or trust.refused([named])):
        raise Untrusted(
            f"{place} is the function {named}, which is not allowed: predicting would run it. If "
            f"you know who made the file, allow it with --trusted {named}."
        )

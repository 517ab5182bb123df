"""Which classes and parameters are known exactly.

A parameter that another version of a library adds is not, and a subclass may answer otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from ..node import Predictor, Transform
from .given import Given, NotPacked

Made = TypeVar("Made", Transform, Predictor)

PACKAGES: Final = frozenset(
    {
        "sklearn",
        "imblearn",
        "xgboost",
        "lightgbm",
        "catboost",
        "category_encoders",
        "feature_engine",
    }
)
"""Whose classes there are nodes for."""


class Inner(Protocol):
    """What makes nodes of the estimators within one."""

    def transform(self, step: Any, given: Given) -> Transform:
        """
        Raises:
            NotPacked: there is no node for it.
        """

    def predictor(self, step: Any, given: Given) -> Predictor:
        """
        Raises:
            NotPacked: there is no node for it.
        """


Pack = Callable[[Any, Given, Inner], Made]
"""Makes the node of an estimator whose class and parameters are known; raises NotPacked where one
of them has a value that there is no node for."""


@dataclass(frozen=True, slots=True)
class Known(Generic[Made]):
    """A class of estimators: the parameters that are known, and what makes a node of one."""

    parameters: frozenset[str]
    pack: Pack[Made]

    @classmethod
    def of(cls, pack: Pack[Made], *parameters: str) -> Known[Made]:
        """With the names of all parameters, in texts with spaces between them."""
        return cls(frozenset(" ".join(parameters).split()), pack)


def key_of(step: Any) -> str:
    """The package and the class of an estimator, as sklearn.Ridge, which is the key of our tables.

    Raises:
        NotPacked: it is of no package that is known, or of a class derived from theirs.
    """
    kind = type(step)
    package = kind.__module__.partition(".")[0]
    module = sys.modules.get(kind.__module__)
    if package not in PACKAGES or getattr(module, kind.__name__, None) is not kind:
        raise NotPacked(f"{kind.__module__}.{kind.__qualname__} is not known")
    return f"{package}.{kind.__name__}"


def require_known(step: Any, key: str, parameters: frozenset[str]) -> None:
    """Raises NotPacked where a parameter is not known, or where the object itself has what changes
    its answer: a method of its own, or requests for metadata."""
    own = vars(step)
    if "_metadata_request" in own:
        raise NotPacked(f"{key} asks for metadata")
    if any(callable(getattr(type(step), attribute, None)) for attribute in own):
        raise NotPacked(f"{key} has a method of its own")
    other = set(step.get_params(deep=False)) - parameters
    if other:
        raise NotPacked(f"{key} has the parameter {min(other)}, which is not known")


def require_set(step: Any, **known: Any) -> None:
    """Raises NotPacked where a parameter has another value than this one, or one of these. One that
    is new has none where the library is older."""
    for name, values in known.items():
        if not hasattr(step, name):
            continue
        found = getattr(step, name)
        choices = values if isinstance(values, tuple) else (values,)
        if not any(
            found is each or (type(found) is type(each) and found == each) for each in choices
        ):
            raise NotPacked(f"{type(step).__name__} with {name}={found!r:.60} is not known")

"""Functions that estimators call with rows: what they are given besides cannot write or hide.

A file may name functions of numpy and scikit-learn as values. Which ones is said elsewhere
(`trust.py`); here is what comes along with them. A function that is told where to write would write
into an array that was checked already, and one that is told to leave out some of its answers would
answer with whatever the process had in that memory.
"""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from .faults import Wrong, own, shown

ARGUMENTS: Final = (
    *("effective_metric_params_", "inv_kw_args", "kernel_params", "kw_args", "metric_params"),
    *("_metric_params", "pairwise_kernels_kwargs"),
)
"""Attributes of estimators with what a function is given by name."""

REFUSED: Final = ("out", "where")
"""Where numpy's functions write to, and what they leave as it was."""

FUNCTIONS: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    type(np.mean),  # numpy's own kind of function
)
CALLABLE: Final = (*FUNCTIONS, types.MethodType, np.ufunc, functools.partial)

METHODS: Final = frozenset(
    {
        *("apply", "decision_function", "decision_path", "fit", "fit_predict", "fit_transform"),
        *("get_feature_names_out", "get_params", "inverse_transform", "kneighbors", "predict"),
        *("predict_log_proba", "predict_proba", "score", "score_samples", "set_params"),
        "transform",
    }
)
"""What estimators call of one another. None of it is a parameter."""


def partial(value: functools.partial[Any]) -> None:
    """What a function is given by its place does not reach the places behind what it computes."""
    keywords(value.keywords)
    if isinstance(value.func, np.ufunc):
        if len(value.args) >= value.func.nin:
            raise Wrong(
                f"it gives {value.func.__name__} {len(value.args)} arguments by their place"
            )
    elif any(isinstance(each, np.ndarray) for each in value.args):
        raise Wrong("it gives a function an array by its place")


def arguments(value: Any) -> None:
    """The same of what an estimator keeps for a function that it holds."""
    for name in ARGUMENTS:
        found = own(value, name)
        if isinstance(found, Mapping):
            keywords(found)


def keywords(given: Any) -> None:
    """What a function is given by name. Its threads are no more than there are processors."""
    for name in REFUSED:
        if name in given:
            raise Wrong(f"it gives a function {name!r}, which reaches memory that is not its own")
    if "n_jobs" in given:
        given["n_jobs"] = jobs(given["n_jobs"])


def jobs(found: Any) -> int | None:
    """So many threads or processes at most, each of which is there whether it has work or not.

    Raises:
        Wrong: it is no number.
    """
    if found is None:
        return None
    if not isinstance(found, int | float | np.integer | np.floating):
        raise Wrong(f"its n_jobs is {shown(found)}, and should be a whole number")
    return int(min(found, os.cpu_count() or 1))


def methods(items: Iterable[tuple[Any, Any]]) -> None:
    """No function stands where estimators look for what others do."""
    for name, value in items:
        if isinstance(name, str) and name in METHODS and isinstance(value, CALLABLE):
            raise Wrong(f"its {name} is a function that it was given, and none of its class")

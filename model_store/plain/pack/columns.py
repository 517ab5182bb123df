"""Pipelines, and parts of the columns side by side."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Final

import msgspec
import numpy as np

from ..node import MAX_DENSE, Transform
from ..nodes.categories import OneHot
from ..nodes.columns import Chain, Columns, Part
from ..nodes.numbers import Scale
from .encoders import filled
from .given import Given, NotPacked
from .holders import HOLDERS, held
from .known import Inner, Known, key_of, require_known, require_set

_STEPS: Final = frozenset({"memory", "steps", "transform_input", "verbose"})
_PIPELINES: Final = {"sklearn.Pipeline": _STEPS, "imblearn.Pipeline": _STEPS}


def flat(step: Any) -> list[Any]:
    """The steps of a pipeline, and of pipelines within, without those that do nothing, and each
    that is held by another in the place of that.

    Raises:
        NotPacked: it has no step, or one that does something else than its steps do.
    """
    if isinstance(step, str) or step is None:
        if step in (None, "passthrough"):
            return []
        raise NotPacked(f"the step {step!r} is not known")
    key = key_of(step)
    if key in HOLDERS:
        return flat(held(step, key))
    if key not in _PIPELINES:
        # What draws rows for training lets all pass when it predicts.
        return [] if key.startswith("imblearn.") and hasattr(step, "fit_resample") else [step]
    require_known(step, key, _PIPELINES[key])
    require_set(step, transform_input=None)
    return [inner for _, each in step.steps for inner in flat(each)]


def column_transformer(step: Any, given: Given, inner: Inner) -> Transform:
    weights = step.transformer_weights or {}
    parts = []
    for name, transformer, chosen in step.transformers_:
        places = _places(chosen, step)
        if not places or (isinstance(transformer, str) and transformer == "drop"):
            continue
        part = given.of_columns(places)
        steps = weighted(transformer, weights.get(name), part, inner)
        if not step.sparse_output_:
            steps = _dense(steps)
        columns = np.array(places, dtype=np.int64)
        parts.append(Part(columns=columns, steps=steps, narrow=part.narrow))
    return Columns(parts=parts, sparse=bool(step.sparse_output_))


def in_place(width: int, kinds: dict[int, Any], make: Callable[[list[int]], Transform]) -> Columns:
    """Steps of some of so many columns, whose features stand where the columns stood. `make` makes
    the step of columns beside each other that are of one kind; those of no kind pass."""
    parts: list[Part] = []
    for kind, run in groupby(range(width), key=kinds.get):
        columns = list(run)
        steps = [] if kind is None else [make(columns)]
        parts.append(Part(columns=np.array(columns, dtype=np.int64), steps=steps))
    return Columns(parts=parts)


def _dense(steps: list[Transform]) -> list[Transform]:
    """The same steps, where what comes of them becomes dense anyway."""
    last = steps[-1] if steps else None
    if not isinstance(last, OneHot) or last.width > MAX_DENSE:
        return steps
    return [*steps[:-1], msgspec.structs.replace(last, sparse=False)]


def weighted(transformer: Any, weight: float | None, given: Given, inner: Inner) -> list[Transform]:
    """The steps of one of several transformers, whose features are multiplied by its weight."""
    steps, found = _steps(transformer, given, inner)
    if weight is not None:
        factors = np.full(found.width, weight, dtype=np.float64)
        steps.append(Scale(operations=[("multiply", factors)], rounded=True))
    return steps


def _steps(transformer: Any, given: Given, inner: Inner) -> tuple[list[Transform], Given]:
    steps: list[Transform] = []
    for each in flat(transformer):
        steps.append(inner.transform(each, given))
        given = given.behind(steps[-1])
    return filled(steps), given


def _places(chosen: Any, step: Any) -> list[int]:
    """The columns' places. One by itself its transformer gets as a vector, which is that column."""
    count = int(step.n_features_in_)
    if isinstance(chosen, slice):
        ends = (chosen.start, chosen.stop, chosen.step)
        if not all(each is None or isinstance(each, int) for each in ends):
            raise NotPacked("a ColumnTransformer that chooses a slice of names is not known")
        return list(range(count)[chosen])
    names = getattr(step, "feature_names_in_", np.empty(0)).tolist()
    given = np.atleast_1d(np.asarray(chosen)).tolist()
    if given and all(isinstance(each, bool) for each in given) and len(given) == count:
        return [int(place) for place in np.flatnonzero(given)]
    if all(isinstance(each, str) for each in given) and set(given) <= set(names):
        return [names.index(each) for each in given]
    if all(isinstance(each, int) and not isinstance(each, bool) for each in given):
        return [range(count)[each] for each in given]
    raise NotPacked("a ColumnTransformer's choice of columns is not known")


def pipeline(step: Any, given: Given, inner: Inner) -> Transform:
    """A pipeline that only transforms."""
    steps, _ = _steps(step, given, inner)
    return Chain(steps=steps)


TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    **{key: Known(parameters, pipeline) for key, parameters in _PIPELINES.items()},
    "sklearn.ColumnTransformer": Known.of(
        column_transformer,
        "force_int_remainder_cols n_jobs remainder sparse_threshold transformer_weights",
        "transformers verbose verbose_feature_names_out",
    ),
}

"""The encoders, imputers and selections of feature_engine."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..node import Transform
from ..nodes.columns import Chain, Columns, Part
from ..nodes.curves import Power
from ..nodes.features import Select, Union
from ..nodes.missing import Fill, Flags, Replace
from ..nodes.numbers import Clip, Finite
from .asked import Asked, labels, numbers, one_hot
from .columns import in_place
from .encoders import label_of
from .given import Given
from .known import Inner, Known, require_set


def _places(step: Any, names: Any) -> list[int]:
    """Where columns of these names stand."""
    known = list(step.feature_names_in_)
    return [known.index(name) for name in names]


def _asked(step: Any) -> Asked:
    """An encoder with a dictionary of the categories of each column."""
    names = list(step.feature_names_in_)
    known = {names.index(name): list(values) for name, values in step.encoder_dict_.items()}
    return Asked(step, names, known)


def encoder(step: Any, given: Given, inner: Inner) -> Transform:
    """Of a number for each category."""
    asked = _asked(step)
    found = {at: asked.column(at, slice(at, at + 1)) for at in asked.known}
    kinds = dict.fromkeys(found, True)
    return in_place(given.width, kinds, lambda columns: numbers([found[at] for at in columns]))


def renamer(step: Any, given: Given, inner: Inner) -> Transform:
    """Of a text for each category."""
    asked = _asked(step)
    found = {at: asked.column(at, slice(at, at + 1)) for at in asked.known}
    kinds = dict.fromkeys(found, True)
    return in_place(given.width, kinds, lambda columns: labels([found[at] for at in columns]))


def dummies(step: Any, given: Given, inner: Inner) -> Transform:
    """One-hot features behind the columns that are not encoded."""
    asked = _asked(step)
    rest = [at for at in range(given.width) if at not in asked.known]
    parts = [Part(columns=np.array(rest, dtype=np.int64), steps=[])] if rest else []
    start = len(rest)
    for at, values in asked.known.items():
        column = asked.column(at, slice(start, start + len(values)))
        start += len(values)
        node = one_hot([column]) if column.is_one_hot else numbers([column])
        parts.append(Part(columns=np.array([at], dtype=np.int64), steps=[node]))
    return Columns(parts=parts)


def imputer(step: Any, given: Given, inner: Inner) -> Transform:
    """Of a number or a text for each column."""
    fillers = dict(zip(_places(step, step.imputer_dict_), step.imputer_dict_.values(), strict=True))
    kinds = {at: isinstance(value, str) for at, value in fillers.items()}

    def made(columns: list[int]) -> Transform:
        if kinds[columns[0]]:
            return Replace(missing="either", values=[label_of(fillers[at]) for at in columns])
        return Fill(numbers=np.array([fillers[at] for at in columns], dtype=np.float64))

    return in_place(given.width, kinds, made)


def indicator(step: Any, given: Given, inner: Inner) -> Transform:
    columns = np.array(_places(step, step.variables_), dtype=np.int64)
    return Union(parts=[[], [Flags(columns=columns, missing="either")]])


def capper(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, add_indicators=False)
    places = _places(step, step.variables_)
    low = dict(zip(places, map(step.left_tail_caps_.get, step.variables_), strict=True))
    high = dict(zip(places, map(step.right_tail_caps_.get, step.variables_), strict=True))

    def made(columns: list[int]) -> Transform:
        node = Clip(
            low=np.array([_cap(low[at], -np.inf) for at in columns]),
            high=np.array([_cap(high[at], np.inf) for at in columns]),
        )
        return node if step.missing_values == "ignore" else Chain(steps=[Finite(), node])

    return in_place(given.width, dict.fromkeys(places, True), made)


def _cap(found: Any, otherwise: float) -> float:
    return otherwise if found is None else float(found)


def yeo_johnson(step: Any, given: Given, inner: Inner) -> Transform:
    powers = dict(zip(_places(step, step.lambda_dict_), step.lambda_dict_.values(), strict=True))

    def made(columns: list[int]) -> Transform:
        node = Power(method="yeo-johnson", powers=np.array([float(powers[at]) for at in columns]))
        return Chain(steps=[Finite(), node])

    return in_place(given.width, dict.fromkeys(powers, True), made)


def dropped(step: Any, given: Given, inner: Inner) -> Transform:
    gone = set(_places(step, step.features_to_drop_))
    return Select(columns=np.array([at for at in range(given.width) if at not in gone]))


_ENCODER: Final = "ignore_format missing_values unseen variables"

TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "feature_engine.OneHotEncoder": Known.of(
        dummies, "drop_last drop_last_binary ignore_format top_categories variables"
    ),
    "feature_engine.OrdinalEncoder": Known.of(encoder, _ENCODER, "encoding_method"),
    "feature_engine.CountFrequencyEncoder": Known.of(encoder, _ENCODER, "encoding_method"),
    "feature_engine.MeanEncoder": Known.of(encoder, _ENCODER, "smoothing"),
    "feature_engine.WoEEncoder": Known.of(encoder, "fill_value ignore_format unseen variables"),
    "feature_engine.RareLabelEncoder": Known.of(
        renamer,
        "ignore_format max_n_categories missing_values n_categories replace_with tol variables",
    ),
    "feature_engine.MeanMedianImputer": Known.of(imputer, "imputation_method variables"),
    "feature_engine.ArbitraryNumberImputer": Known.of(
        imputer, "arbitrary_number imputer_dict variables"
    ),
    "feature_engine.EndTailImputer": Known.of(imputer, "fold imputation_method tail variables"),
    "feature_engine.CategoricalImputer": Known.of(
        imputer, "fill_value ignore_format imputation_method return_object variables"
    ),
    "feature_engine.AddMissingIndicator": Known.of(indicator, "missing_only variables"),
    "feature_engine.Winsorizer": Known.of(
        capper, "add_indicators capping_method fold missing_values tail variables"
    ),
    "feature_engine.YeoJohnsonTransformer": Known.of(yeo_johnson, "variables"),
    "feature_engine.DropFeatures": Known.of(dropped, "features_to_drop"),
    "feature_engine.DropConstantFeatures": Known.of(
        dropped, "confirm_variables missing_values tol variables"
    ),
    "feature_engine.DropDuplicateFeatures": Known.of(
        dropped, "confirm_variables missing_values variables"
    ),
    "feature_engine.DropCorrelatedFeatures": Known.of(
        dropped, "confirm_variables method missing_values threshold variables"
    ),
}

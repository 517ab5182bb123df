"""What boosters of XGBoost and LightGBM know of the columns that they were grown on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from .soundness.boosters import ubjson


def categories_of(estimator: Any) -> Mapping[int, Sequence[Any]]:
    """The categories of pandas in training, by the places of their columns. There are none where
    the library or its release keeps none, or the estimator is another one."""
    booster = vars(estimator).get("_Booster")
    if type(booster).__module__ == "xgboost.core":
        return _of_xgboost(booster)
    return _of_lightgbm(booster) if type(booster).__module__ == "lightgbm.basic" else {}


def numbers_of(estimator: Any) -> set[int]:
    """The places of columns that were numbers or truths when XGBoost took them."""
    booster = vars(estimator).get("_Booster")
    if type(booster).__module__ != "xgboost.core":
        return set()
    return {place for place, kind in enumerate(booster.feature_types or ()) if kind != "c"}


def _of_xgboost(booster: Any) -> dict[int, Sequence[Any]]:
    if "c" not in (booster.feature_types or ()):
        return {}
    grown = ubjson.read(bytes(booster.save_raw("ubj")))["learner"]["gradient_booster"]
    model = grown.get("gbtree", grown)["model"]
    encodings = model.get("cats", {}).get("enc", ())
    found = {place: _decoded(each) for place, each in enumerate(encodings)}
    return {place: known for place, known in found.items() if known}


def _decoded(encoding: Mapping[str, Any]) -> list[Any]:
    """Numbers, or texts one after another, with their ends; none of texts of which XGBoost has cut
    off as many bytes as they have more than characters."""
    values = encoding["values"]
    if "offsets" not in encoding:
        found: list[Any] = values.tolist()
        return found
    text = values.tobytes()
    if not text.isascii():
        return []
    return [text[start:end].decode() for start, end in pairwise(encoding["offsets"].tolist())]


def _of_lightgbm(booster: Any) -> dict[int, Sequence[Any]]:
    known = booster.pandas_categorical or ()
    columns = (booster.params or {}).get("categorical_column")
    if not isinstance(columns, list) or len(columns) != len(known):
        columns = _named_columns(booster)
    return dict(zip(columns, known, strict=True)) if len(columns) == len(known) else {}


def _named_columns(booster: Any) -> list[int]:
    """The columns of which LightGBM's text lists categories: of numbers it has their range, and
    nothing of what is always the same."""
    head = booster.model_to_string(num_iteration=1).partition("\n\n")[0]
    lines = dict(line.partition("=")[::2] for line in head.split("\n"))
    kinds = lines["feature_infos"].split(" ")
    return [
        place for place, kind in enumerate(kinds) if kind != "none" and not kind.startswith("[")
    ]

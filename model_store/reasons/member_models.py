"""Means of members, and several targets with a member each."""

from __future__ import annotations

import numpy as np

from ..plain.node import Array, Predictor
from ..plain.nodes.bagging import BaggedClassification, BaggedRegression
from ..plain.nodes.features import Select
from ..plain.nodes.multioutput import Several
from ..plain.nodes.voting import Average, SoftVote
from .combined import Combined, Member
from .exact import exact
from .method import Method
from .scales import Scale
from .way import Way


def method_of(predictor: Predictor, way: Way, scale: Scale, background: Array) -> Method | None:
    parts: list[tuple[Predictor, Way, Array]] = []
    if isinstance(predictor, Average) and scale == "number":
        weights = _weights(predictor.weights, len(predictor.members))
        parts = [
            (member, way, weight.reshape(1, 1))
            for member, weight in zip(predictor.members, weights, strict=True)
        ]
    elif isinstance(predictor, SoftVote) and scale == "probability":
        weights = _weights(predictor.weights, len(predictor.members))
        one = np.eye(len(predictor.classes))
        parts = [
            (member, way, weight * one)
            for member, weight in zip(predictor.members, weights, strict=True)
        ]
    elif isinstance(predictor, BaggedRegression) and scale == "number":
        share = np.array([[1 / len(predictor.members)]])
        parts = [(each.inner, _chosen(way, each.columns), share) for each in predictor.members]
    elif isinstance(predictor, BaggedClassification) and scale == "probability":
        parts = _bagged(predictor, way)
    elif isinstance(predictor, Several) and scale == "number":
        one = np.eye(len(predictor.members))[:, :, np.newaxis]
        parts = [(member, way, one[at]) for at, member in enumerate(predictor.members)]
    members = []
    for inner, inner_way, counts in parts:
        method = exact(inner, inner_way, scale, background)
        if method is None:
            return None
        members.append(Member(method, counts))
    return Combined(members) if members else None


def _weights(weights: Array | None, count: int) -> Array:
    found = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    return np.asarray(found / found.sum())


def _bagged(predictor: BaggedClassification, way: Way) -> list[tuple[Predictor, Way, Array]]:
    if predictor.by != "shares":
        return []
    one = np.eye(len(predictor.classes)) / len(predictor.members)
    return [
        (each.inner, _chosen(way, each.columns), one if known is None else one[:, known])
        for each, known in zip(predictor.members, predictor.known, strict=True)
    ]


def _chosen(way: Way, columns: Array | None) -> Way:
    return way if columns is None else way.behind(Select(columns=columns))

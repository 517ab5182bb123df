"""All kinds of nodes by their names in the files.

A module of them is imported when a form names one of its nodes: a server needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import msgspec

from .node import Node

MODULES: Final = {
    "bagging": "BaggedRegression BaggedClassification",
    "bayes": "CountBayes GaussianBayes CategoryBayes",
    "calibration": "Calibration",
    "categories": "OneHot Encode Rename",
    "clusters": "Nearest Bisected Mixture",
    "columns": "Pipeline Transformed Chain Columns",
    "constant": "ConstantClass ConstantNumber Isotonic",
    "curves": "Power Quantiles Bins Polynomial Splines",
    "discriminant": "Quadratic Centroids",
    "features": "Union Select Project Waves",
    "kernel_features": "KernelFeatures",
    "linear": "Regression Classification Multilabel",
    "missing": "Fill Replace Flags Guesses Donors",
    "multiclass": "Constant OneVsRest ManyLabels OneVsOne OutputCode",
    "multioutput": "Several TargetChain",
    "neighbours": "NeighbourClasses NeighbourNumbers NeighbourShares NeighbourDensity",
    "networks": "NetworkNumbers NetworkClasses NetworkTargets",
    "numbers": "Scale Clip Finite Function Binarize Normalize",
    "outliers": "Outliers Mahalanobis",
    "processes": "GaussianProcess",
    "stacking": "Stack",
    "support": "SupportNumbers KernelNumbers KernelShares SupportClasses",
    "targets": "TransformedTarget PowerBack QuantilesBack",
    "text": "Words Hashes Weigh",
    "thresholds": "Threshold",
    "trees": "Forest BoostedRegression BoostedClassification WeightedVote WeightedMedian Isolation",
    "voting": "Average SoftVote HardVote",
}
"""The nodes of each module, which lists them in its `KINDS`."""

STEADY: Final = frozenset(
    name
    for module in (
        *("bayes", "calibration", "categories", "columns", "constant", "curves", "discriminant"),
        *("features", "linear", "multiclass", "multioutput", "networks", "numbers", "targets"),
        *("thresholds", "trees", "voting"),
    )
    for name in MODULES[module].split()
) | {"Fill", "Replace", "Flags"}
"""Nodes whose time follows from the number of rows. That of others depends on how long a text is,
or on how near rows are to those of training, or they ask much for each row."""

_PLACES: Final = {
    name.lower(): (module, name) for module, names in MODULES.items() for name in names.split()
}


def kind_names() -> list[str]:
    """The names of all kinds, in the order of the modules."""
    return list(_PLACES)


def kind_of(name: object) -> type[Node] | None:
    """The kind of nodes with this name; None where there is none."""
    if not isinstance(name, str) or name not in _PLACES:
        return None
    module, kind = _PLACES[name]
    found: type[Node] = getattr(import_module(f"{__package__}.nodes.{module}"), kind)
    return found


def is_steady(value: Any) -> bool:
    """Whether a node and all nodes within it are of the `STEADY` kinds."""
    if isinstance(value, Node) and type(value).__name__ not in STEADY:
        return False
    if isinstance(value, msgspec.Struct):
        return all(is_steady(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, list | tuple):
        return all(is_steady(each) for each in value if not isinstance(each, _PLAIN))
    return True


_PLAIN: Final = (str, int, float)

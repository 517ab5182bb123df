"""What is explained of an answer: on which scale, and what a predictor says on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from ..manifest import Manifest
from ..plain.node import Array, Predictor, Rows
from ..plain.nodes.columns import Pipeline
from ..plain.nodes.linear import Classification
from ..plain.nodes.thresholds import Threshold
from ..plain.nodes.trees import BoostedClassification, WeightedVote

Scale = Literal["probability", "log-odds", "score", "number", "anomaly score"]
SCALES: Final[tuple[str, ...]] = get_args(Scale)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a predictor says on a scale: for each target so many `widths` numbers side by side."""

    scale: Scale
    widths: tuple[int, ...]

    @property
    def starts(self) -> tuple[int, ...]:
        return tuple(int(end) for end in np.cumsum([0, *self.widths[:-1]]))

    def of(self, predictor: Predictor, rows: Rows) -> Array:
        """All outputs, of shape (rows, outputs).

        Raises:
            Refused: there is no answer to these rows.
        """
        with np.errstate(all="ignore"):  # what is not finite is looked for
            return _SAID[self.scale](predictor, rows)


def scales_of(manifest: Manifest, root: Predictor) -> list[Outputs]:
    """The scales on which a model can be explained."""
    targets = manifest.targets
    if manifest.task == "transformation":
        return []
    if all(target.numeric for target in targets):
        return [Outputs("number", (1,) * len(targets))]
    if manifest.task == "anomaly detection":
        return [Outputs("anomaly score", (1,))] if root.decides else []
    classes = tuple(len(target.classes or ()) for target in targets)
    if not all(classes):
        return []
    found = [Outputs("probability", classes)] if manifest.probabilities else []
    if manifest.several:
        return found
    if _has_log_odds(last_of(root)):
        found.append(Outputs("log-odds", classes))
    elif root.decides or isinstance(last_of(root), BoostedClassification):
        found.append(Outputs("score", classes))
    return found


def last_of(predictor: Predictor) -> Predictor:
    """The predictor whose probabilities and scores those of another are."""
    while True:
        if isinstance(predictor, Pipeline):
            predictor = predictor.last
        elif isinstance(predictor, Threshold):
            predictor = predictor.inner
        else:
            return predictor


def _has_log_odds(last: Predictor) -> bool:
    """Whether the score of the second of two classes gives its probability by the logistic
    function."""
    if isinstance(last, Classification):
        two = len(last.classes) == 2
        return two and last.shares in ("logistic", "one_vs_rest")
    if isinstance(last, BoostedClassification):
        return last.link.startswith("logistic")
    return isinstance(last, WeightedVote) and len(last.classes) == 2


def slope_of(predictor: Predictor) -> float:
    """What the score is multiplied with to be the log-odds."""
    last = last_of(predictor)
    return last.slope if isinstance(last, BoostedClassification) else 1.0


def _probabilities(predictor: Predictor, rows: Rows) -> Array:
    shares = predictor.answer(rows).shares
    tables: Sequence[Array] = shares if isinstance(shares, tuple) else (np.asarray(shares),)
    return np.concatenate([np.asarray(each, dtype=np.float64) for each in tables], axis=1)


def _scores(predictor: Predictor, rows: Rows) -> Array:
    scores = np.asarray(predictor.scores(rows), dtype=np.float64)
    if scores.ndim == 1 or scores.shape[1] == 1:
        scores = scores.reshape(-1)
        return np.stack([-scores, scores], axis=1)
    return scores


def _log_odds(predictor: Predictor, rows: Rows) -> Array:
    return _scores(predictor, rows) * slope_of(predictor)


def _numbers(predictor: Predictor, rows: Rows) -> Array:
    labels = np.asarray(predictor.answer(rows).labels, dtype=np.float64)
    return labels.reshape(len(labels), -1)


def _anomaly(predictor: Predictor, rows: Rows) -> Array:
    return np.asarray(predictor.scores(rows), dtype=np.float64).reshape(-1, 1)


_SAID: Final = {
    "probability": _probabilities,
    "log-odds": _log_odds,
    "score": _scores,
    "number": _numbers,
    "anomaly score": _anomaly,
}

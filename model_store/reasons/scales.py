"""What is explained of an answer: on which scale, and what a predictor says on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec
import numpy as np

from ..manifest import Manifest
from ..plain.node import Array, Predictor, Rows

Scale = Literal["probability", "log-odds", "score", "number", "anomaly score"]
SCALES: Final[tuple[str, ...]] = get_args(Scale)


class Outputs(msgspec.Struct, frozen=True):
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
    scorer = _scorer(root)
    if scorer.to_log_odds is not None:
        found.append(Outputs("log-odds", classes))
    elif scorer.has_scores:
        found.append(Outputs("score", classes))
    return found


def _scorer(predictor: Predictor) -> Predictor:
    """The predictor whose scores and probabilities those of another are."""
    while predictor.scorer is not predictor:
        predictor = predictor.scorer
    return predictor


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
    return _scores(predictor, rows) * (_scorer(predictor).to_log_odds or 1.0)


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

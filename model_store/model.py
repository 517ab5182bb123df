"""A pipeline and its manifest, together able to answer.

Every answer is checked here for what a pipeline can get wrong: the number of rows, a NaN, an
infinity. So whoever asks gets either a usable prediction or a declared error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import frames
from .errors import GoldenMismatch, InvalidRows, PredictionFailed, Unanswerable
from .manifest import JSONLabel, Manifest, Sample
from .signature import ABSENT

RELATIVE_TOLERANCE = 1e-6
"""How far a golden row's floats may move: other processors and BLAS builds stay well below."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a pipeline says of n rows.

    `labels` has the shape (n,): classes, or numbers of a regression. `probabilities` has the
    shape (n, classes), or is None where the pipeline knows none.
    """

    labels: NDArray[Any]
    probabilities: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> Prediction:
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Prediction(self.labels[rows], probabilities)


@dataclass(frozen=True, slots=True)
class Model:
    """One version of one model, loaded."""

    manifest: Manifest
    pipeline: Any
    sample: Sample

    def predict(self, matrix: NDArray[Any]) -> Prediction:
        """Ask the pipeline. `matrix` is what `Signature.validate` returned. Blocks.

        Raises:
            Unanswerable: it raised a ValueError or answered with what is not finite, which it
                does not do for its golden rows.
            PredictionFailed: it raised something else, or its answer is not usable.
        """
        signature = self.manifest.signature
        framed = signature.container == "frame"
        rows = frames.from_matrix(matrix, signature.names) if framed else matrix
        try:
            prediction = self._ask(rows)
        except (ValueError, ArithmeticError) as error:
            raise self._no_answer(str(error)) from error
        except Exception as error:
            raise PredictionFailed(
                f"The pipeline {self.manifest.name} failed on these rows: {error}"
            ) from error
        self._check(prediction, len(matrix))
        return prediction

    def _ask(self, rows: Any) -> Prediction:
        # An overflow shows in the answer, which is checked: numpy need not warn of it as well.
        with np.errstate(all="ignore"):
            labels = np.asarray(self.pipeline.predict(rows))
            if not self.manifest.probabilities:
                return Prediction(labels, None)
            return Prediction(
                labels, np.asarray(self.pipeline.predict_proba(rows), dtype=np.float64)
            )

    def golden_rows(self) -> NDArray[Any]:
        """The rows of the sample, of shape (rows, columns)."""
        rows = self.sample.rows
        names = self.manifest.signature.names
        values = {name: [row.get(name, ABSENT) for row in rows] for name in names}
        try:
            return self.manifest.signature.validate(values, len(rows))
        except InvalidRows as error:
            raise GoldenMismatch(
                f"The golden rows of {self.manifest.name} do not fit its own signature: {error}"
            ) from error

    def replay(self) -> None:
        """Answer the golden rows again, which also warms the pipeline.

        Raises:
            GoldenMismatch: an answer differs from the one that was published.
            PredictionFailed: the pipeline does not answer at all.
        """
        prediction = self.predict(self.golden_rows())
        labels = json_labels(prediction.labels)
        self._require_answers(len(labels))
        exact = self.manifest.task == "classification"
        for row, (now, before) in enumerate(zip(labels, self.sample.predictions, strict=True)):
            if not (now == before if exact else _close(now, before)):
                raise self._drift(row, before, now)
        expected = self.sample.probabilities
        if expected is not None and prediction.probabilities is not None:
            for row, (shares, before_shares) in enumerate(
                zip(prediction.probabilities.tolist(), expected, strict=True)
            ):
                if not _close(shares, before_shares):
                    raise self._drift(row, before_shares, shares)

    def _require_answers(self, rows: int) -> None:
        counts = {len(self.sample.predictions)}
        if self.sample.probabilities is not None:
            counts.add(len(self.sample.probabilities))
        if counts != {rows}:
            raise GoldenMismatch(
                f"The sample of {self.manifest.name} version {self.manifest.version} does not "
                f"hold an answer for each of its {rows} golden rows; publish it again."
            )

    def _no_answer(self, reason: str) -> Unanswerable:
        name = self.manifest.name
        return Unanswerable(f"The model {name} has no answer to these values: {reason}")

    def _drift(self, row: int, before: object, now: object) -> GoldenMismatch:
        libraries = self.manifest.libraries
        return GoldenMismatch(
            f"{self.manifest.name} version {self.manifest.version} answers golden row {row} with "
            f"{now}, and answered {before} when it was published with scikit-learn "
            f"{libraries.scikit_learn}; train it again with the libraries installed here."
        )

    def _check(self, prediction: Prediction, rows: int) -> None:
        name = self.manifest.name
        labels, probabilities = prediction.labels, prediction.probabilities
        if labels.shape != (rows,):
            raise PredictionFailed(
                f"The pipeline {name} answered {rows} rows with the shape {labels.shape}."
            )
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise self._no_answer("it would not be a finite number")
        if probabilities is None:
            return
        if probabilities.shape != (rows, len(self.manifest.classes or ())):
            raise PredictionFailed(
                f"The pipeline {name} gave probabilities of the shape {probabilities.shape}."
            )
        if not np.isfinite(probabilities).all():
            raise self._no_answer("a probability would not be a finite number")


def json_labels(labels: NDArray[Any]) -> list[JSONLabel]:
    """Labels as the JSON types that they are: str, int, float or bool."""
    return [label.item() if isinstance(label, np.generic) else label for label in labels.tolist()]


def _close(now: Any, before: Any) -> bool:
    return bool(np.allclose(now, before, rtol=RELATIVE_TOLERANCE, atol=1e-9))

"""What is said of rows that are explained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from ..column_facts import JSONLabel
from ..errors import Unexplained
from ..labels import json_labels
from ..manifest import Manifest
from ..plain import Form
from .background import matrix_of
from .clock import Clock
from .explainer import Explainer, MethodName, explainer
from .scales import Scale

SECONDS: float = 2.0
"""For the golden rows that are held against their answers."""

Numbers = NDArray[np.float64]


class Explanation(msgspec.Struct, frozen=True):
    """Why n rows are answered as they are: of each target a `base`, of shape (n, targets), and what
    each column contributes, of shape (n, targets, columns). Together they are the answer, on this
    scale. `classes` has for each row the class of each target that is explained, which is the one
    that was predicted; None where no classes are. `errors` are standard errors of what is
    estimated, of the shape of the contributions.
    """

    scale: Scale
    method: MethodName
    base: Numbers
    contributions: Numbers
    classes: Sequence[Sequence[JSONLabel]] | None = None
    errors: Numbers | None = None

    def __len__(self) -> int:
        return len(self.base)

    @property
    def answers(self) -> Numbers:
        """The base and all contributions together, of shape (n, targets)."""
        found: Numbers = self.base + self.contributions.sum(axis=2)
        return found


def joined(parts: Sequence[Explanation]) -> Explanation:
    """Explanations of rows one after the other, on one scale, as one."""
    if len(parts) == 1:
        return parts[0]
    errors = [each.errors for each in parts if each.errors is not None]
    classes = [row for each in parts for row in each.classes or ()]
    return structs.replace(
        parts[0],
        base=np.concatenate([each.base for each in parts]),
        contributions=np.concatenate([each.contributions for each in parts]),
        classes=None if parts[0].classes is None else classes,
        errors=np.concatenate(errors) if errors else None,
    )


class Reasons:
    """Explains the answers of one form, by its background, once its reasons are seen to add up to
    the answers to the golden rows. What it needs is made when it is first asked. Any number of
    threads may ask it."""

    def __init__(
        self, manifest: Manifest, form: Form, golden_rows: Callable[[], NDArray[np.generic]]
    ) -> None:
        self._manifest, self._form, self._golden_rows = manifest, form, golden_rows
        self._replayed = False
        self._explainers: dict[tuple[Scale | None, bool], Explainer] = {}
        self.failure: str | None = None
        """Why it explains nothing here, as a clause."""

    def explain(
        self,
        matrix: NDArray[np.generic],
        labels: NDArray[np.generic],
        *,
        scale: Scale | None = None,
        seconds: float | None = None,
        sampling: bool = False,
    ) -> Explanation:
        """Why rows of a matrix are answered with these labels, within so many seconds.

        Raises:
            Unexplained: there are no reasons, or not on this scale, or not in time.
        """
        with contextlib.suppress(Unexplained):  # `explainer` says it, where it counts
            self.replay()
        clock = Clock(seconds)
        found = self.explainer(scale, sampling=sampling)
        outputs, classes = self.outputs_of(found, labels)
        shares = found.shares(matrix, outputs, clock)
        return Explanation(
            scale=found.scale,
            method=found.method_name,
            base=found.base[outputs],
            contributions=shares.contributions,
            classes=classes,
            errors=shares.errors,
        )

    def explainer(self, scale: Scale | None = None, *, sampling: bool = False) -> Explainer:
        """
        Raises:
            Unexplained: there is none.
        """
        if self.failure is not None:
            name = self._manifest.name
            raise Unexplained(f"The model {name} cannot be explained: {self.failure}.")
        found = self._explainers.get((scale, sampling))
        if found is None:
            found = self._explainers[scale, sampling] = self._made(scale, sampling)
        return found

    def _made(self, scale: Scale | None, sampling: bool) -> Explainer:
        assert self._form.background is not None
        matrix = matrix_of(self._manifest.signature, self._form.background)
        return explainer(self._form, self._manifest, matrix, scale, sampling=sampling)

    def outputs_of(
        self, found: Explainer, labels: NDArray[np.generic]
    ) -> tuple[NDArray[np.intp], list[list[JSONLabel]] | None]:
        """Which outputs of each row are explained, and of which classes they are."""
        starts = np.array(found.outputs.starts, dtype=np.intp)
        if found.scale in ("number", "anomaly score"):
            return np.tile(starts, (len(labels), 1)), None
        targets = self._manifest.targets
        told = json_labels(labels)
        rows = told if self._manifest.several else [[label] for label in told]
        places = [{label: i for i, label in enumerate(each.classes or ())} for each in targets]
        chosen = [[places[t][label] for t, label in enumerate(row)] for row in rows]
        outputs = np.array(chosen, dtype=np.intp).reshape(len(labels), len(targets))
        return outputs + starts, rows

    def replay(self) -> None:
        """See, once, that base and contributions together are the answers to the golden rows, to
        all outputs, as far as there is time.

        Raises:
            Unexplained: they are not, and nothing is explained from now on; or there are no reasons
                that are no estimates.
        """
        if not self._replayed:
            try:
                self._check(self.explainer())
            finally:
                self._replayed = True

    def _check(self, found: Explainer) -> None:
        matrix = self._golden_rows()
        clock = Clock(SECONDS)
        every = np.arange(len(found.base), dtype=np.intp)[np.newaxis]
        for row in range(len(matrix)):
            alone = matrix[row : row + 1]
            try:
                shares = found.shares(alone, every, clock).contributions[0]
            except Unexplained:
                if clock.over:
                    return
                raise
            told, expected = found.base + shares.sum(axis=1), found.said(alone)[0]
            size = np.maximum(1.0, np.maximum(np.abs(expected), np.abs(found.base)))
            if not (np.abs(told - expected) <= found.method.rounding * size).all():
                self.failure = f"its reasons do not add up to its answer to golden row {row}"
                raise Unexplained(f"{self.failure}.".capitalize())

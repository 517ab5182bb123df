"""Why a form answers as it does: which way its contributions are computed, and the choice of scale.

The contribution of a column is its interventional Shapley value: the columns are players, and what
a coalition of them is worth is the mean answer to the rows of a background in which they have the
values of the row that is explained. S. M. Lundberg and S.-I. Lee, "A unified approach to
interpreting model predictions" (2017); D. Janzing and others, "Feature relevance quantification in
explainable AI: a causal problem" (2020).
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import msgspec
import numpy as np

from ..errors import Unexplained
from ..manifest import Manifest
from ..plain import Form, Refused
from ..plain.node import Array
from .asking import NOT_FINITE, Enumerated, Mixture, Sampled
from .clock import Clock
from .coalitions import MOST_PLAYERS
from .exact import exact
from .method import Method, Shares
from .scales import Outputs, Scale, scales_of
from .way import Way, parted

MethodName = Literal["exact", "sampling"]

UNSURE = "would be estimated, which is not done unless it is asked for"


class Explainer(msgspec.Struct, frozen=True):
    """Explains one form on one scale. `base` are the mean outputs of the background."""

    form: Form
    outputs: Outputs
    method: Method
    base: Array

    @property
    def scale(self) -> Scale:
        return self.outputs.scale

    @property
    def method_name(self) -> MethodName:
        return "exact" if self.method.exact else "sampling"

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        """The contributions to these outputs of each row, of shape (rows, outputs).

        Raises:
            Unexplained: there are none, or the time is over.
        """
        try:
            with np.errstate(all="ignore"):
                return self.method.shares(matrix, outputs, clock)
        except Refused as refusal:
            raise Unexplained(
                "These rows cannot be explained: with some of their values in a row of the "
                f"background the model has no answer, as {refusal}."
            ) from refusal

    def said(self, matrix: Array) -> Array:
        """All outputs of rows, of shape (rows, outputs)."""
        return self.outputs.of(self.form.root, matrix)


def explainer(
    form: Form,
    manifest: Manifest,
    background: Array,
    scale: Scale | None = None,
    *,
    sampling: bool = False,
) -> Explainer:
    """What explains a form, on the scale that it is asked for, or else on the one that suits.

    That is the probability of a class, where its contributions are exact and cheap; else the
    log-odds or the score, where theirs are; else the probability again, if few columns count.
    With `sampling` contributions may be estimates.

    Raises:
        Unexplained: it cannot be explained, or not on this scale.
    """
    known = scales_of(manifest, form.root)
    if scale is not None:
        known = [_required(known, scale)]
    if not known:
        raise Unexplained(_nothing_of(manifest))
    try:
        found = _first(form, known, background, sampling=sampling)
    except Refused as refusal:
        raise Unexplained(
            "The model cannot be explained: it has no answer to a row of its background, as "
            f"{refusal}."
        ) from refusal
    if found is None:
        raise Unexplained(
            f"The model cannot be explained exactly, since more than {MOST_PLAYERS} of its columns "
            f"count together in what it computes; it {UNSURE} (QUART_APP_EXPLAIN_SAMPLING)."
        )
    return found


def _first(
    form: Form, known: list[Outputs], background: Array, *, sampling: bool
) -> Explainer | None:
    make = partial(_explainer, form, background)
    for outputs in known:
        with np.errstate(all="ignore"):
            method = exact(form.root, Way.of(form.columns), outputs.scale, background)
        if method is not None:
            return make(outputs, method)
    way, rest = parted(form.root, form.columns)
    for outputs in known:
        mixture = Mixture(way, partial(outputs.of, rest), background)
        if Enumerated.possible(mixture):
            return make(outputs, Enumerated(mixture))
        if sampling:
            return make(outputs, Sampled(mixture))
    return None


def _explainer(form: Form, background: Array, outputs: Outputs, method: Method) -> Explainer:
    base = outputs.of(form.root, background)
    if not np.isfinite(base).all():
        raise Unexplained(NOT_FINITE)
    return Explainer(form, outputs, method, base.mean(axis=0))


def _required(known: list[Outputs], scale: Scale) -> Outputs:
    for outputs in known:
        if outputs.scale == scale:
            return outputs
    names = ", ".join(outputs.scale for outputs in known) or "none"
    raise Unexplained(f"The model cannot be explained on the scale {scale}; expected {names}.")


def _nothing_of(manifest: Manifest) -> str:
    if manifest.task == "transformation":
        return "The model transforms rows and predicts nothing, so there is nothing to explain."
    return (
        "The model cannot be explained: it tells a class alone, and neither a probability nor a "
        "score of it."
    )

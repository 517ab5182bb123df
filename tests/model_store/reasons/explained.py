"""Forms with their explainers, and contributions by full enumeration to hold them against."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.draft import manifest_of
from model_store.inspection import Inspection
from model_store.manifest import Manifest
from model_store.plain import Form, read, write
from model_store.plain.pack import pack
from model_store.proof_rows import draw
from model_store.reasons.clock import Clock
from model_store.reasons.explainer import Explainer, explainer
from model_store.reasons.scales import Outputs, Scale

Array = NDArray[Any]


@dataclass(frozen=True)
class Explained:
    """A form with rows of its background, and rows to explain, some values of which are missing."""

    form: Form
    manifest: Manifest
    background: Array
    rows: Array

    def explainer(self, scale: Scale | None = None, *, sampling: bool = False) -> Explainer:
        return explainer(self.form, self.manifest, self.background, scale, sampling=sampling)


def explained(pipeline: Any, X: Any, y: Any, *, background: int = 12, rows: int = 3) -> Explained:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what does not converge on so few rows
        inspection = Inspection.of_data(pipeline.fit(X, y), X, y)
    form = read(*write(pack(pipeline, inspection.signature)))
    random = np.random.default_rng(4)
    signature, golden = inspection.signature, inspection.golden
    return Explained(
        form,
        manifest_of("explained", inspection),
        draw(signature, golden, background, random, missing=0.1),
        draw(signature, golden, rows, random, missing=0.3),
    )


def all_shares(found: Explainer, rows: Array) -> Array:
    """The contributions to all outputs, of shape (rows, outputs, columns)."""
    every = np.tile(np.arange(sum(found.outputs.widths)), (len(rows), 1))
    return found.shares(rows, every, Clock()).contributions


def enumerated(form: Form, outputs: Outputs, row: Array, background: Array) -> Array:
    """The contributions by the definition: of each player the mean of what it adds to each
    coalition of the others, of shape (outputs, columns)."""
    columns = range(form.columns)
    values = {
        members: outputs.of(form.root, _mixed(row, background, members)).mean(axis=0)
        for size in range(form.columns + 1)
        for members in combinations(columns, size)
    }
    found = np.zeros((sum(outputs.widths), form.columns))
    for members, value in values.items():
        for player in set(columns) - set(members):
            joined = tuple(sorted((*members, player)))
            orders = factorial(len(members)) * factorial(form.columns - len(members) - 1)
            found[:, player] += (values[joined] - value) * orders / factorial(form.columns)
    return found


def _mixed(row: Array, background: Array, members: tuple[int, ...]) -> Array:
    found = background.copy()
    found[:, members] = row[list(members)]
    return found

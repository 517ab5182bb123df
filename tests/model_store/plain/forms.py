"""Forms beside the pipelines that they were packed of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store import frames
from model_store.inspection import Inspection
from model_store.last_step import LastStep
from model_store.model import ask
from model_store.plain import Form, Refused, read, write
from model_store.plain.pack import pack
from model_store.signature import Signature

RELATIVE = 1e-12
NEAR_ZERO = 1e-15


def packed(pipeline: Any, X: Any, y: Any) -> tuple[Form, Signature]:
    """The form of a fitted pipeline, as it comes back from its files, and what it takes."""
    signature = Inspection.of_data(pipeline, X, y).signature
    return read(*write(pack(pipeline, signature))), signature


def require_same(
    pipeline: Any, form: Form, signature: Signature, matrix: NDArray[Any], lone: int = 20
) -> None:
    """That a form answers these rows as its pipeline does, together and the first of them each
    alone, and refuses those that the pipeline refuses."""
    for rows in (matrix, *(matrix[place : place + 1] for place in range(min(len(matrix), lone)))):
        known = frames.as_fitted(rows, signature)
        try:
            expected = ask(
                LastStep(pipeline, known),
                probabilities=hasattr(pipeline, "predict_proba"),
                several=None,
            )
        except ValueError:
            expected = None
        try:
            found = form.predict(rows)
        except Refused:
            assert expected is None, rows[:1]
            continue
        assert expected is not None, rows[:1]
        require_near(found.labels, expected.labels, 0.0)
        shares = () if found.shares is None else found.shares
        tables = shares if isinstance(shares, tuple) else (shares,)
        assert len(tables) == len(expected.probabilities or ())
        for table, told in zip(tables, expected.probabilities or (), strict=True):
            require_near(table, told, NEAR_ZERO)
        if hasattr(pipeline, "decision_function"):
            assert form.decides
            with np.errstate(all="ignore"):  # as `ask` does
                scores = np.asarray(pipeline.decision_function(known))
            require_near(form.decide(rows), scores, 1e-12)


def require_near(found: NDArray[Any], expected: NDArray[Any], absolute: float) -> None:
    """That labels are equal, and numbers as near as they must be."""
    assert found.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=absolute)
    else:
        assert found.tolist() == expected.tolist()

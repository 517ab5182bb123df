"""The last step of a pipeline with what the steps before it made of rows, for several questions.

`predict`, `predict_proba` and `decision_function` of a Pipeline each transform the rows anew, which
takes longer than all else where there are thousands of columns.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_OF_STEPS: Final = frozenset({("sklearn.pipeline", "Pipeline"), ("imblearn.pipeline", "Pipeline")})
"""What is known to hand rows from step to step, and to ask the last one. A class that is derived of
it may do otherwise."""


class LastStep:
    """An estimator to ask in the place of a pipeline, and its rows.

    Where there is no telling what its steps do, or their features cannot be copied, it is the
    pipeline itself. Whatever a step raises passes.
    """

    def __init__(self, pipeline: Any, rows: Any) -> None:
        self.estimator = pipeline
        self._rows = rows
        self._made = False
        while (steps := _steps(self.estimator)) is not None:
            features = self._rows
            # An overflow shows in the answer.
            with np.errstate(all="ignore"):
                for step in steps[:-1]:
                    features = step.transform(features)
            if not _is_copied(features):
                return
            self.estimator, self._rows, self._made = steps[-1], features, True

    @property
    def rows(self) -> Any:
        """The rows for one question. What an estimator does to features in place, no other question
        sees."""
        if not self._made:
            return self._rows
        # A copy that lies in memory as they do.
        return self._rows.copy(**({"order": "K"} if isinstance(self._rows, np.ndarray) else {}))

    def decide(self) -> Any:
        """What the decision function says of the rows."""
        return self.estimator.decision_function(self.rows)


def _steps(pipeline: Any) -> list[Any] | None:
    """The steps that rows pass, of which the last one answers; None where there are no such."""
    kind = type(pipeline)
    if (kind.__module__, kind.__name__) not in _OF_STEPS:
        return None
    *before, last = [step for _, step in pipeline.steps]
    if not before or last is None or isinstance(last, str):
        return None
    passed = [step for step in before if step is not None and not isinstance(step, str)]
    return [*(step for step in passed if not hasattr(step, "fit_resample")), last]


def _is_copied(rows: Any) -> bool:
    """Whether these are rows of which a copy can be taken: an array, a sparse matrix, a table."""
    return isinstance(rows, np.ndarray) or hasattr(rows, "tocsr") or hasattr(rows, "iloc")

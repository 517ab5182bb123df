"""Which way a version is served: by its pipeline, or by an exact shortcut of it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final, Literal

import msgspec
import numpy as np

By = Literal["shortcut", "pipeline"]

UNCOMPARED: Final = (
    "it was published before shortcuts were compared with pipelines; publish it again to have one"
)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison at publishing found, with the libraries it was made with.

    `reason` says why `by` answers, as a clause.
    """

    by: By
    reason: str
    scikit_learn: str
    numpy: str

    @classmethod
    def found(cls, by: By, reason: str) -> Served:
        """As compared here and now."""
        scikit_learn, numpy = _installed()
        return cls(by=by, reason=reason, scikit_learn=scikit_learn, numpy=numpy)

    @property
    def sentence(self) -> str:
        """Who answers, and why."""
        who = {"shortcut": "an exact shortcut", "pipeline": "the pipeline itself"}[self.by]
        return f"{who}: {self.reason}"


def served_here(served: Served | None) -> Served:
    """What holds with the libraries that are installed here: another version of them may compute
    otherwise, and the comparison says nothing of it. None stands for a version that was published
    without one."""
    if served is None:
        return Served.found("pipeline", UNCOMPARED)
    now = _installed()
    if served.by == "pipeline" or (served.scikit_learn, served.numpy) == now:
        return served
    return Served.found(
        "pipeline",
        f"its shortcut was compared with scikit-learn {served.scikit_learn} and numpy "
        f"{served.numpy}, and {now[0]} and {now[1]} are installed; publish it again to have it "
        "compared with these",
    )


@cache
def _installed() -> tuple[str, str]:
    """The versions of scikit-learn, which is not imported for it, and of numpy."""
    return version("scikit-learn"), np.__version__

"""Which way a version is served: by its pipeline, or by an exact shortcut of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from .libraries import Libraries

UNCOMPARED = (
    "it was published before shortcuts were compared with pipelines; publish it again to have one"
)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison at publishing found, with the libraries it was made with.

    `reason` says why `by` answers, as a clause.
    """

    by: Literal["shortcut", "pipeline"]
    reason: str
    scikit_learn: str
    numpy: str

    @classmethod
    def found(cls, by: Literal["shortcut", "pipeline"], reason: str) -> Served:
        """As compared here and now."""
        now = Libraries.installed()
        return cls(by=by, reason=reason, scikit_learn=now.scikit_learn, numpy=now.numpy)


def served_here(served: Served | None) -> Served:
    """What holds with the libraries that are installed here: another version of them may compute
    otherwise, and the comparison says nothing of it. None stands for a version that was published
    without one."""
    if served is None:
        return Served.found("pipeline", UNCOMPARED)
    now = Libraries.installed()
    if served.by == "pipeline" or (served.scikit_learn, served.numpy) == (
        now.scikit_learn,
        now.numpy,
    ):
        return served
    return Served.found(
        "pipeline",
        f"its shortcut was compared with scikit-learn {served.scikit_learn} and numpy "
        f"{served.numpy}, and {now.scikit_learn} and {now.numpy} are installed; publish it again "
        "to have it compared with these",
    )

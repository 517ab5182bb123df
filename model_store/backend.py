"""Which way a version is served: by its plain form, by its pipeline, or converted to ONNX."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import msgspec
import numpy as np

from .libraries import NONE, version_of
from .plain import FORM

Backend = Literal["plain", "onnx", "pipeline", "shortcut"]
"""`shortcut` stands in manifests alone that were written before there were plain forms."""

UNCOMPARED: Final = "it was published before there were plain forms; publish it again to have one"
LATER: Final = "a later program wrote its plain form; upgrade quart-app"
FORM_DIFFERS: Final = "its plain form does not answer here what was published; publish it again"
WITHOUT_ONNXRUNTIME: Final = (
    "it was published with its steps converted to ONNX, and onnxruntime is not installed; "
    "pip install 'quart-app[onnx]' brings it"
)

_WHO: Final[dict[Backend, str]] = {
    "plain": "plain data",
    "onnx": "its steps converted to ONNX",
    "pipeline": "the pipeline itself",
    "shortcut": "the pipeline itself",
}


class Served(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the comparison at publishing found, with the libraries it was made with.

    `reason` says why `by` answers, as a clause. `form` is the number of the format of its plain
    form, where there is one.
    """

    by: Backend
    reason: str
    scikit_learn: str
    numpy: str
    onnxruntime: str | None = None
    form: int | None = None

    @classmethod
    def found(cls, by: Backend, reason: str) -> Served:
        """As compared here and now."""
        scikit_learn, numpy = _installed()
        return cls(
            by=by,
            reason=reason,
            scikit_learn=scikit_learn,
            numpy=numpy,
            onnxruntime=version_of("onnxruntime") if by == "onnx" else None,
            form=FORM if by == "plain" else None,
        )

    @property
    def libraries(self) -> str:
        """Those that it was compared with, and their versions."""
        text = f"scikit-learn {self.scikit_learn} and numpy {self.numpy}"
        return text if self.onnxruntime is None else f"onnxruntime {self.onnxruntime}, {text}"

    @property
    def sentence(self) -> str:
        """Who answers, and why."""
        return f"{_WHO[self.by]}: {self.reason}"


def served_here(served: Served | None) -> Served:
    """What holds with the libraries that are installed here. A plain form depends on none of them.
    Of the others another version may compute otherwise, and the comparison says nothing of it. None
    stands for a version that was published without one."""
    if served is None or served.by == "shortcut":
        return Served.found("pipeline", UNCOMPARED)
    if served.by == "pipeline":
        return served
    if served.by == "plain":
        if served.form is not None and served.form <= FORM:
            return served
        return Served.found("pipeline", LATER)
    if version_of("onnxruntime") is None:
        return Served.found("pipeline", WITHOUT_ONNXRUNTIME)
    now = Served.found(served.by, served.reason)
    if now == served:
        return served
    return Served.found(
        "pipeline",
        f"{_WHO[served.by]} was compared with {served.libraries}, and {now.libraries} are "
        "installed; publish it again to have it compared with these",
    )


@cache
def _installed() -> tuple[str, str]:
    """The versions of scikit-learn, which is not imported for it, and of numpy."""
    return version_of("scikit-learn") or NONE, np.__version__

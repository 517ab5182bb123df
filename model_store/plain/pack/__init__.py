"""A fitted pipeline as a form, when it is published. Nothing that serves imports this."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...signature import Signature
from ..form import FORM, Form
from ..node import Predictor
from ..nodes.columns import Columns, Part, Pipeline
from .columns import flat
from .given import Given, NotPacked
from .processes import with_deviation
from .steps import Steps

__all__ = ["NotPacked", "last_of", "pack"]


def pack(pipeline: Any, signature: Signature) -> Form:
    """What a fitted pipeline or estimator computes of the matrix of a signature.

    Raises:
        NotPacked: a part of it is not known; the message names it, as a clause.
    """
    try:
        root = _root(pipeline, Given.of(signature))
        if signature.container == "sparse":
            root = _of_sparse(root, len(signature.columns))
        form = Form(format=FORM, columns=len(signature.columns), root=root)
        root.check(form.columns)
    except NotPacked:
        raise
    # What is named like what we know and lacks its attributes is something else.
    except Exception as error:
        raise NotPacked(f"a part of it is not as this program knows it: {error}") from error
    return form


def _root(pipeline: Any, given: Given) -> Predictor:
    if not hasattr(pipeline, "predict"):
        return Steps().transformation(pipeline, given)
    return with_deviation(Steps().predictor(pipeline, given), last_of(pipeline))


def _of_sparse(root: Predictor, width: int) -> Predictor:
    """A pipeline that is given sparse rows, as it is given the matrix."""
    whole = Part(columns=np.arange(width), steps=[])
    return Pipeline(steps=[Columns(parts=[whole], sparse=True)], last=root)


def last_of(pipeline: Any) -> Any:
    """The estimator that the last step of the form stands for.

    Raises:
        NotPacked: there is no form.
    """
    return flat(pipeline)[-1]

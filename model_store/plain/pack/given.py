"""What a step is given, as far as that is known when it is packed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...signature import Signature
from ..node import Transform
from ..nodes.columns import Narrow
from .bounds import is_unbounded


class NotPacked(Exception):
    """There is no node for a part of the pipeline. The message names it, as a clause: there is no
    plain form of sklearn.Lasso with warm_start."""


@dataclass(frozen=True, slots=True)
class Given:
    """`width` features. `dtypes` are those that the columns had in training where these were
    numbers or truths of numpy, else None; behind the first step nothing is known of them.
    `unbounded` says that a step may have made infinite numbers."""

    width: int
    dtypes: tuple[np.dtype[Any] | None, ...] = ()
    unbounded: bool = False

    @classmethod
    def of(cls, signature: Signature) -> Given:
        dtypes = tuple(column.array_dtype for column in signature.columns)
        return cls(len(dtypes), dtypes)

    def of_columns(self, columns: list[int]) -> Given:
        """Some of the columns."""
        dtypes = [self.dtypes[column] for column in columns] if self.dtypes else []
        return Given(len(columns), tuple(dtypes), self.unbounded)

    def behind(self, step: Transform) -> Given:
        """What comes of it by a step."""
        return Given(step.check(self.width), unbounded=is_unbounded([step], self.unbounded))

    def as_array(self) -> Given:
        """The columns as one array, whose dtype holds all of them."""
        return self if self.narrow is not None else replace(self, dtypes=())

    @property
    def narrow(self) -> Narrow | None:
        """The narrow floats that the columns are together, if they are."""
        known = [dtype for dtype in self.dtypes if dtype is not None]
        if not known or len(known) < self.width:
            return None
        together = np.result_type(*known)
        if together == np.float32:
            return "float32"
        return "float16" if together == np.float16 else None

"""Methods one beside another."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from ..plain.node import Array
from .clock import Clock
from .method import Method, Shares


class Member(msgspec.Struct, frozen=True):
    """A method, and what each of its outputs counts for each output of all: `counts` of shape
    (outputs of all, its outputs)."""

    method: Method
    counts: Array


class Combined:
    """Contributions to sums of what members say, which are the same sums of contributions to what
    they say."""

    exact = True

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self.rounding = max(member.method.rounding for member in members)

    def shares(self, matrix: Array, outputs: Array, clock: Clock) -> Shares:
        found: Array | None = None
        for member in self._members:
            inner = np.arange(member.counts.shape[1])
            wanted = np.tile(inner, (len(outputs), 1))
            of_all = member.method.shares(matrix, wanted, clock).contributions
            part = np.matmul(member.counts[outputs], of_all)
            found = part if found is None else found + part
        assert found is not None
        return Shares(found)

"""Counts of rows in the bins of a reference. They are small, and those of two hours add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from .reference import Reference


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The values of one column, or of one target's answers, in the bins of its reference.

    `counts` has a number for each bin. Of numbers `sums` are what they add up to in each bin, as
    the reference scales them. Of categories `unseen` counts those that the reference does not know;
    they are in the last bin as well. `missing` values are in no bin, and what is no value of the
    column is not counted.
    """

    counts: tuple[int, ...]
    sums: tuple[float, ...] = ()
    missing: int = 0
    unseen: int = 0

    @property
    def present(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    @property
    def rows(self) -> int:
        return self.present + self.missing

    def merged(self, other: Counts) -> Counts:
        """Both together.

        Raises:
            ValueError: they are in other bins, those of another reference.
        """
        pairs = zip(self.counts, other.counts, strict=True)
        sums = zip(self.sums, other.sums, strict=True)
        return Counts(
            counts=tuple([one + another for one, another in pairs]),
            sums=tuple([one + another for one, another in sums]),
            missing=self.missing + other.missing,
            unseen=self.unseen + other.unseen,
        )


class Observed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rows that a version was asked, by the names of its columns, and its `answers` by target. A
    column of which nothing was recorded need not be there."""

    columns: dict[str, Counts] = {}
    answers: tuple[Counts, ...] = ()

    @classmethod
    def of(
        cls,
        reference: Reference,
        columns: Mapping[str, Sequence[Any]],
        answers: Sequence[Sequence[Any]] = (),
    ) -> Observed:
        """The values of columns as JSON has them, and the answers of each target, in its order.

        Columns that the reference does not know are left out.
        """
        return cls(
            columns={
                each.name: each.count(columns[each.name])
                for each in reference.columns
                if each.name in columns
            },
            answers=tuple(
                each.count(told) for each, told in zip(reference.answers, answers, strict=False)
            ),
        )

    def merged(self, other: Observed) -> Observed:
        """Both together.

        Raises:
            ValueError: they were counted by other references.
        """
        columns = dict(self.columns)
        for name, counts in other.columns.items():
            columns[name] = columns[name].merged(counts) if name in columns else counts
        if not self.answers or not other.answers:
            return Observed(columns=columns, answers=self.answers or other.answers)
        pairs = zip(self.answers, other.answers, strict=True)
        return Observed(columns=columns, answers=tuple(a.merged(b) for a, b in pairs))

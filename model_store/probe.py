"""What a pipeline answers, found out by asking it with rows that are odd in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np

from . import frames
from .alike import sift
from .answers import answers_to, differing
from .column_facts import Null, plain_label
from .columns import Column
from .labels import labels_of
from .signature import Matrix, Signature
from .task import told
from .training import missing

LIBRARIES: Final = frozenset({"sklearn", "xgboost", "lightgbm", "catboost", "imblearn"})

WITHOUT_NULL: Final = frozenset({"int64", "bool"})
"""The dtypes of a matrix that has no missing value."""


@dataclass(frozen=True)
class Probe:
    """A pipeline, and a row of cells that it answers.

    Whatever the pipeline raises at a row means that it does not answer it.
    """

    pipeline: Any
    signature: Signature
    cells: Sequence[Any]

    @cached_property
    def lenient(self) -> Signature:
        """The signature of which each column may lack its value."""
        columns = tuple(
            msgspec.structs.replace(column, missing=True) for column in self.signature.columns
        )
        return msgspec.structs.replace(self.signature, columns=columns)

    def answers(self, changes: Mapping[int, Any]) -> bool:
        """Whether the row is answered with these cells in it, by position."""
        try:
            self.ask(changes)
        except MemoryError:
            raise
        except Exception:
            return False
        return True

    def ask(self, changes: Mapping[int, Any]) -> None:
        """Ask with these cells in the row.

        Raises:
            ValueError: the answer is not finite. Also whatever the pipeline raises.
        """
        dtype = self.signature.dtype
        # Neither integers nor truths have a missing value, so the signature's dtype may change.
        strict = dtype in WITHOUT_NULL
        row = np.empty((1, len(self.cells)), dtype="object" if strict else dtype)
        for i, cell in enumerate(self.cells):
            row[0, i] = plain_label(changes.get(i, cell))
        with np.errstate(all="ignore"):
            labels = labels_of(told(self.pipeline, frames.as_fitted(row, self.lenient)))
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise ValueError("the answer is not a finite number")
        if labels.dtype.kind == "O" and missing(labels.ravel()).any():
            raise ValueError("the answer is a missing value")

    def findings(self, groups: Sequence[Sequence[int]]) -> Signature:
        """The signature with what each column may lack, and whether values of a kind that was never
        seen are answered: categories, and fractions among integers. `groups` are the positions of
        columns that are alike: see `alike.py`."""
        nulls, opened = self._nulls(groups), self._open(groups)
        columns = tuple(
            msgspec.structs.replace(
                column,
                missing=i in nulls,
                null=nulls.get(i, column.null),
                open=column.open or i in opened,
            )
            for i, column in enumerate(self.signature.columns)
        )
        dtype = self.signature.dtype
        if dtype in WITHOUT_NULL and any(column.missing for column in columns):
            floats = dtype == "int64" and all(map(_is_exact, columns))
            dtype = "float64" if floats else "object"
        return msgspec.structs.replace(self.signature, columns=columns, dtype=dtype)

    def _nulls(self, groups: Sequence[Sequence[int]]) -> dict[int, Null]:
        """The columns that may lack their value, with the missing value that is answered: the one
        that they had in training, if that is."""
        known = {i: column.null for i, column in enumerate(self.signature.columns)}
        found = self._lacking(groups, known)
        others: tuple[Null, ...] = ("nan", "none") if self.signature.dtype == "object" else ("nan",)
        for kind in others:
            left = {i: kind for i in known.keys() - found if known[i] != kind}
            found |= self._lacking(groups, left)
        return found

    def _lacking(
        self, groups: Sequence[Sequence[int]], nulls: Mapping[int, Null]
    ) -> dict[int, Null]:
        """Those of the columns that may lack their value as these missing ones."""
        cells = {i: self._null(null) for i, null in nulls.items()}
        return {i: nulls[i] for i in self._sifted(groups, cells)}

    def _sifted(self, groups: Sequence[Sequence[int]], odd: Mapping[int, Any]) -> set[int]:
        """The columns that may have these odd cells."""
        wanted = [[i for i in group if i in odd] for group in groups]
        return sift(
            [group for group in wanted if group],
            lambda columns: self.answers({i: odd[i] for i in columns}),
        )

    def _null(self, kind: Null) -> Any:
        if self.signature.dtype.startswith("datetime64"):
            return np.datetime64("NaT")
        return None if kind == "none" else math.nan

    def _open(self, groups: Sequence[Sequence[int]]) -> set[int]:
        """The columns of which an unseen value is answered."""
        unseen = {
            i: value
            for i, column in enumerate(self.signature.columns)
            # In pandas's own categories an unseen value turns into a missing one.
            if column.dtype != "category" and (value := column.kind.unseen(column)) is not None
        }
        return self._sifted(groups, unseen)


def looks_at_dtypes(pipeline: Any, signature: Signature, rows: Matrix) -> bool:
    """Whether rows may get another answer where their integers are floats and their booleans
    objects, as they are in a column with a missing value: where code of the operator's own is in
    the pipeline, or where these rows, which it answers, get another one or none. So may a row that
    lacks what other columns have: beside integers scikit-learn makes integers of all categories,
    and of a missing one whatever the processor makes of it."""
    if not any(column.discrete is not None or column.coded for column in signature.columns):
        return False
    if not _is_of_libraries(pipeline):
        return True
    wider = msgspec.structs.replace(signature, columns=tuple(map(_wider, signature.columns)))
    rows = np.concatenate([rows, _lacking(signature, rows)])
    try:
        before, after = (
            answers_to(pipeline, frames.as_fitted(rows, each)) for each in (signature, wider)
        )
    except MemoryError:
        raise
    except Exception:
        return True
    return bool(differing(before, after).any())


def _lacking(signature: Signature, rows: Matrix) -> Matrix:
    """The first row without the values of the columns of a dtype, for each dtype that is none of
    integers or booleans and whose columns may lack them."""
    (usual,) = signature.values(rows[:1])
    lacking = [each for each in signature.columns if each.missing and each.discrete is None]
    dtypes = sorted({each.dtype for each in lacking})
    values = {name: [value] * len(dtypes) for name, value in usual.items()}
    for column in lacking:
        values[column.name][dtypes.index(column.dtype)] = None
    return signature.validate(values, len(dtypes))


def _is_of_libraries(estimator: Any) -> bool:
    """Whether all parts of an estimator are of libraries that take integers and floats alike, and
    none is a function, such as that of a FunctionTransformer."""
    if type(estimator).__module__.partition(".")[0] not in LIBRARIES:
        return False
    parts = estimator.get_params(deep=False).values()
    return all(map(_is_data_or_of_libraries, parts))


def _is_data_or_of_libraries(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_data_or_of_libraries, value))
    if isinstance(value, type):
        return True  # a dtype
    return _is_of_libraries(value) if hasattr(value, "get_params") else not callable(value)


def _is_exact(column: Column) -> bool:
    """Whether floats hold all integers of the training data."""
    known = (column.minimum, column.maximum, *(column.categories or ()))
    return not any(isinstance(each, int) and abs(each) > frames.EXACT for each in known)


def _wider(column: Column) -> Column:
    if column.discrete is None:
        return column
    floats = "Float64" if column.nullable else "float64"
    dtype = "object" if column.discrete.kind == "b" else floats
    return msgspec.structs.replace(column, dtype=dtype)

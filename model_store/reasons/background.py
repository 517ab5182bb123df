"""The rows that answers are explained against: drawn at publishing, kept in the form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..column_facts import JSONLabel
from ..plain.background import Background
from ..signature import Matrix, Signature

ROWS: Final = 100
MOST_COLUMNS: Final = 1000
"""Of more, each reason says little."""
MOST_CHARACTERS: Final = 1 << 20
"""Of the texts of all rows."""

TOO_WIDE: Final = f"it has more than {MOST_COLUMNS} columns"
TOO_LONG: Final = f"the texts of {ROWS} rows have more than {MOST_CHARACTERS} characters"


class NotKept(Exception):
    """There is no background. The message says why, as a clause."""


def background_of(signature: Signature, matrix: Matrix) -> Background:
    """The rows of a matrix, as a form keeps them.

    Raises:
        NotKept: they take too much room, or do not come back as they are.
    """
    if len(signature.columns) > MOST_COLUMNS:
        raise NotKept(TOO_WIDE)
    rows = signature.values(matrix[:ROWS])
    values = [[row[name] for row in rows] for name in signature.names]
    if sum(len(each) for column in values for each in column if isinstance(each, str)) > (
        MOST_CHARACTERS
    ):
        raise NotKept(TOO_LONG)
    places = [at for at, column in enumerate(values) if all(map(_is_number, column))]
    numbers = [[np.nan if each is None else each for each in values[at]] for at in places]
    found = Background(
        columns=np.array(places, dtype=np.int32),
        numbers=np.array(numbers, dtype=np.float64).reshape(len(places), len(rows)).T,
        values=[column for at, column in enumerate(values) if at not in set(places)],
    )
    if signature.values(matrix_of(signature, found)) != rows:
        raise NotKept("its rows do not come back as they are")
    return found


def _is_number(value: JSONLabel | None) -> bool:
    """Whether a float holds it exactly; a missing value is NaN."""
    if type(value) is int:
        return abs(value) <= 1 << 53
    return value is None or type(value) is float


def matrix_of(signature: Signature, background: Background) -> Matrix:
    """The rows as the matrix that they become when a client sends them.

    Raises:
        InvalidRows: they do not fit the signature.
    """
    columns: Sequence[Any] = background.by_column(len(signature.columns))
    return signature.validate(dict(zip(signature.names, columns, strict=True)), background.rows)

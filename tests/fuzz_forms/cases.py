"""What becomes of a form that was changed: it is read and asked, where that is possible."""

from __future__ import annotations

import json
import pickle
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_store.plain import FORM_DATA, FORM_HEADER, Form, Malformed, Refused, read

from ..fuzz.mutation import seed_of
from .mutation import Files, Random, mutated

ROWS: Final = "rows.pickle"
MALFORMED: Final = "malformed"
REFUSED: Final = "refused"
ANSWERED: Final = "answered"

SECONDS: Final = 10.0
"""Of the processor, which no case may take."""
CELLS: Final = 1 << 20
"""Values that a form is asked at once."""
ODD_NUMBERS: Final = (np.nan, 0.0, -1.0, 1e308, -1e308, 1e-310, 2.0**53, 3.5)
ODD_VALUES: Final = (None, float("nan"), "", "no such", "b", True, 10**30, -1, 2.5, 1e308, "1.5")


def save(folder: Path, files: Files, rows: NDArray[Any]) -> None:
    """Write a form, and rows that it answers."""
    folder.mkdir(parents=True)
    (folder / FORM_HEADER).write_bytes(files[0])
    (folder / FORM_DATA).write_bytes(files[1])
    (folder / ROWS).write_bytes(pickle.dumps(rows))


class Subject:
    """A form that was saved below `root`, of which changed ones are read."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.files = files_of(root / name)
        self.rows: NDArray[Any] = pickle.loads((root / name / ROWS).read_bytes())
        self.others = [json.loads(files_of(each)[0])["root"] for each in sorted(root.iterdir())]

    def run(self, number: int) -> str:
        """How the case of this number ends; raises whatever is no end."""
        random = np.random.default_rng(seed_of(self.name, number))
        files = mutated(self.files, self.others, random)
        begun = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = outcome_of(files, self.rows, random)
        spent = time.process_time() - begun
        return found if spent < SECONDS else f"fault: it took {spent:.0f} s"


def files_of(folder: Path) -> Files:
    return (folder / FORM_HEADER).read_bytes(), (folder / FORM_DATA).read_bytes()


def outcome_of(files: Files, rows: NDArray[Any], random: Random) -> str:
    """How it ends to read a form and to ask it rows like these; raises whatever is no end."""
    try:
        form = read(*files)
    except Malformed:
        return MALFORMED
    asked = _as_wide(rows, form.columns)
    ends = [_end(form, matrix) for matrix in (asked, asked[:1], _odd(asked, random))]
    return max(ends, key=(REFUSED, MALFORMED, ANSWERED).index)


def _as_wide(rows: NDArray[Any], columns: int) -> NDArray[Any]:
    """Rows with so many columns, but not too many values."""
    places = np.arange(columns) % rows.shape[1]
    return rows[: max(CELLS // columns, 1)][:, places]


def _odd(rows: NDArray[Any], random: Random) -> NDArray[Any]:
    """Rows with some values that training had not."""
    found = rows.copy()
    values: Sequence[Any] = ODD_VALUES if found.dtype.kind == "O" else ODD_NUMBERS
    for _ in range(4):
        at = tuple(int(random.integers(length)) for length in found.shape)
        found[at] = values[int(random.integers(len(values)))]
    return found


def _end(form: Form, rows: NDArray[Any]) -> str:
    try:
        answer = form.predict(rows)
        scores = form.decide(rows) if form.decides else None
        if form.deviates:
            form.deviating(rows)
    except Refused:
        return REFUSED
    except Malformed:
        return MALFORMED
    tables = answer.shares if isinstance(answer.shares, tuple) else (answer.shares,)
    for array in (answer.labels, scores, *tables):
        assert array is None or len(array) == len(rows), f"{array.shape} of {len(rows)} rows"
    return ANSWERED

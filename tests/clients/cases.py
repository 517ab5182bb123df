"""What the scripts of the clients share: the cases to ask, and how an answer is compared.

It needs nothing but Python, since each script runs in the environment of its client:

    python -m tests.clients.SCRIPT URL CASES.json

prints a line of JSON for each mode: {"client", "version", "mode", "ok", "why"?}.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

Row = list[Any]
Mode = Callable[[], Awaitable[None]]

SENT = (1, 1000)
"""How many rows a request has: each mode asks with one and with many."""
LONGEST_WHY = 600


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its datatype in V2, and what the model says it is: a number, a date …"""

    name: str
    datatype: str
    type: str


@dataclass(frozen=True, slots=True)
class Case:
    """Rows, None where a value is missing, and what the pipeline itself says of them.

    `version` is the number that answers. Of several targets a label is a list. `shares` are the
    probabilities by row, target and class, and `scores` what the decision function says; either may
    be None. `alone` says that no other model has these columns.
    """

    model: str
    version: str
    columns: list[Column]
    classes: list[list[Any]]
    rows: list[Row]
    labels: list[Any]
    shares: list[list[list[float]]] | None
    scores: list[Any] | None
    targets: list[str]
    alone: bool

    @classmethod
    def read(cls, content: dict[str, Any]) -> Self:
        columns = [Column(**column) for column in content.pop("columns")]
        return cls(columns=columns, **content)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def several(self) -> bool:
        return len(self.targets) > 1

    @property
    def numeric(self) -> bool:
        """Whether the rows are a matrix of numbers."""
        return all(column.datatype in ("FP64", "INT64") for column in self.columns)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]

    @property
    def tensor(self) -> list[Any] | None:
        """`predict_proba` as V2 tells it: of several targets, filled up with zeros."""
        if self.shares is None:
            return None
        if not self.several:
            return [row[0] for row in self.shares]
        widest = max(map(len, self.classes))
        return [[list(each) + [0.0] * (widest - len(each)) for each in row] for row in self.shares]

    @property
    def probabilities(self) -> list[Any] | None:
        """The probabilities as the server's own JSON tells them: by the text of the class."""
        if self.shares is None:
            return None
        told = [
            [
                dict(zip(map(str, names), each, strict=True))
                for names, each in zip(self.classes, row, strict=True)
            ]
            for row in self.shares
        ]
        return told if self.several else [row[0] for row in told]

    def values(self, position: int) -> list[Any]:
        return [row[position] for row in self.rows]

    @property
    def few(self) -> list[int]:
        """The positions of a few rows, some of which lack a value where that may be."""
        incomplete = [i for i, row in enumerate(self.rows) if None in row]
        return [0, 1, 2, *incomplete[:3]]

    def head(self, count: int) -> Case:
        """The case with its first rows only."""
        return self._with(range(min(count, len(self.rows))))

    def only(self, position: int) -> Case:
        """The case with one of its rows."""
        return self._with([position])

    def complete(self) -> Case:
        """The case with the rows only in which nothing is missing."""
        return self._with([i for i, row in enumerate(self.rows) if None not in row])

    def missing(self) -> Case:
        """The case with the rows only in which something is missing; there may be none."""
        return self._with([i for i, row in enumerate(self.rows) if None in row])

    def _with(self, kept: range | list[int]) -> Case:
        return replace(
            self,
            rows=[self.rows[i] for i in kept],
            labels=[self.labels[i] for i in kept],
            shares=None if self.shares is None else [self.shares[i] for i in kept],
            scores=None if self.scores is None else [self.scores[i] for i in kept],
        )


@dataclass(frozen=True, slots=True)
class Cases:
    """All there is to ask.

    `versions` are cases by what stands in the address, a number or an alias, and `whole` such whose
    numbers are whole. `key` is an API key, `spare` a model that may be unloaded, and `default` the
    one that answers rows without names.
    """

    models: list[Case]
    versions: dict[str, Case]
    whole: list[Case]
    key: str
    spare: str
    default: str

    @classmethod
    def read(cls, path: str) -> Self:
        content = json.loads(Path(path).read_text())
        content["models"] = [Case.read(case) for case in content["models"]]
        content["whole"] = [Case.read(case) for case in content["whole"]]
        content["versions"] = {
            address: Case.read(case) for address, case in content["versions"].items()
        }
        return cls(**content)

    def of(self, model: str) -> Case:
        return next(case for case in self.models if case.model == model)

    @property
    def sent(self) -> list[Case]:
        """Each model with one row and with many."""
        return [case.head(count) for case in self.models for count in SENT]

    @property
    def complete(self) -> list[Case]:
        """The same, where nothing is missing."""
        return [case.complete().head(count) for case in self.models for count in SENT]

    @property
    def incomplete(self) -> list[Case]:
        """The same, where each row lacks something; only models that allow it."""
        found = [case.missing().head(count) for case in self.models for count in SENT]
        return [case for case in found if case.rows]


class Different(Exception):
    """An answer is not what it must be."""


def require(condition: object, message: str) -> None:
    """
    Raises:
        Different: the condition is not true.
    """
    if not condition:
        raise Different(message)


def require_same(found: Any, wanted: Any, what: str) -> None:
    """Labels and names must be equal and of the same type, floats within 1e-12.

    Raises:
        Different: at the first difference, whose place is told.
    """
    if isinstance(wanted, list):
        require(isinstance(found, list), f"{what}: expected a list, got {found!r:.80}")
        require(len(found) == len(wanted), f"{what}: {len(found)} values, not {len(wanted)}")
        for position, pair in enumerate(zip(found, wanted, strict=True)):
            require_same(*pair, f"{what}[{position}]")
    elif isinstance(wanted, Mapping):
        require(isinstance(found, Mapping), f"{what}: expected an object, got {found!r:.80}")
        require(list(found) == list(wanted), f"{what}: {list(found)}, not {list(wanted)}")
        for key, value in wanted.items():
            require_same(found[key], value, f"{what}.{key}")
    else:
        same = found == wanted
        if isinstance(wanted, float) and isinstance(found, float):
            same = math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-15)
        same = same and type(found) is type(wanted)
        require(same, f"{what}: expected {wanted!r:.80}, got {found!r:.80}")


async def report(client: str, version: str, modes: Mapping[str, Mode]) -> None:
    """Try every mode, also after one has failed, and print what came of it."""
    for name, mode in modes.items():
        line: dict[str, Any] = {"client": client, "version": version, "mode": name, "ok": True}
        try:
            await mode()
        except Exception as error:
            line |= {"ok": False, "why": f"{type(error).__name__}: {error}"[:LONGEST_WHY]}
        print(json.dumps(line), flush=True)


def arguments() -> tuple[str, Cases]:
    """The address of the server, and the cases."""
    _, url, path = sys.argv
    return url, Cases.read(path)

"""What turned out true, in the database beside the records, whether or not these are there yet.

A later truth of the same row takes the place of the former one, which is kept as well, with the
moment at which it was replaced. A truth belongs to the model that predicted, and where that is not
known to the one of which it was told first; nobody tells a truth of another model's prediction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from model_store.truth import Told, Truth, same

from .database import Row, Session
from .prediction import Prediction, record_id
from .store import COLUMNS, Records, prediction_of

PIECE: Final = 200
"""Rows that are looked up at a time: SQLite takes so many values of a statement at least."""

Place = tuple[str, int]
"""The id of a request, and a row of it."""

_ADD: Final = (
    'INSERT INTO quart_app_truths (id, "row", at, model, truth) VALUES (?, ?, ?, ?, ?) '
    'ON CONFLICT (id, "row") DO UPDATE SET at = excluded.at, model = excluded.model, '
    "truth = excluded.truth"
)
_ADD_FORMER: Final = (
    'INSERT INTO quart_app_former_truths (id, "row", at, model, truth, replaced_at) '
    "VALUES (?, ?, ?, ?, ?, ?)"
)


class Kept(NamedTuple):
    """What became of truths: how many are kept, how many of them took the place of others, and
    the places of those that belong to no prediction of the model that was recorded, so far."""

    kept: int
    replaced: int
    unknown: list[Place]


class Former(NamedTuple):
    """A truth that was told earlier, and when it was replaced."""

    truth: Truth
    at: float
    replaced_at: float


class Known(NamedTuple):
    """All that is kept of one row of a request: the predictions of the champion, and of what was
    tried beside it; the truth with its moment, and what was told before, the latest last."""

    id: str
    row: int
    predictions: list[Prediction]
    truth: Truth | None
    told_at: float | None
    former: list[Former]


def keep(records: Records, model: str, told: Sequence[Told], at: float) -> Kept:
    """Keep what was told of a model at a moment, in seconds since 1970. Told again, it changes
    nothing.

    Raises:
        RecordsUnavailable: some may be kept by then.
    """
    kept = replaced = 0
    unknown: list[Place] = []
    with records.session() as session:
        records.unpack_all(session)
        for start in range(0, len(told), PIECE):
            piece = [_as_kept(each) for each in told[start : start + PIECE]]
            with session.transaction():
                found = _keep(session, model, piece, at)
            kept += found.kept
            replaced += found.replaced
            unknown += found.unknown
    return Kept(kept, replaced, unknown)


def find(records: Records, id: str, model: str | None = None) -> list[Known]:
    """All that is kept of a request, by its rows; of one model alone where that is given.

    Raises:
        RecordsUnavailable
    """
    id = record_id(id)
    with records.session() as session:
        records.unpack_all(session)
        predictions = session.execute(
            f'SELECT {COLUMNS} FROM quart_app_predictions WHERE id = ? ORDER BY "row", variant',
            (id,),
        )
        truths = session.execute(
            'SELECT "row", model, truth, at FROM quart_app_truths WHERE id = ?', (id,)
        )
        former = session.execute(
            'SELECT "row", model, truth, at, replaced_at FROM quart_app_former_truths '
            "WHERE id = ? ORDER BY replaced_at",
            (id,),
        )
    return _known(id, model, map(prediction_of, predictions), truths, former)


def _known(
    id: str,
    model: str | None,
    predictions: Iterable[Prediction],
    truths: Sequence[Row],
    former: Sequence[Row],
) -> list[Known]:
    found: dict[int, Known] = {}

    def at(row: int) -> Known:
        return found.setdefault(row, Known(id, row, [], None, None, []))

    for prediction in predictions:
        if model is None or prediction.model == model:
            at(prediction.row).predictions.append(prediction)
    for row, of, truth, moment in truths:
        if model is None or of == model:
            found[row] = at(row)._replace(truth=_value(truth), told_at=moment)
    for row, of, truth, moment, replaced in former:
        if model is None or of == model:
            at(row).former.append(Former(_value(truth), moment, replaced))
    return [found[row] for row in sorted(found)]


def _as_kept(told: Told) -> Told:
    return told._replace(id=record_id(told.id))


def _keep(session: Session, model: str, told: Sequence[Told], at: float) -> Kept:
    places = [(each.id, each.row) for each in told]
    predicted = _at(session, "quart_app_predictions", "model", places)
    owners: dict[Place, set[str]] = {}
    for place, (of,) in predicted:
        owners.setdefault(place, set()).add(of)
    before = dict(_at(session, "quart_app_truths", "model, at, truth", places))
    added, former, unknown = [], [], []
    kept = 0
    for each in told:
        place = (each.id, each.row)
        known = before.get(place)
        if model not in owners.get(place, ()):
            unknown.append(place)
        if model not in owners.get(place, {known[0] if known else model}):
            continue
        kept += 1
        if known is not None and same(_value(known[2]), each.truth):
            continue
        if known is not None:
            former.append((*place, known[1], model, known[2], at))
        added.append((*place, at, model, msgspec.json.encode(each.truth).decode()))
    session.many(_ADD_FORMER, former)
    session.many(_ADD, added)
    return Kept(kept, len(former), unknown)


def _at(
    session: Session, table: str, columns: str, places: Sequence[Place]
) -> Iterator[tuple[Place, Row]]:
    """Each of these places that there is, with these columns."""
    wanted = set(places)
    ids, rows = {id for id, _ in places}, {row for _, row in places}
    found = session.execute(
        f'SELECT id, "row", {columns} FROM {table} WHERE id IN ({_marks(ids)}) '
        f'AND "row" IN ({_marks(rows)})',
        [*ids, *rows],
    )
    for id, row, *values in found:
        if (id, row) in wanted:
            yield (id, row), tuple(values)


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)


def _value(text: str) -> Truth:
    value: Truth = msgspec.json.decode(text)
    return value

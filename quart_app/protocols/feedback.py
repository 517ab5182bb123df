"""What turned out true of predictions, as it is sent: JSON, CSV, JSON Lines or a form.

    {"id": "01…", "truth": 1}                   of the only row of a request
    {"id": "01…", "row": 3, "truth": 1}         of one of many rows, counted from 0
    [{"id": "01…", "truth": 1}, …]              of many predictions

    id,row,truth                                without `row` it is 0; other columns are left
    01…,0,1                                     alone, and so are rows whose truth is empty

A truth is what the model could have predicted. Of several targets it is a list in the order of the
model's outputs, or an object by their names; in CSV each target has a column, `truth_NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from werkzeug.datastructures import MultiDict

from model_store import InvalidRows
from model_store.errors import Fault
from model_store.signature import got
from model_store.truth import Told, Truths

from ..inference import InvalidRequest, UnsupportedBody
from . import csv, jsonl
from .json_body import kind, parse
from .protocol import JSON, Payload
from .rows import require_count

ID, ROW, TRUTH = "id", "row", "truth"
MEMBERS: Final = frozenset({ID, ROW, TRUTH})

MAX_ID: Final = 10_000
"""Characters of an id; clients of some protocols choose their own."""
MAX_ROW: Final = 2**31 - 1
MOST_FAULTS: Final = 1000
"""So many are listed; all are counted."""

_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_UTF_8: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})


class Given(NamedTuple):
    """What one prediction is said to have been, as it came."""

    id: object
    row: object
    truth: object


# Bodies --------------------------------------------------------------------------


def decode(payload: Payload, names: Sequence[str], *, max_rows: int) -> tuple[list[Given], int]:
    """The truths in a body, and how many rows of a table had none. `names` are what the truth of
    each target is called in a table.

    Raises:
        InvalidRequest: the body is none of these; also as RequestTooLarge and UnsupportedBody.
    """
    mimetype, body = payload.mimetype, bytes(payload.body)
    if mimetype in ("", JSON) or mimetype.endswith("+json"):
        given, empty = of_json(body), 0
    elif mimetype == csv.CONTENT_TYPE or mimetype in jsonl.CONTENT_TYPES:
        _require_utf_8(payload)
        table = Table(names) if mimetype == csv.CONTENT_TYPE else Lines()
        given = [*table.feed(body), *table.finish()]
        empty = table.empty
    else:
        raise UnsupportedBody(
            f"Expected a body of {JSON}, {csv.CONTENT_TYPE} or {jsonl.CONTENT_TYPE}, got "
            f"{mimetype}."
        )
    if given or not empty:
        require_count(len(given), max_rows)
    return given, empty


def of_json(body: bytes) -> list[Given]:
    """The truth in an object, or those in a list of objects.

    Raises:
        InvalidRequest: it is neither, or has other members.
    """
    content = parse(body, 'a JSON object such as {"id": "…", "truth": 1}, or a list', _objects)
    objects = content if isinstance(content, list) else [content]
    return [_of_object(each, row) for row, each in enumerate(objects)]


def of_form(fields: MultiDict[str, str]) -> Given:
    """The truth in a form, in which each target is a field `truth`, in the order of the outputs.

    Raises:
        InvalidRequest: there are other fields.
    """
    for name in fields:
        if name not in MEMBERS:
            raise InvalidRequest(f"Expected id, row and truth, got {name!r:.60}.")
    values = fields.getlist(TRUTH)
    truth = values[0] if len(values) == 1 else values
    return Given(fields.get(ID), _row_of(fields.get(ROW, "")), truth)


class Table:
    """CSV in pieces of any size."""

    def __init__(self, names: Sequence[str]) -> None:
        self.empty = 0
        self._names = names
        self._decoder = csv.Decoder()
        self._pick: Callable[[list[str]], Given] | None = None

    def feed(self, data: bytes) -> list[Given]:
        """The truths in the rows that end in this piece.

        Raises:
            InvalidRequest: the line of names is wrong, or a row cannot be read.
        """
        return self._picked(self._decoder.feed(data))

    def finish(self) -> list[Given]:
        """That in the last row, where it has no line end.

        Raises:
            InvalidRequest: as `feed`.
        """
        return self._picked(self._decoder.finish())

    def _picked(self, rows: list[list[str]]) -> list[Given]:
        for number, fault in self._decoder.faults.items():
            raise InvalidRequest(f"Row {number}: {fault}.")
        if self._pick is None and self._decoder.names:
            self._pick = self._picker(self._decoder.names)
        if self._pick is None:
            return []
        found = [given for given in map(self._pick, rows) if given.truth is not None]
        self.empty += len(rows) - len(found)
        return found

    def _picker(self, names: Sequence[str]) -> Callable[[list[str]], Given]:
        missing = [name for name in (ID, *self._names) if name not in names]
        if missing:
            raise InvalidRequest(
                f"Expected the columns {', '.join((ID, *self._names))}, and {ROW} where requests "
                f"had several rows; there is no {', '.join(missing)}."
            )
        id_, truths = names.index(ID), [names.index(name) for name in self._names]
        row = names.index(ROW) if ROW in names else None

        def pick(cells: list[str]) -> Given:
            values = [cells[place] for place in truths]
            told: object = values[0] if len(values) == 1 else values
            number = _row_of(cells[row] if row is not None else "")
            return Given(cells[id_], number, told if any(values) else None)

        return pick


class Lines:
    """JSON Lines in pieces of any size: an object a line, of which other members are left alone,
    so that a line of an export may get a truth."""

    def __init__(self) -> None:
        self.empty = 0
        self._decoder = jsonl.Decoder()
        self._rows = 0

    def feed(self, data: bytes) -> list[Given]:
        """The truths in the lines that end in this piece.

        Raises:
            InvalidRequest: a line is no such object.
        """
        return self._given(self._decoder.feed(data))

    def finish(self) -> list[Given]:
        """That in the last line, where it has no end.

        Raises:
            InvalidRequest: as `feed`.
        """
        return self._given(self._decoder.finish())

    def _given(self, rows: Sequence[jsonl.Row | jsonl.Unreadable]) -> list[Given]:
        found = []
        for row in rows:
            if isinstance(row, jsonl.Unreadable):
                raise InvalidRequest(f"Row {self._rows}: {row.sentence}")
            given = Given(row.get(ID), row.get(ROW, 0), row.get(TRUTH))
            if given.truth is not None:
                found.append(given)
            self._rows += 1
        self.empty += len(rows) - len(found)
        return found


def _objects(content: Any) -> Sequence[Any]:
    return content if isinstance(content, list) else (content,)


def _of_object(content: object, row: int) -> Given:
    if not isinstance(content, Mapping):
        raise InvalidRequest(f"Row {row}: expected a JSON object, got {kind(content)}.")
    for name in content:
        if name not in MEMBERS:
            raise InvalidRequest(f"Row {row}: expected id, row and truth, got {name!r:.60}.")
    return Given(content.get(ID), content.get(ROW, 0), content.get(TRUTH))


def _row_of(text: str) -> object:
    text = text.strip()
    if not text:
        return 0
    return int(text) if _NUMBER.fullmatch(text) else text


def _require_utf_8(payload: Payload) -> None:
    charset = payload.content_type.partition("charset=")[2].partition(";")[0].strip(' "').lower()
    if charset not in _UTF_8:
        raise UnsupportedBody(f"Expected {payload.mimetype} in UTF-8, got {charset}.")


# What was given, checked ----------------------------------------------------------


def checked(given: Sequence[Given], truths: Truths, *, start: int = 0) -> list[Told]:
    """What was given as truths of a model. Of two of one row the later one counts.

    Raises:
        InvalidRows: some is none; their rows are counted from `start`, in the order of the body.
    """
    told: dict[tuple[str, int], Told] = {}
    faults: list[Fault] = []
    total = 0
    for number, each in enumerate(given, start):
        wrong = _place_faults(each, number)
        try:
            truth = truths.read(each.truth, number)
        except InvalidRows as error:
            wrong += error.faults
        if wrong:
            total += len(wrong)
            faults += wrong[: MOST_FAULTS - len(faults)]
            continue
        id_, row = str(each.id), int(str(each.row))
        told.pop((id_, row), None)
        told[id_, row] = Told(id_, row, truth)
    if total:
        raise InvalidRows(faults, rows=start + len(given), total=total)
    return list(told.values())


def _place_faults(given: Given, number: int) -> list[Fault]:
    """What is wrong with the id and the row."""
    found = []
    if not isinstance(given.id, str) or not 0 < len(given.id) <= MAX_ID:
        found.append(Fault(number, ID, f"a text of 1 to {MAX_ID} characters", got(given.id)))
    is_number = isinstance(given.row, int) and not isinstance(given.row, bool)
    if not is_number or not 0 <= int(str(given.row)) <= MAX_ROW:
        found.append(Fault(number, ROW, "the number of a row, from 0 on", got(given.row)))
    return found

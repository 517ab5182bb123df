"""A form and a query string: one row, whose values are text and whose empty values are missing.

Both are `application/x-www-form-urlencoded`, as the WHATWG URL standard has it; a form may also
come as `multipart/form-data` (RFC 7578), whose files are not taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import numpy as np
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from model_store import text_rules
from model_store.column_facts import JSONLabel
from model_store.literals import shown_category
from model_store.task import UNUSUAL, Measure

from ..inference import (
    EXPLAIN,
    InferenceRequest,
    InferenceResponse,
    InvalidRequest,
    RequestTooLarge,
)

CONTENT_TYPE: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
MAX_FIELDS: Final = 5000
_TOO_MANY: Final = f"A form may have {MAX_FIELDS} fields; send a row of more as JSON."


def decode(body: bytes, *, boundary: str | None = None) -> InferenceRequest:
    """The one row in a query string or a form; a multipart form has a boundary.

    A name that stands twice keeps both values, which no column takes.

    Raises:
        InvalidRequest: not UTF-8, not such a form, or too many fields.
    """
    pairs = _urlencoded(body) if boundary is None else _multipart(body, boundary)
    columns: MultiDict[str, str] = MultiDict(pairs)
    return InferenceRequest(
        {
            name: (values[0] if len(values) == 1 else values,)
            for name, values in columns.to_dict(flat=False).items()
        },
        rows=1,
        rules=text_rules.FORM,
        beside=EXPLAIN in columns,
    )


class Answer(NamedTuple):
    """What a model tells of one target, in a person's words: `probabilities` hold the share of each
    class from 0 to 1, the largest first. `beside` are sentences of what it measures beside that."""

    prediction: str
    probabilities: Sequence[tuple[str, float]] = ()
    beside: Sequence[str] = ()


def encode(
    response: InferenceResponse, words: Mapping[str, str], measures: Sequence[Measure] = ()
) -> list[Answer]:
    """The answer to the first row, for a page: one for each target."""
    labels = response.labels[:1].ravel().tolist()
    told = [
        word(label, words) if classes else number(label)
        for label, classes in zip(labels, response.classes, strict=True)
    ]
    beside = _beside(response, words, measures) or [[] for _ in told]
    if response.probabilities is None:
        return [Answer(each, (), sentences) for each, sentences in zip(told, beside, strict=True)]
    tables = zip(told, response.classes, response.probabilities, beside, strict=True)
    return [
        Answer(prediction, _by_share(classes, shares[0].tolist(), words), sentences)
        for prediction, classes, shares, sentences in tables
    ]


def _beside(
    response: InferenceResponse, words: Mapping[str, str], measures: Sequence[Measure]
) -> list[list[str]]:
    """For each target a sentence of each measure; nothing where there are no measures."""
    told = []
    for measure in measures:
        numbers = np.ravel(response.measures[measure.name][:1]).tolist()
        told.append([_measured(measure, each, words) for each in numbers])
    return [list(sentences) for sentences in zip(*told, strict=True)]


def _measured(measure: Measure, number: float, words: Mapping[str, str]) -> str:
    told = f"{measure.title.capitalize()} {number:.4g}"
    if measure.threshold is None:
        return f"{told}."
    return f"{told}; below {measure.threshold:g} a row is {word(UNUSUAL, words)}."


def _by_share(
    classes: Sequence[Any], shares: Sequence[float], words: Mapping[str, str]
) -> list[tuple[str, float]]:
    pairs = sorted(zip(classes, shares, strict=True), key=lambda pair: -pair[1])
    return [(word(class_, words), share) for class_, share in pairs]


def word(label: JSONLabel, words: Mapping[str, str]) -> str:
    """A class in a person's words; in quotes a text whose ends would not be seen."""
    told = words.get(str(label))
    if told is not None:
        return told
    text = shown_category(label)
    return text if text and text == text.strip() else f'"{text}"'


def number(label: JSONLabel) -> str:
    """A number that was predicted, rounded where it is a fraction."""
    return f"{label:.6g}" if isinstance(label, float) else str(label)


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    if body[:1] in (b"{", b"["):
        raise InvalidRequest(
            "The fields look like JSON; post it with the header Content-Type: application/json."
        )
    try:
        return parse_qsl(
            body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except UnicodeDecodeError:
        raise InvalidRequest("The form is not UTF-8.") from None
    except ValueError:
        raise RequestTooLarge(_TOO_MANY) from None


def _multipart(body: bytes, boundary: str) -> Iterable[tuple[str, str]]:
    if not boundary:
        raise InvalidRequest(f"A form that comes as {MULTIPART} needs a boundary in Content-Type.")
    parser = MultiPartParser(
        stream_factory=lambda *_, **__: BytesIO(),  # instead of a temporary file
        max_form_memory_size=len(body),
        max_form_parts=MAX_FIELDS,
    )
    try:
        fields, files = parser.parse(BytesIO(body), boundary.encode("ascii"), len(body))
    except RequestEntityTooLarge:
        raise RequestTooLarge(_TOO_MANY) from None
    except (ValueError, UnicodeError) as error:
        raise InvalidRequest(f"The form is not multipart/form-data: {error}.") from None
    if files:
        raise InvalidRequest(f"No field takes a file, got one in {next(iter(files))!r}.")
    if None in fields:
        raise InvalidRequest("A part of the form has no name.")
    return fields.items(multi=True)

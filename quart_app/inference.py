"""A request for a prediction and its answer, whatever protocol brought them.

Protocols decode bytes into an `InferenceRequest` and encode an `InferenceResponse` into bytes;
nothing between the two knows which protocol it was.

InferenceError
├── InvalidRequest         the body is not what the protocol says
│   ├── RequestTooLarge    more bytes or rows than are taken
│   ├── UnsupportedBody    a content type that is not spoken here
│   └── UnknownOutput      an output that this model does not have
├── DeadlineExceeded       no answer in time
└── NotReady               the model is on its way, has failed, or the server stops
    └── Overloaded         as much is being done as may be
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_store.column_types import Datatype
from model_store.literals import NAMES_SHOWN
from model_store.text_rules import JSON, TextRules

if TYPE_CHECKING:
    from model_store.reasons.explanation import Explanation


class InferenceError(Exception):
    """The message is a sentence for whoever sent the request."""


class InvalidRequest(InferenceError):
    """`model` is the one that the request itself names, where that much could be read of it."""

    model: str | None = None


class RequestTooLarge(InvalidRequest):
    pass


class Bound(int):
    """A limit of what a request may bring, and the setting that says it."""

    setting: str

    def __new__(cls, limit: int, setting: str) -> Bound:
        found = super().__new__(cls, limit)
        found.setting = setting
        return found


def too_large(sentence: str, limit: int) -> RequestTooLarge:
    """The refusal of what is beyond a limit, with the setting that allows more, if there is one.
    The sentence comes without its full stop."""
    more = f"; the setting {limit.setting} allows more" if isinstance(limit, Bound) else ""
    return RequestTooLarge(f"{sentence}{more}.")


class UnsupportedBody(InvalidRequest):
    pass


class UnknownOutput(InvalidRequest):
    pass


class DeadlineExceeded(InferenceError):
    pass


class NotReady(InferenceError):
    """`retry_after` is in seconds; None where waiting does not help. `words` are what somebody
    else's code said of the cause, for the log."""

    def __init__(self, message: str, retry_after: int | None, words: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.words = words


class Overloaded(NotReady):
    """As much is being done at this moment as may be."""


BUSY: Final = "The server is busy; try again in a moment."
FAILED: Final = "The model failed on these values. It has been logged."
INTERNAL: Final = "Something went wrong here. It has been logged."
"""Sentences for whoever sent a request, where the error itself has none for them."""

BUSY_RETRY_AFTER: Final = 1
"""Seconds after which a client may come again that was refused because too much is waiting."""

TABLES_RETRY_AFTER: Final = 5
"""Seconds after which there may be room for another table."""


def tables_full() -> NotReady:
    """The refusal of one table too many."""
    return Overloaded("As many tables are on their way as may be.", TABLES_RETRY_AFTER)


Values = Sequence[object] | NDArray[Any]
"""One column: a value for each row."""

PREDICT: Final = "predict"
PREDICT_PROBA: Final = "predict_proba"
DECISION_FUNCTION: Final = "decision_function"
EXPLAIN: Final = "explain"
"""The output that says what each column contributes to the answer."""
USUAL_SCALE: Final = "usual"
"""In place of a scale: the one that suits the model."""
OUTPUTS: Final = (PREDICT, PREDICT_PROBA, DECISION_FUNCTION)
"""What a model may be asked for by the names of scikit-learn's methods, beside its measures."""


class Wanted(NamedTuple):
    """An output that was asked for by name, and whether as bytes, where the protocol can."""

    name: str
    binary: bool = False


class InferenceRequest(msgspec.Struct, frozen=True):
    """Columns of `rows` values each, as they came: the signature brings them to types.

    `columns` have names, or stand in the order of the signature. `tensor` is the name of a single
    column or matrix, which its sender may have chosen freely. `many` says that a list of rows was
    sent, even of one, so that a list is the answer. `rules` says what a text may stand for. Without
    `outputs` the usual ones are wanted, all as bytes with `binary`. `explain` is the scale on which
    the answers are to be explained, None where they are not. With `beside` a value of that name
    stands among those of the row: it is that wish, unless the model has such a column. `model` and
    `version` stand in the request itself, where no address has them.
    """

    columns: Mapping[str, Values] | Sequence[Values]
    rows: int
    many: bool = False
    rules: TextRules = JSON
    tensor: str | None = None
    id: str | None = None
    outputs: tuple[Wanted, ...] = ()
    binary: bool = False
    explain: str | None = None
    beside: bool = False
    model: str | None = None
    version: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that were sent."""
        return tuple(self.columns) if isinstance(self.columns, Mapping) else ()

    @property
    def in_bytes(self) -> bool:
        """Whether any output is wanted as bytes."""
        if self.outputs:
            return any(output.binary for output in self.outputs)
        return self.binary

    def named(self, names: Sequence[str]) -> Mapping[str, Values]:
        """The columns by name, those without one by the order of `names`.

        Raises:
            InvalidRequest: there are more or fewer than names.
        """
        if isinstance(self.columns, Mapping):
            return self.columns
        if len(self.columns) == 1 and self.tensor is not None and self.tensor in names:
            return {self.tensor: self.columns[0]}
        if len(self.columns) != len(names):
            shown = ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")
            raise InvalidRequest(
                f"Expected {len(names)} values in each row, which are {shown}; "
                f"got {len(self.columns)}."
            )
        return dict(zip(names, self.columns, strict=True))


class InferenceResponse(msgspec.Struct, frozen=True):
    """The answer of one version of one model to n rows.

    `labels` has the shape (n,), or (n, targets) of several. `probabilities` is None, or has for
    each target an array of the shape (n, classes), whose columns `classes` names; a number has
    no classes. `datatype` is what holds each of the labels in a tensor.
    `scores` is what the decision function said, where that was asked for, of the shape (n, …).
    `measures` are the numbers beside the labels, by their names, each of the shape of the labels.
    `explanation` says, where that was asked for, what each of the `columns` contributes.
    `id` is that of the request, or a new one. `variant` says who answered where a challenger is
    tried: champion or canary.
    """

    id: str
    model: str
    version: int
    labels: NDArray[Any]
    probabilities: Sequence[NDArray[np.float64]] | None
    classes: Sequence[Sequence[object]]
    notice: str | None
    datatype: Datatype = "FP64"
    scores: NDArray[np.float64] | None = None
    measures: Mapping[str, NDArray[np.float64]] = {}
    variant: str | None = None
    explanation: Explanation | None = None
    columns: Sequence[str] = ()

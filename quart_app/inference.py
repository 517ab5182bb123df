"""A request for a prediction and its answer, whatever protocol brought them.

Protocols decode bytes into an `InferenceRequest` and encode an `InferenceResponse` into bytes;
nothing between the two knows which protocol it was.

InferenceError
├── InvalidRequest         the body is not what the protocol says
│   ├── RequestTooLarge    more bytes or rows than are taken
│   └── UnsupportedBody    a content type that is not spoken here
├── DeadlineExceeded       no answer in time
└── NotReady               the model is on its way, has failed, or the server stops
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class InferenceError(Exception):
    """The message is a sentence for whoever sent the request."""


class InvalidRequest(InferenceError):
    pass


class RequestTooLarge(InvalidRequest):
    pass


class UnsupportedBody(InvalidRequest):
    pass


class DeadlineExceeded(InferenceError):
    pass


class NotReady(InferenceError):
    """`retry_after` is in seconds; None where waiting does not help."""

    def __init__(self, message: str, retry_after: int | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """Named columns of `rows` values each, as they came: the signature brings them to types.

    `many` says that a list of rows was sent, even of one, so that a list is the answer. `text`
    says that the wire knows nothing but text.
    """

    columns: Mapping[str, Sequence[object] | NDArray[Any]]
    rows: int
    many: bool = False
    text: bool = False


@dataclass(frozen=True, slots=True)
class InferenceResponse:
    """The answer of one version of one model to n rows.

    `labels` has the shape (n,), or (n, targets) of several. `probabilities` is None, or has for
    each target an array of the shape (n, classes), whose columns `classes` names.
    """

    id: str
    model: str
    version: int
    labels: NDArray[Any]
    probabilities: Sequence[NDArray[np.float64]] | None
    classes: Sequence[Sequence[object]]
    notice: str | None

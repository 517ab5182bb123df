"""A form and its two files, and the reader that believes nothing of them.

`model.json` is the tree of nodes. An array in it is {"dtype", "shape", "offset"}, and its values
stand in `model.bin` from that byte on: little-endian, in C order, nothing between them. Offsets are
multiples of 64, so that the file can be mapped and used where it lies.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np

from .background import Background
from .kinds import is_steady, kind_of
from .node import (
    MAX_COLUMNS,
    MAX_DENSE,
    Answer,
    Array,
    Malformed,
    Node,
    Predictor,
    Rows,
    Transform,
    require,
)
from .nodes.columns import Pipeline

FORM: Final = 2
"""The number of the format. What reads forms of one number must understand all of them.

1. A form has no background.
2. It may have one.
"""

FORM_HEADER: Final = "model.json"
FORM_DATA: Final = "model.bin"

ALIGNMENT: Final = 64
MAX_DEPTH: Final = 40
"""Nodes within nodes."""
MAX_NODES: Final = 1 << 17
MAX_HEADER: Final = 32 << 20
"""Bytes; decoded they may be twenty times as many."""

Dtype = Literal[
    "float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"
]
Length = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the values of an array stand."""

    dtype: Dtype
    shape: Annotated[list[Length], msgspec.Meta(max_length=4)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=1 << 48, multiple_of=ALIGNMENT)]

    @property
    def size(self) -> int:
        """How many values there are."""
        return math.prod(self.shape)

    @property
    def end(self) -> int:
        return self.offset + self.size * np.dtype(self.dtype).itemsize


class Form(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    eq=False,
):
    """What a pipeline computes. It has no state: any number of threads may ask it at once.

    `background` are rows that answers are explained against, where it keeps any.
    """

    format: Annotated[int, msgspec.Meta(ge=1, le=FORM)]
    columns: Annotated[int, msgspec.Meta(ge=1, le=MAX_COLUMNS)]
    root: Predictor
    background: Background | None = None

    @property
    def decides(self) -> bool:
        """Whether the pipeline has a decision function."""
        return self.root.decides

    @property
    def is_steady(self) -> bool:
        """Whether the time of an answer follows from the number of rows, whatever is in them."""
        return is_steady(self.root)

    @property
    def last(self) -> Predictor:
        """The last step."""
        return self.root.last if isinstance(self.root, Pipeline) else self.root

    def features(self, matrix: Array) -> Rows:
        """What the last step is given."""
        with np.errstate(all="ignore"):
            return self.root.features(matrix) if isinstance(self.root, Pipeline) else matrix

    def predict(self, matrix: Array) -> Answer:
        """What the pipeline's `predict` and `predict_proba` say of this matrix.

        `matrix` of shape (rows, columns) holds the columns in the order of training, as floats,
        integers or objects, whatever container the pipeline itself was fitted on.

        Raises:
            Refused: the pipeline refuses these rows.
        """
        # An overflow shows in the answer.
        with np.errstate(all="ignore"):
            return self.root.answer(matrix)

    def both(self, matrix: Array) -> tuple[Answer, Array]:
        """`predict` and `decide` of the same rows.

        Raises:
            Refused: the pipeline refuses these rows.
        """
        with np.errstate(all="ignore"):
            answer, scores = self.root.both(matrix)
        return answer, np.asarray(scores, dtype=np.float64)

    @property
    def deviates(self) -> bool:
        """Whether the pipeline has a standard deviation beside its prediction."""
        return self.root.deviates

    def deviating(self, matrix: Array) -> tuple[Answer, Array]:
        """`predict`, and the standard deviation of each number in it.

        Raises:
            Refused: the pipeline refuses these rows.
        """
        with np.errstate(all="ignore"):
            return self.root.deviating(matrix)

    def decide(self, matrix: Array) -> Array:
        """What its decision function says, of shape (n,) or (n, classes).

        Raises:
            Refused: the pipeline refuses these rows.
        """
        with np.errstate(all="ignore"):
            return self.root.scores(matrix)


def read(header: bytes, data: bytes | memoryview) -> Form:
    """The form in two files. Its arrays are views of `data`, which cannot be written through.

    Raises:
        Malformed: this is no form, or one that a later program wrote.
    """
    require(len(header) <= MAX_HEADER, f"a header of at most {MAX_HEADER} bytes")
    try:
        decoded = msgspec.json.decode(header)
        reader = _Reader(memoryview(data).toreadonly())
        form = msgspec.convert(decoded, Form, dec_hook=reader.field)
        reader.require_apart()
        with np.errstate(all="ignore"):  # what is infinite is found by its check
            form.root.check(form.columns)
            if form.background is not None:
                require(form.format > 1, "no background in format 1")
                form.background.check(form.columns)
    except Malformed:
        raise
    # A check that stumbles over a field, as over a number where it counts rows, has found it wrong.
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise Malformed(f"this is no form: {error}") from error
    return form


class _Reader:
    """The fields of nodes that are arrays or nodes again."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._spans: list[Span] = []
        self._depth = 0
        self._nodes = 0

    def field(self, wanted: Any, value: Any) -> Any:
        if wanted in (Transform, Predictor):
            return self._node(wanted, value)
        return self._array(value)

    def _node(self, wanted: type, value: Any) -> Node:
        kind = kind_of(value.get("kind") if isinstance(value, dict) else None)
        require(kind is not None and issubclass(kind, wanted), f"a {wanted.__name__.lower()}")
        require(self._depth < MAX_DEPTH, f"at most {MAX_DEPTH} nodes within each other")
        self._nodes += 1
        require(self._nodes <= MAX_NODES, f"at most {MAX_NODES} nodes")
        self._depth += 1
        found: Node = msgspec.convert(value, kind, dec_hook=self.field)
        self._depth -= 1
        return found

    def _array(self, value: Any) -> Array:
        span = msgspec.convert(value, Span)
        require(span.end <= len(self._data), f"{span.end} bytes, got {len(self._data)}")
        # Without a value there may be any length, which no bytes of the file stand for.
        lengths = math.prod(length for length in span.shape if length)
        require(bool(span.size) or lengths <= MAX_DENSE, f"lengths of at most {MAX_DENSE}")
        self._spans.append(span)
        dtype = np.dtype(span.dtype).newbyteorder("<")
        found = np.frombuffer(self._data[span.offset : span.end], dtype=dtype, count=span.size)
        return found.reshape(span.shape)

    def require_apart(self) -> None:
        """Raises Malformed where two arrays share bytes: so a form is no larger than its file."""
        spans = sorted((span for span in self._spans if span.size), key=_offset)
        for before, after in pairwise(spans):
            require(before.end <= after.offset, "arrays that do not overlap")


def _offset(span: Span) -> int:
    return span.offset


def write(form: Form) -> tuple[bytes, bytes]:
    """The contents of the two files."""
    data = bytearray()

    def field(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{type(value).__name__} is nothing that a form holds")
        data.extend(bytes(-len(data) % ALIGNMENT))
        span = Span(value.dtype.name, list(value.shape), len(data))
        data.extend(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes())
        return span

    header = msgspec.json.encode(form, enc_hook=field)
    return header, bytes(data)

"""The rest of a pipeline as an ONNX graph, for steps of which there is no plain form.

The steps before it, as far as there are nodes for them, are computed by these; so the graph is
given what scikit-learn would give those steps. skl2onnx makes it when a version is published, and
onnxruntime computes it where it is served; neither is imported before.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from .plain import Answer
from .plain.node import Rows, Splits, Transform, as_floats, finite
from .task import classes_of

Array = NDArray[Any]

PROBABILITY: Final = 1e-6
"""How far a probability may be from that of the pipeline."""

ROWS_AT_ONCE: Final = 256
"""What a graph computes on the way, such as distances, is held for so many rows."""

MOST_SPLITS: Final = 250_000
"""In trees. To convert them takes some seconds."""

_SLOW: Final = frozenset({"QuantileTransformer"})
"""To convert it takes minutes."""

_INPUT: Final = "X"
_TREES: Final = ("tree_", "_predictors")
"""What a fitted tree has, and what histogram gradient boosting has instead."""


class Converted(msgspec.Struct, frozen=True):
    """The steps of a pipeline that there are nodes for, and the graph of `rest`, the others. It has
    no state: any number of threads may ask it at once."""

    steps: tuple[Transform, ...]
    last: Graph
    rest: Any
    rounding: float = PROBABILITY

    def predict(self, matrix: Array) -> Answer:
        """What the pipeline's `predict` and `predict_proba` say of this matrix.

        Raises:
            Refused: the rows are for the pipeline itself.
        """
        with np.errstate(all="ignore"):
            return self.last.answer(self.features(matrix))

    def features(self, matrix: Array) -> Rows:
        """What the graph is given."""
        rows: Rows = matrix
        for step in self.steps:
            rows = step.transform(rows)
        return rows


class Graph(msgspec.Struct, frozen=True):
    """A graph in a session of onnxruntime, which any number of threads may ask at once.

    `classes` is None for a regression. Trees are asked with `narrow` floats, as those of
    scikit-learn compare; `parts` is where they part their values.
    """

    session: Any
    outputs: tuple[str, ...]
    classes: Array | None
    narrow: bool
    parts: Splits | None

    def answer(self, rows: Rows) -> Answer:
        """
        Raises:
            Refused: there is a value that is not finite among them.
        """
        dtype = np.float32 if self.narrow else np.float64
        numbers = finite(np.ascontiguousarray(as_floats(rows), dtype=dtype))
        chunks = [
            self.session.run(self.outputs, {_INPUT: numbers[start : start + ROWS_AT_ONCE]})
            for start in range(0, len(numbers), ROWS_AT_ONCE)
        ]
        told, *shares = zip(*chunks, strict=True)
        if self.classes is None:
            values = np.concatenate(told)
            return Answer(values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values)
        # Some graphs tell the labels in a row of a table.
        labels = np.concatenate([each.ravel() for each in told]).astype(self.classes.dtype)
        return Answer(labels, np.concatenate(shares[0]).astype(np.float64) if shares else None)

    def splits(self) -> Iterator[Splits]:
        if self.parts is not None:
            yield self.parts


def convert(pipeline: Any) -> bytes | None:
    """The steps of a fitted pipeline that there are no nodes for, as the bytes of an ONNX graph;
    None where that cannot be.

    Raises:
        ImportError: skl2onnx is not installed.
    """
    parted = _parted(pipeline)
    return None if parted is None else graph_of(parted[1])


def build_converted(pipeline: Any, data: bytes) -> Converted | None:
    """A pipeline with the graph that `convert` made of it; None where it is another one.

    Raises:
        ImportError: onnxruntime is not installed.
        Exception: it does not take the graph.
    """
    parted = _parted(pipeline)
    if parted is None:
        return None
    steps, rest = parted
    return Converted(steps, graph(rest, data), rest)


def _parted(pipeline: Any) -> tuple[tuple[Transform, ...], Any] | None:
    """The nodes of the first steps, as many as there are, and what follows them."""
    from .plain.pack.columns import flat
    from .plain.pack.given import Given, NotPacked
    from .plain.pack.steps import Steps

    try:
        steps = flat(pipeline)
        given = Given(int(steps[0].n_features_in_))
    except (NotPacked, AttributeError, LookupError):
        return None
    for known in reversed(range(len(steps))):
        try:
            nodes, _ = Steps().chain(steps[:known], given)
        except (NotPacked, AttributeError, LookupError, TypeError, ValueError, ImportError):
            continue
        return tuple(nodes), _joined(steps[known:])
    return None


def _joined(steps: Sequence[Any]) -> Any:
    if len(steps) == 1:
        return steps[0]
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)


def graph_of(rest: Any) -> bytes | None:
    """The graph of a fitted estimator, or of a pipeline of the last steps; None where there is none
    that could answer alike.

    Trees take float32, in which those of scikit-learn compare; between other steps they would get
    what was rounded otherwise. All else takes float64.

    Raises:
        ImportError: skl2onnx is not installed.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    parts = list(_parts(rest))
    trees = any(map(_is_tree, parts))
    if not all(map(_is_plain, parts)) or np.ndim(getattr(rest, "classes_", ())) != 1:
        return None
    if trees and not 0 < _splits_count(rest) <= MOST_SPLITS:
        return None
    kind = FloatTensorType if trees else DoubleTensorType
    types = [(_INPUT, kind([None, int(rest.n_features_in_)]))]
    # Tables in place of a dictionary a row, which not every classifier would give.
    for options in ({id(rest): {"zipmap": False}}, None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                data: bytes = to_onnx(
                    rest, initial_types=types, options=options
                ).SerializeToString()
                return data
            # It refuses what it does not know in any way.
            except Exception:
                continue
    return None


def session_of(data: bytes) -> Any:
    """A session of onnxruntime that answers by a graph.

    Raises:
        ImportError: onnxruntime is not installed.
        Exception: it does not take the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # What an arena once held it keeps.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def graph(rest: Any, data: bytes) -> Graph:
    """What the graph of `convert` answers in place of `rest`.

    Raises:
        ImportError: onnxruntime is not installed.
        Exception: it does not take the graph.
    """
    session = session_of(data)
    names = [output.name for output in session.get_outputs()]
    classes = classes_of(rest) if hasattr(rest, "classes_") else None
    shares = classes is not None and hasattr(rest, "predict_proba")
    return Graph(
        session=session,
        outputs=tuple(names[: 2 if shares else 1]),
        classes=classes,
        narrow=any(map(_is_tree, _parts(rest))),
        parts=splits_in(rest),
    )


def _parts(found: Any) -> Iterator[Any]:
    """An estimator, and all that it holds of scikit-learn or of the kind."""
    if isinstance(found, type):
        return
    if isinstance(found, (list, tuple)) or (
        isinstance(found, np.ndarray) and found.dtype == object
    ):
        for each in found:
            yield from _parts(each)
    elif isinstance(found, dict):
        yield from _parts(list(found.values()))
    elif hasattr(found, "__dict__") and (
        hasattr(found, "get_params") or type(found).__module__.startswith("sklearn.")
    ):
        yield found
        yield from _parts(list(vars(found).values()))


def _is_plain(part: Any) -> bool:
    """Whether it is of a class of scikit-learn that is converted in some seconds, and has no method
    of its own."""
    kind = type(part)
    own = any(callable(getattr(kind, name, None)) for name in vars(part))
    return _is_its_own(kind) and kind.__name__ not in _SLOW and not own


def _is_its_own(kind: type) -> bool:
    """Whether a class is the one of this name in scikit-learn."""
    module = sys.modules.get(kind.__module__)
    return kind.__module__.startswith("sklearn.") and getattr(module, kind.__name__, None) is kind


def _is_tree(part: Any) -> bool:
    return any(hasattr(part, name) for name in _TREES)


def _splits_count(rest: Any) -> int:
    found = splits_in(rest)
    return 0 if found is None else len(found[1])


def splits_in(rest: Any) -> Splits | None:
    """Where the trees of an ensemble part the columns that it is given; None where it is none, or
    they are given something else."""
    held = getattr(rest, "estimators_", ())
    # A forest in a list is a sequence as well, which numpy would take apart.
    trees = list(held.ravel() if isinstance(held, np.ndarray) else held)
    if not trees or not all(hasattr(each, "tree_") for each in trees):
        return None
    columns: Sequence[Any] = getattr(rest, "estimators_features_", [None] * len(trees))
    found = [_splits(each.tree_, own) for each, own in zip(trees, columns, strict=True)]
    return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])


def _splits(tree: Any, columns: Any) -> Splits:
    inner = tree.feature >= 0
    features = tree.feature[inner]
    return (features if columns is None else np.asarray(columns)[features]), tree.threshold[inner]

"""ONNX graphs as estimators, answered by onnxruntime.

What a graph refers to outside of itself, and operators that are not ONNX's own, are refused before
a session is made of it. What is left is compiled code that follows the graph, of which nothing is
checked here: such a model needs to be allowed by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..converted import session_of
from ..errors import LoadFailed, UnreadableFile, Unsound, words_of
from ..opcodes import Global
from ..stand_ins import Listing
from ..trust import Trust
from .part import Format

ENDING: Final = ".onnx"
DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
TYPES: Final = {1: "float32", 6: "int32", 7: "int64", 8: "object", 9: "bool", 11: "float64"}
"""Numbers of ONNX's types of tensors: https://onnx.ai/onnx/api/classes.html"""
LABELS: Final = ("classlabels_strings", "classlabels_ints", "classlabels_int64s")


class OnnxModel:
    """A graph that predicts numbers of rows.

    `graph` are its bytes, `kinds` the dtypes of its inputs by name: one input of `n_features_in_`
    columns, or one of each column, whose names are those of the columns.
    """

    def __init__(self, graph: bytes, kinds: dict[str, str], columns: int) -> None:
        self.graph = graph
        self.kinds = kinds
        self.n_features_in_ = columns
        if len(kinds) > 1:
            self.feature_names_in_ = np.array(list(kinds), dtype=object)

    def predict(self, X: Any) -> NDArray[Any]:
        """One value for each row, or several."""
        found = np.asarray(self._run(X)[0])
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    def _run(self, X: Any) -> list[Any]:
        session = vars(self).get("_session")
        if session is None:
            session = self._session = _session(self.graph)
        rows = np.asarray(X)
        if rows.ndim != 2 or rows.shape[1] != self.n_features_in_:
            raise ValueError(f"expected rows of {self.n_features_in_} columns, got {rows.shape}")
        parts = [rows] if len(self.kinds) == 1 else np.hsplit(rows, rows.shape[1])
        given = zip(self.kinds.items(), parts, strict=True)
        feed = {name: np.ascontiguousarray(part.astype(kind)) for (name, kind), part in given}
        found: list[Any] = session.run(None, feed)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_session"}


class OnnxClassifier(OnnxModel):
    """A graph that tells classes, and then how probable each of them is."""

    def __init__(self, graph: bytes, kinds: dict[str, str], columns: int, classes: Any) -> None:
        super().__init__(graph, kinds, columns)
        self.classes_ = np.array(classes)

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Of shape (rows, classes)."""
        found = self._run(X)[1]
        if isinstance(found, list):  # ZipMap makes a dict of each row.
            found = [[row[each] for each in self.classes_.tolist()] for row in found]
        return np.asarray(found)


def listing(data: bytes) -> Listing:
    """The class that the graph becomes."""
    kind = OnnxModel if _labels(_parsed(data)) is None else OnnxClassifier
    return Listing((Global(kind.__module__, kind.__name__),), ())


def load(data: bytes, trust: Trust) -> Any:
    """The estimator of a graph.

    Raises:
        Unsound: it refers to files, or has operators of others.
        UnreadableFile: it is no graph of rows.
    """
    model = _parsed(data)
    _require_own(model)
    initial = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in initial]
    kinds = {each.name: TYPES.get(each.type.tensor_type.elem_type, "") for each in inputs}
    widths = [each.type.tensor_type.shape.dim[-1].dim_value for each in inputs if _is_rows(each)]
    if not inputs or not all(kinds.values()) or len(widths) != len(inputs):
        raise UnreadableFile(
            "this ONNX graph takes something else than rows of numbers or texts; convert the "
            "pipeline with inputs of the shape [None, columns]."
        )
    if min(widths) < 1 or (len(inputs) > 1 and set(widths) != {1}):
        raise UnreadableFile(
            "this ONNX graph does not say how many columns it takes; convert the pipeline with "
            "inputs of the shape [None, columns], or one of [None, 1] for each column."
        )
    labels = _labels(model)
    if labels is None:
        return OnnxModel(data, kinds, sum(widths))
    return OnnxClassifier(data, kinds, sum(widths), labels)


def _is_rows(given: Any) -> bool:
    return given.type.HasField("tensor_type") and len(given.type.tensor_type.shape.dim) == 2


def _parsed(data: bytes) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise LoadFailed(
            "an ONNX graph needs onnx; install it with pip install 'quart-app[onnx]'.",
            words_of(error),
        ) from error
    try:
        return onnx.load_model_from_string(data)
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadableFile(
            "this is no whole ONNX graph; copy it again in binary mode, or convert it again.",
            words_of(error),
        ) from error


def _session(graph: bytes) -> Any:
    try:
        return session_of(graph)
    except ImportError as error:
        raise LoadFailed(
            "an ONNX graph needs onnxruntime; install it with pip install 'quart-app[onnx]'.",
            words_of(error),
        ) from error


def _require_own(model: Any) -> None:
    """Raises Unsound where a graph reaches beyond itself."""
    if len(model.functions):
        raise Unsound("The ONNX graph has functions of its own; convert the pipeline without.")
    for graph in _graphs(model.graph):
        for node in graph.node:
            if node.domain not in DOMAINS:
                raise Unsound(
                    f"The ONNX graph has the operator {node.op_type!r:.60} of {node.domain!r:.60}, "
                    "which is not ONNX's own; convert the pipeline without it."
                )
        for tensor in _tensors(graph):
            if tensor.data_location or len(tensor.external_data):
                raise Unsound(
                    "The ONNX graph has numbers in a file beside it; write it with all of them in "
                    "it: onnx.save(onnx.load(file), file)."
                )


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and all that stand in it."""
    waiting = [graph]
    while waiting:
        found = waiting.pop()
        yield found
        for node in found.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else [])
            yield from attribute.tensors
            several = [*attribute.sparse_tensors]
            several += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            for sparse in several:
                yield from (sparse.values, sparse.indices)


def _labels(model: Any) -> list[Any] | None:
    """The classes that a graph tells with probabilities, as its last classifier names them."""
    if len(model.graph.output) < 2:
        return None
    for node in reversed(model.graph.node):
        for attribute in node.attribute:
            if attribute.name in LABELS and (attribute.strings or attribute.ints):
                texts = [each.decode() for each in attribute.strings]
                return texts or list(attribute.ints)
    return None


ONNX: Final = Format("ONNX", listing, load)

"""What a fitted pipeline and its data tell of themselves, before it is published.

What the pipeline takes is found out by asking it: a probe row that lacks a column, or has a
category that was never seen, is answered or is not. Without data the rows are made of what the
pipeline itself knows of its columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import numpy as np

from . import frames
from .column_types import NUMBER
from .columns import Column
from .errors import InvalidPipeline, InvalidRows, LoadFailed
from .labels import json_labels
from .manifest import Target
from .model import Prediction, ask, close
from .probe import Probe, looks_at_dtypes
from .signature import Matrix, Signature
from .structure import Hint, Structure
from .targets import require_shares, targets_of
from .training import Training, missing

GOLDEN_ROWS: Final = 8


@dataclass(frozen=True, slots=True)
class Inspection:
    """All of a manifest that can be read off the pipeline and its data.

    `golden` has the shape (golden rows, columns), evenly spread over the data, which had `rows`
    rows; None without data.
    """

    task: Literal["classification", "regression"]
    signature: Signature
    targets: tuple[Target, ...]
    probabilities: bool
    estimator: str
    golden: Matrix
    rows: int | None

    @classmethod
    def of(
        cls,
        pipeline: Any,
        structure: Structure,
        training: Training | None = None,
        y: Any = None,
        *,
        target_name: str | Sequence[str] | None = None,
    ) -> Inspection:
        """Look at a fitted pipeline, with rows that it was trained on or without. Blocks.

        Raises:
            InvalidPipeline: it does not predict those rows, or without rows it does not tell what
                its columns are.
        """
        with warnings.catch_warnings():
            # What a pipeline says of a probe is nobody's concern.
            warnings.simplefilter("ignore")
            signature = _answered(pipeline, _signatures(structure, training), training, structure)
            golden = _golden_rows(pipeline, signature, training, structure)
            prediction = _ask(pipeline, signature, golden)
            if looks_at_dtypes(pipeline, signature, golden):
                signature = msgspec.structs.replace(signature, apart=True)
            if training is not None:
                _require_same(pipeline, prediction, signature, golden, training)
        rows = 0 if training is None else len(training)
        targets = targets_of(pipeline, prediction.labels, y, rows=rows, names=target_name)
        require_shares(prediction.probabilities, targets)
        return cls(
            task="regression" if targets[0].classes is None else "classification",
            signature=signature,
            targets=targets,
            probabilities=prediction.probabilities is not None,
            estimator=estimator_name(pipeline),
            golden=golden,
            rows=None if training is None else rows,
        )

    @classmethod
    def of_data(
        cls,
        pipeline: Any,
        X: Any = None,
        y: Any = None,
        *,
        feature_names: Sequence[str] | None = None,
        target_name: str | Sequence[str] | None = None,
    ) -> Inspection:
        """The same with training data as it is in a notebook: see `Training.of`.

        Raises:
            InvalidPipeline
        """
        require_predict(pipeline)
        structure = Structure.of(pipeline)
        training = None
        if X is not None:
            training = Training.of(_in_order(X, structure), _named(structure, X, feature_names))
        return cls.of(pipeline, structure, training, y, target_name=target_name)


def _in_order(X: Any, structure: Structure) -> Any:
    """A DataFrame with the columns that the pipeline knows, in its order."""
    if structure.names is None or not hasattr(X, "columns"):
        return X
    lacking = [name for name in structure.names if name not in set(map(str, X.columns))]
    if lacking:
        raise InvalidPipeline(f"The training data lacks the columns {', '.join(lacking)}.")
    positions = {str(name): i for i, name in enumerate(X.columns)}
    return X.iloc[:, [positions[name] for name in structure.names]]


def _named(structure: Structure, X: Any, given: Sequence[str] | None) -> Sequence[str] | None:
    if structure.names is None:
        return given
    if given is not None and tuple(given) != structure.names:
        raise InvalidPipeline(
            "The pipeline was fitted on a DataFrame and knows its columns; leave feature_names out."
        )
    return structure.names


def require_predict(pipeline: Any) -> None:
    """Raises InvalidPipeline where it is nothing that predicts."""
    if not callable(getattr(pipeline, "predict", None)):
        raise InvalidPipeline(
            f"A {type(pipeline).__name__} has no predict method; publish a fitted pipeline."
        )


def estimator_name(pipeline: Any) -> str:
    """The class of the pipeline, or those of its steps."""
    steps = getattr(pipeline, "steps", None)
    if steps is None:
        return type(pipeline).__name__
    return " → ".join(type(step).__name__ for _, step in steps)


# The signature -------------------------------------------------------------------


def _signatures(structure: Structure, training: Training | None) -> list[Signature]:
    """What the pipeline may take, the likeliest first; it is asked which one it is."""
    if training is None:
        return [_of_structure(structure)]
    columns = training.columns(structure.hints)
    if training.container == "frame" and structure.names is None:
        # Whether a DataFrame or its values was fitted on, not every transformer remembers.
        kinds: tuple[Literal["matrix", "frame"], ...] = ("matrix", "frame")
        return [Signature(columns=columns, dtype=training.dtype, container=kind) for kind in kinds]
    return [
        Signature(
            columns=columns,
            dtype=training.dtype,
            container="frame" if structure.names else training.container,
        )
    ]


def _of_structure(structure: Structure) -> Signature:
    if not structure.hints:
        raise InvalidPipeline(
            "The pipeline does not tell how many columns it takes; give rows that it was trained "
            "on (--sample rows.csv)."
        )
    names = structure.names or tuple(f"x{i}" for i in range(len(structure.hints)))
    if structure.texts:
        names = ("text",)
    pairs = zip(names, structure.hints, strict=True)
    columns = tuple(_of_hint(name, hint) for name, hint in pairs)
    numeric = all(column.dtype == "float64" for column in columns)
    return Signature(
        columns=columns,
        dtype="float64" if numeric else "object",
        container="texts" if structure.texts else "frame" if structure.names else "matrix",
    )


def _of_hint(name: str, hint: Hint) -> Column:
    facts: dict[str, Any] = {"minimum": hint.minimum, "maximum": hint.maximum}
    if hint.kind is not None:
        dtype = hint.category_dtype
        facts = hint.kind.learn(np.empty(0, dtype=object), dtype, hint.categories)
        facts["dtype"] = dtype
    facts["typical"] = next(iter(hint.values), None)
    return Column(name=name, type=(hint.kind or NUMBER).name, **facts)


def _answered(
    pipeline: Any,
    signatures: Sequence[Signature],
    training: Training | None,
    structure: Structure,
) -> Signature:
    """The first signature of which a row is answered, with what the probes find.

    Raises:
        InvalidPipeline: none is.
    """
    reason: Exception | None = None
    for signature in signatures:
        for cells in _candidates(signature, training, structure):
            probe = Probe(pipeline, signature, cells)
            try:
                probe.ask({})
            except (LoadFailed, MemoryError):
                raise
            except Exception as error:
                reason = reason or error
                continue
            return probe.findings()
    what = "rows that its own parts suggest" if training is None else "rows of its training data"
    more = "; give some that it was trained on (--sample rows.csv)" if training is None else ""
    raise InvalidPipeline(f"The pipeline does not predict {what}: {reason}{more}") from reason


def _candidates(
    signature: Signature, training: Training | None, structure: Structure
) -> Iterator[list[Any]]:
    """Rows to probe with: real ones first, since a row of typical values need not be one."""
    if training is not None:
        whole = ~np.any([missing(feature.values) for feature in training.features], axis=0)
        for row in _spread(np.flatnonzero(whole)):
            yield [feature.values[row] for feature in training.features]
    yield [_or_zero(column) for column in signature.columns]
    for suggested in _suggested(structure, signature):
        yield list(suggested.values())


def _or_zero(column: Column) -> Any:
    return column.typical if column.typical is not None else 0


# Golden rows ---------------------------------------------------------------------


def _golden_rows(
    pipeline: Any, signature: Signature, training: Training | None, structure: Structure
) -> Matrix:
    """Up to GOLDEN_ROWS rows that the signature takes, evenly spread over the data."""
    if training is not None:
        return _validated(signature, _plain_rows(signature, training, _usable(signature, training)))
    suggested = _suggested(structure, signature)
    answered = [row for row in suggested if _answers(pipeline, signature, row)]
    if not answered:
        raise InvalidPipeline(
            "The pipeline does not predict rows that its own parts suggest; give some that it was "
            "trained on (--sample rows.csv)."
        )
    return _validated(signature, answered)


def _usable(signature: Signature, training: Training) -> list[int]:
    usable = np.ones(len(training), dtype=bool)
    for column, feature in zip(signature.columns, training.features, strict=True):
        null = missing(feature.values)
        usable &= (null & column.missing) | ~null
        if feature.values.dtype.kind == "f":
            usable &= ~np.isinf(feature.values)
        if column.kind.closed(column):
            known = set(column.kind.choices(column))
            usable &= null | np.array([value in known for value in feature.values])
    if not usable.any():
        raise InvalidPipeline(
            "Every row of the training data has a missing, infinite or unknown value that the "
            "pipeline does not take; impute it inside the pipeline."
        )
    return _spread(np.flatnonzero(usable))


def _spread(rows: Sequence[int] | Any) -> list[int]:
    """Up to GOLDEN_ROWS of these, from the first to the last."""
    if not len(rows):
        return []
    chosen = np.unique(np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int))
    return [int(rows[i]) for i in chosen]


def _plain_rows(
    signature: Signature, training: Training, rows: Sequence[int]
) -> list[dict[str, Any]]:
    pairs = list(zip(signature.columns, training.features, strict=True))
    return [
        {column.name: column.plain(feature.values[row]) for column, feature in pairs}
        for row in rows
    ]


def _suggested(structure: Structure, signature: Signature) -> list[dict[str, Any]]:
    """Rows made of what the pipeline knows: in each row, other values of each column."""
    names = signature.names
    hints = structure.hints if len(structure.hints) == len(names) else [Hint() for _ in names]
    rows = []
    for row in range(GOLDEN_ROWS):
        chosen = {}
        for i, (column, hint) in enumerate(zip(signature.columns, hints, strict=True)):
            values = hint.values or (_or_zero(column), 1)
            chosen[column.name] = values[(row + i) % len(values) if row else 0]
        if chosen not in rows:
            rows.append(chosen)
    return rows


def _answers(pipeline: Any, signature: Signature, row: dict[str, Any]) -> bool:
    try:
        _ask(pipeline, signature, _validated(signature, [row]))
    except Exception:
        return False
    return True


def _validated(signature: Signature, rows: Sequence[dict[str, Any]]) -> Matrix:
    columns = {name: [row[name] for row in rows] for name in signature.names}
    try:
        return signature.validate(columns, len(rows))
    except InvalidRows as error:
        raise InvalidPipeline(
            f"Rows of the training data do not fit the signature that they gave: {error}"
        ) from error


# Asking --------------------------------------------------------------------------


def _ask(pipeline: Any, signature: Signature, matrix: Matrix) -> Prediction:
    """The answer to the golden rows, with probabilities where the pipeline knows some.

    Raises:
        InvalidPipeline
    """
    rows = frames.as_fitted(matrix, signature)
    try:
        labels = ask(pipeline, rows, probabilities=False, several=True).labels
        several = labels.ndim == 2 and labels.shape[1] > 1
        prediction = ask(
            pipeline, rows, probabilities=_tells_probabilities(pipeline), several=several
        )
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidPipeline(
            f"The pipeline does not predict rows of its training data: {error}"
        ) from error
    if prediction.labels.shape[:1] != (len(matrix),):
        raise InvalidPipeline(
            f"The pipeline answers {len(matrix)} rows with the shape {prediction.labels.shape}."
        )
    return prediction


def _tells_probabilities(pipeline: Any) -> bool:
    return hasattr(pipeline, "predict_proba") and getattr(pipeline, "classes_", None) is not None


def _require_same(
    pipeline: Any, prediction: Prediction, signature: Signature, golden: Matrix, training: Training
) -> None:
    """A row must get one answer, whether it comes as it was in training or over the wire.

    Raises:
        InvalidPipeline
    """
    original = training.take(_usable(signature, training))
    if original is None or (training.container == "frame") != (signature.container == "frame"):
        return
    several = prediction.labels.ndim > 1
    before = ask(pipeline, original, probabilities=False, several=several).labels
    for now, then in zip(json_labels(prediction.labels), json_labels(before), strict=True):
        if now != then and not close(now, then):
            raise InvalidPipeline(
                f"The pipeline answers a row of its training data with {then}, and with {now} when "
                "the same values come as JSON; make what it does with a column depend on the "
                "values alone, not on the dtype."
            )

"""What a fitted pipeline and its data tell of themselves, before it is published.

What the pipeline takes is found out by asking it: a probe row that lacks a column, or has a
category that was never seen, is answered or is not. Without data the rows are made of what the
pipeline itself knows of its columns. Whether its answer to a row is that row's alone is asked too.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from .alike import alike
from .answers import answers_of
from .column_types import NUMBER
from .columns import Column
from .containers import Trial, possible
from .errors import InvalidPipeline, LoadFailed, ModelStoreError
from .labels import Labels
from .literals import NAMES_SHOWN
from .manifest import Target, Variation
from .model import Prediction
from .probe import Probe, looks_at_dtypes
from .reasons.background import MOST_COLUMNS
from .refusals import unanswered
from .signature import Matrix, Signature
from .structure import Hint, Structure
from .targets import column_names, output_count, require_shares, require_width, targets_of
from .task import (
    NO_PREDICT,
    SUPERVISED,
    Measure,
    Task,
    begins_at_batch,
    last_of,
    measures_of,
    task_of,
    why_silent,
)
from .training import Training, missing
from .trial_rows import as_sent, sendable, trial_rows, usable, validated
from .variation import Finding, of_batches, of_calls

GOLDEN_ROWS: Final = 8
DRAWN_ROWS: Final = 200
LEARNED_ROWS: Final = 10_000
LEARNED_CELLS: Final = 200_000
"""Rows that tell what the training data is like, and cells of them."""
SEED: Final = 20260101
MOST_FALLEN: Final = 2_000
"""Rows of training data of which is told to which cluster they fall, or what they become."""
FALLEN_CELLS: Final = 400_000

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Inspection:
    """All of a manifest that can be read off the pipeline and its data.

    `golden` has the shape (golden rows, columns), evenly spread over the data, which had `rows`
    rows; None without data. `drawn` are up to 200 rows of it in the order in which they were drawn,
    None where there are none to draw, and `learned` those that tell what the data is like, of which
    `drawn` are the first. `varies` says how its answers vary, where that was allowed.
    """

    task: Task
    signature: Signature
    targets: tuple[Target, ...]
    probabilities: bool
    measures: tuple[Measure, ...]
    estimator: str
    golden: Matrix
    rows: int | None
    varies: Variation | None = None
    drawn: Matrix | None = None
    learned: Matrix | None = None

    @classmethod
    def of(
        cls,
        pipeline: Any,
        structure: Structure,
        training: Training | None = None,
        y: Any = None,
        *,
        target_name: str | Sequence[str] | None = None,
        allow_varying: bool = False,
        progress: Progress = lambda step: None,
    ) -> Inspection:
        """Look at a fitted pipeline, with rows that it was trained on or without. Blocks.

        Raises:
            InvalidPipeline: it does not predict those rows, or not by what a client can send of
                them; or without rows it does not tell what its columns are; or its answer to a row
                is not that row's alone, and `allow_varying` is not set.
        """
        task = task_of(pipeline)
        if task not in SUPERVISED:
            # It was not fitted to tell it, as scikit-learn has it.
            y = None
        with warnings.catch_warnings():
            # What a pipeline says of a probe is nobody's concern.
            warnings.simplefilter("ignore")
            require_width(pipeline)
            allow_varying = allow_varying or (
                task == "transformation" and begins_at_batch(pipeline)
            )
            trial = None if training is None else Trial(pipeline, training, trial_rows(training, y))
            varies = _allowed(None if trial is None else trial.calls(), allow_varying)
            progress("asking what each column takes")
            signature = _signature(pipeline, structure, trial, compared=varies is None)
            progress("asking for the answers to some rows, together and alone")
            golden = _golden_rows(pipeline, signature, training, structure)
            prediction = _ask(pipeline, signature, golden, structure, training)
            if varies is None and looks_at_dtypes(pipeline, signature, golden):
                signature = msgspec.structs.replace(signature, apart=True)
            if varies is None:
                finding = _variation(pipeline, signature, trial, golden)
                varies = _allowed(finding, allow_varying)
            fallen = None if task in SUPERVISED else _fallen(pipeline, signature, training)
        rows = 0 if training is None else len(training)
        if target_name is None and task == "transformation":
            target_name = column_names(pipeline, signature, prediction.labels)
        known = y if fallen is None else fallen
        targets = targets_of(
            pipeline,
            prediction.labels,
            known,
            rows=rows if fallen is None else len(fallen),
            names=target_name,
        )
        require_shares(prediction.probabilities, targets)
        learned = None if training is None else _drawn_rows(signature, training)
        return cls(
            task=task,
            signature=signature,
            targets=targets,
            probabilities=prediction.probabilities is not None,
            measures=measures_of(pipeline),
            estimator=estimator_name(pipeline),
            golden=golden,
            rows=None if training is None else rows,
            varies=varies,
            drawn=None if learned is None or varies else learned[:DRAWN_ROWS],
            learned=learned,
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
        types: Mapping[str, str] | None = None,
        missing: Mapping[str, str] | None = None,
        allow_varying: bool = False,
        progress: Progress = lambda step: None,
    ) -> Inspection:
        """The same with training data as it is in a notebook: see `Training.of`.

        Raises:
            InvalidPipeline
        """
        require_answers(pipeline)
        for option, words in (("types", types), ("missing", missing)):
            if words and X is None:
                raise InvalidPipeline(f"{option} says what columns of X are, and there is no X.")
        if hasattr(X, "columns") and not hasattr(X, "iloc"):
            raise InvalidPipeline(
                f"Training data may be a DataFrame of pandas, got {type(X).__module__}."
                f"{type(X).__qualname__}; give its to_pandas()."
            )
        with _in_our_words():
            progress("looking at the pipeline and its data")
            structure = Structure.of(pipeline)
            training = None
            if X is not None:
                names = _named(structure, X, feature_names)
                training = Training.of(_in_order(X, structure), names)
                training = training.typed(types or {}, missing)
            return cls.of(
                pipeline,
                structure,
                training,
                y,
                target_name=target_name,
                allow_varying=allow_varying,
                progress=progress,
            )


@contextlib.contextmanager
def _in_our_words() -> Iterator[None]:
    """Whatever else a pipeline or its data raises, behind a sentence of ours."""
    try:
        yield
    except (ModelStoreError, MemoryError):
        raise
    except Exception as error:
        raise InvalidPipeline(
            "The pipeline cannot be looked at with this data; it is to be one that is fitted, X "
            "the rows that it was fitted on, and y what it was fitted to tell. It said: "
            f"{type(error).__name__}: {error}"
        ) from error


def _in_order(X: Any, structure: Structure) -> Any:
    """A DataFrame with the columns that the pipeline knows, in its order."""
    if structure.names is None or not hasattr(X, "columns"):
        return X
    places = {str(name): i for i, name in enumerate(X.columns)}
    positions = {known: places[name] for known, name in structure.spelled(places).items()}
    lacking = [name for name in structure.names if name not in positions]
    if lacking:
        more = f" and {len(lacking) - NAMES_SHOWN} more" if len(lacking) > NAMES_SHOWN else ""
        shown = ", ".join(lacking[:NAMES_SHOWN])
        raise InvalidPipeline(f"The training data lacks the columns {shown}{more}.")
    return X.iloc[:, [positions[name] for name in structure.names]]


def _named(structure: Structure, X: Any, given: Sequence[str] | None) -> Sequence[str] | None:
    if structure.names is None:
        return given
    if given is not None and tuple(given) != structure.names:
        raise InvalidPipeline(
            "The pipeline was fitted on a DataFrame and knows its columns; leave feature_names out."
        )
    return structure.names


def require_answers(pipeline: Any) -> None:
    """Raises InvalidPipeline where it is nothing that predicts or transforms rows."""
    why = why_silent(pipeline)
    if why is not None:
        more = "; publish a fitted pipeline" if why == NO_PREDICT else ""
        raise InvalidPipeline(f"A {type(last_of(pipeline)).__name__} {why}{more}.")


def estimator_name(pipeline: Any) -> str:
    """The class of the pipeline, or those of its steps."""
    steps = getattr(pipeline, "steps", None)
    if steps is None:
        return type(pipeline).__name__
    return " → ".join(type(step).__name__ for _, step in steps)


# The signature -------------------------------------------------------------------


def _signature(
    pipeline: Any, structure: Structure, trial: Trial | None, *, compared: bool
) -> Signature:
    """What the pipeline takes, with what the probes find. Where the same rows have several answers,
    containers cannot be `compared`, and the first that is answered is taken.

    Raises:
        InvalidPipeline: it does not predict, or not as a client could ask it.
    """
    training = None if trial is None else trial.training
    signatures = _signatures(structure, training)
    answered = _answered(pipeline, signatures, training, structure)
    found = trial.choose(answered) if trial and compared else next(answered, None)
    if found is None:
        raise _unanswered(pipeline, structure, trial, signatures[-1])
    return found


def _signatures(structure: Structure, training: Training | None) -> list[Signature]:
    """What the pipeline may take, the cheapest first; it is asked which one it is."""
    if training is None:
        return [_of_structure(structure)]
    # Texts without a table around them are texts, also where they are few.
    hints = [Hint(text=True)] if training.container == "texts" else structure.hints
    columns = training.columns(hints)
    return [
        Signature(columns=columns, dtype=training.dtype, container=container)
        for container in possible(training, named=structure.names is not None)
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
) -> Iterator[Signature]:
    """Those of the signatures of which a row is answered, with what the probes find."""
    lacking = [False] * len(signatures[0].columns)
    if training is not None:
        lacking = [bool(missing(feature.values).any()) for feature in training.features]
    for signature in signatures:
        for cells in _candidates(signature, training, structure):
            probe = Probe(pipeline, signature, cells)
            if probe.answers({}):
                yield probe.findings(alike(pipeline, signature.columns, lacking))
                break


def _unanswered(
    pipeline: Any, structure: Structure, trial: Trial | None, signature: Signature
) -> InvalidPipeline:
    """Why a pipeline is not taken that answers no row, at last not by this signature."""
    blamed = None if trial is None else trial.blame(signature)
    if blamed is not None:
        return blamed
    training = None if trial is None else trial.training
    cells = next(_candidates(signature, training, structure))
    together = None if trial is None else trial.answered(signature)
    return unanswered(
        Probe(pipeline, signature, cells),
        structure,
        training=training is not None,
        together=together is not None and len(together[0]) > 1,
    )


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
        return as_sent(signature, training, _usable(signature, training))
    suggested = _suggested(structure, signature)
    answered = [row for row in suggested if _answers(pipeline, signature, row)]
    if not answered:
        raise InvalidPipeline(
            "The pipeline does not predict rows that its own parts suggest; give some that it was "
            "trained on (--sample rows.csv)."
        )
    return _validated(signature, answered)


def _drawn_rows(signature: Signature, training: Training) -> Matrix | None:
    """Rows of the data that the signature takes: up to LEARNED_ROWS, and fewer of many columns."""
    if len(signature.columns) > MOST_COLUMNS:
        return None
    random = np.random.default_rng(SEED)
    most = max(min(LEARNED_ROWS, LEARNED_CELLS // len(signature.columns)), 2 * DRAWN_ROWS)
    rows = random.permutation(len(training))[:most].tolist()
    kept, matrix = sendable(signature, training, rows)
    return matrix if kept else None


def _usable(signature: Signature, training: Training) -> list[int]:
    found = usable(signature, training)
    if not found.any():
        raise InvalidPipeline(
            "Every row of the training data has a missing, infinite or unknown value that the "
            "pipeline does not take; impute it inside the pipeline."
        )
    return _spread(np.flatnonzero(found))


def _spread(rows: Sequence[int] | Any) -> list[int]:
    """Up to GOLDEN_ROWS of these, from the first to the last."""
    if not len(rows):
        return []
    chosen = np.unique(np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(int))
    return [int(rows[i]) for i in chosen]


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
        answers_of(pipeline, signature, _validated(signature, [row]))
    except Exception:
        return False
    return True


def _validated(signature: Signature, rows: Sequence[dict[str, Any]]) -> Matrix:
    columns = {name: [row[name] for row in rows] for name in signature.names}
    return validated(signature, columns, len(rows))


# Asking --------------------------------------------------------------------------


def _ask(
    pipeline: Any,
    signature: Signature,
    matrix: Matrix,
    structure: Structure,
    training: Training | None,
) -> Prediction:
    """The answer to the golden rows, with probabilities where the pipeline knows some.

    Raises:
        InvalidPipeline
    """
    try:
        prediction = answers_of(pipeline, signature, matrix)
    except (LoadFailed, MemoryError):
        raise
    except Exception as error:
        for cells in matrix:
            probe = Probe(pipeline, signature, list(cells))
            if not probe.answers({}):
                raise unanswered(
                    probe, structure, training=training is not None, together=False
                ) from error
        raise InvalidPipeline(
            "The pipeline predicts each row of its training data alone, and not several together. "
            f"It said: {type(error).__name__}: {error}"
        ) from error
    if prediction.labels.shape[:1] != (len(matrix),):
        raise InvalidPipeline(
            f"The pipeline answers {len(matrix)} rows with the shape {prediction.labels.shape}, "
            "and should give an answer to each; one that begins with a vectorizer takes a list of "
            "texts, as a column of a DataFrame is one."
        )
    return prediction


def _fallen(pipeline: Any, signature: Signature, training: Training | None) -> Labels | None:
    """What is answered to rows of the training data, of shape (rows,) or (rows, targets): up to
    MOST_FALLEN, evenly spread, and fewer where each has many columns. None where it is not known.
    """
    if training is None:
        labels = getattr(last_of(pipeline), "labels_", None)
        return None if labels is None else np.asarray(labels)
    rows = np.flatnonzero(usable(signature, training))
    cells = max(len(signature.columns), output_count(pipeline) or 1)
    most = max(min(MOST_FALLEN, FALLEN_CELLS // cells), GOLDEN_ROWS)
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
    try:
        return answers_of(pipeline, signature, as_sent(signature, training, rows.tolist())).labels
    except MemoryError:
        raise
    except Exception:
        return None


def _variation(
    pipeline: Any, signature: Signature, trial: Trial | None, golden: Matrix
) -> Finding | None:
    """How the answers to rows vary as they are served: the golden rows, and with training data
    those of the trial, where it answers them all. From call to call they do not where they did not
    as the rows were given."""
    ask = partial(answers_of, pipeline, signature)
    answered = None if trial is None else trial.answered(signature)
    try:
        matrix, together = answered or (golden, ask(golden))
        if trial is None or trial.told is None:
            finding = of_calls(together, lambda: ask(matrix))
            if finding is not None:
                return finding
        return of_batches(together, ask, matrix)
    except (LoadFailed, MemoryError):
        raise
    except Exception as error:
        raise InvalidPipeline(
            "The pipeline answers rows together, and not each of them alone, as a client may ask: "
            f"{type(error).__name__}: {error}"
        ) from error


def _allowed(finding: Finding | None, allow_varying: bool) -> Variation | None:
    """How answers vary.

    Raises:
        InvalidPipeline: they do, and it is not allowed.
    """
    if finding is None:
        return None
    if not allow_varying:
        raise finding.refusal
    return finding.kind

"""A pipeline and its manifest, together able to answer.

Every answer is checked here for what a pipeline can get wrong: the number of rows, a NaN, an
infinity, a type that is not its own. So whoever asks gets either a usable prediction or a declared
error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from . import frames
from .arrow import ArrowArray, is_arrow
from .backend import FORM_DIFFERS, Served, served_here
from .converted import Converted
from .culprits import culprits
from .errors import (
    GoldenMismatch,
    InvalidColumns,
    InvalidRows,
    PredictionFailed,
    Unanswerable,
    Unexplained,
    words_of,
)
from .following import labels_of_greatest
from .labels import Classes, json_labels, labels_of, numbers, plain, side_by_side, texts
from .last_step import LastStep
from .manifest import TEXTS, Manifest, Sample, Target
from .plain import FORM_DATA, Answer, Form, Refused
from .plain.node import all_finite
from .signature import UnfitRows
from .task import DEVIATION, SCORE, Measure, told_beside
from .text_rules import JSON, TextRules
from .values import ABSENT, Positions, Values

if TYPE_CHECKING:
    from .reasons.explanation import Explanation, Reasons
    from .reasons.scales import Scale

RELATIVE_TOLERANCE = 1e-6
"""How far a golden row's floats may move: other processors and BLAS builds stay well below."""

REPLAYED = 64 * 1024
"""Bytes that the arrays of a form may have so that its reasons are seen to add up when the model is
loaded. What explains many trees takes more memory than they do, and most models are never asked."""

Asked = TypeVar("Asked")


class Prediction(msgspec.Struct, frozen=True):
    """What a pipeline says of n rows.

    `labels` has the shape (n,): classes, or numbers of a regression, as `labels.py` has them; of
    several targets it has the shape (n, targets). `probabilities` holds an array of the shape
    (n, classes) for each target, or is None where the pipeline knows none. Where rows were given
    of which some do not fit, `unfit` says which and why, and the n rows are the others. `measures`
    are the numbers beside the labels, by their names, each of the shape (n,), or (n, targets).
    """

    labels: NDArray[Any]
    probabilities: tuple[NDArray[np.float64], ...] | None
    unfit: UnfitRows | None = None
    measures: Mapping[str, NDArray[np.float64]] = msgspec.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        answer: Answer,
        *,
        probabilities: bool,
        several: bool,
        measures: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
    ) -> Prediction:
        """The same of what was computed without the pipeline, with the measures beside that."""
        labels, shares = plain(answer.labels), answer.shares
        if not several and labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if not probabilities or shares is None:
            return cls(labels, None, measures=measures)
        tables = shares if isinstance(shares, tuple) else (shares,)
        return cls(labels, tables, measures=measures)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> Prediction:
        probabilities = self.probabilities
        if probabilities is not None:
            probabilities = tuple([shares[rows] for shares in probabilities])
        measures = {name: each[rows] for name, each in self.measures.items()}
        return Prediction(self.labels[rows], probabilities, measures=measures)


def ask(
    last: LastStep,
    *,
    probabilities: bool,
    several: bool | None = False,
    measures: tuple[Measure, ...] = (),
) -> Prediction:
    """What a pipeline says of rows, brought to one shape; whatever it raises passes. `several` says
    that it has several targets, None that its answer tells. `measures` are wanted beside that.

    scikit-learn answers several targets with a list of arrays of probabilities, or with one array
    where each target is a class that applies or not.
    """
    # An overflow shows in the answer, which is checked: numpy need not warn of it as well.
    with np.errstate(all="ignore"):
        said, beside = told_beside(last, measures)
        labels = labels_of(said)
        if several is None:
            several = labels.ndim == 2 and labels.shape[1] > 1
        if not several and labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        shares = last.estimator.predict_proba(last.rows) if probabilities else None
    tables = None if shares is None else _tables(shares, several=several)
    return Prediction(labels, tables, measures=beside)


def answer_with(
    form: Form, matrix: NDArray[Any], measures: tuple[Measure, ...]
) -> tuple[Answer, dict[str, NDArray[np.float64]]]:
    """What a form answers, and the measures beside that.

    Raises:
        Refused: the pipeline refuses these rows.
    """
    if not measures:
        return form.predict(matrix), {}
    (measure,) = measures
    ask = form.both if measure.name == SCORE else form.deviating
    answer, numbers = ask(matrix)
    return answer, {measure.name: numbers}


def _tables(shares: Any, *, several: bool) -> tuple[NDArray[np.float64], ...]:
    """Probabilities as a pipeline tells them, as a table for each target."""
    if not several:
        if isinstance(shares, list) and np.ndim(shares[0]) > 1:  # of one target that is a column
            (shares,) = shares
        return (np.asarray(shares, dtype=np.float64),)
    if isinstance(shares, list):
        return tuple(np.asarray(each, dtype=np.float64) for each in shares)
    applies = np.asarray(shares, dtype=np.float64)
    return tuple(np.stack([1 - p, p], axis=1) for p in applies.T)


def joined(predictions: Sequence[Prediction], parts: Sequence[Positions]) -> Prediction:
    """One prediction of those of parts of the rows, which stand at these positions."""
    labels = in_order([each.labels for each in predictions], parts)
    tables = [each.probabilities for each in predictions if each.probabilities is not None]
    measures = {
        name: in_order([each.measures[name] for each in predictions], parts)
        for name in predictions[0].measures
    }
    if not tables:
        return Prediction(labels, None, measures=measures)
    shares = tuple(in_order(each, parts) for each in zip(*tables, strict=True))
    return Prediction(labels, shares, measures=measures)


def in_order(arrays: Sequence[NDArray[Any]], parts: Sequence[Positions]) -> NDArray[Any]:
    """The rows of arrays, which stand at these positions, one below the other."""
    found: NDArray[Any] = np.concatenate(arrays)[np.argsort(np.concatenate(parts))]
    return found


@dataclass(frozen=True, slots=True)
class Model:
    """One version of one model, loaded: its `form`, or its `pipeline`, of which the last steps may
    be `converted`."""

    manifest: Manifest
    pipeline: Any
    sample: Sample
    form: Form | None = None
    converted: Converted | None = None
    _classes: tuple[Classes | None, ...] = field(init=False, repr=False, compare=False)
    """Of each target, made once: a label is looked up in them at each prediction."""
    _reasons: list[Reasons] = field(init=False, repr=False, compare=False, default_factory=list)
    """What explains its answers, made when it is first asked."""

    def __post_init__(self) -> None:
        found = Classes.of_targets([target.classes for target in self.manifest.targets])
        object.__setattr__(self, "_classes", found)

    def with_words(self, manifest: Manifest) -> Model:
        """The same with a later revision of its manifest. What serves it was found when it was
        loaded."""
        told = msgspec.structs.replace(manifest, served=self.manifest.served)
        return replace(self, manifest=told)

    def answer(
        self, columns: Mapping[str, Values | ArrowArray], rows: int, rules: TextRules = JSON
    ) -> Prediction:
        """Predict rows that are given by column, each of which holds `rows` values.

        A column is a list, a numpy array (numbers, truths, `datetime64`, texts, objects; None, NaN,
        NaT and what is masked are missing values) or an Arrow array of pyarrow, chunked or not.
        `rules` says what a text may stand for besides itself. Rows that do not fit the signature
        are told in the prediction, which is that of the others. Blocks.

        Raises:
            InvalidColumns: what was given is no column, or has another length.
            Unanswerable, PredictionFailed: as `predict`.
        """
        for name, values in columns.items():
            _require_column(name, values, rows)
        checked = self.manifest.signature.check(columns, rows, rules)
        if checked.unfit is None:
            return self.predict(checked.matrix) if rows else self._nothing()
        prediction = self._nothing() if checked.unfit.mask.all() else self.predict(checked.fit)
        return msgspec.structs.replace(prediction, unfit=checked.unfit)

    def _nothing(self) -> Prediction:
        """The prediction of no rows, of which no pipeline makes one."""
        targets, several = self.manifest.targets, self.manifest.several
        known = [label for target in targets for label in target.classes or (0.0,)]
        labels = np.empty((0, len(targets)) if several else 0, dtype=np.asarray(known).dtype)
        measures: dict[str, NDArray[np.float64]] = {
            each.name: np.empty(labels.shape) for each in self.manifest.measures
        }
        if not self.manifest.probabilities:
            return Prediction(labels, None, measures=measures)
        shares = tuple(np.empty((0, len(each.classes or ()))) for each in targets)
        return Prediction(labels, shares, measures=measures)

    def predict(self, matrix: NDArray[Any]) -> Prediction:
        """Ask the form; or the pipeline, or what its last steps were converted to, where that takes
        these rows.

        `matrix` has the rows that fit, as `Signature.check` made them. Blocks.

        Raises:
            Unanswerable: it refused them, or answered with what is not finite, which it does not do
                for its golden rows. Of one row it names the columns, where each of them alone would
                have to be another.
            PredictionFailed: it raised something else, or its answer is not usable.
        """
        return self._explained(self.said, matrix)

    def said(self, matrix: NDArray[Any]) -> Prediction:
        """As `predict`, and of a row without an answer no columns are looked for."""
        prediction = self._without_pipeline(matrix)
        if prediction is None:
            parts = self._parts(matrix)
            if parts is not None:
                return joined([self.said(matrix[rows]) for rows in parts], parts)
            prediction = self._said_by(self._last_step(matrix))
        return self._checked(prediction, len(matrix))

    def judged(self, matrix: NDArray[Any]) -> tuple[Prediction, NDArray[np.float64] | None]:
        """`said` with `decided` of the same rows, which the pipeline transforms once for both; None
        in place of scores that a row has not, or where there is no decision function. Blocks.

        Raises:
            Unanswerable, PredictionFailed: as `said`.
        """
        if self.form is not None or self.converted is not None:
            return self.said(matrix), self._scored(partial(self.decided, matrix))
        parts = self._parts(matrix)
        if parts is not None:
            predictions, scores = zip(*[self.judged(matrix[rows]) for rows in parts], strict=True)
            known = [each for each in scores if each is not None]
            whole = len(known) == len(parts)
            return joined(predictions, parts), in_order(known, parts) if whole else None
        last = self._last_step(matrix)
        prediction = self._checked(self._said_by(last), len(matrix))
        return prediction, self._scored(partial(self._finite, last.decide, len(matrix)))

    def _scored(self, ask: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64] | None:
        try:
            return ask() if self.decides else None
        except PredictionFailed:
            return None

    def _last_step(self, matrix: NDArray[Any]) -> LastStep:
        rows = frames.as_fitted(matrix, self.manifest.signature)
        with self._declared():
            return LastStep(self.pipeline, rows)

    def _said_by(self, last: LastStep) -> Prediction:
        told = self.manifest
        with self._declared():
            return self._followed(last) or ask(
                last, probabilities=told.probabilities, several=told.several, measures=told.measures
            )

    def _followed(self, last: LastStep) -> Prediction | None:
        """What the pipeline says, found from its probabilities alone; None where that does not tell
        it."""
        if not self.manifest.labels_follow:
            return None
        with np.errstate(all="ignore"):
            shares = last.estimator.predict_proba(last.rows)
        tables = _tables(shares, several=self.manifest.several)
        labels = labels_of_greatest(tables, [each.classes for each in self.manifest.targets])
        return None if labels is None else Prediction(labels, tables)

    def _parts(self, matrix: NDArray[Any]) -> list[Positions] | None:
        """The positions of the rows that are asked together, where not all are. Where answers vary
        each row is asked alone, so that nobody's depends on the rows of others."""
        if self.manifest.varies is not None and len(matrix) > 1:
            return list(np.arange(len(matrix))[:, None])
        return frames.parts(matrix, self.manifest.signature)

    def _without_pipeline(self, matrix: NDArray[Any]) -> Prediction | None:
        """The answer of the form; or of what the steps were converted to, if it takes the rows."""
        measures: dict[str, NDArray[np.float64]] = {}
        with self._declared():
            if self.form is not None:
                answer, measures = answer_with(self.form, matrix, self.manifest.measures)
            elif self.converted is not None:
                try:
                    answer = self.converted.predict(matrix)
                except Refused:
                    return None
            else:
                return None
        told = self.manifest
        return Prediction.of(
            answer, probabilities=told.probabilities, several=told.several, measures=measures
        )

    @property
    def is_steady(self) -> bool:
        """Whether the time of a prediction follows from the number of rows, whatever is in them."""
        return self.form is not None and self.form.is_steady

    @property
    def decides(self) -> bool:
        """Whether the pipeline has a decision function."""
        if self.form is not None:
            return self.form.decides
        return hasattr(self.pipeline, "decision_function")

    def decide(self, matrix: NDArray[Any]) -> NDArray[np.float64]:
        """What the decision function says of each row, of the shape (n,) or (n, …). Blocks.

        Raises:
            Unanswerable, PredictionFailed: as `predict`.
        """
        return self._explained(self.decided, matrix)

    def decided(self, matrix: NDArray[Any]) -> NDArray[np.float64]:
        """As `decide`, and of a row without scores no columns are looked for."""
        parts = self._parts(matrix) if self.form is None else None
        if parts is not None:
            return in_order([self.decided(matrix[rows]) for rows in parts], parts)
        return self._finite(partial(self._scores, matrix), len(matrix))

    def _finite(self, ask: Callable[[], Any], rows: int) -> NDArray[np.float64]:
        """The scores of so many rows.

        Raises:
            Unanswerable, PredictionFailed: as `decide`.
        """
        with self._declared(), np.errstate(all="ignore"):
            scores = np.asarray(ask(), dtype=np.float64)
        if scores.shape[:1] != (rows,):
            raise PredictionFailed(
                f"The pipeline {self.manifest.name} gave scores of the shape {scores.shape}."
            )
        if not np.isfinite(scores).all():
            raise self.no_answer("a score would not be a finite number")
        return scores

    def _scores(self, matrix: NDArray[Any]) -> Any:
        if self.form is not None:
            return self.form.decide(matrix)
        return self.pipeline.decision_function(frames.as_fitted(matrix, self.manifest.signature))

    def _explained(self, ask: Callable[[NDArray[Any]], Asked], matrix: NDArray[Any]) -> Asked:
        """What `ask` says of these rows. Of one row without an answer the error names the columns
        to blame. A pipeline that stumbles over a type has no answer to it either, where there is a
        column to blame."""
        try:
            return ask(matrix)
        except PredictionFailed as error:
            has_none = isinstance(error, Unanswerable)
            if len(matrix) != 1 or not (has_none or isinstance(error.__cause__, TypeError)):
                raise
            names = self._culprits(ask, matrix)
            if not names:
                raise
            sentence = str(error if has_none else self.no_answer())[:-1]
            message = f"{sentence}; with another value of {' or '.join(names)} it has one."
            raise Unanswerable(message, error.words) from error.__cause__

    def _culprits(self, ask: Callable[[NDArray[Any]], object], row: NDArray[Any]) -> list[str]:
        def answers(other: NDArray[Any]) -> bool:
            try:
                ask(other)
            except PredictionFailed:
                return False
            return True

        columns = self.manifest.signature.columns
        order = sorted(
            range(len(columns)), key=lambda place: columns[place].is_usual(row[0, place])
        )
        found = culprits(row, self.golden_rows()[0], answers, order=order)
        return [columns[place].name for place in found]

    def explain(
        self,
        matrix: NDArray[Any],
        *,
        scale: Scale | None = None,
        seconds: float | None = None,
        sampling: bool = False,
        prediction: Prediction | None = None,
    ) -> Explanation:
        """What each column contributes to what is answered to the rows of a matrix. Blocks.

        `matrix` has the rows that fit, as `Signature.check` made them; `prediction` is what
        `predict` said of them, where that is known. Without a `scale` it is the one that suits the
        model. With `sampling` contributions may be estimates, where they are not found exactly.

        Raises:
            Unexplained: there are no reasons, or not on this scale, or not within `seconds`.
            Unanswerable, PredictionFailed: as `predict`.
        """
        reasons = self.reasons
        labels = (self.predict(matrix) if prediction is None else prediction).labels
        return reasons.explain(matrix, labels, scale=scale, seconds=seconds, sampling=sampling)

    @property
    def reasons(self) -> Reasons:
        """What explains its answers.

        Raises:
            Unexplained: there are no reasons for them.
        """
        if not self._reasons:
            self.require_explained()
            # What explains is imported where something is explained.
            from .reasons.explanation import Reasons

            assert self.form is not None
            self._reasons.append(Reasons(self.manifest, self.form, self.golden_rows))
        return self._reasons[0]

    def require_explained(self) -> None:
        """
        Raises:
            Unexplained: there are no reasons for what it answers. The message says why.
        """
        if self.form is None:
            served = served_here(self.manifest.served)
            reason = f"reasons need its plain form, and what answers is {served.sentence}"
        elif self.manifest.unexplained is not None:
            reason = self.manifest.unexplained
        elif self.form.background is None:
            reason = "it was published before there were reasons; publish it again"
        else:
            return
        raise Unexplained(f"The model {self.manifest.name} cannot be explained: {reason}.")

    def golden_rows(self) -> NDArray[Any]:
        """The rows of the sample, of shape (rows, columns)."""
        rows = self.sample.rows
        names = self.manifest.signature.names
        values = {name: [row.get(name, ABSENT) for row in rows] for name in names}
        try:
            return self.manifest.signature.validate(values, len(rows))
        except InvalidRows as error:
            raise GoldenMismatch(
                f"The golden rows of {self.manifest.name} do not fit its own signature: {error}"
            ) from error

    def replay(self) -> None:
        """Answer the golden rows again, which also warms the pipeline.

        Raises:
            GoldenMismatch: an answer differs from the one that was published.
            PredictionFailed: the pipeline does not answer at all.
        """
        try:
            self._replay(self.golden_rows())
        except Unanswerable as error:
            raise PredictionFailed(str(error), error.words) from error

    def replay_reasons(self) -> None:
        """See that its reasons add up to its answers to the golden rows; those of a large form
        are, before they first explain an answer. Nothing is done where it keeps no background.

        Raises:
            Unexplained: they do not, and it explains nothing from now on.
        """
        large = self.form is None or self.manifest.files[FORM_DATA].size > REPLAYED
        if not large and self.form is not None and self.form.background is not None:
            try:
                self.reasons.replay()
            except Unexplained:
                # What cannot be explained at all, or in time, says so when it is asked.
                if self.reasons.failure is not None:
                    raise

    def _replay(self, rows: NDArray[Any]) -> None:
        rounding = 0.0 if self.converted is None else self.converted.rounding
        self._require_published(self.predict(rows), rounding)
        if self.converted is not None:
            # It answers what its converted steps do not take.
            alone = Model(self.manifest, self.pipeline, self.sample)
            self._require_published(alone.predict(rows))

    def _require_published(self, prediction: Prediction, rounding: float = 0.0) -> None:
        """Raises GoldenMismatch where these are not the answers that were published; of
        probabilities, where they are beyond this `rounding` as well."""
        labels = json_labels(prediction.labels)
        self._require_answers(len(labels))
        if self.manifest.varies == "call":
            return
        exact = self.manifest.exact
        for row, (now, before) in enumerate(zip(labels, self.sample.predictions, strict=True)):
            if not (now == before if exact else close(now, before)):
                raise self._drift(row, before, now)
        expected = self.sample.probabilities
        for table, table_before in zip(prediction.probabilities or (), expected or (), strict=True):
            for row, (shares, before_shares) in enumerate(
                zip(table.tolist(), table_before, strict=True)
            ):
                if not close(shares, before_shares, rounding):
                    raise self._drift(row, before_shares, shares)
        for name, numbers_before in (self.sample.measures or {}).items():
            found = prediction.measures[name].tolist()
            for row, (number, known) in enumerate(zip(found, numbers_before, strict=True)):
                if not close(steady(name, number), steady(name, known)):
                    raise self._drift(row, known, number)

    def _declared(self) -> _Declared:
        """Whatever the pipeline raises, as one of our errors."""
        return _Declared(self)

    def _require_answers(self, rows: int) -> None:
        counts = {len(self.sample.predictions)}
        tables = self.sample.probabilities or []
        counts.update(map(len, tables))
        if len(tables) != (len(self.manifest.targets) if self.manifest.probabilities else 0):
            counts.add(0)
        measures = self.sample.measures or {}
        counts.update(map(len, measures.values()))
        if set(measures) != {each.name for each in self.manifest.measures}:
            counts.add(0)
        if counts != {rows}:
            raise GoldenMismatch(
                f"The sample of {self.manifest.name} version {self.manifest.version} does not "
                f"hold an answer for each of its {rows} golden rows; publish it again."
            )

    def instead_of_form(self) -> Model:
        """The same, and its manifest says that it answers since its plain form does not."""
        served = Served.found("pipeline", FORM_DIFFERS)
        return replace(self, manifest=msgspec.structs.replace(self.manifest, served=served))

    def no_answer(self, reason: str | None = None, words: str | None = None) -> Unanswerable:
        """That these rows are refused, for a `reason` that is a clause. `words` are the pipeline's
        own."""
        sentence = f"The model {self.manifest.name} has no answer to these values"
        return Unanswerable(f"{sentence}: {reason}." if reason else f"{sentence}.", words)

    def _drift(self, row: int, before: object, now: object) -> GoldenMismatch:
        told, libraries = self.manifest, self.manifest.libraries
        version = f"{told.name} version {told.version}"
        if self.form is not None:
            return GoldenMismatch(
                f"The plain form of {version} answers golden row {row} with {now}, and its "
                f"pipeline answered {before} when it was published; publish it again."
            )
        return GoldenMismatch(
            f"{version} answers golden row {row} with {now}, and answered {before} when it was "
            f"published with scikit-learn {libraries.scikit_learn}; train it again with the "
            "libraries installed here."
        )

    def _checked(self, prediction: Prediction, rows: int) -> Prediction:
        """The prediction, each label in the type of its class."""
        name, targets, several = self.manifest.name, self.manifest.targets, self.manifest.several
        labels, probabilities = prediction.labels, prediction.probabilities
        if labels.shape != ((rows, len(targets)) if several else (rows,)):
            raise PredictionFailed(
                f"The pipeline {name} answered {rows} rows with the shape {labels.shape}."
            )
        if labels.dtype.kind == "f" and not all_finite(labels):
            raise self.no_answer("it would not be a finite number")
        if several:
            columns = list(labels.T)
            told = list(map(self._told, columns, self._classes, targets))
            if any(now is not before for now, before in zip(told, columns, strict=True)):
                prediction = msgspec.structs.replace(prediction, labels=side_by_side(told))
        else:
            found = self._told(labels, self._classes[0], targets[0])
            if found is not labels:
                prediction = msgspec.structs.replace(prediction, labels=found)
        if probabilities is not None:
            self._check_shares(probabilities, rows)
        if self.manifest.measures:
            self._check_measures(prediction)
        return prediction

    def _check_measures(self, prediction: Prediction) -> None:
        for measure in self.manifest.measures:
            found = prediction.measures[measure.name]
            if found.shape != prediction.labels.shape:
                raise PredictionFailed(
                    f"The pipeline {self.manifest.name} gave a {measure.title} of the shape "
                    f"{found.shape}."
                )
            if not np.isfinite(found).all():
                raise self.no_answer(f"its {measure.title} would not be a finite number")

    def _told(self, labels: NDArray[Any], classes: Classes | None, target: Target) -> NDArray[Any]:
        """Labels of one target, of the shape (n,), as it has them."""
        if target.dtype == TEXTS:
            found = texts(labels)
        else:
            found = numbers(labels) if classes is None else classes.told(labels)
        if found is None:
            if any(isinstance(label, float) and label != label for label in labels.tolist()):
                raise self.no_answer("it would be a missing value")
            sentence = f"The pipeline {self.manifest.name} answered with other than "
            if classes is None:
                what = "texts" if target.dtype == TEXTS else "numbers"
                raise PredictionFailed(f"{sentence}{what}: {labels.tolist()!r:.60}.")
            raise PredictionFailed(f"{sentence}its classes: {classes.first_other(labels)!r:.60}.")
        converted = classes is None and found is not labels and target.dtype != TEXTS
        if converted and not np.isfinite(found.astype(np.float64)).all():
            raise self.no_answer("it would not be a finite number")
        return found

    def _check_shares(self, probabilities: Sequence[NDArray[np.float64]], rows: int) -> None:
        name, targets = self.manifest.name, self.manifest.targets
        if len(probabilities) != len(targets):
            raise PredictionFailed(
                f"The pipeline {name} gave probabilities of {len(probabilities)} outputs."
            )
        for shares, target in zip(probabilities, targets, strict=True):
            if shares.shape != (rows, len(target.classes or ())):
                raise PredictionFailed(
                    f"The pipeline {name} gave probabilities of the shape {shares.shape}."
                )
            if not all_finite(shares):
                raise self.no_answer("a probability would not be a finite number")


class _Declared:
    """Raises what a model's pipeline raises as one of our errors. A class, since each request
    enters it, and a generator takes three times as long."""

    __slots__ = ("_model",)

    def __init__(self, model: Model) -> None:
        self._model = model

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, Refused):
            raise self._model.no_answer(str(error)) from error
        if isinstance(error, ValueError | ArithmeticError):
            raise self._model.no_answer(words=words_of(error)) from error
        if isinstance(error, Exception | SystemExit):
            raise PredictionFailed(
                f"The pipeline {self._model.manifest.name} failed on these rows.", words_of(error)
            ) from error


def _require_column(name: str, values: Values | ArrowArray, rows: int) -> None:
    """Raises InvalidColumns where values are no column of so many rows."""
    flat = values.ndim == 1 if isinstance(values, np.ndarray) else isinstance(values, Sequence)
    if isinstance(values, str | bytes) or not (flat or is_arrow(values)):
        what = type(values).__name__
        if isinstance(values, np.ndarray):
            what += f" of the shape {values.shape}"
        raise InvalidColumns(
            f"The column {name} is a {what}; expected a list, a numpy array of the shape "
            f"({rows},) or an Arrow array."
        )
    if len(values) != rows:
        raise InvalidColumns(f"The column {name} has {len(values)} values; expected {rows}.")


def steady(name: str, number: Any) -> Any:
    """A measure as it is compared: of a deviation the variance, since the root of one that is near
    0 makes its rounding as large as itself."""
    if name != DEVIATION:
        return number
    return [each**2 for each in number] if isinstance(number, list) else number**2


def close(now: Any, before: Any, rounding: float = 0.0) -> bool:
    """Whether labels are equal; numbers, but for what another machine may round otherwise. Those of
    several targets are lists."""
    if isinstance(now, list) and isinstance(before, list):
        return len(now) == len(before) and all(
            close(each, known, rounding) for each, known in zip(now, before, strict=True)
        )
    if isinstance(now, int | float) and isinstance(before, int | float):
        if now != now:
            return before != before
        return bool(abs(now - before) <= 1e-9 + rounding + RELATIVE_TOLERANCE * abs(before))
    return bool(now == before)

"""A recipe: where the data comes from, what is fitted to it, and how it is scored.

The score is always measured on rows that were not fitted on: five folds, shuffled once with a
fixed seed, stratified where there are classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from .. import frames
from ..errors import InvalidTable
from ..evaluation import evaluate
from ..labels import json_labels
from ..libraries import require_scikit_learn
from ..manifest import Evaluation, Manifest
from ..store import ModelStore, Progress
from ..tables import Table

if TYPE_CHECKING:
    from ..drift import HeldOut

FOLDS: Final = 5
SEED: Final = 20
"""One seed for all that is drawn: the same recipe trains the same pipeline."""


class Dataset(msgspec.Struct, frozen=True):
    """Training data: `X` of shape (rows, columns), `y` of shape (rows,).

    `notice` is what whoever uses the model must know of the data, `source` where it is from.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    target_name: str
    notice: str | None = None
    source: str | None = None


class OpenML(msgspec.Struct, frozen=True):
    """A data set of openml.org."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name} version {self.version} of openml.org"


class Recipe(msgspec.Struct, frozen=True):
    """How one model is trained. `scores` maps a metric's name to scikit-learn's scorer.

    `data` makes the data set that needs no file. `table` makes one of a table, in recipes that know
    other names or values than those of their own data, and `openml` says where a real one lies. The
    texts are keyed by columns, `words` by
    classes; `synonyms` are other names of columns, in any case.
    """

    name: str
    title: str
    description: str
    data: Callable[[], Dataset]
    pipeline: Callable[[], Any]
    scores: Mapping[str, str]
    words: Mapping[str, str] = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    units: Mapping[str, str] = msgspec.field(default_factory=dict)
    descriptions: Mapping[str, str] = msgspec.field(default_factory=dict)
    synonyms: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    table: Callable[[Table], Dataset] | None = None
    openml: OpenML | None = None

    def train(
        self,
        store: ModelStore,
        progress: Progress = lambda step: None,
        *,
        table: Table | None = None,
        source: str | None = None,
    ) -> Manifest:
        """Load the data, score, fit and publish; `progress` is told each step. `source` says where
        a table came from. Blocks.

        Raises:
            InvalidTable: the table is another, or has too few rows.
            IncompatibleVersion: scikit-learn is not installed.
        """
        require_scikit_learn("nothing is trained here")
        progress("loading the data")
        data = self.data() if table is None else self.of_table(table)
        progress(f"scoring on {FOLDS} folds")
        metrics, folds = self._score(data)
        progress(f"fitting on {len(data.X)} rows")
        pipeline = self.pipeline().fit(data.X, data.y)
        progress("publishing")
        return store.publish(
            self.name,
            pipeline,
            data.X,
            data.y,
            feature_names=data.feature_names,
            target_name=data.target_name,
            title=self.title,
            description=self.description,
            notice=data.notice,
            words=self.words,
            labels=self.labels,
            units=self.units,
            descriptions=self.descriptions,
            metrics=metrics,
            validation=f"mean and standard deviation of {FOLDS}-fold cross-validation",
            evaluations=(folds.evaluation,),
            held_out=folds.held_out,
            data=data.source if source is None else source,
        )

    def fetch(self) -> Table:
        """The real table from OpenML, which must be reachable. Blocks.

        Raises:
            InvalidTable: the recipe has none, or it cannot be fetched.
            IncompatibleVersion: scikit-learn is not installed.
        """
        if self.openml is None:
            raise InvalidTable(f"The recipe {self.name} has no table on OpenML.")
        require_scikit_learn("no table is fetched")
        from sklearn.datasets import fetch_openml

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what went wrong is told below
                found = fetch_openml(
                    self.openml.name,
                    version=self.openml.version,
                    as_frame=True,
                    target_column=None,
                    n_retries=1,
                )
        except (OSError, ImportError, ValueError) as error:
            raise InvalidTable(
                f"The table {self.openml.name} cannot be fetched from OpenML: {error}; download it "
                "as a CSV file and train with --data."
            ) from error
        return Table.of_columns(frames.texts_of(found.frame))

    def of_table(self, table: Table) -> Dataset:
        """The data of a table, such as an export of what was predicted and turned out true.

        Raises:
            InvalidTable: it lacks a column, a value is none of that, or it has too few rows.
        """
        found = self._as_own(table) if self.table is None else self.table(table)
        _require_folds(found)
        return found

    def _as_own(self, table: Table) -> Dataset:
        """A table with the columns of the recipe's own data."""
        own = self.data()
        names = find_columns(table, dict.fromkeys((*own.feature_names, own.target_name), ()))
        X = np.stack([_numbers(table, names[name]) for name in own.feature_names], axis=1)
        target = names[own.target_name]
        if own.y.dtype.kind == "U":
            y = chosen(table, target, np.unique(own.y).tolist(), missing=False)
            y = y.astype(own.y.dtype)
        else:
            y = integers(table, target) if own.y.dtype.kind in "iu" else _numbers(table, target)
        return Dataset(X, y, own.feature_names, own.target_name)

    def _score(self, data: Dataset) -> tuple[dict[str, float], _Folds]:
        from sklearn.base import is_classifier
        from sklearn.model_selection import KFold, StratifiedKFold, cross_validate

        pipeline = self.pipeline()
        folds = StratifiedKFold if is_classifier(pipeline) else KFold
        splitter = folds(FOLDS, shuffle=True, random_state=SEED)
        found = cross_validate(
            pipeline,
            data.X,
            data.y,
            cv=splitter,
            scoring=dict(self.scores),
            return_estimator=True,
            return_indices=True,
        )
        metrics: dict[str, float] = {}
        for metric in self.scores:
            # scikit-learn turns an error into a score by its sign.
            folded = (
                np.abs(found[f"test_{metric}"])
                if metric.endswith("error")
                else found[f"test_{metric}"]
            )
            metrics[metric] = float(np.mean(folded))
            metrics[f"{metric}_std"] = float(np.std(folded))
        if "accuracy" in metrics:
            _, counts = np.unique(data.y, return_counts=True)
            metrics["accuracy_of_the_majority"] = float(counts.max() / counts.sum())
        return metrics, _Folds.of(data, found)


class _Folds(msgspec.Struct, frozen=True):
    """What each row was answered by the pipeline that was fitted without it."""

    evaluation: Evaluation
    held_out: HeldOut

    @classmethod
    def of(cls, data: Dataset, folds: Mapping[str, Any]) -> _Folds:
        rows, pipelines = folds["indices"]["test"], folds["estimator"]
        parts = [data.X[held] for held in rows]
        truth = data.y[np.concatenate(rows)]
        answers = np.concatenate(
            [fitted.predict(part) for fitted, part in zip(pipelines, parts, strict=True)]
        )
        classes = json_labels(np.unique(data.y)) if hasattr(pipelines[0], "classes_") else None
        evaluation = evaluate(truth, answers, classes=classes, target=data.target_name)
        # A server that trains nothing goes without what drift is found by.
        from ..drift.calibration import Calibration, HeldOut, confidences_of

        if classes is None or not hasattr(pipelines[0], "predict_proba"):
            return cls(evaluation, HeldOut(answers))
        shares = np.concatenate(
            [fitted.predict_proba(part) for fitted, part in zip(pipelines, parts, strict=True)]
        )
        confidences = confidences_of(classes, json_labels(answers), shares)
        calibration = Calibration.of(confidences, answers == truth)
        return cls(evaluation, HeldOut(answers, calibration))


def _require_folds(data: Dataset) -> None:
    """Raises InvalidTable where there are too few rows to be scored on rows held out."""
    classes, counts = np.unique(data.y, return_counts=True)
    if data.y.dtype.kind == "f":
        if len(data.y) < 2 * FOLDS:
            raise InvalidTable(f"Expected at least {2 * FOLDS} rows, got {len(data.y)}.")
        return
    if len(classes) < 2:
        raise InvalidTable(
            f"{data.target_name}: expected at least two classes, got {classes[0]} alone."
        )
    if counts.min() < FOLDS:
        rare = classes[counts.argmin()]
        raise InvalidTable(
            f"{data.target_name}: expected at least {FOLDS} rows of each class, got "
            f"{counts.min()} of {rare}."
        )


def find_columns(table: Table, wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """For each column of a recipe its name in a table, which may be any of those given, in any
    case.

    Raises:
        InvalidTable: one is not there.
    """
    found = {}
    for column, names in wanted.items():
        match = next((there for name in (column, *names) if (there := table.named(name))), None)
        if match is None:
            accepted = " or ".join([column, *names])
            raise InvalidTable(
                f"The table has no column {accepted}; it has {', '.join(table.columns)}."
            )
        found[column] = match
    return found


def _numbers(table: Table, name: str) -> NDArray[np.float64]:
    """A column of numbers.

    Raises:
        InvalidTable: a value is missing, or is no finite number.
    """
    numbers = table.numbers(name)
    odd = np.flatnonzero(~np.isfinite(numbers))
    if len(odd):
        raise InvalidTable(
            f"Row {odd[0]}: {name}: expected a number, got {table.columns[name][odd[0]]!r}."
        )
    return numbers


def integers(table: Table, name: str) -> NDArray[np.int64]:
    """A column of whole numbers.

    Raises:
        InvalidTable: a value is missing, or is no whole number.
    """
    numbers = table.numbers(name)
    odd = np.flatnonzero(~(np.isfinite(numbers) & (numbers == np.round(numbers))))
    if len(odd):
        raise InvalidTable(
            f"Row {odd[0]}: {name}: expected an integer, got {table.columns[name][odd[0]]!r}."
        )
    return numbers.astype(np.int64)


def chosen(table: Table, name: str, known: Sequence[str], *, missing: bool) -> NDArray[Any]:
    """A column of categories as texts, NaN where it is empty.

    Raises:
        InvalidTable: a value is another, or is missing and must not.
    """
    texts = table.texts(name)
    for row, text in enumerate(texts):
        if text not in known and not (missing and text != text):
            raise InvalidTable(
                f"Row {row}: {name}: expected one of {', '.join(known)}, "
                f"got {table.columns[name][row]!r}."
            )
    return texts

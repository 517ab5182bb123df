"""What a fitted pipeline is for, and which numbers stand beside its predictions.

What it is for is what its last estimator says of itself, in scikit-learn's own words
(https://scikit-learn.org/stable/developers/develop.html#estimator-tags). What does not predict and
does transform is asked to transform.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import InvalidPipeline
from .last_step import LastStep

Task = Literal["classification", "regression", "clustering", "anomaly detection", "transformation"]

SUPERVISED: Final[frozenset[Task]] = frozenset({"classification", "regression"})
"""The tasks whose answers can be held against a truth."""

USUAL: Final = 1
UNUSUAL: Final = -1
WORDS: Final[Mapping[str, str]] = {str(UNUSUAL): "unusual", str(USUAL): "usual"}
"""What a person reads of an outlier detector's two classes."""

MOST_OUTPUTS: Final = 5_000
"""Columns that rows may be transformed to. They are dense, and a number is 20 bytes of JSON."""

MeasureName = Literal["score", "standard_deviation"]
SCORE: Final = "score"
DEVIATION: Final = "standard_deviation"

_OF_KIND: Final[Mapping[str, Task]] = {
    "clusterer": "clustering",
    "density_estimator": "clustering",
    "outlier_detector": "anomaly detection",
}
_OF_TARGETS: Final = frozenset({"LabelBinarizer", "LabelEncoder", "MultiLabelBinarizer"})
"""What transforms no rows, but what a pipeline is to tell."""

NO_PREDICT: Final = "has no predict method"

_INSTEAD: Final[Mapping[str, str]] = {
    "KernelDensity": "it knows how dense the rows lie; fit GaussianMixture(3).fit(X), which tells "
    "the part of them that a row belongs to, or IsolationForest().fit(X), which tells unusual ones",
    "NearestNeighbors": "it finds the rows of training that are near, and tells nothing of them; "
    "fit KNeighborsClassifier().fit(X, y), or KNeighborsRegressor().fit(X, y) for a number",
    **dict.fromkeys(
        ("ClassicalMDS", "MDS", "SpectralEmbedding", "TSNE"),
        "it places the rows that it was fitted on, and no others; fit PCA(2).fit(X), which "
        "transforms any row",
    ),
}
"""What to fit in the place of what neither predicts nor transforms."""
_ADVICE: Final = (
    "let the last step predict or transform, as in make_pipeline(StandardScaler(), "
    "LogisticRegression()).fit(X, y)"
)

_BY_BATCH: Final = frozenset({"LatentDirichletAllocation", "MiniBatchNMF", "NMF"})
"""What begins at the mean of the rows that it transforms, and stops when they all change little."""


class Measure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A number beside the prediction.

    A `score` says how usual a row is: below the `threshold` it is unusual. `offset` was taken off
    the estimator's raw score for that. A `standard_deviation` is that of a number that is told.
    """

    name: MeasureName
    threshold: float | None = None
    offset: float | None = None

    @property
    def title(self) -> str:
        """Its name for a person."""
        return self.name.replace("_", " ")


def task_of(pipeline: Any) -> Task:
    """What a fitted pipeline is for."""
    if not predicts(pipeline):
        return "transformation"
    found = _OF_KIND.get(_kind_of(pipeline))
    if found == "clustering" and _clusters(last_of(pipeline)) is None:
        found = None
    if found is not None:
        return found
    return "regression" if classes_of(pipeline) is None else "classification"


def classes_of(pipeline: Any) -> Any:
    """The classes that a pipeline knows, of several targets a list of them: clusters by their
    numbers, -1 and 1 of outliers. None where it tells numbers or transforms, as CatBoost's
    regressors, which have an empty array of classes."""
    if not predicts(pipeline):
        return None
    kind = _OF_KIND.get(_kind_of(pipeline))
    if kind == "clustering":
        return _clusters(last_of(pipeline))
    if kind == "anomaly detection":
        return [UNUSUAL, USUAL]
    classes = getattr(pipeline, "classes_", None)
    return None if classes is None or not len(classes) else classes


def predicts(pipeline: Any) -> bool:
    """Whether it predicts; what does not is asked to transform."""
    return callable(getattr(pipeline, "predict", None))


def told(pipeline: Any, rows: Any) -> Any:
    """What the pipeline answers to rows; whatever it raises passes.

    Raises:
        InvalidPipeline: it transforms them to too many columns.
    """
    if predicts(pipeline):
        return pipeline.predict(rows)
    found = pipeline.transform(rows)
    # Of sparse rows: before they are made dense.
    require_columns(found.shape[1] if np.ndim(found) == 2 or hasattr(found, "tocsr") else 1)
    # Some lose the dimension of a single row.
    alone = isinstance(found, np.ndarray) and found.ndim == 1 and np.shape(rows)[:1] == (1,)
    return found[np.newaxis] if alone else found


def require_columns(count: int) -> None:
    """Raises InvalidPipeline where rows are transformed to so many columns that they cannot be
    answered."""
    if count > MOST_OUTPUTS:
        raise InvalidPipeline(
            f"The pipeline transforms each row to {count} columns, and at most {MOST_OUTPUTS} are "
            "answered; let a step behind it choose some, such as SelectKBest, or reduce them, such "
            "as TruncatedSVD."
        )


def why_silent(pipeline: Any) -> str | None:
    """Why a pipeline answers no rows, as a clause behind its name; None where it may."""
    last = last_of(pipeline)
    if type(last).__name__ in _OF_TARGETS:
        return (
            "transforms what a pipeline is to tell, and not its rows; leave it out: the model's "
            "classes are those that it was fitted on"
        )
    # A table has such a method as well, and nothing to fit.
    if predicts(pipeline) or (hasattr(pipeline, "fit") and hasattr(pipeline, "transform")):
        return None
    if getattr(last, "novelty", None) is False:
        return "knows the rows alone that it was fitted on; fit it with novelty=True"
    if hasattr(type(last), "fit_predict") and hasattr(last, "labels_"):
        return (
            f"{NO_PREDICT}, as it tells the clusters of the rows alone that it was fitted on; fit "
            "a KMeans, or a classifier on its labels_, and publish that"
        )
    if not hasattr(last, "fit"):
        return NO_PREDICT
    return f"{NO_PREDICT}: {_INSTEAD.get(type(last).__name__, _ADVICE)}"


def last_of(pipeline: Any) -> Any:
    """The estimator that answers, within pipelines and searches."""
    while True:
        steps = getattr(pipeline, "steps", None)
        inner = steps[-1][1] if steps else getattr(pipeline, "best_estimator_", None)
        if inner is None or isinstance(inner, str):
            return pipeline
        pipeline = inner


def begins_at_batch(pipeline: Any) -> bool:
    """Whether what a step answers to a row is known to depend on the rows beside it, by little, as
    it begins at their mean; a row asked alone has one answer."""
    return any(type(each).__name__ in _BY_BATCH for each in _parts(pipeline))


def _parts(estimator: Any) -> list[Any]:
    """An estimator and what it hands its rows to."""
    found = [estimator]
    steps = getattr(estimator, "steps", None) or getattr(estimator, "transformer_list", None) or ()
    columns = getattr(estimator, "transformers_", None) or ()
    for _, part, *_rest in [*steps, *columns]:
        found += _parts(part)
    best = getattr(estimator, "best_estimator_", None)
    return found if best is None else [*found, *_parts(best)]


def _kind_of(pipeline: Any) -> str:
    """What an estimator says it is; nothing where it does not say."""
    tags = getattr(pipeline, "__sklearn_tags__", None)
    try:
        return getattr(tags(), "estimator_type", None) or "" if tags is not None else ""
    # An estimator of somebody's own may lack what its base class needs for that.
    except Exception:
        return str(getattr(last_of(pipeline), "_estimator_type", ""))


def _clusters(last: Any) -> list[int] | None:
    """The numbers of all clusters that an estimator may tell; None where it does not say."""
    known = getattr(last, "subcluster_labels_", None)
    if known is not None:
        return [int(each) for each in np.unique(known)]
    members = getattr(last, "cluster_centers_", None)
    if members is None and hasattr(last, "means_"):
        members = getattr(last, "weights_", None)
    if members is not None:
        # Affinity propagation that found no centre tells -1.
        return list(range(members.shape[0])) or [-1]
    known = getattr(last, "labels_", None)
    return None if known is None else [int(each) for each in np.unique(known)]


# Beside the predictions -----------------------------------------------------------


def measures_of(pipeline: Any) -> tuple[Measure, ...]:
    """The numbers that stand beside what a fitted pipeline predicts."""
    task = task_of(pipeline)
    if task == "anomaly detection" and hasattr(pipeline, "decision_function"):
        offset = getattr(last_of(pipeline), "offset_", None)
        known = None if offset is None or np.size(offset) != 1 else float(np.ravel(offset)[0])
        return (Measure(name=SCORE, threshold=0.0, offset=known),)
    if task == "regression" and hasattr(_with_wishes(pipeline), "kernel_"):
        return (Measure(name=DEVIATION),)
    return ()


def _with_wishes(pipeline: Any) -> Any:
    """The estimator that a wish for a standard deviation reaches: through steps, and through the
    search around them, which itself passes none on."""
    found = getattr(pipeline, "best_estimator_", pipeline)
    while getattr(found, "steps", None):
        found = found.steps[-1][1]
    return found


def told_beside(
    last: LastStep, measures: tuple[Measure, ...]
) -> tuple[Any, dict[str, NDArray[np.float64]]]:
    """What a pipeline answers to rows, and the measures beside that, each of the shape (n,), or
    (n, targets) of several; whatever it raises passes."""
    if not measures:
        return told(last.estimator, last.rows), {}
    (measure,) = measures
    if measure.name == SCORE:
        labels = told(last.estimator, last.rows)
        return labels, {SCORE: np.asarray(last.decide(), dtype=np.float64)}
    found = getattr(last.estimator, "best_estimator_", last.estimator)
    labels, deviations = found.predict(last.rows, return_std=True)
    deviations = np.asarray(deviations, dtype=np.float64)
    if deviations.ndim == 2 and deviations.shape[1] == 1:
        deviations = deviations[:, 0]
    return labels, {DEVIATION: deviations}

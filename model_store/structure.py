"""What a fitted pipeline knows of its inputs, without a row of its training data.

Encoders hold the categories they know, scalers the means, imputers their fill-ins, trees their
thresholds, neighbours the very rows, and a text vectorizer its vocabulary. The walk follows the
steps for as long as they leave the columns and their values as they came, and goes into a
ColumnTransformer by the columns of each part. Estimators are told apart by the attributes that
fitting leaves (https://scikit-learn.org/stable/glossary.html#term-attributes), so that a subclass
counts as well.

Known weak point: what a transformer of the operator's own does to its columns cannot be seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .boosters import categories_of, numbers_of
from .column_facts import JSONLabel, Null, narrow_learned, null_of, plain_label
from .column_types import BOOLEAN, CATEGORY, TEXT, ColumnType

QUANTILES: Final = (0.5, 0.1, 0.9, 0.3, 0.7, 0.0, 1.0)
SPREAD: Final = (0.0, -1.0, 1.0, 0.5, -0.5, 2.0, -2.0)
"""Standard deviations beside the mean."""
WORDS: Final = 24
MOST_VALUES: Final = 16
SOME_TEXT: Final = "a few words of text"


@dataclass(slots=True)
class Hint:
    """What is known of one column: nothing, or some of this.

    `values` are plausible ones, the most typical first. `dtype` is set where the pipeline wants
    pandas's categories, or numbers as objects. `null` is the missing value that its encoder knows.
    `filled` is the one that an imputer fills in, before any encoder.
    `narrow` is the dtype of narrow floats that numbers of the column were learned of. `number` says
    that it held numbers or truths, whatever they were.
    """

    categories: tuple[JSONLabel, ...] | None = None
    text: bool = False
    number: bool = False
    values: tuple[JSONLabel, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    dtype: str | None = None
    null: Null | None = None
    filled: Null | None = None
    narrow: str | None = None

    @property
    def missing(self) -> Null | None:
        """The missing value of training, where one is certain: an imputer leaves any other than the
        one that it fills in, and the encoder behind it would know that."""
        return self.null or (self.filled if self.categories else None)

    @property
    def kind(self) -> ColumnType | None:
        """The type that the pipeline wants; None where it does not tell."""
        if self.categories:
            return BOOLEAN if self.category_dtype == "bool" else CATEGORY
        return TEXT if self.text else None

    @property
    def category_dtype(self) -> str:
        """The dtype of a column of its categories."""
        return self.dtype or dtype_of(self.categories or ())

    def suggest(self, values: Iterable[Any]) -> None:
        """Add plausible values behind those that are known."""
        found = (value for value in map(_plain, values) if value is not None)
        self.values = tuple(dict.fromkeys((*self.values, *found)))[:MOST_VALUES]


@dataclass(slots=True)
class Structure:
    """The inputs of a pipeline. `texts` says that it takes a list of texts, not a matrix; `spaced`
    that its names have underscores in the place of spaces, as LightGBM writes them."""

    hints: list[Hint] = field(default_factory=list)
    names: tuple[str, ...] | None = None
    texts: bool = False
    spaced: bool = False

    @classmethod
    def of(cls, pipeline: Any) -> Structure:
        """Look at a fitted pipeline. There are no hints where it does not say how many inputs it
        takes."""
        first = _first(pipeline)
        if _is_vectorizer(first):
            found = cls([Hint(text=True)], None, texts=True)
            _visit(pipeline, found.hints)
            return found
        names = getattr(pipeline, "feature_names_in_", None)
        count = getattr(pipeline, "n_features_in_", None)
        if names is not None:
            count = len(names)
        found = cls(
            [Hint() for _ in range(count or 0)],
            None if names is None else _names(names),
            spaced=type(first).__module__.startswith("lightgbm."),
        )
        _visit(pipeline, found.hints, found.names)
        return found

    def spelled(self, given: Iterable[str]) -> dict[str, str]:
        """The names that are given, by those by which the pipeline knows them."""
        names = list(given)
        found = {name.replace(" ", "_"): name for name in names} if self.spaced else {}
        return found | {name: name for name in names}


def _names(names: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(name) for name in names)


def _first(estimator: Any) -> Any:
    """The innermost estimator that meets the rows first."""
    while True:
        steps = getattr(estimator, "steps", None) or getattr(estimator, "transformer_list", None)
        inner = steps[0][1] if steps else inner_of(estimator)
        if inner is None:
            return estimator
        estimator = inner


def inner_of(estimator: Any) -> Any:
    """The estimator that a wrapper hands its rows to, as they are."""
    for name in ("best_estimator_", "regressor_", "estimator_"):
        if (inner := getattr(estimator, name, None)) is not None:
            return inner
    for name in ("calibrated_classifiers_", "estimators_"):
        several = getattr(estimator, name, None)
        if several is not None and len(several) and not hasattr(estimator, "estimators_features_"):
            inner = np.ravel(np.asarray(several, dtype=object))[0]
            return getattr(inner, "estimator", inner) if name[0] == "c" else inner
    return None


def _is_vectorizer(estimator: Any) -> bool:
    return hasattr(estimator, "build_analyzer")


def _visit(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None = None) -> bool:
    """Learn from one estimator; True when the next one meets the same columns and values."""
    if not hints or isinstance(estimator, str) or estimator is None:
        return bool(estimator == "passthrough")
    for attribute, learn in _LEARN:
        if hasattr(estimator, attribute):
            return learn(estimator, hints, names)
    inner = inner_of(estimator)
    return inner is not None and _visit(inner, hints, names)


Learn = Callable[[Any, Sequence[Hint], Sequence[str] | None], bool]


def _pipeline(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    return all(_visit(step, hints, names) for _, step in estimator.steps)


def _union(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    for _, part in estimator.transformer_list:
        _visit(part, hints, names)
    return False


def _by_columns(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    for _, part, chosen in estimator.transformers_:
        indices = positions(chosen, len(hints), names)
        if _is_vectorizer(_first(part)):
            for i in indices:
                hints[i].text = True
        _visit(part, [hints[i] for i in indices], None)
    return False


def positions(chosen: Any, count: int, names: Sequence[str] | None) -> list[int]:
    """The positions that a ColumnTransformer's choice of columns means."""
    if isinstance(chosen, slice):
        start, stop = (
            names.index(end) + last if isinstance(end, str) and names else end
            for end, last in ((chosen.start, 0), (chosen.stop, 1))
        )
        return list(range(count))[slice(start, stop, chosen.step)]
    several = np.ravel(np.asarray(chosen, dtype=object)).tolist()
    if several and all(isinstance(each, bool | np.bool_) for each in several):
        return [i for i, each in enumerate(several) if each]
    known = {name: i for i, name in enumerate(names or ())}
    return [known[str(each)] if isinstance(each, str) else range(count)[each] for each in several]


def _vectorizer(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    words = sorted(map(str, getattr(estimator, "vocabulary_", None) or ()))
    step = max(len(words) // WORDS, 1)
    chosen = words[::step][:WORDS]
    texts = [" ".join(chosen[i::6]) for i in range(6) if chosen[i::6]]
    for hint in hints:
        hint.text = True
        hint.suggest([*texts, SOME_TEXT])
    return False


def _encoder(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    for hint, categories in zip(hints, estimator.categories_, strict=False):
        known = [_plain(category) for category in categories]
        hint.categories = tuple(category for category in known if category is not None)
        hint.narrow = hint.narrow or narrow_learned(categories)
        objects = categories.dtype.kind == "O"
        hint.null = null_of(categories) if objects else None
        if objects and dtype_of(hint.categories) in ("int64", "float64"):
            hint.dtype = "object"  # Such an encoder does not know the same number in an array.
        hint.suggest(hint.categories)
    return False


def _imputer(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    statistics = list(estimator.statistics_)
    wanted = np.array([getattr(estimator, "missing_values", np.nan)], dtype=object)
    for hint, value in zip(hints, statistics, strict=False):
        hint.filled = null_of(wanted)
        hint.suggest(_rounded([value]) if isinstance(value, float) else [value])
        if isinstance(value, float | np.floating):
            hint.narrow = hint.narrow or narrow_learned(np.asarray([value]))
    dropped = any(_plain(value) is None for value in statistics)
    return not dropped and not getattr(estimator, "add_indicator", False)


def _in_rounds(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    """An imputer that begins with what another fills in."""
    _visit(estimator.initial_imputer_, hints, names)
    return False


def _centred(centre: str, scale: str) -> Learn:
    def learn(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
        centres, scales = (getattr(estimator, name, None) for name in (centre, scale))
        for i, hint in enumerate(hints):
            middle = 0.0 if centres is None else float(centres[i])
            spread = 1.0 if scales is None else float(scales[i])
            hint.values = ()
            hint.suggest(_rounded(middle + spread * factor for factor in SPREAD))
        return False

    return learn


def _ranged(low: str, high: str) -> Learn:
    def learn(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
        ends = np.stack([getattr(estimator, low), getattr(estimator, high)])
        return _from_rows(ends, hints, exact=True)

    return learn


def _rows(attribute: str, *, exact: bool) -> Learn:
    def learn(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
        rows = getattr(estimator, attribute)
        if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == len(hints):
            return _from_rows(rows, hints, exact=exact)
        return False

    return learn


def _edges(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    for hint, edges in zip(hints, estimator.bin_edges_, strict=False):
        _from_rows(np.asarray(edges, dtype=float)[:, None], [hint], exact=True)
    return False


def _from_rows(rows: NDArray[Any], hints: Sequence[Hint], *, exact: bool) -> bool:
    """Learn from rows that are the training data, or lie among it."""
    for hint, column in zip(hints, np.asarray(rows, dtype=float).T, strict=False):
        finite = column[np.isfinite(column)]
        if not len(finite):
            continue
        if exact:
            hint.minimum, hint.maximum = float(finite.min()), float(finite.max())
            hint.narrow = hint.narrow or narrow_learned(column.astype(rows.dtype))
        hint.values = ()
        hint.suggest(_rounded(np.quantile(finite, QUANTILES)))
    return False


def _tree(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    return _from_thresholds([estimator], hints)


def _trees(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    trees = np.ravel(np.asarray(estimator.estimators_, dtype=object)).tolist()
    if all(hasattr(tree, "tree_") for tree in trees) and not hasattr(
        estimator, "estimators_features_"
    ):
        return _from_thresholds(trees, hints)
    inner = inner_of(estimator)
    return inner is not None and _visit(inner, hints, names)


def _from_thresholds(trees: Sequence[Any], hints: Sequence[Hint]) -> bool:
    features = np.concatenate([tree.tree_.feature for tree in trees])
    thresholds = np.concatenate([tree.tree_.threshold for tree in trees])
    order = np.argsort(features, kind="stable")
    ends = np.searchsorted(features[order], range(len(hints) + 1))
    for hint, start, end in zip(hints, ends, ends[1:], strict=False):
        _between(hint, thresholds[order[start:end]])
    return False


def _between(hint: Hint, thresholds: NDArray[Any]) -> None:
    """Values on both sides of the thresholds and amid them. One between the missing values and the
    others is infinite."""
    thresholds = thresholds[np.isfinite(thresholds)]
    if not len(thresholds):
        return
    low, high = float(thresholds.min()), float(thresholds.max())
    margin = (high - low) / 4 or max(abs(low) / 4, 1.0)
    amid = np.quantile(thresholds, (0.5, 0.25, 0.75))
    hint.suggest(_rounded([*amid, low - margin, high + margin]))


def _from_bins(hint: Hint, thresholds: NDArray[Any]) -> None:
    """Learn from the ends of bins. Those of trees tell no narrow floats: trees make all numbers
    such."""
    _between(hint, np.asarray(thresholds, dtype=float))
    hint.narrow = hint.narrow or narrow_learned(thresholds)


def _histogram(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    """Gradient boosting on bins, whose categories are kept by an encoder in front of it."""
    categorical = getattr(estimator, "is_categorical_", None)
    preprocessor = getattr(estimator, "_preprocessor", None)
    if categorical is None or preprocessor is None:
        for hint, thresholds in zip(hints, estimator._bin_mapper.bin_thresholds_, strict=False):
            _from_bins(hint, thresholds)
        return False
    _visit(preprocessor, hints, names)
    from_dtype = getattr(estimator, "categorical_features", None) == "from_dtype"
    numeric = [i for i in range(len(hints)) if hints[i].categories is None]
    # Inside, the categorical columns come first.
    for i, thresholds in zip(
        numeric, estimator._bin_mapper.bin_thresholds_[int(np.sum(categorical)) :], strict=False
    ):
        _from_bins(hints[i], thresholds)
    for hint in hints:
        if from_dtype and hint.categories is not None:
            hint.dtype = "category"
    return False


def _booster(estimator: Any, hints: Sequence[Hint], names: Sequence[str] | None) -> bool:
    """Trees of XGBoost or LightGBM, which know the categories of pandas that they were grown on."""
    for place, known in categories_of(estimator).items():
        if place < len(hints):
            hint = hints[place]
            plain = (_plain(category) for category in known)
            hint.categories = tuple(category for category in plain if category is not None)
            hint.dtype = "category"
            hint.suggest(hint.categories)
    for place in numbers_of(estimator):
        if place < len(hints):
            hints[place].number = True
    return False


_LEARN: tuple[tuple[str, Learn], ...] = (
    ("steps", _pipeline),
    ("transformers_", _by_columns),
    ("transformer_list", _union),
    ("build_analyzer", _vectorizer),
    ("categories_", _encoder),
    ("statistics_", _imputer),
    ("initial_imputer_", _in_rounds),
    ("data_min_", _ranged("data_min_", "data_max_")),
    ("n_samples_seen_", _centred("mean_", "scale_")),
    ("center_", _centred("center_", "scale_")),
    ("quantiles_", _rows("quantiles_", exact=True)),
    ("bin_edges_", _edges),
    ("_bin_mapper", _histogram),
    ("_Booster", _booster),
    ("tree_", _tree),
    ("estimators_", _trees),
    ("_fit_X", _rows("_fit_X", exact=True)),
    ("theta_", _rows("theta_", exact=False)),
    ("centroids_", _rows("centroids_", exact=False)),
    ("support_vectors_", _rows("support_vectors_", exact=False)),
    ("means_", _rows("means_", exact=False)),
)
"""An attribute that fitting leaves, and what it tells. The first that is there decides."""


def _rounded(numbers: Iterable[Any]) -> list[float]:
    """Six digits are enough for an example, and hide what float32 made of it."""
    return [float(f"{number:.6g}") for number in numbers]


def dtype_of(categories: tuple[JSONLabel, ...]) -> str:
    """The dtype of a column of these categories."""
    (kind, *others) = {type(category) for category in categories} or {str}
    names: dict[type, str] = {bool: "bool", int: "int64", float: "float64"}
    return "object" if others else names.get(kind, "object")


def _plain(value: Any) -> JSONLabel | None:
    value = plain_label(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool) else None

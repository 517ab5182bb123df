"""A fitted pipeline, step by step, as a shortcut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from . import answers, boosting, converted, linear, neighbours, table, text, trees
from .answers import Answer, Array, NotCovered, Transform
from .supported import name_of
from .transforms import TRANSFORMS

_KINDS: Final[dict[Callable[[Any, str], answers.Final | None], str]] = {
    linear.classification: "LogisticRegression LogisticRegressionCV SGDClassifier RidgeClassifier"
    " LinearSVC",
    linear.bayes: "MultinomialNB",
    linear.regression: "LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV"
    " BayesianRidge HuberRegressor SGDRegressor",
    trees.forest: "DecisionTreeClassifier DecisionTreeRegressor RandomForestClassifier"
    " RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor",
    boosting.boosting: "GradientBoostingClassifier GradientBoostingRegressor",
    boosting.histogram: "HistGradientBoostingClassifier HistGradientBoostingRegressor",
    neighbours.neighbours: "KNeighborsClassifier KNeighborsRegressor",
}
_FINALS: Final = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_OF_SPARSE: Final = (linear.classification, linear.bayes, linear.regression)


@dataclass(frozen=True, slots=True)
class Shortcut:
    """The steps of a pipeline. It has no state: any number of threads may ask it at once.

    `last` is the pipeline's own last step, or a pipeline of its last steps, which `final` stands
    for; probabilities may differ from its own by `rounding`.
    """

    transforms: tuple[Transform, ...]
    final: answers.Final
    last: Any
    columns: int
    rounding: float = 0.0

    def predict(self, matrix: Array) -> Answer:
        """What the pipeline's `predict` and `predict_proba` answer to this matrix.

        `matrix` of shape (rows, columns) holds the columns in the order of training, as floats,
        integers or objects, whatever container the pipeline itself was fitted on.

        Raises:
            NotCovered: the rows are for the pipeline itself.
        """
        if matrix.ndim != 2 or matrix.shape[1] != self.columns or not len(matrix):
            raise NotCovered
        # An overflow shows in the answer.
        with np.errstate(all="ignore"):
            for transform in self.transforms:
                matrix = transform(matrix)
            return self.final(matrix)

    def features(self, matrix: Array) -> Array:
        """What the last step is given."""
        with np.errstate(all="ignore"):
            for transform in self.transforms:
                matrix = transform(matrix)
        return matrix


def build(pipeline: Any) -> Shortcut | None:
    """The shortcut of a fitted pipeline or estimator, or None where a part of it is not known."""
    try:
        return _build(pipeline)
    # What is named like what we know and lacks its attributes is something else.
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, ImportError):
        return None


def convert(pipeline: Any) -> bytes | None:
    """What `build` does not know of a fitted pipeline, as the bytes of an ONNX graph; None where
    that cannot be.

    Raises:
        ImportError: skl2onnx is not installed.
    """
    parts = _parts(pipeline)
    return None if parts is None else converted.convert(parts[1])


def build_converted(pipeline: Any, data: bytes) -> Shortcut | None:
    """The shortcut that ends with the graph that `convert` made of this pipeline; None where the
    pipeline is another one.

    Raises:
        ImportError: onnxruntime is not installed.
        Exception: it does not take the graph.
    """
    parts = _parts(pipeline)
    if parts is None:
        return None
    transforms, rest, columns = parts
    final = converted.graph(rest, data)
    return Shortcut(transforms, final, rest, columns, converted.PROBABILITY)


def _parts(pipeline: Any) -> tuple[tuple[Transform, ...], Any, int] | None:
    """The steps that are known, as many as there are, what follows them, and the columns before."""
    steps = _flat(pipeline)
    for known in reversed(range(len(steps))):
        try:
            transforms = _transforms(steps[:known])
            if transforms is not None:
                return tuple(transforms), _joined(steps[known:]), int(steps[0].n_features_in_)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, ImportError):
            continue
    return None


def _flat(pipeline: Any) -> list[Any]:
    """The steps of a pipeline, and of pipelines within, whatever they are."""
    if name_of(pipeline) != "Pipeline" or getattr(pipeline, "transform_input", None) is not None:
        return [pipeline]
    steps = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    return [inner for step in steps for inner in _flat(step)]


def _joined(steps: Sequence[Any]) -> Any:
    if len(steps) == 1:
        return steps[0]
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)


def _build(pipeline: Any) -> Shortcut | None:
    steps = steps_of(pipeline)
    if not steps:
        return None
    *before, last = steps
    transforms = _transforms(before)
    name = name_of(last)
    if transforms is None or name not in _FINALS:
        return None
    texts = _is_of_texts(steps)
    if texts and _FINALS[name] not in _OF_SPARSE:
        return None
    final = _FINALS[name](last, name)
    if final is None:
        return None
    columns = 1 if texts else int(steps[0].n_features_in_)
    return Shortcut(tuple(transforms), final, last, columns)


def _is_of_texts(steps: Sequence[Any]) -> bool:
    return name_of(steps[0]) in text.VECTORIZERS


def _transforms(steps: Sequence[Any]) -> list[Transform] | None:
    names = [name_of(step) for step in steps]
    found: list[Transform | None] = []
    if names and names[0] in text.VECTORIZERS:
        return _text_transforms(steps, names)
    if "OneHotEncoder" in names:
        after = names.index("OneHotEncoder") + 1
        found.append(table.encoder(list(steps[:after]), int(steps[0].n_features_in_)))
        steps, names = steps[after:], names[after:]
    for place, (step, name) in enumerate(zip(steps, names, strict=True)):
        if name == "ColumnTransformer" and place == len(found) == 0:
            found.append(table.column_transformer(step, steps_of))
        else:
            found.append(TRANSFORMS[name](step, name) if name in TRANSFORMS else None)
    known = [each for each in found if each is not None]
    return known if len(known) == len(found) else None


def _text_transforms(steps: Sequence[Any], names: Sequence[str | None]) -> list[Transform] | None:
    found = text.text(steps[0], str(names[0]))
    if found is None or names[1:] not in ([], ["TfidfTransformer"]):
        return None
    return [*found, *(text.weigher(step) for step in steps[1:])]


def steps_of(pipeline: Any) -> list[Any] | None:
    """The steps of a pipeline, without those that do nothing; None where it does something else."""
    if isinstance(pipeline, str) or pipeline is None:
        return [] if pipeline in (None, "passthrough") else None
    name = name_of(pipeline)
    if name != "Pipeline":
        return None if name is None else [pipeline]
    if getattr(pipeline, "transform_input", None) is not None:
        return None
    inner = [steps_of(step) for _, step in pipeline.steps]
    found: list[Any] = []
    for steps in inner:
        if steps is None:
            return None
        found += steps
    return found

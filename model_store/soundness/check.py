"""Whether what a loaded pipeline holds may be given to compiled code.

scikit-learn checks the rows that it is given, and believes what it was fitted with. A file may say
anything there: a child that does not exist, a count of something else. Compiled code reads and
writes wherever that leads. So what it follows without asking is checked here once, before anything
predicts: when a file is imported, and whenever a version is loaded. What numpy and scipy check
themselves is left to them: it ends in an exception.

A few things are put right rather than checked: search trees are built again from their rows, what
sparse matrices remember of themselves is forgotten, and threads are no more than processors.

`CHECKS` has the checks in their order, parts before what is made of them. `known.py` lists all
classes that are taken; one that is not there is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from ..errors import Unsound
from ..trust import Trust
from . import (
    bounds,
    encoders,
    functions,
    generators,
    guests,
    histograms,
    matrices,
    neighbours,
    texts,
    trees,
    vectors,
)
from .faults import MISSING, Check, Wrong, count, each, equal, own
from .graph import Place, walk
from .known import KNOWN, name_of

_NEIGHBOURS = "KNeighborsClassifier KNeighborsRegressor KNeighborsTransformer LocalOutlierFactor"
_NEIGHBOURS += " NearestNeighbors RadiusNeighborsClassifier RadiusNeighborsRegressor"
_NEIGHBOURS += " RadiusNeighborsTransformer"
_FOREST = "ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier RandomForestRegressor"
_FOREST += " RandomTreesEmbedding"
_TREE = "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor"
_SEARCH_TREES = "BallTree BallTree32 BallTree64 KDTree KDTree32 KDTree64"
_XGBOOST = "XGBClassifier XGBRFClassifier XGBRFRegressor XGBRegressor"
_SPARSE = {
    matrices.compressed: "bsr csc csr",
    matrices.coordinates: "coo",
    matrices.diagonals: "dia",
    matrices.dictionary: "dok",
    matrices.lists: "lil",
}
_DISTANCES = " ".join(
    name.removeprefix("metrics.") for name in sorted(KNOWN["sklearn"]) if "Distance" in name
)

REASON_LENGTH: Final = 300

CHECKS: Final[tuple[tuple[str, str, Check], ...]] = (
    *(
        ("sparse", " ".join(f"{form}_array {form}_matrix" for form in forms.split()), each(check))
        for check, forms in _SPARSE.items()
    ),
    ("interpolate", "BSpline", each(matrices.spline)),
    ("interpolate", "PPoly", each(matrices.pieces)),
    ("interpolate", "interp1d", each(matrices.interpolation)),
    ("random", "Generator", each(generators.generator)),
    ("random", "RandomState", each(generators.legacy)),
    ("random", "MT19937 PCG64 PCG64DXSM Philox SFC64", each(generators.bits)),
    ("random", "SeedSequence", each(generators.sequence)),
    ("tree", "Tree", trees.trees),
    ("ensemble", "TreePredictor", histograms.predictors),
    ("metrics", _DISTANCES, each(neighbours.distance)),
    ("neighbors", _SEARCH_TREES, each(neighbours.tree)),
    ("tree", _TREE, each(trees.estimator)),
    ("ensemble", _FOREST, each(trees.forest)),
    ("ensemble", "IsolationForest", each(trees.isolation_forest)),
    ("preprocessing", "OneHotEncoder", each(encoders.one_hot)),
    ("preprocessing", "OrdinalEncoder", each(encoders.ordinal)),
    ("preprocessing", "TargetEncoder", each(encoders.target)),
    ("preprocessing", "PolynomialFeatures", each(encoders.polynomials)),
    ("preprocessing", "SplineTransformer", each(encoders.splines)),
    (
        "ensemble",
        "HistGradientBoostingClassifier HistGradientBoostingRegressor",
        each(histograms.estimator),
    ),
    ("svm", "NuSVC NuSVR OneClassSVM SVC SVR", each(vectors.machine)),
    ("neighbors", _NEIGHBOURS, each(neighbours.estimator)),
    ("cluster", "KMeans MiniBatchKMeans", each(neighbours.means)),
    ("cluster", "BisectingKMeans", each(neighbours.bisecting_means)),
    ("cluster", "Birch", each(neighbours.birch)),
    ("cluster", "FeatureAgglomeration", each(neighbours.agglomeration)),
    ("kernel_approximation", "AdditiveChi2Sampler", each(bounds.steps)),
    ("kernel_approximation", "PolynomialCountSketch", each(bounds.sketch)),
    ("dummy", "DummyRegressor", each(bounds.constant)),
    ("feature_extraction", "CountVectorizer TfidfVectorizer", each(texts.vectorizer)),
    ("feature_extraction", "HashingVectorizer", each(texts.hashing_vectorizer)),
    ("feature_extraction", "FeatureHasher", each(texts.hasher)),
    ("feature_extraction", "DictVectorizer", each(texts.vocabulary)),
    *(
        ("decomposition", names, each(partial(bounds.iterations, names=attributes)))
        for names, attributes in bounds.ITERATIONS.items()
    ),
    ("imblearn.ensemble._forest", "BalancedRandomForestClassifier", each(trees.forest)),
    ("xgboost.sklearn", _XGBOOST, each(guests.xgboost_estimator)),
    ("lightgbm.sklearn", "LGBMClassifier LGBMRegressor", each(guests.lightgbm_estimator)),
    ("feature_engine.creation.math_features", "MathFeatures", each(guests.aggregates)),
    # It is asked for a row, so all that may stand in it comes before.
    (
        "ensemble",
        "GradientBoostingClassifier GradientBoostingRegressor",
        each(trees.boosting),
    ),
)


def require_sound(pipeline: Any, trust: Trust) -> None:
    """Look at everything that a pipeline holds that came from a file, before it is asked. Blocks.

    What `trust` allows by name, and what that holds of other packages, is not looked at.

    Raises:
        Untrusted: something is of a class without a check, or is a function that is not allowed.
        Unsound: something is not what compiled code takes it for, or would open files.
    """
    places = list(walk(pipeline, trust))
    by_name: defaultdict[str | None, list[Place]] = defaultdict(list)
    for place in places:
        by_name[name_of(type(place.value))].append(place)
    ours = [place for place in places if _has_attributes(place)]
    _check(_attributes, ours)
    _check(_estimator, [place for place in ours if _is_of(place, "sklearn", *guests.PACKAGES)])
    _check(each(functions.partial), [place for place in places if type(place.value) is partial])
    _check(each(texts.content), [place for place in places if _is_vectorizer(place)])
    for part, names, check in CHECKS:
        for name in names.split():
            _check(check, by_name.get(f"{part}.{name}", ()))


def warnings_of(pipeline: Any, trust: Trust) -> list[str]:
    """What an operator should know of a pipeline that is sound, as sentences."""
    vectorizers = [place for place in walk(pipeline, trust) if _is_vectorizer(place)]
    return [
        f"The pipeline brings a pattern of its own to find words by, {pattern!r}: where it takes "
        "long for a text, that text holds up all other requests, and nothing but the end of the "
        "process stops it."
        for pattern in texts.own_patterns(place.value for place in vectorizers)
    ]


def _check(check: Check, places: Sequence[Place]) -> None:
    if not places:
        return
    try:
        check([place.value for place in places])
    except Wrong as wrong:
        raise Unsound(
            f"{places[wrong.index].describe()} is not what it should be: {_line(str(wrong))}.",
            wrong.words and _line(wrong.words),
        ) from wrong


def _line(text: str) -> str:
    """A text in one line; it may repeat what the file says."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:REASON_LENGTH])


def _is_vectorizer(place: Place) -> bool:
    return hasattr(type(place.value), "build_analyzer")


# All that has attributes ----------------------------------------------------------


def _has_attributes(place: Place) -> bool:
    """Whether it has attributes from a file, of a class that nobody had to allow."""
    return (
        _is_of(place, "sklearn", "scipy", *guests.PACKAGES)
        and hasattr(place.value, "__dict__")
        and name_of(type(place.value)) not in guests.BOOSTERS
    )


def _is_of(place: Place, *packages: str) -> bool:
    return type(place.value).__module__.partition(".")[0] in packages


@each
def _attributes(value: Any) -> None:
    """Nothing on an object hides what its class does, or stands for what it does not do."""
    for name in vars(value):
        found = getattr(type(value), name, MISSING)
        if found is not MISSING and (callable(found) or name.startswith("_")):
            raise Wrong(f"its {name} stands in place of that of its class")
    functions.methods(vars(value).items())
    if isinstance(value, dict):
        functions.methods(value.items())


@each
def _estimator(value: Any) -> None:
    """Its columns are as many as it says, and what it starts and hands on is bounded."""
    attributes: Mapping[str, Any] = vars(value)
    functions.arguments(value)
    if "n_jobs" in attributes:
        value.n_jobs = functions.jobs(value.n_jobs)
    if "n_features_in_" in attributes:
        columns = count(value, "n_features_in_", 0)
        names = own(value, "feature_names_in_")
        if names is not MISSING:
            equal(np.shape(names), (columns,), "the shape of its feature_names_in_")

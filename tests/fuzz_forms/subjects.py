"""Small good forms, together with a node of each kind."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    DotProduct,
    Matern,
    RationalQuadratic,
)
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import LinearSVC

from model_store.inspection import Inspection
from model_store.plain import write
from model_store.plain.pack import NotPacked, pack

from ..fuzz.subjects import CODES, LETTERS, NUMBERS, SUBJECTS, THREE, Fitted, X, Y, fitted
from .cases import save
from .transforms import TRANSFORMS, made

ROWS: Final = 12

LABELS: Final = np.stack([Y, THREE == 1, THREE == 2], axis=1).astype(int)


def scaled() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def soft() -> Any:
    return VotingClassifier([("a", scaled()), ("b", scaled())], voting="soft", weights=[1, 2])


def target(**options: Any) -> Any:
    return TransformedTargetRegressor(Ridge(), **options)


def beside() -> Any:
    """Columns that are scaled in two ways."""
    parts = [("a", StandardScaler(), [2, 0]), ("b", MinMaxScaler(), [1])]
    return make_pipeline(ColumnTransformer(parts), LogisticRegression())


WRAPPERS: Final[dict[str, Callable[[], Fitted]]] = {
    "columns": fitted(beside(), X, THREE),
    "hard-vote": fitted(VotingClassifier([("a", scaled()), ("b", LinearSVC())]), X, THREE),
    "soft-vote": fitted(soft(), X, THREE),
    "average": fitted(VotingRegressor([("a", Ridge()), ("b", Ridge(9.0))]), X, NUMBERS),
    "stack": fitted(
        StackingClassifier([("a", soft()), ("b", LinearSVC())], cv=2, passthrough=True), X, THREE
    ),
    "bag": fitted(BaggingClassifier(scaled(), 3, max_features=2), X, THREE),
    "bag-numbers": fitted(BaggingRegressor(Ridge(), 3, max_features=2), X, NUMBERS),
    "sigmoid": fitted(CalibratedClassifierCV(LinearSVC(), cv=2), X, THREE),
    "isotonic-shares": fitted(CalibratedClassifierCV(soft(), cv=2, method="isotonic"), X, THREE),
    "temperature": fitted(CalibratedClassifierCV(soft(), cv=2, method="temperature"), X, THREE),
    "threshold": fitted(FixedThresholdClassifier(scaled(), threshold=0.3, pos_label=0)),
    "one-vs-rest": fitted(OneVsRestClassifier(scaled()), X, THREE),
    "many-labels": fitted(OneVsRestClassifier(soft()), X, LABELS),
    "one-vs-one": fitted(OneVsOneClassifier(scaled()), X, THREE),
    "code": fitted(OutputCodeClassifier(soft(), random_state=1), X, THREE),
    "several": fitted(MultiOutputClassifier(scaled()), X, np.stack([Y, THREE], axis=1)),
    "chain": fitted(ClassifierChain(LogisticRegression(), order=[2, 0, 1]), X, LABELS),
    "power-back": fitted(
        TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()), X, NUMBERS
    ),
    "quantiles-back": fitted(
        TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=9)),
        X,
        NUMBERS,
    ),
    "function-back": fitted(
        TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), X, NUMBERS**2
    ),
}


GAPS: Final = np.where(X > 8, np.nan, X)
GAPPY_LETTERS: Final = LETTERS.astype(object)
GAPPY_LETTERS[LETTERS == "c"] = None


def imputed(*steps: Any) -> Any:
    return make_pipeline(*steps, LogisticRegression())


OTHERS: Final[dict[str, Callable[[], Fitted]]] = {
    "bayes": fitted(GaussianNB(), X, THREE),
    "bayes-categories": fitted(CategoricalNB(), CODES, THREE),
    "bayes-truths": fitted(imputed(Binarizer(threshold=4.0)), X, THREE),
    "centroids": fitted(NearestCentroid(), X, THREE),
    "quadratic": fitted(QuadraticDiscriminantAnalysis(), X, THREE),
    "mean": fitted(DummyRegressor(), X, NUMBERS),
    "envelope": fitted(EllipticEnvelope(random_state=1)),
    "mixture": fitted(GaussianMixture(2, random_state=1)),
    "ridge-labels": fitted(RidgeClassifier(), X, LABELS),
    "spreading": fitted(LabelSpreading(gamma=0.5), X, THREE),
    "spreading-near": fitted(LabelSpreading("knn", n_neighbors=5), X, THREE),
    "network-numbers": fitted(MLPRegressor(hidden_layer_sizes=(4,), max_iter=20), X, NUMBERS),
    "network-labels": fitted(MLPClassifier((4,), max_iter=20), X, LABELS),
    "functions": fitted(imputed(FunctionTransformer(np.log1p), FunctionTransformer(np.sqrt))),
    "powers": fitted(imputed(PowerTransformer(), QuantileTransformer(n_quantiles=9))),
    "normal": fitted(imputed(QuantileTransformer(n_quantiles=9, output_distribution="normal"))),
    "projected": fitted(imputed(PCA(2), Normalizer())),
    "waves": fitted(imputed(RBFSampler(n_components=4, random_state=1))),
    "union": fitted(imputed(FeatureUnion([("a", PCA(1)), ("b", SelectKBest(k=1))]))),
    "flags": fitted(imputed(SimpleImputer(add_indicator=True)), GAPS, Y),
    "gaps": fitted(imputed(MissingIndicator(features="all")), GAPS, Y),
    "replaced": fitted(
        imputed(SimpleImputer(missing_values=None, strategy="most_frequent"), OneHotEncoder()),
        GAPPY_LETTERS,
        Y,
    ),
    "ordinal": fitted(imputed(OrdinalEncoder()), LETTERS, Y),
    "kernels": fitted(
        GaussianProcessRegressor(
            ConstantKernel(2.0) * Matern(nu=1.5) + RationalQuadratic() * DotProduct() ** 2,
            optimizer=None,
        ),
        X,
        NUMBERS,
    ),
}


def forms() -> Iterator[tuple[str, tuple[bytes, bytes], NDArray[Any]]]:
    """Each form by its name, with rows that it answers. What has no form is left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, make in (SUBJECTS | WRAPPERS | OTHERS | TRANSFORMS).items():
            pipeline, rows, truth = make()
            found = Inspection.of_data(pipeline, rows, truth, allow_varying=True)
            try:
                files = write(pack(pipeline, found.signature))
            except NotPacked:
                continue
            yield name, files, _matrix(rows)
    for name, form, rows in made():
        yield name, write(form), _matrix(rows)


def _matrix(rows: Any) -> NDArray[Any]:
    """The first rows as the matrix that a form is asked."""
    if isinstance(rows, np.ndarray):
        return rows[:ROWS]
    texts = np.empty((len(rows), 1), dtype=object)
    texts[:, 0] = list(rows)
    return texts[:ROWS]


def save_all(root: Path) -> list[str]:
    """Save all forms, a folder each."""
    names = []
    for name, files, rows in forms():
        save(root / name, files, rows)
        names.append(name)
    return names

"""Small good forms with steps before the last: of each of their kinds one, whose rows have gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from sklearn.decomposition import PCA, KernelPCA, TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
)

from model_store.plain import Form
from model_store.plain.form import FORM
from model_store.plain.nodes.categories import Categories, Encode, Rename
from model_store.plain.nodes.columns import Pipeline
from model_store.plain.nodes.linear import Regression

from ..fuzz.subjects import LETTERS, MOODS, NUMBERS, TEXTS, Fitted, X, Y, fitted

GAPS: Final = np.where(np.random.default_rng(3).random(X.shape) < 0.1, np.nan, X)
BLANKS: Final = LETTERS.copy()
BLANKS[np.isnan(GAPS)] = None

filled = SimpleImputer(strategy="most_frequent", missing_values=None)
encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
curves = make_union(
    PowerTransformer(),
    QuantileTransformer(n_quantiles=9, output_distribution="normal"),
    SplineTransformer(4, extrapolation="linear"),
    SplineTransformer(5, extrapolation="periodic"),
)
numbers = make_pipeline(
    FunctionTransformer(np.log1p),
    make_union(MinMaxScaler(clip=True), Binarizer(threshold=1.0), Normalizer()),
    SelectKBest(k=5),
)
words = make_union(
    TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), stop_words=["bad"]),
    TfidfVectorizer(analyzer="char_wb", strip_accents="unicode"),
    HashingVectorizer(n_features=16),
)

TRANSFORMS: Final[dict[str, Callable[[], Fitted]]] = {
    "gaps-flagged": fitted(
        make_pipeline(make_union(SimpleImputer(add_indicator=True), MissingIndicator()), Ridge()),
        GAPS,
        NUMBERS,
    ),
    "gaps-guessed": fitted(make_pipeline(IterativeImputer(max_iter=2, tol=1.0), Ridge()), GAPS, Y),
    "gaps-given": fitted(make_pipeline(KNNImputer(weights="distance"), Ridge()), GAPS, Y),
    "gaps-replaced": fitted(make_pipeline(filled, encoder, Ridge()), BLANKS, NUMBERS),
    "curves": fitted(make_pipeline(curves, Ridge()), X, NUMBERS),
    "functions": fitted(make_pipeline(numbers, LogisticRegression())),
    "projections": fitted(
        make_pipeline(
            make_union(PCA(2, whiten=True), KernelPCA(2), RBFSampler(n_components=4)), Ridge()
        ),
        X,
        NUMBERS,
    ),
    "sparse-projection": fitted(
        make_pipeline(
            OneHotEncoder(handle_unknown="ignore"), SelectKBest(k=6), TruncatedSVD(2), Ridge()
        ),
        LETTERS,
        Y,
    ),
    "transformed": fitted(make_pipeline(FunctionTransformer(np.log1p), PCA(2)), X, NUMBERS),
    "words-together": fitted(make_pipeline(words, LogisticRegression()), TEXTS, MOODS),
}


def made() -> Iterator[tuple[str, Form, Any]]:
    """Forms of nodes that only libraries need which are not installed here, with rows."""
    letters = Categories(["a", "b", "c"], ["nan", "unknown"])
    renamed = Rename(columns=[letters] * 3, labels=["a", "rest", "rest", None, "rest"] * 3)
    rest = Categories(["a", "rest"], ["nan"])
    encoded = Encode(columns=[rest] * 3, numbers=np.arange(9.0)[:, np.newaxis])
    last = Regression(coefficients=np.ones(3), intercept=np.zeros(()))
    root = Pipeline(steps=[renamed, encoded], last=last)
    yield "renamed", Form(format=FORM, columns=3, root=root), LETTERS

"""Estimators that hold others, as plain data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC

from model_store.inspection import Inspection
from model_store.plain import Malformed, Refused, read, write
from model_store.plain.pack import NotPacked, last_of, pack

from .forms import packed, require_same

RANDOM: Final = np.random.default_rng(7)
X: Final = RANDOM.normal(size=(160, 4))
NOISE: Final = RANDOM.normal(size=(160, 2), scale=0.7)
SUM: Final = X[:, 0] + X[:, 1] + NOISE[:, 0]
TWO: Final = np.array(["no", "yes"])[(SUM > 0.2).astype(int)]
BITS: Final = (SUM > 0.2).astype(int)
THREE: Final = np.array([9, 3, 5])[np.digitize(SUM, [-0.8, 0.8])]
TEXTS: Final = np.array(["red", "green", "blue", "grey"])[np.digitize(SUM, [-1.0, 0.0, 1.0])]
NUMBERS: Final = SUM * 3 + 20
BOTH: Final = np.stack([NUMBERS, X[:, 2] - NOISE[:, 1]], axis=1)
ROWS: Final = np.concatenate([RANDOM.normal(size=(60, 4), scale=3), X[:20], np.zeros((1, 4))])


SIGNATURE: Final = Inspection.of_data(Ridge().fit(X, NUMBERS), X, NUMBERS).signature


def scaled() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


def require_packed(estimator: Any, y: Any, rows: Any = ROWS) -> None:
    """That the form of an estimator that is fitted here answers as it does."""
    estimator.fit(X, y)
    form = read(*write(pack(estimator, SIGNATURE)))
    require_same(estimator, form, SIGNATURE, rows, lone=3)


def soft() -> Any:
    """It has probabilities and no decision function."""
    return VotingClassifier([("a", scaled())], voting="soft")


CALIBRATED: Final = [
    CalibratedClassifierCV(LinearSVC(), cv=3),
    CalibratedClassifierCV(LinearSVC(), cv=3, ensemble=False),
    CalibratedClassifierCV(scaled(), cv=3, method="isotonic"),
    CalibratedClassifierCV(LogisticRegression(), cv=2, method="temperature"),
    CalibratedClassifierCV(OneVsOneClassifier(LogisticRegression()), cv=2),
    CalibratedClassifierCV(soft(), cv=2),
    CalibratedClassifierCV(soft(), cv=2, method="isotonic"),
    CalibratedClassifierCV(soft(), cv=2, method="temperature"),
]


@pytest.mark.parametrize("estimator", CALIBRATED)
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_a_calibrated_classifier_answers_as_its_pipeline_does(estimator: Any, y: Any) -> None:
    require_packed(estimator, y)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_a_fitted_classifier_is_calibrated_as_it_is(method: str) -> None:
    known = FrozenEstimator(scaled().fit(X, THREE))
    require_packed(CalibratedClassifierCV(known, method=method), THREE)


def test_members_that_saw_only_some_of_the_classes_are_calibrated() -> None:
    without, all_rows = np.flatnonzero(TEXTS != "grey"), np.arange(160)
    folds = [(without[::2], all_rows[:80]), (all_rows[::2], all_rows[80:])]
    require_packed(CalibratedClassifierCV(LogisticRegression(), cv=folds), TEXTS)
    require_packed(CalibratedClassifierCV(soft(), cv=folds), TEXTS)


THRESHOLDS: Final = [
    FixedThresholdClassifier(scaled(), threshold=0.3, pos_label="yes"),
    FixedThresholdClassifier(scaled(), threshold=0.3, pos_label="no"),
    FixedThresholdClassifier(LinearSVC(), threshold=0.2, pos_label="no"),
    FixedThresholdClassifier(RidgeClassifier(), pos_label="yes"),
    FixedThresholdClassifier(
        scaled(), response_method="decision_function", threshold=-0.4, pos_label="no"
    ),
]


@pytest.mark.parametrize("estimator", THRESHOLDS)
def test_a_threshold_decides_as_in_its_pipeline(estimator: Any) -> None:
    require_packed(estimator, TWO)


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "f1"])
@pytest.mark.parametrize("inner", [scaled(), LinearSVC()], ids=["shares", "scores"])
def test_a_tuned_threshold_decides_as_in_its_pipeline(inner: Any, scoring: str) -> None:
    require_packed(TunedThresholdClassifierCV(inner, scoring=scoring, cv=2, thresholds=20), BITS)


def test_rows_exactly_at_a_threshold_are_above_it() -> None:
    """The score of what is 0 is the intercept."""
    linear = LogisticRegression().fit(X, TWO)
    linear.intercept_[:] = 0.25
    estimator = FixedThresholdClassifier(
        FrozenEstimator(linear), threshold=0.25, response_method="decision_function", pos_label="no"
    )
    require_packed(estimator, TWO, np.zeros((3, 4)))


def voting(**options: Any) -> Any:
    members = [("a", scaled()), ("b", RidgeClassifier()), ("c", LogisticRegression(C=0.01))]
    return VotingClassifier(members, **options)


VOTING: Final = [
    voting(),
    voting(weights=[1, 2.5, 0.5]),
    voting(weights=[1, 2, 5]).set_params(a="drop"),
    voting(voting="soft", weights=[1, 2, 3]).set_params(b="drop"),
    voting(voting="soft").set_params(b="drop"),
]


@pytest.mark.parametrize("estimator", VOTING)
@pytest.mark.parametrize("y", [TWO, THREE, TEXTS], ids=["two", "three", "texts"])
def test_a_vote_is_that_of_its_pipeline(estimator: Any, y: Any) -> None:
    require_packed(estimator, y)


@pytest.mark.parametrize("weights", [None, [1, 3, 0.1]], ids=repr)
def test_the_mean_of_regressions_is_that_of_its_pipeline(weights: Any) -> None:
    members = [
        ("a", Ridge()),
        ("b", make_pipeline(StandardScaler(), Ridge(9.0))),
        ("c", LinearRegression()),
    ]
    require_packed(VotingRegressor(members, weights=weights), NUMBERS)


STACKS: Final = [
    StackingClassifier([("a", scaled()), ("b", RidgeClassifier())], cv=2),
    StackingClassifier(
        [("a", scaled()), ("b", LinearSVC())], RidgeClassifier(), cv=2, passthrough=True
    ),
    StackingClassifier(
        [("a", scaled()), ("b", LogisticRegression())], stack_method="predict", cv=2
    ),
    StackingClassifier(
        [("a", scaled()), ("b", LogisticRegression())], make_pipeline(StandardScaler(), scaled())
    ).set_params(a="drop"),
    StackingClassifier([("a", scaled())], VotingClassifier([("c", scaled())], voting="soft"), cv=2),
]


@pytest.mark.parametrize("estimator", STACKS)
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_a_stack_of_classifiers_answers_as_its_pipeline_does(estimator: Any, y: Any) -> None:
    require_packed(estimator, y)


@pytest.mark.parametrize("through", [False, True])
def test_a_stack_of_regressions_answers_as_its_pipeline_does(through: bool) -> None:
    members = [("a", Ridge()), ("b", make_pipeline(StandardScaler(), Ridge(9.0)))]
    require_packed(StackingRegressor(members, Ridge(), cv=2, passthrough=through), NUMBERS)


BAGS: Final = [
    BaggingClassifier(scaled(), 4, random_state=1),
    BaggingClassifier(LogisticRegression(), 4, max_features=0.5, random_state=1),
    BaggingClassifier(LinearSVC(), 3, bootstrap_features=True, random_state=1),
    BaggingClassifier(soft(), 2, random_state=1),
]


@pytest.mark.parametrize("estimator", BAGS)
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_a_bag_of_classifiers_answers_as_its_pipeline_does(estimator: Any, y: Any) -> None:
    require_packed(estimator, y)


@pytest.mark.parametrize("features", [1.0, 0.5])
@pytest.mark.parametrize("y", [NUMBERS, BOTH], ids=["one", "two"])
def test_a_bag_of_regressions_answers_as_its_pipeline_does(features: float, y: Any) -> None:
    require_packed(BaggingRegressor(Ridge(), 5, max_features=features, random_state=1), y)


MULTICLASS: Final = [
    OneVsRestClassifier(LogisticRegression()),
    OneVsRestClassifier(LinearSVC()),
    OneVsRestClassifier(Ridge()),
    OneVsRestClassifier(soft()),
    OneVsOneClassifier(LogisticRegression()),
    OneVsOneClassifier(RidgeClassifier()),
    OneVsOneClassifier(Ridge()),
    OneVsOneClassifier(soft()),
    OutputCodeClassifier(LogisticRegression(), code_size=2.5, random_state=3),
    OutputCodeClassifier(soft(), random_state=3),
]


@pytest.mark.parametrize("estimator", MULTICLASS)
@pytest.mark.parametrize("y", [TWO, THREE, TEXTS], ids=["two", "three", "texts"])
def test_members_that_tell_two_things_apart_answer_as_in_their_pipeline(
    estimator: Any, y: Any
) -> None:
    require_packed(estimator, y)


@pytest.mark.parametrize("far", [1e12, 1e200])
def test_a_row_that_is_far_from_all_codes_has_the_class_of_its_pipeline(far: float) -> None:
    pipeline = OutputCodeClassifier(LogisticRegression(), random_state=3).fit(X, THREE)
    form, signature = packed(pipeline, X, THREE)
    require_same(pipeline, form, signature, ROWS * far)


LABELS: Final = np.stack([SUM > 0, SUM > 1, X[:, 2] > 0.3], axis=1).astype(int)


@pytest.mark.parametrize(
    "inner",
    [LogisticRegression(), LinearSVC(), soft()],
    ids=["both", "scores", "shares"],
)
def test_several_labels_are_told_as_in_their_pipeline(inner: Any) -> None:
    require_packed(OneVsRestClassifier(inner), LABELS)


def test_a_label_that_training_always_had_is_a_constant() -> None:
    always = np.concatenate([LABELS, np.ones((160, 1), dtype=int)], axis=1)
    estimator = OneVsRestClassifier(LogisticRegression())
    with pytest.warns(UserWarning, match="is present in all training examples"):
        estimator.fit(X, always)
    form = read(*write(pack(estimator, SIGNATURE)))
    require_same(estimator, form, SIGNATURE, ROWS, lone=3)


OUTPUTS: Final = [
    (lambda: MultiOutputClassifier(scaled()), np.stack([BITS, THREE], axis=1)),
    (lambda: MultiOutputClassifier(LinearSVC()), np.stack([TWO, TEXTS], axis=1).astype(object)),
    (lambda: MultiOutputClassifier(scaled()), BITS.reshape(-1, 1)),
    (lambda: MultiOutputRegressor(Ridge()), BOTH),
    (lambda: ClassifierChain(LogisticRegression(), order=[2, 0, 1]), LABELS),
    (lambda: ClassifierChain(LinearSVC()), LABELS),
    (lambda: ClassifierChain(scaled(), chain_method="predict_proba", cv=2), LABELS),
    (
        lambda: ClassifierChain(
            scaled(), chain_method="decision_function", order="random", random_state=1
        ),
        LABELS,
    ),
    (lambda: ClassifierChain(soft()), LABELS * 2 + 3),
    (lambda: RegressorChain(Ridge(), order=[1, 0]), BOTH),
    (lambda: RegressorChain(make_pipeline(StandardScaler(), Ridge()), cv=2), BOTH),
]


@pytest.mark.parametrize(("make", "y"), OUTPUTS, ids=[str(place) for place in range(len(OUTPUTS))])
def test_several_targets_are_told_as_in_their_pipeline(make: Callable[[], Any], y: Any) -> None:
    require_packed(make(), y)


TARGETS: Final = [
    TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
    TransformedTargetRegressor(Ridge(), transformer=StandardScaler(with_mean=False)),
    TransformedTargetRegressor(Ridge(), transformer=RobustScaler()),
    TransformedTargetRegressor(Ridge(), transformer=MinMaxScaler(clip=True)),
    TransformedTargetRegressor(Ridge(), transformer=MaxAbsScaler()),
    TransformedTargetRegressor(Ridge(), transformer=PowerTransformer()),
    TransformedTargetRegressor(Ridge(), transformer=PowerTransformer(standardize=False)),
    TransformedTargetRegressor(Ridge(), transformer=PowerTransformer("box-cox")),
    TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=40)),
    TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
    TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp),
    TransformedTargetRegressor(Ridge(), func=np.sqrt, inverse_func=np.square),
    TransformedTargetRegressor(Ridge(), func=np.arcsinh, inverse_func=np.sinh),
    TransformedTargetRegressor(
        Ridge(),
        transformer=make_pipeline(FunctionTransformer(np.log, np.exp), StandardScaler()),
    ),
    TransformedTargetRegressor(scaled(), func=np.negative, inverse_func=np.negative),
]


@pytest.mark.parametrize("estimator", TARGETS)
def test_a_transformed_target_is_led_back_as_in_its_pipeline(estimator: Any) -> None:
    # Some have labels of classes.
    y = BITS if "Logistic" in repr(estimator) else NUMBERS
    require_packed(estimator, y)


@pytest.mark.parametrize(
    "transformer", [StandardScaler(), PowerTransformer(), QuantileTransformer(n_quantiles=9)]
)
def test_several_transformed_targets_are_led_back_as_in_their_pipeline(transformer: Any) -> None:
    require_packed(TransformedTargetRegressor(Ridge(), transformer=transformer), BOTH)


GRID: Final = {"logisticregression__C": [0.1, 1.0, 10.0]}
HELD: Final = [
    GridSearchCV(scaled(), GRID, cv=2),
    RandomizedSearchCV(scaled(), GRID, n_iter=2, cv=2, random_state=1),
    HalvingGridSearchCV(scaled(), GRID, cv=2, random_state=1),
    HalvingRandomSearchCV(scaled(), GRID, n_candidates=2, cv=2, random_state=1),
    GridSearchCV(
        VotingClassifier([("a", scaled())], voting="soft"), {"weights": [None, [2]]}, cv=2
    ),
]


@pytest.mark.parametrize("estimator", HELD)
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_a_search_answers_as_the_best_that_it_found(estimator: Any, y: Any) -> None:
    require_packed(estimator, y)


def test_a_frozen_step_is_the_step() -> None:
    scaler = FrozenEstimator(StandardScaler().fit(X * 2))
    require_packed(make_pipeline(scaler, LogisticRegression()), THREE)


def test_a_self_training_classifier_answers_as_its_last_one() -> None:
    y = np.where(np.arange(160) % 3 == 0, -1, BITS)
    require_packed(SelfTrainingClassifier(scaled()), y)
    require_packed(SelfTrainingClassifier(SGDClassifier(loss="log_loss", random_state=1)), y)


def test_a_search_stands_in_a_pipeline() -> None:
    searched = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1, 2]})
    estimator = make_pipeline(MinMaxScaler(), searched)
    require_packed(estimator, NUMBERS)
    assert isinstance(last_of(estimator), Ridge)


def test_a_search_that_kept_no_estimator_is_not_packed() -> None:
    searched = GridSearchCV(Ridge(), {"alpha": [1, 2]}, refit=False).fit(X, NUMBERS)
    with pytest.raises(NotPacked, match="GridSearchCV without best_estimator_"):
        pack(searched, SIGNATURE)


# Rows with missing values, sparse rows ----------------------------------------------


def imputing() -> Any:
    return make_pipeline(SimpleImputer(), LogisticRegression())


GAPS: Final = np.where(RANDOM.random(size=X.shape) < 0.1, np.nan, X)
WITH_GAPS: Final = [
    (CalibratedClassifierCV(imputing(), cv=2), THREE),
    (FixedThresholdClassifier(imputing(), threshold=0.4, pos_label="no"), TWO),
    (VotingClassifier([("a", imputing()), ("b", imputing())], voting="soft"), THREE),
    (StackingClassifier([("a", imputing())], cv=2), THREE),
    (StackingClassifier([("a", imputing())], imputing(), cv=2, passthrough=True), THREE),
    (BaggingClassifier(imputing(), 3, max_features=0.5, random_state=1), THREE),
    (OneVsRestClassifier(imputing()), THREE),
    (OneVsOneClassifier(imputing()), THREE),
    (OutputCodeClassifier(imputing(), random_state=3), THREE),
    (MultiOutputClassifier(imputing()), LABELS),
    (
        TransformedTargetRegressor(
            make_pipeline(SimpleImputer(), Ridge()), transformer=StandardScaler()
        ),
        NUMBERS,
    ),
    (GridSearchCV(imputing(), {"logisticregression__C": [1.0]}, cv=2), THREE),
]


@pytest.mark.parametrize(("estimator", "y"), WITH_GAPS)
def test_a_wrapper_takes_missing_values_as_its_members_do(estimator: Any, y: Any) -> None:
    signature = Inspection.of_data(estimator.fit(GAPS, y), GAPS, y).signature
    form = read(*write(pack(estimator, signature)))
    require_same(estimator, form, signature, GAPS, lone=4)


REFUSING: Final = [
    (voting(), THREE),
    (StackingClassifier([("a", scaled())], cv=2, passthrough=True), THREE),
    (ClassifierChain(imputing()), LABELS),
    (RegressorChain(make_pipeline(SimpleImputer(), Ridge())), BOTH),
]


@pytest.mark.parametrize(("estimator", "y"), REFUSING)
def test_a_wrapper_refuses_missing_values_where_its_pipeline_does(estimator: Any, y: Any) -> None:
    form = read(*write(pack(estimator.fit(X, y), SIGNATURE)))
    with pytest.raises(ValueError, match="NaN"):
        estimator.predict(GAPS[:20])
    with pytest.raises(Refused, match="a value is missing"):
        form.predict(GAPS[:20])


SPARSE: Final = [
    (CalibratedClassifierCV(LinearSVC(), cv=2), THREE),
    (StackingClassifier([("a", LogisticRegression())], cv=2, passthrough=True), THREE),
    (BaggingClassifier(LogisticRegression(), 3, max_features=0.5, random_state=1), THREE),
    (OneVsRestClassifier(LogisticRegression()), LABELS),
    (ClassifierChain(LogisticRegression()), LABELS),
    (MultiOutputRegressor(Ridge()), BOTH),
]


@pytest.mark.parametrize(("estimator", "y"), SPARSE)
def test_a_wrapper_of_sparse_rows_answers_as_its_pipeline_does(estimator: Any, y: Any) -> None:
    rows = csr_matrix(np.where(X > 0.3, X, 0.0))
    signature = msgspec.structs.replace(SIGNATURE, container="sparse")
    form = read(*write(pack(estimator.fit(rows, y), signature)))
    require_same(estimator, form, signature, rows.toarray(), lone=3)


# What draws rows for training ------------------------------------------------------


@pytest.mark.guests
def test_what_draws_rows_for_training_vanishes() -> None:
    ensemble = pytest.importorskip("imblearn.ensemble")
    pipeline = pytest.importorskip("imblearn.pipeline")
    sampling = pytest.importorskip("imblearn.under_sampling")
    sampler = sampling.RandomUnderSampler(random_state=1)
    require_packed(pipeline.make_pipeline(sampler, StandardScaler(), LogisticRegression()), THREE)
    options = {"n_estimators": 3, "random_state": 1}
    require_packed(ensemble.BalancedBaggingClassifier(scaled(), **options), THREE)
    require_packed(ensemble.EasyEnsembleClassifier(estimator=scaled(), **options), TWO)
    require_packed(VotingClassifier([("a", pipeline.make_pipeline(sampler, scaled()))]), TWO)


# What is not packed --------------------------------------------------------------


class Own(LogisticRegression):  # type: ignore[misc]
    """A class of the user's."""


def inverse(numbers: Any) -> Any:
    return np.exp(numbers)


UNKNOWN: Final = [
    (voting(weights=[-1, 2, 2]), THREE, "expected weights that are not negative"),
    (VotingClassifier([("a", Own())]), THREE, "test_wrappers.Own is not known"),
    (ClassifierChain(scaled()), np.stack([THREE, BITS], axis=1), "other than two classes each"),
    (ClassifierChain(scaled(), chain_method="predict_log_proba"), LABELS, "predict_log_proba"),
    (TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=inverse), NUMBERS, "inverse"),
    (
        TransformedTargetRegressor(
            Ridge(), transformer=QuantileTransformer(n_quantiles=9, output_distribution="normal")
        ),
        NUMBERS,
        "output_distribution='normal'",
    ),
]


@pytest.mark.parametrize(("estimator", "y", "reason"), UNKNOWN)
def test_a_wrapper_that_is_not_known_exactly_is_not_packed(
    estimator: Any, y: Any, reason: str
) -> None:
    with pytest.raises(NotPacked, match=reason):
        pack(estimator.fit(X, y), SIGNATURE)


def test_a_stack_of_several_labels_is_not_packed() -> None:
    last = MultiOutputClassifier(LogisticRegression())
    estimator = StackingClassifier([("a", OneVsRestClassifier(scaled()))], last, cv=2)
    with pytest.raises(NotPacked, match="StackingClassifier of several targets"):
        pack(estimator.fit(X, LABELS), SIGNATURE)


# What is forged ------------------------------------------------------------------


def forged(estimator: Any, y: Any, change: Callable[[Any], None]) -> tuple[bytes, bytes]:
    """The files of a form whose JSON was changed."""
    header, data = write(pack(estimator.fit(X, y), SIGNATURE))
    decoded = json.loads(header)
    change(decoded["root"])
    return json.dumps(decoded).encode(), data


def change_at(*path: Any, to: Any) -> Callable[[Any], None]:
    """Puts another value at a place."""

    def change(root: Any) -> None:
        for key in path[:-1]:
            root = root[key]
        root[path[-1]] = to

    return change


FORGED: Final = [
    (voting(), THREE, change_at("members", to=[])),
    (voting(), THREE, change_at("classes", to=[])),
    (voting(weights=[1, 2, 3]), THREE, change_at("weights", "shape", to=[2])),
    (voting(weights=[1, 2, 3]), THREE, change_at("weights", "dtype", to="int64")),
    (VotingRegressor([("a", Ridge())]), NUMBERS, change_at("members", to=[])),
    (BAGS[1], THREE, change_at("members", 0, "columns", "dtype", to="float64")),
    (BAGS[1], THREE, change_at("members", 0, "columns", "shape", to=[1])),
    (BAGS[1], THREE, change_at("known", to=[])),
    (BAGS[1], THREE, change_at("by", to="scores")),
    (STACKS[0], THREE, change_at("members", 0, "columns", to=2)),
    (STACKS[0], THREE, change_at("members", 0, "columns", to=10**9)),
    (STACKS[0], THREE, change_at("through", to=True)),
    (CALIBRATED[0], THREE, change_at("members", 0, "columns", to=2)),
    (CALIBRATED[0], THREE, change_at("members", 0, "places", to=None)),
    (CALIBRATED[0], THREE, change_at("members", 0, "calibrator", "method", to="temperature")),
    (CALIBRATED[3], THREE, change_at("members", 0, "calibrator", "scale", to=1e999)),
    (CALIBRATED[0], THREE, change_at("members", to=[])),
    (CALIBRATED[5], THREE, change_at("members", 0, "by", to="scores")),
    (THRESHOLDS[0], TWO, change_at("classes", to=["no"])),
    (THRESHOLDS[0], TWO, change_at("positive", to=2)),
    (THRESHOLDS[0], TWO, change_at("threshold", to=None)),
    (MULTICLASS[0], THREE, change_at("classes", to=[3, 5])),
    (MULTICLASS[3], THREE, change_at("members", 0, "by", to="scores")),
    (MULTICLASS[4], THREE, change_at("members", to=[])),
    (MULTICLASS[4], THREE, change_at("classes", to=[3])),
    (MULTICLASS[8], THREE, change_at("codes", "shape", to=[7, 3])),
    (ClassifierChain(scaled()), LABELS, change_at("order", "dtype", to="float64")),
    (ClassifierChain(soft()), LABELS, change_at("by", to="scores")),
    (TARGETS[0], NUMBERS, change_at("targets", to=2)),
    (TARGETS[5], NUMBERS, change_at("back", 0, "steps", 1, "lambdas", "shape", to=[0])),
    (TARGETS[8], NUMBERS, change_at("back", 0, "quantiles", "shape", to=[39, 1])),
    (TARGETS[9], NUMBERS, change_at("back", 0, "steps", 1, "name", to="fromfile")),
]


@pytest.mark.parametrize(("estimator", "y", "change"), FORGED)
def test_a_wrapper_whose_parts_do_not_fit_is_malformed(
    estimator: Any, y: Any, change: Callable[[Any], None]
) -> None:
    header, data = forged(estimator, y, change)
    with pytest.raises(Malformed):
        read(header, data)


ILL_MATCHED: Final = [
    # Members that know other classes than their wrapper.
    (voting(voting="soft").set_params(b="drop"), THREE, change_at("classes", to=[3, 5])),
    (StackingClassifier([("a", soft())], cv=2), THREE, change_at("classes", to=[3])),
]


@pytest.mark.parametrize(("estimator", "y", "change"), ILL_MATCHED)
def test_a_wrapper_whose_members_answer_something_else_is_malformed_when_it_answers(
    estimator: Any, y: Any, change: Callable[[Any], None]
) -> None:
    form = read(*forged(estimator, y, change))
    with pytest.raises(Malformed, match="of a member"):
        form.predict(ROWS)


@pytest.mark.parametrize("kind", ["threshold", "onevsone", "onevsrest", "bagged"])
def test_wrappers_within_wrappers_ask_the_innermost_once(kind: str) -> None:
    """Were it asked twice at each level, this would not end."""
    header, data = write(
        pack(FixedThresholdClassifier(scaled(), threshold=0.4).fit(X, BITS), SIGNATURE)
    )
    form = json.loads(header)
    inner = form["root"]["inner"]
    for _ in range(36):
        inner = NESTED[kind](inner)
    form["root"]["inner"] = inner
    read(json.dumps(form).encode(), data).decide(ROWS)


NESTED: Final[dict[str, Callable[[Any], Any]]] = {
    "threshold": lambda inner: {
        "kind": "threshold",
        "classes": [0, 1],
        "inner": inner,
        "by": "scores",
        "threshold": 0.0,
    },
    "onevsone": lambda inner: {
        "kind": "onevsone",
        "classes": [0, 1],
        "members": [{"inner": inner, "by": "scores"}],
        "threshold": 0.0,
    },
    "onevsrest": lambda inner: {
        "kind": "onevsrest",
        "classes": [0, 1],
        "members": [{"inner": inner, "by": "scores"}],
        "threshold": 0.0,
        "shares": False,
    },
    "bagged": lambda inner: {
        "kind": "baggedclassification",
        "classes": [0, 1],
        "members": [{"inner": inner}],
        "known": [None],
        "by": "labels",
    },
}

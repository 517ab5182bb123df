"""Live scores are scikit-learn's, and their intervals hold what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import t as student_t
from sklearn import metrics

from model_store.live_scores import LiveScore, class_scores, number_scores, student, wilson

TRIALS = 400

Pairs = tuple[Any, Any, Any]


def answered(
    random: np.random.Generator, classes: Sequence[Any], rows: int, *, rounded: bool = False
) -> Pairs:
    """Truths, answers and probabilities of a classifier that is right more often than not."""
    labels = np.array(classes)
    weights = np.arange(len(classes), 0, -1.0) ** 2
    true = random.choice(len(classes), size=rows, p=weights / weights.sum())
    leaning = random.normal(size=(rows, len(classes))) + 1.2 * np.eye(len(classes))[true]
    shares = np.exp(leaning)
    if rounded:  # as a forest of few trees says it, with many that are equal, and 0
        shares = np.round(np.maximum(shares - 1, 0.2)) + 1e-9
    shares /= shares.sum(axis=1, keepdims=True)
    return labels[true].tolist(), labels[shares.argmax(axis=1)].tolist(), shares


def by_name(scores: Sequence[LiveScore]) -> dict[str, float]:
    return {score.name: score.value for score in scores}


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("classes", [[0, 1], ["no", "yes"], ["a", "b", "c", "d"], [False, True]])
def test_scores_of_classes_are_those_of_scikit_learn(classes: list[Any], rounded: bool) -> None:
    truth, answers, shares = answered(np.random.default_rng(3), classes, 500, rounded=rounded)
    one_or_all = shares[:, 1] if len(classes) == 2 else shares
    assert by_name(class_scores(classes, truth, answers, shares)) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, answers),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, answers),
            "log_loss": metrics.log_loss(truth, shares, labels=classes),
            "roc_auc": metrics.roc_auc_score(truth, one_or_all, multi_class="ovr"),
        },
        abs=1e-12,
    )


def test_a_class_that_was_called_impossible_and_came_true_counts_as_in_scikit_learn() -> None:
    truth, shares = ["a", "b", "b"], np.array([[1.0, 0.0], [1.0, 0.0], [0.2, 0.8]])
    scores = by_name(class_scores(["a", "b"], truth, ["a", "a", "b"], shares))
    assert scores["log_loss"] == pytest.approx(metrics.log_loss(truth, shares), rel=1e-12)


def test_the_area_is_left_out_as_long_as_a_class_never_came_true() -> None:
    shares = np.full((3, 3), 1 / 3)
    scores = by_name(class_scores(["a", "b", "c"], ["a", "b", "b"], ["a", "a", "c"], shares))
    assert scores.keys() == {"accuracy", "balanced_accuracy", "log_loss"}
    assert scores["balanced_accuracy"] == 0.5  # of a and b alone


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=40))
def test_scores_of_numbers_are_those_of_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    truth, answers = (list(each) for each in zip(*pairs, strict=True))
    scores = by_name(number_scores(truth, answers))
    deviation = float(np.std(truth))
    expected = {
        "mean_absolute_error": metrics.mean_absolute_error(truth, answers),
        "root_mean_squared_error": metrics.root_mean_squared_error(truth, answers),
        "bias": float(np.mean(np.subtract(answers, truth))),
    }
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    if deviation > 1e-3:
        assert scores["r2"] == pytest.approx(metrics.r2_score(truth, answers), rel=1e-9, abs=1e-9)


def test_the_interval_of_a_share_is_wilsons() -> None:
    for right, rows in [(0, 5), (1, 1), (37, 50), (990, 1000)]:
        found = binomtest(right, rows).proportion_ci(0.95, "wilson")
        assert wilson(right / rows, rows) == pytest.approx((found.low, found.high), abs=1e-12)


def test_students_quantile_is_scipys() -> None:
    for freedom in [1, 2, 3, 5, 10, 100, 10_000]:
        assert student(freedom) == pytest.approx(student_t.ppf(0.975, freedom), rel=6e-3)


@pytest.mark.parametrize("rows", [100, 1000])
def test_nineteen_of_twenty_intervals_hold_the_score_of_endless_rows(rows: int) -> None:
    random = np.random.default_rng(9)

    def of_classes(count: int) -> list[LiveScore]:
        return class_scores(["a", "b", "c"], *answered(random, ["a", "b", "c"], count))

    def of_numbers(count: int) -> list[LiveScore]:
        truth = random.normal(50, 10, count)
        return number_scores(truth, truth + random.normal(1, 4, count))

    for scores_of in (of_classes, of_numbers):
        endless = by_name(scores_of(400_000))
        held = dict.fromkeys(endless, 0)
        for _ in range(TRIALS):
            for score in scores_of(rows):
                assert score.low is not None
                assert score.high is not None
                assert score.low <= score.value <= score.high
                held[score.name] += score.low <= endless[score.name] <= score.high
        shares = {name: count / TRIALS for name, count in held.items()}
        assert min(shares.values()) > 0.92, shares
        assert max(shares.values()) < 0.99, shares


@pytest.mark.parametrize("rows", [1, 2])
def test_of_few_rows_there_is_a_score_and_of_one_no_interval_of_a_mean(rows: int) -> None:
    truth, answers = [1.0, 3.0][:rows], [2.0, 3.0][:rows]
    of_numbers = {score.name: score for score in number_scores(truth, answers)}
    assert of_numbers["mean_absolute_error"].value == 1 / rows
    assert (of_numbers["mean_absolute_error"].low is None) == (rows == 1)
    of_classes = {score.name: score for score in class_scores([0, 1], [0, 1][:rows], [0, 1][:rows])}
    assert of_classes["accuracy"].value == 1
    low, high = of_classes["accuracy"].low, of_classes["accuracy"].high
    assert low is not None
    assert high is not None
    assert low < 0.5 <= 1 == high


def test_perfect_answers_are_not_sure_to_stay_so() -> None:
    truth = [0, 1] * 20
    shares = np.eye(2)[truth]
    for score in class_scores([0, 1], truth, truth, shares):
        assert score.value == pytest.approx(0 if score.name == "log_loss" else 1)
        if score.name != "log_loss":
            assert score.low is not None
            assert score.low < 0.95
    assert number_scores([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])[-1].value == 1


def test_without_pairs_there_are_no_scores() -> None:
    assert class_scores(["a", "b"], [], []) == number_scores([], []) == []


def test_a_label_that_is_no_class_is_an_error_of_the_caller() -> None:
    with pytest.raises(KeyError, match="c"):
        class_scores(["a", "b"], ["c"], ["a"])

"""The figures of a window, of real records in SQLite, beside those of scikit-learn and scipy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from model_store import ModelStore
from model_store.drift.reference import NO_REFERENCE, TOO_FEW
from quart_app.figures import Monitor, RecordState
from quart_app.memory import pieces
from quart_app.memory.monitor import NOTHING_RECORDED, Question, monitor
from quart_app.memory.versions import read
from quart_app.window import DAY, HOUR, Window

from ... import recorded
from ...recorded import NAME, ROWS, Asked

NOW: Final = 1_800_000_000.0
"""At 8:00 in the morning."""
ON: Final = RecordState(share=1.0, reason=None)


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    store = ModelStore(tmp_path_factory.mktemp("loans"))
    recorded.publish(store)
    return store


@pytest.fixture(scope="module")
def asked(loans: ModelStore) -> Asked:
    """1,000 rows like those of training."""
    return recorded.ask(loans, recorded.customers(1_000, 5))


@pytest.fixture(scope="module")
def shifted(loans: ModelStore) -> Asked:
    """1,000 rows of older people in other towns."""
    return recorded.ask(loans, recorded.customers(1_000, 6, age=0.5, town=1.0))


class Place:
    """A database, and the question that is put to it."""

    def __init__(self, store: ModelStore, url: str) -> None:
        self.store = store
        self.records, self.versions = recorded.records_of(url, store)

    def look(
        self, length: str = "7d", *, exact: bool = False, name: str = NAME, version: int = 1
    ) -> Monitor:
        window = Window.before(length, NOW)
        question = Question(name, version, window, ON, exact)
        return monitor(self.records, self.versions, question)


@pytest.fixture
def place(loans: ModelStore, sqlite_url: str) -> Place:
    return Place(loans, sqlite_url)


def spread(rows: int, days: float, until: float = NOW) -> list[float]:
    """Moments that are even over so many days."""
    moments: list[float] = np.linspace(until - days * DAY, until - 1, rows).tolist()
    return moments


def test_where_nothing_is_recorded_it_says_so(place: Place) -> None:
    found = place.look()
    assert found.reason == found.drift.reason == NOTHING_RECORDED
    assert found.requests.requests == 0
    assert found.requests.error_share is None
    assert len(found.over_time) > 1
    assert not found.versions


def test_requests_are_counted_by_status_kind_and_door(place: Place, asked: Asked) -> None:
    recorded.record(place.records, asked, spread(1_000, 6), milliseconds=4.0)
    recorded.refuse(place.records, spread(50, 6))
    recorded.refuse(place.records, spread(10, 6), "queue_full", status=503, door="json")
    recorded.record(place.records, asked, spread(100, 2, NOW - 8 * DAY))  # before the window
    found = place.look()
    requests = found.requests
    assert (requests.requests, requests.rows, requests.errors) == (1_060, 1_000, 60)
    assert requests.statuses == {"200": 1_000, "400": 50, "503": 10}
    assert requests.kinds == {"invalid_rows": 50, "queue_full": 10}
    assert requests.doors == {"json": 1_010, "v2": 50}
    assert requests.mean_ms == pytest.approx((4_000 + 60) / 1_060, rel=1e-3)
    assert requests.p50_ms == pytest.approx(4, rel=0.05)
    assert sum(step.requests for step in found.over_time) == 1_060
    assert sum(step.errors for step in found.over_time) == 60


@pytest.mark.parametrize("exact", [False, True])
def test_summaries_and_records_have_the_same_figures(
    place: Place, asked: Asked, shifted: Asked, exact: bool
) -> None:
    recorded.record(place.records, asked, spread(1_000, 13))
    recorded.record(place.records, shifted, spread(1_000, 3))
    found = place.look(exact=exact)
    assert found.source == ("records" if exact else "summaries")
    told = [*asked.labels[1_000 * 6 // 13 + 1 :], *shifted.labels]
    (mix,) = found.answers
    assert mix.shares is not None
    assert mix.shares["paid"] == pytest.approx(told.count("paid") / len(told), abs=0.01)
    assert found.drift.columns[0].name in {"age", "town"}
    assert found.drift.rows == found.requests.rows == pytest.approx(1_540, abs=12)


def test_a_canary_counts_for_its_version_and_a_shadow_for_nobody(
    place: Place, asked: Asked
) -> None:
    recorded.record(place.records, asked, spread(700, 3))
    recorded.record(place.records, asked, spread(200, 3), variant="canary", version=1)
    recorded.record(place.records, asked, spread(500, 3), variant="shadow")
    found = place.look()
    assert found.requests.requests == 900
    assert {each.variant: each.requests.requests for each in found.versions} == {
        "champion": 700,
        "canary": 200,
        "shadow": 500,
    }
    assert found.drift.rows == 900


# Drift ---------------------------------------------------------------------------


def test_distances_are_those_of_scipy(place: Place, shifted: Asked) -> None:
    recorded.record(place.records, shifted, spread(1_000, 3))
    training = recorded.customers(ROWS, 0)
    found = {each.name: each for each in place.look().drift.columns}
    for name in ("age", "children"):
        numbers = training[name].to_numpy(dtype=float)
        distance = wasserstein_distance(numbers, shifted.columns[name]) / numbers.std()
        assert found[name].distance == pytest.approx(distance, abs=0.01)
    counts = [
        [list(values).count(town) for town in recorded.TOWNS]
        for values in (training["town"], shifted.columns["town"])
    ]
    assert found["town"].distance == pytest.approx(jensenshannon(*counts), abs=1e-9)


def test_columns_that_shifted_drift_and_others_do_not(place: Place, shifted: Asked) -> None:
    recorded.record(place.records, shifted, spread(1_000, 3))
    drift = place.look().drift
    inputs = [each for each in drift.columns if not each.answers]
    assert {each.name for each in inputs if each.drifts} == {"town", "age"}
    sizes = [(each.distance or 0) / (each.threshold or 1) for each in drift.columns]
    assert sizes == sorted(sizes, reverse=True)
    assert drift.marked == []
    (town,) = (each for each in drift.columns if each.name == "town")
    assert {part.label: round(part.training, 1) for part in town.parts} == {
        "Ayr": 0.6,
        "Bonn": 0.3,
        "Cork": 0.1,
    }
    assert all(
        sum(getattr(part, side) for part in each.parts) == pytest.approx(1)
        for each in drift.columns
        for side in ("training", "now")
    )


def test_a_column_is_marked_when_it_drifts_in_two_windows_running(
    place: Place, asked: Asked, shifted: Asked
) -> None:
    recorded.record(place.records, shifted, spread(500, 3))
    recorded.record(place.records, asked, spread(500, 3, NOW - 7.5 * DAY))
    assert place.look().drift.marked == []
    recorded.record(place.records, shifted, spread(1_000, 3, NOW - 7.5 * DAY))
    found = place.look().drift
    assert {"town", "age"} <= set(found.marked)
    assert {each.name for each in found.columns if each.lasting} == set(found.marked)


def test_what_was_not_recorded_is_not_judged(place: Place, asked: Asked) -> None:
    hashed = {**asked.columns, "town": [f"{place:024x}" for place in range(1_000)]}
    del hashed["age"]  # it is dropped
    recorded.record(place.records, asked._replace(columns=hashed), spread(1_000, 3))
    found = {each.name: each for each in place.look().drift.columns}
    assert found.keys() == {"children", "outcome"}


def test_too_few_rows_say_nothing(place: Place, shifted: Asked) -> None:
    recorded.record(place.records, shifted, spread(60, 3))
    drift = place.look().drift
    assert drift.reason == TOO_FEW
    assert not any(each.drifts for each in drift.columns)


def test_a_version_without_a_reference_says_so_and_has_all_else(
    tmp_path: Path, sqlite_url: str
) -> None:
    store = ModelStore(tmp_path / "models")
    X = np.random.default_rng(0).normal(size=(200, 2))
    store.publish("bare", LogisticRegression().fit(X, X[:, 0] > 0))
    assert store.reference("bare") is None
    place = Place(store, sqlite_url)
    columns = {"x0": X[:, 0].tolist(), "x1": X[:, 1].tolist()}
    asked = Asked(columns, (X[:, 0] > 0).tolist(), None)
    recorded.record(place.records, asked, spread(200, 3), name="bare")
    found = place.look(name="bare")
    assert found.drift.reason == NO_REFERENCE
    assert found.requests.rows == found.answers[0].rows == 200
    (summed, *_) = place.records.summaries("bare", 0, NOW)
    assert read(summed.body).columns["x0"].values > 0


# Truth ---------------------------------------------------------------------------


def test_scores_are_those_of_scikit_learn(loans: ModelStore, url: str, asked: Asked) -> None:
    place = Place(loans, url)
    ids = recorded.record(place.records, asked, spread(1_000, 5))
    truth = recorded.truth_of(recorded.customers(1_000, 5), 7).tolist()
    recorded.tell(place.records, dict(zip(ids[:800], truth, strict=False)), NOW)
    scores = place.look().scores
    assert (scores.rows, scores.reason, scores.left) == (800, None, False)
    (target,) = scores.targets
    found = {each.name: each for each in target.scores}
    told, shares = asked.labels[:800], np.array(asked.probabilities)[:800]
    expected = {
        "accuracy": metrics.accuracy_score(truth[:800], told),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth[:800], told),
        "log_loss": metrics.log_loss(truth[:800], shares, labels=["failed", "paid"]),
        "roc_auc": metrics.roc_auc_score(np.array(truth[:800]) == "paid", shares[:, 1]),
    }
    assert {name: each.value for name, each in found.items()} == pytest.approx(expected)
    assert all(
        each.low is not None and each.high is not None and each.low < each.value < each.high
        for each in found.values()
    )


def test_scores_of_numbers_are_those_of_scikit_learn(bundled: ModelStore, sqlite_url: str) -> None:
    place = Place(bundled, sqlite_url)
    random = np.random.default_rng(0)
    told = random.normal(150, 50, 300)
    truth = (told + random.normal(5, 20, 300)).tolist()
    ids = recorded.record(
        place.records, Asked({}, told.tolist(), None), spread(300, 5), name="diabetes"
    )
    recorded.tell(place.records, dict(zip(ids, truth, strict=True)), NOW, "diabetes")
    found = place.look(name="diabetes")
    scores = {each.name: each.value for each in found.scores.targets[0].scores}
    assert scores == pytest.approx(
        {
            "mean_absolute_error": metrics.mean_absolute_error(truth, told),
            "root_mean_squared_error": metrics.root_mean_squared_error(truth, told),
            "bias": np.mean(told - truth),
            "r2": metrics.r2_score(truth, told),
        }
    )
    published = bundled.manifest("diabetes").metrics
    (r2,) = (each for each in found.scores.targets[0].scores if each.name == "r2")
    assert r2.published == published["r2"]
    (mix,) = found.answers
    for share, number in ((0.1, mix.p10), (0.5, mix.p50), (0.9, mix.p90)):
        assert number == pytest.approx(np.quantile(told, share), abs=4)


def test_truths_that_fit_no_class_are_passed_over(place: Place, asked: Asked) -> None:
    ids = recorded.record(place.records, asked, spread(200, 5))
    recorded.tell(place.records, {ids[0]: "paid", ids[1]: "?", ids[2]: 3, ids[3]: [1]}, NOW)
    assert place.look().scores.rows == 1


def test_the_newest_truths_count_where_there_are_too_many(
    place: Place, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = recorded.record(place.records, asked, spread(300, 5))
    right = dict(zip(ids, asked.labels, strict=False))
    recorded.tell(place.records, dict(list(right.items())[:100]), NOW)
    wrong = {id: "paid" if told == "failed" else "failed" for id, told in right.items()}
    recorded.tell(place.records, dict(list(wrong.items())[100:]), NOW - DAY)
    assert place.look().scores.targets[0].scores[0].value == pytest.approx(1 / 3)
    monkeypatch.setattr("quart_app.memory.scoring.MOST_ROWS", 100)
    scores = place.look().scores
    assert scores.left
    assert scores.targets[0].scores[0].value == 1


def test_without_truth_it_says_how_to_tell(place: Place, asked: Asked) -> None:
    recorded.record(place.records, asked, spread(200, 5))
    found = place.look()
    assert f"/models/{NAME}/feedback" in (found.scores.reason or "")
    assert found.estimate.accuracy is None
    assert found.estimate.reason


# Windows -------------------------------------------------------------------------


def test_a_short_window_counts_records_to_the_second(place: Place, asked: Asked) -> None:
    recorded.record(place.records, asked, [NOW - 59, NOW - 1, NOW - 61, NOW - 2 * HOUR])
    found = place.look("1m")
    assert (found.source, found.requests.requests) == ("records", 2)
    assert place.look("3h").requests.requests == 4


def test_of_too_many_records_the_summaries_are_taken(
    place: Place, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.record(place.records, asked, spread(300, 1 / 24))
    monkeypatch.setattr(pieces, "MOST_ROWS", 200)
    found = place.look("30m")
    assert found.source == "summaries"
    assert found.requests.requests == 300


def test_a_summary_that_cannot_be_read_is_passed_over(place: Place, asked: Asked) -> None:
    recorded.record(place.records, asked, spread(300, 3))
    assert place.look().requests.requests == 300
    with place.records.session() as session:
        session.execute(
            "UPDATE quart_app_summaries SET body = ? WHERE hour = "
            "(SELECT max(hour) FROM quart_app_summaries)",
            (b"damaged",),
        )
    assert 0 < place.look().requests.requests < 300


# Without truth -------------------------------------------------------------------


def test_the_expected_accuracy_is_near_the_one_that_turns_out(
    bundled: ModelStore, sqlite_url: str
) -> None:
    place = Place(bundled, sqlite_url)
    random = np.random.default_rng(11)
    points = pd.DataFrame(random.uniform(30, 100, (2_000, 2)), columns=["X1", "X2"])
    passed = (points.sum(axis=1) + random.normal(0, 8, 2_000) > 130).astype(int).tolist()
    asked = recorded.ask(bundled, points, "exam")
    recorded.record(place.records, asked, spread(2_000, 5), name="exam")
    found = place.look(name="exam").estimate
    assert (found.reason, found.rows) == (None, 2_000)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(passed, asked.labels), abs=0.04)
    assert "an estimate" in (found.assumes or "")


def test_an_estimate_needs_a_classifier_and_probabilities(
    bundled: ModelStore, sqlite_url: str
) -> None:
    place = Place(bundled, sqlite_url)
    recorded.record(place.records, Asked({}, [1, 0], None), spread(2, 5), name="exam")
    assert "no probabilities" in (place.look(name="exam").estimate.reason or "")
    assert "classifiers alone" in (place.look(name="diabetes").estimate.reason or "")

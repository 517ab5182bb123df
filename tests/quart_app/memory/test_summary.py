"""Hourly summaries: they add up, whatever is in them, and stay small."""

from __future__ import annotations

import math
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import Manifest, ModelStore
from model_store.drift import Counts, Observed, Reference
from model_store.record_settings import RecordSettings
from quart_app.memory.prediction import Prediction
from quart_app.memory.scale import LAST, RESOLUTION, Scale, scale_of
from quart_app.memory.summary import MOST_NAMES, Summary, Traffic, _bounded, total

SIZE = 300_000
"""Bytes that a summary of seven columns may have at the very most."""


@pytest.fixture(scope="module")
def titanic(bundled_root: Path) -> Manifest:
    return ModelStore(bundled_root).manifest("titanic")


@pytest.fixture(scope="module")
def reference(bundled_root: Path) -> Reference:
    found = ModelStore(bundled_root).reference("titanic")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def diabetes(bundled_root: Path) -> Manifest:
    return ModelStore(bundled_root).manifest("diabetes")


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.sampled_from(["male", "C", "Z"]),
    st.text(max_size=5),
)
INPUTS = st.dictionaries(
    st.sampled_from(["pclass", "sex", "age", "sibsp", "parch", "fare", "embarked", "cabin"]),
    ANYTHING,
)


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    status = draw(st.sampled_from([200, 200, 200, 400, 500, 503]))
    return Prediction(
        id=draw(st.text(max_size=3)),
        row=draw(st.integers(0, 3)),
        at=0.0,
        model="titanic",
        version=1,
        digest=None,
        variant="champion",
        door=draw(st.sampled_from(["json", "v2", "grpc"])),
        status=status,
        milliseconds=draw(st.floats(0, 1e9)),
        error=None if status < 400 else draw(st.text(max_size=2)),
        inputs=draw(st.none() | INPUTS),
        outputs=draw(st.sampled_from([0, 1, None, "?"])),
        probabilities=None,
    )


ROWS = st.lists(predictions(), max_size=8)
few = settings(max_examples=30)


@few
@given(parts=st.tuples(ROWS, ROWS, ROWS), data=st.data())
def test_parts_add_up_to_the_whole_in_any_order(
    titanic: Manifest, parts: tuple[list[Prediction], ...], data: st.DataObject
) -> None:
    first, second, third = (Summary.of(titanic, part) for part in parts)
    whole = Summary.of(titanic, data.draw(st.permutations([row for part in parts for row in part])))
    assert first.merged(second).merged(third) == whole
    assert first.merged(second.merged(third)) == whole
    assert third.merged(first).merged(second) == whole
    assert whole.merged(Summary()) == whole
    assert sum(whole.traffic.statuses.values()) == sum(
        row.row == 0 for part in parts for row in part
    )


@few
@given(rows=ROWS)
def test_every_value_is_counted_once(titanic: Manifest, rows: list[Prediction]) -> None:
    summary = Summary.of(titanic, rows)
    answered = [row.inputs or {} for row in rows if row.status < 400]
    for name in titanic.signature.names:
        found = summary.columns.get(name)
        had = [inputs[name] for inputs in answered if name in inputs]
        assert (0 if found is None else found.rows) == len(had)
    assert "cabin" not in summary.columns


@few
@given(rows=ROWS)
def test_a_summary_is_read_as_it_was_written(titanic: Manifest, rows: list[Prediction]) -> None:
    summary = Summary.of(titanic, rows)
    assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(summary), type=Summary) == summary


NAMES = st.dictionaries(st.integers(0, 3 * MOST_NAMES), st.integers(1, 5))


@given(first=NAMES, second=NAMES, third=NAMES)
def test_names_beyond_the_bound_are_left_out_alike_in_any_order(
    first: dict[int, int], second: dict[int, int], third: dict[int, int]
) -> None:
    def merged(*parts: dict[int, int]) -> dict[int, int]:
        found: dict[int, int] = {}
        for part in parts:
            kept = _bounded({name + 1: count for name, count in part.items()}, 0)
            found = _bounded({n: found.get(n, 0) + kept.get(n, 0) for n in {*found, *kept}}, 0)
        return found

    found = merged(first, second, third)
    assert found == merged(third, first, second) == merged(second, third, first)
    assert len(found) <= MOST_NAMES + 1
    assert sum(found.values()) == sum(map(sum, map(dict.values, (first, second, third))))


def test_the_size_is_bounded_whatever_is_sent(titanic: Manifest) -> None:
    random = np.random.default_rng(0)
    rows = [
        _prediction(
            inputs={
                name: float(value) if at % 2 else f"{value:g}"
                for at, (name, value) in enumerate(
                    zip(
                        titanic.signature.names,
                        random.choice([-1, 1], 7) * 10.0 ** random.uniform(-300, 300, 7),
                        strict=True,
                    )
                )
            },
            door=f"door {place}",
            error=f"kind {place}",
            milliseconds=10.0 ** random.uniform(-300, 300),
        )
        for place in range(5_000)
    ]
    summary = Summary.of(titanic, rows)
    assert summary.columns["age"].missing == 0
    assert len(msgspec.json.encode(summary)) < SIZE
    assert len(summary.traffic.doors) == len(summary.traffic.errors) == MOST_NAMES + 1
    assert sum(summary.traffic.doors.values()) == 5_000


def test_no_value_that_a_client_sent_is_kept(titanic: Manifest) -> None:
    row = _prediction(inputs={"sex": "a secret", "age": 31.4159, "fare": "a secret"})
    written = msgspec.json.encode(Summary.of(titanic, [row]))
    assert b"secret" not in written
    assert b"31.4" not in written


def test_numbers_far_apart_have_bins_that_are_near_them() -> None:
    scale = Scale(centre=100.0, width=10.0)
    values = np.array([-1e7, -50.0, 95.0, 99.9, 100.0, 100.1, 200.0, 3e7])
    found = scale.values(scale.bins(values).tolist())
    away = np.hypot(1, (values - 100) / 10) * 10
    assert (np.abs(found - values) <= away * 0.52 / RESOLUTION).all()
    ends = scale.bins(np.array([-math.inf, -1e300, 1e300, math.inf]))
    assert ends.tolist() == [-LAST, -LAST, LAST, LAST]


@pytest.mark.parametrize(
    ("facts", "scale"),
    [
        ({"quartiles": (20.0, 29.0, 46.98)}, Scale(29.0, 20.0)),
        ({"quartiles": (0.0, 0.0, 0.0), "minimum": 0.0, "maximum": 80.0}, Scale(0.0, 10.0)),
        ({"minimum": 10.0, "maximum": 90.0}, Scale(50.0, 10.0)),
        ({"quartiles": (8.0, 8.0, 8.0), "minimum": 8.0, "maximum": 8.0}, Scale(8.0, 1.0)),
        ({}, Scale(0.0, 1.0)),
        ({"minimum": -1.7e308, "maximum": 1.7e308}, Scale(0.0, 4.25e307)),
    ],
)
def test_bins_are_as_wide_as_the_data_is_spread(
    titanic: Manifest, facts: dict[str, Any], scale: Scale
) -> None:
    (age,) = (column for column in titanic.signature.columns if column.name == "age")
    bare = {"quartiles": None, "minimum": None, "maximum": None}
    found = scale_of(msgspec.structs.replace(age, **(bare | facts)))
    assert found is not None
    assert found == pytest.approx(scale)


def test_percentiles_are_near_those_of_the_durations(titanic: Manifest) -> None:
    random = np.random.default_rng(1)
    durations = random.lognormal(1, 1, 5_000)
    summary = Summary.of(titanic, [_prediction(milliseconds=float(each)) for each in durations])
    for share in (0.5, 0.95, 0.99):
        exact = np.quantile(durations, share)
        assert summary.traffic.percentile(share) == pytest.approx(exact, rel=0.06)
    assert summary.traffic.microseconds / 1000 == pytest.approx(durations.sum(), rel=1e-3)
    assert Traffic().percentile(0.5) is None


def test_a_request_of_many_rows_is_one_request(titanic: Manifest) -> None:
    rows = [_prediction(row=place) for place in range(3)]
    refused = _prediction(status=400, error="invalid_rows", inputs=None, outputs=None)
    summary = Summary.of(titanic, [*rows, refused])
    traffic = summary.traffic
    assert (traffic.requests, traffic.failures, traffic.rows) == (2, 1, 3)
    assert traffic.errors == {"invalid_rows": 1}
    assert summary.answers[0].labels == {"1": 3}


def test_numbers_that_are_told_are_counted_in_bins(diabetes: Manifest) -> None:
    rows = [_prediction(outputs=value) for value in (100.0, 101.0, 300.0)]
    (answers,) = Summary.of(diabetes, rows).answers
    assert sum(answers.bins.values()) == 3
    assert not answers.labels


def _prediction(**facts: Any) -> Prediction:
    given: dict[str, Any] = {
        "id": "a",
        "row": 0,
        "at": 0.0,
        "model": "titanic",
        "version": 1,
        "digest": None,
        "variant": "champion",
        "door": "json",
        "status": 200,
        "milliseconds": 1.0,
        "error": None,
        "inputs": {"age": 30.0},
        "outputs": 1,
        "probabilities": None,
    }
    return Prediction(**(given | facts))


@few
@given(parts=st.lists(ROWS, max_size=4))
def test_parts_counted_by_a_reference_add_up_alike(
    titanic: Manifest, reference: Reference, parts: list[list[Prediction]]
) -> None:
    summaries = [Summary.of(titanic, part, reference) for part in parts]
    whole = Summary.of(titanic, [row for part in parts for row in part], reference)
    for found in (total(summaries), reduce(Summary.merged, summaries, Summary())):
        assert without_sums(found) == without_sums(whole)
        assert sums_of(found) == pytest.approx(sums_of(whole), rel=1e-9, abs=1e-6)


def without_sums(summary: Summary) -> Any:
    counted = [(counts.counts, counts.missing, counts.unseen) for counts in counts_of(summary)]
    return msgspec.structs.replace(summary, observed=None), counted


def counts_of(summary: Summary) -> list[Counts]:
    observed = summary.observed or Observed()
    return [*(counts for _, counts in sorted(observed.columns.items())), *observed.answers]


def sums_of(summary: Summary) -> list[float]:
    return [number for counts in counts_of(summary) for number in counts.sums]


def test_what_is_hashed_is_counted_nowhere(titanic: Manifest, reference: Reference) -> None:
    settings = RecordSettings().followed_by(columns={"sex": "hash", "age": "hash"})
    rows = [
        _prediction(inputs={"sex": settings.hashed("male"), "age": settings.hashed(age)})
        for age in (30.0, None)
    ]
    for known in (None, reference):
        summary = Summary.of(titanic, rows, known)
        assert not summary.columns
        assert summary.observed is None or not summary.observed.columns

"""Training and live data side by side, and the charts of figures over time."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.drift import CategoryReference, Counts, NumberReference
from model_store.drift.learning import _categories, _numbers
from quart_app.about.charts import Place
from quart_app.figures import Estimate, Mix, Monitor, RecordState, Scores, Step
from quart_app.memory import drawing
from quart_app.memory.monitor import drift_of, requests_of
from quart_app.memory.parts import parts_of
from quart_app.memory.summary import Summary
from quart_app.window import HOUR, moment


def reference_of(cells: list[Any], reading: Any = "number") -> NumberReference:
    found, _ = _numbers("x", cells, reading, False)
    assert isinstance(found, NumberReference)
    return found


NUMBERS = st.lists(
    st.floats(-1e9, 1e9) | st.integers(-5, 5).map(float) | st.none(), min_size=1, max_size=60
)


@given(training=NUMBERS, now=NUMBERS)
def test_shares_of_both_add_up_to_one_whatever_the_numbers_are(
    training: list[float | None], now: list[float | None]
) -> None:
    reference = reference_of(training)
    counts = reference.count(now)
    parts = parts_of(reference, counts)
    if not counts.present or not reference.seen.present:
        assert parts == []
        return
    assert sum(part.training for part in parts) == pytest.approx(1)
    assert sum(part.now for part in parts) == pytest.approx(1)
    assert len(parts) <= 13


def test_few_numbers_stand_each_for_itself() -> None:
    reference = reference_of([0.0] * 60 + [1.0] * 30 + [2.0] * 10)
    parts = parts_of(reference, reference.count([1.0, 1.0, 7.0, 2.0]))
    assert [(part.label, part.training, part.now) for part in parts] == [
        ("0", 0.6, 0.0),
        ("1", 0.3, 0.5),
        ("2", 0.1, 0.25),
        ("above 2", 0.0, 0.25),
    ]


def test_many_numbers_are_in_round_ranges_and_outliers_beyond() -> None:
    random = np.random.default_rng(0)
    reference = reference_of(random.uniform(0, 100, 1_000).tolist())
    parts = parts_of(reference, reference.count([*random.uniform(0, 100, 500), 1e9]))
    assert parts[0].label == "up to 10"
    assert parts[1].label == "10 to 20"
    assert parts[-1].label == "above 90"
    assert all(part.training == pytest.approx(0.1, abs=0.04) for part in parts)


def test_dates_are_days_and_texts_so_many_characters() -> None:
    days = [f"2024-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 28)]
    dates = reference_of(days, "date")
    assert parts_of(dates, dates.count(["2024-06-01"]))[1].label.startswith("2024-")
    texts = reference_of(["a" * length for length in (1, 5, 9)], "length")
    assert [part.label for part in parts_of(texts, texts.count(["aaaaa"]))] == [
        "1 characters",
        "5 characters",
        "9 characters",
    ]


def test_categories_that_are_not_frequent_are_one_part() -> None:
    found = _categories("x", ["a"] * 5 + ["b"] * 3)
    assert isinstance(found, CategoryReference)
    labels = [part.label for part in parts_of(found, found.count(["a", "c"]))]
    assert labels == ["a", "b", "others"]
    assert [part.label for part in parts_of(found, found.count(["a"]))] == ["a", "b"]
    assert parts_of(found, Counts(counts=(0, 0, 0), missing=3)) == []


# Charts --------------------------------------------------------------------------


def monitor(shares: list[float | None], window: str = "24h") -> Monitor:
    """What a model answered hour by hour; nothing where there is none."""
    steps = [
        Step(
            at=moment(place * HOUR),
            requests=0 if share is None else 10,
            errors=0 if share is None else place % 3,
            p50_ms=None if share is None else 2.0 + place,
            answers=[]
            if share is None
            else [Mix(target="outcome", rows=10, shares={"paid": share, "failed": 1 - share})],
        )
        for place, share in enumerate(shares)
    ]
    return Monitor(
        model="loans",
        version=1,
        window=window,
        since=moment(0),
        until=moment(len(shares) * HOUR),
        source="summaries",
        recording=RecordState(share=1.0, reason=None),
        reason=None,
        requests=requests_of([]),
        answers=[Mix(target="outcome", rows=40, shares={"paid": 0.5, "failed": 0.5})],
        scores=Scores(rows=0, reason="none"),
        estimate=Estimate(reason="none"),
        over_time=steps,
        versions=[],
        drift=drift_of(None, 1, Summary(), Summary()),
    )


def test_a_line_has_gaps_where_nothing_was_answered() -> None:
    found = monitor([0.2, 0.4, None, 0.5, None, None, 0.1, 0.2, 0.3])
    paid, failed = drawing.answers(found, {"paid": "pays"})
    assert (paid.title, failed.title) == ("pays", "failed")
    assert [len(path.split()) for path in paid.paths] == [2, 3]
    assert len(paid.alone) == 1
    assert [row[1] for row in paid.rows] == [
        *("20.0 %", "40.0 %", "", "50.0 %", "", "", "10.0 %", "20.0 %", "30.0 %"),
    ]


@given(shares=st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=31))
def test_marks_stand_within_their_charts(shares: list[float | None]) -> None:
    found = monitor(shares)
    requests = drawing.requests(found)
    for column in requests.columns:
        assert requests.box.left <= column.left < column.left + column.width <= requests.box.right
        assert requests.box.top <= column.top <= column.bad_top <= requests.box.bottom
        assert column.top + column.height == pytest.approx(requests.box.bottom, abs=0.01)
    for line in (drawing.latency(found), *drawing.answers(found, {})):
        if line is None:
            continue
        points = [
            Place(*map(float, each.split(","))) for path in line.paths for each in path.split()
        ]
        for place in (*points, *line.alone):
            assert line.box.left <= place.x <= line.box.right
            assert line.box.top <= place.y <= line.box.bottom
    assert len(requests.x_ticks) <= drawing.MOST_TICKS


def test_numbers_have_a_band_about_their_median() -> None:
    plain = monitor([0.5, 0.5])
    mixes = [Mix(target=None, rows=5, p10=1.0, p50=2.0, p90=4.0) for _ in plain.over_time]
    steps = [
        msgspec.structs.replace(step, answers=[mix])
        for step, mix in zip(plain.over_time, mixes, strict=True)
    ]
    found = msgspec.structs.replace(plain, answers=mixes[:1], over_time=steps)
    (line,) = drawing.answers(found, {})
    assert len(line.bands) == len(line.paths) == 1
    assert line.rows[0][1:] == ("1", "2", "4")

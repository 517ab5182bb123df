"""How far back figures go."""

from __future__ import annotations

import pytest

from quart_app.window import DAY, HOUR, LONGEST, MOST_STEPS, Window, moment, seconds_of

NOW = 1_800_001_234.5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("90m", 5400), ("24h", DAY), ("7d", 7 * DAY), ("400d", LONGEST)],
)
def test_a_window_is_as_long_as_it_is_written(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "1.5h", "401d", "7 d", "7D", "९d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a length of time such as 7d"):
        seconds_of(text)


def test_a_long_window_begins_with_an_hour_and_a_short_one_when_it_does() -> None:
    assert Window.before("7d", NOW).since == (NOW - 7 * DAY) // HOUR * HOUR
    assert Window.before("90m", NOW).since == NOW - 5400
    assert Window.before("90m", NOW).is_fine
    assert not Window.before("7d", NOW).is_fine


@pytest.mark.parametrize("text", ["1s", "50s", "10m", "1h", "6h", "24h", "7d", "30d", "400d"])
def test_steps_cover_the_window_and_are_not_many(text: str) -> None:
    window = Window.before(text, NOW)
    steps = list(window.steps())
    assert steps[0] <= window.since < steps[0] + window.step
    assert steps[-1] < window.until <= steps[-1] + window.step
    assert len(steps) <= MOST_STEPS + 1


def test_the_window_before_ends_where_the_window_begins() -> None:
    window = Window.before("7d", NOW)
    former = window.former()
    assert former.until == window.since
    assert former.until - former.since == 7 * DAY
    assert Window.before("400d", 5.0).former().since == 0


def test_a_moment_is_written_in_utc() -> None:
    assert moment(1_800_000_000.9) == "2027-01-15T08:00:00Z"

"""How often somebody may ask, by a clock that the test turns."""

from __future__ import annotations

import tracemalloc

from quart_app.middleware.rates import MAX_WINDOWS, Rates


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_begins_with_its_first_request_and_ends_in_its_time() -> None:
    clock = Clock()
    rates = Rates(["2/minute"], clock)
    assert [rates.hit("client", "ann") for _ in range(3)] == [None, None, 60]
    clock.now += 59.5
    assert rates.hit("client", "ann") == 1
    assert rates.hit("client", "bob") is None
    clock.now += 0.5
    assert [rates.hit("client", "ann") for _ in range(3)] == [None, None, 60]


def test_who_goes_on_asking_is_not_kept_out_any_longer() -> None:
    clock = Clock()
    rates = Rates(["1/minute"], clock)
    assert rates.hit("client", "ann") is None
    for second in range(1, 60):
        clock.now += 1
        assert rates.hit("client", "ann") == 60 - second
    clock.now += 1
    assert rates.hit("client", "ann") is None


def test_of_several_rates_the_one_that_lasts_longest_says_when() -> None:
    clock = Clock()
    rates = Rates(["1/second", "3/hour"], clock)
    assert [rates.hit("key", "ann") for _ in range(2)] == [None, 1]
    clock.now += 1
    assert rates.hit("key", "ann") is None
    clock.now += 1
    assert rates.hit("key", "ann") == 3598


def test_a_key_and_a_client_of_one_name_are_two() -> None:
    rates = Rates(["1/day"], Clock())
    assert rates.hit("key", "ann") is None
    assert rates.hit("client", "ann") is None


def test_windows_that_ended_are_forgotten() -> None:
    clock = Clock()
    rates = Rates(["1/second"], clock)
    for number in range(1000):
        clock.now += 0.1
        assert rates.hit("client", str(number)) is None
    assert len(rates) <= 12


def test_a_crowd_takes_bounded_memory() -> None:
    rates = Rates(["1/day"], Clock())
    tracemalloc.start()
    try:
        for number in range(MAX_WINDOWS + 5000):
            assert rates.hit("client", str(number)) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(rates) == MAX_WINDOWS
    assert peak < 10_000_000
    assert rates.hit("client", str(MAX_WINDOWS + 4999)) is not None

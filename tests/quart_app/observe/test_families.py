"""The metrics of several processes together, and counters that never go back."""

from __future__ import annotations

from quart_app.observe.families import Family, Labels, Lasting, together
from quart_app.serving.statistics import Histogram


def counter(value: float, *others: float) -> Family:
    values: list[tuple[Labels, float]] = [
        ((str(place),), each) for place, each in enumerate((value, *others))
    ]
    return Family("c", "C.", "counter", ("of",), values)


def gauge(value: float, join: str) -> Family:
    return Family("g", "G.", "gauge", (), [((), value)], join=join)  # type: ignore[arg-type]


def histogram(*counts: int) -> Family:
    found = Histogram((1, 2), [*counts], float(sum(counts)))
    return Family("h", "H.", "histogram", (), [], [((), found)])


def test_what_counts_is_added_also_of_the_dead_and_gauges_of_the_living_alone() -> None:
    living = [[counter(1, 2), gauge(5, "sum"), histogram(1, 0, 1)], [counter(10), gauge(3, "sum")]]
    dead = [[counter(100, 100), gauge(7, "sum"), histogram(0, 1, 0)]]
    c, g, h = together(living, dead)
    assert c.values == [(("0",), 111), (("1",), 102)]
    assert g.values == [((), 8)]
    assert h.histograms == [((), Histogram((1, 2), [1, 1, 1], 3.0))]


def test_a_gauge_is_joined_by_its_sense() -> None:
    for join, expected in (("sum", 4), ("max", 3), ("min", 1)):
        (found,) = together([[gauge(3, join)], [gauge(1, join)]], [])
        assert found.values == [((), expected)]


def test_a_counter_that_begins_anew_or_goes_never_goes_back() -> None:
    lasting = Lasting()
    values = []
    for now in ([counter(5)], [counter(7)], [counter(1)], [counter(3)]):
        (found,) = lasting.kept(now)
        values.append(dict(found.values)["0",])
    assert values == [5, 7, 7, 9]
    (found,) = lasting.kept([Family("c", "C.", "counter", ("of",), [])])
    assert found.values == [(("0",), 9)]
    (found,) = lasting.kept([counter(2)])
    assert found.values == [(("0",), 11)]


def test_a_histogram_that_goes_on_counting_is_not_what_was_remembered_of_it() -> None:
    lasting, live = Lasting(), histogram(1, 0, 0)
    lasting.kept([live])
    live.histograms[0][1].add(5)
    (found,) = lasting.kept([live])
    assert found.histograms == [((), Histogram((1, 2), [1, 0, 1], 6.0))]
    (found,) = lasting.kept([histogram(0, 1, 0)])
    assert found.histograms[0][1].counts == [1, 1, 1]


def test_gauges_stay_what_they_are() -> None:
    lasting = Lasting()
    lasting.kept([gauge(5, "sum")])
    assert lasting.kept([gauge(2, "sum")])[0].values == [((), 2)]


def test_sums_are_the_same_in_whatever_order_they_are_made() -> None:
    parts = [0.1, 0.7, 1e-7, 21.775824911, 3.3333333, 1234567.89]
    told = [Lasting().kept([counter(part)]) for part in parts]
    sums: set[float] = set()
    for order in (told, told[::-1]):
        for cut in range(1, len(parts)):
            folded = together([], order[:cut])
            (found,) = together(order[cut:], [folded])
            sums.update(value for _, value in found.values)
    assert len(sums) == 1

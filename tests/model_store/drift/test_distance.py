"""The distances are scipy's, of rows and of counts of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from model_store.drift.distance import binned_wasserstein, jensen_shannon, wasserstein
from model_store.drift.learning import Cells, learn_columns
from model_store.drift.reference import NumberReference

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)
COUNTS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=30)

DRAWN: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda random, rows: random.normal(1000, 3, rows),
    "t with 3 degrees of freedom": lambda random, rows: random.standard_t(3, rows),
    "lognormal": lambda random, rows: random.lognormal(size=rows),
    "whole numbers": lambda random, rows: random.poisson(3, rows).astype(float),
    "two values": lambda random, rows: random.integers(0, 2, rows).astype(float),
    "mostly 0": lambda random, rows: random.exponential(size=rows) * (random.random(rows) < 0.1),
}


@given(NUMBERS, NUMBERS)
def test_of_numbers_it_is_scipys_wasserstein_distance(
    first: list[float], second: list[float]
) -> None:
    found = wasserstein(np.array(first), np.array(second))
    assert found == pytest.approx(wasserstein_distance(first, second), rel=1e-9, abs=1e-6)


@given(COUNTS)
def test_of_counts_it_is_scipys_jensen_shannon_distance(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    if first.sum() and second.sum():
        expected = jensenshannon(first, second)
        assert jensen_shannon(first, second) == pytest.approx(expected, abs=1e-7)


@given(NUMBERS, NUMBERS, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9, unique=True))
def test_of_binned_numbers_it_is_at_most_that_and_exact_with_an_edge_at_each_of_them(
    first: list[float], second: list[float], edges: list[float]
) -> None:
    exact = wasserstein_distance(first, second)
    assert _binned(edges, first, second) <= exact + 1e-6 * (1 + exact)
    every = [*edges, *first, *second]
    assert _binned(every, first, second) == pytest.approx(exact, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("name", DRAWN)
def test_from_counts_it_is_within_two_hundredths_of_a_deviation(name: str) -> None:
    random = np.random.default_rng(5)
    training = DRAWN[name](random, 2000)
    (reference,) = learn_columns([Cells("x", training.tolist(), "number")])
    assert isinstance(reference, NumberReference)
    errors = []
    for shift in (0, 0.1, 0.5, 3) * 10:
        later = DRAWN[name](random, 500) + shift * training.std()
        counted = reference.distance(reference.count(later.tolist()))
        errors.append(wasserstein_distance(training, later) / training.std() - counted)
    assert min(errors) > -1e-6
    assert max(errors) < 0.02
    assert np.mean(errors) < 0.005


def _binned(edges: list[float], first: list[float], second: list[float]) -> float:
    ends = np.unique(edges)
    tables = []
    for numbers in (first, second):
        bins, size = np.searchsorted(ends, numbers), len(ends) + 1
        counts = np.bincount(bins, minlength=size).astype(np.float64)
        tables.append(np.stack([counts, np.bincount(bins, numbers, minlength=size)]))
    return binned_wasserstein(ends, tables[0], tables[1])

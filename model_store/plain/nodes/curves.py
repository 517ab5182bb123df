"""Curves fitted to each column: powers, quantiles, bins and splines; and products of columns."""

from __future__ import annotations

from functools import cached_property
from math import comb
from typing import Final, Literal

import numpy as np

from ..node import (
    MAX_DENSE,
    Array,
    Elementwise,
    Node,
    Refused,
    Rows,
    Transform,
    as_floats,
    finite,
    require,
    require_floats,
)


class Power(Node, Elementwise, frozen=True, kw_only=True):
    """Yeo and Johnson's power of each column, or Box and Cox's, which is one of numbers above 0."""

    method: Literal["yeo-johnson", "box-cox"]
    powers: Array

    def check(self, width: int) -> int:
        require_floats(self.powers, width)
        require(bool(np.isfinite(self.powers).all()), "finite powers")
        return width

    def transform(self, rows: Rows) -> Rows:
        array = as_floats(rows)
        function = yeo_johnson if self.method == "yeo-johnson" else box_cox
        return function(array.astype(np.float64), self.powers).astype(array.dtype, copy=False)


def yeo_johnson(array: Array, powers: Array) -> Array:
    """The transformation of Yeo and Johnson, "A new family of power transformations to improve
    normality or symmetry", Biometrika 87 (2000)."""
    positive = ~(array < 0)
    # Below 0 it is that of the opposite number by 2 minus the power, the other way round.
    powers = np.where(positive, powers, 2 - powers)
    found = _power_of_log(np.log1p(np.abs(array)), powers, np.finfo(np.float64).eps)
    return np.where(positive, found, -found)


def box_cox(array: Array, powers: Array) -> Array:
    """The transformation of Box and Cox, "An analysis of transformations", Journal of the Royal
    Statistical Society B 26 (1964).

    Raises:
        Refused: a number is not above 0.
    """
    if (array <= 0).any():
        raise Refused("a number is not above 0")
    return _power_of_log(np.log(array), powers, 1e-19)


def _power_of_log(logs: Array, powers: Array, least: float) -> Array:
    """(exp(power * log) - 1) / power, which is the logarithm itself where the power is 0."""
    flat = np.abs(powers) <= least
    safe = np.where(flat, 1.0, powers)
    return np.where(flat, logs, np.expm1(safe * logs) / safe)


class Quantiles(Node, Elementwise, frozen=True, kw_only=True):
    """Which share of the numbers of training is smaller; or, `normal`, the number of which that
    share of a normal distribution is smaller. `quantiles` of shape (references, columns)."""

    references: Array
    quantiles: Array
    normal: bool = False

    def check(self, width: int) -> int:
        require_floats(self.references, -1)
        require_floats(self.quantiles, len(self.references), width)
        require(len(self.references) > 0, "a quantile or more")
        return width

    @cached_property
    def _opposite(self) -> tuple[Array, Array]:
        return -self.references[::-1], -self.quantiles[::-1]

    def transform(self, rows: Rows) -> Rows:
        array = as_floats(rows)
        found = np.empty_like(array)
        for column in range(array.shape[1]):
            found[:, column] = self._column(array[:, column], column)
        return found

    def _column(self, numbers: Array, column: int) -> Array:
        quantiles = self.quantiles[:, column]
        references, opposite = self._opposite
        # Where quantiles are equal the two ways differ, and the middle is taken.
        found = 0.5 * (
            np.interp(numbers, quantiles, self.references)
            - np.interp(-numbers, opposite[:, column], references)
        )
        least, most = quantiles[0], quantiles[-1]
        if self.normal:
            low, high = numbers - NEAR_BOUND < least, numbers + NEAR_BOUND > most
        else:
            low, high = numbers == least, numbers == most
        found[high] = 1
        found[low] = 0
        # scikit-learn writes back into a column of the input, whose floats may be narrow.
        found = found.astype(numbers.dtype, copy=False)
        return np.clip(normal_quantile(found), *_NORMAL_ENDS) if self.normal else found


NEAR_BOUND: Final = 1e-7

# Wichura's coefficients, by the powers of the variable.
_MIDDLE: Final = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_OUTER: Final = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_TAIL: Final = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)


def normal_quantile(shares: Array) -> Array:
    """The number of which this share of a standard normal distribution is smaller: infinite at 0
    and 1. By M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution",
    Applied Statistics 37 (1988); the relative error is about 1e-16."""
    middle = shares - 0.5
    near = np.abs(middle) <= 0.425
    found: Array = middle * _ratio(_MIDDLE, 0.180625 - np.where(near, middle * middle, 0.0))
    tail = np.sqrt(-np.log(np.where(middle < 0, shares, 1 - shares)))
    outer = np.where(
        tail <= 5, _ratio(_OUTER, np.minimum(tail, 5) - 1.6), _ratio(_TAIL, np.fmin(tail, 40) - 5)
    )
    outer = np.where(np.isinf(tail), np.inf, outer)
    return np.where(near | np.isnan(shares), found, np.copysign(outer, middle))


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], variable: Array) -> Array:
    """A polynomial divided by another."""
    above, below = (_polynomial(each, variable) for each in coefficients)
    return above / below


def _polynomial(coefficients: tuple[float, ...], variable: Array) -> Array:
    found = np.zeros_like(variable)
    for coefficient in reversed(coefficients):
        found = found * variable + coefficient
    return found


_LEAST_SHARE: Final = NEAR_BOUND - np.spacing(1)
_NORMAL_ENDS: Final = tuple(normal_quantile(np.array([_LEAST_SHARE, 1 - _LEAST_SHARE])).tolist())


class Bins(Node, Elementwise, frozen=True, kw_only=True):
    """Into which of the bins of its column a number falls, counted from 0. `edges` are those
    between two bins."""

    edges: list[Array]
    dtype: Literal["float64", "float32"] | None = None

    def check(self, width: int) -> int:
        require(len(self.edges) == width, f"the edges of {width} columns")
        for edges in self.edges:
            require_floats(edges, -1)
        return width

    def transform(self, rows: Rows) -> Rows:
        array = as_floats(rows)
        array = finite(array if self.dtype is None else array.astype(self.dtype))
        found = np.empty_like(array)
        for column, edges in enumerate(self.edges):
            found[:, column] = np.searchsorted(edges, array[:, column], side="right")
        return found


MAX_DEGREE: Final = 64


class Polynomial(Node, Transform, frozen=True, kw_only=True):
    """Products of the columns, of which there are `columns`, of all degrees from `least` to `most`;
    with `apart` of different columns alone; before them, with `bias`, a 1."""

    columns: int
    least: int
    most: int
    apart: bool = False
    bias: bool = True

    def check(self, width: int) -> int:
        require(self.columns == width, f"{width} columns")
        require(self.least >= 1 and self.most <= MAX_DEGREE, f"degrees from 1 to {MAX_DEGREE}")
        held = [self._count(degree) for degree in range(1, self.most + 1)]
        require(sum(held) < MAX_DENSE, f"at most {MAX_DENSE} features")
        return int(self.bias) + sum(held[self.least - 1 :])

    def _count(self, degree: int) -> int:
        return comb(self.columns if self.apart else self.columns + degree - 1, degree)

    @cached_property
    def _steps(self) -> list[tuple[Array, Array]]:
        """From the products of one degree to those of the next: the places of those which are
        multiplied, and the columns with which.

        Products stand in the order of their columns. So a column is multiplied with all from a
        place on: from the first that begins with it, or `apart` with the next.
        """
        columns = np.arange(self.columns)
        starts = np.arange(self.columns + 1)
        found = []
        for _ in range(2, self.most + 1):
            firsts = starts[columns + int(self.apart)]
            counts = starts[-1] - firsts
            starts = np.concatenate([[0], np.cumsum(counts)])
            places = np.arange(starts[-1]) - np.repeat(starts[:-1] - firsts, counts)
            found.append((places, np.repeat(columns, counts)))
        return found

    def transform(self, rows: Rows) -> Rows:
        array = finite(as_floats(rows))
        products = [array]
        for places, columns in self._steps:
            products.append(products[-1][:, places] * array[:, columns])
        parts = products[self.least - 1 : self.most]
        ones = np.ones((len(array), int(self.bias)), dtype=array.dtype)
        return np.concatenate([ones, *parts], axis=1)


class Splines(Node, Transform, frozen=True, kw_only=True):
    """The values of the B-splines of each column, of this `degree`, with `knots` of shape (knots,
    columns).

    Beyond the knots of training a spline stays as it is at the end (`constant`), goes on straight
    with its slope there (`linear`; the `slopes` are of shape (2, columns, splines)), goes on as the
    polynomial that it is (`continue`), or begins again (`periodic`); or there is no answer
    (`error`). `last` says that the last spline of each column is a feature as well, `gaps` that a
    missing value has a 0 in all of them.
    """

    degree: int
    knots: Array
    beyond: Literal["constant", "linear", "continue", "periodic", "error"]
    slopes: Array | None = None
    last: bool = True
    gaps: bool = False

    def check(self, width: int) -> int:
        require(1 <= self.degree <= MAX_DEGREE, f"a degree from 1 to {MAX_DEGREE}")
        require_floats(self.knots, -1, width)
        require(len(self.knots) >= 2 * self.degree + 2, "more knots")
        require(bool(np.isfinite(self.knots).all()), "finite knots")
        require(bool((np.diff(self.knots, axis=0) >= 0).all()), "knots in order")
        require(
            (self.slopes is not None) == (self.beyond == "linear"), "slopes where they are used"
        )
        if self.slopes is not None:
            require_floats(self.slopes, 2, width, self._splines)
        require(width * self._splines <= MAX_DENSE, f"at most {MAX_DENSE} features")
        return width * (self._splines - (not self.last))

    def owners(self, columns: Array) -> Array:
        return np.repeat(columns, self._splines - (not self.last))

    @property
    def _splines(self) -> int:
        """The number of splines a column."""
        splines = len(self.knots) - self.degree - 1
        return splines - self.degree if self.beyond == "periodic" else splines

    @cached_property
    def _ends(self) -> tuple[Array, Array]:
        return self.knots[self.degree], self.knots[-self.degree - 1]

    def transform(self, rows: Rows) -> Rows:
        array = as_floats(rows)
        if not self.gaps:
            finite(array)
        missing = np.isnan(array)
        numbers = np.where(missing, self._ends[0], array.astype(np.float64))
        found = self._values(self._within(numbers))
        if self.slopes is not None:
            low, high = (
                np.minimum(numbers - self._ends[0], 0),
                np.maximum(numbers - self._ends[1], 0),
            )
            found += (
                low[:, :, np.newaxis] * self.slopes[0] + high[:, :, np.newaxis] * self.slopes[1]
            )
        found[missing] = 0.0
        if not self.last:
            found = found[:, :, :-1]
        return found.reshape(len(array), -1).astype(array.dtype, copy=False)

    def _within(self, numbers: Array) -> Array:
        """The numbers at which the splines are looked at."""
        low, high = self._ends
        if self.beyond == "periodic":
            period = high - low
            # A column of one value alone has no period.
            repeated = low + (numbers - low) % np.where(period > 0, period, 1.0)
            return np.where(period > 0, repeated, 0.0)
        if self.beyond == "error" and ((numbers < low) | (numbers > high)).any():
            raise Refused("a number is beyond those of training")
        return numbers if self.beyond == "continue" else np.clip(numbers, low, high)

    def _values(self, numbers: Array) -> Array:
        """The values of all splines, of shape (rows, columns, splines), by the recursion of C. de
        Boor, "A practical guide to splines" (1978)."""
        degree, columns = self.degree, np.arange(self.knots.shape[1])
        inner = self.knots[degree:-degree]
        at = (inner[:, np.newaxis] <= numbers).sum(axis=0) - 1 + degree
        at = np.clip(at, degree, len(self.knots) - degree - 2)
        values = [np.ones_like(numbers)]
        for order in range(1, degree + 1):
            below, values = values, [np.zeros_like(numbers)]
            for place in range(1, order + 1):
                right, left = (
                    self.knots[at + place, columns],
                    self.knots[at + place - order, columns],
                )
                width = right - left
                part = np.where(width > 0, below[place - 1] / np.where(width > 0, width, 1.0), 0.0)
                values[-1] += part * (right - numbers)
                values.append(part * (numbers - left))
        found = np.zeros((*numbers.shape, self._splines))
        for place, value in enumerate(values):
            spline = (at - degree + place) % self._splines
            found[np.arange(len(numbers))[:, np.newaxis], columns, spline] += value
        return found


KINDS: Final = (Power, Quantiles, Bins, Polynomial, Splines)

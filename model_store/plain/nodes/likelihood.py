"""Probabilities by the logarithms of likelihoods, one a class."""

from __future__ import annotations

import numpy as np

from ..node import Array


def logarithm_of_sum(logarithms: Array) -> Array:
    """log(sum(exp(row))) of each row, of shape (n, 1), as scipy 1.15 and later adds it up.

    Of scores of some thousand any other way shows in the twelfth place of a probability.
    """
    highest = logarithms.max(axis=1, keepdims=True)
    ties = logarithms == highest
    rest = np.where(ties, 0.0, np.exp(logarithms - highest)).sum(axis=1, keepdims=True)
    count = ties.sum(axis=1, keepdims=True)
    found: Array = np.log1p(rest / count) + np.log(count) + highest
    return found


def shares(logarithms: Array) -> Array:
    """The probability of each class."""
    found: Array = np.exp(logarithms - logarithm_of_sum(logarithms))
    return found


def shifted_shares(logarithms: Array) -> Array:
    """The same, as discriminant analysis adds it up: from the highest on."""
    below = logarithms - logarithms.max(axis=1, keepdims=True)
    found: Array = np.exp(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))
    return found


def decision(logarithms: Array) -> Array:
    """A score a class; of two classes one score, that of the second less that of the first."""
    found: Array = logarithms
    return found[:, 1] - found[:, 0] if found.shape[1] == 2 else found

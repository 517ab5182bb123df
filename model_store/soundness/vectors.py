"""Support vector machines: libsvm takes counts and places as they are."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from .faults import MISSING, Wrong, array, as_array, count, equal, own, shown, within

PAIR: Final = 2
"""The classes that libsvm has for a regression and for one class."""


def machine(value: Any) -> None:
    """Everything that libsvm reads of a model has the size that it reads."""
    if own(value, "support_") is MISSING:
        return
    support = array(value, "support_", "i", 1)
    per_class = array(value, "_n_support", "i", 1)
    classes = own(value, "classes_")
    expected = PAIR if classes is MISSING else len(classes)
    equal(len(per_class), expected, "the number of its classes")
    _require_counts(value, per_class, len(support), classes is MISSING)
    pairs = expected * (expected - 1) // 2
    equal(len(array(value, "_intercept_", "f", 1)), pairs, "the number of its intercepts")
    for name in ("_probA", "_probB"):
        size = len(array(value, name, "f", 1))
        if size not in (0, pairs):
            raise Wrong(f"its {name} has {size} numbers, and should have {pairs} or none")
    equal(len(own(value, "_probA")), len(own(value, "_probB")), "the size of its _probA")
    if not len(own(value, "_probA")) and _says_probabilities(value):
        raise Wrong("it says that it knows probabilities, and has no numbers for them")
    rows, *columns = _shape_fit(value)
    within(support, rows, "a support vector")
    if callable(own(value, "kernel")):
        # It takes rows of any kind, as texts are.
        columns = [0]
    else:
        equal([count(value, "n_features_in_", 0)], columns, "its n_features_in_")
    _require_vectors(value, len(support), expected - 1, columns[0])


def _says_probabilities(value: Any) -> bool:
    """Whether libsvm is told to read them: since scikit-learn 1.9 by another attribute."""
    told = own(value, "_effective_probability")
    told = own(value, "probability") if told is MISSING else told
    return told not in (False, MISSING, "deprecated")


def _require_counts(value: Any, per_class: Any, vectors: int, single: bool) -> None:
    """The counts of a classifier are those of its classes; else the first is that of all."""
    counted = per_class[:1] if single else per_class
    if (per_class < 0).any() or int(counted.sum(dtype=int)) != vectors:
        raise Wrong(f"its _n_support are {per_class.tolist()} for {vectors} support vectors")


def _shape_fit(value: Any) -> tuple[int, ...]:
    shape = own(value, "shape_fit_")
    if (
        not isinstance(shape, tuple)
        or len(shape) not in (1, 2)
        or not all(type(each) is int and each >= 0 for each in shape)
    ):
        raise Wrong(f"its shape_fit_ is {shown(shape)}")
    return shape


def _require_vectors(value: Any, count_: int, rows: int, columns: int) -> None:
    vectors, weights = own(value, "support_vectors_"), own(value, "_dual_coef_")
    sparse, kernel = own(value, "_sparse"), own(value, "kernel")
    computed = callable(kernel) or kernel == "precomputed"
    if callable(kernel):
        _require_kernel(value, kernel)
    if type(sparse) is not bool:
        raise Wrong("it does not say whether its vectors are sparse")
    if sparse:
        if computed:
            raise Wrong("its kernel is computed before, of sparse vectors")
        # That they are sound is checked where sparse matrices are.
        equal(vectors.shape, (count_, columns), "the shape of its support_vectors_")
        equal(vectors.format, "csr", "the format of its support_vectors_")
        equal(weights.shape, (rows, count_), "the shape of its _dual_coef_")
        equal(weights.data.shape, (rows * count_,), "the size of its _dual_coef_")
        return
    equal(as_array(weights, "_dual_coef_", "f", 2).shape, (rows, count_), "its _dual_coef_'s shape")
    shape = as_array(vectors, "support_vectors_", "f", 2).shape
    if not computed:
        equal(shape, (count_, columns), "the shape of its support_vectors_")


def _require_kernel(value: Any, kernel: Any) -> None:
    """A function that makes a column of each row of training: what scikit-learn's kernels do, and
    those that the operator allowed by name are believed to do."""
    rows = own(value, "_BaseLibSVM__Xfit")
    equal(np.shape(rows)[0], value.shape_fit_[0], "the number of its rows")
    function = kernel.func if isinstance(kernel, functools.partial) else kernel
    module = getattr(function, "__module__", None) or "numpy"
    if module.partition(".")[0] not in ("numpy", "scipy", "sklearn"):
        return
    if module != "sklearn.metrics.pairwise" or not function.__name__.endswith("_kernel"):
        raise Wrong(f"its kernel is {shown(getattr(function, '__name__', function))}")

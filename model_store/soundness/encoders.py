"""Encoders and expansions: what they look up leads to columns that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .bounds import HIGHEST_DEGREE, MOST_COLUMNS
from .faults import MISSING, Wrong, as_array, count, equal, own, shown, within


def one_hot(value: Any) -> None:
    """The ones of a row stand in a sparse matrix of as many columns as are counted here."""
    known = own(value, "categories_")
    if known is MISSING:
        return
    _require_categories(value, known)
    widths = [len(each) for each in known]
    if own(value, "_infrequent_enabled"):
        widths = _grouped(value, widths)
    dropped = own(value, "_drop_idx_after_grouping")
    if dropped is not None:
        equal(np.shape(dropped), (len(known),), "the shape of what it drops")
        for place, (index, width) in enumerate(zip(list(dropped), widths, strict=True)):
            if index is not None:
                if not isinstance(index, int | np.integer):
                    raise Wrong(f"it drops {shown(index)} of column {place}")
                within(np.array([index]), width, f"what it drops of column {place}")
        widths = [w - (index is not None) for w, index in zip(widths, dropped, strict=True)]
    outs = own(value, "_n_features_outs")
    if not isinstance(outs, list):
        raise Wrong("it does not say how many columns it makes")
    equal([int(each) for each in outs], widths, "the number of columns that it makes")


def _require_categories(value: Any, known: Any) -> None:
    """One array for each column; numbers in order, since they are searched for.

    Objects are looked up in a dict, in whatever order they are: where a row brings numbers for
    them, scikit-learn asks the categories first which of them are NaN, and that raises.
    """
    if not isinstance(known, list):
        raise Wrong("its categories_ are no list")
    equal(len(known), count(value, "n_features_in_"), "the number of its categories_")
    for place, each in enumerate(known):
        categories = as_array(each, f"categories_[{place}]", "biufUSOT", 1)
        if not len(categories):
            raise Wrong(f"it has no categories for column {place}")
        if categories.dtype.kind in "biuf" and (categories[:-1] >= categories[1:]).any():
            raise Wrong(f"its categories of column {place} are not in order")


def _grouped(value: Any, widths: Sequence[int]) -> list[int]:
    """How many columns are left where seldom categories share one."""
    mappings, seldom = (
        own(value, "_default_to_infrequent_mappings"),
        own(value, "_infrequent_indices"),
    )
    equal(len(mappings), len(widths), "the number of its mappings")
    equal(len(seldom), len(widths), "the number of its infrequent categories")
    return [
        _group(*each, place)
        for place, each in enumerate(zip(mappings, seldom, widths, strict=True))
    ]


def _group(mapping: Any, seldom: Any, width: int, place: int) -> int:
    if (mapping is None) != (seldom is None):
        raise Wrong(f"it says in one way that column {place} has infrequent categories")
    if mapping is None:
        return width
    within(as_array(seldom, "infrequent categories", "iu", 1), width, "an infrequent category")
    found = as_array(mapping, "mapping", "iu", 1)
    equal(len(found), width, f"the size of the mapping of column {place}")
    left = width - len(seldom) + 1
    within(found, left, f"the mapping of column {place}")
    return left


def ordinal(value: Any) -> None:
    """The categories of each column, which are looked up in numpy."""
    known = own(value, "categories_")
    if known is not MISSING:
        _require_categories(value, known)


def target(value: Any) -> None:
    """What stands for a category is there for each of them: memory that is not filled is sent."""
    known = own(value, "categories_")
    if known is MISSING or own(value, "encodings_") is MISSING:
        return
    _require_categories(value, known)
    encodings, classes = own(value, "encodings_"), own(value, "classes_")
    times = len(classes) if own(value, "target_type_") == "multiclass" else 1
    equal(len(encodings), len(known) * times, "the number of its encodings_")
    for place, each in enumerate(encodings):
        numbers = as_array(each, f"encodings_[{place}]", "f", 1)
        equal(len(numbers), len(known[place // times]), f"the size of encodings_[{place}]")


def polynomials(value: Any) -> None:
    """The columns that are made are those that are counted: the rest would be memory as it is."""
    if own(value, "n_output_features_") is MISSING:
        return
    columns, most = count(value, "n_features_in_"), count(value, "_max_degree", 0)
    if most > HIGHEST_DEGREE:
        raise Wrong(f"its degree is {most}, and may be at most {HIGHEST_DEGREE}")
    counting = {
        "n_features": columns,
        "max_degree": most,
        "interaction_only": own(value, "interaction_only"),
        "include_bias": own(value, "include_bias"),
    }
    least = count(value, "_min_degree", 0)
    if least > most:
        raise Wrong(f"its degrees are {least} to {most}")
    told = value._num_combinations(min_degree=least, **counting)
    whole = value._num_combinations(min_degree=0, **counting)
    equal(count(value, "n_output_features_", 0), told, "its n_output_features_")
    equal(count(value, "_n_out_full", 0), whole, "the number of columns that it makes")
    if whole > MOST_COLUMNS:
        raise Wrong(f"it makes {whole} columns, and may make at most {MOST_COLUMNS}")


def splines(value: Any) -> None:
    """A spline for each column, all of one width; they were checked by themselves."""
    found = own(value, "bsplines_")
    if found is MISSING:
        return
    columns = count(value, "n_features_in_")
    equal(len(found), columns, "the number of its splines")
    width = found[0].c.shape[1]
    for spline in found:
        equal(spline.c.shape[1:], (width,), "the width of a spline")
        equal(spline.k, own(value, "degree"), "the degree of a spline")
    told = columns * (width - (not own(value, "include_bias")))
    equal(count(value, "n_features_out_", 0), told, "its n_features_out_")

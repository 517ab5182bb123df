"""The encoders of scikit-learn."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from ..node import Label, Transform
from ..nodes.categories import Categories, Encode, OneHot, Other
from ..nodes.missing import Replace
from .given import Given, NotPacked
from .known import Inner, Known


@dataclass(frozen=True, slots=True)
class Ordered:
    """Categories as a node has them, and `order`: where each of their places stood before. An
    unknown value, which stood nowhere, is not counted."""

    categories: Categories
    order: list[int]

    @classmethod
    def of(cls, values: Any, *, unknown: bool) -> Ordered:
        """Of the categories of a fitted encoder; `unknown` says that there is a place for others.

        Raises:
            NotPacked: one is no text and no number.
        """
        array = np.asarray(values)
        known: list[tuple[Label, int]] = []
        others: list[tuple[Other, int]] = []
        for place, value in enumerate(array.tolist()):
            if value is None:
                others.append(("none", place))
            elif value != value:
                others.append(("nan", place))
            else:
                known.append((label_of(value), place))
        narrow: Any = array.dtype.name if array.dtype.name in ("float32", "float16") else None
        named = [name for name, _ in others] + (["unknown"] if unknown else [])
        categories = Categories([value for value, _ in known], named, narrow=narrow)
        return cls(categories, [place for _, place in (*known, *others)])


def label_of(value: Any) -> Label:
    """A category as JSON has it.

    Raises:
        NotPacked: it has none such.
        UnicodeEncodeError: it is no text that can be written.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        str(value).encode()
        return str(value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise NotPacked(f"a category {value!r:.40} is no text and no number")


@dataclass(slots=True)
class Places:
    """One-hot features, column by column."""

    columns: list[Categories] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    width: int = 0

    def add(self, found: Ordered, features: list[int], width: int, unknown: int) -> None:
        """A column of `width` features. `features` has the one of each category as these stood
        before, -1 where there is none; `unknown` that of what is unknown."""
        places = [features[place] for place in found.order]
        if "unknown" in found.categories.others:
            places.append(unknown)
        self.append(found.categories, places, width)

    def append(self, categories: Categories, places: list[int], width: int) -> None:
        """As `add`, with the feature of each place."""
        self.columns.append(categories)
        self.features += [self.width + place if place >= 0 else -1 for place in places]
        self.width += width

    def node(self, dtype: Any, *, sparse: bool) -> OneHot:
        name: Any = sys.intern(np.dtype(dtype).name)
        features = np.array(self.features, dtype=np.int32)
        return OneHot(
            columns=self.columns, features=features, width=self.width, dtype=name, sparse=sparse
        )


def one_hot(step: Any, given: Given, inner: Inner) -> Transform:
    found = Places()
    infrequent = step._infrequent_enabled
    drops = step._drop_idx_after_grouping
    for column, values in enumerate(step.categories_):
        mapping = step._default_to_infrequent_mappings[column] if infrequent else None
        features = np.arange(len(values)) if mapping is None else np.asarray(mapping)
        width = int(features.max()) + 1
        # What is infrequent has the last feature, and what is unknown goes there, if it may.
        rare = mapping is not None and step.handle_unknown in ("infrequent_if_exist", "warn")
        drop = None if drops is None else drops[column]
        kept = _without(width, None if drop is None else int(drop))
        found.add(
            Ordered.of(values, unknown=step.handle_unknown != "error"),
            [kept[place] for place in features],
            width - (drop is not None),
            kept[width - 1] if rare else -1,
        )
    return found.node(step.dtype, sparse=bool(step.sparse_output))


def _without(width: int, drop: int | None) -> list[int]:
    """The place of each feature when one is dropped."""
    if drop is None:
        return list(range(width))
    return [-1 if place == drop else place - (place > drop) for place in range(width)]


def filled(steps: list[Transform]) -> list[Transform]:
    """The same steps, where one-hot features that follow an imputer of any values have a place for
    NaN themselves: that of what is filled in."""
    found: list[Transform] = []
    for step in steps:
        before = found[-1] if found else None
        merged = None
        if isinstance(before, Replace) and isinstance(step, OneHot):
            merged = _with_fillers(step, before)
        if merged is None:
            found.append(step)
        else:
            found[-1] = merged
    return found


def _with_fillers(node: OneHot, imputer: Replace) -> OneHot | None:
    """The features of what is filled in by the imputer; None where that does more, or fills in what
    is no category."""
    if imputer.missing != "nan" or imputer.kept is not None or imputer.flagged is not None:
        return None
    columns: list[Categories] = []
    features: list[int] = []
    rest = node.features.tolist()
    for column, value in zip(node.columns, imputer.values, strict=True):
        own, rest = rest[: column.length], rest[column.length :]
        known = list(column.values)
        if value not in known or column.others not in ([], ["unknown"]):
            return None
        own.insert(len(known), own[known.index(value)])
        columns.append(msgspec.structs.replace(column, others=["nan", *column.others]))
        features += own
    return msgspec.structs.replace(
        node, columns=columns, features=np.array(features, dtype=np.int32)
    )


def encoded(columns: list[tuple[Ordered, Any, Any]], dtype: Any) -> Encode:
    """A node of columns, each with the numbers of its categories as they stood before, of shape
    (categories, numbers), and those of what is unknown."""
    numbers = []
    for found, known, unknown in columns:
        numbers.append(np.asarray(known)[found.order])
        if "unknown" in found.categories.others:
            numbers.append(np.asarray(unknown).reshape(1, -1))
    return Encode(
        columns=[found.categories for found, _, _ in columns],
        numbers=np.concatenate(numbers).astype(np.dtype(dtype)),
    )


def ordinal(step: Any, given: Given, inner: Inner) -> Transform:
    columns: list[tuple[Ordered, Any, Any]] = []
    unknown = step.handle_unknown == "use_encoded_value"
    infrequent = getattr(step, "_infrequent_enabled", False)
    for column, values in enumerate(step.categories_):
        mapping = step._default_to_infrequent_mappings[column] if infrequent else None
        codes = np.arange(len(values)) if mapping is None else np.asarray(mapping)
        numbers = np.zeros(len(values))
        numbers[: len(codes)] = codes  # a missing value, which is the last, has none
        if column in step._missing_indices:
            numbers[step._missing_indices[column]] = step.encoded_missing_value
        found = Ordered.of(values, unknown=unknown)
        columns.append((found, numbers[:, np.newaxis], step.unknown_value if unknown else None))
    return encoded(columns, step.dtype)


def target(step: Any, given: Given, inner: Inner) -> Transform:
    count = len(step.classes_) if step.target_type_ == "multiclass" else 1
    columns: list[tuple[Ordered, Any, Any]] = []
    for column, values in enumerate(step.categories_):
        numbers = np.stack(step.encodings_[column * count : (column + 1) * count], axis=1)
        columns.append((Ordered.of(values, unknown=True), numbers, step.target_mean_))
    return encoded(columns, np.float64)


TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "sklearn.OneHotEncoder": Known.of(
        one_hot,
        "categories drop dtype feature_name_combiner handle_unknown max_categories min_frequency",
        "sparse_output",
    ),
    "sklearn.OrdinalEncoder": Known.of(
        ordinal,
        "categories dtype encoded_missing_value handle_unknown max_categories min_frequency",
        "unknown_value",
    ),
    "sklearn.TargetEncoder": Known.of(
        target, "categories cv random_state shuffle smooth target_type"
    ),
}

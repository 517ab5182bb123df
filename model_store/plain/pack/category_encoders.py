"""The encoders of category_encoders that encode each column by itself."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, Final

from ..node import Transform
from .asked import Asked, numbers, one_hot
from .columns import in_place
from .given import Given, NotPacked
from .known import Inner, Known, require_set

_COMMON: Final = (
    "cols combine_min_nan_groups composite_cols drop_invariant handle_missing handle_unknown"
    " keep_components min_group_name min_group_size return_df verbose"
)


def encoder(step: Any, given: Given, inner: Inner) -> Transform:
    require_set(step, drop_invariant=False, min_group_size=None, composite_cols=(None, {}))
    if getattr(step, "hierarchy", None) is not None:
        raise NotPacked(f"{type(step).__name__} with a hierarchy is not known")
    names = list(step.feature_names_in_)
    known = {names.index(name): values for name, values in _known(step).items()}
    widths = _widths(step)
    sizes = [widths.get(name, 1) for name in names]
    starts = list(accumulate(sizes, initial=0))
    if starts[-1] != len(step.get_feature_names_out()):
        raise NotPacked(f"{type(step).__name__} has other features than are known")
    asked = Asked(step, names, known)
    found = {at: asked.column(at, slice(starts[at], starts[at + 1])) for at in known}
    kinds = {at: "one-hot" if each.is_one_hot else each.rows.shape[1] for at, each in found.items()}

    def made(columns: list[int]) -> Transform:
        together = [found[at] for at in columns]
        return one_hot(together) if together[0].is_one_hot else numbers(together)

    return in_place(len(names), kinds, made)


def _known(step: Any) -> dict[Any, list[Any]]:
    """The values of each column that is encoded."""
    ordinal = getattr(step, "ordinal_encoder", None)
    mapping = step.mapping if ordinal is None else ordinal.mapping
    if isinstance(mapping, dict):
        return {name: list(of_name.index) for name, of_name in mapping.items()}
    return {each["col"]: list(each["mapping"].index) for each in mapping}


def _widths(step: Any) -> dict[Any, int]:
    """How many features come of a column, where these are several."""
    if type(step).__name__ not in ("OneHotEncoder", "BinaryEncoder"):
        return {}
    return {each["col"]: each["mapping"].shape[1] for each in step.mapping}


_TARGET: Final = "random_state sigma"

TRANSFORMS: Final[dict[str, Known[Transform]]] = {
    "category_encoders.BinaryEncoder": Known.of(encoder, _COMMON, "base mapping"),
    "category_encoders.CatBoostEncoder": Known.of(encoder, _COMMON, _TARGET, "a"),
    "category_encoders.CountEncoder": Known.of(encoder, _COMMON, "normalize"),
    "category_encoders.JamesSteinEncoder": Known.of(encoder, _COMMON, _TARGET, "model randomized"),
    "category_encoders.LeaveOneOutEncoder": Known.of(encoder, _COMMON, _TARGET),
    "category_encoders.MEstimateEncoder": Known.of(encoder, _COMMON, _TARGET, "m randomized"),
    "category_encoders.OneHotEncoder": Known.of(encoder, _COMMON, "use_cat_names"),
    "category_encoders.OrdinalEncoder": Known.of(encoder, _COMMON, "index_start mapping"),
    "category_encoders.TargetEncoder": Known.of(
        encoder, _COMMON, "hierarchy min_samples_leaf smoothing"
    ),
    "category_encoders.WOEEncoder": Known.of(
        encoder, _COMMON, _TARGET, "randomized regularization"
    ),
}

"""Boosters of XGBoost and LightGBM, each made by its library of a model that was checked.

Their own way back from a pickle gives its bytes to a loader that believes them. Here these are
checked and written anew first (`soundness/boosters/`), and the loader is given nothing else: of
XGBoost's what was configured for training is left out, but for the threads, and of LightGBM's all
attributes that predictions do not need.
"""

from __future__ import annotations

import os
from typing import Any, Final

from ..soundness.boosters import lightgbm, xgboost
from .forms import DATA, NOTHING, PLAIN, exact, fields
from .row import Row, find, refuse


def _xgboost(state: dict[str, Any]) -> Any:
    """A booster of JSON or UBJSON, which `handle` holds in a pickle."""
    data = bytes(state["handle"])
    model = xgboost.sound_model(data)
    made = find("xgboost.core", "Booster")()
    made.load_model(model)
    made.set_param({"nthread": min(xgboost.threads(data), os.cpu_count() or 1)})
    return made


def _untrained() -> dict[str, Any]:
    """What a booster of LightGBM has that was trained elsewhere."""
    return {
        "_network": False,
        "_train_data_name": "training",
        "_Booster__need_reload_eval_info": True,
        "_Booster__set_objective_to_none": False,
        "_Booster__num_dataset": 0,
        "_Booster__init_predictor": None,
        "name_valid_sets": [],
        "best_score": {},
    }


def _lightgbm(state: dict[str, Any]) -> Any:
    """A booster of the text that `_handle` holds in a pickle."""
    text = state.get("_handle")
    if type(text) is not str:
        refuse("has a booster of LightGBM without its text", "a text")
    model = lightgbm.sound_model(text)
    best, categories = state.get("best_iteration", -1), state.get("pandas_categorical")
    if type(best) is not int:
        refuse("has a booster of LightGBM whose best_iteration is no integer", "one")
    if not _is_categories(categories):
        refuse("has a booster of LightGBM with other categories", "lists of plain values")
    kind = find("lightgbm.basic", "Booster")
    made = kind.__new__(kind)
    made.__setstate__(
        {
            **_untrained(),
            "_handle": model,
            "best_iteration": best,
            "pandas_categorical": categories,
            "params": _plain_items(state.get("params")),
            "_Booster__num_class": lightgbm.scores(model),
        }
    )
    return made


def _is_categories(found: Any) -> bool:
    return found is None or (
        type(found) is list
        and all(type(each) is list and all(map(PLAIN.fits, each)) for each in found)
    )


def _plain_items(found: Any) -> dict[str, Any]:
    """What training was told, as far as it is plain."""
    if type(found) is not dict:
        return {}
    return {
        name: value
        for name, value in found.items()
        if type(name) is str and (PLAIN.fits(value) or _is_categories([value]))
    }


_STATE: Final = exact("attributes", dict)

ROWS: Final = (
    Row("xgboost.core.Booster", _xgboost, NOTHING, fields({"handle": DATA})),
    Row("lightgbm.basic.Booster", _lightgbm, NOTHING, _STATE),
)

"""Models that XGBoost, LightGBM and CatBoost wrote themselves, as their estimators.

Their files say what the trees are, what the columns are called and what is predicted, and no
labels: classes are the numbers from 0 on, but with CatBoost, which keeps them. Which estimator it
becomes is read off the bytes. XGBoost and LightGBM are given what was checked and written anew
(`soundness/boosters/`), unless the operator allowed their boosters by name. Of CatBoost nothing is
checked, so that its models always need to be allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..errors import LoadFailed, UnreadableFile, words_of
from ..opcodes import Global
from ..reconstruct.row import Row
from ..reconstruct.table import TABLE
from ..soundness.boosters import ubjson, xgboost
from ..soundness.faults import Wrong
from ..stand_ins import Listing
from ..trust import Trust
from .part import Format

XGBOOST_BOOSTER: Final = Global("xgboost.core", "Booster")
LIGHTGBM_BOOSTER: Final = Global("lightgbm.basic", "Booster")
UBJSON: Final = b"{L"
CBM: Final = b"CBM1"
TREE: Final = b"tree\nversion="
HEAD: Final = 64 * 1024
"""The bytes in which LightGBM says what its trees are for; what a thousand columns are called
may be longer, and comes later."""

_LOSS: Final = re.compile(rb'"loss_function":\s*(?:\{"type":\s*)?"([A-Za-z:]{1,60})')
_OBJECTIVE: Final = re.compile(rb"^objective=([a-z_0-9]+)(.*)$", re.MULTILINE)
CATEGORIES: Final = "pandas_categorical:"
_CATBOOST: Final = {"Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll"}
_LIGHTGBM: Final = {"binary", "cross_entropy", "multiclass", "multiclassova", "softmax"}
_RANKS: Final = ("rank", "lambdarank", "survival", "yeti", "pair", "query", "stochastic")


class _Objective(msgspec.Struct):
    name: str


class _Learner(msgspec.Struct):
    objective: _Objective


class _Model(msgspec.Struct):
    learner: _Learner


# XGBoost --------------------------------------------------------------------------


def is_xgboost(data: bytes) -> bool:
    """Whether it is a model of XGBoost in JSON or in UBJSON."""
    return data.startswith(UBJSON) or (
        data[:1] == b"{" and b'"learner"' in data[:HEAD] + data[-HEAD:]
    )


def _xgboost_head(data: bytes) -> tuple[str, str]:
    """The objective of a model, and the version of XGBoost that wrote it, or nothing."""
    try:
        found = ubjson.read(data) if data.startswith(UBJSON) else msgspec.json.decode(data)
        model = msgspec.convert(found, _Model)
        numbers = [int(each) for each in found.get("version", ())]
        return model.learner.objective.name, ".".join(map(str, numbers))
    except (Wrong, msgspec.MsgspecError, RecursionError, TypeError, ValueError) as error:
        raise UnreadableFile(
            'this is no whole model of XGBoost; write it again with model.save_model("model.ubj").'
        ) from error


def _xgboost_class(name: str) -> str:
    """That of an objective."""
    _require_no_rank(name)
    return "XGBClassifier" if name.startswith(("binary:", "multi:")) else "XGBRegressor"


def _xgboost_listing(data: bytes) -> Listing:
    objective, version = _xgboost_head(data)
    kind = Global("xgboost.sklearn", _xgboost_class(objective))
    return _named(kind, XGBOOST_BOOSTER, guest=f"XGBoost {version}".strip())


def _xgboost(data: bytes, trust: Trust) -> Any:
    model = _class("xgboost", _xgboost_class(_xgboost_head(data)[0]))()
    freed = trust.frees(*XGBOOST_BOOSTER)
    _read(model.load_model, bytearray(data) if freed else xgboost.sound_model(data))
    if "c" in (model.get_booster().feature_types or ()):
        model.set_params(enable_categorical=True)
    return model


# LightGBM -------------------------------------------------------------------------


def is_lightgbm(data: bytes) -> bool:
    """Whether it is a model of LightGBM as text."""
    return data.startswith(TREE)


def _lightgbm_objective(data: bytes) -> tuple[str, int]:
    """What the trees are for, and the number of classes that stands there."""
    found = _OBJECTIVE.search(data[: data.find(b"\nTree=")])
    if found is None:
        raise UnreadableFile(
            "this model of LightGBM does not say its objective, so it is not known what it "
            "predicts; train it with one, such as objective='regression', or write its estimator "
            "with joblib.dump."
        )
    classes = re.search(rb"num_class:([0-9]{1,9})", found[2])
    name = found[1].decode()
    _require_no_rank(name)
    return name, int(classes[1]) if classes else 2


def _lightgbm_class(data: bytes) -> str:
    return "LGBMClassifier" if _lightgbm_objective(data)[0] in _LIGHTGBM else "LGBMRegressor"


def _lightgbm_listing(data: bytes) -> Listing:
    # It says the version of its format, which several releases write.
    version = re.match(rb"v[0-9]{1,4}", data[len(TREE) :])
    guest = f"LightGBM (format {version[0].decode()})" if version else "LightGBM"
    kind = Global("lightgbm.sklearn", _lightgbm_class(data))
    return _named(kind, LIGHTGBM_BOOSTER, guest=guest)


def _lightgbm(data: bytes, trust: Trust) -> Any:
    import numpy as np
    from sklearn.preprocessing import LabelEncoder

    name, count = _lightgbm_objective(data)
    kind = _class("lightgbm", _lightgbm_class(data))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            "this model of LightGBM is not UTF-8; copy it again in binary mode."
        ) from error
    if trust.frees(*LIGHTGBM_BOOSTER):
        booster = _read(_class("lightgbm", "Booster"), model_str=text)
    else:
        booster = _sound_booster(text)
    model, columns = kind(objective=name), booster.num_feature()
    state = {"_Booster": booster, "_n_features": columns, "_n_features_in": columns}
    state |= {"_objective": name, "fitted_": True, "_fitted_with_feature_names": True}
    if kind.__name__ == "LGBMClassifier":
        labels = np.arange(count)
        state |= {"_classes": labels, "_n_classes": count, "_le": LabelEncoder().fit(labels)}
        state |= {"_class_map": dict(zip(labels, labels, strict=True))}
    vars(model).update(state)
    return model


def _sound_booster(text: str) -> Any:
    """The booster of a text that is checked, with the categories of pandas that stand behind it."""
    row = TABLE[str(LIGHTGBM_BOOSTER)]
    assert type(row) is Row
    *_, last = text.rstrip("\n").rpartition("\n")
    categories = None
    if last.startswith(CATEGORIES):
        try:
            categories = msgspec.json.decode(last.removeprefix(CATEGORIES))
        except msgspec.DecodeError as error:
            raise _cut_off() from error
    elif not text.endswith("\n"):
        raise _cut_off()
    return row.finish((), {"_handle": text, "pandas_categorical": categories})


def _cut_off() -> UnreadableFile:
    return UnreadableFile(
        "this model of LightGBM is cut off; copy it again in binary mode, or write it again with "
        'booster.save_model("model.txt").'
    )


# CatBoost -------------------------------------------------------------------------


def is_catboost(data: bytes) -> bool:
    """Whether it is a model of CatBoost in its own format, cbm."""
    return data.startswith(CBM)


def _catboost_class(data: bytes) -> str:
    found = _LOSS.search(data)
    if found is None:
        raise UnreadableFile(
            "this model of CatBoost does not say its loss function, so it is not known what it "
            "predicts; write its estimator with joblib.dump."
        )
    name = found[1].decode()
    _require_no_rank(name)
    return "CatBoostClassifier" if name in _CATBOOST else "CatBoostRegressor"


def _catboost_listing(data: bytes) -> Listing:
    return _named(Global("catboost.core", _catboost_class(data)), guest="CatBoost")


def _catboost(data: bytes, trust: Trust) -> Any:
    model = _class("catboost", _catboost_class(data))()
    _read(model.load_model, blob=data)
    return model


# All of them ----------------------------------------------------------------------

XGBOOST: Final = Format("XGBoost", _xgboost_listing, _xgboost)
LIGHTGBM: Final = Format("LightGBM", _lightgbm_listing, _lightgbm)
CATBOOST: Final = Format("CatBoost", _catboost_listing, _catboost)


def found_in(data: bytes) -> Iterator[Format]:
    """The formats of which this may be a file."""
    for is_one, each in (
        (is_xgboost, XGBOOST),
        (is_lightgbm, LIGHTGBM),
        (is_catboost, CATBOOST),
    ):
        if is_one(data):
            yield each


def _named(*globals: Global, guest: str) -> Listing:
    return Listing(globals, (), guest=guest)


def _class(package: str, name: str) -> Any:
    import importlib

    try:
        return getattr(importlib.import_module(package), name)
    except ImportError as error:
        raise LoadFailed(
            f"the file needs {package}; install it with pip install 'quart-app[guests]'.",
            words_of(error),
        ) from error


def _read(call: Any, *args: Any, **named: Any) -> Any:
    try:
        return call(*args, **named)
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadableFile(
            "its own library does not read this model; copy it again in binary mode, or write it "
            "again with the version that is installed here.",
            words_of(error),
        ) from error


def _require_no_rank(name: str) -> None:
    if name.lower().startswith(_RANKS):
        raise UnreadableFile(
            f"this model has the objective {name}: it ranks or tells a survival, and what is "
            "served are classes and numbers. Train it with such an objective."
        )

"""Models of XGBoost and LightGBM that contradict themselves end in a sentence, whichever way they
come, and those that these libraries wrote answer as they did."""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_store import ModelStore, pickles
from model_store.errors import Unsound, Untrusted
from model_store.soundness.boosters import lightgbm, ubjson, xgboost
from model_store.soundness.boosters.walk import DEEPEST
from model_store.soundness.check import require_sound
from model_store.soundness.faults import Wrong
from model_store.trust import Trust

from ...fuzz_boosters.mutation import model_of, pickle_with
from ...fuzz_boosters.subjects import SUBJECTS, fitted

pytestmark = pytest.mark.guests

DEFAULT = Trust()


def loaded(data: bytes) -> Any:
    DEFAULT.require("the file", pickles.listing(data).globals)
    found = pickles.load(data, DEFAULT)
    require_sound(found, DEFAULT)
    return found


@pytest.mark.parametrize("name", SUBJECTS)
def test_an_estimator_comes_back_without_a_flag_and_answers_with_the_same_bits(name: str) -> None:
    estimator, X = fitted(name)
    for model in (model_of(estimator), _of_pickle(estimator)):
        found = loaded(pickle_with(estimator, model))
        assert np.array_equal(found.predict(X), estimator.predict(X))
        if hasattr(estimator, "predict_proba"):
            assert np.array_equal(found.predict_proba(X), estimator.predict_proba(X))


def _of_pickle(estimator: Any) -> bytes | str:
    state = estimator._Booster.__getstate__()
    return bytes(state["handle"]) if "handle" in state else str(state["_handle"])


# XGBoost ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(model_of(fitted("xgboost classes")[0]))


def _learner(found: Any) -> Any:
    return found["learner"]


def _model(found: Any) -> Any:
    return found["learner"]["gradient_booster"]["model"]


def _tree(found: Any) -> Any:
    """The first one that asks for categories."""
    return next(tree for tree in _model(found)["trees"] if tree["categories_nodes"])


Change = Callable[[Any], object]


def _set(part: Callable[[Any], Any], name: Any, value: Any) -> Change:
    return lambda found: part(found).__setitem__(name, value)


def _in_tree(name: str, at: int, value: Any) -> Change:
    return lambda found: _tree(found)[name].__setitem__(at, value)


FORGED_XGBOOST: list[tuple[str, Change]] = [
    ("leads to node 100000 of", _in_tree("left_children", 0, 100000)),
    ("child before the first node", _in_tree("left_children", 0, -5)),
    ("child of two", _in_tree("left_children", 0, 0)),
    ("child of two", lambda found: _in_tree("right_children", 0, _first(found))(found)),
    ("no number of i4", _in_tree("left_children", 0, 2**40)),
    ("no number of i4", _in_tree("left_children", 0, 0.5)),
    ("another parent", _in_tree("parents", 1, 2)),
    ("not there", _in_tree("parents", 0, 7)),
    ("a node's column leads to 4", _in_tree("split_indices", 0, 4)),
    ("a node's column leads to -1", _in_tree("split_indices", 0, -1)),
    ("the kind of a node leads to 2", _in_tree("split_type", 0, 2)),
    ("a node asks for a category", lambda found: _without_sets(_tree(found))),
    ("a category of tree", _in_tree("categories", 0, 2**31 - 1)),
    ("a category of tree", _in_tree("categories", 0, -1)),
    ("reaches beyond", _in_tree("categories_sizes", 0, 1000)),
    ("reaches beyond", _in_tree("categories_segments", 0, -4)),
    ("reaches beyond", _in_tree("categories_sizes", 0, 2**62)),
    ("a set of categories of tree", _in_tree("categories_nodes", 0, 5000)),
    ("not one set of categories", _set(_tree, "categories_sizes", [])),
    ("the size of split_conditions", _set(_tree, "split_conditions", [1.0])),
    ("its sum_hessian is", _set(_tree, "sum_hessian", "many")),
    ("the id of tree", _set(_tree, "id", 77)),
    ("the columns of tree", lambda f: _tree(f)["tree_param"].__setitem__("num_feature", "5")),
    ("its size_leaf_vector", lambda f: _tree(f)["tree_param"].__setitem__("size_leaf_vector", "9")),
    (
        "and leaves of 2 values",
        lambda f: _tree(f)["tree_param"].__setitem__("size_leaf_vector", "2"),
    ),
    ("its num_nodes is 'x'", lambda f: _tree(f)["tree_param"].__setitem__("num_nodes", "x")),
    ("a tree's score leads to 3", lambda f: _model(f)["tree_info"].__setitem__(0, 3)),
    ("the size of its tree_info", _set(_model, "tree_info", [0])),
    ("iteration_indptr", lambda f: _model(f)["iteration_indptr"].__setitem__(1, 9)),
    ("iteration_indptr", _set(_model, "iteration_indptr", [])),
    ("its num_trees", lambda f: _model(f)["gbtree_model_param"].__setitem__("num_trees", "8")),
    (
        "no tree at a time",
        lambda f: _model(f)["gbtree_model_param"].__setitem__("num_parallel_tree", "0"),
    ),
    ("its num_feature is", lambda f: _parameters(f).__setitem__("num_feature", "99999999")),
    ("the columns of tree 0", lambda f: _parameters(f).__setitem__("num_feature", "2")),
    ("its num_class is", lambda f: _parameters(f).__setitem__("num_class", "-3")),
    ("its base_score is", lambda f: _parameters(f).__setitem__("num_class", "2")),
    ("its base_score is", lambda f: _parameters(f).__setitem__("base_score", "[1,2,3,4]")),
    ("the classes of its objective", lambda f: _classes_of_objective(f, "9")),
    ("its objective 'rank:ndcg' is not one of", lambda f: _objective(f, "rank:ndcg")),
    ("the booster 'gblinear'", lambda f: _learner(f)["gradient_booster"].update(name="gblinear")),
    ("its feature_names are 1", lambda f: _learner(f).update(feature_names=["a"])),
    (
        "its best_iteration is '7' of 3",
        lambda f: _learner(f).update(attributes={"best_iteration": "7"}),
    ),
    ("no texts", lambda f: _learner(f).update(attributes={"best_iteration": 1})),
    ("its version is", lambda f: f.update(version=[1, 7, 0])),
    (
        "other ones than it counts",
        lambda f: _model(f)["cats"]["feature_segments"].__setitem__(2, 9),
    ),
    ("the order of its categories", lambda f: _model(f)["cats"]["sorted_idx"].__setitem__(0, 99)),
    ("do not end where they should", lambda f: _texts(f)["offsets"].__setitem__(-1, 10**6)),
    ("do not end where they should", lambda f: _texts(f)["offsets"].__setitem__(1, 99)),
    ("of 3 columns of 4", lambda f: _model(f)["cats"]["enc"].pop()),
]


def _first(found: Any) -> int:
    return int(_tree(found)["left_children"][0])


def _parameters(found: Any) -> Any:
    return _learner(found)["learner_model_param"]


def _texts(found: Any) -> Any:
    return _model(found)["cats"]["enc"][2]


def _without_sets(tree: Any) -> None:
    for name in ("categories", "categories_nodes", "categories_segments", "categories_sizes"):
        tree[name] = []


def _classes_of_objective(found: Any, count: str) -> None:
    _learner(found)["objective"]["softmax_multiclass_param"]["num_class"] = count


def _objective(found: Any, name: str) -> None:
    _learner(found)["objective"]["name"] = name


@pytest.mark.parametrize(("sentence", "change"), FORGED_XGBOOST)
def test_a_forged_model_of_xgboost_ends_in_a_sentence(
    sentence: str, change: Change, document: Any
) -> None:
    forged = json.loads(json.dumps(document))
    change(forged)
    with pytest.raises((Unsound, Untrusted), match=r"^A model of XGBoost is not") as error:
        xgboost.sound_model(json.dumps(forged).encode())
    assert sentence in str(error.value)


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_what_has_no_check_says_what_to_type_and_is_published_by_its_owner(
    kind: str, tmp_path: Path
) -> None:
    library = importlib.import_module(kind)
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = X[:, 0] + 1
    if kind == "xgboost":
        name, estimator = "xgboost.core.Booster", library.XGBRegressor(booster="gblinear")
    else:
        name = "lightgbm.basic.Booster"
        estimator = library.LGBMRegressor(linear_tree=True, n_estimators=3, verbose=-1)
    estimator.fit(X, y)
    with pytest.raises(Untrusted, match=rf"there is no check for .*--trusted {name}\.$"):
        loaded(pickle.dumps(estimator))
    found = pickles.load(pickle.dumps(estimator), Trust(frozenset({name})))
    assert np.array_equal(found.predict(X), estimator.predict(X))
    told = ModelStore(tmp_path).publish("own", estimator, X, y)
    assert told.allowed == (name,)


def test_a_tree_that_is_too_deep_for_the_stack_is_refused(document: Any) -> None:
    forged = json.loads(json.dumps(document))
    tree = _model(forged)["trees"][0]
    _without_sets(tree)
    nodes = 2 * DEEPEST + 5
    inner = np.arange(nodes) % 2 == 0
    inner[-1] = False
    at = np.arange(nodes)
    tree["left_children"] = np.where(inner, at + 1, -1).tolist()
    tree["right_children"] = np.where(inner, at + 2, -1).tolist()
    tree["parents"] = [2**31 - 1, *(each // 2 * 2 for each in range(nodes - 1))]
    for name in ("base_weights", "split_conditions", "loss_changes", "sum_hessian"):
        tree[name] = [0.5] * nodes
    for name in ("split_indices", "split_type", "default_left"):
        tree[name] = [0] * nodes
    tree["tree_param"]["num_nodes"] = str(nodes)
    with pytest.raises(Unsound, match=f"deeper than {DEEPEST}"):
        xgboost.sound_model(json.dumps(forged).encode())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "cut off"),
        (b'{"learner": ', "no whole JSON"),
        (b"\x80\x04N.", "is no value"),
        (b"{L\xff\xff\xff\xff\xff\xff\xff\xffa", "without a length"),
        (b"{i\x01aSi\x01bi\x01aSi\x01b}", "'a' twice"),
        (b"[$l#L\x7f\xff\xff\xff\xff\xff\xff\xff", "cut off"),
        (b"[$Q#i\x01", "array of"),
        (b"[" * 1000, "deep within"),
        (b"Si\x02\xff\xff", "not UTF-8"),
        (b"ZZ", "follow behind its end"),
        (b"i\x05", "its version is"),
    ],
)
def test_bytes_that_are_no_model_end_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(Unsound) as error:
        xgboost.sound_model(data)
    assert sentence in str(error.value)


def test_ubjson_is_written_as_xgboost_wrote_it(document: Any) -> None:
    booster = fitted("xgboost classes")[0].get_booster()
    raw = bytes(booster.save_raw("ubj"))
    assert repr(ubjson.read(ubjson.write(ubjson.read(raw)))) == repr(ubjson.read(raw))
    sound = [xgboost.sound_model(each) for each in (raw, json.dumps(document).encode())]
    assert sound[0] == sound[1]
    again = type(booster)(model_file=sound[0])
    assert bytes(again.save_raw("ubj")) == raw
    with pytest.raises(Wrong):
        ubjson.read(raw[:-1])


def test_a_booster_starts_no_more_threads_than_there_are_processors(document: Any) -> None:
    estimator, _ = fitted("xgboost forest")
    estimator.get_booster().set_param({"nthread": 100_000})
    found = loaded(pickle_with(estimator, _of_pickle(estimator)))
    configured = json.loads(found.get_booster().save_config())
    assert 0 < int(configured["learner"]["generic_param"]["nthread"]) < 100_000


# LightGBM --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text() -> str:
    return str(model_of(fitted("lightgbm classes")[0]))


def _line(name: str, value: str) -> Callable[[str], str]:
    """The first line of a name with another value, in the tree that has sets of categories."""

    def changed(text: str) -> str:
        start = text.rindex("Tree=", 0, text.index("cat_boundaries=")) if name in _OF_TREES else 0
        at = text.index(f"\n{name}=", start) + len(name) + 2
        return text[:at] + value + text[text.index("\n", at) :]

    return changed


_OF_TREES = frozenset(
    (
        *("num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child"),
        *("leaf_count", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage"),
    )
)

FORGED_LIGHTGBM: list[tuple[str, Callable[[str], str]]] = [
    ("its left_child are 1, and should be 5", _line("left_child", "1")),
    ("a left_child, counted from the last leaf, leads", _line("left_child", "99 -1 -2 -3 -4")),
    ("a left_child, counted from the last leaf, leads", _line("left_child", "-99 -1 -2 -3 -4")),
    ("child of two", _line("left_child", "0 0 0 0 0")),
    ("its left_child are no numbers", _line("left_child", "1 2 3 4 0x5")),
    ("its left_child are no numbers", _line("left_child", "1 2 3 4 99999999999999999999")),
    ("the column of a node leads to 4", _line("split_feature", "0 1 2 3 4")),
    ("the column of a node leads to -1", _line("split_feature", "0 1 2 3 -1")),
    ("the kind of a node leads to 12", _line("decision_type", "2 2 2 2 12")),
    ("the set of categories of a node leads", _line("threshold", "99 99 99 99 99")),
    ("its threshold are no numbers", _line("threshold", "1_0 1 1 1 1")),
    ("its num_leaves is '4000000000'", _line("num_leaves", "4000000000")),
    ("its leaf_value are 6, and should be 99", _line("num_leaves", "99")),
    ("its num_leaves is 0", _line("num_leaves", "0")),
    ("its num_cat", _line("num_cat", "x")),
    ("its leaf_count are 2, and should be 6", _line("leaf_count", "3 4")),
    ("cat_threshold", _line("cat_threshold", "1 2 3 4 5 6 7 8 9")),
    ("a word of a set", lambda text: _words(text)),
    ("cat_boundaries", _line("cat_boundaries", "0 4000 1")),
    ("no check for trees with lines", _line("is_linear", "1")),
    ("its shrinkage are no numbers", _line("shrinkage", "fast")),
    ("its num_class should be 3", _line("num_class", "9")),
    ("it has 9 trees for 4 scores", _line("num_tree_per_iteration", "4")),
    ("the classes of its objective", _line("objective", "multiclass num_class:9")),
    ("its objective regression has 3 classes", _line("objective", "regression")),
    ("its objective is 'file", _line("objective", "file /etc/passwd")),
    ("number of its feature_names", _line("max_feature_idx", "7")),
    ("its max_feature_idx is", _line("max_feature_idx", "-1")),
    ("number of its feature_names", _line("feature_names", "a b")),
    ("its feature_infos", _line("feature_infos", "none none none [0:1")),
    ("its version is", _line("version", "v44")),
    ("does not begin and end", lambda text: text[: text.index("end of trees")]),
    ("does not begin and end", lambda text: "x" + text),
    ("the number of a tree should be 1", lambda text: text.replace("Tree=1\n", "Tree=7\n")),
    (
        "'num_leaves' twice",
        lambda text: text.replace("num_leaves=", "num_leaves=6\nnum_leaves=", 1),
    ),
    ("other characters", lambda text: text.replace("size", "si\0ze")),
    ("other characters", lambda text: text.replace("\n", "\r\n")),
]


def _words(text: str) -> str:
    at = text.index("cat_threshold=") + len("cat_threshold=")
    end = text.index("\n", at)
    return (
        text[:at] + text[at:end].replace(text[at:end].split(" ")[0], "4294967296", 1) + text[end:]
    )


@pytest.mark.parametrize(("sentence", "change"), FORGED_LIGHTGBM)
def test_a_forged_model_of_lightgbm_ends_in_a_sentence(
    sentence: str, change: Callable[[str], str], text: str
) -> None:
    with pytest.raises((Unsound, Untrusted), match=r"^A model of LightGBM is not") as error:
        lightgbm.sound_model(change(text))
    assert sentence in str(error.value)


def test_lightgbm_is_given_no_sizes_by_which_it_would_skip(text: str) -> None:
    forged = _line("tree_sizes", "9999999 1")(text)
    assert lightgbm.sound_model(forged) == lightgbm.sound_model(text)


def test_the_text_for_lightgbm_is_what_it_wrote_but_for_its_end(text: str) -> None:
    trees = text[: text.index("end of trees")]
    assert lightgbm.sound_model(text).startswith(trees)
    assert lightgbm.scores(text) == 3


# Estimators ------------------------------------------------------------------------


def _forged(name: str, **attributes: Any) -> bytes:
    estimator, _ = fitted(name)
    vars(estimator).update(attributes)
    return pickle.dumps(estimator)


@pytest.mark.parametrize(
    ("name", "attributes", "sentence"),
    [
        ("xgboost forest", {"_Booster": {"a": 1}}, "its _Booster is of class dict"),
        ("xgboost forest", {"n_classes_": "two"}, "its n_classes_ is 'two'"),
        ("xgboost forest", {"predict": 3}, "stands in place of that of its class"),
        ("lightgbm numbers", {"_Booster": [1]}, "its _Booster is of class list"),
        ("lightgbm numbers", {"_n_features": 2}, "its _n_features should be 4"),
        ("lightgbm numbers", {"_other_params": [1]}, "its _other_params are no dict"),
        ("lightgbm numbers", {"predict_disable_shape_check": True}, "rows of any width"),
        (
            "lightgbm numbers",
            {"_other_params": {"predict_disable_shape_check": True}},
            "rows of any width",
        ),
        ("lightgbm numbers", {"n_jobs": "many"}, "its n_jobs is 'many'"),
    ],
)
def test_an_estimator_that_contradicts_its_booster_is_refused(
    name: str, attributes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Unsound) as error:
        loaded(_forged(name, **attributes))
    assert sentence in str(error.value)


def test_lightgbm_starts_no_more_threads_than_there_are_processors() -> None:
    found = loaded(_forged("lightgbm numbers", n_jobs=10**6, _other_params={"nthread": 10**6}))
    assert found.n_jobs < 10**6
    assert found._other_params["nthread"] < 10**6


def test_what_calls_a_function_of_its_own_is_refused() -> None:
    with pytest.raises(Untrusted, match="is not allowed"):
        loaded(_forged("lightgbm numbers", _objective=json.dumps))

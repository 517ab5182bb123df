"""A version keeps a background in its form, and explains by it; without one it says why not."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures

from model_store import Model, ModelStore
from model_store.errors import Unexplained
from model_store.manifest import REASONS
from model_store.plain import FORM_HEADER, Malformed, read, write
from model_store.plain.pack import pack
from model_store.reasons.background import ROWS, matrix_of
from model_store.reasons.keeping import read_overall
from model_store.store import Verified
from tests.model_store.conftest import LABELS, X, edit_manifest, folder, publish_small, put

RANDOM: Final = np.random.default_rng(6)
PEOPLE: Final = pd.DataFrame(
    {
        "age": np.where(RANDOM.random(300) < 0.1, np.nan, RANDOM.normal(40, 9, 300)),
        "children": RANDOM.integers(0, 4, 300),
        "port": RANDOM.choice(["C", "Q", "S"], 300),
        "alone": RANDOM.random(300) < 0.5,
        "id": RANDOM.integers(10**15, 10**17, 300),
    }
)
LEFT: Final = np.where(PEOPLE["children"] + (PEOPLE["port"] == "C") > 2, "yes", "no")


def _people() -> Any:
    columns = ColumnTransformer(
        [
            ("port", OneHotEncoder(handle_unknown="ignore"), ["port", "alone"]),
            ("children", "passthrough", ["children"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression()).fit(PEOPLE, LEFT)


def loaded(store: ModelStore, name: str = "small") -> Model:
    model = store.load(store.verify(name))
    model.replay()
    model.replay_reasons()
    return model


def test_the_background_is_rows_of_training_as_they_were(empty: ModelStore) -> None:
    empty.publish("people", _people(), PEOPLE, LEFT)
    model = loaded(empty, "people")
    assert model.form is not None
    assert model.form.background is not None
    signature = model.manifest.signature
    kept = signature.values(matrix_of(signature, model.form.background))
    assert len(kept) == ROWS
    trained = PEOPLE.astype(object).where(PEOPLE.notna(), None).to_dict("records")
    assert all(row in trained for row in kept)


def test_reasons_say_which_columns_count(empty: ModelStore) -> None:
    empty.publish("people", _people(), PEOPLE, LEFT)
    model = loaded(empty, "people")
    told = model.explain(model.golden_rows())
    assert (told.scale, told.method) == ("probability", "exact")
    shares = model.predict(model.golden_rows()).probabilities
    assert shares is not None
    np.testing.assert_allclose(told.answers[:, 0], shares[0].max(axis=1), atol=1e-9)
    names = model.manifest.signature.names
    sizes = dict(zip(names, np.abs(told.contributions[:, 0]).mean(axis=0), strict=True))
    assert sizes["age"] == sizes["id"] == 0
    assert sizes["children"] > sizes["alone"]
    overall = read_overall(empty.overall("people") or b"")
    assert overall.columns[0][0] == "children"
    assert overall.outputs[0].label == "yes"
    assert len(overall.outputs[0].points[0].points) == overall.rows == 200


def test_a_form_of_before_is_read_on_and_has_no_reasons(small: ModelStore) -> None:
    path = folder(small)
    header = json.loads((path / FORM_HEADER).read_bytes())
    del header["background"]
    header["format"] = 1
    put(path / FORM_HEADER, json.dumps(header).encode())
    edit_manifest(path, "served", "form", value=1)
    model = loaded(small)
    assert model.form is not None
    assert model.predict(model.golden_rows()).labels.tolist() == LABELS.tolist()
    with pytest.raises(Unexplained, match="before there were reasons; publish it again"):
        model.explain(model.golden_rows())


@pytest.mark.parametrize(
    ("pipeline", "options", "why"),
    [
        (make_pipeline(FunctionTransformer(np.sort), LogisticRegression()), {}, "plain form"),
        (LogisticRegression(), {"background": False}, "keeps no rows"),
    ],
    ids=["pipeline", "unwanted"],
)
def test_what_explains_nothing_says_why(
    empty: ModelStore, pipeline: Any, options: dict[str, Any], why: str
) -> None:
    empty.publish("small", pipeline.fit(X, LABELS), X, LABELS, **options)
    model = loaded(empty)
    with pytest.raises(Unexplained, match=why):
        model.explain(model.golden_rows())
    assert empty.overall("small") is None


def test_without_data_there_is_no_background(empty: ModelStore) -> None:
    frame = pd.DataFrame(X, columns=["a", "b"])
    empty.publish("small", LogisticRegression().fit(frame, LABELS))
    with pytest.raises(Unexplained, match="without training data"):
        loaded(empty).explain(X)


def test_more_columns_than_are_counted_out_may_be_estimated(empty: ModelStore) -> None:
    wide = RANDOM.normal(size=(60, 11))
    above = np.where(wide[:, 0] * wide[:, 1] > 0, "yes", "no")
    pipeline = make_pipeline(PolynomialFeatures(2), LogisticRegression(max_iter=500))
    empty.publish("small", pipeline.fit(wide, above), wide, above)
    model = loaded(empty)
    rows = model.golden_rows()[:1]
    with pytest.raises(Unexplained, match="EXPLAIN_SAMPLING"):
        model.explain(rows)
    told = model.explain(rows, sampling=True, seconds=5)
    assert told.method == "sampling"
    assert told.errors is not None
    shares = model.predict(rows).probabilities
    assert shares is not None
    np.testing.assert_allclose(told.answers[0, 0], shares[0].max())


@pytest.mark.parametrize("loads", [True, False], ids=["at its load", "when it is first asked"])
def test_reasons_that_do_not_add_up_explain_nothing(small: ModelStore, loads: bool) -> None:
    verified = small.verify("small")
    assert verified.form is not None
    model = small.load(verified)
    reasons = model.reasons
    by = reasons._made(None, False)
    by = msgspec.structs.replace(by, base=by.base + 1e-6)
    reasons._made = lambda scale, sampling: by  # type: ignore[method-assign]
    if loads:
        with pytest.raises(Unexplained, match="do not add up"):
            model.replay_reasons()
    with pytest.raises(Unexplained, match="cannot be explained: its reasons do not add up"):
        model.explain(model.golden_rows())
    assert model.predict(model.golden_rows()).labels.tolist() == LABELS.tolist()


def _header(small: ModelStore) -> tuple[dict[str, Any], bytes]:
    verified: Verified = small.verify("small")
    assert verified.form is not None
    return json.loads(verified.form[0]), bytes(verified.form[1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found["columns"].update(shape=[1]),
        lambda found: found["columns"].update(dtype="float32"),
        lambda found: found["numbers"].update(shape=[3, 4]),
        lambda found: found["numbers"].update(offset=1 << 40),
        lambda found: found.update(values=[["a"]]),
        lambda found: found.update(values={}),
        lambda found: found.update(more=1),
        lambda found: found.pop("numbers"),
    ],
)
def test_a_background_that_does_not_fit_is_malformed(small: ModelStore, damage: Any) -> None:
    header, data = _header(small)
    read(json.dumps(header).encode(), data)
    damage(header["background"])
    with pytest.raises(Malformed):
        read(json.dumps(header).encode(), data)


def test_a_form_without_a_background_has_the_files_that_it_had(small: ModelStore) -> None:
    manifest = small.manifest("small")
    header, _ = write(pack(LogisticRegression().fit(X, LABELS), manifest.signature))
    assert b"background" not in header
    assert REASONS in manifest.files
    publish_small(small, background=False)
    assert REASONS not in small.manifest("small").files

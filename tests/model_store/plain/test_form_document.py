"""docs/plain-form.md says all of the form: its fields are those of the code, its reader reads."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from model_store.inspection import Inspection
from model_store.plain import write
from model_store.plain.form import FORM, MAX_DEPTH, MAX_NODES, Span
from model_store.plain.node import MAX_DENSE, MAX_WIDTH, Node
from model_store.plain.pack import pack

from .field_tables import documented, heading, hints, table

PAGE: Final = (Path(__file__).parents[3] / "docs" / "plain-form.md").read_text()
READER_LINES: Final = 60
"""With something in them."""


def sections() -> dict[str, str]:
    """What stands below each heading of a node or a part."""
    parts = re.split(r"^##+ (.*)$", PAGE, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {title: text.strip() for title, text in pairs if title.startswith("`")}


def test_each_node_and_each_part_has_a_section_with_its_fields() -> None:
    structs = documented()
    form, span = structs.pop("Form"), structs.pop("Span")
    assert table(form) in PAGE
    assert table(span) in PAGE
    found = sections()
    assert {heading(name) for name in structs} == set(found)
    for name, struct in structs.items():
        fields, _, words = found[heading(name)].partition("\n\n")
        assert fields == table(struct), f"{name}\n{table(struct)}"
        assert len(words) > 5, f"what {name} computes"


def test_nodes_spans_and_parts_are_told_apart_by_a_field() -> None:
    for name, struct in documented().items():
        tag = struct.__struct_config__.tag_field  # type: ignore[attr-defined]
        names = {*hints(struct), tag}
        assert ("kind" in names) == issubclass(struct, Node), name
        assert ("shape" in names) == (struct is Span), name


def test_each_link_within_the_page_leads_to_a_heading() -> None:
    titles = re.findall(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_the_limits_are_those_of_the_code() -> None:
    words = " ".join(PAGE.split())
    assert f"`format` is {FORM}." in words
    assert f"at most {MAX_DEPTH} deep" in words
    assert f"at most {MAX_NODES:,} nodes" in words
    assert f"at most {MAX_DENSE:,} features, others {MAX_WIDTH:,}" in words


def reader() -> str:
    """The code of the reader."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(code)


def test_the_reader_is_short_and_needs_the_standard_library_alone() -> None:
    tree = ast.parse(reader())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    assert names == {"json", "math", "struct"}
    assert len(imports) == len(names)
    assert len([line for line in reader().splitlines() if line]) <= READER_LINES


IRIS: Final = load_iris()
CANCER: Final = load_breast_cancer()
DIABETES: Final = load_diabetes()
READ: Final = [
    (
        make_pipeline(StandardScaler(), LogisticRegression()),
        IRIS.data,
        IRIS.target_names[IRIS.target],
    ),
    (make_pipeline(RobustScaler(), LogisticRegression()), CANCER.data, CANCER.target),
    (make_pipeline(MinMaxScaler(), Ridge()), DIABETES.data, DIABETES.target),
    (make_pipeline(MaxAbsScaler(), LinearRegression()), DIABETES.data, DIABETES.target),
    (RandomForestClassifier(8, random_state=1), IRIS.data, IRIS.target_names[IRIS.target]),
    (DecisionTreeClassifier(random_state=1), CANCER.data, CANCER.target),
    (ExtraTreesRegressor(5, max_depth=6, random_state=1), DIABETES.data, DIABETES.target),
    (make_pipeline(StandardScaler(), DecisionTreeRegressor()), DIABETES.data, DIABETES.target),
]


@pytest.mark.parametrize(("pipeline", "X", "y"), READ)
def test_the_reader_answers_as_the_pipelines_do(pipeline: Any, X: Any, y: Any) -> None:
    pipeline.fit(X, y)
    signature = Inspection.of_data(pipeline, X, y).signature
    namespace: dict[str, Any] = {}
    exec(compile(reader(), "docs/plain-form.md", "exec"), namespace)
    root = namespace["read"](*write(pack(pipeline, signature)))
    rows = np.random.default_rng(4).permutation(X)[:60] * np.linspace(0.9, 1.1, 60)[:, np.newaxis]
    answers = [namespace["answer"](root, row) for row in rows.tolist()]
    labels = [label for label, _ in answers]
    if hasattr(pipeline, "predict_proba"):
        assert labels == pipeline.predict(rows).tolist()
        shares = np.array([each for _, each in answers])
        np.testing.assert_allclose(shares, pipeline.predict_proba(rows), rtol=1e-12, atol=1e-15)
    else:
        np.testing.assert_allclose(labels, pipeline.predict(rows), rtol=1e-12)

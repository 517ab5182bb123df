"""Every message that docs/models.md explains is met, by doing what leads to it."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas
import pytest
from sklearn.cluster import DBSCAN
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import MissingIndicator
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelEncoder,
    OneHotEncoder,
    StandardScaler,
    scale,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree._criterion import Gini

from model_store import ModelStore, ModelStoreError
from model_store.importer import ImportRequest, import_files

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
X = np.arange(20.0).reshape(5, 4)

STUBBORN = """
import os
class Stubborn:
    n_features_in_ = 1
    def predict(self, X):
        {}
"""


def messages() -> list[str]:
    """The first column of the table of what can go wrong."""
    section = (ROOT / "docs/models.md").read_text().split("\n## What can go wrong\n")[1]
    return re.findall(r"^\| (?!message|---)(.*?) \|", section, re.MULTILINE)


class Work:
    """A folder to import in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str, value: Any) -> str:
        data = value if isinstance(value, bytes) else pickle.dumps(value)
        (self.folder / name).write_bytes(data)
        return name

    def text(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def takes(self, *files: str, **order: Any) -> str:
        """What is wrong with files that do no harm, in this process, which is quicker."""
        paths = tuple(str(self.folder / file) for file in files)
        with pytest.raises(ModelStoreError) as raised:
            import_files(ImportRequest(name="m", files=paths, **order))
        return str(raised.value)

    def tells(self, file: str, **order: Any) -> str:
        """What it warns of, of a file that it takes."""
        report, _ = import_files(ImportRequest(name="m", files=(str(self.folder / file),), **order))
        [warning] = report.warnings
        return warning

    def imports(self, *arguments: str, path: Path | None = None) -> str:
        """What `models import` says when it fails."""
        places = [str(place) for place in (path, ROOT) if place is not None]
        ended = subprocess.run(
            [sys.executable, "-m", "quart_app", "models", "import", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        return ended.stderr.splitlines()[-1].removeprefix("Error: ")

    def stubborn(self, does: str, *arguments: str) -> str:
        code = self.text("steps.py", STUBBORN.format(does))
        file = self.file("s.pkl", b"\x80\x02c__main__\nStubborn\n)\x81.")
        return self.imports(file, "--code", code, *arguments)

    def without_pandas(self) -> str:
        blocked = self.folder / "blocked" / "pandas"
        blocked.mkdir(parents=True)
        (blocked / "__init__.py").write_text("raise ModuleNotFoundError('No module named pandas')")
        frame = pandas.DataFrame(X, columns=list("abcd"))
        file = self.file("f.pkl", LinearRegression().fit(frame, X[:, 0]))
        return self.imports(file, path=blocked.parent)

    def publishes(self, pipeline: Any, data: Any = X) -> str:
        """What is wrong with a pipeline that was fitted in this process."""
        with pytest.raises(ModelStoreError) as raised:
            ModelStore(self.folder / "models").publish("m", pipeline, data)
        return str(raised.value)

    def publishes_by_type(self) -> str:
        texts = np.empty((2, 1), dtype=object)
        texts[:, 0] = np.str_("a"), "b"
        return self.publishes(step(kind_of_text).fit(texts, [0.0, 1.0]), texts)

    def publishes_by_position(self) -> str:
        frame = pandas.DataFrame(X[:, :2])
        return self.publishes(step(first_column).fit(frame, X[:, 0]), frame)

    def publishes_local(self) -> str:
        file = self.folder / self.text("beside_it.py", "def same(rows):\n    return rows\n")
        spec = importlib.util.spec_from_file_location("beside_it", file)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["beside_it"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        try:
            return self.publishes(step(module.same).fit(X, X[:, 0]), X)
        finally:
            del sys.modules["beside_it"]


def step(function: Any) -> Any:
    return make_pipeline(FunctionTransformer(function), LinearRegression())


def indicating() -> Any:
    """Tells NaN among texts, and None it does not."""
    texts = pandas.DataFrame({"c": ["x", np.nan]})
    return make_pipeline(MissingIndicator(features="all"), LinearRegression()).fit(texts, [1, 2])


def kind_of_text(values: Any) -> Any:
    """Tells numpy's texts from Python's, as no transformer should."""
    return np.array([[float(type(value) is np.str_)] for value in values[:, 0]])


def first_column(rows: Any) -> Any:
    return rows[[0]]


class Tells:
    """Answers one label, which may be of no classes."""

    def __init__(self, label: Any, *classes: Any) -> None:
        self.label = label
        if classes:
            self.classes_ = list(classes)

    def predict(self, rows: Any) -> list[Any]:
        return [self.label] * len(rows)


def of_any_columns() -> Any:
    model = DummyClassifier().fit(X, [0, 1, 0, 1, 0])
    vars(model).pop("n_features_in_", None)
    return model


def contradictory() -> Any:
    """Its tree has more columns than it takes."""
    tree = DecisionTreeRegressor().fit(X, X[:, 0])
    tree.n_features_in_ = 3
    return tree


def of_texts(**settings: Any) -> Any:
    words = TfidfVectorizer()
    pipeline = make_pipeline(words, LinearRegression()).fit(["good film", "bad film"], [1.0, 0.0])
    words.set_params(**settings)
    return pipeline


def with_criterion() -> Any:
    criterion = Gini(1, np.array([2], dtype=np.intp))
    return DecisionTreeClassifier(criterion=criterion).fit(X, [0, 1, 0, 1, 0])


def inverting() -> Any:
    """It tells integers from booleans."""
    codes = np.array([[0], [1]])
    return make_pipeline(FunctionTransformer(np.invert), LinearRegression()).fit(codes, [0.0, 1.0])


INVERT = "numpy.invert"
CLASSES = DecisionTreeClassifier().fit(np.arange(20.0)[:, None], [0] * 10 + [1] * 10)
MODEL = LinearRegression().fit(X, X[:, 0])

SCENARIOS: list[Callable[[Work], str]] = [
    lambda w: w.takes(w.file("a.pkl", b"\x80\x02c__main__\nRatio\n)\x81.")),
    lambda w: w.takes(w.file("a.pkl", b"cposix\nsystem\n(S'true'\ntR.")),
    lambda w: w.takes(w.file("a.pkl", b"cnumpy\nadd\n(K\x01K\x02tR.")),
    lambda w: w.takes(
        w.file(
            "a.pkl",
            b"\x80\x03csklearn.linear_model._base\nLinearRegression\n)\x81}X\x10\0\0\0"
            b"_sklearn_versionX\x05\0\0\x001.5.2sb.",
        )
    ),
    lambda w: w.takes(
        w.file("a.pkl", b"\x80\x02csklearn.linear_model.logistic\nLogisticRegression\n)\x81.")
    ),
    lambda w: w.takes(w.file("a.pkl", cloudpickle.dumps(step(lambda X: X)))),
    lambda w: w.takes(w.file("a.pkl", b"\x80\x02cnowhere\nThing\n)\x81."), trust=True),
    lambda w: w.takes(w.file("a.pkl", pickle.dumps(MODEL)[:-20])),
    lambda w: w.takes(w.file("a.pkl", pickle.dumps(MODEL) + pickle.dumps(MODEL))),
    lambda w: w.takes(w.file("a.pkl", {"scaler": 1, "model": 2})),
    lambda w: w.takes(w.file("a.pkl", LabelEncoder().fit(["a", "b"]))),
    lambda w: w.takes(w.file("a.pkl", of_any_columns())),
    lambda w: w.takes(w.file("a.pkl", MODEL), sample=w.text("r.csv", "a,b,c,d,e\n1,2,3,4,5\n")),
    lambda w: w.takes(
        w.file("a.pkl", inverting()), sample=w.text("r.csv", "code\n0\n1\n"), trusted=(INVERT,)
    ),
    lambda w: w.takes(w.file("a.pkl", indicating()), sample=w.text("r.csv", 'c\nx\nNA\n""\n')),
    lambda w: w.takes(
        w.file("a.pkl", CLASSES),
        sample=w.text("r.csv", "x,y\n1,0\n2,yes\n"),
        target=("y",),
    ),
    lambda w: w.takes(w.file("a.pkl", CLASSES), sample=w.text("r.csv", ",x\n7,1\n7,2\n")),
    lambda w: w.takes(
        w.file("a.pkl", LinearRegression().fit(pandas.DataFrame(X, columns=list("abcd")), X[:, 0])),
        sample=w.text("r.csv", "a,b\n1,2\n"),
    ),
    lambda w: w.tells(
        w.file("a.pkl", CLASSES),
        sample=w.text("r.csv", "x,y\n" + "0,1\n" * 10 + "19,0\n" * 10),
        target=("y",),
    ),
    Work.without_pandas,
    lambda w: w.stubborn("import socket; socket.socket()"),
    lambda w: w.stubborn("exec('while True: pass')", "--time-limit", "3"),
    lambda w: w.stubborn("return bytearray(2**36)", "--memory-limit", "300"),
    lambda w: w.takes(w.file("a.pkl", contradictory())),
    lambda w: w.takes(w.file("a.pkl", of_texts(input="filename"))),
    lambda w: w.takes(w.file("a.pkl", with_criterion())),
    lambda w: w.tells(w.file("a.pkl", of_texts(token_pattern=r"\w+"))),
    lambda w: w.stubborn("os.kill(os.getpid(), 11)"),
    Work.publishes_by_type,
    Work.publishes_by_position,
    lambda w: w.publishes(step(scale).fit(X, X[:, 0]), X),
    lambda w: w.publishes(DummyClassifier(strategy="uniform").fit(X, [0, 1, 0, 1, 0]), X),
    Work.publishes_local,
    lambda w: w.publishes(step(lambda X: X).fit(X, X[:, 0]), X),
    lambda w: w.publishes(LinearRegression(), X),
    lambda w: w.publishes(DBSCAN().fit(X)),
    lambda w: w.takes(w.file("a.pkl", make_pipeline(StandardScaler(), NearestNeighbors()).fit(X))),
    lambda w: w.publishes(LocalOutlierFactor(n_neighbors=2).fit(X)),
    lambda w: w.publishes(OneHotEncoder().fit(np.arange(5001)[:, None]), np.arange(5001)[:, None]),
    lambda w: w.publishes(Tells(b"a", b"a", b"b")),
    lambda w: w.publishes(Tells(1, 1, "1")),
    lambda w: w.publishes(Tells("stays")),
]


@pytest.mark.parametrize("number", range(len(SCENARIOS)))
def test_a_message_that_is_explained_is_met(number: int, tmp_path: Path) -> None:
    explained = messages()
    assert len(explained) == len(SCENARIOS)
    pattern = ".*".join(re.escape(part.strip()) for part in explained[number].split("…"))
    found = SCENARIOS[number](Work(tmp_path))
    assert re.fullmatch(pattern, found), found

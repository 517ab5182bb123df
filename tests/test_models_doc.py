"""Every message that docs/models.md explains is met, by doing what leads to it."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
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

    def tells(self, file: str) -> str:
        """What it warns of, of a file that it takes."""
        report, _ = import_files(ImportRequest(name="m", files=(str(self.folder / file),)))
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

    def publishes_by_dtype(self) -> str:
        numbers = np.array([[1, 2], [3, 4]], dtype=np.int64)
        by_dtype = FunctionTransformer(kind_of_dtype)
        pipeline = make_pipeline(by_dtype, LinearRegression()).fit(numbers, [0.0, 1.0])
        frame = pandas.DataFrame(numbers, columns=["a", "b"], dtype=np.int16)
        return self.publishes(pipeline, frame.to_numpy())

    def publishes(self, pipeline: Any, rows: Any = X) -> str:
        """What is wrong with a pipeline that was fitted in this process."""
        with pytest.raises(ModelStoreError) as raised:
            ModelStore(self.folder / "models").publish("m", pipeline, rows)
        return str(raised.value)


class Tells:
    """Answers one label, which may be of no classes."""

    def __init__(self, label: Any, *classes: Any) -> None:
        self.label = label
        if classes:
            self.classes_ = list(classes)

    def predict(self, rows: Any) -> list[Any]:
        return [self.label] * len(rows)


def kind_of_dtype(values: Any) -> Any:
    """Tells int16 from int64, as no transformer should."""
    return values.astype(float) + values.dtype.itemsize


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
    lambda w: w.takes(w.file("a.pkl", pickle.dumps(MODEL)[:-20])),
    lambda w: w.takes(w.file("a.pkl", pickle.dumps(MODEL) + pickle.dumps(MODEL))),
    lambda w: w.takes(w.file("a.pkl", {"scaler": 1, "model": 2})),
    lambda w: w.takes(w.file("a.pkl", StandardScaler().fit(X))),
    lambda w: w.takes(w.file("a.pkl", LinearRegression())),
    lambda w: w.takes(w.file("a.pkl", MODEL), sample=w.text("r.csv", "a,b,c,d,e\n1,2,3,4,5\n")),
    lambda w: w.takes(
        w.file("a.pkl", LinearRegression().fit(pandas.DataFrame(X, columns=list("abcd")), X[:, 0])),
        sample=w.text("r.csv", "a,b\n1,2\n"),
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
    Work.publishes_by_dtype,
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

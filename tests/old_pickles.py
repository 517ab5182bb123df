"""Pickles as another scikit-learn writes them: `python old_pickles.py FOLDER` in its environment.

It imports nothing of this project, so that an old environment can run it.
"""

import json
import pickle
import sys
from pathlib import Path

import joblib
import numpy
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TEXTS = ["good film", "bad film", "fine book", "poor book"]


def main(folder: Path) -> None:
    """Write each pipeline, and what it answers to its own rows."""
    X, y = load_iris(return_X_y=True)
    mixed = numpy.array([[row[0], "long" if row[2] > 3 else "short"] for row in X], dtype=object)
    columns = ColumnTransformer([("n", SimpleImputer(), [0]), ("c", OneHotEncoder(), [1])])
    cases = {
        "scaled.pkl": (make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), X),
        "forest.joblib": (RandomForestClassifier(5, random_state=0), X),
        "boosting.pkl": (HistGradientBoostingClassifier(max_iter=5), X),
        "neighbours.joblib": (KNeighborsClassifier(), X),
        "mixed.pkl": (make_pipeline(columns, LogisticRegression(max_iter=500)), mixed),
    }
    answers = {}
    for name, (pipeline, rows) in cases.items():
        pipeline.fit(rows, y)
        answers[name] = pipeline.predict(rows).tolist()
        if name.endswith(".joblib"):
            joblib.dump(pipeline, folder / name, compress=3)
        else:
            (folder / name).write_bytes(pickle.dumps(pipeline))
    text = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 1, 0])
    (folder / "text.pkl").write_bytes(pickle.dumps(text))
    told = {"version": sklearn.__version__, "answers": answers}
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

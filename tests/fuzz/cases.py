"""What becomes of an artifact that was changed: it is signed anew, verified, loaded and asked."""

from __future__ import annotations

import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from model_store import Model, ModelStore, manifest
from model_store.errors import ModelStoreError, PredictionFailed
from model_store.files import write
from model_store.manifest import ARTIFACT, MANIFEST, File

from .mutation import mutated, seed_of
from .subjects import SUBJECTS

FAR: Final = (0.0, 1e6, -1e6, 3.5, 1e-3)
"""What no training row has: a tree leads it where none of those went."""
SENTENCE: Final = "sentence"
ANSWER: Final = "answer"


def publish(root: Path, name: str) -> None:
    """The good artifact of a subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Some solve for all rows together, up to a tolerance.
        ModelStore(root).publish(name, *SUBJECTS[name](), allow_varying=True)


class Subject:
    """A published subject, of which changed artifacts are put into a store of their own."""

    def __init__(self, published: Path, root: Path, name: str) -> None:
        self.name = name
        self.store = ModelStore(root)
        self.folder = root / name / "1"
        shutil.rmtree(root / name, ignore_errors=True)
        shutil.copytree(published / name, root / name)
        self.pipeline: Any = pickle.loads(self._whole())
        self.manifest = self.store.manifest(name)

    def _whole(self) -> bytes:
        import io

        import joblib

        return pickle.dumps(joblib.load(io.BytesIO((self.folder / ARTIFACT).read_bytes())))

    def run(self, number: int) -> str:
        """Whether the case of this number ends in a sentence or in answers; raises whatever is
        neither."""
        random = np.random.default_rng(seed_of(self.name, number))
        data = mutated(self.pipeline, random)
        write(self.folder / ARTIFACT, data)
        files = {**self.manifest.files, ARTIFACT: File.of(data)}
        signed = msgspec.structs.replace(self.manifest, files=files)
        write(self.folder / MANIFEST, manifest.write(signed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._ask()

    def _ask(self) -> str:
        try:
            model = self.store.load(self.store.verify(self.name))
        except ModelStoreError:
            return SENTENCE
        # A file that is imported brings golden rows of its own, which no answer contradicts.
        alone = Model(model.manifest, model.pipeline, model.sample)
        answers = [self._answer(asked) for asked in (model, alone)]
        if any(labels is None for labels in answers):
            return SENTENCE
        _require_equal(*answers)
        return ANSWER

    def _answer(self, model: Model) -> Any:
        rows = model.golden_rows()
        if rows.dtype.kind == "f":
            far = np.array([[value] * rows.shape[1] for value in FAR])
            rows = np.concatenate([rows, far, rows * 1e3])
        try:
            return model.predict(rows).labels
        except PredictionFailed:
            return None


def _require_equal(shortcut: Any, pipeline: Any) -> None:
    """A shortcut answers what scikit-learn itself does."""
    if shortcut.dtype.kind == "f":
        assert np.allclose(shortcut, pipeline, rtol=1e-9, equal_nan=True)
    else:
        assert shortcut.tolist() == pipeline.tolist()

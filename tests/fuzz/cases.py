"""What becomes of an artifact that was changed: it is signed anew, verified, loaded and asked."""

from __future__ import annotations

import contextlib
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
from model_store.plain import Malformed, Refused, read
from model_store.plain import write as write_form
from model_store.plain.pack import NotPacked, pack

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
            model = self.store.load(self.store.verify(self.name, pickles="always"))
        except ModelStoreError:
            return SENTENCE
        self._pack(model)
        return SENTENCE if self._answer(model) is None else ANSWER

    def _pack(self, model: Model) -> None:
        """A file that is imported is packed as well."""
        with contextlib.suppress(NotPacked, Malformed, Refused):
            form = read(*write_form(pack(model.pipeline, model.manifest.signature)))
            form.predict(model.golden_rows())

    def _answer(self, model: Model) -> Any:
        rows = model.golden_rows()
        if rows.dtype.kind == "f":
            far = np.array([[value] * rows.shape[1] for value in FAR])
            rows = np.concatenate([rows, far, rows * 1e3])
        try:
            return model.predict(rows).labels
        except PredictionFailed:
            return None

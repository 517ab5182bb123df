"""Folders with one file of a model in them, and perhaps rows beside it, as many model servers are
given them.

Both are known by their names. All else in the folder is left alone, and so is what lies deeper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..errors import UnreadableFile
from ..sample_file import SampleFile

MODELS: Final = (".joblib", ".pkl", ".pickle", ".skops", ".onnx", ".ubj")
"""How the names of models end."""

SAMPLES: Final = ("sample.csv", "sample.parquet", "sample.feather")
"""How the file with rows is called."""


def find(folder: Path) -> tuple[Path, SampleFile | None]:
    """The file of the model, and the rows beside it.

    Raises:
        UnreadableFile: there is no such file, there are several of one kind, or the folder cannot
            be read.
        InvalidTable: the rows cannot be read.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise UnreadableFile(f"{folder} cannot be read: {error.strerror}.") from error
    model = _one(folder, [name for name in names if Path(name).suffix.lower() in MODELS], "models")
    if model is None:
        raise UnreadableFile(
            f"{folder} is a folder with neither MLmodel (MLflow) nor config.json (Hugging Face) in "
            f"it, nor one file of a model ({', '.join(MODELS)}); name the file of the model: "
            f"quart-app models import {folder}/model.pkl"
        )
    sample = _one(folder, [name for name in names if name in SAMPLES], "samples")
    if sample is None:
        return folder / model, None
    rows = SampleFile.read(str(folder / sample))
    return folder / model, replace(rows, may_have_more=True)


def _one(folder: Path, names: Sequence[str], what: str) -> str | None:
    """The only one of these names; None where there is none.

    Raises:
        UnreadableFile: there are several.
    """
    if len(names) > 1:
        raise UnreadableFile(
            f"{folder} holds several {what}: {', '.join(names[:20])}; leave one of them in it."
        )
    return names[0] if names else None

"""A LabelEncoder that was saved beside a model, which tells the numbers that it made of labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from .errors import InvalidPipeline
from .manifest import Target
from .sample_file import SampleFile
from .training import Feature, objects

ENCODER: Final = ("sklearn.preprocessing._label", "LabelEncoder")


def is_encoder(part: Any) -> bool:
    """Whether a file holds such an encoder, which is no step of a pipeline."""
    kind = type(part)
    return (kind.__module__, kind.__name__) == ENCODER


def words_of(path: str, encoder: Any, targets: tuple[Target, ...]) -> dict[str, str]:
    """What the encoder calls each class of the model, by the text of that.

    Raises:
        InvalidPipeline: the model has other classes than the numbers of the encoder.
    """
    words = [str(label) for label in getattr(encoder, "classes_", ())]
    (target, *others) = targets
    if others or target.classes != list(range(len(words))):
        classes = "numbers" if target.classes is None else ", ".join(map(str, target.classes))
        raise InvalidPipeline(
            f"{path} holds a LabelEncoder of {len(words)} labels, whose numbers are 0 to "
            f"{len(words) - 1}, and the model tells {'several targets' if others else classes}; "
            "leave the file out, or name the model that goes with it."
        )
    return {str(number): word for number, word in enumerate(words)}


def encoded(file: SampleFile, target: str, encoder: Any) -> SampleFile:
    """The same with the encoder's numbers in the place of its labels in the target, which has been
    encoded since if all its cells are such numbers."""
    name = file.named(target)
    if name is None:
        return file
    column = file.columns[name]
    values = column.values.tolist() if isinstance(column, Feature) else column
    numbers = {str(label): str(number) for number, label in enumerate(encoder.classes_)}
    cells = [_text(value) for value in values]
    if {cell for cell in cells if cell} <= set(numbers.values()):
        return file
    made: Any = [numbers.get(cell, cell) for cell in cells]
    if isinstance(column, Feature):
        made = replace(column, values=objects(made), dtype="object", categories=None)
    return replace(file, columns={**file.columns, name: made})


def _text(value: Any) -> str:
    """A cell as a CSV file has it, where there is nothing of what is missing."""
    return "" if value is None or value != value else str(value).strip()

"""Plain text: the prediction and nothing else, a line for each row.

Of a model with several targets commas stand between them.
"""

from __future__ import annotations

from typing import Final

from model_store.labels import json_labels

from ..inference import InferenceResponse

CONTENT_TYPE: Final = "text/plain"


def encode(response: InferenceResponse) -> str:
    """The labels as the pipeline tells them."""
    return "\n".join(map(_line, json_labels(response.labels)))


def _line(label: object) -> str:
    return ", ".join(map(str, label)) if isinstance(label, list) else str(label)

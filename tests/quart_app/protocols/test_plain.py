"""Plain text: what `pipeline.predict` said, a line for each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quart_app.inference import InferenceResponse
from quart_app.protocols import plain


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["setosa"], "setosa"),
        (["a", "ö ☃"], "a\nö ☃"),
        ([1], "1"),
        ([True, False], "True\nFalse"),
        ([0.1, 2.0], "0.1\n2.0"),
        ([["warm", "calm"], ["cold", "storm"]], "warm, calm\ncold, storm"),
    ],
)
def test_a_line_holds_the_labels_of_a_row(labels: list[Any], text: str) -> None:
    response = InferenceResponse("1", "m", 1, np.array(labels), None, [], None)
    assert plain.encode(response) == text

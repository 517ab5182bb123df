"""What is known of estimators, of whatever version their library is."""

from __future__ import annotations

import pytest
from sklearn.linear_model import Ridge

from model_store.plain.pack import NotPacked
from model_store.plain.pack.known import require_set


def test_a_parameter_that_an_older_library_lacks_is_not_set() -> None:
    require_set(Ridge(), positive=False, transform_input=None)
    with pytest.raises(NotPacked, match="positive=True"):
        require_set(Ridge(positive=True), positive=False, transform_input=None)

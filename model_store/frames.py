"""Rows as a DataFrame, for pipelines that were fitted on one.

Such a pipeline looks its columns up by name, or warns when it gets a bare matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import LoadFailed


def was_fitted_on_frame(pipeline: Any) -> bool:
    """Whether the pipeline remembers column names, which it does only of a DataFrame."""
    return getattr(pipeline, "feature_names_in_", None) is not None


def from_matrix(matrix: NDArray[Any], names: Sequence[str]) -> Any:
    """The matrix as a DataFrame.

    Raises:
        LoadFailed: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise LoadFailed(
            "This pipeline was fitted on a DataFrame and needs pandas; install it with "
            "pip install 'quart-app[pandas]', or fit the pipeline on a numpy array."
        ) from error
    return pandas.DataFrame(np.asarray(matrix), columns=list(names))

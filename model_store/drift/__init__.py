"""Drift: whether what a model is asked and answers is still like its training data.

At publishing a `Reference` is kept beside the manifest. Later rows become `Observed`, counts that
can be added up, and `verdict` says column by column how far they are from the reference, and from
where on that is more than chance. docs/drift.md has the formulas. Only numpy is needed.
"""

from .calibration import Calibration, HeldOut
from .counts import Counts, Observed
from .reference import CategoryReference, NumberReference, Reference, read_reference
from .verdict import ColumnDrift, Compared, drifting, verdict

__all__ = [
    "Calibration",
    "CategoryReference",
    "ColumnDrift",
    "Compared",
    "Counts",
    "HeldOut",
    "NumberReference",
    "Observed",
    "Reference",
    "drifting",
    "read_reference",
    "verdict",
]

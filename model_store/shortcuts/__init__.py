"""Exact, fast replacements of what fitted scikit-learn pipelines answer.

For one row, the arithmetic of most pipelines takes microseconds, and what lies around it (checks
of the input, copies, warning filters, thread pools) takes hundreds. A shortcut does the same
arithmetic in the same order on the matrix of the signature. It is only made where every step, every
parameter and every class is one that is known; it takes no rows that it is not sure of
(`NotCovered`), which the pipeline then answers or refuses itself; and it is only used where a
comparison with the pipeline found no difference (`model_store/comparison.py`).
"""

from .answers import Answer, NotCovered
from .build import Shortcut, build, build_converted, convert

__all__ = ["Answer", "NotCovered", "Shortcut", "build", "build_converted", "convert"]

"""Models as plain data: what a fitted pipeline computes, as JSON and raw arrays.

`pack` makes a form of a fitted pipeline when it is published; nothing else here knows scikit-learn.
A form is a tree of nodes, each of which holds data and does one step of arithmetic, with numpy
alone. So a form that came from a file answers where scikit-learn is not installed, and to read it
runs no code. It answers as its pipeline does, or says why it does not (`Refused`).
"""

from .form import FORM, FORM_DATA, FORM_HEADER, Form, read, write
from .node import Answer, Malformed, Refused

__all__ = [
    "FORM",
    "FORM_DATA",
    "FORM_HEADER",
    "Answer",
    "Form",
    "Malformed",
    "Refused",
    "read",
    "write",
]

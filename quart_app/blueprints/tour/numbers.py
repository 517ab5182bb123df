"""The converter `int` of an address, for numbers that Python turns into text and back."""

from __future__ import annotations

import sys

from werkzeug.routing import IntegerConverter


class Digits(IntegerConverter):
    """Werkzeug 3.1 lets the ValueError of a number with more digits escape, which is a 500."""

    regex = rf"\d{{1,{sys.int_info.default_max_str_digits}}}"

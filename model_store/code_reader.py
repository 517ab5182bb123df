"""Reading a file that carries code (`carriers.py`), which the operator allowed.

Python's own reader does it, since whatever such a file makes is code of its author's; the names are
those that were allowed, and no more.
"""

from __future__ import annotations

import _compat_pickle
import builtins
import io
import pickle
from typing import Any, Final

from .carriers import MAIN_NAMES
from .errors import LoadFailed, ModelStoreError, Untrusted, words_of
from .opcodes import Global
from .trust import Trust

FIRST_OF_PYTHON_3: Final = 3
"""The protocol from which on names are those of Python 3."""


class CodeReader(pickle.Unpickler):
    """What dill calls the program that reads is an empty namespace, one for each file."""

    def __init__(self, raw: bytes, trust: Trust) -> None:
        super().__init__(io.BytesIO(raw))
        self._trust = trust
        self._is_old = raw[:1] != pickle.PROTO or raw[1] < FIRST_OF_PYTHON_3
        self._main = {"__name__": "__main__", "__builtins__": builtins}

    def find_class(self, module: str, name: str) -> Any:
        if self._is_old:
            if (module, name) in _compat_pickle.NAME_MAPPING:
                module, name = _compat_pickle.NAME_MAPPING[module, name]
            else:
                module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        named = Global(module, name)
        if self._trust.refused([named]):
            raise Untrusted(f"The artifact names {named}, which is not allowed.")
        return self._main if str(named) in MAIN_NAMES else self._trust.find(module, name)


def read(raw: bytes, trust: Trust) -> Any:
    """The object in a file, whose code may run by that.

    Raises:
        Untrusted: it names what was not allowed.
        LoadFailed: what it needs is not there, or does not take what it is given.
        UnpicklingError, EOFError: it is no whole pickle.
    """
    try:
        return CodeReader(raw, trust).load()
    except (ModelStoreError, MemoryError, pickle.UnpicklingError, EOFError):
        raise
    except ModuleNotFoundError as error:
        raise LoadFailed(
            f"The code that it carries needs {error.name}, which is not installed here; install it."
        ) from error
    except Exception as error:
        raise LoadFailed("The code that it carries does not run here.", words_of(error)) from error

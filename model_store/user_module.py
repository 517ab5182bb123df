"""The operator's own module, for pipelines whose classes no installed package has."""

from __future__ import annotations

import ast
import hashlib
import sys
import threading
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from .errors import LoadFailed, UnreadableFile, words_of

LIMIT: Final = 1024 * 1024
MAIN: Final = "__main__"

_RUNNING: Final = threading.RLock()
"""Who asks for a module while it runs gets it whole."""


class Code(msgspec.Struct, frozen=True):
    """A module as the text of its file. `name` is the file's, without its ending."""

    name: str
    source: bytes

    @classmethod
    def read(cls, path: Path) -> Code:
        """The module in a file, which is parsed and not run.

        Raises:
            UnreadableFile: there is none, or it is no Python.
        """
        try:
            with path.open("rb") as file:
                source = file.read(LIMIT + 1)
        except OSError as error:
            raise UnreadableFile(f"{path} cannot be read: {error.strerror}.") from error
        if len(source) > LIMIT:
            raise UnreadableFile(f"{path} is larger than {LIMIT} bytes.")
        if path.suffix != ".py" or not path.stem.isidentifier() or not path.stem.isascii():
            raise UnreadableFile(f"{path} is no module: it needs a name such as my_steps.py.")
        try:
            ast.parse(source, str(path))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise UnreadableFile(f"{path} is no Python that can be read: {error}.") from error
        return cls(path.stem, source)

    @property
    def registered(self) -> str:
        """The name under which the module is imported: its text decides, so that the modules of
        two versions of a model stand beside each other."""
        return f"pipeline_code_{hashlib.sha256(self.source).hexdigest()[:16]}"

    def module(self) -> ModuleType:
        """The module, run once in a process. It stays in `sys.modules`, where pickle looks.

        Raises:
            LoadFailed: it raised.
        """
        with _RUNNING:
            if self.registered not in sys.modules:
                self._run()
            return sys.modules[self.registered]

    def _run(self) -> None:
        module = ModuleType(self.registered)
        module.__file__ = f"{self.name}.py"
        sys.modules[self.registered] = module
        try:
            # Without `dont_inherit` it would have this module's `from __future__` as well.
            program = compile(self.source, f"{self.name}.py", "exec", dont_inherit=True)
            exec(program, module.__dict__)
        except BaseException as error:
            del sys.modules[self.registered]
            if not isinstance(error, Exception | SystemExit):
                raise
            raise LoadFailed(
                f"The module {self.name}.py does not run here.", words_of(error)
            ) from error

    def covers(self, module: str) -> bool:
        """Whether what a pickle names in this module is meant to be in the code."""
        return module in {MAIN, self.name, self.registered}

    def find(self, name: str) -> Any:
        """A class or function that the module itself defines, by its dotted name.

        Raises:
            LoadFailed: the module has none of this name, or it comes from elsewhere.
        """
        module = self.module()
        try:
            found = reduce(getattr, name.split("."), module)
        except AttributeError:
            found = None
        if getattr(found, "__module__", None) != self.registered:
            raise LoadFailed(f"The module {self.name}.py defines no {name}.")
        return found

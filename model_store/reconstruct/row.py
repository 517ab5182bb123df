"""What the table holds: rows, which are called in one form, and classes, which are only named."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NoReturn

from ..errors import LoadFailed, ModelStoreError, Untrusted, words_of
from ..soundness.guests import EXTRA, INSTALLABLE
from .forms import NOTHING, Form

SHOWN: Final = 60
REASON: Final = 200
_FUNCTIONS: Final = ("function", "builtin_function_or_method", "ufunc", "_ArrayFunctionDispatcher")


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A class that pickles name as an argument of a row, and never call. It stands for the class
    in what the file makes, and does nothing."""

    name: str
    value: ClassVar[bool] = False

    @property
    def callable(self) -> Any:
        """The class itself.

        Raises:
            LoadFailed: it is not installed.
        """
        return _looked_up(self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What a pickle may call, by whatever opcode.

    `args` is the form of the tuple of arguments. Where `state` has a form, a state of that form
    must follow, and only then `make` is called, with the arguments and the state; otherwise it is
    called with the arguments. `stateless` says by the arguments where no state follows. `unused` is
    the form of a state that may follow, and of which nothing is taken. `value` says that estimators
    hold the callable itself.
    """

    name: str
    make: Callable[..., Any]
    args: Form = NOTHING
    state: Form | None = None
    stateless: Callable[[tuple[Any, ...]], bool] = lambda args: False
    unused: Form | None = None
    value: bool = False

    @property
    def callable(self) -> Any:
        """The callable itself.

        Raises:
            LoadFailed: it is not installed.
        """
        return _looked_up(self.name)

    def call(self, args: Any) -> Any:
        """What the callable makes of arguments, or what waits for its state.

        Raises:
            Untrusted: they have another form.
            LoadFailed: they have the form, and cannot be what they should be.
        """
        if not self.args.fits(args):
            refuse(f"calls {self.name} with {shown(args)}", self.args.words)
        if self.state is None or self.stateless(args):
            return self._made(args)
        return Unbuilt(self, args)

    def finish(self, args: tuple[Any, ...], state: Any) -> Any:
        """The same for arguments that were checked, and a state.

        Raises:
            Untrusted, LoadFailed
        """
        assert self.state is not None
        self._require_state(self.state, state)
        return self._made((*args, state))

    def pass_over(self, state: Any) -> None:
        """Take nothing of a state.

        Raises:
            Untrusted: it is another one than what may follow.
        """
        assert self.unused is not None
        self._require_state(self.unused, state)

    def _require_state(self, form: Form, state: Any) -> None:
        if not form.fits(state):
            refuse(f"gives {self.name} the state {shown(state)}", form.words)

    def _made(self, args: tuple[Any, ...]) -> Any:
        try:
            return self.make(*args)
        except (ModelStoreError, MemoryError):
            raise
        except Exception as error:
            raise LoadFailed(
                f"{self.name} does not take what the file gives it.", _line(error)
            ) from error


class Unbuilt:
    """What was called and waits for its state. `places` are those in the memo that hold it."""

    __slots__ = ("args", "places", "row")

    def __init__(self, row: Row, args: tuple[Any, ...]) -> None:
        self.row = row
        self.args = args
        self.places: list[int] = []


def refuse(what: str, expected: str) -> NoReturn:
    """Raises Untrusted with what a file does, and what it should do."""
    raise Untrusted(f"The file {what}, which no estimator's pickle does: expected {expected}.")


def shown(value: Any) -> str:
    """A value of a file in a sentence. Nothing of it runs, and it has no control characters."""
    text = _shown(value, 2)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _line(error: Exception) -> str:
    """What an exception says, in one line: it may repeat what the file says, or draw a table."""
    words = words_of(error).partition("\n")[0]
    return "".join(letter if letter.isprintable() else "?" for letter in words[:REASON])


def _shown(value: Any, depth: int) -> str:
    if type(value) in (int, float, bool, type(None)):
        return repr(value) if type(value) is not int or -(10**20) < value < 10**20 else "an integer"
    if type(value) in (str, bytes):
        return ascii(value[:SHOWN])
    if type(value) is tuple and depth:
        inner = ", ".join(_shown(each, depth - 1) for each in value[:8])
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, Named | Row):
        return value.name
    if issubclass(type(value), type):
        return f"{value.__module__}.{value.__qualname__}"
    if type(value).__name__ in _FUNCTIONS:
        return f"{getattr(value, '__module__', 'numpy')}.{value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _looked_up(full: str) -> Any:
    module, _, name = full.rpartition(".")
    return find(module, name)


def find(module: str, name: str) -> Any:
    """What an installed package calls by a name.

    Raises:
        LoadFailed: the package is not there, or has it no more.
    """
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise LoadFailed(
            f"{module}.{name} is not there; {_way(module)}.", words_of(error)
        ) from error
    except AttributeError as error:
        package = module.partition(".")[0].replace("sklearn", "scikit-learn")
        raise LoadFailed(f"The installed {package} has no {module}.{name}.") from error


def _way(module: str) -> str:
    if module.partition(".")[0] in INSTALLABLE:
        return f"install it with pip install 'quart-app[{EXTRA}]'"
    return "install the package that has it"


def named(*names: str) -> Form:
    """One of these classes of the table."""
    wanted = frozenset(names)
    return Form(
        " or ".join(sorted(names)),
        lambda value: type(value) in (Named, Row) and value.name in wanted,
    )

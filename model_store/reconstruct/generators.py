"""Random states and generators of numpy, made anew and put where the file's stood.

A generator reads its numbers from where its state says, without looking: the position of a
`MT19937` lies within its 624 words, that of a `Philox` within its four.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from .forms import (
    FLAG,
    FLOAT,
    NONE,
    Form,
    either,
    exact,
    fields,
    items,
    many,
    only,
    within,
)
from .row import Named, Row, named

SEEDS: Final = "numpy.random.bit_generator.SeedSequence"
POOL: Final = 1024
"""Words of entropy that a sequence of seeds mixes; numpy's default is 4."""
_BITS: Final = {
    "MT19937": "numpy.random._mt19937.MT19937",
    "PCG64": "numpy.random._pcg64.PCG64",
    "PCG64DXSM": "numpy.random._pcg64.PCG64DXSM",
    "Philox": "numpy.random._philox.Philox",
    "SFC64": "numpy.random._sfc64.SFC64",
}


def _words(count: int, kind: type) -> Form:
    return Form(
        f"{count} words",
        lambda value: (
            type(value) is np.ndarray and value.shape == (count,) and value.dtype == np.dtype(kind)
        ),
    )


_HALF: Final = {"has_uint32": FLAG, "uinteger": within(0, 2**32 - 1)}
_LARGE: Final = within(0, 2**128 - 1)
_PCG: Final = {"state": fields({"state": _LARGE, "inc": _LARGE}), **_HALF}
_INSIDE: Final[Mapping[str, Mapping[str, Form]]] = {
    "MT19937": {"state": fields({"key": _words(624, np.uint32), "pos": within(0, 624)})},
    "PCG64": _PCG,
    "PCG64DXSM": _PCG,
    "Philox": {
        "state": fields({"counter": _words(4, np.uint64), "key": _words(2, np.uint64)}),
        "buffer": _words(4, np.uint64),
        "buffer_pos": within(0, 4),
        **_HALF,
    },
    "SFC64": {"state": fields({"state": _words(4, np.uint64)}), **_HALF},
}
_NORMAL: Final = {"has_gauss": FLAG, "gauss": FLOAT}
_POSITION: Final = either(
    *(fields({"bit_generator": only(name), **inside}, _NORMAL) for name, inside in _INSIDE.items())
)
_LEGACY: Final = items(only("MT19937"), _words(624, np.uint32), within(0, 624), FLAG, FLOAT)
_SEED: Final = Form(
    "a seed", lambda value: type(value) is int or isinstance(value, np.integer) or value is None
)
_SEEDS: Final = exact("seeds", np.random.SeedSequence)
_MADE: Final = exact("a bit generator", *(getattr(np.random, name) for name in _BITS))


def _seeds(_kind: Named, _checksum: int, _none: None, state: tuple[Any, ...]) -> Any:
    entropy, spawned, _, size, key = state
    return np.random.SeedSequence(
        entropy, spawn_key=key, pool_size=size, n_children_spawned=spawned
    )


def _bits(name: Named | Row | str, state: Any) -> Any:
    """A bit generator that stands where another stood."""
    position, seeds = state if isinstance(state, tuple) else (state, None)
    made = getattr(np.random, _short(name))(0 if seeds is None else seeds)
    if isinstance(state, tuple) and np.__version__ >= "2":
        made.__setstate__(state)  # Sets the seeds as well, of which there may be none.
    else:
        made.state = position
    return made


def _short(name: Named | Row | str) -> str:
    return name if isinstance(name, str) else name.name.rpartition(".")[2]


def _started(bits: Any) -> Any:
    """The bit generator that was given, or a new one of this name."""
    return getattr(np.random, bits)(0) if isinstance(bits, str) else bits


def _generator(bits: Any, *rest: Any) -> Any:
    made = np.random.Generator(_started(bits))
    if rest and isinstance(rest[-1], dict):
        made.bit_generator.state = rest[-1]
    return made


def _random_state(bits: Any, *rest: Any) -> Any:
    made = np.random.RandomState(_started(bits))
    made.set_state(rest[-1])
    return made


def _old_random_state(state: Any) -> Any:
    made = np.random.RandomState(0)
    made.set_state(state)
    return made


_NAME: Final = only(*_BITS)
_CONSTRUCTOR: Final = named("numpy.random._pickle.__bit_generator_ctor")
_FROM: Final = items(either(_NAME, _MADE), _CONSTRUCTOR, least=1)

CLASSES: Final = (*map(Named, _BITS.values()), Named(SEEDS))
ROWS: Final = (
    Row(
        "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
        _seeds,
        items(named(SEEDS), exact("a checksum", int), NONE),
        items(
            either(_SEED, many(_SEED, list, tuple)),
            within(0, 2**32),
            Form("a pool", lambda value: type(value) is np.ndarray),
            within(4, POOL),
            many(_SEED, tuple),
        ),
    ),
    Row(
        "numpy.random._pickle.__bit_generator_ctor",
        _bits,
        items(either(_NAME, named(*_BITS.values()))),
        either(_POSITION, items(_POSITION, either(NONE, _SEEDS))),
    ),
    Row(
        "numpy.random._pickle.__generator_ctor",
        _generator,
        _FROM,
        either(NONE, _POSITION),
        stateless=lambda args: not isinstance(args[0], str),
    ),
    Row("numpy.random._pickle.__randomstate_ctor", _random_state, _FROM, _POSITION),
    Row("numpy.random.__RandomState_ctor", _old_random_state, items(), either(_POSITION, _LEGACY)),
)

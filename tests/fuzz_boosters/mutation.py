"""The bytes of a booster with one value changed, and a pickle of an estimator that has them."""

from __future__ import annotations

import copyreg
import json
import pickle
from typing import Any, Final

import numpy as np

from ..fuzz.mutation import changed

Random = np.random.Generator
WORDS: Final = ("-1", "0", "1", "2", "7", "255", "2147483647", "-2147483648", "1e300", "nan", "x")


class Forged:
    """Stands for a booster, and is pickled as one with another state."""

    def __init__(self, kind: type, state: dict[str, Any]) -> None:
        self.kind, self.state = kind, state

    def __reduce__(self) -> Any:
        return copyreg._reconstructor, (self.kind, object, None), self.state  # type: ignore[attr-defined]


def pickle_with(estimator: Any, model: bytes | str) -> bytes:
    """A pickle of an estimator in which its booster has this model."""
    whole = estimator._Booster
    name = "handle" if isinstance(model, bytes) else "_handle"
    told = bytearray(model) if isinstance(model, bytes) else model
    state = {**whole.__getstate__(), name: told}
    estimator._Booster = Forged(type(whole), state)
    try:
        return pickle.dumps(estimator)
    finally:
        estimator._Booster = whole


def model_of(estimator: Any) -> bytes | str:
    """JSON of XGBoost, the text of LightGBM."""
    booster = estimator._Booster
    if hasattr(booster, "save_raw"):
        return bytes(booster.save_raw("json"))
    return str(booster.model_to_string(num_iteration=-1))


def mutated(estimator: Any, model: bytes | str, random: Random) -> bytes | str:
    """The model with another value, or with bytes flipped or cut off."""
    if isinstance(model, str):
        return _changed_text(model, random)
    if random.integers(5):
        return json.dumps(_changed_part(json.loads(model), random)).encode()
    data = bytearray(estimator._Booster.save_raw("ubj"))
    if random.integers(3):
        data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        return bytes(data)
    return bytes(data[: int(random.integers(len(data)))])


def _changed_part(part: Any, random: Random) -> Any:
    """Another value anywhere in a document: where it is a dict or a list, mostly within it."""
    if isinstance(part, dict) and part and random.integers(20):
        names = sorted(part)
        # Most of a document are names that nobody reads.
        weights = np.array(
            [4.0 if name in ("trees", "gradient_booster") else 1.0 for name in names]
        )
        name = names[int(random.choice(len(names), p=weights / weights.sum()))]
        return {**part, name: _changed_part(part[name], random)}
    if isinstance(part, list) and part and random.integers(10):
        at = int(random.integers(len(part)))
        return [*part[:at], _changed_part(part[at], random), *part[at + 1 :]]
    if isinstance(part, str) and random.integers(2):
        return str(random.choice(WORDS))
    return changed(part, random) if part is not None else 0


def _changed_text(text: str, random: Random) -> str:
    """Another word in a line, or a line more or less, or a letter."""
    lines = text.split("\n")
    at = int(random.integers(text[: text.index("end of trees")].count("\n") + 1))
    kind = random.integers(10)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[int(random.integers(len(lines)))])
    elif kind == 2:
        where = int(random.integers(len(text)))
        return text[:where] + chr(random.integers(32, 127)) + text[where + 1 :]
    else:
        name, sign, value = lines[at].partition("=")
        words = value.split(" ")
        place = int(random.integers(len(words)))
        words[place] = str(random.choice([*WORDS, *words]))
        if kind == 3:
            words.pop()
        lines[at] = f"{name}{sign}{' '.join(words)}"
    return "\n".join(lines)

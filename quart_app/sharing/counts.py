"""What a worker has counted, and what all have counted together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from model_store import Manifest

from ..observe.families import Family, Lasting, together
from ..observe.metrics import Metrics
from ..observe.process import process
from ..serving.challenge import Counted
from ..serving.comparison import Comparison
from ..serving.registry import Registry
from ..serving.statistics import Statistics
from ..siblings.kept import Piece

CHALLENGES: Final = 100
"""Challenges of which the counts of dead workers are kept, the latest."""


class Counts(msgspec.Struct, array_like=True):
    """The metrics, the statistics of each version by name and number, and the counts of each
    challenge by its key."""

    families: list[Family]
    statistics: dict[str, Statistics] = {}
    challenges: dict[str, Counted] = {}


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Counts)


class Counting:
    """What this worker has counted. Belongs to its event loop."""

    def __init__(self, metrics: Metrics, registry: Registry) -> None:
        self._metrics = metrics
        self._registry = registry
        self._lasting = Lasting()

    def read(self) -> bytes:
        """All of it, as bytes for the others."""
        registry = self._registry
        statistics: dict[str, Statistics] = {}
        for servable in registry.servables:
            key = key_of(servable.manifest)
            before = statistics.get(key)
            counted = servable.statistics
            statistics[key] = counted if before is None else before + counted
        challenges = {each.key: each.counted for each in registry.challenges.values()}
        families = self._lasting.kept([*self._metrics.families(), *process()])
        return _encoder.encode(Counts(families, statistics, challenges))


def key_of(manifest: Manifest) -> str:
    """By what the statistics of a version are known."""
    return f"{manifest.name}/{manifest.version}"


def sum_of(pieces: Sequence[Piece]) -> Counts:
    """What the workers have counted together. The dead have no gauges, and no copies that wait."""
    living = [_decoder.decode(piece.body) for piece in pieces if piece.lives]
    dead = [_decoder.decode(piece.body) for piece in pieces if not piece.lives]
    return _sum(living, dead)


def fold(bodies: Sequence[bytes]) -> bytes:
    """What dead workers had counted, as if they had been one."""
    found = _sum([], [_decoder.decode(body) for body in bodies])
    found.challenges = dict([*found.challenges.items()][-CHALLENGES:])
    return _encoder.encode(found)


def _sum(living: Sequence[Counts], dead: Sequence[Counts]) -> Counts:
    families = together([each.families for each in living], [each.families for each in dead])
    found = Counts(families, {}, {})
    for lives, counts in ((True, living), (False, dead)):
        for each in counts:
            for key, statistics in each.statistics.items():
                found.statistics[key] = found.statistics.get(key, Statistics()) + statistics
            for key, counted in each.challenges.items():
                before = found.challenges.get(key, Counted(Comparison()))
                waiting = before.waiting + (counted.waiting if lives else 0)
                found.challenges[key] = Counted(before.comparison + counted.comparison, waiting)
    return found

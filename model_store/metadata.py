"""What a person says of a model: its words, units and scores, put into a manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from .columns import Column
from .errors import InvalidPipeline
from .literals import NAMES_SHOWN
from .manifest import Evaluation, Manifest, Target

_PLAIN: Final = ("title", "description", "notice", "validation", "evaluations", "data")
_BY_NAME: Final = ("words", "labels", "units", "descriptions", "metrics")

_Named = TypeVar("_Named", Column, Target)


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person says of a model; what is None or not named stays as it is.

    `labels`, `units` and `descriptions` are keyed by columns, the first two by targets as well;
    `words` by classes. `metrics` were measured as `validation` says, and so were `evaluations`, one
    for each target. `data` says where the training data came from.
    """

    title: str | None = None
    description: str | None = None
    notice: str | None = None
    words: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    units: Mapping[str, str] = {}
    descriptions: Mapping[str, str] = {}
    metrics: Mapping[str, float] = {}
    validation: str | None = None
    evaluations: tuple[Evaluation, ...] | None = None
    data: str | None = None

    def followed_by(self, later: Metadata) -> Metadata:
        """What both say; where they differ, what was said later."""
        plain = {what: said for what in _PLAIN if (said := getattr(later, what)) is not None}
        by_name = {what: {**getattr(self, what), **getattr(later, what)} for what in _BY_NAME}
        return msgspec.structs.replace(self, **plain, **by_name)

    def put(self, manifest: Manifest) -> Manifest:
        """The manifest with these texts.

        Raises:
            InvalidPipeline: a text for what is not there, or a metric that is not finite.
        """
        self._require_names(manifest)
        columns = (self._told(column) for column in manifest.signature.columns)
        plain = {what: text for what in _PLAIN if (text := getattr(self, what)) is not None}
        return msgspec.structs.replace(
            manifest,
            signature=msgspec.structs.replace(manifest.signature, columns=tuple(columns)),
            targets=tuple(self._told(target) for target in manifest.targets),
            words={**manifest.words, **self.words},
            metrics={**manifest.metrics, **_finite(self.metrics)},
            **plain,
        )

    def _told(self, named: _Named) -> _Named:
        """A column or a target with the texts that are for it."""
        fields = {"label": self.labels, "unit": self.units, "description": self.descriptions}
        texts = {
            what: told[named.name]
            for what, told in fields.items()
            if named.name is not None and named.name in told and hasattr(named, what)
        }
        return msgspec.structs.replace(named, **texts) if texts else named

    def _require_names(self, manifest: Manifest) -> None:
        columns = manifest.signature.names
        targets = [target.name for target in manifest.targets if target.name is not None]
        classes = [str(label) for target in manifest.targets for label in target.classes or ()]
        for what, told, known in (
            ("label", self.labels, (*columns, *targets)),
            ("unit", self.units, (*columns, *targets)),
            ("description", self.descriptions, columns),
            ("word", self.words, classes),
        ):
            for name in told:
                if name not in known:
                    shown = ", ".join(known[:NAMES_SHOWN]) or "none"
                    raise InvalidPipeline(
                        f"There is a {what} for {name!r}, which the model does not know; it knows "
                        f"{shown}."
                    )


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    scores = {key: float(value) for key, value in metrics.items()}
    odd = sorted(key for key, value in scores.items() if not math.isfinite(value))
    if odd:
        raise InvalidPipeline(f"A metric must be a finite number: leave out {', '.join(odd)}.")
    return scores

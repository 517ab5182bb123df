"""What a run leaves beside its parts: `_score.json` before the first of them, `_SUCCESS` last.

The record tells the model, the options and the inputs; by it a later attempt knows whether it goes
on with the same run. `_SUCCESS` is there only where no part is missing, and has what became of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from ..errors import InvalidRun
from ..libraries import Libraries
from ..manifest import Manifest
from .bundle import answering_digest
from .inputs import Source
from .places import Place
from .plan import PART_ROWS, Plan, shown_schema

FORMAT: Final = 2
"""Since 2 parts may have fewer rows than a million."""
RECORD: Final = "_score.json"
SUCCESS: Final = "_SUCCESS"


class InputFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of the input, as it was when the run was planned; of CSV the rows are not known."""

    name: str
    size: int
    etag: str
    rows: int | None = None

    @classmethod
    def of(cls, source: Source) -> InputFile:
        return cls(source.name, source.stat.size, source.stat.etag, source.rows)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is. `digest` is that of the model's files, and `libraries` are those that it was
    made with; `schema` has the names and types of what comes out, `columns` those that are kept.
    `part_rows` is what a part of several row groups has at most."""

    format: int
    model: str
    version: int
    digest: str
    libraries: Libraries
    columns: list[str]
    output: str
    input: str
    inputs: list[InputFile]
    rows: int | None
    parts: int
    schema: list[tuple[str, str]]
    part_rows: int = PART_ROWS

    @classmethod
    def of(cls, manifest: Manifest, plan: Plan) -> Record:
        return cls(
            format=FORMAT,
            model=manifest.name,
            version=manifest.version,
            digest=answering_digest(manifest),
            libraries=manifest.libraries,
            columns=list(plan.kept),
            output=plan.format,
            input=plan.input.folder.address,
            inputs=[InputFile.of(source) for source in plan.input.sources],
            rows=plan.rows,
            parts=len(plan.parts),
            schema=shown_schema(plan.schema),
            part_rows=plan.part_rows,
        )

    @property
    def identity(self) -> str:
        """A digest of what decides on the parts: of two runs that have the same, they are equal."""
        told = (self.model, self.version, self.digest, self.columns, self.output)
        # As it was in the format 1, whose runs are gone on with.
        parts = self.parts if self.part_rows == PART_ROWS else (self.parts, self.part_rows)
        content = (*told, self.inputs, parts, self.schema)
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()

    def write(self, output: Place, run: str) -> None:
        """Put the record into the output's folder."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
        output.below(RECORD).write(data, run)

    @classmethod
    def read(cls, output: Place) -> Record:
        """The record of the run in this folder.

        Raises:
            InvalidRun: it cannot be read, or is of a later program.
        """
        try:
            found = msgspec.json.decode(output.below(RECORD).read(), type=cls)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRun(
                f"{output.below(RECORD)} cannot be read; write to another folder, or with "
                "--overwrite."
            ) from error
        if found.format > FORMAT:
            raise InvalidRun(f"{output.below(RECORD)} is of a later program; upgrade quart-app.")
        return found

    def require_same(self, before: Record, output: Place) -> None:
        """Raises InvalidRun where an earlier attempt in this folder was another run."""
        changed = [word for word, *pair in self._compared(before) if pair[0] != pair[1]]
        if changed:
            raise InvalidRun(
                f"The run in {output} cannot go on, since {_and(changed)} changed since it began; "
                "write to another folder, or anew with --overwrite."
            )

    def _compared(self, before: Record) -> Sequence[tuple[str, object, object]]:
        return [
            ("the model", self._model, before._model),
            ("the columns that are kept", self.columns, before.columns),
            ("the format", self.output, before.output),
            (self._changed_inputs(before), self.inputs, before.inputs),
            ("the schema", self.schema, before.schema),
            ("the division into parts", self._division, before._division),
        ]

    @property
    def _model(self) -> tuple[str, int, str]:
        return self.model, self.version, self.digest

    @property
    def _division(self) -> tuple[int, int]:
        return self.parts, self.part_rows

    def _changed_inputs(self, before: Record) -> str:
        now = {each.name: each for each in self.inputs}
        then = {each.name: each for each in before.inputs}
        odd = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
        return f"the input ({', '.join(odd[:3])}{' and others' if len(odd) > 3 else ''})"


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a run: `parts` are written, of which `resumed` were there already, and
    `missing` are not. `faulty` counts the rows without an answer. `reason` says why the run ended
    before its end, and `reasons` by part, of the first of them, why it is missing."""

    model: str
    version: int
    output: str
    rows: int
    faulty: int
    parts: int
    missing: int
    seconds: float
    resumed: int = 0
    reason: str | None = None
    reasons: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        """Whether no part is missing, and no more rows are faulty than may be."""
        return not self.missing and self.reason is None

    def write(self, output: Place, run: str) -> None:
        """Say in the output's folder that nothing is missing there."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
        output.below(SUCCESS).write(data, run)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

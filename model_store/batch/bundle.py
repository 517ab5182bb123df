"""A verified version on its way to workers: the bytes of its files, which are proven there again.

A worker puts them into a store of its own, which it clears away at once, and takes every step that
a server takes at load: digests, what the artifact may name, whether it is sound, the golden rows.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .. import manifest
from ..errors import CorruptVersion, GoldenMismatch, PredictionFailed
from ..files import write
from ..manifest import ARTIFACT, GRAPH, MANIFEST, SAMPLE, Manifest
from ..model import Model
from ..plain import FORM_DATA, FORM_HEADER
from ..store import ModelStore, Pickles, Verified


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a version that answer, by their names. `digest` is that of its manifest, which
    has the digests of the others."""

    name: str
    version: int
    digest: str
    contents: dict[str, bytes]
    allow_version: bool

    @classmethod
    def of(cls, verified: Verified, *, allow_version: bool) -> Bundle:
        """What was verified."""
        found = verified.manifest
        contents = {MANIFEST: manifest.write(found), SAMPLE: manifest.write(verified.sample)}
        if verified.form is not None:
            header, data = verified.form
            contents |= {FORM_HEADER: header, FORM_DATA: bytes(data)}
        else:
            contents[ARTIFACT] = verified.artifact
            if verified.graph is not None:
                contents[GRAPH] = verified.graph
            if verified.trust is not None and verified.trust.code is not None and found.code:
                contents[found.code] = verified.trust.code.source
        digest = hashlib.sha256(contents[MANIFEST]).hexdigest()
        return cls(found.name, found.version, digest, contents, allow_version)

    def load(self) -> Model:
        """The model, proven and warm.

        Raises:
            CorruptVersion: the bytes are not those that were sent.
            And what `ModelStore.verify`, `ModelStore.load` and `Model.replay` raise.
        """
        if hashlib.sha256(self.contents[MANIFEST]).hexdigest() != self.digest:
            raise CorruptVersion(f"The manifest of {self.name} is not what was sent.")
        with tempfile.TemporaryDirectory(prefix="score-") as root:
            folder = Path(root, self.name, str(self.version))
            folder.mkdir(parents=True)
            for name, data in self.contents.items():
                write(folder / name, data)
            return load_proven(
                ModelStore(root),
                self.name,
                self.version,
                allow_version=self.allow_version,
                pickles="never" if FORM_HEADER in self.contents else "always",
            )[1]


def load_proven(
    store: ModelStore,
    name: str,
    version: int | str | None,
    *,
    allow_version: bool = False,
    pickles: Pickles = "fallback",
) -> tuple[Verified, Model]:
    """A version of a store, proven and warm, as a server has it before it answers: where its plain
    form does not answer here what was published, and pickles may be read, its pipeline serves."""
    verified = store.verify(name, version, allow_version=allow_version, pickles=pickles)
    try:
        return verified, _warmed(store, verified)
    except (GoldenMismatch, PredictionFailed):
        if verified.form is None or pickles == "never":
            raise
    number = verified.manifest.version
    verified = store.verify(name, number, allow_version=allow_version, pickles="always")
    return verified, _warmed(store, verified).instead_of_form()


def _warmed(store: ModelStore, verified: Verified) -> Model:
    model = store.load(verified)
    model.replay()
    return model


def answering_digest(found: Manifest) -> str:
    """What tells that answers are those of the same model: the digests of the files that are no
    words."""
    told = sorted((name, file.sha256) for name, file in found.files.items())
    return hashlib.sha256(repr(told).encode()).hexdigest()

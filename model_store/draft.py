"""A version before it has a number: its manifest, and the bytes of its files."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from . import formats, manifest, pickles
from .backend import Served
from .comparison import Candidate, candidate, labels_follow
from .drift import HeldOut
from .drift.learning import learn
from .errors import InvalidPipeline, Untrusted, words_of
from .inspection import Inspection
from .installed import is_installed, is_package, local_imports, place_of
from .labels import json_labels
from .libraries import Libraries
from .manifest import (
    ARTIFACT,
    FORMAT,
    REASONS,
    REFERENCE,
    SAMPLE,
    File,
    Manifest,
    Sample,
    Source,
)
from .metadata import Metadata
from .model import Model
from .opcodes import Global
from .plain import FORM_DATA, FORM_HEADER
from .proof import Claim
from .prover import Progress, prove
from .soundness.check import require_sound
from .soundness.guests import BOOSTERS
from .task import WORDS
from .trust import Trust
from .user_module import Code


@dataclass(frozen=True, slots=True)
class Draft:
    """What `ModelStore.add` turns into the next version of the model that the manifest names. With
    a `claim` there is a plain form among the contents that is still to be `proven`."""

    manifest: Manifest
    contents: Mapping[str, bytes]
    claim: Claim | None = None

    @classmethod
    def of(
        cls,
        name: str,
        pipeline: Any,
        inspection: Inspection,
        about: Metadata,
        *,
        artifact: bytes | None = None,
        trust: Trust | None = None,
        code: Code | None = None,
        source: Source | None = None,
        held_out: HeldOut | None = None,
        progress: Progress = lambda step: None,
    ) -> Draft:
        """The pipeline as it will lie in the store, once it answered its golden rows from there.
        With an `artifact` it lies there as these bytes.

        Without `trust`, whatever its artifact names of installed packages is allowed: it is the
        caller's own pipeline. `code` is then the module in which its own classes are.

        Raises:
            InvalidPipeline: it cannot be pickled, or does not come back; or what was `held_out` is
                not of it.
            Untrusted: its artifact names what `trust` does not allow.
        """
        progress("packing the pipeline")
        artifact = formats.dump(pipeline) if artifact is None else artifact
        named = pickles.listing(artifact).globals
        trust = trust or _own(artifact, named, code)
        _require_alone(trust.code)
        contents = {ARTIFACT: artifact}
        if trust.code is not None:
            contents[f"{trust.code.name}.py"] = trust.code.source
        base = msgspec.structs.replace(
            manifest_of(name, inspection),
            libraries=Libraries.installed({each.module.partition(".")[0] for each in named}),
            source=source,
            allowed=tuple(sorted(trust.allowed)),
            code=None if trust.code is None else f"{trust.code.name}.py",
        )
        draft = about.put(base)
        progress("loading it as a server does, and looking for what answers faster")
        model, sample = _answered(draft, inspection, artifact, trust)
        contents[SAMPLE] = manifest.write(sample)
        reference = learn(model, inspection, held_out)
        if reference is not None:
            contents[REFERENCE] = msgspec.json.encode(reference)
        found = candidate(model, inspection.drawn)
        # Also where a form serves: on a machine where it rounds otherwise the pipeline does.
        draft = msgspec.structs.replace(draft, labels_follow=labels_follow(model, found.claim))
        return cls(draft, contents)._served(found)

    def proven(self, progress: Progress = lambda step: None) -> Draft:
        """The same with its plain form if that is found to answer as the pipeline does, which
        takes a process of its own; else without it.

        Raises:
            StoreNotWritable: there is no place for temporary files.
        """
        if self.claim is None:
            return self
        names = (FORM_HEADER, FORM_DATA, REASONS)
        form = {name: self.contents[name] for name in names if name in self.contents}
        rest = {name: data for name, data in self.contents.items() if name not in form}
        header, data = form[FORM_HEADER], form[FORM_DATA]
        progress("putting its plain form to the proof")
        found = prove(self.manifest, self.sample, header, data, self.claim, progress)
        unproven = Candidate(
            Served.found("pipeline", ""), form, unexplained=self.manifest.unexplained
        )
        return replace(self, contents=rest, claim=None)._served(unproven.proven(found))

    def _served(self, found: Candidate) -> Draft:
        """The same with what is to serve."""
        contents = {**self.contents, **found.files}
        listed = {file: File.of(data) for file, data in contents.items()}
        told = msgspec.structs.replace(
            self.manifest, files=listed, served=found.served, unexplained=found.unexplained
        )
        return Draft(told, contents, found.claim)

    @property
    def sample(self) -> Sample:
        """The golden rows, with their answers."""
        return manifest.read_sample(self.contents[SAMPLE])


def manifest_of(name: str, inspection: Inspection) -> Manifest:
    """What an inspection tells, as a manifest of a version that has no files yet."""
    return Manifest(
        format=FORMAT,
        name=name,
        version=1,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=inspection.task,
        signature=inspection.signature,
        targets=inspection.targets,
        probabilities=inspection.probabilities,
        measures=inspection.measures,
        words=dict(WORDS) if inspection.task == "anomaly detection" else {},
        rows=inspection.rows,
        estimator=inspection.estimator,
        libraries=Libraries.installed(set()),
        varies=inspection.varies,
        files={},
    )


def _own(artifact: bytes, named: Collection[Global], code: Code | None) -> Trust:
    """Trust in all that an artifact names, but for what no other process would find.

    Raises:
        InvalidPipeline: it names what is of `__main__`, or of a module that is not installed.
    """
    trust = Trust(code=code)
    refused = trust.refused(named)
    for each in refused:
        if each.module == "__main__":
            what = "A part of the pipeline" if each.name == "__dict__" else each
            raise InvalidPipeline(
                f"{what} is defined in the program that runs now, where no server finds it; put "
                "it into a module of its own, and publish with code='that_module.py'. Or write the "
                "pipeline to a file by cloudpickle.dump, which keeps such code, and take that with "
                "models import --trust."
            )
        if not is_installed(each.module):
            raise InvalidPipeline(
                f"{each} is of the module {each.module}, which is of no installed package, so "
                f"no server finds it; {_way_out(each.module)}."
            )
    trust = Trust(allowed=frozenset(map(str, refused)), code=code)
    return _with_boosters(trust, artifact, named)


def _with_boosters(trust: Trust, artifact: bytes, named: Collection[Global]) -> Trust:
    """The same, and trust in boosters of a kind that there is no check for."""
    boosters = BOOSTERS & set(map(str, named))
    if boosters:
        try:
            pickles.load(artifact, trust)
        except Untrusted:
            return Trust(trust.allowed | boosters, trust.code)
    return trust


def _require_alone(code: Code | None) -> None:
    """Raises InvalidPipeline where code imports what lies beside it here, and nowhere else."""
    local = [] if code is None else local_imports(code.source)
    if code is not None and local:
        raise InvalidPipeline(
            f"{code.name}.py imports {local[0]}, which is of no installed package, so no server "
            f"finds it; put what it needs of that into {code.name}.py, or install both as a "
            f"package{_packaging(code.name, local)}, and publish without code=."
        )


def _packaging(name: str, local: Sequence[str]) -> str:
    """What to type to install a module in place, with those that it imports from beside it."""
    if any(each.startswith(".") for each in local):
        return ""
    tops = list(dict.fromkeys([name, *(each.split(".")[0] for each in local)]))
    packages = [each for each in tops if is_package(each)]
    listed = [("py-modules", [each for each in tops if each not in packages])]
    listed += [("packages", packages)] if packages else []
    told = "".join(f"{key} = {json.dumps(names)}\\n" for key, names in listed)
    project = f'[project]\\nname = "{name.replace("_", "-")}-code"\\nversion = "1"\\n'
    return (
        f", here and where it is served: printf '{project}[tool.setuptools]\\n{told}' > "
        "pyproject.toml && pip install -e ."
    )


def _way_out(module: str) -> str:
    """What makes a module, which is not installed, known to a server. A version has one of them."""
    place = place_of(module)
    if "." in module or place is None or place.suffix != ".py":
        return (
            "install the package that it is of, or put what the pipeline needs into a module of "
            "its own, and publish with code='that_module.py'"
        )
    here = Path.cwd()
    file = place.relative_to(here) if place.is_relative_to(here) else place
    return f"publish with code={str(file)!r}"


def _answered(
    draft: Manifest, inspection: Inspection, artifact: bytes, trust: Trust
) -> tuple[Model, Sample]:
    """The artifact as it will be loaded, and the golden rows with its answers."""
    rows = inspection.signature.values(inspection.golden)
    try:
        pipeline = pickles.load(artifact, trust)
        require_sound(pipeline, trust)
        model = Model(draft, pipeline, Sample(rows=rows, predictions=[]))
        prediction = model.predict(model.golden_rows())
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidPipeline(
            f"The pipeline does not come back from its artifact: {words_of(error)}"
        ) from error
    shares = prediction.probabilities
    sample = Sample(
        rows=rows,
        predictions=json_labels(prediction.labels),
        probabilities=None if shares is None else [each.tolist() for each in shares],
        measures={each.name: prediction.measures[each.name].tolist() for each in draft.measures}
        or None,
    )
    return model, sample

"""What the Open Inference Protocol V2 says of a server and its models: the shapes of its documents.

The configuration and the statistics are those of Triton, whose clients ask for them.

Source: the specification as in `v2`; Triton Inference Server, docs/protocol/extension_*.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from model_store import Manifest

from ..inference import PREDICT, PREDICT_PROBA
from ..serving.statistics import Duration, Statistics
from . import datatypes
from .datatypes import DATATYPES, FP64, Datatype

PLATFORM: Final = "sklearn"
EXTENSIONS: Final = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "statistics",
)
ANY: Final = -1

ERROR_SCHEMA: Final = {
    "title": "Error",
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
"""The JSON schema of `error`."""


class ServerMetadata(msgspec.Struct):
    """The server: its name, its version, and the extensions that it speaks."""

    name: str
    version: str
    extensions: Sequence[str] = EXTENSIONS


class ServerLive(msgspec.Struct):
    """The process answers."""

    live: bool = True


class ServerReady(msgspec.Struct):
    """Whether traffic should come here."""

    ready: bool
    live: bool = True


class ModelReady(msgspec.Struct):
    """Whether a model answers."""

    name: str
    ready: bool


class ModelNames(msgspec.Struct):
    """The names of the models."""

    models: list[str]


class TensorMetadata(msgspec.Struct, omit_defaults=True):
    """An input or an output. -1 stands for any number of rows."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, str] = {}


class ModelMetadata(msgspec.Struct):
    """A model: its versions, what it takes and what it tells."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelIndex(msgspec.Struct):
    """One version of a model in the repository, and why it is not ready."""

    name: str
    version: str
    state: str
    reason: str


def model(manifest: Manifest, versions: Sequence[int]) -> ModelMetadata:
    """The metadata of a version.

    The labels to which the columns of the probabilities belong are told as JSON in a parameter.
    """
    return ModelMetadata(
        name=manifest.name,
        versions=[str(version) for version in versions],
        platform=PLATFORM,
        inputs=[
            TensorMetadata(column.name, datatypes.of_column(column).name, [ANY, 1])
            for column in manifest.signature.columns
        ],
        outputs=[
            TensorMetadata(name, datatype.name, shape, _said_of(manifest, name))
            for name, datatype, shape in _outputs(manifest)
        ],
    )


def config(manifest: Manifest) -> dict[str, Any]:
    """The configuration of a version, as Triton tells it. Its shapes have the rows in them, so that
    `max_batch_size` is 0; the server makes batches of its own."""
    return {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 0,
        "input": [
            {
                "name": column.name,
                "data_type": datatypes.of_column(column).config,
                "dims": [ANY, 1],
            }
            for column in manifest.signature.columns
        ],
        "output": [
            {"name": name, "data_type": datatype.config, "dims": shape}
            for name, datatype, shape in _outputs(manifest)
        ],
        "parameters": {"estimator": {"string_value": manifest.estimator}},
    }


def error(message: str, status: int) -> dict[str, str]:
    """What a client reads when a request failed; V1 has the same."""
    return {"error": message}


def _outputs(manifest: Manifest) -> list[tuple[str, Datatype, list[int]]]:
    targets = manifest.targets
    several = [len(targets)] if manifest.several else []
    found = [(PREDICT, DATATYPES[manifest.datatype], [ANY, *several])]
    if manifest.probabilities:
        widest = max(len(target.classes or ()) for target in targets)
        found.append((PREDICT_PROBA, FP64, [ANY, *several, widest]))
    return found + [(measure.name, FP64, [ANY, *several]) for measure in manifest.measures]


def _said_of(manifest: Manifest, output: str) -> dict[str, str]:
    """What the parameters of an output say: the classes or the names to which its columns belong,
    and below which threshold a score is unusual."""
    if output == PREDICT_PROBA:
        return _classes(manifest)
    if output == PREDICT and manifest.task == "transformation":
        names = [target.name for target in manifest.targets]
        return {"columns": msgspec.json.encode(names).decode()}
    for measure in manifest.measures:
        if measure.name == output and measure.threshold is not None:
            return {"threshold": str(measure.threshold)}
    return {}


def _classes(manifest: Manifest) -> dict[str, str]:
    labels = [target.classes or [] for target in manifest.targets]
    told = labels if manifest.several else labels[0]
    return {"classes": msgspec.json.encode(told).decode()}


def statistics(name: str, version: int, counted: Statistics) -> dict[str, Any]:
    """A member of Triton's `model_stats`. It has no cache, and encodes outside of what is counted.

    Source: Triton Inference Server, docs/protocol/extension_statistics.md
    """
    none = asdict(Duration())
    return {
        "name": name,
        "version": str(version),
        "last_inference": counted.last,
        "inference_count": counted.inferences,
        "execution_count": counted.executions,
        "inference_stats": {
            "success": asdict(counted.success),
            "fail": asdict(counted.fail),
            "queue": asdict(counted.queue),
            "compute_input": asdict(counted.compute_input),
            "compute_infer": asdict(counted.compute_infer),
            "compute_output": none,
            "cache_hit": none,
            "cache_miss": none,
        },
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": none,
                "compute_infer": asdict(duration),
                "compute_output": none,
            }
            for rows, duration in sorted(counted.batches.items())
        ],
    }

"""What a notebook can say when it publishes, the command `import` can say of a file, and back."""

from __future__ import annotations

import inspect
from typing import Final

from model_store import ModelStore
from model_store.metadata import Metadata
from quart_app.cli.models import import_files

OTHERWISE: Final = {
    "pipeline": "files",
    "X": "sample",
    "y": "target",
    "target_name": "target",
    "background": "no_background",
}
"""What is called otherwise where it comes from a file."""
IN_A_NOTEBOOK: Final = {
    "feature_names": "a sample has the names of its columns",
    "progress": "a command always tells it",
    "who": "a command is run by the user of the shell",
    "why": "the history has why a version was promoted",
    "metrics": "they were measured on rows of a notebook",
    "validation": "it says how they were measured",
    "evaluations": "they are what they were measured by",
}
OF_A_FILE: Final = {
    "drop": "X has what the pipeline was fitted on",
    "trust": "the pipeline is the caller's own",
    "trusted": "as trust",
    "allow_version": "the pipeline is of the release that runs",
    "time_limit": "it is not tried in a process of its own",
    "memory_limit": "as time_limit",
    "as_json": "publish returns the manifest",
}


def test_publish_and_import_take_the_same_options() -> None:
    parameters = set(inspect.signature(ModelStore.publish).parameters) - {"self", "about"}
    notebook = (parameters | set(Metadata.__struct_fields__)) - set(IN_A_NOTEBOOK)
    command = {option.name for option in import_files.params} - set(OF_A_FILE)
    assert {OTHERWISE.get(name, name) for name in notebook} == command
    assert set(IN_A_NOTEBOOK) <= parameters | set(Metadata.__struct_fields__)
    assert set(OF_A_FILE) <= {option.name for option in import_files.params}

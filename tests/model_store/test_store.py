"""The store: what is published is found by number and by alias, proven, and only then loaded."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import random
import shutil
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from model_store import Manifest, ModelStore, Verified, files, formats, pickles
from model_store.errors import (
    CorruptVersion,
    GoldenMismatch,
    IncompatibleVersion,
    InvalidName,
    InvalidPipeline,
    LoadFailed,
    ModelNotFound,
    ModelStoreError,
    NotDurable,
    StoreNotWritable,
    Untrusted,
    VersionInUse,
    VersionNotFound,
)
from model_store.head_files import HEAD, HISTORY, OLDER
from model_store.manifest import ARTIFACT, MANIFEST, REASONS, REFERENCE, SAMPLE
from model_store.plain import FORM_DATA, FORM_HEADER
from model_store.store import ABANDONED_AFTER, MANIFEST_LIMIT
from model_store.trust import Trust

from ..mounts import mounted
from .conftest import (
    LABELS,
    NUMBERS,
    X,
    classifier,
    edit_manifest,
    folder,
    publish_small,
    put,
    regressor,
)


def versions_of(store: ModelStore, count: int) -> ModelStore:
    for _ in range(count):
        publish_small(store)
    return store


@pytest.fixture
def three(empty: ModelStore) -> ModelStore:
    """A store with three versions of `small`."""
    return versions_of(empty, 3)


# Publishing ------------------------------------------------------------------


def test_a_store_that_does_not_exist_is_empty(empty: ModelStore) -> None:
    assert empty.models() == []
    with pytest.raises(ModelNotFound, match=r"^There is no model 'small'; the models are: none\.$"):
        empty.versions("small")
    assert not empty.root.exists()


def test_a_published_pipeline_comes_back_as_it_was(empty: ModelStore) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABELS)
    manifest = empty.publish("churn", pipeline, X, LABELS)
    verified = empty.verify("churn", pickles="always")
    model = empty.load(verified)
    model.replay()
    assert model.manifest == verified.manifest == manifest == empty.manifest("churn")
    assert verified.warnings == ()
    answer = model.predict(X)
    assert answer.labels.tolist() == pipeline.predict(X).tolist()
    assert answer.probabilities is not None
    assert np.array_equal(answer.probabilities[0], pipeline.predict_proba(X))


def test_what_is_said_of_a_pipeline_stands_in_its_manifest(empty: ModelStore) -> None:
    said: dict[str, Any] = {
        "title": "Small",
        "description": "Two kinds.",
        "notice": "Made up.",
        "words": {"low": "Low", "high": "High"},
        "metrics": {"accuracy": 1},
        "validation": "none",
    }
    manifest = publish_small(
        empty, feature_names=["width", "Höhe (cm)"], target_name="load", **said
    )
    assert {key: getattr(manifest, key) for key in said} == said
    assert manifest.signature.names == ("width", "Höhe (cm)")
    assert manifest.target.name == "load"
    assert manifest.libraries.scikit_learn == sklearn.__version__
    assert empty.manifest("small") == manifest


@pytest.mark.parametrize("kind", [list, np.asarray, np.asfortranarray])
def test_training_data_may_be_lists_or_arrays(kind: Callable[..., Any], empty: ModelStore) -> None:
    data = X.tolist() if kind is list else kind(X)
    labels = LABELS.tolist() if kind is list else LABELS
    manifest = empty.publish("small", classifier(), data, labels)
    assert manifest.signature.names == ("x0", "x1")
    empty.load(empty.verify("small")).replay()


@pytest.mark.parametrize("dtype", ["float32", "int64", "float64"])
def test_a_matrix_is_of_the_type_that_was_trained_on(dtype: str, empty: ModelStore) -> None:
    data = X.astype(dtype)
    empty.publish("typed", LogisticRegression().fit(data, LABELS), data, LABELS)
    model = empty.load(empty.verify("typed"))
    model.replay()
    assert model.golden_rows().dtype == dtype
    assert np.array_equal(model.golden_rows(), data)


def test_publishing_tells_each_step_as_it_begins(empty: ModelStore) -> None:
    steps: list[str] = []
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABELS)
    empty.publish("told", pipeline, X, LABELS, progress=steps.append)
    assert [step.split()[0] for step in steps] == [
        "looking",
        "asking",
        "asking",
        "packing",
        "loading",
        "putting",
        "writing",
    ]


def test_a_regressor_and_a_classifier_without_probabilities_are_published(
    empty: ModelStore,
) -> None:
    empty.publish("line", regressor(), X, NUMBERS)
    empty.publish("support", LinearSVC().fit(X, LABELS), X, LABELS)
    for name in ("line", "support"):
        model = empty.load(empty.verify(name))
        model.replay()
        assert model.predict(X).probabilities is None


def test_versions_count_up_and_the_models_are_sorted(empty: ModelStore) -> None:
    assert [publish_small(empty).version for _ in range(11)] == list(range(1, 12))
    publish_small(empty, "another")
    assert empty.versions("small") == list(range(1, 12))
    assert empty.models() == ["another", "small"]


FILES = [MANIFEST, ARTIFACT, SAMPLE, REFERENCE, FORM_HEADER, FORM_DATA, REASONS]


def test_a_version_is_a_few_files_that_others_may_read(small: ModelStore) -> None:
    path = folder(small)
    assert sorted(os.listdir(path)) == sorted(FILES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert sorted(os.listdir(path.parent)) == [".lock", "1", HEAD, HISTORY]


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "9", "0", "x" * 64, "con", "a..b", "model.v2"])
def test_a_name_is_a_folder_of_that_name(name: str, empty: ModelStore) -> None:
    publish_small(empty, name)
    assert empty.models() == [name]
    assert (empty.root / name / "1").is_dir()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".a",
        "-a",
        "_a",
        "a/b",
        "../a",
        "/a",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "x" * 65,
        "a\\",
    ],
)
def test_a_name_that_could_be_a_path_is_refused(name: str, empty: ModelStore) -> None:
    with pytest.raises(
        InvalidName,
        match=r"is no name for a model: use up to 64 letters, digits, dots, hyphens and "
        r"underscores, and begin with a letter or a digit\.$",
    ):
        publish_small(empty, name)
    assert not empty.root.exists()
    for ask in (empty.versions, empty.resolve, empty.verify, empty.manifest):
        with pytest.raises(ModelNotFound):
            ask(name)
    for change in (empty.rollback, lambda n: empty.promote(n, 1), lambda n: empty.remove(n, 1)):
        with pytest.raises(ModelNotFound):
            change(name)


def test_what_is_no_folder_of_a_version_is_no_version(small: ModelStore) -> None:
    for entry in ("01", "0", "-1", "1.0", "2x", "٣", ".7", "notes.txt", "9" * 19):
        (small.root / "small" / entry).mkdir()
    (small.root / ".cache" / "1").mkdir(parents=True)
    (small.root / "README").write_text("hello")
    assert small.versions("small") == [1]
    assert small.models() == ["small"]
    assert publish_small(small).version == 2


def nothing(rows: Any) -> Any:
    return rows


@pytest.mark.parametrize(
    ("pipeline", "sentence"),
    [
        (LogisticRegression(), r"not fitted yet"),
        (
            make_pipeline(FunctionTransformer(lambda rows: rows), LogisticRegression()),
            r"^The pipeline cannot be pickled: .* publish with code='that_module\.py'",
        ),
        ("a path", r"^A str has no predict method; publish a fitted pipeline\.$"),
    ],
    ids=["unfitted", "lambda", "text"],
)
def test_what_cannot_be_published_is_refused_and_leaves_nothing(
    pipeline: Any, sentence: str, empty: ModelStore
) -> None:
    if "lambda" in repr(pipeline):
        pipeline.fit(X, LABELS)
    with pytest.raises(InvalidPipeline, match=sentence):
        empty.publish("small", pipeline, X, LABELS)
    assert not empty.root.exists()


def test_a_function_of_a_module_may_stand_in_a_pipeline(empty: ModelStore) -> None:
    pipeline = make_pipeline(FunctionTransformer(nothing), LogisticRegression()).fit(X, LABELS)
    empty.publish("small", pipeline, X, LABELS)
    empty.load(empty.verify("small")).replay()


class Forgetful(LogisticRegression):  # type: ignore[misc]
    """Loses what it has learned on its way to the disk."""

    def __getstate__(self) -> dict[str, Any]:
        return {"penalty": "l2"}


def test_a_pipeline_that_does_not_come_back_from_its_artifact_is_refused(
    empty: ModelStore,
) -> None:
    with pytest.raises(InvalidPipeline, match=r"^The pipeline does not come back from its artifa"):
        empty.publish("small", Forgetful().fit(X, LABELS), X, LABELS)
    assert not empty.root.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_metric_that_json_cannot_hold_is_refused(value: float, empty: ModelStore) -> None:
    with pytest.raises(
        InvalidPipeline, match=r"^A metric must be a finite number: leave out b, c\.$"
    ):
        publish_small(empty, metrics={"a": 1.0, "c": value, "b": value})
    assert not empty.root.exists()


# Versions, aliases -----------------------------------------------------------


def test_a_version_is_found_by_number_by_digits_and_by_alias(three: ModelStore) -> None:
    three.promote("small", 2, "beta")
    table: list[tuple[int | str | None, int]] = [(1, 1), ("2", 2), (None, 3), ("beta", 2)]
    for version, number in table:
        assert three.resolve("small", version) == number
        assert three.manifest("small", version).version == number
        assert three.verify("small", version).manifest.version == number


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (4, r"^small has no version 4; there is 1, 2, 3\.$"),
        (0, r"^small has no version 0; there is 1, 2, 3\.$"),
        (-1, r"^small has no version -1; there is 1, 2, 3\.$"),
        ("4", r"^small has no version 4; there is 1, 2, 3\.$"),
        ("01", r"^small has no alias '01'; the aliases are: none\.$"),
        ("gamma", r"^small has no alias 'gamma'; the aliases are: none\.$"),
        ("../1", r"^small has no alias '\.\./1'; the aliases are: none\.$"),
        ("", r"^small has no alias ''; the aliases are: none\.$"),
    ],
)
def test_a_version_that_is_not_there_is_named_with_those_that_are(
    version: int | str, sentence: str, three: ModelStore
) -> None:
    for ask in (three.resolve, three.verify, three.manifest, three.promote, three.remove):
        with pytest.raises(VersionNotFound, match=sentence):
            ask("small", version)


def test_an_unknown_alias_is_answered_with_the_known(three: ModelStore) -> None:
    three.promote("small", 1, "beta")
    three.promote("small", 1)
    with pytest.raises(VersionNotFound, match=r"the aliases are: beta, champion\.$"):
        three.resolve("small", "gamma")


def test_the_champion_serves_else_the_highest(three: ModelStore) -> None:
    assert three.resolve("small") == 3
    assert three.promote("small", 1) == 1
    assert three.resolve("small") == 1
    publish_small(three)
    assert three.resolve("small") == 1
    assert three.aliases("small") == {"champion": 1}


def test_an_alias_can_be_given_to_what_another_alias_names(three: ModelStore) -> None:
    three.promote("small", "1", "beta")
    assert three.promote("small", "beta", "gamma") == 1
    assert three.aliases("small") == {"beta": 1, "gamma": 1}
    three.promote("small", 2, "beta")
    assert three.aliases("small") == {"beta": 2, "gamma": 1}


@pytest.mark.parametrize("alias", ["1", "007", "", "a b", "a/b", ".a", "x" * 65, "a\n"])
def test_an_alias_that_could_be_a_number_or_a_path_is_refused(
    alias: str, three: ModelStore
) -> None:
    with pytest.raises(InvalidName, match=r"is no alias: use up to 64 .* and not digits only\.$"):
        three.promote("small", 1, alias)
    assert three.aliases("small") == {}


@pytest.mark.parametrize("alias", ["v1", "1.0", "1st", "x" * 64])
def test_an_alias_may_hold_digits(alias: str, three: ModelStore) -> None:
    three.promote("small", 1, alias)
    assert three.resolve("small", alias) == 1


def test_rollback_goes_back_the_way_of_the_promotions(three: ModelStore) -> None:
    three.promote("small", 1)
    three.promote("small", 2)
    assert [three.rollback("small") for _ in range(2)] == [1, 3]
    assert three.resolve("small") == 3


def test_rollback_without_promotions_goes_to_the_next_lower(three: ModelStore) -> None:
    assert [three.rollback("small") for _ in range(2)] == [2, 1]
    with pytest.raises(VersionNotFound, match=r"^small has no version to go back to from 1\.$"):
        three.rollback("small")
    assert three.resolve("small") == 1


def test_rollback_passes_over_versions_that_are_gone(three: ModelStore) -> None:
    three.promote("small", 1)
    three.promote("small", 2)
    three.promote("small", 1)
    three.remove("small", 2)
    assert three.rollback("small") == 3


def test_promoting_what_serves_already_leaves_no_trace_in_the_history(three: ModelStore) -> None:
    for version in (3, 1, 1, 1):
        three.promote("small", version)
    assert three.rollback("small") == 3


def test_another_alias_does_not_change_what_serves(three: ModelStore) -> None:
    three.promote("small", 2)
    three.promote("small", 1, "beta")
    assert three.resolve("small") == 2
    assert three.rollback("small") == 3
    assert three.aliases("small") == {"beta": 1, "champion": 3}


def test_a_removed_version_is_gone_and_its_number_with_it(three: ModelStore) -> None:
    assert three.remove("small", 3) == 3
    assert three.versions("small") == [1, 2]
    assert three.resolve("small") == 2
    assert publish_small(three).version == 4
    for version in (1, 2, 4):
        three.remove("small", version)
    assert three.models() == []
    with pytest.raises(ModelNotFound):
        three.versions("small")
    assert publish_small(three).version == 5
    graves = [three.root / "small" / f".removed-{version}" for version in (1, 2, 3, 4)]
    assert [os.listdir(grave) for grave in graves] == [[]] * 4


def test_a_version_that_an_alias_names_is_not_removed(three: ModelStore) -> None:
    three.promote("small", 2)
    three.promote("small", 2, "beta")
    with pytest.raises(
        VersionInUse,
        match=r"^small version 2 is named by beta, champion; promote another version first\.$",
    ):
        three.remove("small", 2)
    assert three.versions("small") == [1, 2, 3]
    three.promote("small", 1)
    three.promote("small", 1, "beta")
    assert three.remove("small", 2) == 2


def test_what_was_put_into_a_version_goes_with_it(small: ModelStore) -> None:
    (folder(small) / "notes" / "deep").mkdir(parents=True)
    (folder(small) / "notes" / "deep" / "a.txt").write_text("hello")
    assert small.remove("small", 1) == 1
    assert os.listdir(small.root / "small" / ".removed-1") == []
    assert publish_small(small).version == 2


def test_removing_a_link_leaves_what_it_leads_to(small: ModelStore, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder(small).rename(elsewhere)
    folder(small).symlink_to(elsewhere)
    small.remove("small", 1)
    assert publish_small(small).version == 2
    assert sorted(os.listdir(elsewhere)) == sorted(FILES)


@pytest.mark.parametrize("file", [HEAD, OLDER])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": 1, "versions": "ab"}', b"\xff"])
def test_a_broken_head_is_told(data: bytes, file: str, three: ModelStore) -> None:
    (three.root / "small" / HEAD).unlink()
    (three.root / "small" / file).write_bytes(data)
    asks: list[Callable[[], object]] = [
        lambda: three.resolve("small"),
        lambda: three.resolve("small", "beta"),
        lambda: three.aliases("small"),
        lambda: three.promote("small", 1),
        lambda: three.rollback("small"),
        lambda: three.remove("small", 1),
        lambda: three.verify("small", 1),
        lambda: publish_small(three),
    ]
    for ask in asks:
        with pytest.raises(CorruptVersion, match=rf"^small/{file} cannot be read; remove it"):
            ask()


# Proving ---------------------------------------------------------------------


class Marking:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "unpickled"


def test_the_marking_pickle_leaves_its_marker_when_it_is_loaded(marker: Path) -> None:
    pickles.load(formats.dump(Marking(marker)), Trust(frozenset({"posix.mkdir"})))
    assert marker.is_dir()


Damage = Callable[[Path], object]


def replace_by(kind: Callable[[Path], object], file: str) -> Damage:
    def damage(path: Path) -> None:
        (path / file).unlink()
        kind(path / file)

    return damage


def link_to_copy(path: Path) -> None:
    """A link that leads to the very bytes that the manifest lists."""
    aside = path.parent.parent.parent / "aside"
    shutil.copy(path.parent.parent / "2" / path.name, aside)
    path.symlink_to(aside)


def put_elsewhere(path: Path) -> None:
    elsewhere = path.with_name(".elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def put_model_elsewhere(path: Path) -> None:
    put_elsewhere(path.parent)


def link_to_itself(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to(path)


def pad(path: Path) -> None:
    """A manifest that is whole, and then goes on."""
    with (path / MANIFEST).open("ab") as file:
        file.truncate(MANIFEST_LIMIT + 1000)
        file.write(b" " * 1000)


def spaced(path: Path) -> None:
    with (path / MANIFEST).open("ab") as file:
        file.write(b" " * MANIFEST_LIMIT)


def cut(file: str, size: int) -> Damage:
    return lambda path: os.truncate(path / file, size)


def longer(file: str) -> Damage:
    return lambda path: (path / file).write_bytes((path / file).read_bytes() + b"\0")


def edit(*keys: str, value: Any) -> Damage:
    return lambda path: edit_manifest(path, *keys, value=value)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "artifact cut": (
        cut(ARTIFACT, 100),
        r"^pipeline\.joblib of small version 1 has 100 bytes and should have \d+; publish it again",
    ),
    "artifact empty": (cut(ARTIFACT, 0), r"has 0 bytes and should have \d+"),
    "artifact longer": (longer(ARTIFACT), r"has (\d+) bytes and should have \d+"),
    "artifact missing": (
        lambda path: (path / ARTIFACT).unlink(),
        r"^small/1/pipeline\.joblib cannot be read; publish it again\.$",
    ),
    "artifact a link": (
        replace_by(link_to_copy, ARTIFACT),
        r"^small/1/pipeline\.joblib is not a regular file; publish it again",
    ),
    "artifact a fifo": (replace_by(os.mkfifo, ARTIFACT), r"joblib is not a regular file"),
    "artifact a folder": (replace_by(os.mkdir, ARTIFACT), r"pipeline\.joblib cannot be read; pub"),
    "sample cut": (cut(SAMPLE, 10), r"^sample\.json of small version 1 has 10 bytes and should"),
    "sample missing": (lambda path: (path / SAMPLE).unlink(), r"^small/1/sample\.json cannot be"),
    "sample a fifo": (replace_by(os.mkfifo, SAMPLE), r"sample\.json is not a regular file"),
    "sample a link": (replace_by(link_to_copy, SAMPLE), r"sample\.json is not a regular file"),
    "sample is no sample": (lambda path: put(path / SAMPLE, b"[]"), r"^The sample cannot be read"),
    "manifest missing": (
        lambda path: (path / MANIFEST).unlink(),
        r"^small/1/manifest\.json cannot be read; publish it again\.$",
    ),
    "manifest cut": (cut(MANIFEST, 100), r"^The manifest cannot be read; publish it again"),
    "manifest empty": (cut(MANIFEST, 0), r"^The manifest cannot be read; "),
    "manifest a fifo": (replace_by(os.mkfifo, MANIFEST), r"manifest\.json is not a regular file"),
    "manifest a link": (replace_by(link_to_copy, MANIFEST), r"manifest\.json is not a regular"),
    "manifest oversized": (
        pad,
        rf"^The manifest of small version 1 is larger than {MANIFEST_LIMIT} bytes",
    ),
    "manifest with spaces": (spaced, rf"is larger than {MANIFEST_LIMIT} bytes; publish it again"),
    "newer format": (edit("format", value=3), r"has format 3, .* up to 2; upgrade quart-app\.$"),
    "foreign name": (
        edit("name", value="other"),
        r"^The folder of small version 1 holds the manifest of other version 1; a version cannot "
        r"be copied, publish it again",
    ),
    "foreign number": (edit("version", value=2), r"holds the manifest of small version 2"),
    "no files": (
        edit("files", value={}),
        r"^The manifest does not list sample\.json of small version 1",
    ),
    "huge size": (edit("files", ARTIFACT, "size", value=2**62), rf"should have {2**62}"),
    "negative size": (edit("files", ARTIFACT, "size", value=-2), r"^The manifest cannot be read; "),
    "other digest": (edit("files", ARTIFACT, "sha256", value="0" * 64), r"\(sha256\); publish it"),
    "no digest": (edit("files", ARTIFACT, "sha256", value=""), r"is not what was published"),
    "upper digest": (edit("files", SAMPLE, "sha256", value="A" * 64), r"is not what was published"),
    "version a link": (
        put_elsewhere,
        r"^small version 1 is a link that leads elsewhere; put the folder itself in its place, or "
        r"publish it again",
    ),
    "model a link": (put_model_elsewhere, r"^small version 1 is a link that leads elsewhere"),
    "version a loop": (link_to_itself, r"small"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_is_refused_in_words(damage: str, empty: ModelStore) -> None:
    versions_of(empty, 2)
    harm, sentence = DAMAGES[damage]
    harm(folder(empty))
    with pytest.raises(CorruptVersion, match=sentence):
        empty.verify("small", 1, pickles="always")
    if damage != "model a link":
        assert empty.verify("small", 2).manifest.version == 2


@pytest.mark.parametrize("file", [MANIFEST, SAMPLE, ARTIFACT])
def test_a_fifo_whose_writer_says_nothing_is_not_waited_for(file: str, small: ModelStore) -> None:
    replace_by(os.mkfifo, file)(folder(small))
    writer = os.open(folder(small) / file, os.O_RDWR)
    try:
        with pytest.raises(CorruptVersion, match=rf"{file} is not a regular file; publish it aga"):
            small.verify("small", pickles="always")
    finally:
        os.close(writer)


@pytest.mark.parametrize("file", [ARTIFACT, SAMPLE])
def test_every_flipped_bit_is_refused(file: str, store: ModelStore) -> None:
    draw = random.Random(3)
    for name in store.models():
        path = folder(store, name) / file
        whole = path.read_bytes()
        for position in sorted(draw.sample(range(len(whole)), min(len(whole), 250))):
            broken = bytearray(whole)
            broken[position] ^= 1 << draw.randrange(8)
            path.write_bytes(broken)
            with pytest.raises(CorruptVersion, match=rf"^{file} of {name} .*\(sha256\); publish"):
                store.verify(name, pickles="always")
        path.write_bytes(whole)
        store.verify(name, pickles="always")


def test_a_root_behind_a_link_is_fine(small: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(small.root)
    linked = ModelStore(tmp_path / "link")
    assert linked.verify("small", pickles="always").manifest == small.manifest("small")
    assert publish_small(linked).version == 2


def test_a_store_is_found_from_the_working_directory(
    small: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.root.parent)
    relative = ModelStore("models")
    assert relative.verify("small", pickles="always").manifest == small.manifest("small")
    monkeypatch.chdir(small.root)
    assert ModelStore(".").verify("small", pickles="always").manifest == small.manifest("small")


def test_nothing_foreign_is_unpickled(small: ModelStore, marker: Path) -> None:
    (folder(small) / ARTIFACT).write_bytes(pickle.dumps(Marking(marker)))
    with pytest.raises(CorruptVersion, match=r"pipeline\.joblib of small version 1 has \d+ bytes"):
        small.load(small.verify("small", pickles="always"))
    assert not marker.exists()


def test_nothing_foreign_of_the_same_size_is_unpickled(small: ModelStore, marker: Path) -> None:
    path = folder(small) / ARTIFACT
    foreign = pickle.dumps(Marking(marker))
    path.write_bytes(foreign.ljust(path.stat().st_size, b"\0"))
    with pytest.raises(CorruptVersion, match=r"is not what was published \(sha256\)"):
        small.load(small.verify("small", pickles="always"))
    assert not marker.exists()


@pytest.mark.parametrize("damage", [key for key in DAMAGES if "artifact" not in key])
def test_nothing_is_unpickled_of_a_version_that_is_refused(
    damage: str, empty: ModelStore, marker: Path
) -> None:
    """The artifact has the digest that the manifest lists; something else is wrong."""
    versions_of(empty, 2)
    put(folder(empty) / ARTIFACT, pickle.dumps(Marking(marker)))
    DAMAGES[damage][0](folder(empty))
    with pytest.raises(CorruptVersion):
        empty.verify("small", 1, pickles="always")
    assert not marker.exists()


def test_verifying_alone_unpickles_nothing(small: ModelStore, marker: Path) -> None:
    put(folder(small) / ARTIFACT, pickle.dumps(Marking(marker)))
    edit_manifest(folder(small), "allowed", value=["posix.mkdir"])
    verified = small.verify("small", pickles="always")
    small.manifest("small")
    assert not marker.exists()
    small.load(verified)
    assert marker.exists()


def test_an_artifact_may_name_only_what_its_manifest_allows(
    small: ModelStore, marker: Path
) -> None:
    put(folder(small) / ARTIFACT, pickle.dumps(Marking(marker)))
    with pytest.raises(Untrusted, match=r"^The artifact names posix\.mkdir, which is not allowed"):
        small.load(small.verify("small", pickles="always"))
    assert not marker.exists()


def test_what_is_loaded_are_the_bytes_that_were_hashed(small: ModelStore, marker: Path) -> None:
    verified = small.verify("small", pickles="always")
    (folder(small) / ARTIFACT).write_bytes(pickle.dumps(Marking(marker)))
    small.load(verified).replay()
    assert not marker.exists()


def test_loading_needs_nothing_but_what_was_verified(small: ModelStore) -> None:
    verified = small.verify("small", pickles="always")
    shutil.rmtree(small.root)
    model = small.load(verified)
    model.replay()
    assert model.predict(X).labels.tolist() == LABELS.tolist()


def test_what_was_verified_cannot_be_exchanged(small: ModelStore) -> None:
    verified = small.verify("small", pickles="always")
    with pytest.raises(AttributeError):
        verified.artifact = b""  # type: ignore[misc]
    for other in (folder(small) / ARTIFACT, small.manifest("small"), b"bytes"):
        with pytest.raises((AttributeError, TypeError)):
            small.load(other)  # type: ignore[arg-type]


def test_an_artifact_whose_classes_are_gone_does_not_load(small: ModelStore) -> None:
    put(folder(small) / ARTIFACT, b"cno_such_module\nThing\n.")
    edit_manifest(folder(small), "allowed", value=["no_such_module.Thing"])
    verified = small.verify("small", pickles="always")
    with pytest.raises(
        LoadFailed,
        match=r"^no_such_module\.Thing is not there; if no_such_module is a package, install it "
        r"here; if it is a module of your own, publish the model with it: code=",
    ) as caught:
        small.load(verified)
    assert caught.value.words == "ModuleNotFoundError: No module named 'no_such_module'"


# Libraries -------------------------------------------------------------------


def other(part: int) -> str:
    """The installed version of scikit-learn with another major, minor or patch number."""
    numbers = [int(number) for number in sklearn.__version__.split(".")[:3]]
    numbers[part] += 1
    return ".".join(map(str, numbers))


@pytest.mark.parametrize("part", [0, 1])
def test_another_minor_of_scikit_learn_is_refused_unless_it_is_allowed(
    part: int, small: ModelStore
) -> None:
    then = other(part)
    edit_manifest(folder(small), "libraries", "scikit_learn", value=then)
    sentence = (
        f"small version 1 was trained with scikit-learn {then}, and {sklearn.__version__} is "
        "installed"
    )
    minor = then.rpartition(".")[0]
    with pytest.raises(IncompatibleVersion) as caught:
        small.verify("small", pickles="always")
    assert str(caught.value) == (
        f"{sentence}; install scikit-learn {minor}, train it again, or allow the other version "
        "with QUART_APP_ALLOW_VERSION=true or --allow-version."
    )
    verified = small.verify("small", allow_version=True, pickles="always")
    assert verified.warnings == (f"{sentence}; it was allowed.",)
    small.load(verified).replay()


def test_a_version_of_another_minor_is_not_unpickled(small: ModelStore, marker: Path) -> None:
    put(folder(small) / ARTIFACT, pickle.dumps(Marking(marker)))
    edit_manifest(folder(small), "libraries", "scikit_learn", value="0.9.1")
    with pytest.raises(IncompatibleVersion):
        small.verify("small", pickles="always")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("library", "version", "sentence"),
    [
        ("scikit_learn", other(2), "scikit-learn {}, and {} is installed."),
        ("scikit_learn", sklearn.__version__ + "rc1", "scikit-learn {}, and {} is installed."),
        ("python", "3.5.1", "Python {}, and this is {}."),
        ("numpy", "1.26.4", "numpy {}, and {} is installed."),
    ],
)
def test_other_differences_are_warned_of(
    library: str, version: str, sentence: str, small: ModelStore
) -> None:
    now = getattr(small.manifest("small").libraries, library)
    edit_manifest(folder(small), "libraries", library, value=version)
    verified = small.verify("small", pickles="always")
    told = "small version 1 was trained with " + sentence.format(version, now)
    assert verified.warnings == (told,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small.load(verified).replay()


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("predictions", lambda found: found[::-1]),
        ("predictions", lambda found: found[:-1]),
        ("probabilities", lambda found: [[0.5, 0.5]] * len(found)),
        ("rows", lambda found: found[::-1]),
        ("rows", lambda found: [{"x9": 1.0} for _ in found]),
    ],
)
def test_a_pipeline_that_answers_otherwise_than_published_is_told(
    key: str, change: Callable[[Any], Any], small: ModelStore
) -> None:
    path = folder(small) / SAMPLE
    sample = json.loads(path.read_bytes())
    put(path, json.dumps({**sample, key: change(sample[key])}).encode())
    model = small.load(small.verify("small", pickles="always"))
    with pytest.raises(GoldenMismatch, match="small"):
        model.replay()


def test_another_pipeline_under_the_old_sample_is_told(small: ModelStore) -> None:
    swapped = LogisticRegression().fit(X, LABELS[::-1])
    put(folder(small) / ARTIFACT, formats.dump(swapped))
    with pytest.raises(GoldenMismatch, match="small version 1 answers golden row 0 with high, and"):
        small.load(small.verify("small", pickles="always")).replay()


# Leftovers -------------------------------------------------------------------


def leftover(store: ModelStore, age: float) -> Path:
    path = store.root / "small" / ".publishing-left"
    path.mkdir(parents=True)
    (path / ARTIFACT).write_bytes(b"half")
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def test_what_a_writer_left_is_invisible_and_swept_when_it_is_old(small: ModelStore) -> None:
    old = leftover(small, ABANDONED_AFTER + 60)
    file = small.root / "small" / ".publishing-aliases-left"
    file.write_bytes(b"{")
    os.utime(file, (0, 0))
    assert (small.models(), small.versions("small")) == (["small"], [1])
    assert publish_small(small).version == 2
    assert not old.exists()
    assert not file.exists()


def test_what_another_writer_is_writing_now_is_left_alone(small: ModelStore) -> None:
    young = leftover(small, ABANDONED_AFTER - 60)
    assert publish_small(small).version == 2
    assert (young / ARTIFACT).read_bytes() == b"half"


def test_a_writer_at_work_is_left_alone_whatever_the_clock_says(small: ModelStore) -> None:
    with files.temporary_folder(small.root / "small") as path:
        (path / ARTIFACT).write_bytes(b"half")
        os.utime(path, (0, 0))  # so old it is by a clock that was set forward
        assert publish_small(small).version == 2
        assert (path / ARTIFACT).read_bytes() == b"half"
    assert not path.exists()


def test_a_model_with_leftovers_only_is_not_there(empty: ModelStore) -> None:
    leftover(empty, 0)
    assert empty.models() == []
    with pytest.raises(ModelNotFound):
        empty.resolve("small")
    assert publish_small(empty).version == 1


# A store that cannot be written ----------------------------------------------


def test_on_a_full_disk_nothing_is_published(tmp_path: Path) -> None:
    with mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=64k", "tmpfs") as root:
        store = ModelStore(root)
        published = 0
        with pytest.raises(  # noqa: PT012
            StoreNotWritable, match=r"^The store .*/full cannot be written: No space left on device"
        ):
            while published < 100:
                publish_small(store)
                published += 1
        assert published > 0
        assert store.versions("small") == list(range(1, published + 1))
        listed = {".lock", HEAD, HISTORY, *map(str, store.versions("small"))}
        assert set(os.listdir(root / "small")) == listed
        for version in store.versions("small"):
            store.load(store.verify("small", version, pickles="always")).replay()
        with contextlib.suppress(OSError), (root / "fill").open("wb", buffering=0) as fill:
            while fill.write(b"0" * 4096):
                pass
        with pytest.raises(StoreNotWritable, match="No space left on device"):
            store.promote("small", 1)
        assert store.aliases("small") == {}
        assert not [name for name in os.listdir(root / "small") if "publishing" in name]


def test_a_read_only_store_is_read_and_not_written(small: ModelStore) -> None:
    publish_small(small)
    small.promote("small", 2)
    with mounted(small.root, "-o", "bind,ro", os.fspath(small.root)):
        small.load(small.verify("small", pickles="always")).replay()
        changes: list[Callable[[], object]] = [
            lambda: publish_small(small),
            lambda: publish_small(small, "another"),
            lambda: small.promote("small", 1),
            lambda: small.rollback("small"),
            lambda: small.remove("small", 1),
        ]
        for change in changes:
            with pytest.raises(
                StoreNotWritable, match=r"^The store .*models cannot be written: Read-only file sy"
            ):
                change()
        assert small.models() == ["small"]
        assert small.versions("small") == [1, 2]
        assert small.aliases("small") == {"champion": 2}


@pytest.mark.parametrize("place", ["models", "models/small"])
def test_a_file_where_a_folder_should_be_is_not_writable(place: str, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("a file")
    with pytest.raises(StoreNotWritable, match=r"^The store .*models cannot be written: "):
        publish_small(store)
    assert store.models() == []
    assert (tmp_path / place).read_text() == "a file"


# Errors ----------------------------------------------------------------------


def test_every_error_of_the_package_is_a_model_store_error() -> None:
    for error in (
        CorruptVersion,
        GoldenMismatch,
        IncompatibleVersion,
        InvalidName,
        InvalidPipeline,
        StoreNotWritable,
        VersionInUse,
    ):
        assert issubclass(error, ModelStoreError)
    assert issubclass(VersionNotFound, ModelNotFound)
    assert issubclass(GoldenMismatch, LoadFailed)


def test_a_store_shows_where_it_is(empty: ModelStore) -> None:
    assert repr(empty) == f"ModelStore({str(empty.root)!r})"


def test_the_artifact_is_plain_joblib(small: ModelStore) -> None:
    loaded = joblib.load(folder(small) / ARTIFACT)
    assert loaded.predict(X).tolist() == LABELS.tolist()


def test_a_manifest_is_made_for_a_person_to_read(small: ModelStore) -> None:
    text = (folder(small) / MANIFEST).read_text()
    assert text.startswith('{\n  "format": 2,\n  "name": "small",\n  "version": 1,\n')
    assert msgspec.json.decode(text, type=Manifest) == small.manifest("small")


def test_verified_holds_the_bytes_of_the_artifact(small: ModelStore) -> None:
    verified = small.verify("small", pickles="always")
    assert isinstance(verified, Verified)
    assert verified.artifact == (folder(small) / ARTIFACT).read_bytes()


def test_a_champion_whose_folder_was_removed_by_hand_is_said_and_can_be_replaced(
    small: ModelStore,
) -> None:
    small.promote("small", 1)
    shutil.copytree(small.root / "small" / "1", small.root / "small" / "2")
    shutil.rmtree(small.root / "small" / "1")
    with pytest.raises(VersionNotFound, match=r"^small has no version 1; there is 2\.$"):
        small.resolve("small")
    small.promote("small", 2)
    assert small.resolve("small") == 2


def test_a_head_that_is_no_file_is_refused_and_not_waited_for(small: ModelStore) -> None:
    (small.root / "small" / HEAD).unlink()
    os.mkfifo(small.root / "small" / HEAD)
    with pytest.raises(CorruptVersion, match="not a regular file"):
        small.resolve("small")


@pytest.mark.parametrize("name", ["..", "../small", "", "small/1"])
def test_aliases_are_read_of_models_only(name: str, small: ModelStore) -> None:
    with pytest.raises(ModelNotFound):
        small.aliases(name)


# What is done, and what is said -----------------------------------------------------


@pytest.fixture
def unsyncable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let the disk of a folder, and of what comes into it, fail whenever its names are synced."""

    def fail(folder: Path) -> None:
        before = os.fsync

        def fsync(handle: int) -> None:
            if os.path.realpath(f"/proc/self/fd/{handle}") == str(folder.resolve()):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            before(handle)

        monkeypatch.setattr(os, "fsync", fsync)

    return fail


DOUBT = (
    "but perhaps not safe from a loss of power yet: .* cannot be synced: No space left on device"
)


@pytest.mark.parametrize("above", [False, True])
def test_a_version_that_is_published_is_said_to_be(
    above: bool, small: ModelStore, unsyncable: Callable[[Path], None]
) -> None:
    unsyncable(small.root if above else small.root / "small")
    with pytest.raises(NotDurable, match=rf"^small version 2 is published, {DOUBT}\.$"):
        publish_small(small)
    assert small.versions("small") == [1, 2]
    small.load(small.verify("small", pickles="always")).replay()


def test_what_is_written_or_removed_is_said_to_be(
    small: ModelStore, unsyncable: Callable[[Path], None]
) -> None:
    publish_small(small)
    unsyncable(small.root / "small")
    with pytest.raises(NotDurable, match=rf"head\.json is written, {DOUBT}\.$"):
        small.promote("small", 1)
    assert small.resolve("small") == 1
    with pytest.raises(NotDurable, match=rf"^small version 2 is removed, {DOUBT}\.$"):
        small.remove("small", 2)
    assert small.versions("small") == [1]


def test_files_that_a_manifest_does_not_list_are_named(small: ModelStore) -> None:
    for name in ("notes.txt", "a\x1b[2J", ".publishing-manifest-x"):
        (folder(small) / name).write_text("more")
    [warning] = small.verify("small", pickles="always").warnings
    assert warning == (
        "The folder of small version 1 holds 'a\\x1b[2J', 'notes.txt', which its manifest does not "
        "list; nothing reads it."
    )

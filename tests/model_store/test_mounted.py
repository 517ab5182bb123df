"""A mounted folder as a store of one model, whatever it was called where it was published."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model_store import ModelStore
from model_store.errors import (
    CorruptVersion,
    InvalidName,
    ModelNotFound,
    ModelStoreError,
    NothingMounted,
    StoreNotWritable,
    Unsigned,
)
from model_store.manifest import MANIFEST
from model_store.metadata import Metadata
from model_store.mounted import MountedStore, find

from .test_signing import private, public

ROOT = Path(__file__).parents[2]


@pytest.fixture
def exam(bundled_root: Path, tmp_path: Path) -> Path:
    """A store of the exam alone, in two versions of which the first serves."""
    root = tmp_path / "store"
    shutil.copytree(bundled_root / "exam", root / "exam")
    store = ModelStore(root)
    shutil.copytree(root / "exam" / "1", root / "exam" / "2")
    path = root / "exam/2" / MANIFEST
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    store.promote("exam", 1)
    store.edit("exam", 1, Metadata(title="The exam"))
    return root


def looked(folder: Path, name: str = "other") -> MountedStore:
    store = MountedStore(folder, name)
    assert store.look()
    return store


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize(
    ("inside", "versions", "serves"),
    [("", [1, 2], 1), ("exam", [1, 2], 1), ("exam/2", [2], 2)],
    ids=["store", "model", "version"],
)
def test_a_folder_of_ours_is_served_under_the_name_that_is_given(
    inside: str, versions: list[int], serves: int, exam: Path
) -> None:
    before = contents(exam)
    store = looked(exam / inside)

    assert store.models() == store.folders() == ["other"]
    assert store.versions("other") == versions
    verified = store.verify("other")
    assert (verified.manifest.name, verified.manifest.version) == ("other", serves)
    model = store.load(verified)
    model.replay()
    assert store.reference("other") is not None
    with pytest.raises(ModelNotFound):
        store.verify("exam")
    assert contents(exam) == before


def test_a_model_is_served_as_its_head_says_and_followed(exam: Path) -> None:
    store = looked(exam / "exam")
    assert store.manifest("other").title == "The exam"
    assert store.aliases("other") == {"champion": 1}
    stamp = store.stamp("other")

    ModelStore(exam).promote("exam", 2)
    assert store.stamp("other") != stamp
    assert store.resolve("other") == 2
    assert [change.what for change in store.history("other")][-1] == "promote"


def test_of_several_models_the_one_of_the_name_is_served(bundled_root: Path) -> None:
    store = looked(bundled_root, "iris")
    assert store.models() == ["iris"]
    with pytest.raises(ModelNotFound, match=r"exam.*, and none that is called other; mount"):
        MountedStore(bundled_root, "other").look()


def test_nothing_is_changed_from_here(exam: Path) -> None:
    store = looked(exam / "exam")
    before = contents(exam)
    for change in (
        lambda: store.promote("other", 2),
        lambda: store.edit("other", 1, Metadata(title="No")),
        lambda: store.remove("other", 2),
        lambda: store.record("other", share=1),
        lambda: store.sign("other", 1, private()),
        lambda: store.publish("other", *_fitted()),
    ):
        with pytest.raises(StoreNotWritable, match="mounted"):
            change()
    assert contents(exam) == before


def _fitted() -> tuple[object, list[list[float]], list[float]]:
    from sklearn.linear_model import LinearRegression

    X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
    return LinearRegression().fit(X, y), X, y


def test_a_signature_holds_under_another_name(exam: Path) -> None:
    ModelStore(exam).sign("exam", 1, private())
    for folder in (exam / "exam", exam / "exam/1"):
        store = MountedStore(folder, "other", public_key=public())
        assert store.look()
        assert store.verify("other", 1).manifest.name == "other"

    store = MountedStore(exam / "exam/2", "other", public_key=public())
    assert store.look()
    with pytest.raises(Unsigned):
        store.verify("other")


def test_where_a_signature_is_required_nothing_is_imported(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"anything")
    with pytest.raises(Unsigned, match="no version of ours"):
        MountedStore(tmp_path, "other", public_key=public()).look()


def test_a_version_that_is_damaged_is_refused(exam: Path) -> None:
    path = exam / "exam/1/model.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(CorruptVersion, match="other version 1 is not what was published"):
        looked(exam / "exam/1").verify("other")


@pytest.mark.parametrize("file", ["model.joblib", "MLmodel", "config.json", "notes.txt"])
def test_what_is_not_ours_is_to_be_imported(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("anything")
    (tmp_path / "1").mkdir()
    store = MountedStore(tmp_path, "other")
    assert not store.look()
    assert store.models() == []
    assert store.stamp("other") is None


def test_a_folder_may_come_later(tmp_path: Path, exam: Path) -> None:
    folder = tmp_path / "models"
    store = MountedStore(folder, "other")
    with pytest.raises(NothingMounted, match="is not there"):
        store.look()
    folder.mkdir()
    (folder / "lost+found").mkdir()
    (folder / "..data").mkdir()
    with pytest.raises(NothingMounted, match="There is no model in the folder") as told:
        store.look()
    assert str(folder) not in str(told.value)

    shutil.rmtree(folder)
    folder.symlink_to(exam / "exam")  # as a platform does whose models are images
    assert store.look()
    assert store.verify("other").manifest.version == 1


def test_a_manifest_that_is_none_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(ModelStoreError):
        find(tmp_path, "other")


def test_a_file_in_place_of_the_folder_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(CorruptVersion, match="cannot be read: Not a directory"):
        find(tmp_path / "models", "other")


@pytest.mark.process
@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_folder_that_may_not_be_read_ends_in_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from model_store.mounted import find\n"
        "os.setresuid(10001, 10001, 10001)\n"
        "try: find(Path(sys.argv[2]), 'other')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (
        "CorruptVersion The folder of the model cannot be read: Permission denied.\n"
    )


def test_the_name_is_one_of_a_model(tmp_path: Path) -> None:
    with pytest.raises(InvalidName):
        MountedStore(tmp_path, "../x")

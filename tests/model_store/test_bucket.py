"""A store in a bucket: as one in a folder, with several writers, killed ones, and a bucket that is
out of reach. Most of it on obstore's store in memory; the wire is moto's server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import obstore
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from obstore.store import MemoryStore
from sklearn.neighbors import KNeighborsClassifier

from model_store import Manifest, ModelStore, bucket
from model_store.bucket import BucketStore
from model_store.errors import (
    CorruptVersion,
    ModelNotFound,
    StoreNotWritable,
    Unsigned,
    VersionInUse,
    VersionNotFound,
)
from model_store.metadata import Metadata
from model_store.objects import Found, Objects, Tag
from model_store.signing import PublicKey
from quart_app.config import Config
from quart_app.serving.follower import Follower
from quart_app.serving.registry import Registry
from quart_app.startup import start_up

from ..conftest import serving
from .conftest import LABELS, NUMBERS, X, publish_small, regressor

T = TypeVar("T")


class Killed(BaseException):
    """The writer was killed."""


class Wire(Objects):
    """Objects whose wire is cut, or whose program is killed before it writes for the `kill_at`-th
    time, or that lose the answers to what they write and so write it again."""

    is_cut = False
    cut_from: str | None = None
    kill_at: int | None = None
    loses_answers = False

    def _asked(self, ask: Callable[[], T]) -> T:
        def cut() -> T:
            raise OSError("The wire is cut.")

        return super()._asked(cut if self.is_cut else ask)

    def get(self, key: str, limit: int, unlike: Tag | None = None) -> Found | None:
        was_cut, self.is_cut = self.is_cut, self.is_cut or (self.cut_from or "\0") in key
        try:
            return super().get(key, limit, unlike)
        finally:
            self.is_cut = was_cut

    def _write(self, write: Callable[[], T]) -> T:
        if self.kill_at is not None:
            self.kill_at -= 1
            if self.kill_at < 0:
                raise Killed
        if self.loses_answers:
            write()
        return write()

    def create(self, key: str, data: bytes) -> Tag:
        create = super().create
        return self._write(lambda: create(key, data))

    def replace(self, key: str, data: bytes, tag: Tag) -> Tag:
        replace = super().replace
        return self._write(lambda: replace(key, data, tag))

    def put(self, key: str, data: bytes) -> None:
        put = super().put
        self._write(lambda: put(key, data))

    def wake(self) -> None:
        """Let the moment be over in which nothing is asked after a failure."""
        self._asleep_until = 0.0


MakeStore = Callable[..., BucketStore]


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def make(memory: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeStore:
    """Stores at one bucket, each like that of another machine."""
    monkeypatch.setattr("model_store.head_objects.FRESH", 0.0)

    def made(machine: str = "one", **options: Any) -> BucketStore:
        return BucketStore(Wire(memory), tmp_path / machine, place="s3://models/here", **options)

    return made


def wire_of(store: BucketStore) -> Wire:
    wire = store._objects
    assert isinstance(wire, Wire)
    return wire


def proven(store: ModelStore, name: str = "small") -> list[int]:
    """The versions of a model, each verified and loaded as it is."""
    versions = store.versions(name)
    for version in versions:
        store.load(store.verify(name, version)).replay()
    return versions


def publish_pickle(store: ModelStore) -> Manifest:
    """Without a plain form, which takes a while to prove."""
    pipeline = KNeighborsClassifier(1, metric="canberra").fit(X, LABELS)
    return store.publish("small", pipeline, X, LABELS)


def lived(store: ModelStore) -> list[Any]:
    """What a store says at each step of a model's life."""
    told: list[Any] = []
    for error, act in (
        (ModelNotFound, lambda: store.versions("small")),
        (None, lambda: publish_small(store).version),
        (None, lambda: store.publish("small", regressor(), X, NUMBERS, why="better").version),
        (None, lambda: store.resolve("small")),
        (None, lambda: store.promote("small", 1, who="ann")),
        (None, lambda: store.promote("small", 2, "next")),
        (VersionInUse, lambda: store.remove("small", 2)),
        (None, lambda: store.challenge("small", 2, "shadow", share=0.5).version),
        (None, lambda: store.stop("small").version),
        (None, lambda: store.edit("small", 2, Metadata(title="Second")).revision),
        (None, lambda: store.promote("small", "next")),
        (None, lambda: store.rollback("small")),
        (None, lambda: publish_small(store).version),
        (None, lambda: store.remove("small", 3)),
        (VersionNotFound, lambda: store.manifest("small", 3)),
        (None, lambda: publish_small(store).version),
        (None, lambda: publish_small(store, "other").version),
        (None, lambda: (store.models(), store.versions("small"), store.aliases("small"))),
        (None, lambda: store.manifest("small", "next").title),
        (None, lambda: (proven(store), proven(store, "other"))),
        (None, lambda: store.remove("other", 1)),
        (None, lambda: store.models()),
        (ModelNotFound, lambda: store.manifest("other")),
    ):
        if error is None:
            told.append(act())
        else:
            with pytest.raises(error) as raised:
                act()
            told.append(str(raised.value))
    changes = store.history("small")
    told += [(each.what, each.version, each.before, each.alias, each.why) for each in changes]
    told += [each.generation for each in changes]
    return told


def test_a_bucket_lives_as_a_folder_does(make: MakeStore, tmp_path: Path) -> None:
    expected = lived(ModelStore(tmp_path / "folder"))
    assert lived(make()) == expected
    # Another machine sees the same.
    other = make("two")
    assert other.models() == ["small"]
    assert proven(other) == [1, 2, 4]
    assert other.manifest("small", 2).title == "Second"


def test_writes_whose_answers_were_lost_are_done_once(make: MakeStore, tmp_path: Path) -> None:
    store = make()
    wire_of(store).loses_answers = True
    assert lived(store) == lived(ModelStore(tmp_path / "folder"))


def test_writers_at_once_get_a_version_each_and_every_change_is_told(make: MakeStore) -> None:
    failed: list[BaseException] = []

    def work(store: BucketStore) -> None:
        try:
            for _ in range(3):
                store.promote("small", publish_pickle(store).version)
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=work, args=(make(f"writer {i}"),)) for i in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failed == []
    store = make("reader")
    assert proven(store) == list(range(1, 10))
    changes = store.history("small")
    assert [each.generation for each in changes] == list(range(1, 19))
    assert sorted(each.version or 0 for each in changes if each.what == "publish") == list(
        range(1, 10)
    )


@pytest.mark.process
def test_a_writer_that_is_killed_at_any_step_leaves_only_whole_versions(make: MakeStore) -> None:
    publish_pickle(make())
    seen = [1]
    for step in range(30):
        writer = make()
        wire_of(writer).kill_at = step
        try:
            publish_pickle(writer)
        except Killed:
            found = proven(make("reader"))
            assert found in (seen, [*seen, found[-1]])
            seen = found
        else:
            break
    assert step > 5  # claim, files, manifest, head, history
    reader = make("reader")
    assert proven(reader)[: len(seen)] == seen
    assert len(set(seen)) == len(seen)
    assert reader.models() == ["small"]
    told = [each.version for each in reader.history("small") if each.what == "publish"]
    assert told == reader.versions("small")


def test_what_a_killed_writer_left_is_cleared_away_and_its_number_not_used(
    make: MakeStore, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make()
    wire_of(writer).kill_at = 3
    with pytest.raises(Killed):
        publish_small(writer)
    store = make()
    assert publish_small(store).version == 2
    keys = {each["path"] for page in obstore.list(memory) for each in page}
    assert any(key.startswith("small/1/") for key in keys)  # perhaps it is still at work
    monkeypatch.setattr(bucket, "ABANDONED", timedelta(-1))
    assert publish_small(store).version == 3
    keys = {each["path"] for page in obstore.list(memory) for each in page}
    assert not any(key.startswith("small/1/") or key == "small/.claims/1" for key in keys)
    assert proven(store) == [2, 3]


# The cache -----------------------------------------------------------------------

DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a manifest": lambda folder: (folder / "manifest.json").write_bytes(b"{}"),
    "a manifest that is gone": lambda folder: (folder / "manifest.json").unlink(),
    "a file": lambda folder: (folder / "model.bin").write_bytes(b"x"),
    "a file that is cut off": lambda folder: os.truncate(folder / "sample.json", 3),
    "a file that is gone": lambda folder: (folder / "model.json").unlink(),
    "a link": lambda folder: os.symlink(folder.rename(folder.parent / "its"), folder),
    "all of it": lambda folder: folder.rename(folder.parent / "its"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_taken_anew_from_the_bucket(damage: str, make: MakeStore) -> None:
    publish_small(make())
    reader = make("two")
    proven(reader)
    folder = reader.root / "small" / "1"
    DAMAGE[damage](folder)
    assert proven(reader) == [1]
    assert not folder.is_symlink()
    DAMAGE["a file"](folder)
    assert proven(make("two")) == [1]


def test_a_damaged_bucket_is_told_and_serves_nothing_wrong(
    make: MakeStore, memory: MemoryStore
) -> None:
    publish_small(make())
    obstore.put(memory, "small/1/model.bin", b"x")
    with pytest.raises(CorruptVersion, match=r"model\.bin of small version 1 is not in the bucket"):
        make("two").verify("small")
    obstore.put(memory, "small/1/manifest.json", b"{}")
    with pytest.raises(CorruptVersion):
        make("three").verify("small")
    obstore.put(memory, "small/head.json", b"{")
    with pytest.raises(CorruptVersion, match=r"head\.json cannot be read"):
        make("four").versions("small")


@pytest.mark.parametrize("file", ["../../evil", "a/b", ".", "..", "/etc/x", "", "manifest.json"])
def test_no_manifest_writes_beside_its_folder(
    file: str, make: MakeStore, memory: MemoryStore, tmp_path: Path
) -> None:
    publish_small(make())
    found = msgspec.json.decode(bytes(obstore.get(memory, "small/1/manifest.json").bytes()))
    found["files"][file] = found["files"].pop("model.bin")
    obstore.put(memory, "small/1/manifest.json", msgspec.json.encode(found))
    with pytest.raises(CorruptVersion, match="which is no file"):
        make("two").verify("small")
    assert not [*tmp_path.rglob("evil")]


def test_a_version_that_is_removed_leaves_bucket_and_caches(
    make: MakeStore, memory: MemoryStore
) -> None:
    store, reader = make(), make("two")
    for _ in range(2):
        publish_small(store)
    proven(reader)
    store.remove("small", 1)
    assert not [each for page in obstore.list(memory, prefix="small/1/") for each in page]
    assert reader.versions("small") == [2]
    publish_small(store)
    proven(reader)
    assert not (reader.root / "small" / "1").exists()


def test_the_cache_has_room_for_what_serves_and_was_used_last(make: MakeStore) -> None:
    writer = make()
    for _ in range(4):
        publish_small(writer)
    writer.promote("small", 2)
    proven(writer)
    size = sum(file.stat().st_size for file in (writer.root / "small/2").iterdir())
    reader = make("two", room=int(3.5 * size))

    def cached() -> list[str]:
        return sorted(path.name for path in (reader.root / "small").iterdir() if path.is_dir())

    for version, expected in (
        (2, ["2"]),
        (1, ["1", "2"]),
        (3, ["1", "2", "3"]),
        (1, ["1", "2", "3"]),
        (4, ["1", "2", "4"]),  # 2 is older, and serves
        (3, ["2", "3", "4"]),
    ):
        reader.load(reader.verify("small", version)).replay()
        assert cached() == expected
        time.sleep(0.02)  # the clock of files is coarse
    reader = make("three", room=1)
    assert proven(reader) == [1, 2, 3, 4], "what is larger than the room alone is used and goes"
    assert (reader.root / "small/4").exists()


# Out of reach --------------------------------------------------------------------


def test_what_was_read_is_there_while_the_bucket_is_out_of_reach(make: MakeStore) -> None:
    writer, reader = make(), make("two")
    publish_small(writer)
    proven(reader)
    stamp, index = reader.stamp("small"), reader.index()
    publish_small(writer, "unseen")
    # The same process, and one that starts now.
    started = make("two")
    for store in (reader, started):
        assert store.is_reachable
        wire_of(store).is_cut = True
    for store in (started, reader):
        assert (store.stamp("small"), store.index()) == (stamp, index)
        assert store.models() == ["small"]
        assert proven(store) == [1]
        assert (store.is_reachable, store.failures) == (False, 1)
        with pytest.raises(ModelNotFound):  # nothing was heard of it
            store.verify("unseen")
        for change in (
            lambda store: store.promote("small", 1),
            publish_small,
            lambda store: store.remove("small", 1),
        ):
            with pytest.raises(StoreNotWritable, match=r"s3://models/here cannot be written"):
                change(store)
    for store in (started, reader):
        wire_of(store).is_cut = False
        wire_of(store).wake()
        assert store.models() == ["small", "unseen"]
        assert store.is_reachable
        assert proven(store, "unseen") == [1]


def test_a_bucket_out_of_reach_is_asked_seldom(make: MakeStore) -> None:
    store = make()
    publish_small(store)
    wire_of(store).is_cut = True
    for _ in range(20):
        store.stamp("small")
        store.versions("small")
    assert store.failures == 1


async def test_a_server_follows_a_bucket_and_serves_on_while_it_is_out_of_reach(
    make: MakeStore, tmp_path: Path
) -> None:
    publisher, followed = make("publisher"), make("server")
    publish_small(publisher)
    registry = Registry(followed, Config.read({}, MODEL_STORE=tmp_path))
    registry.entry("small")
    await registry.load("small")
    registry.started.set()
    follower = Follower(registry, 1)
    await follower.look()

    def served() -> int | None:
        servable = registry.loaded("small")
        return None if servable is None else servable.manifest.version

    try:
        publish_small(publisher)
        await follower.look()
        assert served() == 2
        publisher.promote("small", 1)
        wire_of(followed).is_cut = True
        await follower.look()
        assert served() == 2
        wire_of(followed).is_cut = False
        wire_of(followed).wake()
        await follower.look()
        assert served() == 1
        # The head is read, and the files of the new version are not: the next look tries again.
        publisher.promote("small", publish_small(publisher).version)
        wire_of(followed).cut_from = "/3/"
        await follower.look()
        assert served() == 1
        assert "cannot be reached" in str(registry.entries["small"].update)
        wire_of(followed).cut_from = None
        wire_of(followed).wake()
        await follower.look()
        assert served() == 3
        # So of a model that is new.
        publish_small(publisher, "other")
        wire_of(followed).cut_from = "other/1/"
        for _ in range(2):
            await follower.look()
            assert registry.loaded("other") is None
        wire_of(followed).cut_from = None
        wire_of(followed).wake()
        await follower.look()
        assert registry.loaded("other") is not None
    finally:
        await registry.close()


async def test_a_server_that_starts_without_its_bucket_serves_once_it_is_there(
    make: MakeStore, tmp_path: Path
) -> None:
    publish_small(make("publisher"))
    followed = make("server")
    wire_of(followed).is_cut = True
    registry = Registry(followed, Config.read({}, MODEL_STORE=tmp_path))
    following = asyncio.create_task(Follower(registry, 0.05).run())
    try:
        await start_up(registry, Config.read({}, MODEL_STORE=tmp_path, RECIPES=""))
        assert registry.loaded("small") is None
        wire_of(followed).is_cut = False
        wire_of(followed).wake()
        for _ in range(600):
            if registry.loaded("small") is None:
                await asyncio.sleep(0.05)
        assert registry.loaded("small") is not None
    finally:
        following.cancel()
        await registry.close()


# Signatures ----------------------------------------------------------------------


def test_versions_in_a_bucket_are_signed_there(make: MakeStore) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    store = make()
    publish_small(store)
    public_key = PublicKey.read(pem.decode())
    strict, lenient = make("two", public_key=public_key), make("three")
    proven(lenient)
    with pytest.raises(Unsigned):
        strict.verify("small")
    assert not (strict.root / "small" / "1").exists()
    store.sign("small", 1, private)
    for reader in (strict, make("three", public_key=public_key)):
        assert proven(reader) == [1]
    publish_small(store)
    with pytest.raises(Unsigned):
        strict.verify("small")


# The wire ------------------------------------------------------------------------


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto's server, with the bucket `models`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "ann",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with urllib.request.urlopen(urllib.request.Request(f"{url}/models", method="PUT")):
        pass
    yield server
    server.stop()


@pytest.mark.process
def test_commands_and_a_server_take_a_bucket_for_a_folder(s3: Any, tmp_path: Path) -> None:
    settings = {"QUART_APP_MODEL_STORE": "s3://models/here", "QUART_APP_RECIPES": ""}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "quart_app", *arguments],
            cwd=tmp_path,
            env=os.environ | settings | {"PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("models", "train", "exam")
    assert run("models", "list").startswith("Models in s3://models/here\n")
    # Two programs at once.
    stores = [BucketStore.open("s3://models/here", tmp_path / f"{i}") for i in range(2)]
    threads = [threading.Thread(target=publish_pickle, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert proven(BucketStore.open("s3://models/here", tmp_path / "2")) == [1, 2]
    with serving(cwd=tmp_path, **settings) as server:
        server.wait_until_ready()
        ask = "/models/exam/predict?X1=61.1&X2=17.3"

        def get(path: str) -> bytes:
            with urllib.request.urlopen(server.url + path, timeout=60) as answer:
                return bytes(answer.read())

        assert b'"version":1' in get(ask)
        assert b"\nquart_app_store_reachable 1.0\n" in get("/metrics")
        s3.stop()
        deadline = time.monotonic() + 20
        while b"\nquart_app_store_reachable 1.0\n" in get("/metrics"):
            assert time.monotonic() < deadline
            assert b'"version":1' in get("/models/exam")
        assert b'"version":1' in get(ask)
        told = get("/metrics")
        assert b"\nquart_app_store_reachable 0.0\n" in told
        assert b"\nquart_app_store_failures_total 0.0\n" not in told

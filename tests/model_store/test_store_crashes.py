"""Several real processes at one store, killed at any moment, and a disk that takes no more."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
from sklearn.neighbors import KNeighborsClassifier

from model_store import Manifest, ModelStore
from model_store.errors import StoreNotWritable, VersionNotFound

from .conftest import LABELS, X

pytestmark = pytest.mark.process

KILLS = 50
SECONDS = 15
"""At most so long are writers killed, however few were on a slow machine."""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that start in milliseconds: forked from one that has scikit-learn imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "model_store.draft", "model_store.inspection"])
    with pytest.MonkeyPatch.context() as patch:
        # A process with one thread can be forked in safety.
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")
        first = context.Process(target=int)
        first.start()
        first.join()
    return context


def publish_pickle(store: ModelStore) -> Manifest:
    """Without a plain form: to prove one takes longer than most writers live here."""
    pipeline = KNeighborsClassifier(1, metric="canberra").fit(X, LABELS)
    return store.publish("small", pipeline, X, LABELS)


def run_together(
    context: ForkServerContext, *jobs: tuple[Callable[..., None], tuple[object, ...]]
) -> None:
    """Run these at once and wait; each must end well."""
    running = [context.Process(target=target, args=args) for target, args in jobs]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * len(running)


def note(path: Path, number: int) -> None:
    """Add a line that a kill cannot tear."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"%d\n" % number)
    os.close(handle)


def noted(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def publish_often(root: Path, log: Path, rounds: int) -> None:
    for _ in range(rounds):
        note(log, publish_pickle(ModelStore(root)).version)


def publish_for_ever(root: Path, log: Path) -> None:
    while True:
        publish_often(root, log, 1)


def promote_for_ever(root: Path, log: Path) -> None:
    store = ModelStore(root)
    while True:
        for version in store.versions("small"):
            store.promote("small", version)
            note(log, version)


def promote_often(root: Path, alias: str, rounds: int) -> None:
    store = ModelStore(root)
    for i in range(rounds):
        store.promote("small", 1 + i % 2, f"{alias}{i}")


def remove_the_highest(root: Path, log: Path, rounds: int) -> None:
    store = ModelStore(root)
    for _ in range(rounds):
        note(log, store.remove("small", store.versions("small")[-1]))


def promote_or_remove(root: Path, log: Path, promote: bool) -> None:
    """Give version after version an alias, or take it away; only one of both can succeed."""
    store = ModelStore(root)
    for version in range(1, 21):
        try:
            if promote:
                store.promote("small", version, f"v{version}")
            else:
                store.remove("small", version)
            note(log, version)
        except Exception as error:
            if type(error).__name__ not in {"VersionNotFound", "VersionInUse"}:
                raise


def publish_with_a_limit(root: Path, log: Path, size: int) -> None:
    """Publish where no file may grow beyond `size` bytes, as on a disk that is almost full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    with pytest.raises(StoreNotWritable, match=r"^The store .* cannot be written: File too large"):
        publish_pickle(ModelStore(root))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    note(log, size)


def assert_whole(store: ModelStore) -> None:
    """Every version that can be seen is whole."""
    for version in store.versions("small"):
        verified = store.verify("small", version)
        assert verified.manifest.version == version
    store.load(verified).replay()


def leftovers(store: ModelStore) -> list[Path]:
    return sorted((store.root / "small").glob(".publishing-*"))


def sweep(store: ModelStore) -> None:
    """Make all leftovers old, and publish once more."""
    for path in leftovers(store):
        os.utime(path, (0, 0))
    publish_pickle(store)


def test_publishers_at_once_never_share_a_number(
    processes: ForkServerContext, empty: ModelStore, tmp_path: Path
) -> None:
    logs = [tmp_path / f"log{i}" for i in range(3)]
    run_together(processes, *((publish_often, (empty.root, log, 40)) for log in logs))
    told = [noted(log) for log in logs]
    assert all(numbers == sorted(numbers) for numbers in told)
    assert (
        sorted(number for numbers in told for number in numbers)
        == empty.versions("small")
        == list(range(1, 121))
    )
    assert_whole(empty)
    assert leftovers(empty) == []


def kill_at_random(
    context: ForkServerContext, *jobs: tuple[Callable[..., None], tuple[object, ...]]
) -> int:
    """Run these at once, and kill and restart one after the other; return how often."""
    draw = random.Random()

    def started(job: tuple[Callable[..., None], tuple[object, ...]]) -> ForkServerProcess:
        process = context.Process(target=job[0], args=job[1])
        process.start()
        return process

    running = [started(job) for job in jobs]
    end = time.monotonic() + SECONDS
    kills = 0
    while kills < KILLS and time.monotonic() < end:
        time.sleep(draw.uniform(0.02, 0.3))
        i = kills % len(jobs)
        assert running[i].exitcode is None, "a writer ended by itself"
        running[i].kill()
        running[i].join()
        kills += 1
        running[i] = started(jobs[i])
    for process in running:
        process.kill()
        process.join()
    return kills


def test_killed_publishers_leave_only_whole_versions(
    processes: ForkServerContext, empty: ModelStore, tmp_path: Path
) -> None:
    logs = [tmp_path / "log0", tmp_path / "log1"]
    kills = kill_at_random(processes, *((publish_for_ever, (empty.root, log)) for log in logs))
    assert kills >= 12
    versions = empty.versions("small")
    assert versions == list(range(1, len(versions) + 1))
    told = [number for log in logs for number in noted(log)]
    assert len(set(told)) == len(told), "a number was used twice"
    assert set(told) <= set(versions), "a version that was told is gone"
    assert len(versions) - len(told) <= kills + 2
    assert_whole(empty)
    assert empty.models() == ["small"]
    sweep(empty)
    assert leftovers(empty) == []
    assert empty.versions("small") == [*versions, len(versions) + 1]


def test_killed_promoters_leave_aliases_that_can_be_read(
    processes: ForkServerContext, empty: ModelStore, tmp_path: Path
) -> None:
    for _ in range(3):
        publish_pickle(empty)
    logs = [tmp_path / "log0", tmp_path / "log1"]
    kills = kill_at_random(processes, *((promote_for_ever, (empty.root, log)) for log in logs))
    assert kills >= 12
    assert min(len(noted(log)) for log in logs) > 0
    assert empty.aliases("small").keys() == {"champion"}
    assert empty.resolve("small") in {1, 2, 3}
    assert empty.promote("small", 2) == 2, "the lock of a killed one is free"
    sweep(empty)
    assert leftovers(empty) == []


def test_promotions_of_different_aliases_at_once_lose_none(
    processes: ForkServerContext, empty: ModelStore
) -> None:
    publish_pickle(empty)
    publish_pickle(empty)
    run_together(processes, *((promote_often, (empty.root, alias, 60)) for alias in "abc"))
    assert empty.aliases("small") == {
        f"{alias}{i}": 1 + i % 2 for alias in "abc" for i in range(60)
    }
    assert leftovers(empty) == []


def test_numbers_are_not_used_again_while_the_highest_are_removed(
    processes: ForkServerContext, empty: ModelStore, tmp_path: Path
) -> None:
    for _ in range(20):
        publish_pickle(empty)
    logs = [tmp_path / name for name in ("first", "second", "removed")]
    run_together(
        processes,
        (publish_often, (empty.root, logs[0], 30)),
        (publish_often, (empty.root, logs[1], 30)),
        (remove_the_highest, (empty.root, logs[2], 18)),
    )
    published = noted(logs[0]) + noted(logs[1])
    assert sorted(published) == list(range(21, 81))
    removed = noted(logs[2])
    assert len(set(removed)) == 18
    assert empty.versions("small") == sorted({*range(1, 81)} - set(removed))
    assert_whole(empty)


def test_an_alias_never_names_a_version_that_was_removed_at_the_same_time(
    processes: ForkServerContext, empty: ModelStore, tmp_path: Path
) -> None:
    for _ in range(21):
        publish_pickle(empty)
    named, removed = tmp_path / "named", tmp_path / "removed"
    run_together(
        processes,
        (promote_or_remove, (empty.root, named, True)),
        (promote_or_remove, (empty.root, removed, False)),
    )
    assert sorted(noted(named) + noted(removed)) == list(range(1, 21))
    assert set(empty.aliases("small").values()) == set(noted(named))
    for version in noted(named):
        assert empty.resolve("small", f"v{version}") == version
    for version in noted(removed):
        with pytest.raises(VersionNotFound):
            empty.resolve("small", version)


def test_a_file_that_cannot_grow_publishes_nothing(
    processes: ForkServerContext, small: ModelStore, tmp_path: Path
) -> None:
    log = tmp_path / "refused"
    sizes = [0, 1, 100, 500]
    run_together(processes, *((publish_with_a_limit, (small.root, log, size)) for size in sizes))
    assert sorted(noted(log)) == sizes
    assert small.versions("small") == [1]
    assert leftovers(small) == []
    assert_whole(small)

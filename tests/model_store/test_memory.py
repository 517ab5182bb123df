"""How much memory there is, as the system says it, and errors that say there was none."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from model_store import formats
from model_store.importer import ImportRequest
from model_store.isolated import MEGABYTES, SECONDS, Limits
from model_store.memory import MEGABYTE, is_out_of_memory, memory_here

MACHINE = {"proc/meminfo": "MemTotal:        8388608 kB\nMemFree: 1 kB\n"}
GIGABYTE = 1024 * MEGABYTE


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MACHINE, 8 * GIGABYTE),
        ({"proc/meminfo": "MemTotal: much"}, None),
        (
            MACHINE | {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "536870912\n"},
            GIGABYTE // 2,
        ),
        (
            MACHINE
            | {
                "proc/self/cgroup": "0::/user/inner\n",
                "sys/fs/cgroup/user/inner/memory.max": "max\n",
                "sys/fs/cgroup/user/memory.max": str(GIGABYTE),
                "sys/fs/cgroup/memory.max": str(2 * GIGABYTE),
            },
            GIGABYTE,
        ),
        (
            MACHINE
            | {
                "proc/self/cgroup": "3:cpu,cpuacct:/a\n2:memory:/a\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": str(GIGABYTE),
            },
            GIGABYTE,
        ),
        (
            MACHINE
            | {
                "proc/self/cgroup": "2:memory:/",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            8 * GIGABYTE,
        ),
    ],
    ids=["unknown", "machine", "odd", "v2", "v2 within others", "v1", "v1 without a limit"],
)
def test_the_memory_is_that_of_the_machine_or_of_the_group_if_that_is_less(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    assert memory_here(system(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("std::bad_alloc"), True),
        (ValueError("could not allocate 276544 bytes"), True),
        (OSError(errno.ENOMEM, "no"), True),
        (OSError(errno.ENOENT, "no"), False),
        (ValueError("the column memory is not known"), False),
    ],
    ids=str,
)
def test_what_says_that_there_was_no_memory_is_known_also_as_a_cause(
    error: Exception, expected: bool
) -> None:
    assert is_out_of_memory(error) is expected
    outer = ValueError("it does not come back")
    outer.__cause__ = error
    assert is_out_of_memory(outer) is expected


class Large:
    """Has no room to be pickled."""

    def __getstate__(self) -> object:
        raise MemoryError


def test_a_pipeline_that_there_is_no_room_to_pickle_is_not_called_one_that_cannot_be() -> None:
    with pytest.raises(MemoryError):
        formats.dump(Large())


def fitting(path: Path, beginning: bytes, megabytes: int) -> Limits:
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(megabytes * MEGABYTE)
    return Limits.fitting(ImportRequest(name="m", files=(str(path),)))


def test_limits_follow_the_size_of_the_files_and_what_the_machine_has(tmp_path: Path) -> None:
    here = memory_here()
    assert here is not None
    small = fitting(tmp_path / "small.pkl", b"\x80", 1)
    assert small.seconds == SECONDS + 2
    assert small.megabytes <= MEGABYTES
    large = fitting(tmp_path / "large.pkl", b"\x80", 136)
    assert large.megabytes == min(32 * 136, int(0.9 * here) // MEGABYTE)
    packed = fitting(tmp_path / "packed.pkl", b"\x1f", 30)
    assert packed.megabytes == min(160 * 30, int(0.9 * here) // MEGABYTE)
    assert large.seconds > packed.seconds > small.seconds
    huge = fitting(tmp_path / "huge.pkl", b"\x80", 10**6)
    assert huge.megabytes == int(0.9 * here) // MEGABYTE


def test_a_folder_counts_with_all_its_files_and_what_is_not_there_with_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "model").mkdir()
    fitting(tmp_path / "model" / "a", b"\x80", 100)
    whole = Limits.fitting(ImportRequest(name="m", files=(str(tmp_path / "model"),)))
    assert whole.seconds == SECONDS + 200
    absent = Limits.fitting(ImportRequest(name="m", files=(str(tmp_path / "none"),)))
    assert absent.seconds == SECONDS


def test_limits_that_are_given_are_kept() -> None:
    order = ImportRequest(name="m", files=("none.pkl",))
    assert Limits.fitting(order, 3, 300) == Limits(3, 300)

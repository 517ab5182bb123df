"""The cage: what is refused in it, really tried, and what goes on working."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import pwd
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from model_store import ModelStore, cage, files
from model_store.cage import ALLOW, KILL, MACHINES, REFUSE, UNKNOWN, Instruction, Kernel, Machine

from . import attempts

ROOT: Final = Path(__file__).parent.parent.parent
HERE: Final = Kernel.here()
WHOLE: Final = Kernel("linux", "x86_64", landlock=7, seccomp=True)

whole_cage = pytest.mark.skipif(bool(HERE.lacks), reason=" ".join(HERE.lacks))


# What is tried -------------------------------------------------------------------


def tried(folder: Path, kernel: dict[str, Any] | None) -> tuple[list[str], dict[str, str]]:
    """What the cage lacks, and how each attempt ends in a cage of this kernel, or in none."""
    own, outside, home, cwd = (folder / name for name in ("own", "outside", "home", "cwd"))
    for each in (own, outside / "empty", home, cwd):
        each.mkdir(parents=True)
    for name in ("victim", "second", "third", "fourth"):
        (outside / name).write_text(name)
    (own / "mine").write_text("mine")
    ended = subprocess.run(
        [
            *(sys.executable, "-P", attempts.__file__, cage.__file__),
            *(str(own), str(outside), json.dumps(kernel)),
        ],
        cwd=cwd,
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    return found["lacks"], found["ended"]


def contents(folder: Path) -> dict[str, Any]:
    """Everything in a folder that a file could change, but for when it was read."""
    found = {}
    for path in sorted(folder.rglob("*")):
        at = path.lstat()
        data = path.read_text() if path.is_file() else None
        found[str(path)] = (data, at.st_mode, at.st_uid, at.st_mtime_ns, at.st_nlink)
    return found


REFUSALS: Final = {"EACCES", "EPERM", "ENOSYS", "EXDEV"}


@pytest.fixture(scope="module")
def in_the_cage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("caged")
    lacks, ended = tried(folder, {})
    assert lacks == []
    assert sorted(contents(folder / "outside")) == [
        str(folder / "outside" / name) for name in ("empty", "fourth", "second", "third", "victim")
    ]
    assert contents(folder / "home") == contents(folder / "cwd") == {}
    return ended


@pytest.mark.process
@whole_cage
@pytest.mark.parametrize("name", attempts.ATTEMPTS)
def test_it_is_refused_in_the_cage(name: str, in_the_cage: dict[str, str]) -> None:
    assert in_the_cage[name] in REFUSALS


@pytest.mark.process
@whole_cage
def test_every_call_of_the_list_is_refused_in_the_cage(in_the_cage: dict[str, str]) -> None:
    calls = {name: how for name, how in in_the_cage.items() if name.startswith("the call ")}
    assert len(calls) > 100
    assert {name for name, how in calls.items() if how not in REFUSALS} == set()


@pytest.mark.process
@whole_cage
def test_threads_reading_and_the_own_folder_are_left(in_the_cage: dict[str, str]) -> None:
    assert {in_the_cage[name] for name in attempts.STAYS} == {"done"}


@pytest.mark.process
def test_without_a_cage_the_same_attempts_succeed(tmp_path: Path) -> None:
    _, ended = tried(tmp_path, None)
    assert len(ended) > 30
    assert {name for name, how in ended.items() if how != "done"} == set()


FILES_AND_PROGRAMS: Final = {attempts.CHANGES, attempts.PROGRAMS}


@pytest.mark.process
@whole_cage
@pytest.mark.parametrize(
    ("kernel", "groups", "stays"),
    [
        ({"landlock": 0}, {*FILES_AND_PROGRAMS, attempts.ATTRIBUTES, attempts.NETWORK}, False),
        ({"landlock": 1}, {*FILES_AND_PROGRAMS, attempts.ATTRIBUTES, attempts.NETWORK}, False),
        ({"landlock": 3}, {*FILES_AND_PROGRAMS, attempts.ATTRIBUTES, attempts.NETWORK}, True),
        ({"seccomp": False}, FILES_AND_PROGRAMS, True),
        ({"machine": "riscv64"}, FILES_AND_PROGRAMS, True),
    ],
)
def test_where_a_part_is_missing_the_rest_holds(
    kernel: dict[str, Any], groups: set[str], stays: bool, tmp_path: Path
) -> None:
    lacks, ended = tried(tmp_path, kernel)
    assert lacks == list(dataclasses.replace(HERE, **kernel).lacks)
    open_to = {
        name
        for name, each in attempts.ATTEMPTS.items()
        if each.group in groups and ended[name] not in REFUSALS
    }
    assert open_to == set()
    assert ended["good work"] == "done"
    assert (ended["write inside"] == "done") is stays


@pytest.mark.process
def test_where_nothing_is_there_nothing_is_held_and_nothing_fails(tmp_path: Path) -> None:
    lacks, ended = tried(tmp_path, {"landlock": 0, "seccomp": False})
    assert len(lacks) == 1
    assert ended["append to a file"] == "done"


@pytest.mark.parametrize(
    ("kernel", "sentences"),
    [
        (WHOLE, []),
        (Kernel("linux", "aarch64", 3, True), []),
        (
            Kernel("linux", "x86_64", 0, True),
            ["not even a temporary file, because this kernel has no Landlock."],
        ),
        (Kernel("linux", "x86_64", 2, True), ["because Landlock has version 2 here, not 3."]),
        (
            Kernel("linux", "x86_64", 7, False),
            ["this kernel has no seccomp filters: it may use the network and change modes"],
        ),
        (
            Kernel("linux", "riscv64", 7, False),
            ["the system calls of riscv64 are not known here: it may use the network"],
        ),
        (
            Kernel("linux", "x86_64", 0, False),
            ["no Landlock and this kernel has no seccomp filters: it has limits of time"],
        ),
        (Kernel("darwin", "arm64", 0, False), ["on Linux only; on darwin it has limits"]),
    ],
)
def test_what_a_kernel_lacks_is_said_in_one_sentence(kernel: Kernel, sentences: list[str]) -> None:
    assert len(kernel.lacks) == len(sentences)
    for sentence, part in zip(kernel.lacks, sentences, strict=True):
        assert part in sentence
        assert re.fullmatch(r"The process that tries a file .*\.", sentence)


# The filter, instruction by instruction ------------------------------------------


def verdict(
    rules: tuple[Instruction, ...], audit: int, number: int, arguments: tuple[int, ...] = ()
) -> int:
    """What the filter says of a call: the classic BPF as the kernel runs it."""
    words = {cage.NUMBER: number, cage.ARCHITECTURE: audit}
    for place, value in enumerate((*arguments, *[0] * (6 - len(arguments)))):
        words[cage.ARGUMENTS + 8 * place] = value & 0xFFFFFFFF
        words[cage.ARGUMENTS + 8 * place + 4] = value >> 32 & 0xFFFFFFFF
    accumulator, at = 0, 0
    while True:
        code, jt, jf, k = rules[at]
        at += 1
        match code:
            case cage.LOAD:
                accumulator = words[k]
            case cage.AND:
                accumulator &= k
            case cage.EQUAL:
                at += jt if accumulator == k else jf
            case cage.AT_LEAST:
                at += jt if accumulator >= k else jf
            case cage.RETURN:
                return k
            case _:
                raise AssertionError(f"no instruction that is used here: {code}")


PROCESS: Final = 4711
FILTERS: Final = [
    (machine, writing, cage.program(machine, PROCESS, writing=writing))
    for machine in MACHINES.values()
    for writing in (True, False)
]

# Calls that the libraries need. x86-64, aarch64.
NEEDED: Final = (
    "read 0 63, write 1 64, close 3 57, mmap 9 222, mprotect 10 226, munmap 11 215, brk 12 214, "
    "rt_sigaction 13 134, rt_sigprocmask 14 135, madvise 28 233, getpid 39 172, exit 60 93, "
    "futex 202 98, exit_group 231 94, sched_getaffinity 204 123, sched_yield 24 124, "
    "set_robust_list 273 99, rseq 334 293, getrandom 318 278, newfstatat 262 79, fstat 5 80, "
    "getdents64 217 61, readlinkat 267 78, clock_nanosleep 230 115, prctl 157 167, lseek 8 62, "
    "statx 332 291, openat 257 56, pipe2 293 59, ppoll 271 73, uname 63 160, sysinfo 99 179, "
    "getrusage 98 165, setrlimit 160 164"
)

# A call, its arguments, and whether it is allowed where Landlock judges files, and elsewhere.
JUDGED: Final[list[tuple[str, tuple[int, ...], bool, bool]]] = [
    (cage.CLONE, (0x3D0F00,), True, True),  # A thread, as glibc makes one.
    (cage.CLONE, (0x7D0F00,), True, True),  # The same of musl, detached.
    (cage.CLONE, (signal.SIGCHLD,), False, False),
    (cage.CLONE, (0x4100 | signal.SIGCHLD,), False, False),  # posix_spawn
    (cage.CLONE, (0x3D0F00 | 0x40000000,), False, False),  # CLONE_NEWNET
    ("kill 62 129", (PROCESS, 9), True, True),
    ("kill 62 129", (1, 9), False, False),
    ("kill 62 129", (0, 9), False, False),
    ("kill 62 129", (2**64 - 1, 9), False, False),
    ("tgkill 234 131", (PROCESS, PROCESS + 1, 6), True, True),
    ("tgkill 234 131", (1, 1, 6), False, False),
    ("prlimit64 302 261", (0, 7), True, True),
    ("prlimit64 302 261", (PROCESS, 7), True, True),
    ("prlimit64 302 261", (1, 7), False, False),
    (cage.IOCTL, (1, 0x5401), True, True),
    (cage.IOCTL, (1, 0x5412), False, False),  # TIOCSTI
    (cage.IOCTL, (1, 0x100005401), True, True),  # The kernel reads the lower half.
    (cage.IOCTL, (1, 0x40086602), False, False),  # FS_IOC_SETFLAGS
    (cage.FCNTL, (1, 3), True, True),
    (cage.FCNTL, (1, 8, 1), False, False),
    (cage.OPENAT, (2**64 - 100, 0, os.O_RDONLY | os.O_CLOEXEC), True, True),
    (cage.OPENAT, (2**64 - 100, 0, os.O_WRONLY), True, False),
    (cage.OPENAT, (2**64 - 100, 0, os.O_RDWR), True, False),
    (cage.OPENAT, (2**64 - 100, 0, os.O_RDONLY | os.O_CREAT), True, False),
    (cage.OPENAT, (2**64 - 100, 0, os.O_RDONLY | os.O_TRUNC), True, False),
    (cage.OPEN, (0, os.O_RDONLY), True, True),
    (cage.OPEN, (0, os.O_WRONLY), True, False),
    (cage.OPENAT2, (), True, False),
    *((f"{call}", (), True, False) for call in cage.CHANGING.split(",")),
    *((f"{call}", (), False, False) for call in cage.REFUSED.split(",")),
    *((f"{call}", (0,), True, True) for call in NEEDED.split(",")),
    (cage.CLONE3, (), False, False),
]


@pytest.mark.parametrize(("machine", "writing", "rules"), FILTERS)
def test_the_filter_judges_each_call_of_the_table(
    machine: Machine, writing: bool, rules: tuple[Instruction, ...]
) -> None:
    judged = 0
    for call, arguments, with_landlock, without in JUDGED:
        for number in cage.numbers(machine, call).values():
            said = verdict(rules, machine.audit, number, arguments)
            allowed = with_landlock if writing else without
            assert (said == ALLOW) is allowed, (call, arguments)
            assert said in {ALLOW, REFUSE, UNKNOWN}
            judged += 1
    assert judged > 150


@given(
    st.sampled_from(FILTERS),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1) | st.integers(0, 600),
    st.tuples(*[st.integers(0, 2**64 - 1)] * 6),
)
def test_calls_of_other_processors_and_calls_that_are_newer_never_pass(
    filtering: tuple[Machine, bool, tuple[Instruction, ...]],
    audit: int,
    number: int,
    arguments: tuple[int, ...],
) -> None:
    machine, _, rules = filtering
    if audit != machine.audit:
        assert verdict(rules, audit, number, arguments) == KILL
    said = verdict(rules, machine.audit, number, arguments)
    if number >= cage.NEWER:
        assert said == UNKNOWN
    if number in cage.numbers(machine, cage.REFUSED).values():
        assert said == REFUSE


@pytest.mark.parametrize(("machine", "writing", "rules"), FILTERS)
def test_the_filter_is_one_that_the_kernel_takes(
    machine: Machine, writing: bool, rules: tuple[Instruction, ...]
) -> None:
    assert len(rules) <= 4096
    assert rules[-1].code == cage.RETURN
    for at, (code, jt, jf, k) in enumerate(rules):
        if code in {cage.EQUAL, cage.AT_LEAST}:
            assert max(jt, jf) < 256
            assert at + 1 + max(jt, jf) < len(rules)
        if code == cage.LOAD:
            assert k in range(0, 64, 4)


HEADERS: Final = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_the_numbers_are_those_of_the_kernels_headers(name: str) -> None:
    if not HEADERS[name].exists():
        pytest.skip("the headers of the kernel are not installed")
    text = HEADERS[name].read_text()
    defined = dict(re.findall(r"^#define __NR(?:3264)?_(\w+) (\d+)$", text, re.MULTILINE))
    machine = MACHINES[name]
    tables = (
        *(cage.REFUSED, cage.CHANGING, cage.CLONE, cage.CLONE3, cage.OPENAT2, cage.SIGNALS),
        *(cage.LIMITS, cage.IOCTL, cage.FCNTL, cage.OPEN, cage.OPENAT, NEEDED),
    )
    calls = cage.numbers(machine, ",".join(tables))
    calls |= {"seccomp": machine.seccomp, "capset": machine.capset}
    # Older headers know fewer calls; 32-bit processors have others of the same names.
    known = {call: number for call, number in calls.items() if call in defined}
    assert len(known) > 0.9 * len(calls)
    assert {call: int(defined[call]) for call in known} == known


@pytest.mark.parametrize("version", range(1, 8))
def test_each_version_of_landlock_refuses_what_the_one_before_does(version: int) -> None:
    for older, newer in zip(cage.handled(version - 1), cage.handled(version), strict=True):
        assert older & newer == older
    files_rights, _, _ = cage.handled(version)
    reading = 1 << 2 | 1 << 3
    assert files_rights & reading == 0
    assert files_rights < 1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)


# What goes on working -------------------------------------------------------------

WORK = """
import os, tempfile, warnings
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

X = np.random.default_rng(0).normal(size=(500, 5))
y = (X[:, 0] > 0).astype(int)
for model in (
    HistGradientBoostingClassifier(max_iter=5),
    RandomForestClassifier(10, n_jobs=2),
    KNeighborsClassifier(n_jobs=2),
):
    assert model.fit(X, y).predict(X).shape == y.shape, model
assert (np.ones((600, 600)) @ np.ones((600, 600)))[0, 0] == 600
import pandas
assert pandas.DataFrame(X).groupby(y).mean().shape == (2, 5)
with tempfile.TemporaryDirectory() as folder:
    np.save(folder + "/x.npy", X)
    assert np.load(folder + "/x.npy").shape == X.shape
"""


@pytest.mark.process
@whole_cage
@pytest.mark.parametrize("variables", [{}, {"OMP_NUM_THREADS": "2", "OMP_PROC_BIND": "true"}])
def test_the_libraries_work_in_the_cage_and_warn_of_nothing(
    variables: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "work.py").write_text(WORK)
    own = tmp_path / "own"
    own.mkdir()
    ended = subprocess.run(
        cage.command(str(own), "work", path=[str(tmp_path), *sys.path]),
        env={**os.environ, **variables, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(own.iterdir()) == []


# From the command on --------------------------------------------------------------


class Runs:
    """Runs source text where it is unpickled."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __reduce__(self) -> Any:
        return exec, (self.source,)


HOSTILE = """
import os, pathlib, socket, subprocess
def tried(act):
    try:
        act()
    except BaseException:
        pass
marker = pathlib.Path({marker!r})
own = pathlib.Path(os.environ["TMPDIR"])
def reach():
    with socket.create_connection(("127.0.0.1", {port}), 2) as found:
        found.sendall(b"reached")
def build(depth):
    os.chdir(own)
    for _ in range(depth):
        os.mkdir("d", 0)
        os.chdir("d")
tried(lambda: marker.write_text("x"))
tried(lambda: os.system(f"touch {{marker}}"))
tried(lambda: subprocess.run(["touch", str(marker)]))
tried(lambda: os.mkdir(marker))
tried(lambda: os.symlink("x", marker))
tried(lambda: os.rename(own, marker))
tried(lambda: os.fork() or (marker.write_text("x"), os._exit(0)))
tried(lambda: os.chmod({victim!r}, 0))
tried(lambda: os.utime({victim!r}, (0, 0)))
tried(lambda: os.unlink({victim!r}))
tried(lambda: os.kill(os.getppid(), 9))
tried(reach)
tried(lambda: (own / "proof").write_text("x"))
tried(lambda: build(1500))
"""


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """A port, and who has connected to it."""
    reached: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        ended = threading.Event()

        def accept() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, address = server.accept()
                    connection.close()
                    reached.append(str(address))

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], reached
        finally:
            ended.set()
            thread.join()


def quart_app(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command with a store and a place for temporary files in the folder."""
    (folder / "temporary").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "quart_app", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "QUART_APP_MODEL_STORE": str(folder / "models"),
            "TMPDIR": str(folder / "temporary"),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.process
@whole_cage
@pytest.mark.parametrize("command", ["import", "inspect"])
def test_a_trusted_file_that_runs_code_reaches_nothing(command: str, tmp_path: Path) -> None:
    marker, victim = tmp_path / "marker", tmp_path / "victim"
    victim.write_text("victim")
    os.utime(victim, (1, 1))
    before = victim.stat()
    model = LogisticRegression().fit(np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1])
    with listening() as (port, reached):
        source = HOSTILE.format(marker=str(marker), victim=str(victim), port=port)
        model.hostile_ = Runs(source)
        (tmp_path / "evil.pkl").write_bytes(pickle.dumps(model))
        options = ["--try"] if command == "inspect" else []
        ended = quart_app(
            *("models", command, str(tmp_path / "evil.pkl"), *options),
            *("--trusted", "builtins.exec"),
            folder=tmp_path,
        )
    assert ended.returncode == 0, ended.stderr
    assert "LogisticRegression" in ended.stdout
    assert "The process that tries a file" not in ended.stderr
    assert not marker.exists()
    assert (victim.read_text(), victim.stat().st_mode, victim.stat().st_mtime) == (
        "victim",
        before.st_mode,
        1,
    )
    assert reached == []
    assert list((tmp_path / "temporary").iterdir()) == []
    store = ModelStore(tmp_path / "models")
    assert store.models() == (["evil"] if command == "import" else [])


@pytest.mark.process
def test_a_look_without_try_runs_nothing_even_of_what_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "crash.pkl").write_bytes(pickle.dumps(Runs("import os; os._exit(3)")))
    arguments = ("models", "inspect", str(tmp_path / "crash.pkl"), "--trusted", "builtins.exec")
    looked = quart_app(*arguments, folder=tmp_path)
    assert looked.returncode == 0, looked.stderr
    assert "Nothing in the files was run" in looked.stdout
    tried_too = quart_app(*arguments, "--try", folder=tmp_path)
    assert tried_too.returncode == 1
    assert "exit code 3" in tried_too.stderr


@pytest.mark.process
@whole_cage
def test_a_command_that_is_killed_takes_its_child_with_it(tmp_path: Path) -> None:
    (tmp_path / "hangs.pkl").write_bytes(pickle.dumps(Runs("while True: pass")))
    command = subprocess.Popen(
        [
            *(sys.executable, "-m", "quart_app", "models", "inspect", "--try", "--trust"),
            str(tmp_path / "hangs.pkl"),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stderr is not None
    while "loading" not in (line := command.stderr.readline()):
        assert line, "it ended before it loaded anything"
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    assert len(children) == 1
    command.kill()
    command.wait()
    deadline = time.monotonic() + 30
    while alive(int(children[0])):
        assert time.monotonic() < deadline, "the child is still there"
        time.sleep(0.05)
    command.stderr.close()


def alive(process: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    return False


# Around it ------------------------------------------------------------------------


def test_a_folder_is_cleared_however_deep_and_closed_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "b" * 255):
        at = os.open(folder, os.O_RDONLY)
        for _ in range(1200):
            os.mkdir(name, dir_fd=at)
            inner = os.open(name, os.O_RDONLY, dir_fd=at)
            os.symlink(kept, "link", dir_fd=inner)
            os.mkdir("closed", 0, dir_fd=inner)
            os.close(at)
            at = inner
        os.close(at)
    (folder / "link").symlink_to(kept)
    files.clear(str(folder))
    assert not folder.exists()
    assert (kept / "file").read_text() == "x"


def test_what_anybody_may_read_is_told_by_the_whole_way_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "open" / "inner"
    folder.mkdir(parents=True)
    file = folder / "file"
    file.write_text("x")
    file.chmod(0o644)
    # The folders that pytest makes are the user's alone.
    above = [each for each in folder.parents if not each.stat().st_mode & 0o001]
    assert cage.is_public(file) is (above == [])
    assert cage.is_public("/")
    assert cage.is_public(os.devnull)
    assert not cage.is_public(tmp_path / "none")
    with open_to_all(above):
        assert cage.is_public(file)
        assert cage.is_public(folder)
        file.chmod(0o640)
        assert not cage.is_public(file)
        file.chmod(0o644)
        folder.chmod(0o754)
        assert not cage.is_public(file)
        assert not cage.is_public(folder)


@contextlib.contextmanager
def open_to_all(folders: list[Path]) -> Iterator[None]:
    modes = [each.stat().st_mode for each in folders]
    for each, mode in zip(folders, modes, strict=True):
        each.chmod(mode | 0o001)
    try:
        yield
    finally:
        for each, mode in zip(folders, modes, strict=True):
            each.chmod(mode)


@pytest.mark.process
@pytest.mark.skipif(
    cage.other_user([tempfile.gettempdir()]) is None, reason="nobody cannot read Python here"
)
def test_the_file_is_tried_as_nobody_where_nobody_can_read_it() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        source = "import os; raise ValueError(f'as {os.getuid()} {os.getgroups()}')"
        (folder / "who.pkl").write_bytes(pickle.dumps(Runs(source)))
        arguments = ("models", "inspect", "--try", "--trust", str(folder / "who.pkl"))
        nobody = pwd.getpwnam("nobody").pw_uid
        assert f"as {nobody} []" in quart_app(*arguments, folder=folder).stderr
        (folder / "who.pkl").chmod(0o600)
        assert "as 0 " in quart_app(*arguments, folder=folder).stderr

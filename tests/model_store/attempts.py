"""What a hostile file would do, each as a function: run as a script, this tries them in a cage.

    python -P attempts.py CAGE FOLDER OUTSIDE KERNEL

CAGE is the path of `cage.py`, FOLDER where it lets write, OUTSIDE a folder with a file `victim`.
KERNEL holds the fields of a `Kernel` as JSON, `{}` for the one that runs, or `null` for no cage.
Prints as JSON what the cage lacks, and how each attempt ended: with `done`, or an error's name.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import importlib.util
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

CHANGES, ATTRIBUTES, NETWORK, PROGRAMS, PROCESSES, KERNEL = (
    *("changes", "attributes", "network", "programs", "processes", "kernel"),
)


class Place(NamedTuple):
    """`own` is where a caged process may write, `outside` where it may not."""

    own: Path
    outside: Path

    @property
    def victim(self) -> Path:
        return self.outside / "victim"


class Attempt(NamedTuple):
    """`control` tells that it succeeds without a cage, and does no harm then."""

    group: str
    control: bool
    act: Callable[[Place], Any]


ATTEMPTS: dict[str, Attempt] = {}


def attempt(group: str, *, control: bool = False) -> Callable[[Any], Any]:
    def register(act: Callable[[Place], Any]) -> Callable[[Place], Any]:
        ATTEMPTS[act.__name__.replace("_", " ")] = Attempt(group, control, act)
        return act

    return register


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    handle = os.open(path, flags)
    try:
        yield handle
    finally:
        os.close(handle)


def call(number: int, *arguments: Any) -> int:
    """A call to the kernel by its number."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [each if isinstance(each, bytes) else ctypes.c_long(each) for each in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# Files ---------------------------------------------------------------------------


@attempt(CHANGES, control=True)
def make_a_file(place: Place) -> None:
    (place.outside / "new").write_text("x")


@attempt(CHANGES, control=True)
def append_to_a_file(place: Place) -> None:
    with place.victim.open("a") as file:
        file.write("x")


@attempt(CHANGES, control=True)
def open_to_read_and_write(place: Place) -> None:
    place.victim.open("r+").close()


@attempt(CHANGES, control=True)
def truncate_by_opening(place: Place) -> None:
    with opened(place.victim, os.O_RDONLY | os.O_TRUNC):
        pass


@attempt(CHANGES, control=True)
def truncate_by_name(place: Place) -> None:
    os.truncate(place.victim, 1)


@attempt(CHANGES, control=True)
def make_a_file_without_a_name(place: Place) -> None:
    with opened(place.outside, os.O_TMPFILE | os.O_WRONLY):
        pass


@attempt(CHANGES, control=True)
def make_a_folder(place: Place) -> None:
    (place.outside / "folder").mkdir()


@attempt(CHANGES, control=True)
def remove_a_folder(place: Place) -> None:
    (place.outside / "empty").rmdir()


@attempt(CHANGES, control=True)
def remove_a_file(place: Place) -> None:
    (place.outside / "second").unlink()


@attempt(CHANGES, control=True)
def rename_a_file(place: Place) -> None:
    (place.outside / "third").rename(place.outside / "renamed")


@attempt(CHANGES, control=True)
def take_a_file_in(place: Place) -> None:
    (place.outside / "fourth").rename(place.own / "fourth")


@attempt(CHANGES)
def put_a_file_out(place: Place) -> None:
    (place.own / "mine").rename(place.outside / "mine")


@attempt(CHANGES)
def write_at_the_root(place: Place) -> None:
    Path("/attempt").write_text("x")


@attempt(CHANGES)
def write_to_tmp(place: Place) -> None:
    Path("/tmp/attempt").write_text("x")


@attempt(CHANGES, control=True)
def write_to_the_working_directory(place: Place) -> None:
    Path("attempt").write_text("x")


@attempt(CHANGES, control=True)
def write_at_home(place: Place) -> None:
    (Path.home() / "attempt").write_text("x")


@attempt(CHANGES)
def write_to_shared_memory(place: Place) -> None:
    Path("/dev/shm/attempt").write_text("x")


@attempt(CHANGES)
def write_to_the_memory_of_oneself(place: Place) -> None:
    Path("/proc/self/mem").open("r+b").close()


@attempt(CHANGES)
def write_to_proc(place: Place) -> None:
    Path("/proc/self/oom_score_adj").write_text("0")


@attempt(ATTRIBUTES, control=True)
def make_a_link(place: Place) -> None:
    os.symlink("victim", place.outside / "link")


@attempt(ATTRIBUTES, control=True)
def make_a_link_inside(place: Place) -> None:
    os.symlink("victim", place.own / "link")


@attempt(ATTRIBUTES, control=True)
def make_a_second_name_inside(place: Place) -> None:
    os.link(place.victim, place.own / "name")


@attempt(ATTRIBUTES, control=True)
def make_a_named_pipe(place: Place) -> None:
    os.mkfifo(place.own / "pipe")


@attempt(ATTRIBUTES, control=True)
def change_a_mode(place: Place) -> None:
    place.victim.chmod(0o777)


@attempt(ATTRIBUTES, control=True)
def change_a_mode_of_what_is_open(place: Place) -> None:
    with opened(place.victim, os.O_RDONLY) as handle:
        os.fchmod(handle, 0o777)


@attempt(ATTRIBUTES, control=True)
def change_the_mode_of_a_file_of_ones_own(place: Place) -> None:
    (place.own / "mine").chmod(0o4777)


@attempt(ATTRIBUTES, control=True)
def change_an_owner(place: Place) -> None:
    os.chown(place.victim, os.getuid(), os.getgid())


@attempt(ATTRIBUTES, control=True)
def change_times(place: Place) -> None:
    os.utime(place.victim, (0, 0))


@attempt(ATTRIBUTES, control=True)
def change_times_of_what_is_open(place: Place) -> None:
    with opened(place.victim, os.O_RDONLY) as handle:
        os.utime(handle, (0, 0))


@attempt(ATTRIBUTES)
def set_an_attribute(place: Place) -> None:
    os.setxattr(place.victim, "user.attempt", b"x")


@attempt(ATTRIBUTES)
def remove_an_attribute(place: Place) -> None:
    os.removexattr(place.victim, "user.attempt")


@attempt(ATTRIBUTES)
def set_flags_of_a_file(place: Place) -> None:
    FS_IOC_SETFLAGS = 0x40086602
    with opened(place.victim, os.O_RDONLY) as handle:
        fcntl.ioctl(handle, FS_IOC_SETFLAGS, struct.pack("l", 0))


@attempt(ATTRIBUTES, control=True)
def lock_a_file(place: Place) -> None:
    with opened(place.victim, os.O_RDONLY) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


# The network ---------------------------------------------------------------------

FAMILIES = {
    "internet": socket.AF_INET,
    "internet 6": socket.AF_INET6,
    "local": socket.AF_UNIX,
    "netlink": socket.AF_NETLINK,
    "packet": socket.AF_PACKET,
    "vsock": 40,
    "algorithms": 38,
    "bluetooth": 31,
}


def _socket(family: int, kind: int) -> Callable[[Place], None]:
    return lambda place: socket.socket(family, kind).close()


for _name, _family in FAMILIES.items():
    _common = _family in {socket.AF_INET, socket.AF_UNIX}
    for _word, _kind in {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM}.items():
        ATTEMPTS[f"a {_word} socket, {_name}"] = Attempt(NETWORK, _common, _socket(_family, _kind))


@attempt(NETWORK, control=True)
def a_pair_of_sockets(place: Place) -> None:
    for each in socket.socketpair():
        each.close()


# Programs and processes ----------------------------------------------------------


@attempt(PROGRAMS, control=True)
def run_a_command_of_the_shell(place: Place) -> None:
    if os.system(f"touch {place.outside}/touched") != 0:
        raise PermissionError(errno.EPERM, "it did not run")


@attempt(PROGRAMS, control=True)
def run_a_program(place: Place) -> None:
    subprocess.run(["true"], check=True)


@attempt(PROGRAMS, control=True)
def spawn_a_program(place: Place) -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


@attempt(PROGRAMS)
def become_another_program(place: Place) -> None:
    os.execv("/bin/true", ["true"])


@attempt(PROCESSES, control=True)
def fork(place: Place) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attempt(PROCESSES, control=True)
def signal_the_parent(place: Place) -> None:
    os.kill(os.getppid(), 0)


@attempt(PROCESSES, control=True)
def signal_everybody(place: Place) -> None:
    os.kill(-1, 0)


@attempt(PROCESSES, control=True)
def ask_for_the_limits_of_the_parent(place: Place) -> None:
    resource.prlimit(os.getppid(), resource.RLIMIT_CPU)


@attempt(PROCESSES, control=True)
def pin_the_parent(place: Place) -> None:
    os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))


@attempt(PROCESSES, control=True)
def slow_the_parent_down(place: Place) -> None:
    os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))


@attempt(PROCESSES)
def have_signals_sent_to_the_parent(place: Place) -> None:
    handle, _ = os.pipe()
    fcntl.fcntl(handle, fcntl.F_SETOWN, os.getppid())


@attempt(PROCESSES)
def trace_the_parent(place: Place) -> None:
    PTRACE_SEIZE = 0x4206
    call(101 if os.uname().machine == "x86_64" else 117, PTRACE_SEIZE, os.getppid(), 0, 0)


@attempt(PROCESSES, control=True)
def read_the_environment_of_the_parent(place: Place) -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


@attempt(PROCESSES)
def raise_a_limit(place: Place) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most + 1, most + 1))
    except ValueError as error:
        raise PermissionError(errno.EPERM, str(error)) from error


# The kernel ----------------------------------------------------------------------


@attempt(KERNEL)
def a_host_of_another_name(place: Place) -> None:
    socket.sethostname(socket.gethostname())


@attempt(KERNEL)
def a_namespace_of_ones_own(place: Place) -> None:
    CLONE_NEWUSER = 0x10000000
    call(272 if os.uname().machine == "x86_64" else 97, CLONE_NEWUSER)


@attempt(KERNEL)
def a_process_in_a_namespace_of_its_own(place: Place) -> None:
    CLONE_NEWUSER, SIGCHLD = 0x10000000, 17
    if call(56 if os.uname().machine == "x86_64" else 220, CLONE_NEWUSER | SIGCHLD, 0) == 0:
        os._exit(0)


@attempt(KERNEL, control=True)
def a_file_in_memory(place: Place) -> None:
    os.close(os.memfd_create("attempt"))


# What stays ----------------------------------------------------------------------


def good_work(place: Place) -> None:
    """Threads, a signal to oneself, own limits, and reading."""
    started = threading.Event()
    thread = threading.Thread(target=started.set)
    thread.start()
    thread.join()
    assert started.is_set()
    os.kill(os.getpid(), 0)
    resource.prlimit(0, resource.RLIMIT_CPU)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    assert place.victim.exists()
    assert os.listdir("/")
    place.victim.read_bytes()


def write_inside(place: Place) -> None:
    """What may be done in the folder."""
    (place.own / "folder").mkdir()
    file = place.own / "folder" / "file"
    file.write_text("twelve bytes")
    os.truncate(file, 3)
    file.rename(place.own / "moved")
    (place.own / "folder").rmdir()
    (place.own / "moved").unlink()
    with open(os.devnull, "w") as nothing:
        nothing.write("x")


STAYS = {"good work": good_work, "write inside": write_inside}


def _call(number: int) -> Callable[[Place], int]:
    return lambda place: call(number, *[0] * 6)


def _ended(act: Callable[[Place], Any], place: Place) -> str:
    try:
        act(place)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))
    except Exception as error:
        return repr(error)
    return "done"


def main(path: str, own: str, outside: str, kernel: str) -> None:
    spec = importlib.util.spec_from_file_location("cage", path)
    assert spec is not None
    assert spec.loader is not None
    cage = sys.modules["cage"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cage)
    fields = json.loads(kernel)
    place = Place(Path(own), Path(outside))
    lacks: tuple[str, ...] = ()
    if fields is not None:
        here = cage.Kernel.here()
        lacks = cage.close(own, dataclasses.replace(here, **fields))
    ended = {name: _ended(act, place) for name, act in STAYS.items()}
    free = fields in (None, {"landlock": 0, "seccomp": False})
    for name, each in ATTEMPTS.items():
        if each.control or not free:
            ended[name] = _ended(each.act, place)
    if fields is not None and not lacks:
        machine = cage.MACHINES[here.machine]
        for name, number in cage.numbers(machine, f"{cage.REFUSED}, {cage.CLONE3}").items():
            ended[f"the call {name}"] = _ended(_call(number), place)
    print(json.dumps({"lacks": lacks, "ended": ended}))


if __name__ == "__main__":
    main(*sys.argv[1:])

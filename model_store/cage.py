"""A cage for the process in which a file is tried: it may read and compute, and nothing else.

Run as a script by its path, this closes the cage round its own process and then runs a module in
it. It imports the standard library alone, and not the package: what has threads, such as numpy, is
imported inside, since Landlock holds the thread that asks for it and those that it starts later.

- No capabilities, no new privileges, and the end with the parent.
- Landlock: nothing is executed, and nothing written, made or removed but in one folder.
- A seccomp filter: no network of any kind, no new processes, no signals to or limits for others,
  no modes, owners, times, attributes or links, and no part of the kernel that a pipeline has no use
  for. It is a list of calls that are refused, because which calls the libraries make depends on
  their versions and on the C library; calls newer than the list are refused as unknown.

Reading stays, within what the user may read, and so do threads and compiled code.

Landlock: https://docs.kernel.org/userspace-api/landlock.html. seccomp:
https://docs.kernel.org/userspace-api/seccomp_filter.html. The numbers are those of
`arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` in Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import pwd
import runpy
import signal
import stat
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

WHOLE_LANDLOCK: Final = 3
"""The version of Landlock since which it refuses every way to change what a file holds."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What can confine a process here: the version of Landlock, 0 for none, and whether system
    calls can be filtered. `system` and `machine` are as Python names them."""

    system: str
    machine: str
    landlock: int
    seccomp: bool

    @classmethod
    def here(cls) -> Kernel:
        """What the running kernel has, which is asked and not changed."""
        if sys.platform != "linux":
            return cls(sys.platform, os.uname().machine, landlock=0, seccomp=False)
        machine = os.uname().machine if sys.maxsize > 2**32 else "a 32-bit process"
        version = _LIBC.syscall(LANDLOCK_CREATE_RULESET, None, _word(0), _word(1))
        return cls("linux", machine, max(version, 0), _can_filter(machine))

    @property
    def lacks(self) -> tuple[str, ...]:
        """What of the cage is missing and what that leaves open, in sentences."""
        what = "The process that tries a file"
        if self.system != "linux":
            return (f"{what} is confined on Linux only; on {self.system} {_LIMITS_ALONE}.",)
        landlock = "this kernel has no Landlock" if not self.landlock else None
        if self.landlock and self.landlock < WHOLE_LANDLOCK:
            landlock = f"Landlock has version {self.landlock} here, not {WHOLE_LANDLOCK}"
        seccomp = None if self.seccomp else "this kernel has no seccomp filters"
        if self.machine not in MACHINES:
            seccomp = f"the system calls of {self.machine} are not known here"
        if landlock and seccomp:
            return (
                f"{what} cannot be confined, because {landlock} and {seccomp}: {_LIMITS_ALONE}.",
            )
        if seccomp:
            return (
                f"{what} can write no file and execute nothing, but {seccomp}: it may use the "
                "network and change modes, owners and times of files.",
            )
        if landlock:
            return (f"{what} can write nothing, not even a temporary file, because {landlock}.",)
        return ()


_LIMITS_ALONE: Final = "it has limits of time and memory, and nothing else holds it"


def close(folder: str, kernel: Kernel) -> tuple[str, ...]:
    """Close the cage round this thread and all that it starts, for good. `folder` is where it may
    write. Needs no other thread to be there.

    Returns what is missing, in sentences, also where the kernel refuses what it seemed to have.
    """
    if kernel.system == "linux":
        _drop_privileges()
        if kernel.landlock and not _restrict_files(folder, kernel.landlock):
            kernel = replace(kernel, landlock=0)
        machine = MACHINES.get(kernel.machine)
        if kernel.seccomp and machine is not None:
            rules = program(machine, os.getpid(), writing=kernel.landlock >= WHOLE_LANDLOCK)
            kernel = replace(kernel, seccomp=_filter_calls(machine, rules))
    return kernel.lacks


# How it is entered ---------------------------------------------------------------

PINNING: Final = ("GOMP_CPU_AFFINITY", "KMP_AFFINITY", "OMP_PLACES", "OMP_PROC_BIND")
"""With these OpenMP pins its threads to processors, and ends the process where it may not."""


def command(folder: str, module: str, *arguments: str, path: Sequence[str] = ()) -> list[str]:
    """The command that closes the cage, with `folder` to write in, and runs a module in it, as
    `python -m` would. `path` is where it finds modules. Behind the arguments it is given what the
    cage lacks, as JSON."""
    # With -P the folder of this file, whose modules have names of the standard library, is not
    # among those where modules are looked for.
    return [sys.executable, "-P", __file__, folder, json.dumps(list(path)), module, *arguments]


def _enter(folder: str, path: str, module: str, *arguments: str) -> None:
    lacking = close(folder, Kernel.here())
    os.environ["TMPDIR"] = folder
    # joblib looks for semaphores, which are not to be had, and would warn that it does without.
    os.environ["JOBLIB_MULTIPROCESSING"] = "0"
    for name in PINNING:
        os.environ.pop(name, None)
    sys.path[:] = json.loads(path) or sys.path
    sys.argv[1:] = [*arguments, json.dumps(lacking)]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def other_user(needed: Iterable[str | Path]) -> pwd.struct_passwd | None:
    """For root, the user `nobody`, if it can read Python, its modules and what else is needed."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        found = pwd.getpwnam("nobody")
        libraries = (path for path in sys.path if path and Path(path).exists())
        if all(map(is_public, [sys.executable, os.__file__, __file__, *libraries, *needed])):
            return found
    return None


def is_public(path: str | Path) -> bool:
    """Whether anybody may read it: the file or folder, and each folder on the way to it."""
    try:
        itself = Path(path).resolve(strict=True)
        modes = [folder.stat().st_mode for folder in itself.parents]
        mode = itself.stat().st_mode
    except OSError:
        return False
    wanted = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & wanted == wanted and all(each & stat.S_IXOTH for each in modes)


# Calls to the kernel -------------------------------------------------------------

_LIBC: Final = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL = 1, 2
CAPABILITY_VERSION: Final = 0x20080522
CAP_DAC_READ_SEARCH: Final = 2


class Machine(NamedTuple):
    """A processor: how the kernel calls it in a filter, and the numbers of three calls.
    `column` is where its numbers stand in a table of calls."""

    audit: int
    column: int
    seccomp: int
    capset: int


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 0, seccomp=317, capset=126),
    "aarch64": Machine(0xC00000B7, 1, seccomp=277, capset=91),
}


def _word(value: int) -> ctypes.c_long:
    """An argument of a call to the kernel, which ctypes would make half as wide."""
    return ctypes.c_long(value)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _drop_privileges() -> None:
    """Leave of root's privileges that of reading everything: the file may be somebody else's."""
    _LIBC.prctl(PR_SET_NO_NEW_PRIVS, *map(_word, (1, 0, 0, 0)))
    # A parent that is killed can end nobody any more.
    _LIBC.prctl(PR_SET_PDEATHSIG, *map(_word, (signal.SIGKILL, 0, 0, 0)))
    machine = MACHINES.get(os.uname().machine)
    if machine is not None and os.geteuid() == 0:
        header = struct.pack("=II", CAPABILITY_VERSION, 0)
        kept = 1 << CAP_DAC_READ_SEARCH
        # Three words, effective, permitted and inheritable, of the low half, then of the high one.
        _LIBC.syscall(_word(machine.capset), header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def _can_filter(machine: str) -> bool:
    known = MACHINES.get(machine)
    if known is None:
        return False
    action = ctypes.c_uint32(ERRNO)
    asked = (_word(known.seccomp), _word(SECCOMP_GET_ACTION_AVAIL), _word(0), ctypes.byref(action))
    return bool(_LIBC.syscall(*asked) == 0)


# Landlock ------------------------------------------------------------------------

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = map(_word, (444, 445, 446))
LANDLOCK_RULE_PATH_BENEATH: Final = 1

EXECUTE, WRITE_FILE = 1 << 0, 1 << 1
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK = 1 << 6, 1 << 7, 1 << 8, 1 << 9
MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = 1 << 10, 1 << 11, 1 << 12
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
ABSTRACT_UNIX_SOCKET, SIGNAL = 1 << 0, 1 << 1

CHANGES: Final = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG
"""What is allowed in the folder; REFER and TRUNCATE come to it where they are known."""
SPECIAL: Final = MAKE_CHAR | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | MAKE_SYM


def handled(version: int) -> tuple[int, int, int]:
    """What this version of Landlock can refuse: of files, of networks, and towards processes."""
    files = EXECUTE | CHANGES | SPECIAL
    files |= REFER if version >= 2 else 0
    files |= TRUNCATE if version >= 3 else 0
    files |= IOCTL_DEV if version >= 5 else 0
    networks = BIND_TCP | CONNECT_TCP if version >= 4 else 0
    scopes = ABSTRACT_UNIX_SOCKET | SIGNAL if version >= 6 else 0
    return files, networks, scopes


def _restrict_files(folder: str, version: int) -> bool:
    """Refuse all that Landlock can but reading, changes in the folder, and writing to /dev/null."""
    refused = handled(version)
    # A kernel takes a structure that is longer than its own if the rest is 0.
    attributes = struct.pack("=3Q", *refused)
    allowed = (CHANGES | REFER | TRUNCATE) & refused[0]
    try:
        length = _word(len(attributes))
        ruleset = _checked(_LIBC.syscall(LANDLOCK_CREATE_RULESET, attributes, length, _word(0)))
        with _closing(ruleset):
            _allow_beneath(ruleset, folder, allowed)
            _allow_beneath(ruleset, os.devnull, WRITE_FILE)
            _checked(_LIBC.syscall(LANDLOCK_RESTRICT_SELF, _word(ruleset), _word(0)))
    except OSError:
        return False
    return True


def _allow_beneath(ruleset: int, path: str, access: int) -> None:
    with _closing(os.open(path, os.O_PATH | os.O_CLOEXEC)) as place:
        rule = struct.pack("=Qi", access, place)
        kind = _word(LANDLOCK_RULE_PATH_BENEATH)
        _checked(_LIBC.syscall(LANDLOCK_ADD_RULE, _word(ruleset), kind, rule, _word(0)))


@contextlib.contextmanager
def _closing(handle: int) -> Iterator[int]:
    try:
        yield handle
    finally:
        os.close(handle)


# The filter of system calls ------------------------------------------------------

LOAD, AND, RETURN = 0x20, 0x54, 0x06
EQUAL, AT_LEAST = 0x15, 0x35
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Where the kernel says which call it is, for which processor, and with which arguments."""

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
REFUSE, UNKNOWN = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS

NEWER: Final = 463
"""From this number on calls are unknown: they came after Linux 6.12, or are those of x32."""

# Name, number on x86-64, number on aarch64.
_NETWORK: Final = """
accept 43 202, accept4 288 242, bind 49 200, connect 42 203, listen 50 201, recvfrom 45 207,
recvmmsg 299 243, recvmsg 47 212, sendmmsg 307 269, sendmsg 46 211, sendto 44 206, socket 41 198,
socketpair 53 199"""
_PROGRAMS: Final = "execve 59 221, execveat 322 281, fork 57 -, vfork 58 -, uselib 134 -"
_ATTRIBUTES: Final = """
chmod 90 -, chown 92 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, fchown 93 55,
fchownat 260 54, fremovexattr 199 16, fsetxattr 190 7, futimesat 261 -, lchown 94 -, link 86 -,
linkat 265 37, lremovexattr 198 15, lsetxattr 189 6, mknod 133 -, mknodat 259 33,
removexattr 197 14, setxattr 188 5, symlink 88 -, symlinkat 266 36, utime 132 -, utimensat 280 88,
utimes 235 -, flock 73 32"""
_PROCESSES: Final = """
ioprio_set 251 30, kcmp 312 272, migrate_pages 256 238, move_pages 279 239, pidfd_getfd 438 438,
pidfd_open 434 434, pidfd_send_signal 424 424, process_madvise 440 440, process_mrelease 448 448,
process_vm_readv 310 270, process_vm_writev 311 271, ptrace 101 117, rt_sigqueueinfo 129 138,
rt_tgsigqueueinfo 297 240, sched_setattr 314 274, sched_setparam 142 118,
sched_setscheduler 144 119, setpgid 109 154, setpriority 141 140, setsid 112 157, tkill 200 130"""
_SHARED: Final = """
mq_open 240 180, mq_unlink 241 181, msgctl 71 187, msgget 68 186, msgrcv 70 188, msgsnd 69 189,
semctl 66 191, semget 64 190, semop 65 193, semtimedop 220 192, shmat 30 196, shmctl 31 195,
shmget 29 194"""
_NAMESPACES: Final = """
chroot 161 51, fsconfig 431 431, fsmount 432 432, fsopen 430 430, fspick 433 433, mount 165 40,
mount_setattr 442 442, move_mount 429 429, open_tree 428 428, pivot_root 155 41, quotactl 179 60,
quotactl_fd 443 443, setns 308 268, umount2 166 39, unshare 272 97"""
_KERNEL: Final = """
add_key 248 217, bpf 321 280, fanotify_init 300 262, fanotify_mark 301 263, io_uring_enter 426 426,
io_uring_register 427 427, io_uring_setup 425 425, keyctl 250 219, lookup_dcookie 212 18,
lsm_set_self_attr 460 460, memfd_create 319 279, memfd_secret 447 447, modify_ldt 154 -,
name_to_handle_at 303 264, open_by_handle_at 304 265, perf_event_open 298 241, personality 135 92,
request_key 249 218, userfaultfd 323 282"""
_MACHINE: Final = """
_sysctl 156 -, acct 163 89, adjtimex 159 171, clock_adjtime 305 266, clock_settime 227 112,
delete_module 176 106, finit_module 313 273, init_module 175 105, ioperm 173 -, iopl 172 -,
kexec_file_load 320 294, kexec_load 246 104, nfsservctl 180 42, reboot 169 142,
setdomainname 171 162, sethostname 170 161, settimeofday 164 170, swapoff 168 225, swapon 167 224,
syslog 103 116, vhangup 153 58"""
_CHANGING: Final = """
creat 85 -, mkdir 83 -, mkdirat 258 34, rename 82 -, renameat 264 38, renameat2 316 276, rmdir 84 -,
truncate 76 45, unlink 87 -, unlinkat 263 35"""

REFUSED: Final = ",".join(
    (_NETWORK, _PROGRAMS, _ATTRIBUTES, _PROCESSES, _SHARED, _NAMESPACES, _KERNEL, _MACHINE)
)
CHANGING: Final = _CHANGING
"""What Landlock judges by its place, and is refused everywhere without Landlock."""

CLONE: Final = "clone 56 220"
CLONE3, OPENAT2 = "clone3 435 435", "openat2 437 437"
"""They take what they do in memory, where no filter reads; callers know kernels without them."""
SIGNALS: Final = "kill 62 129, tgkill 234 131"
LIMITS: Final = "prlimit64 302 261, sched_setaffinity 203 122"
IOCTL, FCNTL = "ioctl 16 29", "fcntl 72 25"
OPEN, OPENAT = "open 2 -", "openat 257 56"

CLONE_THREAD: Final = 0x00010000
CLONE_NAMESPACES: Final = 0x7E020000
TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX = (
    0x5401,
    0x5413,
    0x541B,
    0x5421,
    0x5450,
    0x5451,
)
F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY = 8, 10, 15, 1024, 1026
FOR_WRITING: Final = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC


class Instruction(NamedTuple):
    """An instruction of the classic BPF, as in `struct sock_filter`."""

    code: int
    jt: int
    jf: int
    k: int


def program(machine: Machine, process: int, *, writing: bool) -> tuple[Instruction, ...]:
    """The filter for the process of this number. Without `writing` nothing is opened for writing,
    which otherwise is for Landlock to judge."""
    own, none = [process], [0]
    parts = [
        _rule(LOAD, ARCHITECTURE),
        Instruction(EQUAL, 1, 0, machine.audit),
        _rule(RETURN, KILL),
        _rule(LOAD, NUMBER),
        Instruction(AT_LEAST, 0, 1, NEWER),
        _rule(RETURN, UNKNOWN),
        *_always(machine, CLONE3, UNKNOWN),
        *_always(machine, REFUSED, REFUSE),
        *_only(machine, CLONE, 0, [CLONE_THREAD], mask=CLONE_THREAD | CLONE_NAMESPACES),
        *_only(machine, SIGNALS, 0, own),
        *_only(machine, LIMITS, 0, none + own),
        *_only(machine, IOCTL, 1, [TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX]),
        *_never(machine, FCNTL, 1, [F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY]),
    ]
    if not writing:
        parts += _always(machine, OPENAT2, UNKNOWN)
        parts += _always(machine, CHANGING, REFUSE)
        parts += _only(machine, OPEN, 1, none, mask=FOR_WRITING)
        parts += _only(machine, OPENAT, 2, none, mask=FOR_WRITING)
    return (*parts, _rule(RETURN, ALLOW))


def numbers(machine: Machine, calls: str) -> dict[str, int]:
    """The numbers of the calls in a table that this processor has."""
    rows = (row.split() for row in calls.split(","))
    return {name: int(row[machine.column]) for name, *row in rows if row[machine.column] != "-"}


def _rule(code: int, value: int) -> Instruction:
    return Instruction(code, 0, 0, value)


def _always(machine: Machine, calls: str, verdict: int) -> Iterator[Instruction]:
    for number in numbers(machine, calls).values():
        yield Instruction(EQUAL, 0, 1, number)
        yield _rule(RETURN, verdict)


def _only(
    machine: Machine, calls: str, argument: int, values: Sequence[int], mask: int | None = None
) -> list[Instruction]:
    return _by_argument(machine, calls, argument, (ALLOW, values, REFUSE), mask)


def _never(machine: Machine, calls: str, argument: int, values: Sequence[int]) -> list[Instruction]:
    return _by_argument(machine, calls, argument, (REFUSE, values, ALLOW), None)


def _by_argument(
    machine: Machine,
    calls: str,
    argument: int,
    verdicts: tuple[int, Sequence[int], int],
    mask: int | None,
) -> list[Instruction]:
    """Judge calls by the lower half of an argument: what becomes of the values that are listed,
    these values, and what becomes of others. All of these arguments have 32 bits in the kernel."""
    listed, values, others = verdicts
    judging = [_rule(LOAD, ARGUMENTS + 8 * argument)]
    if mask is not None:
        judging.append(_rule(AND, mask))
    for value in values:
        judging += [Instruction(EQUAL, 0, 1, value), _rule(RETURN, listed)]
    judging.append(_rule(RETURN, others))
    rules = []
    for number in numbers(machine, calls).values():
        rules += [Instruction(EQUAL, 0, len(judging), number), *judging]
    return rules


def _filter_calls(machine: Machine, rules: Sequence[Instruction]) -> bool:
    code = b"".join(struct.pack("=HBBI", *rule) for rule in rules)
    kept = ctypes.create_string_buffer(code, len(code))
    given: Any = struct.pack("@HP", len(rules), ctypes.addressof(kept))
    mode = _word(SECCOMP_SET_MODE_FILTER)
    return bool(_LIBC.syscall(_word(machine.seccomp), mode, _word(0), given) == 0)


if __name__ == "__main__":
    _enter(*sys.argv[1:])

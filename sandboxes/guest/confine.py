"""The layers between a program and the machine, put on by the child process before the program runs.

In this order, each holding where the one before it should fail: a session of its own, resource limits, an
unprivileged user (where the server is root), death with the server, no new privileges, a Landlock domain
without any file, port or foreign signal, no inherited descriptor but the result pipe, a seccomp filter.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

from . import seccomp

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPRIVILEGED = 65534
"""The user and group that a program runs as where the server is root: ``nobody`` nearly everywhere."""

RESERVE_BYTES = 4 * 1024 * 1024
"""Address space that a child sets aside before it is confined, for when the program has used up its own."""

_STACK_BYTES = 8 * 1024 * 1024
_OPEN_FILES = 16
_SHORT_PROGRAM = 1 << 15  # bytes of text, which hardly take memory once they are read
_CONFINED = "confined"

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: sets of 64 bits
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # one number on every architecture
_LANDLOCK_CREATE_RULESET_VERSION = 1

_libc = ctypes.CDLL(None, use_errno=True)


class ConfinementError(Exception):
    """A layer cannot be put on."""


class _FilterProgram(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


class Layers(NamedTuple):
    """What the server prepares once for all its children."""

    server: int
    address_space: int
    resource_limits: tuple[tuple[int, int], ...]
    filter: _FilterProgram | None
    landlock_abi: int
    landlock_ruleset: int
    null: int
    relaxed: bool


def prepare(relaxed: bool) -> Layers:
    """Find out what this machine offers, and assemble what the children share."""
    _prctl(_PR_SET_PDEATHSIG, 0)  # nothing, but children find the function bound
    _prefer_for_oom_kill()
    is_64_bit = sys.maxsize > 2**32  # a 32-bit interpreter makes the system calls of another architecture
    abi = max(_libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION), 0)
    return Layers(
        server=os.getpid(),
        address_space=0,
        resource_limits=tuple(_resource_limits()),
        filter=_assemble_filter(os.uname().machine if is_64_bit else "32-bit"),
        landlock_abi=abi,
        landlock_ruleset=_deny_all_ruleset(abi) if abi else -1,
        null=os.open(os.devnull, os.O_RDWR),
        relaxed=relaxed,
    )


def ready_to_fork(layers: Layers) -> Layers:
    """Give the layers of this process's children, now that it has all that it will have."""
    return layers._replace(server=os.getpid(), address_space=_address_space())


def apply(layers: Layers, result: int, memory_mb: int, program_bytes: int) -> None:
    """Put every layer on this process, whose one useful descriptor ``result`` will be.

    ``program_bytes`` is how long the text is that it has read.

    Raises ``ConfinementError`` where a layer cannot be put on. Where the sandbox is relaxed, the privileges
    and the filter may fail.
    """
    os.setsid()
    _limit_resources(layers, memory_mb, program_bytes)
    _drop_privileges(layers)
    die_with(layers.server)  # a change of user clears it, so not before
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if layers.landlock_ruleset >= 0:
        refused = _libc.syscall(_LANDLOCK_RESTRICT_SELF, layers.landlock_ruleset, 0)
        if refused and not layers.relaxed:
            raise ConfinementError(f"Landlock: {os.strerror(ctypes.get_errno())}")
    _keep_only(result, layers.null)
    _install_filter(layers)


def die_with(parent: int) -> None:
    """Have the kernel end this process with its parent. Raises ``ConfinementError``."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise ConfinementError("the server died")


def _prefer_for_oom_kill() -> None:
    """Have the kernel kill programs first where memory is short; a server has never as much as its child."""
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
            score.write(b"1000")
    except OSError:
        pass  # no /proc: the kernel then chooses by size alone


def _limit_resources(layers: Layers, memory_mb: int, program_bytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    present = layers.address_space + RESERVE_BYTES if program_bytes <= _SHORT_PROGRAM else _address_space()
    wanted = min(present + memory_mb * 1024 * 1024, sys.maxsize)
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (value, value))
    for kind, value in layers.resource_limits:  # afterwards no file can be opened
        resource.setrlimit(kind, (value, value))


def _resource_limits() -> Iterator[tuple[int, int]]:
    for kind, wanted in (
        (resource.RLIMIT_STACK, _STACK_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        _, hard = resource.getrlimit(kind)
        yield kind, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _address_space() -> int:
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
        pages = int(os.read(statm, 100).split()[0])
        os.close(statm)
        return pages * resource.getpagesize()
    except OSError as error:
        raise ConfinementError(f"the memory limit needs /proc: {error}") from error


def _drop_privileges(layers: Layers) -> None:
    if os.geteuid() == 0:
        _become_nobody(layers)
    _drop_capabilities(layers)  # which a change of user need not do


def _become_nobody(layers: Layers) -> None:
    try:
        os.setgroups([])
        os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
        os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
    except OSError as error:
        if not layers.relaxed:
            raise ConfinementError(f"root cannot become user {UNPRIVILEGED}: {error}") from error


def _drop_capabilities(layers: Layers) -> None:
    """Give up what a process that is not root may have been given nonetheless."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    if _libc.capset(header, (ctypes.c_uint32 * 6)()) and not layers.relaxed:
        raise ConfinementError(f"capabilities: {os.strerror(ctypes.get_errno())}")


def _keep_only(result: int, null: int) -> None:
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, result)
    os.closerange(result + 1, 1 << 10)


def _install_filter(layers: Layers) -> None:
    if layers.filter is None:
        if not layers.relaxed:
            raise ConfinementError(f"no seccomp filter for the architecture {os.uname().machine}")
        return
    try:
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(layers.filter))
    except ConfinementError:
        if not layers.relaxed:
            raise


def _assemble_filter(machine: str) -> _FilterProgram | None:
    code = seccomp.filter_for(machine)
    return None if code is None else _FilterProgram(len(code) // 8, code)


def _deny_all_ruleset(abi: int) -> int:
    """Make a Landlock ruleset that handles all this kernel knows and allows none of it."""
    files = (1 << 13) - 1
    for since, right in ((2, 13), (3, 14), (5, 15)):
        if abi >= since:
            files |= 1 << right
    attributes = [files]
    if abi >= 4:
        attributes.append(0b11)  # bind and connect over TCP
    if abi >= 6:
        attributes.append(0b11)  # abstract sockets and signals that leave the domain
    block = (ctypes.c_uint64 * len(attributes))(*attributes)
    return int(_libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(block), ctypes.sizeof(block), 0))


def _prctl(option: int, value: int, pointer: object = None) -> None:
    # Every argument is a C long: a kernel that checks the unused ones must see zeros.
    third = ctypes.c_ulong(0) if pointer is None else pointer
    if _libc.prctl(option, ctypes.c_ulong(value), third, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise ConfinementError(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def probe(layers: Layers) -> str | None:
    """Confine a child for trial, and have it try what it must not; say what is wanting, or ``None``."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, _try_on(layers._replace(relaxed=False), writer).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        verdict = pipe.read().decode()
    os.waitpid(pid, 0)
    if verdict == _CONFINED:
        return None
    return verdict or "a process died of its confinement"


def _try_on(layers: Layers, result: int) -> str:
    try:
        apply(layers, result, memory_mb=64, program_bytes=_SHORT_PROGRAM + 1)
    except (ConfinementError, OSError) as error:
        return str(error)
    try:
        os.open("/", os.O_RDONLY)
    except PermissionError:
        pass
    else:
        return "a confined process could open a file"
    try:
        if os.fork() == 0:
            os._exit(0)
    except PermissionError:
        return _CONFINED
    except OSError:
        return "system calls are not filtered"  # a limit on processes has stopped it, with another error
    return "a confined process could fork"

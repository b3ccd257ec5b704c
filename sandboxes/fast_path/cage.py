"""What confines Monty's process and its driver: for good, but only once Monty is loaded.

Monty is a program of its own, which its client starts. The dynamic linker loads it, and it starts a thread;
a confined process can do neither. So its process puts on, before it becomes Monty:

- a Landlock domain, in which files can be read and executed, without ports and foreign signals;
- limits, an unprivileged user where the host is root, no new privileges, death with its driver;
- a seccomp filter that allows what computing needs, and hands all else to a listener in the driver.

The listener lets everything pass until Monty has answered for the first time, and is closed then: from there
on, the kernel itself refuses whatever the filter does not allow. No program has run before.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import select
import socket
import struct
import sys
import threading

from sandboxes.guest import confine, seccomp

LONGEST_CPU_SECONDS = 3600
"""CPU time after which the kernel ends Monty's process, should everything else fail to."""

_ADDRESS_SPACE = 1 << 30
_FILTER_MODE, _NEW_LISTENER, _ALL_THREADS = 1, 1 << 3, 1 << 0  # seccomp(2)
_SYSTEM_CALLS = {"x86_64": (317, {"sendmsg": 46}), "aarch64": (277, {"sendmsg": 211})}
_NEVER = {
    "x86_64": (101, 298, 321, 425, 426, 427, 310, 311, 165, 155, 175, 313, 246, 323),
    "aarch64": (117, 241, 280, 425, 426, 427, 270, 271, 40, 41, 105, 273, 104, 282),
}
"""Refused from the start: ptrace, perf, bpf, io_uring, foreign memory, mounts, modules, userfaultfd."""

_DRIVER_EXTRA = {
    "x86_64": {
        "epoll_wait": 232,
        "epoll_ctl": 233,
        "epoll_pwait": 281,
        "eventfd2": 290,
        "kill": 62,
        "wait4": 61,
        "waitid": 247,
        "tgkill": 234,
        "rseq": 334,
        "sched_getaffinity": 204,
        "set_robust_list": 273,
        "writev": 20,
        "readv": 19,
        "fcntl": 72,
        "getpgid": 121,
        "recvfrom": 45,
        "sendto": 44,
    },
    "aarch64": {
        "epoll_ctl": 21,
        "epoll_pwait": 22,
        "eventfd2": 19,
        "kill": 129,
        "waitid": 95,
        "wait4": 260,
        "tgkill": 131,
        "rseq": 293,
        "sched_getaffinity": 123,
        "set_robust_list": 99,
        "writev": 66,
        "readv": 65,
        "fcntl": 25,
        "recvfrom": 207,
        "sendto": 206,
    },
}
"""What the driver needs beyond what programs do: its threads wait on pipes, and end Monty where it hangs."""

_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_*
_NOTIFICATION_BYTES = 80
_CONTINUE = 1

_READ_FILE, _READ_FOLDER, _EXECUTE = 1 << 2, 1 << 3, 1 << 0
_LANDLOCK_ADD_RULE, _LANDLOCK_PATH_BENEATH = 445, 1

_NOTIFY = 0x7FC00000

_libc = ctypes.CDLL(None, use_errno=True)


class CageError(Exception):
    """A layer cannot be put on."""


class Listener:
    """In the driver: lets Monty's process do what the filter asks about, until it is closed."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._theirs.set_inheritable(True)
        self.descriptor = self._theirs.fileno()
        self._stop_reader, self._stop_writer = os.pipe()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Refuse from now on whatever the filter does not allow. Raises ``CageError`` without a filter."""
        os.close(self._stop_writer)
        self._thread.join()
        self._ours.close()
        self._theirs.close()
        os.close(self._stop_reader)
        if not self._heard:
            raise CageError("Monty's process was not confined")

    def _listen(self) -> None:
        self._heard = False
        readable, _, _ = select.select([self._ours.fileno(), self._stop_reader], [], [])
        if self._ours.fileno() not in readable:
            return
        _, descriptors, _, _ = socket.recv_fds(self._ours, 1, 1)
        if not descriptors:
            return
        listener = descriptors[0]
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(self._stop_reader, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if ready.get(listener, 0) & select.POLLIN:
                self._heard = True
                with contextlib.suppress(OSError):  # whoever asked is gone
                    question = fcntl.ioctl(listener, _RECEIVE, bytes(_NOTIFICATION_BYTES))
                    [identity] = struct.unpack_from("=Q", question)
                    fcntl.ioctl(listener, _SEND, struct.pack("=QqiI", identity, 0, 0, _CONTINUE))
            elif ready:
                os.close(listener)
                return


def enter(listener: int) -> None:
    """Confine this process, which is to become Monty, and give its filter's questions to ``listener``."""
    abi = max(_libc.syscall(444, None, 0, 1), 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_CPU_SECONDS, LONGEST_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    driver = os.getppid()
    drop_privileges()
    confine.die_with(driver)
    _check(_libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
    if abi:
        _restrict_files(abi)
    with socket.socket(fileno=listener) as channel:
        channel.set_inheritable(False)
        socket.send_fds(channel, [b"."], [_install(_questioning_filter(), _NEW_LISTENER)])


def confine_driver() -> None:
    """Confine this process, with all its threads, to what driving Monty needs."""
    machine = os.uname().machine
    drop_privileges()
    _check(_libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
    code = seccomp.filter_for(machine, extra=_DRIVER_EXTRA[machine])
    assert code is not None  # noqa: S101
    _install(code, _ALL_THREADS)


def drop_privileges() -> None:
    """Become an unprivileged user where this process is root's."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(*[confine.UNPRIVILEGED] * 3)
        os.setresuid(*[confine.UNPRIVILEGED] * 3)


def limit_processes(pid: int) -> None:
    """Take from a process that runs already the right to start threads and processes."""
    resource.prlimit(pid, resource.RLIMIT_NPROC, (0, 0))


def _questioning_filter() -> bytes:
    """Assemble the filter of Monty's process: that of programs, with a question in place of refusal."""
    machine = os.uname().machine
    if machine not in _SYSTEM_CALLS or sys.maxsize < 2**32:
        raise CageError(f"no seccomp filter for the architecture {machine}")
    # The one message that carries the listener itself; there is no socket in this process afterwards.
    code = seccomp.filter_for(
        machine, extra=_SYSTEM_CALLS[machine][1], never=_NEVER[machine], otherwise=_NOTIFY
    )
    assert code is not None  # noqa: S101
    return code


def _install(code: bytes, flags: int) -> int:
    number = _SYSTEM_CALLS[os.uname().machine][0]
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(program, len(program))
    result = int(_libc.syscall(number, _FILTER_MODE, ctypes.c_uint(flags), holder))
    if result < 0 or (flags == _ALL_THREADS and result):
        raise CageError(f"seccomp: {os.strerror(ctypes.get_errno())}")
    return result


def _restrict_files(abi: int) -> None:
    """Enter a Landlock domain in which files can be read and executed, and all else is refused."""
    handled = (1 << 13) - 1
    for since, right in ((2, 13), (3, 14), (5, 15)):
        if abi >= since:
            handled |= 1 << right
    attributes = [handled]
    if abi >= 4:
        attributes.append(0b11)  # bind and connect over TCP
    if abi >= 6:
        attributes.append(0b11)  # abstract sockets and signals that leave the domain
    block = (ctypes.c_uint64 * len(attributes))(*attributes)
    ruleset = int(_libc.syscall(444, ctypes.byref(block), ctypes.sizeof(block), 0))
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    rule = struct.pack("=Qi", _READ_FILE | _READ_FOLDER | _EXECUTE, root)
    holder = ctypes.create_string_buffer(rule, len(rule))
    _check(_libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_PATH_BENEATH, holder, 0), "Landlock")
    _check(_libc.syscall(446, ruleset, 0), "Landlock")
    os.close(ruleset)
    os.close(root)


def _check(result: int, what: str) -> None:
    if result:
        raise CageError(f"{what}: {os.strerror(ctypes.get_errno())}")

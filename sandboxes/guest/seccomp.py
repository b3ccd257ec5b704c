"""A seccomp filter that allows what computing needs, and refuses all else with ``EPERM``.

Source: Linux, ``Documentation/userspace-api/seccomp_filter.rst`` and ``linux/filter.h``; numbers of system
calls from ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h``.
"""

from __future__ import annotations

import struct
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALLOWED = {
    "x86_64": {
        "read": 0,
        "write": 1,
        "close": 3,
        "poll": 7,
        "lseek": 8,
        "mmap": 9,
        "mprotect": 10,
        "munmap": 11,
        "brk": 12,
        "rt_sigaction": 13,
        "rt_sigprocmask": 14,
        "rt_sigreturn": 15,
        "select": 23,
        "sched_yield": 24,
        "mremap": 25,
        "madvise": 28,
        "nanosleep": 35,
        "getpid": 39,
        "exit": 60,
        "gettimeofday": 96,
        "getrusage": 98,
        "times": 100,
        "getuid": 102,
        "getgid": 104,
        "geteuid": 107,
        "getegid": 108,
        "getppid": 110,
        "sigaltstack": 131,
        "gettid": 186,
        "time": 201,
        "futex": 202,
        "restart_syscall": 219,
        "clock_gettime": 228,
        "clock_getres": 229,
        "clock_nanosleep": 230,
        "exit_group": 231,
        "pselect6": 270,
        "ppoll": 271,
        "getrandom": 318,
    },
    "aarch64": {
        "close": 57,
        "lseek": 62,
        "read": 63,
        "write": 64,
        "pselect6": 72,
        "ppoll": 73,
        "exit": 93,
        "exit_group": 94,
        "futex": 98,
        "nanosleep": 101,
        "clock_gettime": 113,
        "clock_getres": 114,
        "clock_nanosleep": 115,
        "sched_yield": 124,
        "restart_syscall": 128,
        "sigaltstack": 132,
        "rt_sigaction": 134,
        "rt_sigprocmask": 135,
        "rt_sigreturn": 139,
        "times": 153,
        "getrusage": 165,
        "gettimeofday": 169,
        "getpid": 172,
        "getppid": 173,
        "getuid": 174,
        "geteuid": 175,
        "getgid": 176,
        "getegid": 177,
        "gettid": 178,
        "brk": 214,
        "munmap": 215,
        "mremap": 216,
        "mmap": 222,
        "mprotect": 226,
        "madvise": 233,
        "getrandom": 278,
    },
}
"""System calls that a program may use, by architecture: memory, time, its own signals, open descriptors."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*
_X32_BIT = 0x40000000
_PROT_EXEC, _MAP_SHARED, _MADV_HUGEPAGE = 4, 1, 14

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_NUMBER, _ARCHITECTURE, _THIRD_ARGUMENT, _FOURTH_ARGUMENT = (
    0,
    4,
    32,
    40,
)  # offsets in struct seccomp_data, little-endian

REFUSE = 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM, which Python raises as PermissionError
_ALLOW = 0x7FFF0000
_KILL = 0x80000000  # SECCOMP_RET_KILL_PROCESS


def filter_for(
    machine: str,
    extra: Mapping[str, int] = types.MappingProxyType({}),
    never: Sequence[int] = (),
    otherwise: int = REFUSE,
) -> bytes | None:
    """Assemble the filter for a machine as ``os.uname().machine`` names it; ``None`` for an unknown one.

    ``extra`` are system calls allowed beside those in ``ALLOWED``, ``never`` those that are refused whatever
    happens to the others, which is ``otherwise``.

    Another architecture's system calls, the x32 ABI included, kill the process. Memory cannot be made
    executable: ``mmap`` and ``mprotect`` are refused with ``PROT_EXEC``. Nor can it be shared or asked for in
    huge pages: both would stay where the limit on address space does not count them.
    """
    if machine not in ALLOWED:
        return None
    numbers = {**ALLOWED[machine], **extra}
    checked = [
        (
            numbers.pop("mmap"),
            [(_THIRD_ARGUMENT, _JUMP_ANY_BIT, _PROT_EXEC), (_FOURTH_ARGUMENT, _JUMP_ANY_BIT, _MAP_SHARED)],
        ),
        (numbers.pop("mprotect"), [(_THIRD_ARGUMENT, _JUMP_ANY_BIT, _PROT_EXEC)]),
        (numbers.pop("madvise"), [(_THIRD_ARGUMENT, _JUMP_EQUAL, _MADV_HUGEPAGE)]),
    ]
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, _ARCHITECTURES[machine], if_true=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        _instruction(_JUMP_AT_LEAST, _X32_BIT, if_false=1),
        _instruction(_RETURN, _KILL),
    ]
    for number in never:
        code += [_instruction(_JUMP_EQUAL, number, if_false=1), _instruction(_RETURN, REFUSE)]
    for number in numbers.values():
        code += [_instruction(_JUMP_EQUAL, number, if_false=1), _instruction(_RETURN, _ALLOW)]
    for number, forbidden in checked:
        code.append(_instruction(_JUMP_EQUAL, number, if_false=2 * len(forbidden) + 2))
        for left, (argument, jump, value) in zip(reversed(range(len(forbidden))), forbidden, strict=True):
            code += [_instruction(_LOAD, argument), _instruction(jump, value, if_true=2 * left + 1)]
        code += [_instruction(_RETURN, _ALLOW), _instruction(_RETURN, otherwise)]
    code.append(_instruction(_RETURN, otherwise))
    return b"".join(code)


def _instruction(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, operand)  # struct sock_filter

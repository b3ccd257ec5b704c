"""Bare system calls, by number: whatever the library of C does not stand before.

Numbers of x86-64 from ``arch/x86/entry/syscalls/syscall_64.tbl``, of AArch64 from ``asm-generic/unistd.h``.
Each call gets arguments of which no kernel makes anything (-1 as a pointer, a descriptor, a length), so that
it fails even where nothing refuses it, though mostly with another error than ``EPERM``.
"""

from __future__ import annotations

from sandboxes.conformance.attack import attack, fruitless
from sandboxes.conformance.case import Case

_GROUP = "system calls"

_COMMON = {"clone3": 435, "close_range": 436, "openat2": 437, "pidfd_getfd": 438, "process_madvise": 440}
_COMMON |= {"pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
_COMMON |= {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
}
_COMMON |= {"pidfd_open": 434, "mount_setattr": 442, "landlock_create_ruleset": 444, "landlock_add_rule": 445}
_COMMON |= {"landlock_restrict_self": 446, "memfd_secret": 447, "process_mrelease": 448}

_FAMILIES: dict[str, dict[str, tuple[int, int]]] = {
    "other processes": {
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "kcmp": (312, 272),
        "tgkill": (234, 131),
        "tkill": (200, 130),
        "rt_sigqueueinfo": (129, 138),
        "rt_tgsigqueueinfo": (297, 240),
        "waitid": (247, 95),
        "prlimit64": (302, 261),
        "sched_setattr": (314, 274),
        "migrate_pages": (256, 238),
        "move_pages": (279, 239),
        "ioprio_set": (251, 30),
    },
    "new processes and programs": {
        "clone": (56, 220),
        "execve": (59, 221),
        "execveat": (322, 281),
        "unshare": (272, 97),
        "setns": (308, 268),
    },
    "files and descriptors": {
        "openat": (257, 56),
        "memfd_create": (319, 279),
        "name_to_handle_at": (303, 264),
        "open_by_handle_at": (304, 265),
        "ioctl": (16, 29),
        "fcntl": (72, 25),
        "dup": (32, 23),
        "dup3": (292, 24),
        "pipe2": (293, 59),
        "eventfd2": (290, 19),
        "signalfd4": (289, 74),
        "timerfd_create": (283, 85),
        "epoll_create1": (291, 20),
        "inotify_init1": (294, 26),
        "fanotify_init": (300, 262),
        "sendfile": (40, 71),
        "splice": (275, 76),
        "vmsplice": (278, 75),
        "copy_file_range": (326, 285),
        "getdents64": (217, 61),
        "statx": (332, 291),
        "readlinkat": (267, 78),
        "unlinkat": (263, 35),
        "fchmodat": (268, 53),
        "fchownat": (260, 54),
        "pread64": (17, 67),
        "pwrite64": (18, 68),
        "readv": (19, 65),
        "writev": (20, 66),
    },
    "mounts and roots": {
        "mount": (165, 40),
        "umount2": (166, 39),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "swapon": (167, 224),
        "quotactl": (179, 60),
        "acct": (163, 89),
    },
    "the kernel itself": {
        "bpf": (321, 280),
        "userfaultfd": (323, 282),
        "perf_event_open": (298, 241),
        "kexec_load": (246, 104),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "reboot": (169, 142),
        "syslog": (103, 116),
        "personality": (135, 92),
        "seccomp": (317, 277),
        "prctl": (157, 167),
        "uname": (63, 160),
        "sysinfo": (99, 179),
        "sethostname": (170, 161),
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "adjtimex": (159, 171),
        "membarrier": (324, 283),
        "pkey_alloc": (330, 289),
        "mlockall": (151, 230),
        "remap_file_pages": (216, 234),
    },
    "keys and messages between processes": {
        "keyctl": (250, 219),
        "add_key": (248, 217),
        "request_key": (249, 218),
        "msgsnd": (69, 189),
        "msgrcv": (70, 188),
        "semop": (65, 193),
        "shmat": (30, 196),
        "mq_open": (240, 180),
        "mq_unlink": (241, 181),
    },
    "sockets": {
        "socket": (41, 198),
        "socketpair": (53, 199),
        "connect": (42, 203),
        "bind": (49, 200),
        "listen": (50, 201),
        "accept4": (288, 242),
        "sendto": (44, 206),
        "recvfrom": (45, 207),
        "sendmsg": (46, 211),
        "recvmsg": (47, 212),
    },
    "who it is": {
        "setuid": (105, 146),
        "setgid": (106, 144),
        "setresuid": (117, 147),
        "setresgid": (119, 149),
        "setgroups": (116, 159),
        "setfsuid": (122, 151),
        "capset": (126, 91),
        "setpgid": (109, 154),
    },
    "timers and priorities": {
        "setitimer": (38, 103),
        "timer_create": (222, 107),
        "setpriority": (141, 140),
        "sched_setscheduler": (144, 119),
        "sched_setaffinity": (203, 122),
    },
    "what is the same on every architecture": {name: (number, number) for name, number in _COMMON.items()},
}


def _family(name: str, numbers: dict[str, tuple[int, int]]) -> Case:
    body = f"""
        EPERM, nowhere = 1, [ctypes.c_long(-1)] * 6
        # Number 39 is getpid on x86-64 and umount2 on aarch64, of a name that is nowhere.
        machine = 0 if libc.syscall(ctypes.c_long(39), *nowhere) == os.getpid() else 1
        allowed = []
        for name, numbers in {numbers!r}.items():
            ctypes.set_errno(0)
            answer = libc.syscall(ctypes.c_long(numbers[machine]), *nowhere)
            if answer != -1 or ctypes.get_errno() != EPERM: allowed.append(name)
        return allowed
    """
    return fruitless(_GROUP, name, body)


CASES = [
    *(_family(name, numbers) for name, numbers in _FAMILIES.items()),
    attack(
        _GROUP,
        "executable memory",
        "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        "raised",
    ),
    attack(
        _GROUP,
        "jump into data",
        """
        code = ctypes.create_string_buffer(b'\\xb8\\x27\\x00\\x00\\x00\\x0f\\x05\\xc3')
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(code))()
        """,
        "killed",
    ),
    fruitless(
        _GROUP,
        "make memory executable",
        """
        READ, WRITE, EXECUTE, PRIVATE_ANONYMOUS = 1, 2, 4, 0x22
        libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
        nothing, size, failed = ctypes.c_void_p(0), ctypes.c_size_t(4096), ctypes.c_void_p(-1).value
        page = ctypes.c_void_p(libc.mmap(nothing, size, READ | WRITE, PRIVATE_ANONYMOUS, -1, 0))
        made = []
        for protection in (EXECUTE, READ | EXECUTE, READ | WRITE | EXECUTE):
            if libc.mprotect(page, size, protection) == 0: made.append(('mprotect', protection))
            if libc.mmap(nothing, size, protection, PRIVATE_ANONYMOUS, -1, 0) != failed:
                made.append(('mmap', protection))
        code = ctypes.c_void_p(ctypes.cast(libc.getpid, ctypes.c_void_p).value & -4096)
        if libc.mprotect(code, size, READ | WRITE | EXECUTE) == 0: made.append('code')
        return made
        """,
    ),
]

"""Attacks through the network: to this machine, to others, to the kernel."""

from __future__ import annotations

from sandboxes.conformance.attack import attack, fruitless

_GROUP = "network"

CASES = [
    attack(_GROUP, "network", "import socket; socket.create_connection(('127.0.0.1', 80))", "raised"),
    attack(_GROUP, "listen", "import socket; socket.create_server(('127.0.0.1', 0)); return 0", "raised"),
    attack(_GROUP, "a pair of sockets", "import socket; return len(socket.socketpair())", "raised"),
    attack(
        _GROUP,
        "ask for an address",
        "import socket; return str(socket.getaddrinfo('localhost', 80))",
        "raised",
    ),
    attack(_GROUP, "host name", "os.uname()", "raised"),
    fruitless(
        _GROUP,
        "sockets through C, of every family",
        """
        found = []
        for family in range(46):
            for kind in (1, 2, 3, 5):
                if libc.socket(family, kind, 0) != -1: found.append((family, kind))
        return found[:5]
        """,
    ),
    fruitless(
        _GROUP,
        "sockets through bare system calls",
        """
        numbers = [41, 53] if libc.syscall(39) == os.getpid() else [198, 199]
        pair = (ctypes.c_int * 2)()
        one = libc.syscall(*map(ctypes.c_long, (numbers[0], 2, 1, 0)))
        two = libc.syscall(*map(ctypes.c_long, (numbers[1], 1, 1, 0)), pair)
        return [answer for answer in (one, two) if answer != -1]
        """,
    ),
    fruitless(
        _GROUP,
        "sockets through io_uring",
        """
        parameters = ctypes.create_string_buffer(120)
        ring = libc.syscall(ctypes.c_long(425), ctypes.c_long(8), parameters)
        return [] if ring == -1 else [ring]
        """,
    ),
    fruitless(
        _GROUP,
        "learn the host's name through C",
        """
        name = ctypes.create_string_buffer(300)
        return [] if libc.gethostname(name, 300) == -1 else [name.value]
        """,
    ),
]

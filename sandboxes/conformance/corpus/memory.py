"""Attacks on memory: more of it than there is for a program."""

from __future__ import annotations

from sandboxes.conformance.attack import attack, attacks, fruitless, module

_GROUP = "memory"

_OUT_OF_MEMORY = {
    "growing list": "x = []\nwhile True: x.append(bytes(10 ** 6))",
    "bytes": "return len(bytes(10 ** 10))",
    "doubling string": "x = 'ab'\nwhile True: x += x",
    "doubling list": "x = [0]\nwhile True: x += x",
    "everything kept": "global keep\nkeep = []\nwhile True: keep.append([0] * 10000)",
    "memory error from memory error": """
        try: bytes(10 ** 10)
        except MemoryError as error: raise MemoryError from error
    """,
    "a memory error of its own": "class Own(MemoryError): pass\nraise Own('x' * 10 ** 6)",
    "a memory error in a finally": """
        try: return 1
        finally: bytes(10 ** 10)
    """,
    "a long number": "return (1 << 10 ** 11).bit_length()",
    "a wide format": "return len(format(1, '>10000000000'))",
    "a long justification": "return len('a'.ljust(10 ** 10))",
    "a long join": "return len(('x' * 10 ** 6).join('y' * 1000))",
    "a long replacement": "return len(('a' * 10 ** 5).replace('a', 'b' * 10 ** 5))",
    "a long range": "return len(list(range(10 ** 10)))",
    "an endless generator": "return len(list(iter(int, 1)))",
    "a growing dict": "x = {}\nfor i in range(10 ** 9): x[i] = i",
    "a growing set": "return len(set(map(float, range(10 ** 9))))",
    "a growing buffer": "import io; x = io.BytesIO()\nwhile True: x.write(bytes(10 ** 6))",
    "a growing array": "import array; return len(array.array('d', [0.0]) * 10 ** 10)",
    "a large buffer of C": "return len(ctypes.create_string_buffer(10 ** 10))",
    "a compression bomb": """
        import zlib
        packer = zlib.compressobj(1)
        bomb = b''.join([packer.compress(bytes(10 ** 6)) for _ in range(150)] + [packer.flush()])
        return len(zlib.decompress(bomb))
    """,
    "entities that multiply": "import html; return len(html.unescape('&amp;' * 10 ** 6) * 10 ** 6)",
    "a product": "import itertools; return len(list(itertools.product(range(1000), repeat=3)))",
    "a tee that is never read": """
        import itertools
        one, other = itertools.tee(itertools.count())
        for _ in one: pass
    """,
    "a cache without end": """
        import functools
        @functools.cache
        def remember(i): return [0] * 1000
        i = 0
        while True: i = i + 1; remember(i)
    """,
    "classes without end": "x = []\nwhile True: x.append(type('A', (), {}))",
    "strings kept for ever": "i = 0\nx = []\nwhile True: i += 1; x.append(sys.intern(str(i) * 100))",
    "garbage that cannot be freed": """
        class Immortal:
            def __init__(self): self.x = bytes(10 ** 5)
            def __del__(self): keep.append(self)
        keep = []
        while True: Immortal()
    """,
    "an endless line": "x = 'x'\nwhile True:\n    x = x + x\n    sys.stdout.write(x[:1])",
}

_ARRAYS = {
    "array": "import numpy as np; return float(np.ones(10 ** 9).sum())",
    "an outer product": "import numpy as np; x = np.ones(10 ** 5); return float(np.outer(x, x).sum())",
    "a broadcast made real": "import numpy as np; return np.broadcast_to(1.0, (10 ** 5,) * 2).copy().size",
    "a repeated array": "import numpy as np; return np.repeat(np.zeros(10 ** 3), 10 ** 7).size",
}

CASES = [
    *attacks(_GROUP, "out_of_memory", _OUT_OF_MEMORY),
    *attacks(_GROUP, "out_of_memory", _ARRAYS, needs=("numpy",)),
    attack(_GROUP, "a mapping", "import mmap; return len(mmap.mmap(-1, 10 ** 10))", "raised"),
    attack(
        _GROUP,
        "malloc",
        """
        libc.malloc.restype = ctypes.c_void_p
        taken = 0
        while taken < 200 and libc.malloc(ctypes.c_size_t(1 << 20)) is not None: taken += 1
        return taken <= 64
        """,
        "ok",
        value=True,
        spoils=True,  # nothing is left for the input that follows
    ),
    attack(
        _GROUP,
        "shared memory that stays when it is unmapped",
        """
        libc.mmap.restype = ctypes.c_void_p
        SHARED_ANONYMOUS, failed = 0x21, ctypes.c_void_p(-1).value
        page = libc.mmap(ctypes.c_void_p(0), ctypes.c_size_t(1 << 20), 3, SHARED_ANONYMOUS, -1, 0)
        return page == failed
        """,
        "ok",
        value=True,
    ),
    attack(
        _GROUP,
        "shared memory by the module for it",
        "import mmap; mmap.mmap(-1, 1 << 20)",
        "raised",
    ),
    attack(
        _GROUP,
        "mappings without reserve",
        """
        libc.mmap.restype = ctypes.c_void_p
        PRIVATE_ANONYMOUS_NORESERVE, failed = 0x4022, ctypes.c_void_p(-1).value
        nowhere, size = ctypes.c_void_p(0), ctypes.c_size_t(1 << 20)
        taken = 0
        for _ in range(200):
            page = libc.mmap(nowhere, size, 3, PRIVATE_ANONYMOUS_NORESERVE, -1, 0)
            if page == failed: break
            taken += 1
        return taken <= 64
        """,
        "ok",
        value=True,
        spoils=True,
    ),
    fruitless(
        _GROUP,
        "memory that cannot be swapped",
        "return [1] if libc.mlock(ctypes.c_void_p(id(libc) & -4096), ctypes.c_size_t(4096)) == 0 else []",
    ),
    fruitless(
        _GROUP,
        "memory that others share",
        """
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(0, ctypes.c_size_t(4096), 0o600)
        if segment == -1: return []
        libc.shmctl(segment, 0, None)
        return ['a segment']
        """,
    ),
    attack(
        _GROUP,
        "a growing queue",
        "import collections; return len(collections.deque(iter(int, 1)))",
        "out_of_memory",
        "raised",  # some versions forget to say why: SystemError, a result without an exception
    ),
    attack(
        _GROUP,
        "the last byte, kept",
        """
        global keep
        keep, size = [], 1 << 24
        while size > 64:
            try: keep.append(bytes(size))
            except MemoryError: size >>= 1
        return 1
        """,
        # Whether the few bytes that the answer takes are left depends on how the allocator cut its pages.
        "ok",
        "out_of_memory",
        spoils=True,
    ),
    attack(
        _GROUP,
        "memory errors, swallowed",
        "while True:\n    try: bytes(10 ** 10)\n    except MemoryError: pass",
        "timed_out",
    ),
    attack(
        _GROUP,
        "frames without end",
        """
        sys.setrecursionlimit(10 ** 9)
        def down(): return [down()]
        return down()
        """,
        # Frames are on the heap from Python 3.11, and some versions count those of C beside them.
        "out_of_memory",
        "raised",
        "killed",
    ),
    attack(
        _GROUP,
        "a mapped array",
        "import numpy as np; np.memmap('hostile', mode='w+', shape=9)",
        "raised",
        needs=("numpy",),
    ),
    module(_GROUP, "as it is loaded", "x = []\nwhile True: x.append(bytes(10 ** 6))", "out_of_memory"),
    module(_GROUP, "a constant", "x = (1 << 10 ** 11)\ndef f(x): return 1", "out_of_memory"),
]

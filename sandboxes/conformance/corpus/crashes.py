"""Attacks on the interpreter's life: deep recursion, broken pointers, source that no compiler likes."""

from __future__ import annotations

from sandboxes.conformance.attack import attack, attacks, module

_GROUP = "crashes"

_KILLED = {
    "exit": "os._exit(0)",
    "exit through C": "libc._exit(3)",
    "exit with handlers": "libc.exit(0)",
    "exit through Python's C": "ctypes.pythonapi.Py_Exit(0)",
    "exit through a system call": "libc.syscall(231 if libc.syscall(39) == os.getpid() else 94, 0)",
    "null pointer": "ctypes.string_at(0)",
    "null function": "ctypes.CFUNCTYPE(None)(0)()",
    "write to code": "ctypes.memset(ctypes.cast(libc.getpid, ctypes.c_void_p).value, 0, 16)",
    "no reference left": "ctypes.memset(id(None), 0, 64)\nreturn None",
    "a fault in C": "import faulthandler; faulthandler._read_null()",
    "abort": "os.abort()",
    "a fatal error": "ctypes.pythonapi.Py_FatalError(b'hostile')",
    "deep recursion in C": "x = ()\nfor _ in range(2 * 10 ** 5): x = (x,)\nhash(x)",
    "no descriptors": "for d in range(64):\n    try: os.close(d)\n    except OSError: pass",
    "all descriptors closed at once": "os.closerange(0, 10 ** 4)",
}

_RECURSION = {
    "deep recursion": "def g(): return g()\ng()",
    "recursion between two": "def a(): return b()\ndef b(): return a()\na()",
    "recursion through a property": """
        class A:
            @property
            def x(self): return self.x
        return A().x
    """,
    "recursion through attributes": """
        class A:
            def __getattr__(self, name): return getattr(self, name + 'x')
        return A().x
    """,
    "recursion through repr": """
        class A:
            def __repr__(self): return repr(self)
        return repr(A())
    """,
    "recursion through comparison": """
        class A:
            def __eq__(self, other): return self == other
        return A() == A()
    """,
    "recursion through a call": """
        class A:
            def __call__(self): return self()
        return A()()
    """,
    "deep text": "import json; x = []\nfor _ in range(10 ** 5): x = [x]\nreturn json.dumps(x)",
    "deep JSON": "import json; return json.loads('[' * 10 ** 5)",
    "deep repr": "x = []\nfor _ in range(10 ** 5): x = [x]\nreturn repr(x)",
    "deep pickle": "import pickle; x = []\nfor _ in range(10 ** 5): x = [x]\nreturn pickle.dumps(x)",
    "deep comparison": """
        x, y = [], []
        for _ in range(10 ** 5): x, y = [x], [y]
        return x == y
    """,
    "deep pattern": "import re; return re.compile('(' * 10 ** 4 + ')' * 10 ** 4)",
}

_COMPILED = {
    "brackets": "ast.parse('(' * 10 ** 5)",
    "signs": "compile('-' * 10 ** 5 + '1', '', 'eval')",
    "sums": "eval('+'.join(['1'] * 10 ** 5))",
    "indices": "compile('x' + '[0]' * 10 ** 5, '', 'eval')",
    "attributes": "compile('x' + '.x' * 10 ** 5, '', 'eval')",
    "lambdas": "compile('lambda: ' * 10 ** 5 + '1', '', 'eval')",
    "conditions": "compile('1 if 1 else ' * 10 ** 5 + '1', '', 'eval')",
    "blocks": "compile(''.join(' ' * i + 'if 1:\\n' for i in range(200)) + ' ' * 200 + '1', '', 'exec')",
    "literals": "ast.literal_eval('[' * 10 ** 5 + ']' * 10 ** 5)",
    "texts in texts": "compile('f\"{' * 200 + '1' + '}\"' * 200, '', 'eval')",
}

CASES = [
    *attacks(_GROUP, "killed", _KILLED),
    # Python raises RecursionError for all of these.
    *attacks(_GROUP, "raised", _RECURSION),
    # The limits of parser, syntax tree and compiler differ between versions: an error, a MemoryError for a
    # full stack of the parser, a crash for a full one of C, or an answer where the limit is not reached.
    *(
        attack(
            _GROUP, f"deep source: {name}", f"import ast; {body}", "raised", "out_of_memory", "killed", "ok"
        )
        for name, body in _COMPILED.items()
    ),
    attack(
        _GROUP,
        "chained iterators",
        "x = iter((1, 2))\nfor _ in range(2 * 10 ** 5): x = map(abs, x)\nreturn next(x)",
        "killed",
    ),
    attack(
        _GROUP,
        "deep copy",
        "import copy; x = []\nfor _ in range(10 ** 5): x = [x]\nreturn copy.deepcopy(x)",
        "raised",
        "killed",  # Python 3.13.0 crashes on it where there is little memory
    ),
    attack(
        _GROUP,
        "nested generators",
        "x = iter(())\nfor _ in range(10 ** 4): x = (y for y in x)\nreturn list(x)",
        "raised",
        "killed",  # where generators take the stack of C
        "ok",
    ),
    attack(
        _GROUP,
        "chained errors",
        """
        error = ValueError('first')
        for _ in range(10 ** 5):
            following = ValueError('next')
            following.__cause__ = following.__context__ = error
            error = following
        raise error
        """,
        "raised",
    ),
    attack(
        _GROUP,
        "an error that is its own cause",
        "error = ValueError('loop'); error.__cause__ = error; raise error",
        "raised",
        error="ValueError: loop",
    ),
    attack(
        _GROUP,
        "groups of errors",
        """
        error = ValueError('first')
        for _ in range(10 ** 4): error = ExceptionGroup('group', [error])
        raise error
        """,
        "raised",
    ),
    attack(
        _GROUP,
        "a long traceback",
        "sys.setrecursionlimit(30_000)\ndef g(n): return 1 // n + g(n - 1)\ng(20_000)",
        "raised",
        error="ZeroDivisionError",
    ),
    attack(
        _GROUP,
        "code that is none",
        """
        def g(): return 1
        g.__code__ = g.__code__.replace(co_code=bytes([255, 0]) * 50, co_stacksize=1)
        return g()
        """,
        # What an interpreter makes of an unknown instruction is its own affair.
        "killed",
        "raised",
        "ok",
        "timed_out",
    ),
    attack(
        _GROUP,
        "a finished interpreter",
        "ctypes.pythonapi.Py_FinalizeEx()",
        "killed",
        "raised",
        "ok",
        spoils=True,
    ),
    attack(
        _GROUP,
        "numbers that are others",
        "one = ctypes.string_at(id(1), 28); ctypes.memmove(id(2), one, 28); return [1 + 1 == 2]",
        "ok",
        "killed",
        "raised",
        "bad_output",
        "timed_out",
        "out_of_memory",  # 2 is now 1 for all that the interpreter counts
        spoils=True,
    ),
    attack(_GROUP, "leave", "raise SystemExit(0)", "raised", error="SystemExit"),
    attack(_GROUP, "leave politely", "sys.exit()", "raised", error="SystemExit"),
    attack(_GROUP, "interrupt", "raise KeyboardInterrupt", "raised", error="KeyboardInterrupt"),
    attack(_GROUP, "stop a generator", "raise GeneratorExit", "raised", error="GeneratorExit"),
    attack(_GROUP, "stop an iteration", "raise StopIteration(1)", "raised", error="StopIteration"),
    attack(_GROUP, "an error that is no class", "raise type('E', (BaseException,), {})", "raised", error="E"),
    module(_GROUP, "nothing at all", "", "raised"),
    module(_GROUP, "a zero byte", "def f(x): return 0\0", "raised"),
    module(_GROUP, "surrogates", "def f(x): return '\ud800'", "raised"),
    module(
        _GROUP, "an encoding that is not", "# -*- coding: undefined -*-\ndef f(x): return 0", "ok", value=0
    ),
    module(
        _GROUP, "an encoding with tricks", "# coding: utf-7\ndef f(x): return '+AGE-'", "ok", value="+AGE-"
    ),
    module(_GROUP, "a mark of byte order", "\ufeffdef f(x): return 0", "ok", "raised"),
    module(_GROUP, "line ends of all kinds", "x = 1\r\ny = 2\rdef f(x): return y\x0c\n", "ok", value=2),
    module(
        _GROUP, "a very long line", "x = [" + "0," * 100_000 + "]\ndef f(x): return 0", "ok", "out_of_memory"
    ),
    module(_GROUP, "a very long name", "x" * 100_000 + " = 1\n1 / 0", "raised"),
    module(_GROUP, "very many lines", "x = 1\n" * 20_000 + "def f(x): return 0", "ok", value=0),
    module(_GROUP, "a long broken line", "def f(x): return (" + "1 " * 50_000, "raised"),
    module(_GROUP, "leave as it is loaded", "import os; os._exit(0)", "killed"),
    module(_GROUP, "raise as it is loaded", "raise SystemExit", "raised"),
    module(
        _GROUP, "remove itself", "import sys\ndel sys.modules[__name__]\ndef f(x): return 7", "ok", value=7
    ),
    module(
        _GROUP,
        "become another",
        "import sys\nsys.modules[__name__] = None\ndef f(x): return 7",
        "ok",
        value=7,
    ),
]

"""What programs that mean no harm can rely on: values, ways to be called, statuses, inputs kept apart."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

from sandboxes.conformance.case import QUICK, Case, Outcome
from sandboxes.execution import Status
from sandboxes.program import CallStyle

_NUMPY = ("numpy",)
_TOO_MANY_ARGUMENTS = "TypeError: f() takes 1 positional argument"


def behaviour_cases() -> list[Case]:
    """Give the cases; those with arrays only where this process can import numpy."""
    return [*_values(), *_arrays(), *_calls(), *_statuses(), *_bad_outputs(), *_inputs()]


def _ok(value: Any, stdout: str | None = None) -> Outcome:
    return Outcome(("ok",), value, stdout=stdout)


def _values() -> list[Case]:
    values = {
        "None": None,
        "a truth value": True,
        "zero": 0,
        "a large negative integer": -(10**30),
        "an integer of 20,000 bits": 1 << 20_000,
        "a float": 0.1,
        "negative zero": -0.0,
        "nan": math.nan,
        "infinity": math.inf,
        "no text": "",
        "text beyond ASCII": "naïve \x00 \U0001f600",
        "text with lone surrogates": "\ud83d\ude00",
        "an empty list": [],
        "lists of lists": [[1, 2], [3.0, None]],
        "an empty tuple": (),
        "a tuple with a list": (1, [2, (3,)]),
        "a set": {1, 2},
        "a frozen set": frozenset({"a"}),
        "an empty dict": {},
        "a dict of dicts": {"a": {"b": 1}},
        "a dict with keys of many types": {1: "a", (2, 3): "b", None: "c"},
        "a dict that looks like a tag": {"$tuple": [1]},
        "bytes": b"\x00\xff",
        "a complex number": 1 - 2j,
    }
    return [
        Case(f"{name} travels both ways", "values", "def f(x): return x", (value,), (_ok(value),))
        for name, value in values.items()
    ]


def _arrays() -> list[Case]:
    plain = {
        "np.int64(3)": 3,
        "np.float32(0.5)": 0.5,
        "np.bool_(True)": True,
        "Counter('aab')": {"a": 2, "b": 1},
        "Point(1, 2)": (1, 2),
        "Colour.RED": 7,
        "[np.int8(1), (np.float64(2),)]": [1, (2.0,)],
    }
    prelude = (
        "import numpy as np\nfrom enum import IntEnum\nfrom collections import Counter, namedtuple\n"
        "Point = namedtuple('Point', 'x y')\nclass Colour(IntEnum):\n    RED = 7\n"
    )
    cases = [
        Case(
            f"{expression} comes back plain",
            "values",
            f"{prelude}def f(x): return {expression}",
            (0,),
            (_ok(value),),
            needs=_NUMPY,
        )
        for expression, value in plain.items()
    ]
    if importlib.util.find_spec("numpy") is None:
        return cases
    import numpy as np  # noqa: PLC0415 - takes long to import, and not every host has it

    for dtype in ("bool", "int8", "int64", "uint64", "float32", "float64", "complex128"):
        array = np.arange(6).reshape(1, 2, 3).astype(dtype)
        name = f"an array of {dtype} keeps dtype and shape"
        cases.append(Case(name, "values", "def f(x): return x", (array,), (_ok(array),), needs=_NUMPY))
    return cases


def _calls() -> list[Case]:
    def case(name: str, call: CallStyle, source: str, given: Any, value: Any) -> Case:
        needs = _NUMPY if call == "grid_ndarray" else ()
        return Case(name, "calls", source, (given,), (_ok(value),), call=call, needs=needs)

    both = "def f(x, y): return [x, y]"
    about = "def f(g): return (type(g).__name__, g.dtype.kind, g.ndim, g.tolist())"
    grids = {"a grid": [[1, 2, 3]], "a grid of one empty row": [[]], "an empty grid": []}
    return [
        case("positional, from a list", "positional", both, [1, 2], [1, 2]),
        case("positional, from a tuple", "positional", both, (1, 2), [1, 2]),
        case("keyword", "keyword", both, {"y": 2, "x": 1}, [1, 2]),
        case("grid_list", "grid_list", "def f(g): return g[::-1]", [[1, 2], [3, 4]], [[3, 4], [1, 2]]),
        *(
            case(f"grid_ndarray, {name}", "grid_ndarray", about, grid, ("ndarray", "i", 2, grid))
            for name, grid in grids.items()
        ),
        Case(
            "a wrong number of arguments is the program's fault",
            "calls",
            "def f(x): return x",
            ([1, 2],),
            (Outcome(("raised",), error=_TOO_MANY_ARGUMENTS),),
            call="positional",
        ),
    ]


_RAISED = {
    "def f(x):\n    y = 0\n    return x / y": "ZeroDivisionError: division by zero (line 3: return x / y)",
    "def g(x):\n    raise ValueError\ndef f(x): g(x)": "ValueError (line 2: raise ValueError)",
    "import json\ndef f(x): json.loads('{')": "(line 2: def f(x): json.loads('{'))",
    "def f(x) return x": "SyntaxError: expected ':' (line 1: def f(x) return x)",
    "def g(x): return x": "NameError: the program defines no 'f'",
    "f = 3": "TypeError: 'f' is not a function",
    "1 / 0": "ZeroDivisionError: division by zero (line 1: 1 / 0)",
    "def f(x): raise ValueError('a\\nb')": "ValueError: a b (line 1",
    "def f(x): raise SystemExit(0)": "SystemExit: 0",
    "def f(x): raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise SystemExit": "SystemExit",
    "def f(x): return f(x)": "RecursionError: maximum recursion depth exceeded",
    "def f(x): return input()": "EOFError",
    "import pandas": "ModuleNotFoundError: No module named 'pandas'",
    "def f(x): return open('/etc/passwd').read()": "PermissionError",
}
"""Part of the error that a program must end with."""


def _statuses() -> list[Case]:
    def case(name: str, source: str, *expected: Outcome, needs: tuple[str, ...] = ()) -> Case:
        return Case(name, "statuses", source, tuple(range(1, len(expected) + 1)), expected, needs=needs)

    def dies(status: Status, source: str, needs: tuple[str, ...] = ()) -> Case:
        return case(f"{status}: {source.splitlines()[-1]}", source, Outcome((status,)), needs=needs)

    cases = [
        case(
            "ok, with what was printed",
            "def f(x):\n    print('hé', x)\n    return x",
            _ok(1, stdout="hé 1\n"),
            _ok(2, stdout="hé 2\n"),
        ),
        case(
            "output is cut at the limit",
            "def f(x):\n    print('é' * 10**6)\n    return x",
            _ok(1, stdout="é" * (QUICK.output_bytes // 2)),
        ),
        dies("timed_out", "def f(x):\n    while True: pass"),
    ]
    for source, error in _RAISED.items():
        outcome = Outcome(("raised",), error=error)
        cases.append(case(f"raised: {error}", source, outcome, outcome))
    for expression in ("bytes(10**9)", "[0] * 10**8", "10**9 * 'a'"):
        cases.append(dies("out_of_memory", f"def f(x): return {expression}"))  # noqa: PERF401
    large = "import numpy as np\ndef f(x): return np.ones((10**5, 10**4))"
    cases.append(dies("out_of_memory", large, needs=_NUMPY))
    for expression in ("os._exit(0)", "os._exit(1)", "ctypes.string_at(0)"):
        cases.append(dies("killed", f"import ctypes, os\ndef f(x): {expression}"))  # noqa: PERF401
    return cases


_BAD_OUTPUT = {
    "map(str, [x])": "a value of type map is not data; return list(...) of it",
    "range(3)": "a value of type range is not data; return list(...) of it",
    "{1: 2}.keys()": "dict_keys is not data; return list(...) of it",
    "(x for x in 'ab')": "generator is not data; return list(...) of it",
    "f": "a value of type function is not data",
    "int": "a value of type type is not data",
    "[object()]": "a value of type object is not data",
    "'a' * 20_000": "the value is too large: more than 10000 bytes as JSON",
    "list(range(10_000))": "the value is too large",
    "nested(200)": "the value is nested more than 100 deep",
    "cyclic()": "the value contains itself",
    "doubled(50)": "the value is too large",
    "{i * (2**61 - 1) for i in range(300)}": "share a hash",
    "np.array(['a'])": "a numpy array of dtype",
    "np.zeros((10**7, 0))": "a numpy array of shape (10000000, 0) is too large",
}
"""Part of the error that a program must end with which returns such a value."""


def _bad_outputs() -> list[Case]:
    prelude = (
        "def nested(n):\n    x = []\n    for _ in range(n): x = [x]\n    return x\n"
        "def doubled(n):\n    x = []\n    for _ in range(n): x = [x, x]\n    return x\n"
        "def cyclic():\n    x = {}\n    x['x'] = [x]\n    return x\n"
    )
    cases = []
    for expression, error in _BAD_OUTPUT.items():
        needs = _NUMPY if "np." in expression else ()
        source = f"{'import numpy as np' if needs else ''}\n{prelude}def f(x): return {expression}"
        expected = Outcome(("bad_output",), error=error)
        cases.append(Case(f"bad_output: {expression}", "statuses", source, (1,), (expected,), needs=needs))
    return cases


def _inputs() -> list[Case]:
    def case(name: str, source: str, inputs: list[Any], *expected: Outcome) -> Case:
        return Case(name, "inputs", source, tuple(inputs), expected)

    cases = [
        case(
            "the module runs once",
            "print('module')\nseen = []\ndef f(x):\n    seen.append(x)\n    return list(seen)",
            [1, 2],
            _ok([1], stdout="module\n"),
            _ok([1, 2], stdout=""),
        ),
        case(
            "what the module set holds for every input",
            "import sys\nsys.setrecursionlimit(50_000)\ndef f(x): return 0 if x == 0 else 1 + f(x - 1)",
            [5000, 5000],
            _ok(5000),
            _ok(5000),
        ),
        case(
            "the name is not __main__",
            "if __name__ == '__main__': 1 / 0\ndef f(x): return __name__",
            [1],
            _ok("program"),
        ),
        case(
            "the budget restarts with each input",
            "import time\n"
            "def f(x):\n    while time.process_time() - start < 0.2 * x: pass\n    return x\n"
            "start = time.process_time()",
            [1, 2, 3],
            *map(_ok, [1, 2, 3]),
        ),
        case("no inputs, no results", "def f(x): return x", []),
    ]
    harms: dict[str, Status] = {
        "while True: pass": "timed_out",
        "os._exit(0)": "killed",
        "keep.append(bytes(10**9))": "out_of_memory",
        "1 / 0": "raised",
    }
    for harm, status in harms.items():
        source = f"import os\nkeep = []\ndef f(x):\n    if x == 2:\n        {harm}\n    return x"
        dead = Outcome((status,))
        cases.append(
            case(f"the rest runs after {harm}", source, [1, 2, 3, 2, 4], _ok(1), dead, _ok(3), dead, _ok(4))
        )
    modules: dict[str, Status] = {
        "while True: pass": "timed_out",
        "import os; os._exit(0)": "killed",
        "x = bytes(10**9)": "out_of_memory",
    }
    for source, status in modules.items():
        # Tried for each input, this would take minutes.
        expected = [Outcome((status,))] * 1000
        cases.append(case(f"a module that dies is tried once: {source}", source, [*range(1000)], *expected))
    return cases

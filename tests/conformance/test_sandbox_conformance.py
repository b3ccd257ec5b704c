"""What every sandbox back end must do. A new back end adds itself to ``BACK_ENDS`` and passes all of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from sandboxes import EmbeddedSandbox, Execution, Limits, Program, Sandbox, SandboxError
from sandboxes.values import canonical

BACK_ENDS: dict[str, Callable[[], Sandbox]] = {"embedded": lambda: EmbeddedSandbox(servers=2)}

QUICK = Limits(seconds=0.3, memory_mb=64, output_bytes=10_000)


@pytest.fixture(scope="module", params=BACK_ENDS)
def make_sandbox(request) -> Callable[[], Sandbox]:
    return BACK_ENDS[request.param]


@pytest.fixture(scope="module")
def sandbox(make_sandbox) -> Iterator[Sandbox]:
    with make_sandbox() as sandbox:
        yield sandbox


def run(sandbox: Sandbox, source: str, *inputs: Any, call: Any = "single") -> list[Execution]:
    return sandbox.run(Program(source, "f", call), inputs, QUICK)


def same(value: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types all the way down."""
    return canonical(value) == canonical(other)


class TestValues:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            0,
            -(10**30),
            1 << 20_000,
            0.1,
            -0.0,
            math.nan,
            math.inf,
            "",
            "naïve \x00 \U0001f600",
            "\ud83d\ude00",
            [],
            [[1, 2], [3.0, None]],
            (),
            (1, [2, (3,)]),
            {1, 2},
            frozenset({"a"}),
            {},
            {"a": {"b": 1}},
            {1: "a", (2, 3): "b", None: "c"},
            {"$tuple": [1]},
            b"\x00\xff",
            1 - 2j,
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_travel_both_ways_with_exact_types(self, sandbox, value):
        [execution] = run(sandbox, "def f(x): return x", value)
        assert execution.status == "ok"
        assert same(execution.value, value)

    @pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint64", "float32", "float64", "complex128"])
    def test_arrays_keep_dtype_and_shape(self, sandbox, dtype):
        array = np.arange(6).reshape(1, 2, 3).astype(dtype)
        [execution] = run(sandbox, "def f(x): return x", array)
        assert execution.value.dtype == array.dtype
        assert execution.value.shape == (1, 2, 3)
        assert (execution.value == array).all()

    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ("np.int64(3)", 3),
            ("np.float32(0.5)", 0.5),
            ("np.bool_(True)", True),
            ("Counter('aab')", {"a": 2, "b": 1}),
            ("Point(1, 2)", (1, 2)),
            ("Colour.RED", 7),
            ("[np.int8(1), (np.float64(2),)]", [1, (2.0,)]),
        ],
    )
    def test_scalars_and_subclasses_come_back_plain(self, sandbox, expression, value):
        source = (
            "import numpy as np\nfrom enum import IntEnum\nfrom collections import Counter, namedtuple\n"
            "Point = namedtuple('Point', 'x y')\nclass Colour(IntEnum):\n    RED = 7\n"
            f"def f(x): return {expression}"
        )
        [execution] = run(sandbox, source, 0)
        assert same(execution.value, value)

    def test_an_input_that_is_not_data_is_refused(self, sandbox):
        with pytest.raises(ValueError, match=r"input 1: .*object"):
            run(sandbox, "def f(x): return x", 0, object())

    def test_no_inputs_no_executions(self, sandbox):
        assert run(sandbox, "def f(x): return x") == []


class TestCallStyles:
    @pytest.mark.parametrize("arguments", [[1, 2], (1, 2)])
    def test_positional(self, sandbox, arguments):
        [execution] = run(sandbox, "def f(x, y): return [x, y]", arguments, call="positional")
        assert execution.value == [1, 2]

    def test_keyword(self, sandbox):
        [execution] = run(sandbox, "def f(x, y): return [x, y]", {"y": 2, "x": 1}, call="keyword")
        assert execution.value == [1, 2]

    def test_grid_list(self, sandbox):
        [execution] = run(sandbox, "def f(g): return g[::-1]", [[1, 2], [3, 4]], call="grid_list")
        assert execution.value == [[3, 4], [1, 2]]

    @pytest.mark.parametrize("grid", [[[1, 2, 3]], [[]], []])
    def test_grid_ndarray(self, sandbox, grid):
        source = "def f(g): return (type(g).__name__, g.dtype.kind, g.ndim, g.tolist())"
        [execution] = run(sandbox, source, grid, call="grid_ndarray")
        assert execution.value == ("ndarray", "i", 2, grid)

    @pytest.mark.parametrize(
        ("call", "value"),
        [
            ("positional", 3),
            ("positional", "ab"),
            ("keyword", [1]),
            ("keyword", {1: 2}),
            ("grid_list", [[1], [2, 3]]),
            ("grid_list", [[1.5]]),
            ("grid_list", [[True]]),
            ("grid_ndarray", [[1 << 63]]),
            ("grid_ndarray", None),
            ("grid_ndarray", [None]),
        ],
    )
    def test_an_input_that_does_not_fit_is_refused(self, sandbox, call, value):
        with pytest.raises(ValueError, match="input 0"):
            run(sandbox, "def f(*x, **y): return 1", value, call=call)

    def test_a_wrong_number_of_arguments_is_the_programs_fault(self, sandbox):
        [execution] = run(sandbox, "def f(x): return x", [1, 2], call="positional")
        assert execution.status == "raised"
        assert execution.error.startswith("TypeError: f() takes 1 positional argument")


class TestStatus:
    def test_ok(self, sandbox):
        [execution] = run(sandbox, "def f(x):\n    print('hé', x)\n    return x", 1)
        assert execution.ok
        assert execution.error is None
        assert execution.stdout == "hé 1\n"
        assert execution.seconds >= 0

    @pytest.mark.parametrize(
        ("source", "error"),
        [
            (
                "def f(x):\n    y = 0\n    return x / y",
                "ZeroDivisionError: division by zero (line 3: return x / y)",
            ),
            ("def g(x):\n    raise ValueError\ndef f(x): g(x)", "ValueError (line 2: raise ValueError)"),
            ("import json\ndef f(x): json.loads('{')", "(line 2: def f(x): json.loads('{'))"),
            ("def f(x) return x", "SyntaxError: expected ':' (line 1: def f(x) return x)"),
            ("def g(x): return x", "NameError: the program defines no 'f'"),
            ("f = 3", "TypeError: 'f' is not a function"),
            ("1 / 0", "ZeroDivisionError: division by zero (line 1: 1 / 0)"),
            ("def f(x): raise ValueError('a\\nb')", "ValueError: a b (line 1"),
            ("def f(x): raise SystemExit(0)", "SystemExit: 0"),
            ("def f(x): raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("raise SystemExit", "SystemExit"),
            ("def f(x): return f(x)", "RecursionError: maximum recursion depth exceeded"),
            ("def f(x): return input()", "EOFError"),
            ("import pandas", "ModuleNotFoundError: No module named 'pandas'"),
            ("def f(x): return open('/etc/passwd').read()", "PermissionError"),
        ],
    )
    def test_raised(self, sandbox, source, error):
        [first, second] = run(sandbox, source, 1, 2)
        assert first.status == second.status == "raised"
        assert error in first.error
        assert "\n" not in first.error

    def test_timed_out(self, sandbox):
        [execution] = run(sandbox, "def f(x):\n    while True: pass", 1)
        assert execution.status == "timed_out"
        assert execution.seconds >= QUICK.seconds

    @pytest.mark.parametrize(
        "expression", ["bytes(10**9)", "[0] * 10**8", "10**9 * 'a'", "np.ones((10**5, 10**4))"]
    )
    def test_out_of_memory(self, sandbox, expression):
        [execution] = run(sandbox, f"import numpy as np\ndef f(x): return {expression}", 1)
        assert execution.status == "out_of_memory"

    @pytest.mark.parametrize("expression", ["os._exit(0)", "os._exit(1)", "ctypes.string_at(0)"])
    def test_killed(self, sandbox, expression):
        [execution] = run(sandbox, f"import ctypes, os\ndef f(x): {expression}", 1)
        assert execution.status == "killed"

    @pytest.mark.parametrize(
        ("expression", "error"),
        [
            ("map(str, [x])", "a value of type map is not data; return list(...) of it"),
            ("range(3)", "a value of type range is not data; return list(...) of it"),
            ("{1: 2}.keys()", "dict_keys is not data; return list(...) of it"),
            ("(x for x in 'ab')", "generator is not data; return list(...) of it"),
            ("f", "a value of type function is not data"),
            ("int", "a value of type type is not data"),
            ("[object()]", "a value of type object is not data"),
            ("'a' * 20_000", "the value is too large: more than 10000 bytes as JSON"),
            ("list(range(10_000))", "the value is too large"),
            ("nested(200)", "the value is nested more than 100 deep"),
            ("cyclic()", "the value contains itself"),
            ("doubled(50)", "the value is too large"),
            ("np.array(['a'])", "a numpy array of dtype"),
            ("np.zeros((10**7, 0))", "a numpy array of shape (10000000, 0) is too large"),
            ("{i * (2**61 - 1) for i in range(300)}", "share a hash"),
        ],
    )
    def test_bad_output(self, sandbox, expression, error):
        source = (
            "import numpy as np\n"
            "def nested(n):\n    x = []\n    for _ in range(n): x = [x]\n    return x\n"
            "def doubled(n):\n    x = []\n    for _ in range(n): x = [x, x]\n    return x\n"
            "def cyclic():\n    x = {}\n    x['x'] = [x]\n    return x\n"
            f"def f(x): return {expression}"
        )
        [execution] = run(sandbox, source, 1)
        assert execution.status == "bad_output"
        assert error in execution.error

    def test_output_is_cut_at_the_limit(self, sandbox):
        [execution] = run(sandbox, "def f(x):\n    print('é' * 10**6)\n    return x", 1)
        assert execution.ok
        assert execution.stdout == "é" * 5000


class TestInputsAreApart:
    def test_each_input_is_a_fresh_copy(self, sandbox):
        shared = [1]
        executions = run(sandbox, "def f(x):\n    x[0].append(2)\n    return x", [shared, shared], [shared])
        assert [execution.value for execution in executions] == [[[1, 2], [1]], [[1, 2]]]
        assert shared == [1]

    def test_the_module_runs_once(self, sandbox):
        source = "print('module')\nseen = []\ndef f(x):\n    seen.append(x)\n    return list(seen)"
        first, second = run(sandbox, source, 1, 2)
        assert (first.value, first.stdout) == ([1], "module\n")
        assert (second.value, second.stdout) == ([1, 2], "")

    def test_what_the_module_set_holds_for_every_input(self, sandbox):
        source = "import sys\nsys.setrecursionlimit(50_000)\ndef f(x): return 0 if x == 0 else 1 + f(x - 1)"
        executions = run(sandbox, source, 5000, 5000)
        assert [execution.value for execution in executions] == [5000, 5000]

    def test_the_name_is_not_main(self, sandbox):
        [execution] = run(sandbox, "if __name__ == '__main__': 1 / 0\ndef f(x): return __name__", 1)
        assert execution.value == "program"

    def test_the_budget_restarts_with_each_input(self, sandbox):
        source = (
            "import time\ndef f(x):\n    while time.process_time() - start < 0.2 * x: pass\n    return x\n"
        )
        executions = run(sandbox, source + "start = time.process_time()", 1, 2, 3)
        assert [execution.value for execution in executions] == [1, 2, 3]

    @pytest.mark.parametrize(
        ("harm", "status"),
        [
            ("while True: pass", "timed_out"),
            ("os._exit(0)", "killed"),
            ("keep.append(bytes(10**9))", "out_of_memory"),
            ("1 / 0", "raised"),
        ],
    )
    def test_the_rest_runs_after_a_death(self, sandbox, harm, status):
        source = f"import os\nkeep = []\ndef f(x):\n    if x == 2:\n        {harm}\n    return x"
        executions = run(sandbox, source, 1, 2, 3, 2, 4)
        assert [e.status for e in executions] == ["ok", status, "ok", status, "ok"]
        assert [e.value for e in executions if e.ok] == [1, 3, 4]

    @pytest.mark.parametrize(
        ("source", "status"),
        [
            ("while True: pass", "timed_out"),
            ("import os; os._exit(0)", "killed"),
            ("x = bytes(10**9)", "out_of_memory"),
        ],
    )
    def test_a_module_that_dies_is_tried_once(self, sandbox, source, status):
        executions = run(sandbox, source, *range(1000))  # tried for each, this would take minutes
        assert [execution.status for execution in executions] == [status] * 1000

    def test_runs_are_repeatable(self, sandbox):
        source = (
            "import random\nimport numpy as np\n"
            "def f(x):\n"
            "    numpys = [np.random.rand(), np.random.default_rng().random()]\n"
            "    return [random.random(), numpys, hash('a'), list({'a', 'b', 'c'})]"
        )
        first, second = run(sandbox, source, 1, 2)
        [again] = run(sandbox, source, 1)
        assert first.value == second.value == again.value


class TestSandbox:
    def test_is_a_sandbox(self, sandbox):
        assert isinstance(sandbox, Sandbox)
        assert sandbox.concurrency >= 1

    def test_threads_run_programs_at_once(self, sandbox):
        def one(number: int) -> list[Any]:
            source = f"def f(x):\n    if x == 3: raise ValueError\n    return x * {number}"
            return [execution.value for execution in run(sandbox, source, 1, 2, 3)]

        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(one, range(60)))
        assert results == [[number, 2 * number, None] for number in range(60)]

    def test_closing_ends_runs_under_way(self, make_sandbox):
        sandbox = make_sandbox()
        run(sandbox, "def f(x): return x", 1)
        raised = []

        def spin() -> None:
            try:
                sandbox.run(Program("def f(x):\n    while True: pass", "f"), [1], Limits(seconds=60))
            except SandboxError as error:
                raised.append(str(error))

        thread = threading.Thread(target=spin)
        thread.start()
        sandbox.close()
        thread.join(timeout=20)
        assert not thread.is_alive()
        assert len(raised) == 1
        assert "closed" in raised[0]

    def test_closing_twice_does_no_harm(self, make_sandbox):
        sandbox = make_sandbox()
        run(sandbox, "def f(x): return x", 1)
        sandbox.close()
        sandbox.close()
        with pytest.raises(SandboxError, match="closed"):
            run(sandbox, "def f(x): return x", 1)

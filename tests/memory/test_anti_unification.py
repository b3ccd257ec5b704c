"""Programs that differ in names and literals are one with parameters; what they share becomes functions."""

import ast
import builtins
import keyword
import re
from functools import reduce

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from memory import read_programs
from memory.anti_unification import MOST_PARAMETERS, bind, generalise, parameters_of
from memory.forms import program_form
from memory.pieces import fragments
from sandboxes import EmbeddedSandbox, Limits, Program

# Places for literals are written L0, L1 …; each name of the kind n0, n1 … is a local one.
TEMPLATES = (
    "def n0(n1):\n    return [n2 + L0 if n2 != L1 else L2 for n2 in n1]",
    """
def n3(n1, n2):
    return n1 * n2

def n0(n1):
    n4 = L0
    for n2 in n1:
        n4 = n4 + n3(n2, L1)
    return [n4, L2]
""",
    """
import math

def n0(n1):
    n2 = {L0: L1, 'rest': L2}
    return [n2.get(n3, math.floor(n3)) for n3 in n1]
""",
    """
def n0(n1):
    def n2(n3, n4=L0):
        return [n3, n4, (L1, n4)]
    return list(map(n2, n1)) + [L2]
""",
    """
def n0(n1):
    n2 = L0
    n2 = [n2, n1]
    while len(n2) < 4:
        n2.append(f'{n1}')
    return n2, L1, L0, L2
""",
)
SCALARS = st.integers(-3, 12) | st.booleans() | st.none() | st.sampled_from(["", "a", "number", 2.5, -0.0])
NUMBERS = st.integers(-3, 12)
INPUTS = [[], [1, 2, 3], [7, 0, 7]]
NAMES = st.from_regex(r"[a-z]{1,3}_?", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and not hasattr(builtins, name) and name not in ("get", "math")
)


def fill(template, names, literals):
    """Write a template: names for n0 … n4, literals for L0 … L2."""
    places = {f"n{index}": name for index, name in enumerate(names)}
    places |= {f"L{index}": repr(literal) for index, literal in enumerate(literals)}
    return re.sub(r"\b[nL]\d\b", lambda place: places[place[0]], template)


@st.composite
def families(draw, least=2, most=4, literals=NUMBERS):
    """Draw programs of one template with their literals."""
    template = draw(st.sampled_from(TEMPLATES))
    found = []
    for _ in range(draw(st.integers(least, most))):
        names = draw(st.lists(NAMES, min_size=5, max_size=5, unique=True))
        values = draw(st.tuples(literals, literals, literals))
        found.append(Program(fill(template, names, values), names[0]))
    return found


@pytest.fixture(scope="module")
def sandbox():
    with EmbeddedSandbox() as opened:
        yield opened


def outcomes(sandbox, program, inputs=INPUTS):
    """What a program gives, or how it fails, for each input."""
    runs = sandbox.run(program, inputs, Limits())
    return [(repr(run.value), run.status) for run in runs]


def inlined(program):
    """A program with its parameters' defaults in their places: what it is without parameters."""
    tree = ast.parse(program.source)
    [function] = [one for one in tree.body if getattr(one, "name", "") == program.entry_point]
    defaults = {
        name.arg: value
        for name, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    }
    function.args.kwonlyargs, function.args.kw_defaults = [], []

    class Inlined(ast.NodeTransformer):
        def visit_Name(self, node):
            return defaults.get(node.id, node)

        def visit_List(self, node):
            match node.elts:
                case [ast.Starred(value=ast.Name(id=name))] if name in defaults:
                    return defaults[name]
            return self.generic_visit(node)

    source = ast.unparse(ast.fix_missing_locations(Inlined().visit(tree)))
    return Program(source, program.entry_point, program.call)


def bound_to(generalised, index):
    names = [one.partition(":")[0] for one in generalised.parameters]
    return bind(generalised.program, dict(zip(names, generalised.bindings[index], strict=True)))


def shape(program):
    """A program up to the names of everything, its parameters' included."""
    names = {}
    tree = ast.parse(program.source)
    for node in ast.walk(tree):
        for field in ("id", "arg", "name"):
            if isinstance(value := getattr(node, field, None), str) and not isinstance(node, ast.alias):
                setattr(node, field, names.setdefault(value, f"@{len(names)}"))
    return ast.dump(tree)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs=families())
def test_each_binding_gives_its_program(sandbox, programs):
    generalised = generalise(programs)
    assert generalised is not None
    assert len(generalised.bindings) == len(programs)
    for index, program in enumerate(programs):
        given_back = bound_to(generalised, index)
        assert program_form(inlined(given_back)) == program_form(program)
        assert outcomes(sandbox, given_back) == outcomes(sandbox, program)
    # Called as before, it is the first program.
    assert program_form(inlined(generalised.program)) == program_form(programs[0])


@settings(max_examples=60, deadline=None)
@given(programs=families(literals=SCALARS))
def test_any_scalars_come_back(programs):
    generalised = generalise(programs)
    assert generalised is not None
    for index, program in enumerate(programs):
        assert program_form(inlined(bound_to(generalised, index))) == program_form(program)


@settings(max_examples=60, deadline=None)
@given(programs=families(), data=st.data())
def test_the_order_matters_for_names_and_defaults_alone(programs, data):
    order = data.draw(st.permutations(range(len(programs))))
    one, other = generalise(programs), generalise([programs[index] for index in order])
    assert [other.bindings[order.index(index)] for index in range(len(programs))] == list(one.bindings)
    assert shape(bound_to(other, order.index(0))) == shape(bound_to(one, 0))


@settings(max_examples=60, deadline=None)
@given(programs=families(least=3))
def test_one_by_one_is_as_all_at_once(programs):
    at_once = generalise(programs)
    folded = reduce(
        lambda so_far, one: generalise([so_far.program, one]), programs[1:], generalise(programs[:1])
    )
    assert shape(folded.program) == shape(at_once.program)
    assert folded.bindings == (at_once.bindings[0], at_once.bindings[-1])


@settings(max_examples=60, deadline=None)
@given(programs=families())
def test_generalising_is_idempotent(programs):
    assert generalise([programs[0]] * 3).parameters == ()
    once = generalise(programs)
    again = generalise([once.program, once.program])
    assert shape(again.program) == shape(once.program)
    assert again.bindings == (once.bindings[0],) * 2
    more = generalise([once.program, *programs])
    assert shape(more.program) == shape(once.program)
    assert more.bindings[1:] == once.bindings


@settings(max_examples=60, deadline=None)
@given(programs=families(), values=st.lists(NUMBERS, min_size=MOST_PARAMETERS, max_size=MOST_PARAMETERS))
def test_what_is_bound_is_read_back(programs, values):
    generalised = generalise(programs)
    wanted = dict(zip(parameters_of(generalised.program), values, strict=False))
    assert parameters_of(bind(generalised.program, wanted)) == wanted


def one(source, call="single"):
    return Program(source, "f", call)


def test_what_varies_together_is_one_parameter():
    made = generalise(
        [
            one("def f(grid):\n    return [[3 if c == 5 else 3 for c in row] for row in grid]", "grid_list"),
            one("def f(g):\n    return [[4 if x == 6 else 4 for x in r] for r in g]", "grid_list"),
        ]
    )
    assert made.program.source == (
        "def f(grid, *, colour=5, colour_2=3):\n"
        "    return [[colour_2 if c == colour else colour_2 for c in row] for row in grid]\n"
    )
    assert made.parameters == ("colour: int = 5 | 6", "colour_2: int = 3 | 4")
    assert made.bindings == ((5, 3), (6, 4))


def test_docstrings_and_comments_do_not_tell_programs_apart():
    made = generalise(
        [
            one("def f(x):\n    'Put a one at its end.'\n    x.append(1)  # here\n    return x"),
            one("def f(x):\n    'Put a two at its end.'\n    x.append(2)\n    return x"),
        ]
    )
    assert made.program.source == "def f(x, *, number=1):\n    x.append(number)\n    return x\n"


def test_a_parameter_that_is_two_things_elsewhere_is_split():
    first = generalise([one("def f(x):\n    return x + 1, x - 1"), one("def f(x):\n    return x + 2, x - 2")])
    made = generalise([first.program, one("def f(x):\n    return x + 3, x - 4")])
    assert (
        made.program.source == "def f(x, *, number=1, number_2=1):\n    return (x + number, x - number_2)\n"
    )


def test_lists_are_new_for_each_call(sandbox):
    made = generalise(
        [
            one("def f(x):\n    seen = [1, 2, 3, 4]\n    seen.append(x)\n    return seen"),
            one("def f(x):\n    seen = []\n    seen.append(x)\n    return seen"),
        ]
    )
    assert made.parameters == ("values: list = [1, 2, 3, 4] | []",)
    twice = one(f"{made.program.source}\ndef g(x):\n    f(x)\n    return f(x)")
    [run] = sandbox.run(Program(twice.source, "g"), [9], Limits())
    assert run.value == [1, 2, 3, 4, 9]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("def f(x):\n    return x + 1", "def f(x):\n    return x - 1"),
        ("def f(x):\n    return x + 1", "def g(x):\n    return x + 2"),  # what is called is not there
        ("def f(x, y):\n    return x - y", "def f(x, y):\n    return y - x"),
        ("def f(x, k=1):\n    return x + k", "def f(x, k=2):\n    return x + k"),
        ("def f(x):\n    return f'a{x}'", "def f(x):\n    return f'b{x}'"),
        (
            "def f(x):\n    match x:\n        case 1:\n            return 0",
            "def f(x):\n    match x:\n        case 2:\n            return 0",
        ),
        ("def f(x):\n    return x is 'a'", "def f(x):\n    return x is 'b'"),
        ("def f(x):\n    'one'\n    return f.__doc__", "def f(x):\n    'two'\n    return f.__doc__"),
        ("def f(x):\n    return locals(), 1", "def f(x):\n    return locals(), 2"),
        ("K = 1\ndef f(x):\n    return x + K", "K = 2\ndef f(x):\n    return x + K"),
        ("def f(x):\n    return [x.a, 1]", "def f(x):\n    return [x.b, 1]"),
        (
            "def f(x):\n    return sorted(x, key=lambda n: n, reverse=True)",
            "def f(x):\n    return sorted(x, keys=lambda n: n, reverse=True)",
        ),
        ("def f(x):\n    return x + 1\nf = f", "def f(x):\n    return x + 2\nf = f"),
        ("def f(x):\n    return 1, 2, 3, 4, 5 + x", "def f(x):\n    return 6, 7, 8, 9, 0 + x"),
        ("def f(x): return (", "def f(x): return 1"),
        ("f = lambda x: x + 1", "f = lambda x: x + 2"),
    ],
)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_what_is_not_the_same_but_for_literals_is_left_apart(first, second):
    assert generalise([one(first), one(second)]) is None


def test_inputs_by_name_keep_their_names():
    first = one("def f(a, b):\n    return a - b + 1", "keyword")
    assert generalise([first, one("def f(b, a):\n    return b - a + 2", "keyword")]) is None
    assert generalise([first, one("def f(a, b):\n    return a - b + 2", "keyword")]) is not None
    takes_all = [one(f"def f(**given):\n    return given, {number}", "keyword") for number in (1, 2)]
    assert generalise(takes_all) is None


def test_programs_that_are_called_otherwise_are_left_apart():
    source = "def f(x):\n    return x"
    assert generalise([one(source), one(source, "positional")]) is None
    assert generalise([Program(source, "f", packages=frozenset()), one(source)]) is None
    assert generalise([]) is None


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    return " + "(" * 2_000 + "x" + ")" * 2_000,
        "def f(x):\n    return " + "-" * 20_000 + "x",
        "def f(x):\n    return x" + " + x" * 5_000,
        "def f(x):\n    return x\n" + "#" * 100_000,
        "def f(x):\n    return '\\ud800'",
        "def f(x):\n    return 1" + "0" * 5_000,
        "\0",
    ],
)
def test_odd_programs_do_no_harm(source):
    odd = one(source)
    assert generalise([odd, odd]).parameters == ()
    generalise([odd, one("def f(x):\n    return 2")])
    parameters_of(odd)
    fragments([odd, odd])
    assert bind(odd, {}) == odd


def test_only_literals_can_be_bound():
    program = one("def f(x, *, number=1):\n    return x + number")
    with pytest.raises(ValueError, match=r"no parameter 'other'.*it has number"):
        bind(program, {"other": 1})
    with pytest.raises(ValueError, match="a parameter is a number"):
        bind(program, {"number": {"a": 1}})
    with pytest.raises(ValueError, match="a parameter is a number"):
        bind(program, {"number": float("nan")})
    hostile = type("Hostile", (int,), {"__repr__": lambda self: "__import__('os')"})(3)
    with pytest.raises(ValueError, match="a parameter is a number"):
        bind(program, {"number": hostile})


# What programs share

FLOOD = """
from collections import deque

def transform(grid):
    todo = deque()
    for r in range(len(grid)):
        for c in range(len(grid[0])):
            if grid[r][c] == {colour}:
                todo.append((r, c))
    return len(todo) {operator} {colour}
"""


def test_a_shared_block_becomes_a_function(sandbox):
    one_program = FLOOD.format(colour=2, operator="+")
    other = FLOOD.format(colour=3, operator="*").replace("todo", "cells").replace("grid", "board")
    [found, *_] = fragments([Program(one_program, "transform"), Program(other, "transform")])
    assert found.uses == (0, 1)
    assert found.parameters[-1] == "number: int = 2 | 3"
    assert found.source.startswith("from collections import deque\n")
    taken = found.source + f"\ndef main(grid):\n    return list({found.name}(grid, number=3))"
    [run] = sandbox.run(Program(taken, "main"), [[[3, 0], [0, 3]]], Limits())
    assert run.value == [(0, 0), (1, 1)]


def test_programs_of_one_task_share_nothing_worth_knowing():
    programs = [Program(FLOOD.format(colour=2, operator="+"), "transform")] * 2
    assert fragments(programs)
    assert fragments(programs, tasks=["same", "same"]) == []
    with pytest.raises(ValueError, match="2 programs and 1 tasks"):
        fragments(programs, tasks=["same"])


LEAVE = (
    "def f(x):\n    for y in x:\n        if y > 3:\n            return [y, y + y, y * y]\n    return None",
    "def f(x):\n    for y in x:\n        if y > 3:\n            continue\n        print(y, y)\n    return x",
    "def f(x):\n    for y in x:\n        yield y\n        print(y, y, y)",
    "def f(x):\n    global y\n    y = [x, x, x]\n    print(y)",
)
CALLS_ANOTHER = """
def g(x):
    return [x]

def f(x):
    return [g(y + 1) + g(y - 1) for y in x if g(y) != g(y * 2)]
"""


@pytest.mark.parametrize("source", LEAVE)
def test_what_leaves_its_place_is_no_function(source):
    for found in fragments([one(source), one(source)], least=3):
        compile(found.source, "fragment", "exec")  # a `continue` without its loop is a syntax error
        nodes = list(ast.walk(ast.parse(found.source)))
        assert sum(isinstance(node, ast.Return) for node in nodes) <= 1
        assert not any(isinstance(node, ast.Yield | ast.Global) for node in nodes)


def test_what_calls_another_function_of_its_program_is_left_out():
    found = fragments([one(CALLS_ANOTHER), one(CALLS_ANOTHER)], least=3)
    names = {
        node.id for one in found for node in ast.walk(ast.parse(one.source)) if isinstance(node, ast.Name)
    }
    assert "g" not in names
    assert found


STATEMENTS = st.sampled_from(
    [
        "total = total + 3 * (x - 1)",
        "x = [total, x][total % 2]",
        "last = total - x",
        "for index in range(3):\n        total = total + index * x\n        last = index",
        "for index in range(4):\n        total = total + last\n        last = index * x",
        "if total > x:\n        total = total - x * 2 + 1",
        "if x > 3:\n        other = x + total\n    else:\n        other = total * 2",
        "items = [total + index for index in range(x % 4)]",
        "items.append(x + total)",
        "total += len(items) * 2",
        "while total > 9:\n        total = total // 2\n        x, last = last, x",
    ]
)


@st.composite
def straight_programs(draw):
    """Draw a program of statements; all that it binds it gives, so that each piece has to be right."""
    lines = ["total, last, other, items = 1, 2, 3, []", *draw(st.lists(STATEMENTS, min_size=2, max_size=5))]
    body = "\n".join(f"    {line}" for line in lines)
    return f"def f(x):\n{body}\n    return total\n"


# Of these only the inner statements are shared: what they carry from one turn to the next is theirs too, and
# what they may leave as it was is not theirs to give.
CARRIES = """
def f(x):
    last, total = 5, 0
    for index in HEAD:
        total = total + last * x - (index + 1) * 2
        last = index * x + last * 2
    return total
"""
MAY_LEAVE = """
def f(x):
    kept = HEAD
    if x > 3:
        kept = [x * x + 1, x * x + 2, x * x + 3]
    return kept
"""
HEADS = ("range(4)", "(1, 2)", "[x]", "{4, x}")
SHARING = [[source.replace("HEAD", head) for head in HEADS] for source in (CARRIES, MAY_LEAVE)]


@example(sources=SHARING[0], inputs=[3])
@example(sources=SHARING[1], inputs=[3, 4])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sources=st.lists(straight_programs(), min_size=3, max_size=6),
    inputs=st.lists(st.integers(-5, 20), min_size=1, max_size=3),
)
def test_a_program_that_calls_its_fragment_does_the_same(sandbox, sources, inputs):
    source = sources[0]
    programs = [source, *(other.replace("total", "amount") for other in sources)]
    for found in fragments([*map(one, programs)], least=6):
        if found.uses[0] != 0:
            continue
        rewritten = calling(source, found)
        assert rewritten.count(f"{found.name}(") >= 2  # its definition, and a call
        assert outcomes(sandbox, one(rewritten), inputs) == outcomes(sandbox, one(source), inputs)


def calling(source, fragment):
    """The program with the first occurrence of a fragment replaced by a call."""
    tree, function = ast.parse(source), ast.parse(fragment.source).body[-1]
    taken = [one for one in fragment.parameters if ":" not in one]  # of what varies it has its own values
    call = ast.parse(f"{fragment.name}({', '.join(taken)})").body
    function.body = [
        _Filled(parameters_of(Program(fragment.source, fragment.name))).visit(one) for one in function.body
    ]
    match function.body:
        case [ast.Return(value=value)]:
            wanted = ast.dump(value)
            tree = _Replaced(wanted, call[0].value).visit(tree)
        case [*body, ast.Return(value=ast.Name(id=output))]:
            call = [ast.Assign([ast.Name(output, ast.Store())], call[0].value)]
            replace_run(tree, body, call)
        case body:
            replace_run(tree, body, call)
    return f"{fragment.source}\n{ast.unparse(ast.fix_missing_locations(tree))}"


class _Filled(ast.NodeTransformer):
    def __init__(self, values):
        self.values = values

    def visit_Name(self, node):
        return ast.Constant(self.values[node.id]) if node.id in self.values else node


class _Replaced(ast.NodeTransformer):
    def __init__(self, wanted, call):
        self.wanted, self.call = wanted, call

    def visit(self, node):
        return self.call if ast.dump(node) == self.wanted else super().visit(node)


def replace_run(tree, body, call):
    wanted = [ast.dump(statement) for statement in body]
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            for start in range(len(block) if isinstance(block, list) else 0):
                if [ast.dump(statement) for statement in block[start : start + len(wanted)]] == wanted:
                    block[start : start + len(wanted)] = call
                    return


@pytest.mark.benchmark_data
def test_published_programs_share_functions(benchmark_data):
    path = benchmark_data / "concepts" / "arc2_program_library.jsonl"
    found = fragments([concept.program for concept in read_programs(path)])
    assert len(found) > 50
    for fragment in found:
        tree = ast.parse(fragment.source)
        assert isinstance(tree.body[-1], ast.FunctionDef)
        assert tree.body[-1].name == fragment.name
        assert len(set(fragment.uses)) == len(fragment.uses) > 1
        assert fragment.saved > 0
    assert [one.saved for one in found] == sorted((one.saved for one in found), reverse=True)

"""Random expressions of the search's languages, and the check that their Python means the same."""

from hypothesis import strategies as st

from hypotheses.equality import equal
from hypotheses.search.language import UNDEFINED, Call, Constant, evaluate
from hypotheses.task import Example, Parameter, Signature, Task
from sandboxes import Limits

NUMBERS = st.integers(-3, 9)
TEXTS = st.text("aB1 ,.", max_size=8)
VALUES_OF = {
    "int": NUMBERS,
    "bool": st.booleans(),
    "list": st.lists(NUMBERS, max_size=6).map(tuple),
    "str": TEXTS,
    "mark": st.sampled_from([" ", ",", "."]),
    "float": st.sampled_from([-2.5, 0.0, 0.1, 0.2, 1.0, 3.75, 1e16, 10]),
    "texts": st.lists(st.text("aB1 ", max_size=4), max_size=4).map(tuple),
    "lists": st.lists(st.lists(NUMBERS, max_size=3).map(tuple), max_size=3).map(tuple),
}


def expressions(operators, variables, kind, depth):
    """Random expressions of ``kind``."""
    leaves = [st.just(variable) for variable in variables if variable.kind == kind]
    leaves.append(VALUES_OF[kind].map(lambda value: Constant(value, kind)))
    heads = [operator for operator in operators if operator.result == kind]
    if depth == 0 or not heads:
        return st.one_of(leaves)

    def call(operator):
        arguments = [expressions(operators, variables, k, depth - 1) for k in operator.arguments]
        return st.tuples(*arguments).map(lambda chosen: Call(operator, chosen))

    return st.one_of(*leaves, st.sampled_from(heads).flatmap(call))


def value_of(expression, row):
    """The one value of ``expression``, or None where it has none; None is no value of any language."""
    try:
        return evaluate(expression, [row])[0]
    except UNDEFINED:
        return None


def listed(value):
    """The value with its tuples as lists, as programs are given them."""
    return [listed(item) for item in value] if isinstance(value, tuple) else value


def assert_agree(sandbox, program, expression, rows):
    """The program gives what the evaluators say, on every row where they say anything.

    Elsewhere it may still have a value, for Python leaves unevaluated what an empty loop does not need.
    """
    runs = sandbox.run(program, [listed(row) for row in rows], Limits())
    for row, run in zip(rows, runs, strict=True):
        value = value_of(expression, row)
        if value is not None:
            assert run.ok, (program.source, row, run)
            assert equal(run.value, value), (program.source, row, run.value, value)


def problem_in(vocabulary, values, output, names=None):
    """A problem of one example, whose parameters are ``x0``, ``x1`` … or as they are named."""
    parameters = tuple(Parameter(name) for name in names or [f"x{i}" for i in range(len(values))])
    task = Task("random", (Example(list(values), output),), (), Signature(parameters, call="positional"))
    return vocabulary.problem(task)

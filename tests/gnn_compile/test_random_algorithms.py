"""Random algorithms: what the compiler accepts is what was written, and what it does not, it says."""

import ast
import math
from unittest.mock import patch

import numpy as np
import pytest
from graph_strategies import edge_lists
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network_cases import outcome
from reference_evaluator import Reference

from gnn_compile import Bounds, Graph, Target, compile_algorithm, executor, parse_algorithm, run_network
from gnn_compile.dense_network import DenseNetwork
from gnn_compile.domains import INFINITY
from sandboxes.errors import AlgorithmError

WHOLE = Bounds(nodes=6, weight=9, degree=18, whole=True)
TARGETS = {
    "linear": (Bounds(nodes=6, weight=9, degree=18), Target()),
    "no steps": (WHOLE, Target(steps=False)),
    "soft": (WHOLE, Target(sharpness=256)),
}
ROUNDS = 4
INPUTS = {"a": "flag", "b": "whole [-3, 5]", "c": "real [-2.3, 2.1]", "s": "index"}
NUMBERS, FLAGS = ("x", "y"), ("p",)
"""Fields of the state."""
CONSTANTS = ("0", "1", "-1", "2", "3", "inf", "N", "round", "True", "0.5", "0.1", "4503599627370496")


class Writer:
    """Writes expressions; ``own``, ``far`` and ``edge`` say how a name is read where it stands."""

    def __init__(self, draw, names, flags, whole, *, begun=True):
        self.draw, self.names, self.flags, self.begun = draw, list(names), list(flags), begun
        self.constants = [one for one in CONSTANTS if not (whole and one in ("0.5", "0.1"))]
        if not begun:
            self.constants.remove("round")

    def one_of(self, *choices):
        return self.draw(st.sampled_from(choices))

    def name(self, names, inside):
        name = self.one_of(*names)
        if not inside or (inside == "u" and self.draw(st.booleans())):
            return name
        return f"{inside}.{name}"

    def number(self, depth, inside=""):
        kinds = ["name"] * 3 + ["constant"]
        if depth:
            kinds += ["sum"] * 3 + ["multiple", "choice", "extreme", "abs", "clamp", "clamp"]
            kinds += [] if inside else ["over"] * 3
            kinds += ["edge"] * 2 if inside == "u" else []
        kind = self.one_of(*kinds)

        def inner():
            return self.number(depth - 1, inside)

        match kind:
            case "name":
                return self.name(self.names, inside)
            case "constant":
                return self.one_of(*self.constants)
            case "edge":
                return self.one_of("e.weight", f"({inner()} + e.weight)")
            case "sum":
                return f"({inner()} {self.one_of('+', '-')} {inner()})"
            case "multiple":
                return self.one_of(
                    f"{self.one_of('2', '-1', '0', '3')} * {inner()}",
                    f"-{inner()}",
                    f"{inner()} / {self.one_of('2', '-1', '1')}",
                    f"{self.flag(depth - 1, inside)} * {inner()}",
                )
            case "choice":
                one, test = inner(), self.flag(depth - 1, inside)
                if self.draw(st.booleans()):
                    test = self.one_of(f"{one} < inf", f"{one} < inf and {test}")
                return f"({one} if {test} else {inner()})"
            case "extreme":
                return f"{self.one_of('min', 'max')}({inner()}, {inner()})"
            case "abs":
                return f"abs({inner()})"
            case "clamp":
                return f"max(-5, min({inner()}, {self.one_of('7', 'N', 'N + 1')}))"
        return self.over(self.one_of("min", "max", "sum"), self.number, depth)

    def flag(self, depth, inside=""):
        kinds = ["name"] if self.flags else []
        if depth:
            kinds += ["compared"] * 3 + ["not", "logic", "logic"]
            kinds += [] if inside else ["over"]
        kind = self.one_of(*(kinds or ["constant"]))

        def inner():
            return self.flag(depth - 1, inside)

        match kind:
            case "name":
                return self.name(self.flags, inside)
            case "constant":
                return self.one_of("True", "0")
            case "compared":
                left, right = (self.number(depth - 1, inside) for _ in range(2))
                return f"({left} {self.one_of('<', '<=', '>', '>=', '==', '!=')} {right})"
            case "not":
                return f"(not {inner()})"
            case "logic":
                return f"({inner()} {self.one_of('and', 'or')} {inner()})"
        return self.over(self.one_of("any", "all"), self.flag, depth)

    def over(self, name, what, depth):
        inside = self.one_of("u", "u", "v")
        generator = "u, e in incoming" if inside == "u" else "v in nodes"
        test = f" if {self.flag(depth - 1, inside)}" if self.draw(st.booleans()) else ""
        return f"{name}({what(depth - 1, inside)} for {generator}{test})"


@st.composite
def algorithms(draw, whole=False):
    """Give the source of an algorithm of one to four lines a round, of which many compile."""
    inputs = {name: text for name, text in INPUTS.items() if not (whole and text.startswith("real"))}
    numbers = [name for name, text in inputs.items() if text != "flag"]
    first = Writer(draw, [*numbers, "index", "N"], ["a"], whole, begun=False)
    state = {name: first.number(draw(st.integers(0, 1))) for name in NUMBERS}
    state |= {name: first.flag(draw(st.integers(0, 1))) for name in FLAGS}
    writer = Writer(draw, [*numbers, *NUMBERS, "g", "index"], ["a", *FLAGS], whole)
    lines = []
    for number in range(draw(st.integers(0, 2))):
        if draw(st.booleans()):
            lines.append(f"t{number} = {writer.number(2)}")
            writer.names.append(f"t{number}")
        else:
            lines.append(f"q{number} = {writer.flag(2)}")
            writer.flags.append(f"q{number}")
    late = []
    for name in draw(st.permutations([*NUMBERS, *FLAGS])):
        value = (writer.flag if name in FLAGS else writer.number)(draw(st.integers(0, 3)))
        if name in NUMBERS and draw(st.booleans()):
            value = f"max(-4, min({value}, N + 3))"
        late.append(f"{name} = {value}")
    of_graph = writer.one_of("g", "N", "min(v.x for v in nodes)", "sum(v.p for v in nodes)", "min(g + 1, 5)")
    late.insert(draw(st.integers(0, len(late))), f"g = {of_graph}")
    late.insert(draw(st.integers(0, len(late))), "k = g")
    state["k"] = "0"
    weight = draw(st.sampled_from(("weight", "weight >= 0", "whole [-9, 9]")))
    names = ", ".join(f'"{name}"' for name in state)
    step = "\n".join([*lines, *late])
    return "\n".join(
        [
            f'rounds = "{ROUNDS}"',
            f"outputs = [{names}]",
            f"hints = [{names}]",
            f'step = """\n{step}\n"""',
            "[inputs.node]",
            *(f'{name} = "{text}"' for name, text in inputs.items()),
            "[inputs.edge]",
            f'weight = "{weight}"',
            "[state.node]",
            *(f'{name} = "{begins}"' for name, begins in state.items()),
            "[state.graph]",
            'g = "0"',
        ]
    )


@st.composite
def cases(draw, algorithm, bounds):
    """Give a graph and inputs within an algorithm's bounds."""
    weights = st.integers(-9, 9)
    if not bounds.whole and algorithm.inputs_of_edges["weight"].startswith("weight"):
        weights |= st.sampled_from([0.1, 0.2, 0.3, 0.5, -0.7])
    if algorithm.inputs_of_edges["weight"] == "weight >= 0":
        weights = weights.map(abs)
    size, edges = draw(edge_lists(most=bounds.nodes, weights=weights))
    values = {
        "a": st.integers(0, 1),
        "b": st.integers(-3, 5),
        "c": st.sampled_from([-2.3, -0.1, 0.0, 0.1, 0.2, 0.3, 2.1]),
        "s": st.integers(0, size - 1),
    }
    inputs = {
        name: draw(st.lists(values[name], min_size=size, max_size=size)) for name in algorithm.inputs_of_nodes
    }
    return size, edges, inputs


class Exact(Reference):
    """The reference, in which a flag of 0 times infinity is 0."""

    def value(self, expression, scope, node=None):
        node = scope.get("index") if node is None else node
        if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Mult):
            one, other = (self.value(part, scope, node) for part in (expression.left, expression.right))
            return one * other if one and other else 0
        return super().value(expression, scope, node)

    def states(self):
        """Give the state at first and after each round that changes it, and whether it came to an end."""
        found = [self.state()]
        for number in range(1, ROUNDS + 1):
            self.graph["round"] = number
            for line in self.algorithm.step:
                if line.target in self.algorithm.state_of_graph:
                    self.graph[line.target] = self.value(line.value, self.nodes[0], 0)
                else:
                    column = [self.value(line.value, self.nodes[node], node) for node in range(self.size)]
                    self._put({line.target: column})
            if self.state() == found[-1]:
                return found, True
            found.append(self.state())
        return found, False


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_compiles_is_what_was_written(target, data):
    bounds, made_of = TARGETS[target]
    algorithm = parse_algorithm(data.draw(algorithms(whole=bounds.whole)), "random")
    network, said = unless_refused(lambda: compile_algorithm(algorithm, bounds, made_of))
    assert "\n" not in said
    if network is None:
        return
    size, edges, inputs = data.draw(cases(algorithm, bounds))
    graph = Graph.of(size, edges)
    states, ended = Exact(algorithm, size, edges, **inputs).states()
    for state in states:
        for name, values in state.items():
            for value in values if isinstance(values, list) else [values]:
                assert max(-INFINITY, min(INFINITY, value)) in network.domains[name], (name, value)

    def run():
        return run_network(network, graph, trace=True, **inputs)

    expected = [{name: state[name] for name in algorithm.outputs} for state in states]
    if ended:
        found = run()
        assert found.rounds == len(states) - 1
        for state, hint in zip(expected, found.hints, strict=True):
            for name, column in state.items():
                if made_of.soft:
                    np.testing.assert_allclose(hint[name], column, rtol=0, atol=network.error)
                else:
                    assert hint[name].tolist() == column
    else:
        with pytest.raises(AlgorithmError, match="it has not come to an end"):
            run()
    told = outcome(run)
    for share in (-1.0, 1.0):  # nothing, and everything, is picked from behind open gates
        with patch.object(executor, "_FEW", share):
            assert outcome(run) == told
    if not made_of.soft:
        dense, said = unless_refused(lambda: DenseNetwork.of(network))
        assert dense is not None or "may reach the whole number" in said
        assert dense is None or outcome(lambda: dense.run(graph, trace=True, **inputs)) == told


def unless_refused(make):
    """Give what is made and nothing said, or nothing and why."""
    try:
        return make(), ""
    except AlgorithmError as error:
        return None, str(error)


def source(step, begins, rounds=ROUNDS, inputs=""):
    names = ", ".join(f'"{name}"' for name in begins)
    state = "\n".join(f'{name} = "{value}"' for name, value in begins.items())
    return (
        f'rounds = "{rounds}"\noutputs = [{names}]\nhints = [{names}]\nstep = """\n{step}\n"""\n{inputs}\n'
        f"[state.node]\n{state}\n"
    )


@pytest.mark.parametrize(
    ("step", "field", "expected"),
    [
        ("y = x\nx = min(x + 1, 3)", "y", [0, 0, 1, 2, 3]),
        ("x = 1 if y == 2 else x\ny = min(y + 1, 3)", "x", [0, 0, 0, 1]),
        ("p = p and x < 1\nx = x + 1 if p else x", "x", [0, 1]),
        ("q = x < inf\nx = inf if x == 1 else x + 1\ny = x if q else 4", "y", [0, 1, math.inf, 4]),
        ("x = x if round < 3 else 1\ny = min(y + 1, 3)", "x", [0, 0, 0, 1]),
    ],
)
def test_fields_are_what_they_are_when_they_are_read(step, field, expected):
    begins = {name: ("True" if name == "p" else "0") for name in ("p", "x", "y") if f"{name} = " in step}
    network = compile_algorithm(parse_algorithm(source(step, begins, rounds=9), "mine"), WHOLE)
    graph = Graph.of(1, [])
    for outputs in (tuple(begins), (field,)):
        found = [one[field].item() for one in run_network(network, graph, outputs=outputs, trace=True).hints]
        assert found[: len(expected)] == expected
        assert all(max(-INFINITY, min(INFINITY, value)) in network.domains[field] for value in found)
    assert outcome(lambda: DenseNetwork.of(network).run(graph)) == outcome(
        lambda: run_network(network, graph)
    )


def test_no_part_of_a_sum_is_beyond_what_is_exact():
    inputs = f'[inputs.node]\na = "whole [{2**52}, {2**53}]"\nb = "whole [{2**52}, {2**53}]"'
    text = source(f"x = a + (b - {2**53})", {"x": "0"}, inputs=inputs)
    network = compile_algorithm(parse_algorithm(text, "mine"), WHOLE)
    found = run_network(network, Graph.of(1, []), a=[2**53 - 1], b=[2**53 - 2])
    assert found.outputs["x"].item() == 2**53 - 3


@pytest.mark.parametrize(
    "step",
    [
        "x = 1" + "0" * 400,
        "x = 9007199254740993",
        "x = 1e40",
        "x = index / 5e-324",
        "x = x * 1e300",
        "x = " + "-" * 900 + "x",
        "x = " + "+".join(["x"] * 2000),
        "x = min(u.x async for u, e in incoming)",
        "x = (yield)",
        "x = x if (y := 1) else x",
        "x = [x for x in nodes]",
        "x = f'{x}'",
        "x = x.__class__.__bases__",
        "x = min(*x)",
        "x = min(v.x for v in nodes for w in nodes)",
    ],
)
def test_hostile_lines_are_refused_in_a_line(step):
    with pytest.raises(AlgorithmError) as error:
        compile_algorithm(parse_algorithm(source(step, {"x": "0"}), "mine"), WHOLE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("rounds", ["3 - N", "9 - N"])
def test_rounds_that_become_fewer_with_more_nodes_are_refused(rounds):
    text = source("x = x + 1", {"x": "0"}, rounds)
    with pytest.raises(AlgorithmError, match="rounds"):
        run_network(compile_algorithm(parse_algorithm(text, "mine"), WHOLE), Graph.of(1, []))


def test_an_average_of_what_is_not_whole_is_refused():
    text = source(
        "x = min(u.x + e.weight for u, e in incoming)", {"x": "0"}, 3, '[inputs.edge]\nweight = "weight"'
    )
    algorithm = parse_algorithm(text, "mine")
    assert compile_algorithm(algorithm, WHOLE, Target(sharpness=256)).error < 1e-9
    with pytest.raises(AlgorithmError, match="need not be whole"):
        compile_algorithm(algorithm, Bounds(nodes=6, weight=9), Target(sharpness=256))

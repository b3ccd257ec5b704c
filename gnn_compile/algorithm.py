"""Algorithms in their source form: fields, how they begin, and what a round does, in Python's expressions."""

from __future__ import annotations

import ast
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gnn_compile.domains import FLAG, Domain
from sandboxes.errors import AlgorithmError

BUILT_IN = ("index", "N", "round", "inf")
"""A node's own number, how many nodes there are, the number of this round from 1, and infinity."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The graphs for which a network is exact: so many nodes and edges into a node, weights of that size."""

    nodes: int = 2**16
    weight: float = 2.0**32
    whole: bool = False
    """Whether all weights are whole numbers."""
    degree: int = 2**20
    """How many edges go into a node at most; it bounds sums only."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A line of a round: a field or an intermediate value, and what it becomes, for all nodes at once."""

    target: str
    value: ast.expr
    line: int
    text: str


@dataclass(frozen=True)
class Algorithm:
    """An algorithm on graphs that goes by rounds, until a round changes no state.

    A round is a list of assignments, in Python's syntax, of which each is carried out for all nodes before
    the next one is. Names are the node's own fields (``index`` is its number) and the graph's (``N``,
    ``round``). ``min``, ``max``, ``sum``, ``any`` and ``all`` take several values, or a generator over
    ``u, e in incoming`` (the senders and edges into this node) or ``v in nodes`` (all nodes); of nothing they
    are ``inf``, ``-inf``, 0, 0 and 1.
    """

    name: str
    title: str
    inputs_of_nodes: Mapping[str, str]
    """To a domain: ``flag``, ``index``, ``weight``, ``weight >= 0``, ``whole [a, b]``, ``real [a, b]``."""
    inputs_of_edges: Mapping[str, str]
    state_of_nodes: Mapping[str, ast.expr]
    """Field to what it is before the first round."""
    state_of_graph: Mapping[str, ast.expr]
    step: tuple[Assignment, ...]
    outputs: tuple[str, ...]
    hints: tuple[str, ...]
    """What a trace shows of each round."""
    rounds: str
    """How many rounds suffice, by ``N``: that many are run at most."""
    unfinished: str = "it has not come to an end"
    """What is wrong with a graph for which these rounds do not suffice."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Conditions that no node may meet in the end, and what is wrong with the graph if one does."""
    both_ways: bool = False
    """Whether edges are taken in both directions, whatever the graph."""
    ties: str = ""
    reference: str = ""
    text: str = ""
    """The TOML that it was read from."""

    @property
    def state(self) -> tuple[str, ...]:
        return (*self.state_of_nodes, *self.state_of_graph)

    def most_rounds(self, nodes: int) -> int:
        """Give the rounds that suffice for so many nodes."""
        return int(_arithmetic(self.rounds, {"N": nodes}, f"{self.name}: rounds"))

    def domain_of(self, text: str, bounds: Bounds, what: str) -> Domain:
        """Read the domain of an input. Raises ``AlgorithmError`` for one that is unknown or unbounded."""
        kind, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        match kind, rest:
            case "flag", "":
                return FLAG
            case "index", "":
                return Domain(0, bounds.nodes - 1, whole=True)
            case "weight", "":
                return Domain(-bounds.weight, bounds.weight, bounds.whole)
            case "weight", ">= 0":
                return Domain(0, bounds.weight, bounds.whole)
            case (("whole" | "real"), ""):
                raise AlgorithmError(
                    f"{what} is {text!r} without bounds, and a network is exact within bounds only: say "
                    f"'{kind} [low, high]', by numbers, N and W (the largest weight)"
                )
        if kind in ("whole", "real") and rest.startswith("[") and rest.endswith("]"):
            ends = rest[1:-1].split(",")
            if len(ends) == 2:
                names = {"N": bounds.nodes, "W": bounds.weight}
                low, high = (_arithmetic(end, names, what) for end in ends)
                if low <= high:
                    return Domain(low, high, kind == "whole")
        raise AlgorithmError(
            f"{what} is {text!r}, which is no domain; those are flag, index, weight, weight >= 0, "
            "whole [low, high] and real [low, high]"
        )


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Inputs(_Model):
    node: dict[str, str] = {}
    edge: dict[str, str] = {}


class _State(_Model):
    node: dict[str, str] = {}
    graph: dict[str, str] = {}


class _File(_Model):
    """What an algorithm's file holds."""

    title: str = ""
    reference: str = ""
    ties: str = ""
    rounds: str
    unfinished: str = "it has not come to an end"
    outputs: Annotated[list[str], Field(min_length=1)]
    hints: list[str] = []
    both_ways: bool = False
    step: str
    inputs: _Inputs = _Inputs()
    state: _State
    refused: dict[str, str] = {}


def parse_algorithm(text: str, name: str) -> Algorithm:
    """Read an algorithm from TOML. Raises ``AlgorithmError`` that says which field is wrong, and how."""
    try:
        read = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise AlgorithmError(f"{name} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        said = " ".join(f"{'.'.join(map(str, first['loc']))}: {first['msg']}".split())
        raise AlgorithmError(f"{name}: {said}") from error
    made = Algorithm(
        name=name,
        title=read.title,
        inputs_of_nodes=read.inputs.node,
        inputs_of_edges=read.inputs.edge,
        state_of_nodes={
            one: parse_expression(begins, f"{name}: state.node.{one}")
            for one, begins in read.state.node.items()
        },
        state_of_graph={
            one: parse_expression(begins, f"{name}: state.graph.{one}")
            for one, begins in read.state.graph.items()
        },
        step=tuple(_assignments(read.step, name)),
        outputs=tuple(read.outputs),
        hints=tuple(read.hints),
        rounds=read.rounds,
        unfinished=read.unfinished,
        refused=read.refused,
        both_ways=read.both_ways,
        ties=read.ties,
        reference=read.reference,
        text=text,
    )
    _check(made)
    return made


def load_algorithm(name_or_path: str | Path) -> Algorithm:
    """Read one of the library's algorithms by its name, or an algorithm of one's own from a TOML file."""
    name = str(name_or_path)
    if name in algorithm_names():
        text = (files("gnn_compile") / "algorithms" / f"{name}.toml").read_text(encoding="utf-8")
        return parse_algorithm(text, name)
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise AlgorithmError(
            f"there is no algorithm {name!r}; there are {', '.join(algorithm_names())}, and files *.toml"
        )
    try:
        return parse_algorithm(path.read_text(encoding="utf-8"), path.stem)
    except (OSError, UnicodeDecodeError) as error:
        raise AlgorithmError(f"{path} cannot be read: {error}") from error


def algorithm_names() -> tuple[str, ...]:
    """Give the names of the library's algorithms."""
    folder = files("gnn_compile") / "algorithms"
    return tuple(sorted(one.name[: -len(".toml")] for one in folder.iterdir() if one.name.endswith(".toml")))


def parse_expression(text: str, where: str) -> ast.expr:
    """Read an expression of Python's; what it may use is seen when it is compiled."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise AlgorithmError(f"{where}: {text.strip()!r} is no expression of Python's: {error}") from error


def _assignments(text: str, name: str) -> list[Assignment]:
    try:
        lines = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise AlgorithmError(f"{name}: step: {error}") from error
    found = []
    for line in lines:
        try:
            written = ast.unparse(line)
        except RecursionError as error:
            raise AlgorithmError(f"{name}: step, line {line.lineno}: it is nested too deeply") from error
        match line:
            case ast.Assign(targets=[ast.Name(id=target)], value=value):
                found.append(Assignment(target, value, line.lineno, written))
            case _:
                raise AlgorithmError(
                    f"{name}: step, line {line.lineno}: {written!r} is no assignment "
                    "`field = expression`, and a round is made of those alone"
                )
    return found


def _check(algorithm: Algorithm) -> None:
    name = algorithm.name
    if not algorithm.state_of_nodes:
        raise AlgorithmError(f"{name}: state.node: an algorithm needs a field of nodes at least")
    places = (
        algorithm.inputs_of_nodes,
        algorithm.inputs_of_edges,
        algorithm.state_of_nodes,
        algorithm.state_of_graph,
    )
    seen: set[str] = set()
    for one in chain.from_iterable(places):
        if one in BUILT_IN or not one.isidentifier():
            raise AlgorithmError(f"{name}: a field cannot be called {one!r}")
        if one in seen:
            raise AlgorithmError(f"{name}: the field {one} is there twice")
        seen.add(one)
    assigned = {one.target for one in algorithm.step}
    given = {*BUILT_IN, *algorithm.inputs_of_nodes, *algorithm.inputs_of_edges}
    for line in algorithm.step:
        if line.target in given:
            raise AlgorithmError(
                f"{name}: step, line {line.line}: {line.target} is given and cannot be assigned"
            )
    for one in algorithm.state:
        if one not in assigned:
            raise AlgorithmError(f"{name}: state: no round ever changes {one}; make it an input")
    for kind, names in (("outputs", algorithm.outputs), ("hints", algorithm.hints)):
        for one in names:
            if one not in algorithm.state_of_nodes:
                raise AlgorithmError(f"{name}: {kind}: {one} is no field of state.node")
    if algorithm.most_rounds(1) < 1:
        raise AlgorithmError(f"{name}: rounds: {algorithm.rounds!r} gives none for a graph of one node")


def _arithmetic(text: str, names: Mapping[str, float], where: str) -> float:
    """Reckon with numbers and names, by ``+``, ``-``, ``*``, ``/`` and ``**``."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.BinOp(left=left, op=op, right=right):
                one, other = value(left), value(right)
                match op:
                    case ast.Add():
                        return one + other
                    case ast.Sub():
                        return one - other
                    case ast.Mult():
                        return one * other
                    case ast.Div() if other:
                        return one / other
                    case ast.Pow() if one >= 0 and 0 <= other <= 64:
                        return math.pow(one, other)
        raise AlgorithmError(
            f"{where}: {text.strip()!r} must be a number, made of numbers and {', '.join(names)}"
        )

    try:
        found = value(parse_expression(text, where))
    except OverflowError as error:
        raise AlgorithmError(f"{where}: {text.strip()!r} is too large") from error
    if not abs(found) < 2.0**1000:
        raise AlgorithmError(f"{where}: {text.strip()!r} is no finite number")
    return float(found)

"""Sets of tasks about random graphs, which are drawn and answered as they are read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from hypotheses.task import Example
from induce.tasks.building import build_task
from induce.tasks.graph import FAMILY, graph_signature
from induce.tasks.graph_input import Graph
from induce.tasks.graph_problems import PROBLEMS, Problem
from induce.tasks.labelled import LabelledTask
from induce.tasks.messages import shorten, visible
from induce.tasks.own import own_record
from sandboxes import TaskFormatError

_SPEC = re.compile(r"graph:(.*)", re.DOTALL)
_FORM = "graph:PROBLEM?size=8&tasks=20&seed=0"
_LARGEST_WEIGHT = 9
_ATTEMPTS = 10
"""How often a graph is drawn again that a task has already."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """What a parameter of a spec is where it is left out, and between what it may be."""

    default: int
    least: int
    most: int


_CHOICES = {
    "size": _Choice(8, 1, 1000),
    "tasks": _Choice(20, 1, 10**6),
    "seed": _Choice(0, 0, 2**63 - 1),
    "examples": _Choice(3, 1, 1000),
    "queries": _Choice(2, 0, 1000),
    "described": _Choice(0, 0, 1),
}


class GraphSet:
    """The tasks of one spec, such as ``graph:bellman_ford/d?size=8&tasks=20&seed=0``.

    ``size`` is the number of nodes; ``examples`` and ``queries`` are how many each task has (3 and 2);
    ``described=1`` says in words what is asked; else the examples alone do. An edge is there or not by
    chance, as in the model of Erdős and Rényi. The same seed gives the same tasks everywhere: a task
    keeps its queries whatever the number of its examples, and its number whatever the number of tasks.
    """

    def __init__(self, spec: str) -> None:
        """Read the spec. Raises ``TaskFormatError`` where it names no such problem or parameter."""
        match = _SPEC.fullmatch(spec)
        name, _, parameters = (match[1] if match else "").partition("?")
        problem = PROBLEMS.get(name)
        if problem is None:
            raise TaskFormatError(
                f"{visible(spec)}: there is no problem {shorten(name)}; expected {_FORM}, "
                f"where PROBLEM is one of {', '.join(PROBLEMS)}"
            )
        self.source = spec
        self.problem = problem
        self._chosen = _read_parameters(spec, parameters)

    @staticmethod
    def matches(source: str) -> bool:
        """Whether ``source`` is a spec and not a path."""
        return _SPEC.fullmatch(source) is not None

    def read(self) -> Iterator[LabelledTask]:
        """Yield the tasks; the id says problem, size, seed and the task's number."""
        stem = f"{self.problem.name}-{self._chosen['size']}-{self._chosen['seed']}"
        for number in range(self._chosen["tasks"]):
            yield self._task(f"{stem}-{number}")

    def digests(self) -> Iterator[tuple[str, bytes]]:
        """Yield each task's id and the SHA-256 of the task with its answers, as JSON."""
        for labelled in self.read():
            record = json.dumps(own_record(labelled.task, labelled.answers), sort_keys=True)
            yield labelled.task.id, hashlib.sha256(record.encode()).digest()

    def _task(self, id: str) -> LabelledTask:  # noqa: A002 - the field's name
        graphs = self._graphs(id)
        pairs = [Example(graph.value(), self.problem.solve(graph)) for graph in graphs]
        queries, examples = pairs[: self._chosen["queries"]], pairs[self._chosen["queries"] :]
        return build_task(
            visible(self.source),
            id=id,
            examples=examples,
            queries=[pair.input for pair in queries],
            answers={index: pair.output for index, pair in enumerate(queries)},
            call="single",
            family=FAMILY,
            signature=graph_signature(self.problem),
            description=self.problem.rule if self._chosen["described"] else "",
        )

    def _graphs(self, id: str) -> list[Graph]:  # noqa: A002 - the field's name
        """Draw the queries' graphs, then the examples', each another as far as so few nodes allow."""
        graphs: list[Graph] = []
        seen: set[Graph] = set()
        for kind in ("queries", "examples"):
            for number in range(self._chosen[kind]):
                for attempt in range(_ATTEMPTS):
                    graph = draw_graph(
                        self.problem, self._chosen["size"], f"{id}, {kind} {number}, {attempt}"
                    )
                    if graph not in seen:
                        break
                seen.add(graph)
                graphs.append(graph)
        return graphs


def draw_graph(problem: Problem, size: int, seed: str) -> Graph:
    """Draw a graph that the problem has an answer for: directed or not, unless the problem wants it acyclic.

    Weights are from 1 to 9, or 1 where the problem takes none. A node has one to three edges on average, and
    half as many where the problem starts from no node, so that there are several components.
    """
    chance = Random(seed).random  # noqa: S311 - no secret; of Random, this alone is promised to stay as it is
    directed = problem.acyclic or chance() < 0.5
    degree = (1 + 2 * chance()) * (1.0 if problem.has_source else 0.5)
    source = int(chance() * size) if problem.has_source else None
    order = list(range(size))
    if problem.acyclic:
        order.sort(key=lambda _: chance())
    edges = []
    for start in range(size):
        for end in range(size):
            if start == end or (start > end and (problem.acyclic or not directed)):
                continue
            if chance() * max(1, size - 1) < degree:
                weight = 1 + int(chance() * _LARGEST_WEIGHT) if problem.weighted else 1
                edges.append((order[start], order[end], weight))
    return Graph(size, directed, tuple(sorted(edges)), source)


def _read_parameters(spec: str, text: str) -> dict[str, int]:
    chosen = {name: choice.default for name, choice in _CHOICES.items()}
    given: set[str] = set()
    for part in text.split("&") if text else []:
        name, _, value = part.partition("=")
        choice = _CHOICES.get(name)
        if choice is None or name in given:
            raise TaskFormatError(
                f"{visible(spec)}: {'twice' if choice else 'unknown'}: {shorten(name)}; each of "
                f"{', '.join(_CHOICES)} may be given once, as in {_FORM}"
            )
        if not re.fullmatch("[0-9]{1,19}", value) or not choice.least <= int(value) <= choice.most:
            raise TaskFormatError(
                f"{visible(spec)}: {name} must be an integer from {choice.least} to {choice.most}, "
                f"not {shorten(value)}"
            )
        given.add(name)
        chosen[name] = int(value)
    return chosen

"""Problems about graphs: JSON lines, one task a line, which names the problem."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypotheses.task import Example, Parameter, Signature
from induce.tasks.building import build_task
from induce.tasks.graph_input import Graph, read_graph
from induce.tasks.graph_problems import PROBLEMS, Problem, UnanswerableGraphError
from induce.tasks.jsontext import parse_json, read_lines, top_level_keys
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import place, shorten
from induce.tasks.own import own_task
from sandboxes import TaskFormatError

FAMILY = "graph"

_EXPECTED = {
    "number": "a finite number, or null where the node cannot be reached",
    "node": "a node; give a node that has none itself",
    "flag": "0 or 1",
    "position": "a place in the order, counted from 0",
}


class GraphReader:
    """Reads lines of the project's own format with a ``problem`` more, whose inputs are graphs.

    ``{"id": "a", "problem": "bfs/d", "examples": [{"input": graph, "output": [0, 1]}], "queries": […]}``;
    ``read_graph`` says how a graph is written.
    """

    format = "graph"

    def claims(self, path: Path, head: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Whether the first line has the keys ``problem`` and ``examples``."""
        return top_level_keys(head) >= {"problem", "examples"}

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:  # noqa: ARG002 - the protocol's
        """Yield one task a line."""
        for number, line in read_lines(path):
            try:
                yield graph_task(parse_json(line, path, number), place(path, number))[1]
            except TaskFormatError as error:
                yield error


def graph_task(record: Any, where: str) -> tuple[Problem, LabelledTask]:
    """Build a task from one line, already parsed; a task has no place for its problem, which comes beside it.

    That the outputs fit the problem is checked, not that they are right: another rule may decide ties.

    Raises ``TaskFormatError``, starting with ``where``, that names the example and the place in its graph.
    """
    problem = _problem(record, where)
    for key in ("call", "family"):
        if key in record:
            raise TaskFormatError(f"{where}: the field {key!r} is settled for graphs; leave it out")
    own = own_task({key: value for key, value in record.items() if key != "problem"}, where)
    task, answers = own.task, own.answers
    examples = []
    for number, example in enumerate(task.examples, start=1):
        graph = _graph(example.input, problem, f"{where}: example {number}, input")
        check_output(example.output, problem, graph, f"{where}: example {number}, output")
        examples.append(Example(graph.value(), example.output))
    queries = []
    for index, query in enumerate(task.queries):
        graph = _graph(query, problem, f"{where}: query {index + 1}, input")
        if index in answers:
            check_output(answers[index], problem, graph, f"{where}: query {index + 1}, output")
        queries.append(graph.value())
    return problem, build_task(
        where,
        id=task.id,
        examples=examples,
        queries=queries,
        answers=answers,
        call="single",
        family=FAMILY,
        signature=task.signature if "signature" in record else graph_signature(problem),
        description=task.description,
        tolerance=task.tolerance,
    )


def graph_signature(problem: Problem) -> Signature:
    """Give ``f(graph: dict) -> list[…]``, which does not give the problem away."""
    return Signature((Parameter("graph", "dict"),), problem.returns)


def check_output(values: Any, problem: Problem, graph: Graph, where: str) -> None:
    """Check that there is a value for each node, and of the problem's kind.

    Raises ``TaskFormatError``, starting with ``where``, that names the first that is not.
    """
    if not isinstance(values, list) or len(values) != graph.nodes:
        raise TaskFormatError(
            f"{where}: expected a list with a value for each of the {graph.nodes} nodes, "
            f"not {shorten(values)}"
        )
    for node, value in enumerate(values):
        if not _fits(value, problem, graph):
            raise TaskFormatError(
                f"{where}: the value {shorten(value)} of node {node} is not {_EXPECTED[problem.kind]}"
            )
    if problem.kind == "position" and len(set(values)) < graph.nodes:
        raise TaskFormatError(f"{where}: two nodes have the same place in the order; give each its own")


def _fits(value: Any, problem: Problem, graph: Graph) -> bool:
    if problem.kind == "number":
        return value is None or type(value) is int or (type(value) is float and math.isfinite(value))
    return type(value) is int and 0 <= value < (2 if problem.kind == "flag" else graph.nodes)


def _problem(record: Any, where: str) -> Problem:
    name = record.get("problem") if isinstance(record, dict) else None
    problem = PROBLEMS.get(name) if isinstance(name, str) else None
    if problem is None:
        raise TaskFormatError(
            f'{where}: expected a task with a known problem under "problem", not {shorten(name)}; '
            f"the known ones are {', '.join(PROBLEMS)}"
        )
    return problem


def _graph(value: Any, problem: Problem, where: str) -> Graph:
    graph = read_graph(value, where, has_source=problem.has_source)
    try:
        problem.check(graph)
    except UnanswerableGraphError as error:
        raise TaskFormatError(f"{where}: {error}") from None
    return graph

"""Graphs in task files, and the sets of tasks that are drawn."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.task import Example
from induce.tasks import load_tasks
from induce.tasks.graph import graph_task
from induce.tasks.graph_input import Graph, read_graph
from induce.tasks.graph_problems import PROBLEMS, UnanswerableGraphError
from induce.tasks.own import own_record, own_task
from sandboxes import TaskFormatError

DATA = Path(__file__).parents[1] / "data"

LINE = {"nodes": 3, "directed": True, "edges": [[0, 1, 4], [1, 2, 5]], "source": 0}
LINKED = {
    "directed": True,
    "nodes": [{"id": "a"}, {"id": 7}, {"id": [1, None]}],
    "edges": [{"source": "a", "target": 7, "weight": 4}, {"source": 7, "target": [1, None], "weight": 5}],
    "source": "a",
}


def record(
    graph: Any = LINE, output: Any = (0, 0, 1), problem: Any = "bfs/pi", **fields: Any
) -> dict[str, Any]:
    pair = {"input": graph, "output": list(output) if isinstance(output, tuple) else output}
    return {"id": "a", "problem": problem, "examples": [pair], **fields}


def changed(graph: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (graph | changes).items() if value != "gone"}


def test_lines_become_tasks_and_answers_stay_apart():
    hops, roads, dress = load_tasks(DATA / "graph.jsonl").labelled()
    assert {found.task.family for found in (hops, roads, dress)} == {"graph"}
    assert hops.task.examples[0] == Example(
        {"nodes": 4, "directed": True, "edges": [[0, 1, 1], [1, 2, 1], [0, 2, 1]], "source": 0},
        [0, 1, 1, None],
    )
    assert hops.answers == {0: [None, 0]}, "the second query has no output, so no known answer"
    assert str(roads.task.signature) == "f(graph: dict) -> list[int]"
    assert roads.task.description == "Where to come from on the shortest way."
    assert str(dress.task.signature) == "order(graph: dict) -> list[int]"


def test_the_answers_in_the_example_file_are_right():
    for line in (DATA / "graph.jsonl").read_text().splitlines():
        problem, labelled = graph_task(json.loads(line), "here")
        pairs = [(example.input, example.output) for example in labelled.task.examples]
        pairs += [(labelled.task.queries[index], answer) for index, answer in labelled.answers.items()]
        for given_graph, output in pairs:
            graph = read_graph(given_graph, "here", has_source=problem.has_source)
            assert problem.solve(graph) == output


@pytest.mark.parametrize("key", ["edges", "links"])
def test_node_link_json_is_the_same_graph(key: str):
    linked = {name: value for name, value in LINKED.items() if name != "edges"} | {key: LINKED["edges"]}
    extra = {"multigraph": False, "graph": {"name": "x"}}
    assert read_graph(linked | extra, "here", has_source=True) == read_graph(LINE, "here", has_source=True)


def test_node_link_json_says_nothing_of_directions_and_weights_where_they_are_the_usual():
    linked = {"nodes": [{"id": 2}, {"id": 1}], "links": [{"source": 1, "target": 2, "colour": "red"}]}
    assert read_graph(linked, "here", has_source=False) == Graph(2, False, ((1, 0, 1),))


BAD = {
    "no object": ([1], "expected a graph as an object, not [1]"),
    "a typing error": (changed(LINE, edge=[]), "unknown field 'edge' in a graph; the known ones are dir"),
    "no source": (changed(LINE, source="gone"), 'this problem starts from a node; name it under "source"'),
    "no nodes": (changed(LINE, nodes=0, edges=[]), "the graph has no nodes; give it at least one"),
    "no node list": (changed(LINKED, nodes=[], edges=[]), "the graph has no nodes; give it at least one"),
    "half a node": (changed(LINE, nodes=1.5), "expected the number of nodes, or a list of"),
    "true nodes": (changed(LINE, nodes=True), "expected the number of nodes"),
    "no direction": (changed(LINE, directed="gone"), 'expected true or false under "directed", not None'),
    "no edges": (changed(LINE, edges="gone"), 'expected a list of edges under "edges", not None'),
    "lone node": (changed(LINE, edges=[[0, 1], [1]]), ", edges[1]: expected [from, to] or [from, to, w"),
    "node outside": (changed(LINE, edges=[[0, 3]]), ", edges[0]: there is no node 3; the nodes are"),
    "node below": (changed(LINE, edges=[[-1, 0]]), ", edges[0]: there is no node -1"),
    "true node": (changed(LINE, edges=[[0, True]]), ", edges[0]: there is no node True"),
    "source outside": (changed(LINE, source=3), ", source: there is no node 3; the nodes are"),
    "nan": (changed(LINE, edges=[[0, 1, float("nan")]]), "the weight nan is no finite number; leave"),
    "inf": (changed(LINE, edges=[[0, 1, float("inf")]]), ", edges[0]: the weight inf is no finite number"),
    "null weight": (changed(LINE, edges=[[0, 1, None]]), "the weight None is no finite number"),
    "true weight": (changed(LINE, edges=[[0, 1, True]]), "the weight True is no finite number"),
    "linked nan": (
        changed(LINKED, edges=[{"source": "a", "target": 7, "weight": float("nan")}]),
        ", edges[0]: the weight nan is no finite number",
    ),
    "two of an id": (
        changed(LINKED, nodes=[{"id": 1}, {"id": "1"}, {"id": 1}]),
        ", nodes[2]: the id 1 is that of nodes[0] too; give each node an id of its own",
    ),
    "no id": (changed(LINKED, nodes=[{"name": 1}]), ', nodes[0]: expected an object with "id"'),
    "unknown id": (
        changed(LINKED, edges=[{"source": "a", "target": "7"}]),
        ", edges[0]: there is no node with the id '7'; add it under \"nodes\"",
    ),
    "unknown source": (changed(LINKED, source=0), ", source: there is no node with the id 0"),
    "no target": (changed(LINKED, edges=[{"source": "a"}]), 'expected an object with "source" and "target"'),
    "both": (changed(LINKED, links=[]), 'expected the edges under either "edges" or "links"'),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_graph_is_refused_with_file_line_and_place(tmp_path: Path, name: str):
    graph, message = BAD[name]
    path = tmp_path / "graph.jsonl"
    good = record(LINE, (0, 0, 1), id="good")
    path.write_text(json.dumps(good) + "\n" + json.dumps(record(graph)) + "\n")
    problems: list[TaskFormatError] = []
    assert [task.id for task in load_tasks(path, skip_bad=problems.append)] == ["good"]
    [problem] = map(str, problems)
    assert problem.startswith(f"{path}:2: example 1, input")
    assert message in problem
    assert "\n" not in problem


def graph_error(*arguments: Any, **fields: Any) -> str:
    with pytest.raises(TaskFormatError) as caught:
        graph_task(record(*arguments, **fields), "here")
    return str(caught.value)


def test_queries_are_checked_as_examples_are():
    bad = {"input": changed(LINE, source=9)}
    assert graph_error(queries=[bad]).startswith("here: query 1, input, source: there is no node 9")
    unfit = {"input": LINE, "output": [0]}
    assert graph_error(queries=[{"input": LINE}, unfit]).startswith("here: query 2, output: expected a list")


@pytest.mark.parametrize(
    ("problem", "output", "message"),
    [
        ("bfs/pi", 3, "expected a list with a value for each of the 3 nodes, not 3"),
        ("bfs/pi", [0, 0], "expected a list with a value for each of the 3 nodes, not [0, 0]"),
        ("bfs/pi", [0, None, 1], "the value None of node 1 is not a node; give a node that has none itself"),
        ("bfs/pi", [0, 0, 3], "the value 3 of node 2 is not a node"),
        ("bfs/reach", [1, 2, 0], "the value 2 of node 1 is not 0 or 1"),
        ("bfs/reach", [1, True, 0], "the value True of node 1 is not 0 or 1"),
        ("bfs/d", [0, float("inf"), 1], "the value inf of node 1 is not a finite number, or null where"),
        ("bfs/d", [0, "1", 1], "the value '1' of node 1 is not a finite number"),
        ("topological_sort/position", [0, 1, 1], "two nodes have the same place in the order"),
        ("topological_sort/position", [0, 1, 3], "the value 3 of node 2 is not a place in the order"),
    ],
)
def test_an_output_that_cannot_be_an_answer_is_refused(problem: str, output: Any, message: str):
    graph = LINE if PROBLEMS[problem].has_source else changed(LINE, source="gone")
    assert graph_error(graph, output, problem).startswith(f"here: example 1, output: {message}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"problem": "bfs"},
            "here: expected a task with a known problem under \"problem\", not 'bfs'; the known",
        ),
        ({"problem": ["bfs/d"]}, "here: expected a task with a known problem"),
        ({"family": "arc"}, "here: the field 'family' is settled for graphs; leave it out"),
        ({"call": "keyword"}, "here: the field 'call' is settled for graphs; leave it out"),
        ({"querys": []}, "here: unknown field 'querys'"),
        ({"examples": []}, "here: examples: "),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields: dict[str, Any], message: str):
    assert graph_error(**fields).startswith(message)


def test_a_file_that_is_forced_into_the_format(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text("[1]")
    with pytest.raises(TaskFormatError, match=r"x.jsonl:1: expected a task with a known problem"):
        list(load_tasks(path, format="graph"))


@pytest.mark.parametrize(
    ("problem", "graph", "message"),
    [
        ("dijkstra/d", changed(LINE, edges=[[0, 1, -2]]), "the edge from 0 to 1 weighs -2, .* bellman_ford"),
        ("topological_sort/position", {"nodes": 2, "directed": True, "edges": [[0, 1], [1, 0]]}, "a cycle"),
        ("topological_sort/position", {"nodes": 2, "directed": True, "edges": [[0, 0]]}, "a cycle"),
        ("topological_sort/position", {"nodes": 2, "directed": False, "edges": [[0, 1]]}, "a cycle"),
        ("components/label", LINE, 'this problem starts from no node; leave out "source"'),
    ],
)
def test_a_graph_without_an_answer_is_refused(problem: str, graph: dict[str, Any], message: str):
    with pytest.raises(TaskFormatError, match=f"here: example 1, input: .*{message}"):
        graph_task(record(graph, problem=problem), "here")


def test_there_are_no_shortest_paths_past_a_cycle_of_negative_weight():
    cycle = Graph(3, True, ((0, 1, 1), (1, 2, -3), (2, 1, 2)), 0)
    with pytest.raises(UnanswerableGraphError, match="a cycle of negative weight can be reached"):
        PROBLEMS["bellman_ford/d"].solve(cycle)
    out_of_reach = Graph(3, True, ((1, 2, -3), (2, 1, 2)), 0)
    assert PROBLEMS["bellman_ford/d"].solve(out_of_reach) == [0, None, None]


SMALL = "size=5&tasks=3&described=1"


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_drawn_set_is_read_again_from_its_own_lines(tmp_path: Path, problem: str):
    drawn = list(load_tasks(f"graph:{problem}?{SMALL}").labelled())
    assert [len(found.task.examples) for found in drawn] == [3] * 3
    assert [sorted(found.answers) for found in drawn] == [[0, 1]] * 3
    assert drawn[0].task.description == PROBLEMS[problem].rule
    path = tmp_path / "drawn.jsonl"
    records = [own_record(found.task, found.answers) for found in drawn]
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    assert list(load_tasks(path).labelled()) == drawn
    for one in records:
        graphs = {key: value for key, value in one.items() if key not in ("call", "family")}
        assert graph_task(graphs | {"problem": problem}, "here")[1] == own_task(one, "here")


def test_the_same_seed_gives_the_same_tasks_everywhere():
    spec = "graph:bellman_ford/pi?size=4&tasks=2&seed=7"
    text = json.dumps([own_record(found.task, found.answers) for found in load_tasks(spec).labelled()])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "3791c9326053bd0b"
    assert load_tasks(spec).content_hash() == load_tasks(spec).content_hash()
    assert load_tasks(spec).content_hash() != load_tasks(spec.replace("seed=7", "seed=8")).content_hash()
    assert load_tasks(spec).source == spec


def test_more_examples_or_tasks_leave_the_others_as_they_are():
    few = list(load_tasks("graph:dfs/pi?tasks=2").labelled())
    more = list(load_tasks("graph:dfs/pi?tasks=4&examples=6").labelled())
    for one, other in zip(few, more[:2], strict=True):
        assert one.task.id == other.task.id
        assert one.task.examples == other.task.examples[:3]
        assert (one.task.queries, one.answers) == (other.task.queries, other.answers)
    assert len(list(load_tasks("graph:dfs/pi"))) == 20
    assert [task.queries for task in load_tasks("graph:dfs/pi?queries=0&tasks=1")] == [()]


@pytest.mark.parametrize("problem", ["bfs/pi", "topological_sort/position"])
def test_no_query_is_an_example_where_there_are_graphs_enough(problem: str):
    for task in load_tasks(f"graph:{problem}?size=3&tasks=50"):
        assert all(example.input not in task.queries for example in task.examples)


def test_without_words_nothing_but_the_id_names_the_problem():
    [task] = load_tasks("graph:bellman_ford/d?tasks=1")
    assert (task.id, task.description, str(task.signature)) == (
        "bellman_ford/d-8-0-0", "", "f(graph: dict) -> list[Any]",
    )  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_drawn_graphs_are_of_all_sorts(problem: str):
    tasks = list(load_tasks(f"graph:{problem}?tasks=30").labelled())
    graphs = [example.input for found in tasks for example in found.task.examples]
    outputs = [example.output for found in tasks for example in found.task.examples]
    acyclic = PROBLEMS[problem].acyclic
    assert {graph["directed"] for graph in graphs} == ({True} if acyclic else {True, False})
    assert len({json.dumps(graph) for graph in graphs}) > 0.9 * len(graphs)
    assert len({json.dumps(output) for output in outputs}) > len(outputs) / 4
    weights = {edge[2] for graph in graphs for edge in graph["edges"]}
    assert weights == (set(range(1, 10)) if PROBLEMS[problem].weighted else {1})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("graph:", "there is no problem ''; expected graph:PROBLEM\\?size=8"),
        ("graph:bfs", "there is no problem 'bfs'; .* is one of bfs/reach, bfs/pi"),
        ("graph:bfs/d?colour=1", "unknown: 'colour'; each of size, tasks"),
        ("graph:bfs/d?size=1&size=2", "twice: 'size'; each of size, tasks"),
        ("graph:bfs/d?", None),
        ("graph:bfs/d?size", "size must be an integer from 1 to 1000, not ''"),
        ("graph:bfs/d?size=0", "size must be an integer from 1 to 1000, not '0'"),
        ("graph:bfs/d?size=1001", "size must be an integer from 1 to 1000, not '1001'"),
        ("graph:bfs/d?seed=-1", "seed must be an integer from 0"),
        ("graph:bfs/d?seed=٣", "seed must be an integer from 0"),
        ("graph:bfs/d\n", "there is no problem"),
    ],
)
def test_a_spec_that_is_not_understood_is_refused_in_one_line(spec: str, message: str | None):
    if message is None:
        assert len(list(load_tasks(spec))) == 20
        return
    with pytest.raises(TaskFormatError, match=message) as caught:
        load_tasks(spec)
    assert str(caught.value).isprintable()


def test_a_drawn_set_takes_no_options_of_files():
    with pytest.raises(TaskFormatError, match="graph:bfs/d: needs no format, shots or output column"):
        load_tasks("graph:bfs/d", shots=2)


ids = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2)
)


@st.composite
def numbered(draw: st.DrawFn) -> dict[str, Any]:
    nodes = draw(st.integers(1, 5))
    node = st.integers(0, nodes - 1)
    weight = st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
    edge = st.tuples(node, node) | st.tuples(node, node, weight)
    edges = [list(one) for one in draw(st.lists(edge, max_size=8))]
    return {"nodes": nodes, "directed": draw(st.booleans()), "edges": edges, "source": draw(node)}


@settings(deadline=None)
@given(numbered(), st.data())
def test_any_labels_and_either_way_of_writing_give_the_same_graph(graph: dict[str, Any], data: st.DataObject):
    unique = st.lists(ids, min_size=graph["nodes"], max_size=graph["nodes"], unique_by=json.dumps)
    labels = data.draw(unique)
    linked = {
        "directed": graph["directed"],
        "multigraph": True,
        "nodes": [{"id": label} for label in labels],
        "edges": [
            {"source": labels[start], "target": labels[end]} | ({"weight": weight[0]} if weight else {})
            for start, end, *weight in graph["edges"]
        ],
        "source": labels[graph["source"]],
    }
    expected = read_graph(graph, "here", has_source=True)
    assert read_graph(json.loads(json.dumps(linked)), "here", has_source=True) == expected
    assert read_graph(expected.value(), "here", has_source=True) == expected

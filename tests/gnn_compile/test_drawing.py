"""Drawings are well-formed, show every part and every line, and can stand by themselves."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from gnn_compile import algorithm_names, compile_algorithm, parse_algorithm
from gnn_compile.drawing import MOST_SHAPES, draw
from gnn_compile.layering import layering
from sandboxes.errors import AlgorithmError

SVG = "{http://www.w3.org/2000/svg}"


def titles(picture, kind):
    """Give what the pointer shows, of boxes or lines."""
    found = []
    for one in ET.fromstring(picture).iter():
        kinds = [inner.get("class", "").split() for inner in (one, *one)]
        if one.tag != f"{SVG}svg" and one.find(f"{SVG}title") is not None and any(kind in k for k in kinds):
            found.append(one.findtext(f"{SVG}title"))
    return found


@pytest.mark.parametrize("name", algorithm_names())
@pytest.mark.parametrize("rounds", [1, 3])
def test_all_there_is_is_drawn(name, rounds, networks):
    circuit = networks(name).processor
    picture = draw(networks(name), rounds)
    state = len(circuit.outputs)
    assert len(titles(picture, "box")) == rounds * (len(circuit.parts) + state)
    read = {one.name for one in circuit.parts} & set(circuit.outputs)
    lines = rounds * (sum(len(one.operands) for one in circuit.parts) + state) + (rounds - 1) * len(read)
    assert len(titles(picture, "wire")) == lines


def test_weights_are_the_titles_of_lines(networks):
    shown = titles(draw(networks("bellman_ford")), "wire")
    weights = [weight for one in networks("bellman_ford").processor.parts for weight in one.weights]
    assert len([one for one in shown if one.startswith("weight ")]) == len(weights)
    assert shown.count("weight -∞") == weights.count(-(2.0**120))


def test_boxes_say_what_they_compute(networks):
    shown = titles(draw(networks("bellman_ford")), "box")
    assert "6 (node): min of #5 over the edges into it, and its own d" in " ".join(shown)
    assert any("step(1 * d + -1 * #6); it is 0 or 1" in one for one in shown)
    assert "pi after round 1" in shown


@pytest.mark.parametrize("name", algorithm_names())
def test_it_is_the_same_each_time_and_needs_nothing_else(name, networks):
    picture = draw(networks(name), 2)
    assert picture == draw(compile_algorithm(name), 2)
    assert not re.search(r"href|url\(|@import|<script", picture)
    assert "prefers-color-scheme: dark" in picture


def test_texts_are_escaped():
    title = r"\"<script>alert(1)</script> & ]]> \u0000\u0007\u202e"
    step = 'step = "x = min(x, 3)"\n[state.node]\nx = "index"\n'
    text = f'title = "{title}"\nrounds = "N"\noutputs = ["x"]\n{step}'
    network = compile_algorithm(parse_algorithm(text, "<b>&"))
    picture = draw(network)
    assert "<script" not in picture
    title = ET.fromstring(picture).findtext(f"{SVG}title")
    assert title.startswith('<b>&: "<script>alert(1)</script> & ]]> ')
    assert not set(title) & {"\0", "\a", "\u202e"}


@pytest.mark.parametrize("name", algorithm_names())
def test_boxes_do_not_overlap_and_lines_go_to_the_right(name, networks):
    root = ET.fromstring(draw(networks(name), 2))
    boxes = [one for one in root.iter(f"{SVG}rect") if one.get("x") and float(one.get("width")) > 20]
    columns = {}
    for box in boxes:
        columns.setdefault(float(box.get("x")), []).append(float(box.get("y")))
    for heights in columns.values():
        assert all(below - above >= 26 for above, below in pairwise(sorted(heights)))
    for wire in root.iter(f"{SVG}path"):
        numbers = [float(one) for one in re.findall(r"[MH](-?[\d.]+)", wire.get("d"))]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("name", algorithm_names())
def test_layers_come_after_what_they_read(name, networks):
    circuit = networks(name).processor
    laid = layering(circuit)
    for number, part in enumerate(circuit.parts):
        assert all(laid.home[one] < laid.home[number] for one in part.operands)
        there = [one for one, layer in laid.layers[laid.home[number]] if layer == laid.home[one]]
        places = {circuit.parts[one].place for one in there}
        assert "edge" not in places or places == {"edge"} or laid.home[number] == 0
        for one in part.operands:
            for spot in laid.way(one, number):
                assert spot in laid.layers[spot[1]]


@pytest.mark.parametrize("rounds", [0, -1, MOST_SHAPES])
def test_too_much_is_refused(rounds, networks):
    with pytest.raises(AlgorithmError, match="boxes and lines"):
        draw(networks("bfs"), rounds)

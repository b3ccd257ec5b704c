"""A network's rounds as a picture: neurons in layers from left to right, in SVG that needs nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gnn_compile.domains import ABSORBED, INFINITY, Domain
from gnn_compile.layering import Spot, Stage, layering
from gnn_compile.network import Network
from gnn_compile.units import Activation, Kind, Part, Place
from sandboxes.errors import AlgorithmError

MOST_SHAPES = 20_000
"""So many boxes and lines are drawn at most."""

_WIDTH, _HEIGHT = 86, 26
_LANE = 12
"""How high a line is that passes a layer."""
_GAP_X, _GAP_Y = 54, 12
_TOP, _MARGIN = 84, 24

_STYLE = """
text { font: 11px system-ui, sans-serif; text-anchor: middle; }
text.title { font-size: 15px; font-weight: 600; }
text.title, text.start { text-anchor: start; }
.wire { fill: none; stroke-opacity: .75; }
.wire.minus { stroke-dasharray: 5 3; }
.wire:hover { stroke-width: 3; stroke-opacity: 1; }
.box.state { stroke-width: 1.6; }
"""

_COLOURS = {
    ".paper { fill: %s; }": ("#ffffff", "#0d1117"),
    "text { fill: %s; }": ("#1f2328", "#f0f6fc"),
    "text.faint { fill: %s; }": ("#59636e", "#9198a1"),
    ".box, .wire { stroke: %s; }": ("#8c959f", "#6e7681"),
    ".box.node { fill: %s; }": ("#ddf4ff", "#12324f"),
    ".box.edge { fill: %s; }": ("#fff1d6", "#4a3310"),
    ".box.graph { fill: %s; }": ("#eee0ff", "#3b2460"),
    ".box.state { fill: %s; }": ("#dafbe1", "#123d22"),
    ".wire.plus { stroke: %s; }": ("#0969da", "#58a6ff"),
    ".wire.minus { stroke: %s; }": ("#cf222e", "#ff7b72"),
}
"""Where it is light, and where it is dark."""

_LEGEND_WIDTH = 130
_LEGEND = (
    ("state", "state"),
    ("node", "of each node"),
    ("edge", "of each edge"),
    ("graph", "of the graph"),
    ("plus", "weight above 0"),
    ("minus", "weight below 0"),
)


_CAPTIONS = {
    Stage.REDUCED: "aggregation",
    Stage.NODES: "update neurons",
    Stage.COPIES: "copies to edges",
    Stage.MESSAGES: "message neurons",
}


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    height: int

    @property
    def entry(self) -> tuple[float, float]:
        return self.x, self.y + self.height / 2

    @property
    def exit(self) -> tuple[float, float]:
        return self.x + _WIDTH, self.y + self.height / 2


def draw(network: Network, rounds: int = 1) -> str:
    """Draw so many rounds of a network, side by side, as SVG.

    What a box computes, and the weight of a line, show where the pointer rests. Raises ``AlgorithmError``
    where there is too much to draw.
    """
    circuit = network.processor
    shapes = rounds * sum(1 + len(part.operands) for part in circuit.parts)
    if rounds < 1 or shapes > MOST_SHAPES:
        raise AlgorithmError(
            f"{rounds:,} rounds of {network.algorithm.name} are {max(shapes, 0):,} boxes and lines; from "
            f"1 round to {MOST_SHAPES:,} boxes and lines can be drawn"
        )
    return _Picture(network, rounds).svg()


class _Picture:
    def __init__(self, network: Network, rounds: int) -> None:
        self._network, self._circuit, self._rounds = network, network.processor, rounds
        self._layering = layering(self._circuit)
        names = [_name(part, number) for number, part in enumerate(self._circuit.parts)]
        self._formulas = [_formula(part, names) for part in self._circuit.parts]
        layers = self._layering.layers
        self._height = max(sum(map(self._slot, layer)) for layer in layers)
        self._period = len(layers) * (_WIDTH + _GAP_X)
        self._wires = ET.Element("g")
        self._boxes = ET.Element("g")

    def svg(self) -> str:
        after: dict[str, _Box] = {}
        for number in range(self._rounds):
            after = self._round(number, after)
        width = 2 * _MARGIN + max(self._rounds * self._period - _GAP_X, len(_LEGEND) * _LEGEND_WIDTH)
        height = _TOP + self._height + 46
        size = {"width": _number(width), "height": _number(height)}
        view = {"viewBox": f"0 0 {size['width']} {size['height']}", "role": "img"}
        root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **view})
        title = f"{self._network.algorithm.name}: {self._network.algorithm.title}".removesuffix(": ")
        _text_in(root, "title", title)
        ET.SubElement(root, "style").text = _style()
        ET.SubElement(root, "rect", {"class": "paper", "width": "100%", "height": "100%"})
        _text(root, _MARGIN, 26, title, "title")
        root.extend([self._wires, self._boxes])
        self._legend(root, height - 20)
        ET.indent(root, " ")
        return ET.tostring(root, encoding="unicode") + "\n"

    def _round(self, number: int, before: Mapping[str, _Box]) -> dict[str, _Box]:
        """Draw a round, joined to the state after the one before, and give the state after it."""
        left = _MARGIN + number * self._period
        _text(self._boxes, left, 52, f"round {number + 1}", "start faint")
        spots: dict[Spot, _Box] = {}
        for column, layer in enumerate(self._layering.layers):
            x = left + column * (_WIDTH + _GAP_X)
            _text(self._boxes, x + _WIDTH / 2, 70, self._caption(column), "faint")
            y = _TOP + (self._height - sum(map(self._slot, layer))) / 2
            for spot in layer:
                lane = self._passes(spot)
                spots[spot] = _Box(x, y, _LANE if lane else _HEIGHT)
                y += self._slot(spot)
        for one, part in enumerate(self._circuit.parts):
            self._part(one, spots)
            if part.kind is Kind.COLUMN and part.name in before:
                end = spots[one, 0].entry
                self._wire([before[part.name].exit, end], "", f"{part.name} goes on to round {number + 1}")
        after = {}
        for place, (name, value) in enumerate(self._circuit.outputs.items(), len(self._circuit.parts)):
            after[name] = spots[place, self._layering.home[place]]
            self._box(after[name], name, "state", f"{name} after round {number + 1}")
            self._wire(self._way(spots, value, place), "", f"{name}: {self._formulas[value]}")
        return after

    def _part(self, number: int, spots: Mapping[Spot, _Box]) -> None:
        part, domain = self._circuit.parts[number], self._circuit.domains[number]
        kind = "state" if part.kind is Kind.COLUMN and part.name in self._network.state else str(part.place)
        title = f"{number} ({part.place}): {self._formulas[number]}"
        if _known(domain):
            title += f"; it is {domain}"
        self._box(spots[number, self._layering.home[number]], _label(part), kind, title)
        weights: Sequence[float | None] = part.weights or [None] * len(part.operands)
        for weight, operand in zip(weights, part.operands, strict=True):
            sign = "" if weight is None else "plus" if weight > 0 else "minus"
            what = str(part.kind) if weight is None else f"weight {_weight(weight)}"
            self._wire(self._way(spots, operand, number), sign, what)

    def _way(self, spots: Mapping[Spot, _Box], part: int, reader: int) -> list[tuple[float, float]]:
        home = self._layering.home
        passed = (spots[one] for one in self._layering.way(part, reader))
        points = [end for one in passed for end in (one.entry, one.exit)]
        return [spots[part, home[part]].exit, *points, spots[reader, home[reader]].entry]

    def _passes(self, spot: Spot) -> bool:
        return self._layering.home[spot[0]] != spot[1]

    def _slot(self, spot: Spot) -> int:
        """Give the height of a spot."""
        return _LANE if self._passes(spot) else _HEIGHT + _GAP_Y

    def _caption(self, column: int) -> str:
        stage = self._layering.stages[column]
        if stage is None:
            return "state after" if column else "state and inputs"
        there = [
            self._circuit.parts[spot[0]] for spot in self._layering.layers[column] if not self._passes(spot)
        ]
        if stage is Stage.REDUCED and all(part.kind is Kind.POOL for part in there):
            return "pooling"
        if stage is Stage.NODES and all(part.place is Place.GRAPH for part in there):
            return "graph's neurons"
        return _CAPTIONS[stage]

    def _box(self, box: _Box, label: str, kind: str, title: str) -> None:
        group = ET.SubElement(self._boxes, "g")
        _text_in(group, "title", title)
        size = {"width": str(_WIDTH), "height": str(_HEIGHT), "rx": "5"}
        at = {"x": _number(box.x), "y": _number(box.y)}
        ET.SubElement(group, "rect", {"class": f"box {kind}", **at, **size})
        _text(group, box.x + _WIDTH / 2, box.y + _HEIGHT / 2 + 4, _cut(label))

    def _wire(self, points: Sequence[tuple[float, float]], sign: str, title: str) -> None:
        """Draw a line that bends between layers, and goes straight through them."""
        path = f"M{_number(points[0][0])} {_number(points[0][1])}"
        for place, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
            middle = (x + to_x) / 2
            bend = (middle, y, middle, to_y, to_x, to_y)
            path += f" H{_number(to_x)}" if place % 2 else " C" + " ".join(map(_number, bend))
        wire = ET.SubElement(self._wires, "path", {"class": f"wire {sign}".strip(), "d": path})
        _text_in(wire, "title", title)

    def _legend(self, root: ET.Element, y: float) -> None:
        for place, (kind, what) in enumerate(_LEGEND):
            x = _MARGIN + place * _LEGEND_WIDTH
            if kind in ("plus", "minus"):
                ET.SubElement(
                    root, "path", {"class": f"wire {kind}", "d": f"M{_number(x)} {_number(y - 4)} h18"}
                )
            else:
                at = {"x": _number(x), "y": _number(y - 10), "width": "18", "height": "12", "rx": "3"}
                ET.SubElement(root, "rect", {"class": f"box {kind}", **at})
            _text(root, x + 24, y, what, "start faint")


def _style() -> str:
    light, dark = ("\n".join(rule % pair[one] for rule, pair in _COLOURS.items()) for one in (0, 1))
    return f"{_STYLE}{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _name(part: Part, number: int) -> str:
    return part.name if part.kind is Kind.COLUMN else f"#{number}"


def _label(part: Part) -> str:
    match part.kind:
        case Kind.COLUMN:
            return part.name
        case Kind.NEURON if not part.operands:
            return _weight(part.bias)
        case Kind.NEURON:
            sign = {Activation.IDENTITY: "Σ", Activation.RELU: "relu", Activation.STEP: "step"}
            return sign[part.activation]
        case Kind.AGGREGATE:
            return f"{part.reduction} of edges"
        case Kind.POOL:
            return f"{part.reduction} of nodes"
    return f"from {part.kind}"


def _formula(part: Part, names: Sequence[str]) -> str:
    operands = [names[one] for one in part.operands]
    match part.kind:
        case Kind.COLUMN:
            return part.name
        case Kind.SENDER | Kind.RECEIVER:
            return f"{operands[0]} of the {part.kind}"
        case Kind.AGGREGATE:
            own = f", and its own {operands[1]}" if len(operands) > 1 else ""
            return f"{part.reduction} of {operands[0]} over the edges into it{own}"
        case Kind.POOL:
            return f"{part.reduction} of {operands[0]} over all nodes"
    terms = [f"{_weight(weight)} * {name}" for weight, name in zip(part.weights, operands, strict=True)]
    if part.bias or not terms:
        terms.append(_weight(part.bias))
    total = " + ".join(terms)
    return total if part.activation is Activation.IDENTITY else f"{part.activation}({total})"


def _weight(weight: float) -> str:
    if abs(weight) == INFINITY:
        return "∞" if weight > 0 else "-∞"
    return repr(int(weight)) if weight.is_integer() and abs(weight) < 1e15 else repr(weight)


def _known(domain: Domain) -> bool:
    return domain.size <= ABSORBED


def _cut(label: str, length: int = 13) -> str:
    return label if len(label) <= length else label[: length - 1] + "…"


def _number(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _text(parent: ET.Element, x: float, y: float, text: str, kind: str = "") -> None:
    at = {"x": _number(x), "y": _number(y)}
    _text_in(parent, "text", text, {"class": kind, **at} if kind else at)


def _text_in(parent: ET.Element, tag: str, text: str, attributes: Mapping[str, str] | None = None) -> None:
    """Add an element with a text; what XML cannot hold at all becomes �."""
    clean = "".join(
        one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text
    )
    ET.SubElement(parent, tag, dict(attributes or {})).text = clean

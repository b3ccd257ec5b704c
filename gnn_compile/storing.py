"""Networks in files: JSON that holds the weights exactly, and the algorithm's source.

A file makes no claims about its weights. Whoever loads it compiles the source anew: if that gives the same
weights, all that is known of the compiled network holds. Otherwise, as after an edit by hand, they are run as
they are, each neuron everywhere, for no value's range is known.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gnn_compile.algorithm import Algorithm, Bounds, parse_algorithm
from gnn_compile.any_order import common_place
from gnn_compile.compiler import compile_algorithm
from gnn_compile.domains import INFINITY, UNKNOWN
from gnn_compile.graphs import Column
from gnn_compile.network import Network
from gnn_compile.targets import Target
from gnn_compile.units import Activation, Circuit, Kind, Part, Place, Reduction
from sandboxes.errors import AlgorithmError

VERSION = 1
LARGEST_FILE = 64 * 2**20
"""How many bytes a network's file may have."""

_CIRCUITS = ("encoder", "processor", "refusals")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network from a file."""

    network: Network
    verified: bool
    """Whether its weights are those that compiling its algorithm gives; else nothing is known of them."""
    unchanged: bool
    """Whether the file holds what was saved."""


def save_network(network: Network, path: str | Path) -> str:
    """Write a network to a file, which is there when it is whole; give the hash of what it holds.

    Raises ``AlgorithmError`` where the file cannot be written, or the network lacks fields of the state.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise AlgorithmError(f"{path} is no file that could be replaced")
    if set(network.state) != set(network.algorithm.state):
        raise AlgorithmError(
            f"this network of {network.algorithm.name} was reduced to {', '.join(network.state)}, and files "
            "hold whole ones: save what compile_algorithm gave"
        )
    content = _content(network)
    digest = _hash(content)
    text = _pretty({**content, "sha256": digest})
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise AlgorithmError(f"{path} cannot be written: {error.strerror or error}") from error
    return digest


def save_matrices(matrices: Mapping[str, Column], path: Path) -> None:
    """Write matrices by their names, for ``numpy.load``. Raises ``AlgorithmError`` where that cannot be."""
    try:
        with path.open("wb") as opened:
            np.savez(opened, allow_pickle=False, **dict(matrices))
    except OSError as error:
        raise AlgorithmError(f"{path} cannot be written: {error.strerror or error}") from error


def load_network(path: str | Path) -> Loaded:
    """Read a network from a file. Raises ``AlgorithmError`` that says what in it is wrong."""
    path = Path(path)
    try:
        with path.open("rb") as opened:
            text = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise AlgorithmError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(text) > LARGEST_FILE:
        raise AlgorithmError(f"{path} has more than {LARGEST_FILE // 2**20} MiB, and no network is as large")
    try:
        file = _File.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        said = " ".join(f"{where}: {first['msg']}".split())
        raise AlgorithmError(f"{path} is no network: {said}") from error
    try:
        algorithm = parse_algorithm(file.algorithm, file.name)
        network = _network(file, algorithm)
    except AlgorithmError as error:
        raise AlgorithmError(f"{path}: {error}") from error
    unchanged = _hash(_content(network)) == file.sha256
    compiled = _compiled(network)
    return Loaded(compiled or network, compiled is not None, unchanged)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Number = Annotated[float, Field(ge=-INFINITY, le=INFINITY, allow_inf_nan=False)]
_Operand = Annotated[int, Field(ge=0)]


class _Column(_Model):
    kind: Literal["column"]
    place: Place
    name: str


class _Neuron(_Model):
    kind: Literal["neuron"]
    place: Place
    operands: list[_Operand]
    weights: list[_Number]
    bias: _Number
    activation: Activation


class _Copy(_Model):
    kind: Literal["sender", "receiver"]
    place: Place
    operands: list[_Operand]


class _Reduced(_Model):
    kind: Literal["aggregate", "pool"]
    place: Place
    operands: list[_Operand]
    reduction: Reduction
    default: _Number


class _Circuit(_Model):
    parts: list[Annotated[_Column | _Neuron | _Copy | _Reduced, Field(discriminator="kind")]]
    outputs: dict[str, _Operand]


class _Bounds(_Model):
    nodes: Annotated[int, Field(ge=1, le=2**53)]
    weight: _Number
    whole: bool
    degree: Annotated[int, Field(ge=0, le=2**53)]


class _Target(_Model):
    steps: bool
    sharpness: _Number | None


class _File(_Model):
    """What a network's file holds."""

    format: Literal["induce-network"]
    version: Literal[1]
    name: str
    algorithm: str
    bounds: _Bounds
    target: _Target
    encoder: _Circuit
    processor: _Circuit
    refusals: _Circuit
    error: Annotated[float, Field(ge=0.0, lt=0.25)]
    sha256: str


def _content(network: Network) -> dict[str, Any]:
    sharpness = network.target.sharpness
    return {
        "format": "induce-network",
        "version": VERSION,
        "name": network.algorithm.name,
        "algorithm": network.algorithm.text,
        "bounds": {**asdict(network.bounds), "weight": float(network.bounds.weight)},
        "target": {"steps": network.target.steps, "sharpness": sharpness and float(sharpness)},
        "encoder": _record(network.encoder),
        "processor": _record(network.processor),
        "refusals": _record(network.refusals),
        "error": network.error,
    }


def _record(circuit: Circuit) -> dict[str, Any]:
    return {"parts": [_part_record(one) for one in circuit.parts], "outputs": dict(circuit.outputs)}


def _part_record(part: Part) -> dict[str, Any]:
    record: dict[str, Any] = {"kind": part.kind.value, "place": part.place.value}
    match part.kind:
        case Kind.COLUMN:
            return {**record, "name": part.name}
        case Kind.NEURON:
            weights = {"operands": list(part.operands), "weights": [float(one) for one in part.weights]}
            return {**record, **weights, "bias": float(part.bias), "activation": part.activation.value}
        case Kind.AGGREGATE | Kind.POOL:
            reduced = {"reduction": part.reduction.value, "default": float(part.default)}
            return {**record, "operands": list(part.operands), **reduced}
    return {**record, "operands": list(part.operands)}


def _hash(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _pretty(record: Mapping[str, Any]) -> str:
    """Write a line for each part, so that people can read and change them; Python's floats are exact."""

    def circuit(one: Mapping[str, Any]) -> str:
        parts = ",\n".join(f"    {json.dumps(part)}" for part in one["parts"])
        return f'{{\n   "parts": [\n{parts}\n   ],\n   "outputs": {json.dumps(one["outputs"])}\n  }}'

    lines = [
        f"  {json.dumps(name)}: {circuit(value) if name in _CIRCUITS else json.dumps(value)}"
        for name, value in record.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _network(file: _File, algorithm: Algorithm) -> Network:
    """Build what a file says, having seen that its parts fit together and to the algorithm."""
    inputs = {
        "index": Place.NODE,
        "N": Place.GRAPH,
        **dict.fromkeys(algorithm.inputs_of_nodes, Place.NODE),
        **dict.fromkeys(algorithm.inputs_of_edges, Place.EDGE),
    }
    state = {
        **dict.fromkeys(algorithm.state_of_nodes, Place.NODE),
        **dict.fromkeys(algorithm.state_of_graph, Place.GRAPH),
    }
    target = Target(**file.target.model_dump())
    bounds = Bounds(**file.bounds.model_dump())
    conditions = dict.fromkeys(algorithm.refused, Place.NODE)
    domains = dict.fromkeys((*inputs, *state, "round"), UNKNOWN)
    for place, given in (("node", algorithm.inputs_of_nodes), ("edge", algorithm.inputs_of_edges)):
        for name, text in given.items():
            what = f"{algorithm.name}: inputs.{place}.{name}"
            domains[name] = algorithm.domain_of(text, bounds, what)
    return Network(
        algorithm,
        bounds,
        target,
        _circuit("encoder", file.encoder, inputs, state, target),
        _circuit("processor", file.processor, {**inputs, **state, "round": Place.GRAPH}, state, target),
        _circuit("refusals", file.refusals, inputs | state, conditions, target),
        domains,
        file.error,
    )


def _circuit(
    name: str, circuit: _Circuit, columns: Mapping[str, Place], outputs: Mapping[str, Place], target: Target
) -> Circuit:
    parts: list[Part] = []
    for number, one in enumerate(circuit.parts):
        part = _part(one)
        if (wrong := _misfit(part, parts, columns, target)) is not None:
            raise AlgorithmError(f"{name}.parts.{number} is a {part.kind} that {wrong}")
        parts.append(part)
    if circuit.outputs.keys() != outputs.keys():
        raise AlgorithmError(
            f"{name}.outputs are {', '.join(circuit.outputs) or 'none'}, and the algorithm has "
            f"{', '.join(outputs) or 'none'}"
        )
    for field, value in circuit.outputs.items():
        if value >= len(parts):
            raise AlgorithmError(f"{name}.outputs.{field} is the part {value}, which is not there")
        if parts[value].place not in (outputs[field], Place.GRAPH):
            raise AlgorithmError(
                f"{name}.outputs.{field} is a value of each {parts[value].place}, and should be one of "
                f"{'the' if outputs[field] is Place.GRAPH else 'each'} {outputs[field]}"
            )
    ordered = {field: circuit.outputs[field] for field in outputs}
    return Circuit(tuple(parts), (UNKNOWN,) * len(parts), ordered)


def _part(one: _Column | _Neuron | _Copy | _Reduced) -> Part:
    made = Part(Kind(one.kind), one.place)
    if isinstance(one, _Column):
        return replace(made, name=one.name)
    made = replace(made, operands=tuple(one.operands))
    if isinstance(one, _Neuron):
        return replace(made, weights=tuple(one.weights), bias=one.bias, activation=one.activation)
    if isinstance(one, _Reduced):
        return replace(made, reduction=one.reduction, default=one.default)
    return made


def _misfit(part: Part, before: Sequence[Part], columns: Mapping[str, Place], target: Target) -> str | None:
    """Say what is wrong with a part that follows others."""
    late = [one for one in part.operands if one >= len(before)]
    if late:
        return f"reads part {late[0]}, which does not come before it"
    places = tuple(before[one].place for one in part.operands)
    at_nodes = (Place.NODE, Place.GRAPH)
    match part.kind:
        case Kind.COLUMN:
            if columns.get(part.name) is not part.place:
                known = ", ".join(f"{name} of the {place}" for name, place in columns.items())
                return f"is called {part.name!r} of the {part.place}, and there are {known}"
        case Kind.NEURON:
            if len(part.weights) != len(part.operands):
                return f"has {len(part.operands)} operands and {len(part.weights)} weights"
            if {Place.NODE, Place.EDGE} <= set(places):
                return "reads nodes and edges at once; nodes have to be copied to the edges first"
            if part.place is not common_place(places):
                return f"stands at the {part.place}, and what it reads is of the {common_place(places)}"
            if part.activation is Activation.STEP and not target.steps:
                return "is a step, and the target has none"
        case Kind.SENDER | Kind.RECEIVER:
            if places != (Place.NODE,) or part.place is not Place.EDGE:
                return "does not copy one value of the nodes to the edges"
        case Kind.AGGREGATE:
            fits = len(places) in (1, 2) and places[0] is not Place.NODE and places[1:] != (Place.EDGE,)
            if not fits or part.place is not Place.NODE:
                return "does not reduce one value of the edges, and perhaps one of the nodes, to the nodes"
        case Kind.POOL:
            if len(places) != 1 or places[0] not in at_nodes or part.place is not Place.GRAPH:
                return "does not reduce one value of the nodes to the graph"
    return None


def _compiled(network: Network) -> Network | None:
    """Compile a network's algorithm anew, and give that if it has the same weights."""
    try:
        compiled = compile_algorithm(network.algorithm, network.bounds, network.target)
    except AlgorithmError:
        return None
    return compiled if _content(compiled) == _content(network) else None

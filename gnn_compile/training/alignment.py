"""How far the weights of two networks are apart, once their hidden features are put in the same order.

A network is the same function when hidden features change places, so weights are compared under the best
permutations found: one for each kind of feature (of the encoder, of nodes, of scores, of values, of gates and
of each pointer), by turns, each by an exact assignment for the others as they are, after Git Re-Basin
(Ainsworth et al. 2023). It is a local optimum; and what else leaves a network the same, as a positive scale
of a rectified feature, counts as a distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn_compile.training.model import EncodeProcessDecode, initialise
from sandboxes.errors import AlgorithmError

Array = npt.NDArray[np.float64]
Permutation = npt.NDArray[np.int64]
_Axis = tuple[str, ...]
"""The kinds of features along an axis, block by block; none where they cannot change places."""

_NODES = ("encoded", "hidden")
_DECODED = ("encoded", "hidden", "hidden")
_LINEAR: Mapping[str, tuple[_Axis, _Axis]] = {
    "encoder": (("encoded",), ()),
    "processor.receiver": (("scored",), _NODES),
    "processor.sender": (("scored",), _NODES),
    "processor.edge": (("scored",), ()),
    "processor.value": (("carried",), _NODES),
    "processor.edge_value": (("carried",), ()),
    "processor.message": (("carried",), ("scored",)),
    "update.node": (("hidden",), _NODES),
    "update.aggregate": (("hidden",), ("carried",)),
    "update.gate_node": (("gating",), _NODES),
    "update.gate_aggregate": (("gating",), ("carried",)),
    "update.gate": (("hidden",), ("gating",)),
}
_SWEEPS = 30


def distance(model: EncodeProcessDecode, other: EncodeProcessDecode) -> float:
    """Give the distance after alignment: 0 for the same weights, about 1 for weights without likeness.

    It is the mean, over matrices and biases, of ``|a - b| / (|a| + |b|)``, where nothing is divided by less
    than the norm of random weights: else the least noise on what is 0 would count as much as can be.
    Raises ``AlgorithmError`` for networks of different settings, or of several heads.
    """
    ours, theirs = _parameters(model), _parameters(other)
    if model.settings != other.settings or model.settings.heads > 1:
        raise AlgorithmError(
            f"only networks of the same settings and of one head can be aligned, not {model.settings} and "
            f"{other.settings}"
        )
    axes = {name: _axes(name, ours) for name in ours}
    orders = _aligned(ours, theirs, axes, model.settings.hidden)
    random = _parameters(initialise(model.settings, seed=0))
    apart = []
    for name, one in ours.items():
        moved = _moved(theirs[name], axes[name], orders)
        size = max(np.linalg.norm(one) + np.linalg.norm(moved), np.linalg.norm(random[name]))
        apart.append(float(np.linalg.norm(one - moved) / size))
    return sum(apart) / len(apart)


def assignment(gain: Array) -> Permutation:
    """Give, for each row, a column of its own so that the sum of gains is largest.

    It is the Hungarian method by shortest augmenting paths, after Jonker and Volgenant (1987).
    """
    cost = gain.max() - gain
    size = len(cost)
    row_of = np.full(size, -1)
    of_rows, of_columns = np.zeros(size), np.zeros(size)
    for start in range(size):
        least = np.full(size, np.inf)
        before = np.full(size, -1)
        done = np.zeros(size, dtype=bool)
        row, column = start, -1
        while True:
            reduced = cost[row] - of_rows[row] - of_columns
            if column >= 0:
                reduced = reduced + least[column]
            closer = ~done & (reduced < least)
            least[closer], before[closer] = reduced[closer], column
            column = int(np.where(done, np.inf, least).argmin())
            if row_of[column] < 0:
                break
            done[column] = True
            row = int(row_of[column])
        shortest = least[column]
        of_rows[start] += shortest
        of_rows[row_of[done]] += shortest - least[done]
        of_columns[done] += least[done] - shortest
        while column >= 0:
            following = int(before[column])
            row_of[column] = row_of[following] if following >= 0 else start
            column = following
    columns = np.empty(size, dtype=np.int64)
    columns[row_of] = np.arange(size)
    return columns


def _parameters(model: EncodeProcessDecode) -> dict[str, Array]:
    return {name: value.detach().double().numpy() for name, value in model.named_parameters()}


def _axes(name: str, parameters: Mapping[str, Any]) -> tuple[_Axis, ...]:
    """Say what the features along the axes of a parameter are."""
    if name == "processor.score":
        return (), ("scored",)
    layer, _, kind = name.rpartition(".")
    if layer in _LINEAR:
        rows, columns = _LINEAR[layer]
    else:
        owner, _, part = layer.rpartition(".")
        pointing = f"{owner}.own.weight" in parameters
        rows = () if part == "read" else (owner,)
        columns = () if part == "edge" else (owner,) if pointing and part == "read" else _DECODED
    return (rows, columns) if kind == "weight" else (rows,)


def _aligned(
    ours: Mapping[str, Array], theirs: Mapping[str, Array], axes: Mapping[str, tuple[_Axis, ...]], width: int
) -> dict[str, Permutation]:
    kinds = sorted({kind for found in axes.values() for axis in found for kind in axis})
    orders = {kind: np.arange(width) for kind in kinds}
    scales = {
        name: 1.0 / max(float(np.linalg.norm(ours[name]) * np.linalg.norm(theirs[name])), 1e-300)
        for name in ours
    }

    def likeness() -> float:
        return sum(
            scales[name] * float(np.vdot(ours[name], _moved(theirs[name], axes[name], orders)))
            for name in ours
        )

    best = likeness()
    for _ in range(_SWEEPS):
        improved = False
        for kind in kinds:
            gain = np.zeros((width, width))
            for name, mine in ours.items():
                for one, other in _slices(mine, theirs[name], axes[name], orders, kind, width):
                    gain += scales[name] * (one @ other.T)
            before = orders[kind]
            orders[kind] = assignment(gain)
            # Where a kind is on both axes of a matrix, an assignment need not be an improvement.
            if (found := likeness()) > best + 1e-12:
                best, improved = found, True
            else:
                orders[kind] = before
        if not improved:
            break
    return orders


def _slices(
    mine: Array,
    theirs: Array,
    axes: tuple[_Axis, ...],
    orders: Mapping[str, Permutation],
    kind: str,
    width: int,
) -> Iterator[tuple[Array, Array]]:
    """Give each block of features of a kind as rows, of ours and of theirs with all other axes moved."""
    for number, axis in enumerate(axes):
        others = tuple(() if at == number else one for at, one in enumerate(axes))
        rest = np.moveaxis(_moved(theirs, others, orders), number, 0)
        own = np.moveaxis(mine, number, 0)
        for place, one in enumerate(axis):
            if one == kind:
                block = slice(place * width, (place + 1) * width)
                yield own[block].reshape(width, -1), rest[block].reshape(width, -1)


def _moved(array: Array, axes: tuple[_Axis, ...], orders: Mapping[str, Permutation]) -> Array:
    """Put the features along all axes in order."""
    for number, axis in enumerate(axes):
        if axis:
            order = np.concatenate(
                [orders[kind] + place * len(orders[kind]) for place, kind in enumerate(axis)]
            )
            array = array.take(order, axis=number)
    return array

"""How far a network that averages messages by a softmax can be from one that selects among them.

A minimum over ``x`` becomes ``m + sum(a * (x - m))`` with ``m = min(x)`` and ``a = softmax(-s * x)``, which
is ``sum(a * x)``, as attention computes it, without the loss of digits. All true values are whole. Let each
be off by ``e < 1/2`` at most, and let there be ``k`` of them:

- those that truly are the least are within ``e`` of it, and so is any average of them;
- each other is at least ``g = 1 - 2e`` larger than ``m``, weighs ``exp(-s * g)`` at most, and so adds no
  more than ``g * exp(-s * g)``, which decreases in ``g`` from ``1 / s`` on.

So the average is off by ``e + k * g * exp(-s * g)`` at most, and by the rounding of the last addition. Sums
add up what their operands are off by; of gates of which one is shut, the larger counts; a step, whose
threshold is a half, is right as long as its operand is off by less than a half. Summed up over all rounds,
that bounds what a network's state can be off by.

Attention after GATv2 (Brody et al. 2022) gives an edge one score, ``a · LeakyReLU(W [sender, receiver,
edge])``, and carries the sender's features alone. Its score can be any message ``x``, for ``LeakyReLU(x) -
LeakyReLU(-x) = (1 + slope) * x``. But what is to be carried, such as ``d + weight``, is no feature of the
sender's: the one scalar would have to be both choice and value. Here an edge has a value of its own, as if it
were a node between sender and receiver, which has both their features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gnn_compile.algorithm import Bounds
from gnn_compile.gating import Gate, gates
from gnn_compile.units import Activation, Circuit, Inexact, Kind, Part, Place, Reduction

_ROUNDING = 2.0**-53
_LIMIT = 0.25
_ROUNDS_BEFORE = 16
_Sum = tuple[tuple[int, float], ...]


def error_after(processor: Circuit, rounds: int, sharpness: float, bounds: Bounds) -> float:
    """Bound what any field can be off by after so many rounds.

    What a field is off by after a round is a convex function of what they all were before: sums, maxima, and
    ``g * exp(-s * g)``. So if it grows by no more than so much in one of the first rounds, and in a round
    that begins with that growth times all rounds, it never does. Where it does, the rounds are gone through.

    Raises ``Inexact`` where that is not less than 1/4, so that a field could not be told by rounding.
    """
    if not 1.0 <= sharpness <= 2.0**20:
        raise Inexact(f"a sharpness of {sharpness:g} makes no sense; it must be 1 at least, and 2^20 at most")
    state = dict.fromkeys(processor.outputs, 0.0)
    shut_by = gates(processor, tuple(Place))
    for number in range(rounds):
        after = _after_a_round(processor, state, shut_by, sharpness, bounds)
        if number == _ROUNDS_BEFORE:
            grown = {name: max(0.0, 2 * (after[name] - error)) for name, error in state.items()}
            ends = {name: error + (rounds - number) * grown[name] for name, error in state.items()}
            last = _after_a_round(processor, ends, shut_by, sharpness, bounds)
            steady = all(last[name] <= error + grown[name] for name, error in ends.items())
            if steady and max(ends.values()) < _LIMIT:
                return max(ends.values())
        worst = max(after.values())
        if not worst < _LIMIT:
            raise Inexact(
                f"by a softmax of sharpness {sharpness:g}, a field may be off by 1/4 in round {number + 1:,} "
                f"of {rounds:,}: compile with a larger sharpness, or for smaller graphs and weights"
            )
        if all(error <= state[name] for name, error in after.items()):
            break
        state = {name: max(before, after[name]) for name, before in state.items()}
    return max(state.values())


def _after_a_round(
    circuit: Circuit,
    state: Mapping[str, float],
    shut_by: Mapping[int, Gate],
    sharpness: float,
    bounds: Bounds,
) -> dict[str, float]:
    errors: list[float] = []
    for number, part in enumerate(circuit.parts):
        match part.kind:
            case Kind.COLUMN:
                errors.append(state.get(part.name, 0.0))
            case Kind.SENDER | Kind.RECEIVER:
                errors.append(errors[part.operands[0]])
            case Kind.AGGREGATE | Kind.POOL:
                most = bounds.degree + 1 if part.kind is Kind.AGGREGATE else bounds.nodes
                errors.append(
                    _averaged(circuit, number, [errors[one] for one in part.operands], sharpness, most)
                )
            case _:
                errors.append(_summed(circuit, part, errors, shut_by, _size(circuit, number)))
    return {name: errors[number] for name, number in circuit.outputs.items()}


def _averaged(circuit: Circuit, number: int, errors: list[float], sharpness: float, most: int) -> float:
    error, part = max(errors), circuit.parts[number]
    if part.reduction is Reduction.SUM:
        return most * (error + _ROUNDING * _size(circuit, number)) if error else 0.0
    if not all(circuit.domains[one].whole for one in part.operands):
        raise Inexact("a softmax averages numbers here that need not be whole: compile for whole weights")
    gap = 1.0 - 2.0 * error
    if sharpness * gap < 1.0:
        return math.inf
    tail = most * gap * math.exp(-sharpness * gap)
    return error + tail + _ROUNDING * _size(circuit, number) * bool(error or tail)


def _summed(
    circuit: Circuit, part: Part, errors: list[float], shut_by: Mapping[int, Gate], size: float
) -> float:
    """Add up what the terms of a neuron are off by, of gates that exclude one another the larger."""
    plain = 0.0
    gated: dict[int, tuple[dict[_Sum, float], dict[_Sum, float]]] = {}
    for weight, operand in zip(part.weights, part.operands, strict=True):
        if not errors[operand]:
            continue
        error = abs(weight) * errors[operand]
        if operand in shut_by:
            flag, opens = _literal(circuit, shut_by[operand])
            open_then = gated.setdefault(flag, ({}, {}))[int(opens)]
            passed = _passed(circuit.parts[operand], shut_by[operand].flag)
            open_then[passed] = max(error, open_then.get(passed, 0.0))
        else:
            plain += error
    total = plain + sum(max(sum(one.values()) for one in pair) for pair in gated.values())
    if not total:
        return 0.0
    total += len(part.operands) * _ROUNDING * size
    if part.activation is Activation.STEP:
        return 0.0 if total < 0.5 else math.inf
    return total


def _passed(gate: Part, flag: int) -> _Sum:
    """Say which sum a gate passes, but for its sign: of the two gates for both signs, one is 0."""
    terms = [(operand, weight) for weight, operand in zip(gate.weights, gate.operands, strict=True)]
    terms = [(operand, weight) for operand, weight in terms if operand != flag]
    sign = math.copysign(1.0, terms[0][1])
    return tuple((operand, sign * weight) for operand, weight in terms)


def _literal(circuit: Circuit, gate: Gate) -> tuple[int, bool]:
    """Give the flag behind a gate, seen through ``1 - flag``, and the value that opens."""
    part = circuit.parts[gate.flag]
    if (part.weights, part.bias, part.activation) == ((-1.0,), 1.0, Activation.IDENTITY):
        return part.operands[0], not gate.opens
    return gate.flag, bool(gate.opens)


def _size(circuit: Circuit, number: int) -> float:
    return circuit.domains[number].size

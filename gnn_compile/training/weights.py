"""Weights that are set: networks of the architecture that is trained, which are the algorithm.

Of the hidden features four are used: whether a node has been reached (the source apart, which is known), its
distance, and by how much its parent's position exceeds its own, or falls short of it. In a step

- the attention selects a sender: one that has been reached before one that has not; then, for Bellman-Ford,
  the one with the least ``distance + weight``; then the one that comes first;
- the gate lets its offer in where it is better than what the node has;
- the pointers are decoded as the node at the parent's position.

Nothing is read from hints, so that the network is the same with and without them, but its hints are the
algorithm's.

``sharpness`` is the inverse temperature of the attention, which averages what it does not tell apart. Of k
offers, those that are worse by g weigh ``k * exp(-sharpness * g)`` at most. So parents are right, and
distances off by ``k / (e * sharpness)`` at most in a step, where no two offers to a node are closer than
about 20 / sharpness: in position for breadth-first search, where neighbours have 1 / nodes between them, in
distance for Bellman-Ford, which takes offers closer than 16 / sharpness to what a node has for no better.
Exact ties are settled by position as if a later sender were farther by ``_TIE`` at most; that tells nodes
apart up to sharpness * _TIE / 16 of them, and misorders offers closer than that. In float32 a sharpness
beyond 2^24 tells nothing more apart; in float64, at 2^40, offers closer
than 2^-30 alone count as ties.

Depth-first search is not among them. Its step colours the *smallest* unseen neighbour of the node on top of
the stack. In this architecture such a neighbour cannot know in the same step that no other is smaller: the
two need not be linked, and there is nothing that all nodes share. (``gnn_compile`` compiles it for networks
that pool over all nodes.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnn_compile.clrs import Algorithm
from gnn_compile.training.decoders import OfNodes, Pointers
from gnn_compile.training.model import EncodeProcessDecode, Settings, initialise
from gnn_compile.training.processors import Attention
from sandboxes.errors import AlgorithmError

COMPILED = (Algorithm.BFS, Algorithm.BELLMAN_FORD)
SHARPNESS = {Algorithm.BFS: 2.0**10, Algorithm.BELLMAN_FORD: 2.0**24}
"""What is enough for CLRS-30's test set in float32."""

LEAST_HIDDEN = 4
LARGEST_DISTANCE = 128.0
"""What a distance must stay below for all that is reached to be preferred to all that is not."""
_TIE = 2.0**-14
_TIE_SCORE = 2.0**10
"""What all nodes together may score for their position, which is enough for 64 of them."""
_MARGIN = 16.0
"""Times 1 / sharpness: by how much a distance must be less to be better."""
_SURE = 32.0
"""A logit whose sigmoid is 1 in float32, and almost 0 on the other side."""
_CLOSE = 4096.0
"""How fast the logits of pointers fall with the distance in position."""
_REACHED, _DISTANCE, _ABOVE, _BELOW = range(4)
"""The hidden features. Of the encoded ones two are used, of the messages three."""
_POSITION, _SOURCE = 0, 1


def compiled_model(
    algorithm: Algorithm, sharpness: float | None = None, *, hidden: int = 32, hints: bool = True
) -> EncodeProcessDecode:
    """Make a network that is the algorithm.

    Raises ``AlgorithmError`` for an algorithm that cannot be compiled into this architecture, a width that
    is too small, or a sharpness below 1.
    """
    if algorithm not in COMPILED:
        raise AlgorithmError(
            f"{algorithm} cannot be compiled into this architecture, only {' and '.join(COMPILED)} can; "
            "gnn_compile.compile_algorithm compiles it for another"
        )
    if hidden < LEAST_HIDDEN:
        raise AlgorithmError(f"a compiled network needs {LEAST_HIDDEN} hidden features, not {hidden}")
    sharp = SHARPNESS[algorithm] if sharpness is None else sharpness
    if not 1.0 <= sharp < float("inf"):
        raise AlgorithmError(f"the sharpness must be a number of 1 or more, not {sharp}")
    model = initialise(Settings(algorithm, hidden=hidden, hints=hints), seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _encode(model.encoder)
        assert isinstance(model.processor, Attention)  # noqa: S101 - the default
        _attend(model.processor, algorithm, sharp, hidden)
        _update(model, algorithm, sharp, hidden)
        for decoders in (model.hints, model.outputs):
            for name, read in decoders.items():
                _decode(name, read, hidden)
    return model


def _encode(encoder: nn.Linear) -> None:
    """Features of nodes begin with ``pos`` and ``s``."""
    encoder.weight[_POSITION, 0] = 1.0
    encoder.weight[_SOURCE, 1] = 1.0


def _attend(attention: Attention, algorithm: Algorithm, sharpness: float, hidden: int) -> None:
    """Score whom to listen to, and carry what they have: features of edges begin with ``A``."""
    missing, distance, position = range(3)
    one = attention.sender.weight
    attention.receiver.bias[missing] = 1.0
    one[missing, hidden + _REACHED] = -1.0
    one[missing, _SOURCE] = -1.0
    attention.score[0, missing] = -sharpness * LARGEST_DISTANCE
    one[position, _POSITION] = 1.0
    attention.score[0, position] = -sharpness
    attention.value.weight[missing, hidden + _REACHED] = 1.0
    attention.value.weight[missing, _SOURCE] = 1.0
    attention.value.weight[position, _POSITION] = 1.0
    if algorithm is Algorithm.BELLMAN_FORD:
        one[distance, hidden + _DISTANCE] = 1.0
        attention.edge.weight[distance, 0] = 1.0
        attention.score[0, distance] = -sharpness
        attention.score[0, position] = -min(_TIE * sharpness, _TIE_SCORE)
        attention.value.weight[distance, hidden + _DISTANCE] = 1.0
        attention.edge_value.weight[distance, 0] = 1.0


def _update(model: EncodeProcessDecode, algorithm: Algorithm, sharpness: float, hidden: int) -> None:
    """Take the offer in where it is the first, or better."""
    update = model.update
    reached, distance, position = range(3)
    update.node.bias[_REACHED] = 1.0
    update.aggregate.weight[_DISTANCE, distance] = 1.0
    for feature, sign in ((_ABOVE, 1.0), (_BELOW, -1.0)):
        update.aggregate.weight[feature, position] = sign
        update.node.weight[feature, _POSITION] = -sign
    first, better = range(2)
    update.gate_aggregate.weight[first, reached] = 1.0
    update.gate_node.weight[first, hidden + _REACHED] = -1.0
    update.gate_node.weight[first, _SOURCE] = -1.0
    update.gate_node.bias[first] = -0.5
    update.gate.weight[:LEAST_HIDDEN, first] = 4 * _SURE
    update.gate.bias[:LEAST_HIDDEN] = -_SURE
    if algorithm is Algorithm.BELLMAN_FORD:
        update.gate_node.weight[better, hidden + _DISTANCE] = 1.0
        update.gate_aggregate.weight[better, distance] = -1.0
        update.gate_node.bias[better] = -_MARGIN / sharpness
        update.gate.weight[:LEAST_HIDDEN, better] = 2 * _SURE * sharpness / _MARGIN


def _decode(name: str, read: nn.Module, hidden: int) -> None:
    after = 2 * hidden
    match name, read:
        case (("reach_h" | "msk"), OfNodes(read=linear)):
            linear.weight[0, after + _REACHED] = 2 * _SURE
            linear.weight[0, _SOURCE] = 2 * _SURE
            linear.bias[0] = -_SURE
        case "d", OfNodes(read=linear):
            linear.weight[0, after + _DISTANCE] = 1.0
        case (("pi" | "pi_h"), Pointers()):
            _point(read, after)
        case _:
            raise AlgorithmError(f"a compiled network has nothing to decode {name} from")


def _point(pointers: Pointers, after: int) -> None:
    """Score ``other - 2 max(own, other)``, which is largest where the two positions are the same."""
    other, larger = range(2)
    pointers.own.bias[other] = -1.0  # below all positions
    pointers.other.weight[other, _POSITION] = 1.0
    pointers.read.weight[0, other] = _CLOSE
    pointers.own.weight[larger, _POSITION] = 1.0
    pointers.own.weight[larger, after + _ABOVE] = 1.0
    pointers.own.weight[larger, after + _BELOW] = -1.0
    pointers.other.weight[larger, _POSITION] = 1.0
    pointers.read.weight[0, larger] = -2 * _CLOSE


def perturbed(model: EncodeProcessDecode, sigma: float, seed: int) -> EncodeProcessDecode:
    """Give a copy with noise on every weight, whose deviation is ``sigma`` times that of random weights.

    So noise of 1 puts on top of a network what a network of random weights begins with.
    """
    random = initialise(model.settings, seed)
    made = initialise(model.settings, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one, set_, drawn in zip(made.parameters(), model.parameters(), random.parameters(), strict=True):
            scale = sigma * _deviation(drawn)
            one.copy_(set_ + scale * torch.randn(set_.shape, generator=generator))
    return made


def _deviation(drawn: Tensor) -> float:
    spread = float(drawn.std()) if drawn.numel() > 1 else 0.0
    return spread or drawn.numel() ** -0.5  # of biases that all begin alike

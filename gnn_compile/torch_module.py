"""Networks as PyTorch modules: the same weights as parameters, which can be trained, and the same outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gnn_compile.dense import Channel, DenseCircuit, Layer, Stage
from gnn_compile.dense_network import WHOLE_OF_FLOAT32, DenseNetwork, check_outputs, refuse
from gnn_compile.domains import INFINITY, WHOLE
from gnn_compile.graphs import Graph
from gnn_compile.network import Network
from gnn_compile.runtime import checked_inputs
from gnn_compile.units import Activation, Place, Reduction
from sandboxes.errors import AlgorithmError

_WHOLE = {torch.float64: WHOLE, torch.float32: WHOLE_OF_FLOAT32}
_PAIR: Mapping[Reduction, Callable[[Tensor, Tensor], Tensor]] = {
    Reduction.MIN: torch.minimum,
    Reduction.MAX: torch.maximum,
    Reduction.SUM: torch.add,
}
_SCATTER = {Reduction.MIN: "amin", Reduction.MAX: "amax", Reduction.SUM: "sum"}


def to_torch(network: Network, dtype: torch.dtype = torch.float64) -> TorchNetwork:
    """Make a PyTorch module of a network.

    In float64 its outputs are ``run_network``'s, to the last bit. In float32 they are what the algorithm
    gives that reckons in float32: the same where all numbers are whole, which must be 2^24 at most. Raises
    ``AlgorithmError`` where the network's may be larger.
    """
    return TorchNetwork(network, dtype)


class TorchNetwork(nn.Module):
    """A compiled network. Its ``encoder``, ``processor`` and ``refusals`` can be called for a round each."""

    def __init__(
        self,
        network: Network,
        dtype: torch.dtype = torch.float64,
        messages: Callable[[Stage, torch.dtype], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if dtype not in _WHOLE:
            raise AlgorithmError(f"a network can be of torch.float64 or torch.float32, not of {dtype}")
        self._dense = DenseNetwork.of(network, _WHOLE[dtype])
        self._dtype = dtype
        made = messages or Messages
        self.encoder = TorchCircuit(self._dense.encoder, dtype, made)
        self.processor = TorchCircuit(self._dense.processor, dtype, made)
        self.refusals = TorchCircuit(self._dense.refusals, dtype, made)

    def forward(
        self,
        edge_index: Tensor,
        edge_weight: Tensor | None,
        size: int,
        *,
        outputs: Iterable[str] | None = None,
        rounds: int | None = None,
        **inputs: int | Tensor,
    ) -> dict[str, Tensor]:
        """Run it on a graph of ``size`` nodes until a round changes nothing; give the outputs, each [nodes].

        ``edge_index`` [2, edges] has senders and receivers, in any order; ``edge_weight`` is [edges]. The
        rest is as with ``run_network``, errors included. With ``rounds`` it runs for so many, whatever
        happens, and refuses nothing, as one trains it.
        """
        network, algorithm = self._dense.network, self._dense.network.algorithm
        wanted = tuple(algorithm.outputs if outputs is None else outputs)
        check_outputs(network, wanted)
        if edge_weight is None:
            edge_weight = torch.ones(edge_index.shape[1])
        given, edge_index = self._given(edge_index, edge_weight, size, inputs)
        state = {
            name: value.expand(1 if name in algorithm.state_of_graph else size)
            for name, value in self.encoder(edge_index, size, given).items()
        }
        needed = network.only(wanted).state
        most = algorithm.most_rounds(size) if rounds is None else rounds
        for number in range(most):
            known = {**given, **state, "round": torch.full_like(given["N"], number + 1.0)}
            before, state = state, self.processor(edge_index, size, known)
            state = {name: value.expand(before[name].shape) for name, value in state.items()}
            if rounds is None and all(torch.equal(before[name], state[name]) for name in needed):
                break
        else:
            if rounds is None:
                raise AlgorithmError(f"{algorithm.name} refuses this graph: {algorithm.unfinished}")
        if rounds is None:
            met = self.refusals(edge_index, size, {**given, **state})
            refuse(network, {name: flags.detach().cpu().numpy() for name, flags in met.items()})
        return {name: _told(state[name]) for name in wanted}

    def dense(self) -> DenseNetwork:
        """Give its matrices as they are now."""
        matrices = {
            name.replace(".stages.", ".").replace(".layers.", "."): np.array(
                parameter.detach().cpu().numpy(), dtype=np.float64
            )
            for name, parameter in self.named_parameters()
        }
        return self._dense.with_matrices(matrices)

    def network(self) -> Network:
        """Give the network of its weights as they are now."""
        return self.dense().sparse()

    def _given(
        self, edge_index: Tensor, edge_weight: Tensor, size: int, inputs: Mapping[str, int | Tensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See that a graph and its inputs are within bounds; give them as columns."""
        network = self._dense.network
        if edge_index.ndim != 2 or len(edge_index) != 2:
            raise AlgorithmError(
                f"edge_index must have senders and receivers, [2, edges], not {list(edge_index.shape)}"
            )
        ends = edge_index.detach().cpu().numpy()
        graph = Graph.of_arrays(size, ends[0], ends[1], edge_weight.detach().cpu().numpy())
        if network.algorithm.both_ways:
            graph = graph.both_ways()
            loops = edge_index[0] == edge_index[1]
            edge_index = torch.cat([edge_index, edge_index.flip(0)[:, ~loops]], dim=1)
            edge_weight = torch.cat([edge_weight, edge_weight[~loops]])
        columns = {
            name: value.detach().cpu().numpy() if isinstance(value, Tensor) else value
            for name, value in inputs.items()
        }
        device = edge_index.device
        given = {
            name: torch.as_tensor(np.array(column), dtype=self._dtype, device=device)
            for name, column in checked_inputs(network, graph, columns).items()
        }
        for name, value in inputs.items():
            if isinstance(value, Tensor) and value.ndim == 1:
                given[name] = value.to(device, self._dtype)  # with its gradient
        if "weight" in given:
            given["weight"] = edge_weight.to(device, self._dtype)
        return given, edge_index


class TorchCircuit(nn.Module):
    """One of a network's circuits."""

    def __init__(
        self, dense: DenseCircuit, dtype: torch.dtype, messages: Callable[[Stage, torch.dtype], nn.Module]
    ) -> None:
        super().__init__()
        self._columns, self._outputs, self._dtype = dense.columns, dense.outputs, dtype
        self.stages = nn.ModuleList(TorchStage(stage, dtype, messages) for stage in dense.stages)

    def forward(self, edge_index: Tensor, size: int, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the outputs, each [nodes] or, of the graph, [1]."""
        rows = {Place.GRAPH: 1, Place.NODE: size, Place.EDGE: edge_index.shape[1]}
        nodes, edges, ours = (
            torch.stack([columns[name] for name in self._columns[place]], dim=1)
            if self._columns[place]
            else torch.empty((rows[place], 0), dtype=self._dtype, device=edge_index.device)
            for place in (Place.NODE, Place.EDGE, Place.GRAPH)
        )
        for stage in self.stages:
            nodes, edges, ours = stage(edge_index, nodes, edges, ours)
        at = {Place.NODE: nodes, Place.EDGE: edges, Place.GRAPH: ours}
        return {name: at[place][:, column] for name, (place, column) in self._outputs.items()}


class TorchStage(nn.Module):
    """A message passing layer."""

    def __init__(
        self, stage: Stage, dtype: torch.dtype, messages: Callable[[Stage, torch.dtype], nn.Module]
    ) -> None:
        super().__init__()
        self._stage = stage
        self.graph = Layers(stage.graph, dtype)
        self.message = messages(stage, dtype)
        self.update = Layers(stage.update, dtype)

    def forward(
        self, edge_index: Tensor, nodes: Tensor, edges: Tensor, ours: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give the columns of nodes, edges and graph after it."""
        stage, size = self._stage, len(nodes)
        everywhere = torch.cat([nodes, ours.expand(size, -1)], dim=1)
        first = torch.zeros(size, dtype=torch.int64, device=nodes.device)
        pools = [reduced(one, everywhere[:, one.value], first, 1)[:, None] for one in stage.pools]
        ours = self.graph(torch.cat([ours, *pools], dim=1))
        everywhere = torch.cat([nodes, ours.expand(size, -1)], dim=1)
        messages, found = self.message(edge_index, nodes, edges, ours)
        found = with_own(stage.aggregations, found, everywhere)
        nodes = self.update(torch.cat([nodes, *found, ours.expand(size, -1)], dim=1))
        return nodes, messages[:, : stage.kept], ours


class Messages(nn.Module):
    """Computes messages and reduces them."""

    def __init__(self, stage: Stage, dtype: torch.dtype) -> None:
        super().__init__()
        self._channels = stage.aggregations
        self.layers = layers(stage.message, dtype)

    def forward(
        self, edge_index: Tensor, nodes: Tensor, edges: Tensor, ours: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the messages, [edges, …], and what is made of those into each node, [nodes, channels]."""
        senders, receivers = edge_index
        columns = [nodes[senders], nodes[receivers], edges, ours.expand(len(senders), -1)]
        messages = torch.cat(columns, dim=1)
        for layer in self.layers:
            messages = layer(messages)
        return messages, aggregated(self._channels, messages, receivers, len(nodes))


class Layers(nn.Module):
    """A stack of layers."""

    def __init__(self, given: Sequence[Layer], dtype: torch.dtype) -> None:
        super().__init__()
        self.layers = layers(given, dtype)

    def forward(self, values: Tensor) -> Tensor:
        """Apply them one after the other."""
        for layer in self.layers:
            values = layer(values)
        return values


class TorchLayer(nn.Module):
    """``activation(x @ weights.T + bias)``, each neuron with an activation of its own."""

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(layer.weights, dtype=dtype))
        self.bias = nn.Parameter(torch.tensor(layer.bias, dtype=dtype))
        for name, activation in (("rectified", Activation.RELU), ("stepped", Activation.STEP)):
            which = torch.tensor([one is activation for one in layer.activations], dtype=torch.bool)
            self.register_buffer(name, which, persistent=False)
        self._activations = frozenset(layer.activations)

    def forward(self, values: Tensor) -> Tensor:
        """Give the neurons' values, [rows, neurons]."""
        sums = nn.functional.linear(values, self.weights, self.bias)
        values = sums
        if Activation.RELU in self._activations:
            values = torch.where(self.rectified, torch.relu(sums), values)
        if Activation.STEP in self._activations:
            values = torch.where(self.stepped, (sums > 0).to(sums.dtype), values)
        return values

    rectified: Tensor
    stepped: Tensor


def layers(given: Sequence[Layer], dtype: torch.dtype) -> nn.ModuleList:
    return nn.ModuleList(TorchLayer(one, dtype) for one in given)


def aggregated(channels: Sequence[Channel], messages: Tensor, receivers: Tensor, size: int) -> Tensor:
    """Reduce messages to the nodes that receive them, [nodes, channels]."""
    found = [reduced(one, messages[:, one.value], receivers, size) for one in channels]
    return torch.stack(found, dim=1) if found else messages.new_empty((size, 0))


def reduced(channel: Channel, column: Tensor, index: Tensor, size: int) -> Tensor:
    """Reduce the values that have the same index."""
    out = column.new_full((size,), channel.default)
    return out.scatter_reduce(0, index, column, _SCATTER[channel.reduction], include_self=False)


def with_own(channels: Sequence[Channel], found: Tensor, everywhere: Tensor) -> list[Tensor]:
    """Reduce what came along the edges with a node's own value, where a channel has one."""
    columns = []
    for number, channel in enumerate(channels):
        column = found[:, number]
        if channel.own is not None:
            own = everywhere[:, channel.own]
            column = _PAIR[channel.reduction](column, own)
        columns.append(column[:, None])
    return columns


def _told(column: Tensor) -> Tensor:
    """Give real infinities."""
    column = torch.where(column >= INFINITY, torch.inf, column)
    return torch.where(column <= -INFINITY, -torch.inf, column)

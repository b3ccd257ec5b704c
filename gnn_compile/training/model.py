"""Encode, process, decode: a network of the architecture of CLRS-30 (Veličković et al. 2022), dense.

It is theirs with these differences, all of which make it smaller: two linear maps in a row are one, so that
processor and decoders read the few features of an edge themselves; features of the graph are features of all
its nodes; a gate stands in the place of normalising layers. Messages go from sender to receiver along edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnn_compile.clrs import SPECS, Algorithm, Stage, names
from gnn_compile.training.decoders import decoder
from gnn_compile.training.processors import Attention, Maximum, Processor, Received, Update
from gnn_compile.training.tensors import (
    Tensors,
    Values,
    as_read,
    edge_features,
    edge_width,
    node_features,
    node_width,
    softened,
)
from sandboxes.errors import AlgorithmError


@dataclass(frozen=True, slots=True)
class Settings:
    """What a network looks like. Raises ``AlgorithmError`` for widths that make no sense."""

    algorithm: Algorithm
    processor: Processor = Processor.GATV2
    hidden: int = 32
    heads: int = 1
    """Of attention; the maximum has none."""
    hints: bool = True
    """Whether it reads and predicts the algorithm's hints."""

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.heads < 1 or self.hidden % self.heads:
            raise AlgorithmError(
                f"{self.hidden} hidden features do not make {self.heads} heads; give a width of 1 or more "
                "that the number of heads divides"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a network did, step by step."""

    attention: Tensor
    """[steps, runs, receivers, senders]"""
    hidden: Tensor
    """[steps, runs, nodes, hidden]"""
    outputs: Values
    """[steps, runs, …], what the outputs would be, were this the last step"""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a network gives: scalars, and for all else logits."""

    outputs: Values
    """[runs, …]; for pointers [runs, nodes, nodes]"""
    hints: Values
    """[steps, runs, …], after each step; none without hints"""
    trace: Trace | None = None


class EncodeProcessDecode(nn.Module):
    """A network for one algorithm."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self._spec = SPECS[settings.algorithm]
        self._inputs = names(settings.algorithm, Stage.INPUT)
        self._hints = names(settings.algorithm, Stage.HINT) if settings.hints else ()
        read = (*self._inputs, *self._hints)
        hidden, edge = settings.hidden, edge_width(self._spec, read)
        self.encoder = nn.Linear(node_width(self._spec, read), hidden)
        self.processor: Attention | Maximum
        if settings.processor is Processor.GATV2:
            self.processor = Attention(hidden, edge, settings.heads)
        else:
            self.processor = Maximum(hidden, edge)
        self.update = Update(hidden)
        self.hints = nn.ModuleDict({name: decoder(self._spec[name], hidden, edge) for name in self._hints})
        self.outputs = nn.ModuleDict(
            {
                name: decoder(self._spec[name], hidden, edge)
                for name in names(settings.algorithm, Stage.OUTPUT)
            }
        )

    def forward(
        self,
        batch: Tensors,
        *,
        forcing: float = 0.0,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Prediction:
        """Run it for as many steps as the algorithm takes.

        Each step reads what the one before has predicted of the hints; with ``forcing``, that share of runs
        reads what is true. Raises ``AlgorithmError`` for runs of another algorithm.
        """
        if batch.algorithm is not self.settings.algorithm:
            raise AlgorithmError(
                f"a network for {self.settings.algorithm} was given runs of {batch.algorithm}"
            )
        size = batch.size
        fixed_nodes = node_features(self._spec, self._inputs, batch.inputs, size)
        fixed_edges = edge_features(self._spec, self._inputs, batch.inputs)
        linked = batch.linked
        if self.settings.processor is Processor.MPNN:
            linked = linked | (batch.nodes[:, :, None] & batch.nodes[:, None])
        known = self._true_hints(batch, 0)
        hidden = self.encoder.weight.new_zeros(len(batch), size, self.settings.hidden)
        nodes_then = edges_then = None
        predicted, traced, imagined = (_Series(batch.steps) for _ in range(3))
        for step in range(batch.steps):
            if step and forcing and self._hints:
                chance = torch.rand(len(batch), generator=generator)
                known = _mixed(chance < forcing, self._true_hints(batch, step), known)
            of_nodes = node_features(self._spec, self._hints, known, size)
            of_edges = edge_features(self._spec, self._hints, known)
            encoded = self.encoder(torch.cat(fixed_nodes + of_nodes, dim=-1))
            edges = torch.stack(fixed_edges + of_edges, dim=-1)
            nodes = torch.cat([encoded, hidden], dim=-1)
            received: Received = self.processor(nodes, edges, linked)
            after = self.update(nodes, hidden, received.aggregate)
            nodes = torch.cat([encoded, hidden, after], dim=-1)
            hidden = after
            found = {name: read(nodes, edges, batch.nodes) for name, read in self.hints.items()}
            predicted.add(found)
            known = {name: softened(self._spec[name], value) for name, value in found.items()}
            ends = (batch.last == step)[:, None, None]
            nodes_then = nodes if nodes_then is None else torch.where(ends, nodes, nodes_then)
            edges_then = edges if edges_then is None else torch.where(ends[..., None], edges, edges_then)
            if trace:
                traced.add({"attention": received.attention, "hidden": hidden})
                imagined.add(self._read_outputs(nodes, edges, batch.nodes))
        assert nodes_then is not None and edges_then is not None  # noqa: S101, PT018 - a step at least
        return Prediction(
            self._read_outputs(nodes_then, edges_then, batch.nodes),
            predicted.stacked(),
            Trace(**traced.stacked(), outputs=imagined.stacked()) if trace else None,
        )

    def _true_hints(self, batch: Tensors, step: int) -> dict[str, Tensor]:
        now = {name: batch.hints[name][step] for name in self._hints}
        return as_read(self._spec, now, self._hints, batch.dtype)

    def _read_outputs(self, nodes: Tensor, edges: Tensor, exists: Tensor) -> dict[str, Tensor]:
        return {name: read(nodes, edges, exists) for name, read in self.outputs.items()}


def initialise(settings: Settings, seed: int) -> EncodeProcessDecode:
    """Make a network of random weights, the same for a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EncodeProcessDecode(settings)


def _mixed(which: Tensor, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take some runs' values from ours, the other runs' from theirs."""
    return {
        name: torch.where(which.view(-1, *(1,) * (value.ndim - 1)), value, theirs[name])
        for name, value in ours.items()
    }


class _Series:
    """Values of each step.

    Where no gradient is wanted, they are copied into one place that is taken at once: long runs would else
    keep small blocks between large ones that are free, and memory would grow tenfold.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._kept: dict[str, list[Tensor]] = {}
        self._places: dict[str, Tensor] = {}
        self._step = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            if torch.is_grad_enabled():
                self._kept.setdefault(name, []).append(value)
                continue
            if name not in self._places:
                self._places[name] = value.new_empty((self._steps, *value.shape))
            self._places[name][self._step] = value
        self._step += 1

    def stacked(self) -> dict[str, Tensor]:
        return self._places or {name: torch.stack(values) for name, values in self._kept.items()}

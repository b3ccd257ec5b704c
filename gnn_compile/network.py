"""A compiled network: an encoder, a processor that is run round after round, and what it is exact for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gnn_compile.algorithm import Algorithm, Bounds
from gnn_compile.domains import Domain
from gnn_compile.targets import Target
from gnn_compile.units import Circuit


@dataclass(frozen=True, eq=False)
class Network:
    """The weights of a message-passing network that is an algorithm."""

    algorithm: Algorithm
    bounds: Bounds
    """For graphs within these it is exact."""
    target: Target
    encoder: Circuit
    """Inputs to the state before the first round."""
    processor: Circuit
    """Inputs and state to the state after a round; the same in every round."""
    refusals: Circuit
    """Inputs and the last state to a flag for each of the algorithm's ``refused``."""
    domains: Mapping[str, Domain]
    """What each input and each field of the state can be, in any round."""
    error: float = 0.0
    """By how much a field can be off, where messages are averaged by a softmax; rounded, it is exact."""

    @property
    def state(self) -> tuple[str, ...]:
        return tuple(self.processor.outputs)

    def only(self, outputs: Iterable[str]) -> Network:
        """Give the network without what these outputs do not need."""
        needed = set(outputs) | self.refusals.columns()
        while not (found := self.processor.columns(name for name in self.state if name in needed)) <= needed:
            needed |= found
        if "round" in self.processor.columns(name for name in self.state if name in needed):
            needed |= set(self.state)  # for the number of rounds depends on all fields
        kept = [name for name in self.state if name in needed]
        return replace(self, encoder=self.encoder.only(kept), processor=self.processor.only(kept))

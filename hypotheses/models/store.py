"""Where completions are kept, so that none is paid for twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hypotheses.hypothesis import Completion
from hypotheses.models.chat import ChatRequest


class CompletionStore(Protocol):
    """Keeps completions by the content key of their request and their sample index."""

    def recall(self, key: str, first: int, n: int) -> Sequence[Completion]:
        """Give those of the samples ``first`` … ``first + n - 1`` that are kept, by sample."""
        ...

    def keep(self, request: ChatRequest, completions: Sequence[Completion]) -> None:
        """Keep completions of one request: when this returns they survive the death of the process."""
        ...

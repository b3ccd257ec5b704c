"""What is said to a run from outside, through its log."""

from __future__ import annotations

from collections.abc import Sequence

from sandboxes import ClusterError

CANCEL = "cancel"
"""The word for a run that is to stop."""


class BatchCancelledError(ClusterError):
    """Somebody asked for the run to stop."""

    def __init__(self, text: str = "the run was cancelled; what is finished is in its log") -> None:
        super().__init__(text)


def cancelled(signals: Sequence[tuple[int, str]]) -> bool:
    """Whether these signals, with their numbers, ask for the run to stop."""
    return any(what == CANCEL for _, what in signals)

"""What networks are made of: which activations there are, and how several messages become one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of network.

    By default a message-passing network whose messages are reduced by their minimum, maximum or sum, as the
    MPNN and PGN of CLRS-30 reduce them by their maximum, and whose neurons may be steps: exact for any
    weights.
    """

    steps: bool = True
    """Whether neurons may be steps; without, all are linear or rectified, and weights must be whole."""
    sharpness: float | None = None
    """The inverse temperature of a softmax in the place of minimum and maximum; weights must be whole.

    ``None`` is the limit, in which attention selects exactly, and of equals the first.
    """

    @property
    def soft(self) -> bool:
        """Whether messages are averaged, and not selected."""
        return self.sharpness is not None

    def __str__(self) -> str:
        units = "linear, rectified and step neurons" if self.steps else "linear and rectified neurons"
        reduction = (
            "minimum and maximum" if self.sharpness is None else f"softmax, sharpness {self.sharpness:g}"
        )
        return f"{units}; {reduction}"

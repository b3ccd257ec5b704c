"""How much an endpoint is asked for at a time, found out from when it is too much.

Additive increase and multiplicative decrease, by which clients that know nothing of each other come to fair
shares of what a server can do (Chiu and Jain 1989, "Analysis of the Increase and Decrease Algorithms for
Congestion Avoidance in Computer Networks").
"""

from __future__ import annotations

CUT = 0.7
"""What is left of the limit after an overload."""
_ROUNDS = 16
"""How many rounds it takes from nothing back to the most."""


class AdaptiveLimit:
    """How many samples may be under way: between 1 and ``most``, where it starts.

    An overload cuts it, but what was under way when it was last cut tells of the time before and does not
    cut it again. Answers to what was begun since raise it, a whole round of them by a sixteenth of ``most``.
    """

    def __init__(self, most: int) -> None:
        self.cuts = 0
        """How often it was cut so far; a request keeps the number from when it begins."""
        self._share = 1.0  # of the most, so that it stays when the most changes
        self._tested = True  # something that was begun after the last cut has ended
        self.set_most(most)

    @property
    def value(self) -> float:
        """The limit; what is asked for is a whole number, ``room``."""
        return max(1.0, self.most * self._share)

    def set_most(self, most: int) -> None:
        """Change the most it can be; the limit stays the same share of it. Raises ``ValueError`` below 1."""
        if most < 1:
            raise ValueError(f"at least one sample must be allowed at an endpoint, not {most}")
        self.most = most
        self._set(self._share)

    def answered(self, begun: int, samples: int, under_way: int) -> None:
        """Take note of an answer with ``samples``, begun after ``begun`` cuts.

        ``under_way`` are the samples that were, with these. Where that is less than half the limit, it is not
        the limit that holds them back, and an answer tells nothing of it. (It is half, not all, for a request
        of several samples goes out whole and waits for room.)
        """
        if begun != self.cuts:
            return
        self._tested = True
        if self._share < 1 and 2 * under_way >= self.room:
            step = max(1.0, self.most / _ROUNDS)
            self._set(min(1.0, (self.value + step * samples / self.room) / self.most))

    def overloaded(self, begun: int | None = None) -> bool:
        """Cut it, if that was not just done, and say whether it was.

        ``begun`` is for a request that was refused, the number of cuts when it began; without it the overload
        was seen otherwise, and counts once something has come back that was begun after the last cut.
        """
        if not self._tested if begun is None else begun != self.cuts:
            return False
        self.cuts += 1
        self._tested = False
        self._set(min(self._share, max(1.0, CUT * self.value) / self.most))
        return True

    def _set(self, share: float) -> None:
        self._share = share
        self.room = int(self.value + 1e-9)  # sums of parts are a little off

"""Leaves an endpoint alone for a while once it has failed several times in a row."""

from __future__ import annotations

import math


class CircuitBreaker:
    """Closed as long as the endpoint answers; after ``failures`` in a row open for ``cool_down`` seconds.

    Then a single request may probe: if it is answered the breaker closes, if it fails it stays open for
    another ``cool_down``. Times are those of the event loop.
    """

    def __init__(self, failures: int, cool_down: float) -> None:
        self.down_since: float | None = None
        """When it opened; ``None`` while it is closed."""
        self._failures = failures
        self._cool_down = cool_down
        self._in_a_row = 0
        self._open_until = -math.inf
        self._probed = False

    @property
    def ready_at(self) -> float:
        """From when on the endpoint may be asked: infinity while its fate hangs on a probe."""
        return math.inf if self._probed else self._open_until

    def begin(self) -> bool:
        """Begin a request, which must be allowed; say whether it is a probe."""
        self._probed = self.down_since is not None
        return self._probed

    def succeed(self) -> None:
        """Take note of an answer, to whichever request."""
        self.down_since = None
        self._in_a_row = 0
        self._open_until = -math.inf
        self._probed = False

    def fail(self, now: float, *, probe: bool) -> None:
        """Take note of a failure. Requests from before it opened tell nothing new."""
        self._in_a_row += 1
        if probe and self._probed:
            self._probed = False
        elif self.down_since is not None or self._in_a_row < self._failures:
            return
        if self.down_since is None:
            self.down_since = now
        self._open_until = now + self._cool_down

    def abandon(self) -> None:
        """Take note that a probe was cancelled: the next request may probe instead."""
        self._probed = False

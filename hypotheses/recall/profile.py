"""What a program does, found out by running it on inputs that belong to no task."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypotheses.recall.probes import probes_for
from hypotheses.recall.relations import relations
from sandboxes import CallStyle, Cancellation, Execution, Limits, Program, Sandbox

LIMITS = Limits(seconds=0.5, output_bytes=20_000)
_MOST_SECONDS = 20.0
_MOST_DEAD = 3
"""A program is given up after so many CPU seconds, or probes that it did not survive."""

_MOST_WAITED = 40.0
"""So many seconds pass at most before the last part is begun."""

_PARTS = (2, 6, 20, 40)
"""The first probes are run in small parts, so that a program that hangs is given up soon."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How a program's outputs relate to its inputs, for each probe; ``None`` where it did nothing.

    To fail and to return the input unchanged are to do nothing: most programs do so on inputs that are not
    what they were written for, and it says little about what they do on others.
    """

    program: Program
    outcomes: tuple[frozenset[str] | None, ...]

    @property
    def acts(self) -> int:
        """On how many probes it does anything."""
        return sum(outcome is not None for outcome in self.outcomes)

    @property
    def features(self) -> tuple[str, ...]:
        """The relations that hold on most of the probes where it does anything, sorted."""
        counts = Counter(token for outcome in self.outcomes for token in outcome or ())
        for looks, outcome in zip(probes_for(self.program).looks, self.outcomes, strict=True):
            if outcome is not None:
                counts.update(token for token in looks if token.startswith("in:"))
        return tuple(sorted(token for token, count in counts.items() if 2 * count > self.acts))


def profile_of(program: Program, sandbox: Sandbox, cancellation: Cancellation | None = None) -> Profile:
    """Run ``program`` on the probes for it, in ``sandbox``.

    What the program does wrong, be it to hang or to return too much, is that it does nothing there. Raises
    ``SandboxError`` where the sandbox, not the program, failed.
    """
    probes = probes_for(program).inputs
    runs = _run(program, probes, sandbox, cancellation)
    outcomes = [_outcome(probe, run, program.call) for probe, run in zip(probes, runs, strict=False)]
    return Profile(program, tuple(outcomes) + (None,) * (len(probes) - len(outcomes)))


def _run(
    program: Program, probes: Sequence[Any], sandbox: Sandbox, cancellation: Cancellation | None
) -> list[Execution]:
    runs: list[Execution] = []
    until = time.monotonic() + _MOST_WAITED
    while len(runs) < len(probes):
        size = next((size for size in _PARTS if len(runs) < size), _PARTS[-1])
        runs += sandbox.run(program, probes[len(runs) : len(runs) + size], LIMITS, cancellation)
        dead = sum(run.status in ("timed_out", "out_of_memory", "killed") for run in runs)
        if dead >= _MOST_DEAD or sum(run.seconds for run in runs) > _MOST_SECONDS:
            break
        if time.monotonic() > until:  # it sleeps, which costs no CPU
            break
    return runs


def _outcome(probe: Any, run: Execution, call: CallStyle) -> frozenset[str] | None:
    if not run.ok:
        return None
    found = relations(probe, run.value, call)
    return None if "same" in found else found

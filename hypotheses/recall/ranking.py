"""Which of many programs to try on a task: those whose ways, on inputs like the task's, are the task's.

A task's examples show how outputs relate to inputs; a profile shows the same of a program. The score of a
program is the likelihood of the former under the latter, each probe counting by how much it looks like the
task's inputs (naive Bayes, smoothed by how all programs behave), and of the colours that the program names.
Nothing is run to rank.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hypotheses.recall.grids import COLOURS
from hypotheses.recall.literals import colour_scores, colours_named
from hypotheses.recall.probes import Probes, probes_for
from hypotheses.recall.profile import Profile
from hypotheses.recall.relations import looks, relations
from hypotheses.task import Task

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """How the parts of a score count; chosen by hand, and anywhere near does as well.

    ``likeness``   how sharply probes that look like the task's inputs are preferred to others
    ``prior``      how much of all probes' weight the behaviour of all programs counts
    ``floor``      the least probability of anything
    ``colours``    what the colours that a program names count; more than 1, for the relations say what they
                   say many at a time
    ``idleness``   the share of probes that a program which acts on none of them is taken to act on
    """

    likeness: float = 6.0
    prior: float = 0.01
    floor: float = 0.001
    colours: float = 4.0
    idleness: float = 0.02


@dataclass(frozen=True, slots=True)
class _Shown:
    """A profile as numbers: each token with its probe, and the probes on which anything is done."""

    tokens: npt.NDArray[np.int32]
    probes: npt.NDArray[np.int32]
    acting: npt.NDArray[np.int32]


class Ranking:
    """Ranks programs, which are known by their profiles."""

    def __init__(self, profiles: Sequence[Profile], weights: Weights | None = None) -> None:
        self.profiles = tuple(profiles)
        self.weights = weights or Weights()
        self._tokens: dict[str, int] = {}
        self._shown = [self._shows(profile) for profile in self.profiles]
        self._named = np.array(
            [[c in colours_named(one.program.source) for c in range(COLOURS)] for one in self.profiles], float
        ).reshape(-1, COLOURS)

    def rank(self, task: Task) -> list[int]:
        """Give the positions of all profiles, the one most worth trying first."""
        scores = self.behaviour(task) + self.weights.colours * self.colours(task)
        return [int(position) for position in np.argsort(-scores, kind="stable")]

    def colours(self, task: Task) -> Vector:
        """Score the programs by the colours they name."""
        return colour_scores(task, self._named)

    def behaviour(self, task: Task) -> Vector:
        """Score the programs by what they do on the probes."""
        wanted = self._wanted(task)
        likeness: dict[Probes, Vector] = {}
        scores = np.empty(len(self.profiles))
        for position, profile in enumerate(self.profiles):
            probes = probes_for(profile.program)
            if probes not in likeness:
                likeness[probes] = self._likeness(task, probes)
            scores[position] = self._fit(self._shown[position], likeness[probes], wanted)
        return scores

    def _fit(self, shown: _Shown, probes: Vector, wanted: Vector) -> float:
        weights = self.weights
        acting = float(probes[shown.acting].sum()) if len(shown.acting) else 0.0
        seen = np.bincount(shown.tokens, probes[shown.probes], len(self._tokens))
        held = (seen + weights.prior * self._usual) / (acting + weights.prior)
        held = held.clip(weights.floor, 1 - weights.floor)
        fit = wanted @ np.log(held) + (1 - wanted) @ np.log(1 - held)
        return float(fit + np.log(acting + weights.idleness))

    def _shows(self, profile: Profile) -> _Shown:
        tokens, probes, acting = [], [], []
        for probe, outcome in enumerate(profile.outcomes):
            if outcome is not None:
                acting.append(probe)
                tokens += [self._tokens.setdefault(token, len(self._tokens)) for token in sorted(outcome)]
                probes += [probe] * len(outcome)
        return _Shown(*(np.array(numbers, np.int32) for numbers in (tokens, probes, acting)))

    @cached_property
    def _usual(self) -> Vector:
        """How often each token holds where a program acts, over all programs."""
        counts = sum(
            (np.bincount(one.tokens, minlength=len(self._tokens)) for one in self._shown), np.zeros(1)
        )
        return np.asarray(counts / max(1, sum(len(one.acting) for one in self._shown)))

    def _wanted(self, task: Task) -> Vector:
        """In which share of the task's examples each token holds; what no program ever showed is left out."""
        wanted = np.zeros(len(self._tokens))
        for example in task.examples:
            for token in relations(example.input, example.output, task.signature.call):
                if token in self._tokens:
                    wanted[self._tokens[token]] += 1 / len(task.examples)
        return wanted

    def _likeness(self, task: Task, probes: Probes) -> Vector:
        """Weigh the probes, in sum 1, by how much they look like the task's inputs, what is rare first."""
        if not probes.inputs:
            return np.zeros(0)
        common = Counter(token for look in probes.looks for token in look)
        rarity = {token: np.log(len(probes.looks) / count) for token, count in common.items()}
        seen = Counter(
            token for example in task.examples for token in looks(example.input, task.signature.call)
        )
        shared = np.array([sum(seen[token] * rarity[token] for token in look) for look in probes.looks])
        lengths = np.array([np.sqrt(sum(rarity[token] for token in look)) for look in probes.looks])
        own = np.sqrt(sum(rarity.get(token, 0.0) * count**2 for token, count in seen.items()))
        likeness = np.exp(self.weights.likeness * shared / np.maximum(lengths * own, 1e-9))
        return np.asarray(likeness / likeness.sum())

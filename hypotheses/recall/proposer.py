"""Remembered programs as a proposer: those that a task's examples look like first, then pairs of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import permutations

from hypotheses.hypothesis import Hypothesis, Proposal, Report
from hypotheses.proposer import Request
from hypotheses.recall.composition import compose
from hypotheses.recall.grids import as_grid
from hypotheses.recall.profile import Profile
from hypotheses.recall.profile_folder import ProfileFolder
from hypotheses.recall.query import query_of
from hypotheses.recall.ranking import Ranking, Weights
from hypotheses.task import Task
from memory import Concept, Memory
from memory.trials import standing
from sandboxes import Cancellation, Program, Sandbox

PROFILING_SECONDS = 60.0
"""So long programs are profiled for a task that are not yet; what is left is not proposed for it."""

GRID_CALLS = ("grid_list", "grid_ndarray")

TRUSTED = 0.5
"""The least standing of a concept whose program is tried: five tasks lost, where none was won."""


class RecalledProposer:
    """Proposes the programs of concepts, in the order of ``Ranking``; after them, pairs of the first few.

    ``concepts`` are the library itself, or a memory that is asked for the ``recalled`` most relevant to each
    task; what the request brings is ranked with them. ``most`` programs are proposed for a task, and then
    the compositions of two of the first ``composed``. Rounds go on where the last one ended; a round has as
    many as the request wants, or ``at_once``. ``terms`` says whether it tries concepts that a search could
    try as terms, too.

    Each program is run once on the probes, in ``sandbox``, before it is first ranked, unless
    ``profiles`` has it; the profiles are kept, and in a folder where that is given.
    """

    def __init__(
        self,
        concepts: Memory | Sequence[Concept],
        sandbox: Sandbox,
        most: int = 50,
        *,
        composed: int = 6,
        recalled: int = 1_000,
        weights: Weights | None = None,
        at_once: int | None = None,
        terms: bool = True,
        profiles: Iterable[Profile] | ProfileFolder = (),
    ) -> None:
        for name, number in (("most", most), ("recalled", recalled)):
            if number < 1:
                raise ValueError(f"RecalledProposer's {name} must be at least 1, not {number}")
        if composed < 0:
            raise ValueError(f"RecalledProposer's composed must not be negative, but it is {composed}")
        self.concepts = concepts
        self.sandbox = sandbox
        self.most = most
        self.composed = composed
        self.recalled = recalled
        self.weights = weights
        self.at_once = at_once
        self.terms = terms
        self._profiles = profiles if isinstance(profiles, ProfileFolder) else ProfileFolder(None, profiles)
        self._ranking: tuple[tuple[str, ...], Ranking] = ((), Ranking(()))
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """``recall``."""
        return "recall"

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield the next ``request.n`` programs; a report where the first round finds none.

        Raises ``SandboxError`` where programs cannot be run, and what the memory raises.
        """
        cancellation = Cancellation()
        try:
            ranked = await asyncio.to_thread(self.ranked, request.task, request.concepts, cancellation)
        finally:
            cancellation.cancel()
        if not ranked and not request.round:
            yield Report(note="the memory has no program that takes what this task gives")
        wanted = self.at_once or request.n
        begin = request.round * wanted
        for number, proposal in enumerate(self._proposals(ranked, request.task)):
            if number >= begin + wanted:
                return
            if number >= begin:
                yield proposal

    def ranked(
        self, task: Task, concepts: Sequence[Concept] = (), cancellation: Cancellation | None = None
    ) -> list[Concept]:
        """Give the concepts with a program that takes the task's inputs, the one most worth trying first."""
        found: dict[str, Concept] = {}
        for concept in (*concepts, *self._recalled(task)):
            if concept.program is None or (concept.term and not self.terms):
                continue
            if takes(concept.program, task):
                found.setdefault(concept.program.key, concept)
        with self._lock:  # a program is profiled once, though several tasks be waiting for it
            profiles: dict[str, Profile] = {}
            until = time.monotonic() + PROFILING_SECONDS
            for key, concept in found.items():
                if concept.program is not None and (
                    self._profiles.has(concept.program) or time.monotonic() < until
                ):
                    profiles[key] = self._profiles.get(concept.program, self.sandbox, cancellation)
            keys = tuple(profiles)
            if self._ranking[0] != keys:
                self._ranking = (keys, Ranking(list(profiles.values()), self.weights))
            ranking = self._ranking[1]
        ranked = [found[keys[position]] for position in ranking.rank(task)]
        # Whatever it does on the probes: what has died on tasks comes last, and is then tried no more.
        standings = {one.id: standing(one.statistics) for one in ranked}
        trusted = [one for one in ranked if standings[one.id] >= TRUSTED]
        return sorted(trusted, key=lambda one: standings[one.id] < 1)

    def _recalled(self, task: Task) -> Sequence[Concept]:
        if isinstance(self.concepts, Sequence):
            return self.concepts
        return [one.concept for one in self.concepts.recall(query_of(task), self.recalled)]

    def _proposals(self, ranked: Sequence[Concept], task: Task) -> Iterator[Proposal]:
        for concept in ranked[: self.most]:
            yield self._proposal(_words(concept), concept.program, concept)
        if _chains(task):
            yield from self._compositions(ranked)

    def _compositions(self, ranked: Sequence[Concept]) -> Iterator[Proposal]:
        """Put the first few programs one after another; not those that did nothing on any probe."""
        able = [
            (concept, concept.program)
            for concept in ranked[: self.most]
            if concept.program is not None and self._profiles.get(concept.program, self.sandbox).acts
        ]
        # By the sum of ranks, so that the first pairs are of the programs that came first.
        for pair in sorted(permutations(range(min(self.composed, len(able))), 2), key=sum):
            (one, first), (other, second) = (able[position] for position in pair)
            program = compose(second, first)
            if program is not None:
                yield self._proposal(f"First: {_words(one)}\nThen: {_words(other)}", program, one, other)

    def _proposal(self, text: str, program: Program | None, *concepts: Concept) -> Proposal:
        ids = tuple(dict.fromkeys(concept.id for concept in concepts if concept.id))
        return Proposal(Hypothesis(text, proposer=self.name), program, concepts=ids)


def takes(program: Program, task: Task) -> bool:
    """Whether the task's inputs can be given to ``program`` the way it is called."""
    call = task.signature.call
    if program.call in GRID_CALLS:
        inputs = [*(example.input for example in task.examples), *task.queries]
        return call in GRID_CALLS or (call == "single" and all(as_grid(one) is not None for one in inputs))
    return program.call == call


def _words(concept: Concept) -> str:
    return concept.description or concept.name


def _chains(task: Task) -> bool:
    """Whether outputs are of the type of the inputs, so that one program's output is another's input."""
    parameters = task.signature.parameters
    return len(parameters) == 1 and parameters[0].type == task.signature.returns

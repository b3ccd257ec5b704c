"""What a memory gives a task before it is solved, and what it learns from it afterwards."""

from __future__ import annotations

import asyncio
import itertools
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from hypotheses.experience import Recollection
from hypotheses.hypothesis import Entry, Solution, Trace
from hypotheses.recall.query import query_of
from hypotheses.recall.term_library import learn_from_terms
from hypotheses.search.proposer import LIBRARY
from hypotheses.task import Task
from memory import Concept, Outcome, Provenance, Recalled, RecallQuery, trials
from memory.records import check
from memory.selection import adapt
from sandboxes import MemoryStoreError, ProposerError

SOLUTION = "solution"
"""The kind of concepts that are one task's solution."""

LIBRARY_EVERY = 10
"""After so many new terms of a family, a library is learned from them anew."""

LIBRARY_TERMS = 300
"""A library is learned from so many terms at most, the newest."""

LONGEST_NAME = 80
LONGEST_TEXT = 20_000
LONGEST_TERM = 100_000

_DEADLY = ("timed_out", "out_of_memory", "killed")


class Abstractor(Protocol):
    """Makes concepts of finished tasks."""

    async def concepts(self, task: Task, recollection: Recollection, solution: Solution) -> Sequence[Concept]:
        """Give concepts of a task; one that has an id is a known one with what is new about it."""
        ...


class ExperienceStore(Protocol):
    """What is needed of a ``ConceptStore``, which may be in another process."""

    @property
    def frozen(self) -> bool:
        """Whether nothing can be learned."""
        ...

    @property
    def clock(self) -> int:
        """How many tasks have been finished with it."""
        ...

    def recall(self, query: RecallQuery, most: int = 8) -> list[Recalled]:
        """Give what fits a query, the best first."""
        ...

    def concepts(self, *, archived: bool = False, newest_first: bool = False) -> Iterable[Concept]:
        """Give concepts, some thousands at least."""
        ...

    def add(self, concepts: Sequence[Concept]) -> list[str]:
        """Add concepts, and give their ids."""
        ...

    def update(self, concept_id: str, concept: Concept) -> int:
        """Give a concept a new version."""
        ...

    def extend(self, concept_id: str, concept: Concept) -> int:
        """Add to a concept's parameters, cues and notes."""
        ...

    def count(
        self,
        ids: Sequence[str],
        *,
        recalled: int = 0,
        used: int = 0,
        wins: int = 0,
        losses: int = 0,
        wins_without: int = 0,
        losses_without: int = 0,
    ) -> None:
        """Count how concepts fared."""
        ...

    def finish(self, outcome: Outcome) -> int:
        """Note that a task is done, and give the clock."""
        ...


class StoredExperience:
    """Recalls concepts for tasks from a store and, where it ``learns``, adds what their solutions teach.

    Up to ``most`` concepts are recalled. What was learned is recalled once the ``batch`` of tasks in which
    it was learned is done, and never for the task it came from. Of the first ``tried``, those that fit well
    are shown to a model, and tried: some are held out now and then, so that the store learns their worth.

    Beside solutions, what an ``abstractor`` makes of tasks is kept.

    An experience that does not learn recalls for every task what the store held when the experience began,
    or at ``clock``; by now, the store may rank it otherwise.
    """

    def __init__(
        self,
        store: ExperienceStore,
        *,
        learns: bool,
        most: int = 300,
        batch: int = 1,
        tried: int = 0,
        clock: int | None = None,
        run: str = "",
        model: str = "",
        abstractor: Abstractor | None = None,
    ) -> None:
        for name, number in (("most", most), ("batch", batch)):
            if number < 1:
                raise ValueError(f"StoredExperience's {name} must be at least 1, not {number}")
        if learns and store.frozen:
            raise ValueError("an experience cannot learn with a memory that is frozen")
        self.store = store
        self.learns = learns
        self.most = most
        self.batch = batch
        self.tried = tried
        self.run = run
        self.model = model
        self.abstractor = abstractor
        self._began = store.clock if clock is None else clock
        self._lock = threading.Lock()
        self._terms: dict[str, dict[str, None]] = {}
        self._unlearned: dict[str, int] = {}

    async def recall(self, task: Task) -> Recollection:
        """Give concepts for a task. Raises ``MemoryStoreError`` where the store cannot be read."""
        return await asyncio.to_thread(self._recall, task)

    def _recall(self, task: Task) -> Recollection:
        query = query_of(task, self._clock())
        found = [one for one in self.store.recall(query, self.most) if not _is_of(one.concept, task)]
        library = RecallQuery(signature=_library_signature(task.family), clock=query.clock)
        libraries = [one.concept for one in self.store.recall(library, 1) if one.concept.kind == LIBRARY]
        fitting = [one.concept for one in adapt([r for r in found if r.concept.kind != LIBRARY], self.tried)]
        ids = {one.id for one in (*fitting, *libraries)}
        rest = [one.concept for one in found if one.concept.id not in ids]
        shown, held_out = trials.shown(fitting, _name(task)) if self.learns else (fitting, [])
        return Recollection((*shown, *rest, *libraries), tuple(held_out), len(shown))

    async def learn(self, task: Task, recollection: Recollection, trace: Trace, solution: Solution) -> None:
        """Keep the solution as a concept, count how those recalled fared, and that a task is done.

        Raises ``MemoryStoreError`` where the store cannot be written.
        """
        if not self.learns:
            return
        made: Sequence[Concept] = ()
        if self.abstractor is not None:
            made = await self.abstractor.concepts(task, recollection, solution)
        await asyncio.to_thread(self._learn, task, recollection, trace, solution, made)

    def _learn(
        self,
        task: Task,
        recollection: Recollection,
        trace: Trace,
        solution: Solution,
        made: Sequence[Concept],
    ) -> None:
        used = self._count(recollection, trace, solution)
        concept = _storable(self._concept(task, trace, solution))
        known = {one.program.key for one in recollection.concepts if one.program is not None}
        if concept is not None and concept.program is not None and concept.program.key not in known:
            self.store.add([concept])
            if concept.term:
                self._learn_library(task.family, concept.term)
        for one in made:
            self._keep(one, task)
        usage = solution.usage
        self.store.finish(
            Outcome(
                task.id,
                solution.solved,
                task.family,
                self.run,
                recalled=len(recollection.concepts),
                used=len(used),
                work=usage.terms + usage.prompt_tokens + usage.completion_tokens,
                seconds=usage.seconds,
            )
        )

    def _clock(self) -> int:
        if not self.learns:
            return self._began
        done = self.store.clock - self._began
        return self._began + done - done % self.batch

    def _count(self, recollection: Recollection, trace: Trace, solution: Solution) -> list[str]:
        """Count what was recalled, what won, and what harmed; give the ids that the winner is made of."""
        tried = recollection.concepts[: recollection.shown]
        known = {one.id for one in recollection.concepts}
        ran = {one for entry in trace.entries for one in entry.proposal.concepts if one in known}
        used = [one for one in _concepts_of_winner(trace, solution) if one in known]
        harmed = {one for one in _concepts_that_died(trace) if one in known}
        with_it, won = [one.id for one in tried], solution.solved
        # What was but found is not counted as recalled: nobody has looked at it.
        self.store.count(sorted(ran | {one.id for one in tried}), recalled=1)
        self.store.count(used, used=1)
        self.store.count([one for one in used if one not in with_it], wins=1)
        self.store.count(with_it, wins=int(won), losses=int(not won))
        self.store.count(sorted(harmed - set(with_it)), losses=1)
        without = [one.id for one in recollection.held_out]
        self.store.count(without, wins_without=int(won), losses_without=int(not won))
        return used

    def _concept(self, task: Task, trace: Trace, solution: Solution) -> Concept | None:
        """Make a concept of a solution that has a program; ``None`` of others."""
        candidate = solution.candidate
        if not solution.solved or candidate is None or candidate.program is None:
            return None
        query = query_of(task)
        rule = candidate.hypothesis.text.strip()
        first = rule.partition("\n")[0] or f"solution of {task.id}"
        term = next((entry.proposal.term for entry in _winners(trace, solution)), "")
        return Concept(
            first if len(first) <= LONGEST_NAME else f"{first[: LONGEST_NAME - 1]}…",
            rule[:LONGEST_TEXT],
            program=candidate.program,
            kind=SOLUTION,
            term=term if len(term) <= LONGEST_TERM else "",
            features=query.features,
            signature=query.signature,
            provenance=Provenance(self.run, task.family, task.id, self.model, time=datetime.now(UTC)),
        )

    def _keep(self, concept: Concept, task: Task) -> None:
        """Store a concept that a model made, or a known one to which it has added."""
        if concept.id:
            self.store.extend(concept.id, concept)
            return
        query = query_of(task)
        origin = Provenance(self.run, task.family, task.id, self.model, time=datetime.now(UTC))
        self.store.add(
            [replace(concept, features=query.features, signature=query.signature, provenance=origin)]
        )

    def _learn_library(self, family: str, term: str) -> None:
        """Learn anew what the solutions of a family share, now and then."""
        with self._lock:
            if family not in self._terms:
                self._terms[family] = dict.fromkeys(reversed(list(_terms_of(self.store, family))))
            terms = self._terms[family]
            terms[term] = None
            self._unlearned[family] = self._unlearned.get(family, 0) + 1
            if self._unlearned[family] < LIBRARY_EVERY:
                return
            self._unlearned[family] = 0
            for old in list(terms)[:-LIBRARY_TERMS]:
                del terms[old]
            newest = list(terms)
        learned = ""
        with suppress(ProposerError):  # stitch_core is not installed, so there are only the terms
            learned = learn_from_terms(newest)
        if learned and len(learned) <= LONGEST_TERM:
            self._keep_library(family, learned)

    def _keep_library(self, family: str, text: str) -> None:
        concept = Concept(
            f"what solutions of {family} share",
            "parts that solutions share, and how often each rule was used",
            kind=LIBRARY,
            term=text,
            signature=_library_signature(family),
            provenance=Provenance(self.run, family, model=self.model, time=datetime.now(UTC)),
        )
        old = self.store.recall(RecallQuery(signature=concept.signature), 1)
        if old and old[0].concept.kind == LIBRARY:
            self.store.update(old[0].concept.id, concept)
        else:
            self.store.add([concept])


def _name(task: Task) -> str:
    return f"{task.family}/{task.id}"


def _library_signature(family: str) -> str:
    return f"library:{family}"


def _is_of(concept: Concept, task: Task) -> bool:
    """Whether a concept was learned from this very task, and so would only give its solution away."""
    origin = concept.provenance
    return bool(origin.task) and (origin.family, origin.task) == (task.family, task.id)


def _terms_of(store: ExperienceStore, family: str, most: int = 5_000) -> Iterator[str]:
    """Yield the terms of a family's solutions among the newest concepts, the newest first."""
    for concept in itertools.islice(store.concepts(newest_first=True), most):
        if concept.kind == SOLUTION and concept.term and concept.provenance.family == family:
            yield concept.term


def _storable(concept: Concept | None) -> Concept | None:
    """Give a concept that a store keeps; ``None`` for one that is too large."""
    if concept is not None:
        try:
            check(concept)
        except MemoryStoreError as error:
            warnings.warn(f"a solution is not remembered: {error}", RuntimeWarning, stacklevel=2)
            return None
    return concept


def _winners(trace: Trace, solution: Solution) -> list[Entry]:
    """Give the entries that proposed the winner's program."""
    program = solution.candidate and solution.candidate.program
    return [one for one in trace.entries if program is not None and one.proposal.program == program]


def _concepts_of_winner(trace: Trace, solution: Solution) -> Sequence[str]:
    if not solution.solved:
        return ()
    return tuple(dict.fromkeys(one for entry in _winners(trace, solution) for one in entry.proposal.concepts))


def _concepts_that_died(trace: Trace) -> Iterator[str]:
    """Give the concepts whose programs did not survive an example, or not in time."""
    for entry in trace.entries:
        runs = (run for judged in entry.judged for run in judged.verdict.executions)
        if entry.proposal.concepts and any(run.status in _DEADLY for run in runs):
            yield from entry.proposal.concepts

"""A model says where to search: its terms, right or wrong, order the search of a task's grammar."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from hypotheses.hypothesis import Completion, Hypothesis, Proposal, Report
from hypotheses.models.chat import ContextOverflowError, ModelDownError
from hypotheses.prompts.grammars import write_definition
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Propose
from hypotheses.search.guide import Guide, symbol_of
from hypotheses.search.proposer import SearchLimits, propose_searched
from hypotheses.search.search import MEMORY_MB
from hypotheses.search.sygus import sygus_problem
from hypotheses.search.sygus_python import names_of, program_of
from hypotheses.search.sygus_words import sentence_of_term
from hypotheses.steps.model import Model, complete
from hypotheses.steps.terms import ask_for_terms, right_terms
from hypotheses.sygus.grammar import Grammar, Symbol, Term, to_sexpr
from hypotheses.sygus.sorts import parameter_sorts
from hypotheses.task import Task


class GuidedSearchProposer:
    """Asks a model for terms of the task's grammar, then searches where they point (HySynth).

    Terms that are right are proposed first; where they are as many as is wanted, nothing is searched. A task
    without a grammar that the search knows is searched without a model. So is one for which the model is down
    or has too short a context. ``seconds``, ``max_terms`` and ``memory_mb`` limit the search of each task,
    one at a time, as it keeps a core busy and its clock runs.
    """

    name = "guided-search"

    def __init__(
        self,
        step: Propose,
        model: Model,
        seconds: float | None = 10.0,
        max_terms: int | None = None,
        *,
        memory_mb: int = MEMORY_MB,
    ) -> None:
        self.step = step
        self.model = model
        self.seconds = seconds
        self.max_terms = max_terms
        self.memory_mb = memory_mb
        self._turn = asyncio.Semaphore(1)

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield proposals in the first round, none later: every one satisfies the examples.

        Reports every completion, how many terms the search built, and why there was no guide, if there was
        none.
        """
        if request.round:
            return
        task, guide, wanted = request.task, None, request.n
        if task.grammar is None or not guidable(task):
            yield Report(note="no model was asked, for the task has no grammar that the search knows")
        else:
            completions: list[Completion] = []
            async with aclosing(self._ask(request)) as asked:
                async for report in asked:
                    yield report
                    completions += report.completions
            for proposal in await asyncio.to_thread(self._right, completions, task, wanted):
                wanted -= 1
                yield proposal
            if not wanted:
                return
            guide = guide_from(completions, task.grammar)
            if guide is None and completions:
                yield Report(
                    note=f"{len(completions)} completions of the model name nothing of the grammar, "
                    "so the search was not guided"
                )
        limits = SearchLimits(self.seconds, self.max_terms, self.memory_mb)
        searched = propose_searched(request, self.name, wanted, limits, guide)
        async with self._turn, aclosing(searched) as found:
            async for item in found:
                yield item

    async def _ask(self, request: Request) -> AsyncGenerator[Report, None]:
        """Report each completion as it comes: it was paid for, whatever is made of it."""
        try:
            async with aclosing(ask_for_terms(self.model, request, self.step)) as completions:
                async for completion in completions:
                    yield Report(completions=(completion,))
        except (ContextOverflowError, ModelDownError) as error:
            yield Report(note=f"the model could not help the search: {error}")

    def _right(self, completions: Sequence[Completion], task: Task, wanted: int) -> list[Proposal]:
        """Make proposals of up to ``wanted`` right terms."""
        names, sorts = names_of(task.signature), parameter_sorts(task)
        proposals: list[Proposal] = []
        for term, completion in right_terms(completions, task):
            if len(proposals) == wanted:
                break
            with contextlib.suppress(RecursionError):  # nested too deeply to be printed
                program = program_of(term, task.signature, names, sorts)
                rule = f"{sentence_of_term(term)}\n{write_definition(task, to_sexpr(term))}"
                proposals.append(Proposal(Hypothesis(rule, proposer=self.name), program, completion))
        return proposals


def guidable(task: Task) -> bool:
    """Whether the task has a grammar that the search knows, so that completions can guide it."""
    return sygus_problem(task) is not None


def guide_from(completions: Sequence[Completion], grammar: Grammar) -> Guide | None:
    """Make a guide of the completions that are whole; ``None`` where they name nothing of the grammar."""
    guide = Guide.from_completions(one.response for one in completions if complete(one))
    productions = [term for nonterminal in grammar.nonterminals for term in nonterminal.productions]
    symbols = {symbol_of(term) for term in productions if not _names_nonterminal(term, grammar)}
    return guide if symbols & guide.counts.keys() else None


def _names_nonterminal(term: Term, grammar: Grammar) -> bool:
    return isinstance(term, Symbol) and term.name in grammar.by_name

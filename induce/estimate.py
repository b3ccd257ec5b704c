"""What a run would cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

from hypotheses.guided_search import guidable
from hypotheses.models.client import ClientConfig
from hypotheses.models.prices import Price, price_of
from hypotheses.prompts import Prompts
from hypotheses.recipes import Propose, Recipe, Refine
from hypotheses.task import Task
from induce.language_model import ModelSource, make_prompts, token_counter
from induce.settings import Settings
from induce.wiring import WiredProposer

TYPICAL = {"hypothesis": 80, "program": 150, "critique": 150, "term": 80}
"""Tokens that a completion of each kind is expected to have; outputs are expected to be as long as the
examples', and a rule in a summary as long as any other."""

FEEDBACK = 250
"""Tokens that a revision's prompt is expected to have beyond the first's: the program and what failed."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Requests, samples asked for, and tokens read and written."""

    requests: int = 0
    samples: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Amount)))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to cost if no task is solved early, and what it may cost at most.

    ``money`` is in US dollars, ``None`` where the model's price is not known; ``seconds`` ``None`` where the
    setting ``model.speed`` is not set. ``searched`` says that a search comes first, whose solved tasks cost
    nothing. What is read from the endpoint's cache is counted at full price.
    """

    recipe: str
    tasks: int
    expected: Amount
    most: Amount
    expected_money: float | None
    most_money: float | None
    expected_seconds: float | None
    searched: bool


def estimate(wired: WiredProposer, settings: Settings, tasks: Iterable[Task]) -> Estimate:
    """Estimate what solving ``tasks`` would cost, from the very prompts of the first round.

    Raises ``ModelError`` where a task cannot be shown to the model, ``SettingsError`` for bad settings.
    """
    recipe = wired.recipe
    count = 0
    expected, most = Amount(), Amount()
    if recipe is not None:
        prompts, tokens = make_prompts(settings, recipe.prompts), token_counter(settings)
        for task in tasks:
            count += 1
            parts = (recipe, settings, prompts, tokens.count, task)
            expected += _TaskEstimate(*parts, typical=True).amount()
            most += _TaskEstimate(*parts, typical=False).amount()
    else:
        count = sum(1 for _ in tasks)
    price = None
    if settings.model.address is not None:
        price = price_of(ModelSource.parse(settings.model.address).address, settings.model.prices)
    if recipe is None or wired.content_hash:
        price = Price(0, 0, 0)
    speed = settings.model.speed
    return Estimate(
        recipe=wired.spec if recipe is None else recipe.name,
        tasks=count,
        expected=expected,
        most=_within_budget(most, settings, count),
        expected_money=None if price is None else _money(price, expected),
        most_money=None if price is None else _money(price, _within_budget(most, settings, count)),
        expected_seconds=None if speed is None else expected.completion_tokens / speed,
        searched=recipe is None or recipe.search,
    )


def _within_budget(most: Amount, settings: Settings, tasks: int) -> Amount:
    budget = settings.budget
    caps = [budget.run_completion_tokens]
    caps += [None if budget.completion_tokens is None else budget.completion_tokens * tasks]
    written = min([most.completion_tokens, *(cap for cap in caps if cap is not None)])
    return Amount(most.requests, most.samples, most.prompt_tokens, written)


def _money(price: Price, amount: Amount) -> float:
    return (amount.prompt_tokens * price.prompt + amount.completion_tokens * price.completion) / 1e6


class _TaskEstimate:
    """What one task costs: as it is expected to, or at most."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        prompts: Prompts,
        count: Callable[[str], int],
        task: Task,
        *,
        typical: bool,
    ) -> None:
        self._recipe, self._prompts, self._count, self._task = recipe, prompts, count, task
        self._rounds = settings.solver.rounds or recipe.rounds
        self._finishes = settings.model.truncation != "keep"
        self._typical = typical

    def amount(self) -> Amount:
        """Add up all rounds, as if none solved the task."""
        recipe, task, propose = self._recipe, self._task, self._recipe.propose
        if propose is None:
            return Amount()
        if propose.what == "term":
            return self._terms(propose)
        if propose.what == "hypothesis":
            first = self._prompts.hypothesize(task)
        elif propose.what == "program":
            first = self._prompts.write_program(task)
        else:
            first = self._prompts.answer(task, task.queries[0] if task.queries else task.examples[0].input)
        shown = sum(self._count(message.content) for message in first)
        start = self._first_round(propose, shown)
        later = start  # what follows a round of which nothing could be run, or where nothing is revised
        if recipe.refine is not None:
            revision = self._revision(recipe.refine, shown)
            dearer = revision.completion_tokens > start.completion_tokens
            later = revision if self._typical or dearer else start
        return sum([later] * (self._rounds - 1), start)

    def _terms(self, propose: Propose) -> Amount:
        """Give what terms cost that guide a search: once, whatever the rounds, and only with a grammar."""
        if not guidable(self._task):
            return Amount()
        shown = sum(self._count(message.content) for message in self._prompts.write_term(self._task))
        return self._asked(1, propose.samples, shown, self._written("term", propose.max_tokens))

    def _first_round(self, propose: Propose, shown: int) -> Amount:
        recipe = self._recipe
        each = self._written(propose.what, propose.max_tokens)
        if propose.what == "answer":
            queries = len(self._task.queries)
            return self._asked(queries, queries * propose.samples, shown, each)
        total = self._asked(max(1, len(propose.levels)), propose.samples, shown, each)
        hypotheses = propose.samples
        if recipe.summarize is not None and recipe.summarize.to < hypotheses:
            limit = recipe.summarize.max_tokens
            summary = min(limit, recipe.summarize.to * TYPICAL["hypothesis"]) if self._typical else limit
            total += self._asked(1, 1, shown + hypotheses * each, summary)
            hypotheses = recipe.summarize.to
        if recipe.pick is not None:
            hypotheses = min(hypotheses, recipe.pick.to)
        return total + self._implementations(hypotheses, shown)

    def _revision(self, refine: Refine, shown: int) -> Amount:
        parents = min(refine.parents, refine.samples)
        each = self._written(refine.what, refine.max_tokens)
        total = self._asked(parents, refine.samples, shown + FEEDBACK, each)
        if refine.critique:
            critique = self._written("critique", refine.max_tokens)
            total += self._asked(parents, parents, shown + FEEDBACK, critique)
        if refine.what == "hypothesis":
            total += self._implementations(refine.samples, shown)
        return total

    def _implementations(self, hypotheses: int, shown: int) -> Amount:
        step = self._recipe.implement
        if step is None:
            return Amount()
        prompt = shown + TYPICAL["hypothesis"]
        if step.by == "application":
            inputs = hypotheses * (len(self._task.examples) + len(self._task.queries))
            return self._asked(inputs, inputs, prompt, self._written("answer", step.max_tokens))
        each = self._written("program", step.max_tokens)
        return self._asked(hypotheses, hypotheses * step.programs, prompt, each)

    def _asked(self, requests: int, samples: int, shown: int, each: int) -> Amount:
        """Give what ``samples`` of prompts of ``shown`` tokens cost, each completion ``each``.

        At most, every completion is cut off at its limit, and finished: gone on with, or asked for again with
        twice the limit, whichever the endpoint can.
        """
        total = Amount(requests, samples, requests * shown, samples * each)
        if self._typical or not self._finishes:
            return total
        config = ClientConfig()
        so_far, limit = each, each
        for _ in range(config.continuations):
            limit = max(each, min(2 * limit, config.max_retry_tokens))
            total += Amount(samples, 0, samples * (shown + so_far), samples * limit)
            so_far += each
        return total

    def _written(self, kind: str, limit: int) -> int:
        return min(limit, TYPICAL.get(kind, self._output())) if self._typical else limit

    def _output(self) -> int:
        longest = max(self._task.examples, key=lambda example: len(repr(example.output)))
        return 10 + self._count(repr(longest.output))

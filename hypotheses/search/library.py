"""A library: abstractions learned from solutions, and how often these used each rule.

A language extended by it has the abstractions as operators, and costs in bits of a probabilistic grammar, as
in DreamCoder (Ellis et al. 2021, "DreamCoder: Bootstrapping Inductive Program Synthesis with Wake-Sleep
Library Learning").
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hypotheses.search import library_text
from hypotheses.search.abstraction import Abstraction, Head, LearnedOperator, Rule, head_of, inline, rule_of
from hypotheses.search.guide import UNSEEN
from hypotheses.search.language import Constant, Expression, Language, Operator, Variable, walk

_Head = TypeVar("_Head", bound=Variable | Constant | Operator)
_Printed = TypeVar("_Printed")


@dataclass(frozen=True)
class Library:
    """Abstractions, and how often the solutions used each rule once they were rewritten with them."""

    abstractions: tuple[Abstraction, ...] = ()
    counts: Mapping[Rule, int] = field(default_factory=dict)

    def extend(self, language: Language) -> Language:
        """Give ``language`` with those abstractions whose operators and constants it has, and new costs.

        What it prints is inlined, so it is in the language as it was. Where the library knows none of its
        rules, as for a grammar of other non-terminals, the language stays as it is.
        """
        base = tuple(one for one in language.operators if not isinstance(one, LearnedOperator))
        constants = [leaf for leaf in language.leaves if isinstance(leaf, Constant)]
        heads: dict[Rule, Constant | Operator] = {rule_of(head): head for head in constants}
        heads |= {rule_of(operator): operator for operator in base}
        bound = [abstraction.over(heads) for abstraction in self.abstractions]
        counts = Counter(self.counts)
        for one, its in zip(self.abstractions, bound, strict=True):
            if its is None:
                _unfold(one, counts)
        old = (*language.leaves, *base, *(one.operator() for one in bound if one))
        shares = _shares(old, counts)
        if shares is None:
            return language
        # Joins and choices are also found backwards; forwards they come later by what they cost more than 1.
        backwards = {*map(rule_of, (*language.concatenations.values(), *language.conditionals.values()))}

        def refit(head: _Head) -> _Head:
            later = head.cost - 1 if rule_of(head) in backwards else 0
            return replace(head, cost=max(1, round(-math.log2(shares[head]))) + later)

        new = {rule_of(head): head for head in map(refit, old) if isinstance(head, Operator)}
        unit = _unit(old, shares, counts)

        def renewed(operator: Operator) -> Operator:
            return new.get(rule_of(operator)) or replace(operator, cost=max(1, round(operator.cost * unit)))

        def inlined(write: Callable[[Expression], _Printed]) -> Callable[[Expression], _Printed]:
            return lambda expression: write(inline(expression))

        return replace(
            language,
            leaves=tuple(map(refit, language.leaves)),
            operators=tuple(new.values()),
            describe=inlined(language.describe),
            implement=inlined(language.implement),
            define=inlined(language.define) if language.define else None,
            concatenations={kind: renewed(one) for kind, one in language.concatenations.items()},
            conditionals={kind: renewed(one) for kind, one in language.conditionals.items()},
            inverses={
                kind: tuple(replace(one, operator=renewed(one.operator)) for one in inverses)
                for kind, inverses in language.inverses.items()
            },
            ceiling=None if language.ceiling is None else round(language.ceiling * unit),
            patience=max(1, round(language.patience / unit)),
        )

    def to_json(self) -> str:
        """Write the library as JSON."""
        return library_text.write(self.abstractions, self.counts)

    @classmethod
    def from_json(cls, text: str | bytes, operators: Iterable[Operator] = ()) -> Library:
        """Read what ``to_json`` wrote. Raises ``ValueError`` for anything else.

        ``operators`` give the abstractions their meaning. Those of other languages need not be given: they
        are names until ``extend`` meets a language that has them.
        """
        return cls(*library_text.read(text, operators))


def _unfold(abstraction: Abstraction, counts: Counter[Rule]) -> None:
    """Count the rules in its body instead of the abstraction, which a language lacks."""
    rule = Rule("operator", abstraction.result, abstraction.name, abstraction.arguments)
    uses = counts.pop(rule, 0)
    for part in walk(abstraction.body):
        if not isinstance(part, Variable):
            counts[rule_of(head_of(part))] += uses


def _uses(heads: Sequence[Head], counts: Mapping[Rule, int]) -> list[float]:
    """Say how often each of ``heads``, which are all of one kind, was used.

    Variables share what variables were used, and constants what constants were used, whether or not they
    are these: which there are depends on the task.
    """
    own = [counts.get(rule_of(head), 0) for head in heads]
    variables = sum(isinstance(head, Variable) for head in heads)
    constants = [1 + one for one, head in zip(own, heads, strict=True) if isinstance(head, Constant)]
    kind = rule_of(heads[0]).kind
    all_constants = sum(count for rule, count in counts.items() if rule[:2] == ("constant", kind))
    found: list[float] = []
    for one, head in zip(own, heads, strict=True):
        match head:
            case Variable():
                found.append(one / variables)
            case Constant():
                found.append(all_constants * (1 + one) / sum(constants))
            case Operator():
                found.append(one)
    return found


def _shares(heads: Iterable[Head], counts: Mapping[Rule, int]) -> dict[Head, float] | None:
    """Give the probability of each head among those of its kind; ``None`` where no use of any is known.

    What is kept for heads never used is spread by what they cost: one more halves it.
    """
    kinds: defaultdict[str, list[Head]] = defaultdict(list)
    for head in heads:
        kinds[rule_of(head).kind].append(head)
    shares: dict[Head, float] = {}
    known = False
    for alike in kinds.values():
        used = _uses(alike, counts)
        total = sum(used)
        known = known or total > 0
        weights = [2.0**-head.cost for head in alike]
        for head, uses, weight in zip(alike, used, weights, strict=True):
            even = weight / sum(weights)
            shares[head] = (1 - UNSEEN) * uses / total + UNSEEN * even if total else even
    return shares if known else None


def _unit(
    heads: Sequence[Head],
    shares: Mapping[Head, float],
    counts: Mapping[Rule, int],
) -> float:
    """Say how many bits stand for 1 of the language's own cost, on the average over what was used."""
    used = [counts.get(rule_of(head), 0) for head in heads]
    bits = sum(-math.log2(shares[head]) * uses for head, uses in zip(heads, used, strict=True))
    costs = sum(head.cost * uses for head, uses in zip(heads, used, strict=True))
    return bits / costs if bits and costs else 1.0

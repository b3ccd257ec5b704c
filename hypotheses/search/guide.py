"""What a model's completions say about where a solution lies: a probabilistic grammar that orders the search.

Even wrong completions use the operators and constants that a right one needs; how often they do makes the
weights of a context-free grammar (Barke et al. 2024, "HySynth: Context-Free LLM Approximation for Guiding
Program Synthesis"). Here the rules of a non-terminal are told apart by their symbols alone, so completions
need neither be terms of the grammar nor have balanced parentheses.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hypotheses.sygus.grammar import AnyConstant, Apply, Literal, Symbol, Term, to_sexpr

UNSEEN = 0.1
"""The share of the probability that is spread evenly over all rules of a non-terminal."""

_FENCE = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"]|"")*"|\(_[^()]*\)|[^\s()"]+')


@dataclass(frozen=True)
class Guide:
    """How often each symbol was used: operators, variables and constants, as SyGuS-IF writes them."""

    counts: Mapping[str, float]

    @classmethod
    def from_completions(cls, completions: Iterable[str]) -> Guide:
        """Count the symbols in completions that hold SyGuS terms, right or wrong, fenced or not."""
        counts: Counter[str] = Counter()
        for text in completions:
            fenced = _FENCE.findall(text)
            for part in fenced or [text]:
                counts.update(_TOKEN.findall(part))
        return cls(counts)

    def costs(self, productions: Sequence[Term]) -> list[int]:
        """Give the costs of a non-terminal's productions: whole bits of information, 1 at least."""
        symbols = [symbol_of(production) for production in productions]
        used = [self.counts.get(symbol, 0.0) for symbol in symbols]
        total, even = sum(used), 1 / len(symbols)
        shares = [(1 - UNSEEN) * one / total + UNSEEN * even if total else even for one in used]
        return [max(1, round(-math.log2(share))) for share in shares]


def symbol_of(production: Term) -> str:
    """Give the symbol that tells a production from the others of its non-terminal."""
    match production:
        case Apply(operator=operator):
            return operator
        case Symbol(name=name):
            return name
        case Literal() | AnyConstant():
            return to_sexpr(production)
    raise TypeError(f"not a term: {production!r}")

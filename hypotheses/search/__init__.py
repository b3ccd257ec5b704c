"""Symbolic search: programs from examples, without a model.

::

    language     what expressions are built of: typed operators, their values, their printed forms
    enumeration  every expression by cost, one for each behaviour
    assembly     expressions built backwards from the outputs
    engine       both together, on few examples first
    search       one search under a budget; ``SearchProposer`` makes it a proposer
    guide        a model's completions as costs of a grammar's rules
    sygus        a task's own grammar as a language
    lists        the project's language of lists of integers
    strings      the project's language of strings
"""

from hypotheses.search.guide import Guide
from hypotheses.search.proposer import SearchProposer
from hypotheses.search.search import Found, SearchReport, SearchResult, search

__all__ = ["Found", "Guide", "SearchProposer", "SearchReport", "SearchResult", "search"]

"""Symbolic search: programs from examples, without a model.

::

    language     what expressions are built of: typed operators, their values, their printed forms
    enumeration  every expression by cost, one for each behaviour
    assembly     expressions built backwards from the outputs
    engine       both together, on few examples first
    search       one search under a budget; ``SearchProposer`` makes it a proposer
    guide        a model's completions as costs of a grammar's rules
    compression  learning from solutions what they share; ``Library`` extends a language by it
    sygus        a task's own grammar as a language
    lists        the project's language of lists of integers
    strings      the project's language of strings
    values       the large language of all values
    deduction    what is done with each element, guessed and searched for
    moments      dates and times in texts; ``numbers`` likewise
    storage      how much memory a search takes up
"""

from hypotheses.search.abstraction import Abstraction
from hypotheses.search.compression import learn_library
from hypotheses.search.guide import Guide
from hypotheses.search.library import Library
from hypotheses.search.proposer import SearchProposer
from hypotheses.search.search import Found, SearchReport, SearchResult, search

__all__ = [
    "Abstraction",
    "Found",
    "Guide",
    "Library",
    "SearchProposer",
    "SearchReport",
    "SearchResult",
    "learn_library",
    "search",
]

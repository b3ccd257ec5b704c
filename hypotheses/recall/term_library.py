"""A library from remembered terms: what they share, whichever task's language each comes from."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from hypotheses.search import learn_library
from hypotheses.search.library_text import read_expression


def learn_from_terms(terms: Iterable[str]) -> str:
    """Learn a library from terms as ``Found.term`` has them, and give it as JSON.

    Empty where they share nothing. What is no term is left out. Raises ``ProposerError`` where
    ``stitch_core`` is not installed.
    """
    expressions = []
    for text in terms:
        with suppress(ValueError):
            expressions.append(read_expression(text))
    library = learn_library(expressions)
    return library.to_json() if library.abstractions else ""

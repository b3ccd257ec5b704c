"""The words that concepts are found by: the same in every database, and in what a memory is asked.

They are in the index as they are here, so whoever changes them writes a migration that indexes anew.
"""

from __future__ import annotations

import hashlib
import keyword
import re
from collections.abc import Iterable
from typing import NamedTuple

from memory.concept import Concept

LONGEST = 40
LONGEST_TOKEN = 200
MOST_OF_CODE = 500
_WORD = re.compile(r"[^\W_]+")
_SIGNATURE = "signature:"


class Texts(NamedTuple):
    """The words of a concept by where they stand, in the order of the index's columns."""

    name: list[str]
    description: list[str]
    cues: list[str]
    notes: list[str]
    code: list[str]


def words(text: str) -> list[str]:
    """Give the words of a text in their order, folded and without the endings of plurals."""
    return [_singular(word.casefold()[:LONGEST]) for word in _WORD.findall(text)]


def texts(concept: Concept) -> Texts:
    """Give the words of a concept; those of its code once each, without Python's keywords."""
    source = concept.program.source if concept.program else ""
    code = dict.fromkeys(word for word in words(f"{source} {concept.term}") if not keyword.iskeyword(word))
    return Texts(
        words(concept.name),
        words(concept.description),
        _all_words(concept.cues),
        _all_words([concept.kind, *concept.parameters, *concept.notes]),
        list(code)[:MOST_OF_CODE],
    )


def tokens(features: Iterable[str], signature: str) -> list[str]:
    """Give the structural tokens, each once; a signature is one of them."""
    return list(dict.fromkeys([*map(_storable, features), *signature_tokens(signature)]))


def signature_tokens(signature: str) -> list[str]:
    """Give the token of a signature, or none where there is no signature."""
    return [_storable(_SIGNATURE + signature)] if signature else []


def _storable(token: str) -> str:
    """Give a token as every database can have it under an index: not long, and without NULs."""
    if len(token) > LONGEST_TOKEN:
        return hashlib.sha256(token.encode()).hexdigest()
    return token.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _all_words(parts: Iterable[str]) -> list[str]:
    return [word for part in parts for word in words(part)]


def _singular(word: str) -> str:
    """Strip the ending of a plural, after Harman's S-stemmer (1991)."""
    if len(word) < 4 or word.endswith(("us", "ss")) or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word[:-1]

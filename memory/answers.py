"""The JSON in what a model wrote: bare or in a fence, with words around it, or cut off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MOST_TRIED = 200
"""At so many places a value is looked for."""

_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_DECODER = json.JSONDecoder(strict=False)


def values(text: str, opening: str = "{") -> Iterator[Any]:
    """Give the JSON values in a text that begin with one of the characters ``opening``, outer ones first.

    Of an object that is cut off, or is none for another reason, those inside it that are whole.
    """
    text = _TRAILING_COMMA.sub("", text)
    at = 0
    for _ in range(MOST_TRIED):
        starts = [place for one in opening if (place := text.find(one, at)) >= 0]
        if not starts:
            return
        try:
            value, at = _DECODER.raw_decode(text, min(starts))
        except (ValueError, RecursionError):
            at = min(starts) + 1
        else:
            yield value

"""How many tokens a text has, where no tokenizer is at hand."""

from __future__ import annotations

import math
import re

CHARS_PER_TOKEN = 2
"""What the limits on single values assume; lists of small numbers have no more."""

_LETTERS_PER_TOKEN = 6
_PIECE = re.compile(r"[A-Za-z]+|\d| (?=\d)|[^\sA-Za-z\d]|\n+|\s{2,}")


def estimate(text: str) -> int:
    """Estimate how many tokens a text has, rather too many than too few.

    Digits and punctuation count one each, as in the tokenizers of many code models: with lists of numbers a
    fixed ratio of characters to tokens is wrong by a factor of two. Measured on prompts for strings, lists
    and grids, this is 5 to 30 % above the tokenizers of Qwen2.5 and SmolLM2.
    """
    return sum(_weight(piece) for piece in _PIECE.findall(text))


def _weight(piece: str) -> int:
    if not piece.isascii():
        return max(1, len(piece.encode("utf-8", "surrogatepass")) - 1)
    return math.ceil(len(piece) / _LETTERS_PER_TOKEN) if piece.isalpha() else 1

"""A question to a language model, and what its answer cost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MOST_READ = 100_000
"""So many characters of an answer are read."""

_PIECE = re.compile(r"[^\W\d_]+|\d|\s+(?=\d)|\n\s*|(?:[^\w\s]|_)+")
_THOUGHTS = re.compile(r"\A.*</think>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said after it had thought, in how many tokens; estimated where it does not tell."""

    text: str
    tokens_in: int
    tokens_out: int


async def ask(model: BaseChatModel, messages: Sequence[tuple[str, str]]) -> Answer:
    """Ask a model; messages have a role: ``system``, ``human`` or ``ai``. Raises what the model raises."""
    message = await model.ainvoke(list(messages))
    text = str(message.text)[:MOST_READ]
    usage = getattr(message, "usage_metadata", None)
    if usage:
        tokens_in, tokens_out = usage["input_tokens"], usage["output_tokens"]
    else:
        tokens_in, tokens_out = sum(estimate(part) for _, part in messages), estimate(text)
    return Answer(_THOUGHTS.sub("", text).strip(), tokens_in, tokens_out)


def filled(name: str, **parts: str) -> str:
    """Fill in one of the prompts; a paragraph without a value falls away."""
    paragraphs = (Template(one).substitute(parts) for one in _paragraphs(name))
    return "\n\n".join(one for one in paragraphs if one.strip())


def estimate(text: str) -> int:
    """Estimate how many tokens a text has for any model, from its shape alone."""
    total = 0
    for piece in _PIECE.findall(text):
        if piece[0].isalpha():
            total += 1 + (len(piece) - 1) // (7 if piece.isascii() else 2)
        else:
            total += 1 if piece.isspace() or piece.isdigit() else (len(piece) + 1) // 2
    return total


@cache
def _paragraphs(name: str) -> tuple[str, ...]:
    file = resources.files("memory") / "prompts" / f"{name}.txt"
    return tuple(file.read_text(encoding="utf-8").strip("\n").split("\n\n"))

"""Which of the recalled concepts are shown: what stands out and fits, in an order; or a model chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from memory.answers import values
from memory.asking import ask, estimate, filled
from memory.concept import Concept
from memory.fencing import fenced, line
from memory.query import Recalled

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

LEAST_SHARE = 0.3
"""What has less of the best one's score than this is left out."""

LEAST_DROP = 0.4
"""A score that is lower than the one before by at least this share of it is a place to cut."""

MOST_SHOWN = 40
"""How many concepts a model chooses from at most."""

Order = Literal["best-first", "best-last", "ends"]

_MOST_TASK = 4_000
_MOST_ENTRY = 400


@dataclass(frozen=True, slots=True)
class Selection:
    """The concepts to show, the most helpful first, and in how many tokens they were chosen.

    ``note`` says why the ranking was kept, where it was.
    """

    concepts: tuple[Concept, ...]
    tokens_in: int = 0
    tokens_out: int = 0
    note: str = ""


def estimated(concept: Concept) -> int:
    """Estimate how many tokens all of a concept takes up that a prompt may show."""
    head = f"{concept.name}({', '.join(concept.parameters)}): {concept.description}"
    source = concept.program.source if concept.program else ""
    return estimate("\n".join([head, f"when: {'; '.join(concept.cues)}", *concept.notes, source]))


async def select(
    model: BaseChatModel,
    text: str,
    concepts: Sequence[Concept],
    *,
    tokens: int | None = None,
    count: Callable[[Concept], int] = estimated,
) -> Selection:
    """Have a model choose which concepts help with a task (ArcMemo, section 3.4), the first ``MOST_SHOWN``.

    ``text`` is what is said of the task. Of those chosen the ones that fit into ``tokens`` are kept. An
    answer that cannot be read leaves the ranking as it is. Raises what the model raises.
    """
    offered = concepts[:MOST_SHOWN]
    if not offered:
        return Selection(())
    entries = "\n".join(f"{number}. {_entry(one)}" for number, one in enumerate(offered, start=1))
    question = filled(
        "select",
        task=fenced("puzzle", text, _MOST_TASK) or "Nothing is said about it.",
        entries=fenced("entries", entries, len(entries)),
    )
    answer = await ask(model, [("system", filled("system")), ("human", question)])
    chosen = _read(answer.text, len(offered))
    note = "" if chosen is not None else "the answer names no entry; the ranking was kept"
    kept = concepts if chosen is None else [offered[index] for index in chosen]
    if tokens is not None:
        kept = fit(kept, tokens, count)
    return Selection(tuple(kept), answer.tokens_in, answer.tokens_out, note)


def adapt(recalled: Sequence[Recalled], most: int) -> Sequence[Recalled]:
    """Give as many of the best as stand out, at least one of any, up to ``most`` (after SimpleMem).

    What has less than ``LEAST_SHARE`` of the best one's score goes; then, where the scores fall off most, if
    by ``LEAST_DROP`` of the score before at least, everything below goes. Scores that hardly differ say
    nothing, and all stay.
    """
    best = recalled[0].score if recalled else 0.0
    kept = [one for one in recalled[: max(0, most)] if one.score >= LEAST_SHARE * best]
    if best <= 0 or len(kept) < 2:
        return recalled[: min(1, max(0, most))]
    drops = [1 - after.score / before.score for before, after in pairwise(kept)]
    steepest = max(drops)
    return kept[: drops.index(steepest) + 1] if steepest >= LEAST_DROP else kept


def fit(
    concepts: Sequence[Concept], tokens: int, count: Callable[[Concept], int] = estimated
) -> list[Concept]:
    """Keep the concepts that fit into a budget of tokens, those that come first before others."""
    kept, left = [], tokens
    for one in concepts:
        needed = count(one)
        if needed <= left:
            kept.append(one)
            left -= needed
    return kept


def order(concepts: Sequence[Concept], how: Order) -> list[Concept]:
    """Put concepts, the best of which comes first, into the order in which they are shown.

    ``ends`` has the best at both ends and the least in the middle, which models lose (Liu et al. 2023, Lost
    in the Middle). Raises ``ValueError`` for another order.
    """
    if how == "best-first":
        return list(concepts)
    if how == "best-last":
        return list(reversed(concepts))
    if how == "ends":
        return [*concepts[::2], *reversed(concepts[1::2])]
    raise ValueError(f"no order {how!r}; choose best-first, best-last or ends")


def _entry(concept: Concept) -> str:
    cues = f" (when: {'; '.join(concept.cues)})" if concept.cues else ""
    return line(f"{concept.name}: {concept.description}{cues}", _MOST_ENTRY)


def _read(text: str, entries: int) -> list[int] | None:
    """Give the positions that an answer names, or nothing where it names none that there are."""
    for value in values(text, "{["):
        numbers = value.get("numbers") if isinstance(value, dict) else value
        if isinstance(numbers, list):
            named = [_number(one) for one in numbers]
            found = dict.fromkeys(one - 1 for one in named if 1 <= one <= entries)
            if found or not numbers:
                return list(found)
    return None


def _number(value: Any) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value.strip()[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else 0

"""What can be chosen about prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GridEncoding = Literal["digits", "colours", "objects", "runs"]
"""How a grid is written.

``digits``   a number a cell, a line a row
``colours``  the same with names of colours
``objects``  the background, then a line for each object: its colour and its cells
``runs``     a line a row, each run of equal cells as ``colour x length``
"""

MAX_WORKED = 2


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What can be chosen about prompts.

    ``few_shot`` worked examples of the project's own (0 to 2) come first. ``shots`` is how many of the task's
    examples are shown at most, ``None``: all that fit. ``failures`` says how many of the examples that failed
    are shown as feedback. ``translate_with_examples`` is ``False`` for a translation from the rule alone, as
    Qiu et al. do it. ``structured`` asks for outputs and summaries as JSON, for servers that
    enforce a schema.

    Raises ``ValueError`` for numbers that make no sense.
    """

    grid: GridEncoding = "digits"
    few_shot: int = 1
    shots: int | None = None
    failures: Literal["first", "all"] = "all"
    translate_with_examples: bool = True
    structured: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.few_shot <= MAX_WORKED:
            raise ValueError(f"few_shot must be 0 to {MAX_WORKED}, not {self.few_shot}")
        if self.shots is not None and self.shots < 1:
            raise ValueError(f"shots must be at least 1, or none for all that fit, not {self.shots}")

"""A person at the terminal picks among hypotheses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from rich.console import Console

from hypotheses.hypothesis import Hypothesis
from hypotheses.task import Task
from induce.cli.output import print_line


class TerminalPicker:
    """Lists the hypotheses of a task and reads the numbers of those to go on with, one task at a time."""

    def __init__(self, console: Console, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._console = console
        self._pause = pause
        self._resume = resume
        self._turn = asyncio.Lock()

    async def pick(self, task: Task, hypotheses: Sequence[Hypothesis], to: int) -> Sequence[int]:
        """Ask until the answer is a list of numbers; an empty line takes the first ``to``."""
        async with self._turn:
            self._pause()
            try:
                print_line(self._console, f"{task.id}: which of these rules are right?", "bold")
                for number, hypothesis in enumerate(hypotheses, 1):
                    print_line(self._console, f"{number:3}  {' '.join(hypothesis.text.split())}")
                while True:
                    question = f"up to {to} numbers, or nothing for the first {to}: "
                    answer = await asyncio.to_thread(self._console.input, question)
                    picked = read_numbers(answer, len(hypotheses), to)
                    if picked is not None:
                        return picked
                    print_line(self._console, f"numbers from 1 to {len(hypotheses)}, please", "yellow")
            finally:
                self._resume()


def read_numbers(answer: str, count: int, to: int) -> list[int] | None:
    """Read ``3, 1 7`` as indices from 0, each once; ``None`` where that is not what it says."""
    words = answer.replace(",", " ").split()
    if not words:
        return list(range(min(count, to)))
    if not all(word.isdecimal() and 1 <= int(word) <= count for word in words):
        return None
    return list(dict.fromkeys(int(word) - 1 for word in words))[:to]

"""Draw docs/solved-task.svg, the picture in the README: an ARC task as `induce solve` shows it.

python docs/picture.py
"""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from rich.text import Text

import induce
from induce.render import render_examples
from induce.solution_view import render_solution

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
LOOK = "$ induce tasks show examples/arc/dae9d2b5.json"
SOLVE = "$ induce solve examples/arc/dae9d2b5.json --proposer recorded:examples/arc_gpt4.jsonl"


def main() -> None:
    [task] = induce.load_tasks(EXAMPLES / "arc" / "dae9d2b5.json")
    solution = induce.solve(task, proposer=f"recorded:{EXAMPLES / 'arc_gpt4.jsonl'}")
    console = Console(
        record=True, width=92, file=io.StringIO(), color_system="truecolor", force_terminal=True
    )
    examples = render_examples(task.examples[:3], task.signature.call)
    console.print(Text(LOOK, style="bold"), examples, Text("…"), Text(), sep="\n")
    console.print(Text(SOLVE, style="bold"), *render_solution(task, solution), sep="\n")
    console.save_svg(str(HERE / "solved-task.svg"), title="induce")


if __name__ == "__main__":
    main()

"""Tasks as the command line names them."""

from __future__ import annotations

from induce.cli.output import BadTasks
from induce.tasks import TaskSet, load_tasks


def open_tasks(
    source: str, task_format: str | None, shots: int | None, output_column: str | None, *, skip_bad: bool
) -> TaskSet:
    """Open the tasks that these options mean; bad ones are reported where they are skipped."""
    return load_tasks(
        source,
        format=task_format,
        shots=shots,
        output_column=output_column,
        skip_bad=BadTasks() if skip_bad else None,
    )

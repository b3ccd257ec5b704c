"""Readers: from a benchmark's own files to tasks and, apart from them, their answers.

>>> from induce.tasks import load_tasks
>>> for task in load_tasks("tasks.jsonl"):
...     print(task.id, task.signature)
"""

from induce.tasks.labelled import LabelledTask
from induce.tasks.source import TaskSet, load_tasks

__all__ = ["LabelledTask", "TaskSet", "load_tasks"]

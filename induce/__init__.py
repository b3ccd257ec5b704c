"""From a handful of examples to a verified, readable program.

>>> import induce
>>> task = induce.Task.from_pairs([("ada", "ADA"), ("bob", "BOB")], queries=["eve"])
>>> solution = induce.solve(task)
>>> solution.solved, solution.predictions
(True, (('EVE',),))

Names are loaded when they are first used, so that ``import induce`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from induce._siblings import check_siblings
from induce._version import __version__

if TYPE_CHECKING:
    from hypotheses.hypothesis import Candidate, Hypothesis, Solution, Usage, Verdict
    from hypotheses.search import SearchProposer
    from hypotheses.solver import Solver, SolverConfig
    from hypotheses.task import Example, Parameter, Signature, Task
    from induce.api import asolve, solve
    from induce.tasks import TaskSet, load_tasks
    from sandboxes import EmbeddedSandbox, Execution, InduceError, Limits, Program, Sandbox

_HOMES = {
    "Candidate": "hypotheses.hypothesis",
    "EmbeddedSandbox": "sandboxes",
    "Example": "hypotheses.task",
    "Execution": "sandboxes",
    "Hypothesis": "hypotheses.hypothesis",
    "InduceError": "sandboxes",
    "Limits": "sandboxes",
    "Parameter": "hypotheses.task",
    "Program": "sandboxes",
    "Sandbox": "sandboxes",
    "SearchProposer": "hypotheses.search",
    "Signature": "hypotheses.task",
    "Solution": "hypotheses.hypothesis",
    "Solver": "hypotheses.solver",
    "SolverConfig": "hypotheses.solver",
    "Task": "hypotheses.task",
    "TaskSet": "induce.tasks",
    "Usage": "hypotheses.hypothesis",
    "Verdict": "hypotheses.hypothesis",
    "asolve": "induce.api",
    "load_tasks": "induce.tasks",
    "solve": "induce.api",
}

__all__ = [
    "Candidate",
    "EmbeddedSandbox",
    "Example",
    "Execution",
    "Hypothesis",
    "InduceError",
    "Limits",
    "Parameter",
    "Program",
    "Sandbox",
    "SearchProposer",
    "Signature",
    "Solution",
    "Solver",
    "SolverConfig",
    "Task",
    "TaskSet",
    "Usage",
    "Verdict",
    "__version__",
    "asolve",
    "load_tasks",
    "solve",
]

check_siblings()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'induce' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

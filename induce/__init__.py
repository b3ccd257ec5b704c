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
    from hypotheses.hypothesis import (
        Candidate,
        Completion,
        Feedback,
        Hypothesis,
        Implementation,
        Proposal,
        Report,
        Solution,
        Usage,
        Verdict,
    )
    from hypotheses.proposer import Implementer, Proposer, Request
    from hypotheses.recipes import Recipe, find_recipe, load_recipe
    from hypotheses.run_log import RunLog
    from hypotheses.search import SearchProposer
    from hypotheses.solver import Solver
    from hypotheses.solver_config import SolverConfig
    from hypotheses.task import Example, Parameter, Signature, Task
    from induce.api import asolve, solve
    from induce.batch import solve_batch
    from induce.tasks import TaskSet, load_tasks
    from sandboxes import (
        EmbeddedSandbox,
        Execution,
        InduceError,
        Limits,
        ModelError,
        Program,
        ProposerError,
        RunLogError,
        Sandbox,
        SandboxError,
        SettingsError,
        TaskFormatError,
    )

_HOMES = {
    "Candidate": "hypotheses.hypothesis",
    "Completion": "hypotheses.hypothesis",
    "EmbeddedSandbox": "sandboxes",
    "Example": "hypotheses.task",
    "Execution": "sandboxes",
    "Feedback": "hypotheses.hypothesis",
    "Hypothesis": "hypotheses.hypothesis",
    "Implementation": "hypotheses.hypothesis",
    "Implementer": "hypotheses.proposer",
    "InduceError": "sandboxes",
    "Limits": "sandboxes",
    "ModelError": "sandboxes",
    "Parameter": "hypotheses.task",
    "Program": "sandboxes",
    "Proposal": "hypotheses.hypothesis",
    "Proposer": "hypotheses.proposer",
    "ProposerError": "sandboxes",
    "Recipe": "hypotheses.recipes",
    "Report": "hypotheses.hypothesis",
    "Request": "hypotheses.proposer",
    "RunLog": "hypotheses.run_log",
    "RunLogError": "sandboxes",
    "Sandbox": "sandboxes",
    "SandboxError": "sandboxes",
    "SearchProposer": "hypotheses.search",
    "SettingsError": "sandboxes",
    "Signature": "hypotheses.task",
    "Solution": "hypotheses.hypothesis",
    "Solver": "hypotheses.solver",
    "SolverConfig": "hypotheses.solver_config",
    "Task": "hypotheses.task",
    "TaskFormatError": "sandboxes",
    "TaskSet": "induce.tasks",
    "Usage": "hypotheses.hypothesis",
    "Verdict": "hypotheses.hypothesis",
    "asolve": "induce.api",
    "find_recipe": "hypotheses.recipes",
    "load_recipe": "hypotheses.recipes",
    "load_tasks": "induce.tasks",
    "solve": "induce.api",
    "solve_batch": "induce.batch",
}

__all__ = [
    "Candidate",
    "Completion",
    "EmbeddedSandbox",
    "Example",
    "Execution",
    "Feedback",
    "Hypothesis",
    "Implementation",
    "Implementer",
    "InduceError",
    "Limits",
    "ModelError",
    "Parameter",
    "Program",
    "Proposal",
    "Proposer",
    "ProposerError",
    "Recipe",
    "Report",
    "Request",
    "RunLog",
    "RunLogError",
    "Sandbox",
    "SandboxError",
    "SearchProposer",
    "SettingsError",
    "Signature",
    "Solution",
    "Solver",
    "SolverConfig",
    "Task",
    "TaskFormatError",
    "TaskSet",
    "Usage",
    "Verdict",
    "__version__",
    "asolve",
    "find_recipe",
    "load_recipe",
    "load_tasks",
    "solve",
    "solve_batch",
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

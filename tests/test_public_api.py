"""The face: flat, pinned, and light."""

import importlib
import json
import subprocess
import sys

import induce

PUBLIC = set(
    "Candidate Completion EmbeddedSandbox Example Execution Feedback Hypothesis Implementation "
    "Implementer InduceError Limits ModelError Parameter Program Proposal Proposer ProposerError "
    "Recipe Report Request RunLog RunLogError Sandbox SandboxError SearchProposer "
    "SettingsError Signature Solution Solver SolverConfig Task TaskFormatError TaskSet Usage Verdict "
    "__version__ asolve find_recipe load_recipe load_tasks solve solve_batch".split()
)
HEAVY = frozenset(
    "docker httpx langchain langchain_core langchain_openai numpy openai pyarrow ray sqlalchemy torch "
    "transformers vllm".split()
)


def test_the_face_is_pinned():
    assert set(induce.__all__) == PUBLIC
    assert set(dir(induce)) == PUBLIC
    for name in PUBLIC:
        assert getattr(induce, name) is not None


def test_the_lazy_names_are_those_that_type_checkers_see():
    for name, home in induce._HOMES.items():
        assert getattr(induce, name) is getattr(importlib.import_module(home), name)


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(induce, "nonsense")


def loaded_by(statement):
    script = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


def test_importing_induce_loads_nothing_heavy():
    assert not loaded_by("import induce") & {*HEAVY, "asyncio", "pydantic", "rich", "typer"}


def test_the_solver_loads_nothing_that_belongs_behind_an_extra():
    loaded = loaded_by("import induce; induce.solve, induce.load_tasks, induce.Solver")
    assert not loaded & (HEAVY - {"numpy", "sqlalchemy"})


def test_import_time():
    """A generous bound: 0.3 s is promised and 0.05 s usual, interpreter start included."""
    script = "import time; t = time.perf_counter(); import induce; print(time.perf_counter() - t)"
    times = [
        float(
            subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        )
        for _ in range(3)
    ]
    assert min(times) < 0.3

"""The recipe `arc-memo`, end to end: scripted model, real memory, prompts, loop and sandbox."""

import asyncio
import json

import pytest
from scripted_model import ScriptedModel

from hypotheses.budget import Budget, Ledger
from hypotheses.model_proposer import ModelProposer
from hypotheses.models.chat import ModelDownError
from hypotheses.prompts import PromptOptions, Prompts
from hypotheses.recall.abstracting import ModelAbstractor
from hypotheses.recall.experience import StoredExperience
from hypotheses.recipes import RECIPES, Recall
from hypotheses.solver import Solver, SolverConfig
from hypotheses.steps.model import Model
from hypotheses.task import Task
from memory import Concept, ConceptStore

pytest.importorskip("alembic", reason="memories need the extra `memory`")
pytest.importorskip("langchain_core", reason="models need the extra `models`")

RIGHT = "```python\ndef f(x):\n    return x[::-1]\n```"
WRONG = "```python\ndef f(x):\n    return x\n```"
MADE = json.dumps(
    {"concepts": [{"name": "reverse order", "description": "turn a list around", "cues": ["first is last"]}]}
)


def task(name="reverse"):
    pairs = [([1, 2], [2, 1]), ([3, 4, 5], [5, 4, 3])]
    return Task.from_pairs(pairs, queries=[[7, 8, 9]], id=name, description="put it the other way round")


@pytest.fixture
def store(tmp_path):
    with ConceptStore.open(tmp_path / "memory.sqlite") as opened:
        opened.bring(
            [
                Concept("sorting", "put in order", cues=("the output is the other way of sorted",)),
                Concept("turning round", "the other way round: the last comes first"),
                Concept("unrelated", "flood fill enclosed regions"),
            ]
        )
        yield opened


def run(sandbox, store, script, name="reverse", recall=None, budget=None):
    """Solve a task with the recipe; give the solution and the model, which knows what it was asked."""
    recipe = RECIPES["arc-memo"]
    recipe = recipe.model_copy(update={"recall": recall or recipe.recall.model_copy(update={"batch": 1})})
    scripted = ScriptedModel(script)
    model = Model(scripted, Prompts(PromptOptions()))
    proposer = ModelProposer(recipe, model)
    abstractor = ModelAbstractor(model, Ledger()) if recipe.recall.abstract else None
    experience = StoredExperience(
        store, learns=True, tried=recipe.recall.concepts, model="scripted", abstractor=abstractor
    )
    config = SolverConfig(rounds=recipe.rounds, samples=2, programs=1, budget=budget or Budget())
    solver = Solver(proposer, sandbox, implementer=proposer, config=config, experience=experience)
    return asyncio.run(solver.solve(task(name))), scripted


def ideas(prompt):
    """Which of the concepts a prompt shows; one that is tried may be held out."""
    return {name for name in ("sorting", "turning round") if name in prompt}


def asked(model, kind):
    return [request.prompt for request in model.asked if request.kind == kind]


def by_kind(selection='{"numbers": [1]}', program=RIGHT, abstraction=MADE):
    answers = {"selection": selection, "program": program, "abstraction": abstraction}
    return lambda request, _: answers[request.kind]


def test_the_model_picks_concepts_sees_them_and_writes_down_new_ones(sandbox, store):
    solution, model = run(sandbox, store, by_kind())
    assert solution.solved
    [choosing] = asked(model, "selection")
    assert ideas(choosing)
    assert "[1, 2]" in choosing  # the task is shown
    [prompt] = asked(model, "program")
    assert prompt.count("Ideas from other tasks") == 1
    assert len(ideas(prompt)) == 1  # the one that was picked
    steps, concepts = asked(model, "abstraction")
    assert "return x[::-1]" in steps
    assert "[7, 8, 9]" not in steps + concepts  # nothing of the queries
    made = {one.name: one for one in store.concepts()}
    assert made["reverse order"].cues == ("first is last",)
    origin = made["reverse order"].provenance
    assert (origin.family, origin.task, origin.model) == ("own", "reverse", "scripted")
    assert "in:list[int]" in made["reverse order"].features
    assert solution.usage.completions == 3  # the abstraction comes after the solution


def test_what_one_task_taught_is_shown_for_the_next(sandbox, store):
    run(sandbox, store, by_kind())
    _, model = run(sandbox, store, by_kind(selection="{}"), "another")
    [prompt] = asked(model, "program")
    assert "reverse order" in prompt


def test_a_failure_teaches_only_where_something_was_right(sandbox, store):
    before = len(store)
    half = "```python\ndef f(x):\n    return [2, 1]\n```"
    solution, model = run(sandbox, store, by_kind(program=half))
    assert not solution.solved
    assert "1 of 2 examples came out wrong" in asked(model, "abstraction")[1]
    assert len(store) == before + 1
    _, model = run(sandbox, store, by_kind(program=WRONG), "another")
    assert asked(model, "abstraction") == []


@pytest.mark.parametrize("nonsense", ["", "I think all of them.", '{"numbers": [99]}', "[[[", "{" * 5_000])
def test_an_answer_that_picks_nothing_leaves_the_ranking(sandbox, store, nonsense):
    solution, model = run(sandbox, store, by_kind(selection=nonsense, abstraction=nonsense))
    assert solution.solved
    assert ideas(asked(model, "program")[0])
    assert "reverse order" not in {one.name for one in store.concepts()}


def test_a_model_that_is_down_for_the_choice_is_asked_for_the_program_all_the_same(sandbox, store):
    def script(request, _):
        if request.kind != "program":
            raise ModelDownError("nobody there")
        return RIGHT

    solution, model = run(sandbox, store, script)
    assert solution.solved
    assert ideas(asked(model, "program")[0])


def test_a_budget_for_one_completion_goes_to_the_choice_and_nothing_breaks(sandbox, store):
    solution, _ = run(sandbox, store, by_kind(), budget=Budget(completion_tokens=101))
    assert not solution.solved
    assert "budget" in solution.note


def test_tokens_order_and_number_are_as_the_recipe_says(sandbox, store):
    store.bring([Concept(f"the other way {n}", "round " * 300) for n in range(5)])
    ranked = Recall(concepts=4, tokens=900, order="best-last")
    _, model = run(sandbox, store, by_kind(), recall=ranked)
    assert asked(model, "selection") == []
    [prompt] = asked(model, "program")
    assert len(prompt) < 12_000
    none = Recall(concepts=0)
    _, model = run(sandbox, store, by_kind(), recall=none)
    assert "Ideas from other tasks" not in asked(model, "program")[0]

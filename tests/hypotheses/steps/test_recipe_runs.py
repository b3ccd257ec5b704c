"""Every recipe, end to end: scripted model, real prompts, real loop, real sandbox."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from scripted_model import ScriptedModel

from hypotheses.budget import Budget
from hypotheses.model_proposer import ModelProposer
from hypotheses.prompts import PromptOptions, Prompts
from hypotheses.recipes import RECIPES, Implement, Pick, Propose, Recipe, Refine, Summarize
from hypotheses.solver import Solver, SolverConfig
from hypotheses.steps.model import Model
from hypotheses.task import Task

TASK = Task.from_pairs([([1, 2], [2, 1]), ([3, 4, 5], [5, 4, 3])], queries=[[7, 8, 9]], id="reverse")

RIGHT = "```python\ndef f(x):\n    return x[::-1]\n```"
WRONG = "```python\ndef f(x):\n    return x\n```"


class Run:
    def __init__(self, sandbox, recipe, script, task=TASK, **config):
        self.model = ScriptedModel(script)
        self.records = []
        picker = config.pop("picker", None)
        proposer = ModelProposer(recipe, Model(self.model, Prompts(PromptOptions())), picker)
        refine = recipe.refine
        defaults = {
            "rounds": recipe.rounds,
            "samples": max(recipe.propose.samples, refine.samples if refine else 0),
            "programs": recipe.implement.programs if recipe.implement else 1,
            "feedback": refine.parents if refine else 1,
            "selection": recipe.select,
            "allocation": recipe.allocation,
        }
        solver = Solver(
            proposer,
            sandbox,
            implementer=proposer,
            config=SolverConfig(**defaults | config),
            recorder=self,
        )
        self.solution = asyncio.run(solver.solve(task))

    def record(self, task, trace, solution):
        self.trace = trace

    def kinds(self):
        return [(request.kind, request.round, request.n) for request in self.model.asked]


def scaled(name, **parts):
    """The recipe of that name with fewer samples."""
    recipe = RECIPES[name]
    steps = {step: getattr(recipe, step).model_copy(update=values) for step, values in parts.items()}
    return recipe.model_copy(update=steps)


def by_kind(**texts):
    return lambda request, sample: texts[request.kind]


def test_program_only(sandbox):
    run = Run(
        sandbox, scaled("program-only", propose={"samples": 4}), lambda r, i: RIGHT if i == 2 else WRONG
    )
    assert run.kinds() == [("program", 0, 4)]
    assert run.solution.solved
    assert run.solution.predictions == (([9, 8, 7],),)
    assert run.solution.usage.completions == 4
    assert run.solution.usage.programs == 2


def test_hypothesis_refinement_feeds_the_best_back_and_revises_the_rule(sandbox):
    def script(request, sample):
        if request.kind == "hypothesis":
            return "Rule: reverse it" if request.round == 1 else f"Rule: keep it, {sample}"
        return RIGHT if request.rule == "reverse it" else WRONG

    run = Run(sandbox, RECIPES["hypothesis-refinement"], script)
    first, *translations = run.kinds()
    assert first == ("hypothesis", 0, 5)
    assert translations[:5] == [("translation", 0, 1)] * 5
    assert run.kinds()[6] == ("hypothesis", 1, 5)
    assert run.solution.solved
    assert run.solution.usage.rounds == 2
    assert run.solution.candidate.hypothesis.text == "reverse it"
    assert run.solution.candidate.hypothesis.parents == ("keep it, 0",)
    revision = run.model.asked[6].messages[-1].content
    assert "keep it, 0" in revision
    assert "[2, 1]" in revision


def test_hypothesis_refinement_in_python(sandbox):
    script = lambda request, sample: RIGHT if request.round == 2 else WRONG  # noqa: E731
    run = Run(sandbox, RECIPES["hypothesis-refinement-python"], script)
    assert run.kinds() == [("program", 0, 5), ("program", 1, 5), ("program", 2, 5)]
    assert run.solution.solved


def test_hypothesis_search_summarizes_then_repairs_one_of_each_behaviour(sandbox):
    def script(request, sample):
        if request.kind == "hypothesis":
            return f"Rule: rule {sample}"
        if request.kind == "summary":
            return "1. keep it\n2. empty it"
        if request.kind == "translation":
            return WRONG if request.rule == "keep it" else "```python\ndef f(x):\n    return []\n```"
        return RIGHT

    recipe = scaled(
        "hypothesis-search", propose={"samples": 6}, summarize={"to": 2}, implement={"programs": 3}
    )
    run = Run(sandbox, recipe, script)
    assert run.kinds()[:4] == [
        ("hypothesis", 0, 6),
        ("summary", 0, 1),
        ("translation", 0, 3),
        ("translation", 0, 3),
    ]
    repairs = [request for request in run.model.asked if request.kind == "program"]
    assert len(repairs) == 2  # one for each behaviour
    assert sum(request.n for request in repairs) == recipe.refine.samples
    assert run.solution.solved
    assert len(run.trace.completions) == run.solution.usage.completions == 6 + 1 + 6 + 8


def test_rule_application_needs_no_program(sandbox):
    def script(request, sample):
        if request.kind == "hypothesis":
            return "Rule: reverse it"
        numbers = [int(digit) for digit in request.messages[-1].content.rpartition("[")[2] if digit.isdigit()]
        return f"Output: {numbers[::-1]}"

    run = Run(sandbox, scaled("rule-application", propose={"samples": 1}), script)
    assert run.solution.solved
    assert run.solution.candidate.program is None
    assert run.solution.predictions == (([9, 8, 7],),)
    assert [kind for kind, _, _ in run.kinds()] == ["hypothesis"] + ["application"] * 3


def test_direct_takes_the_majority_for_each_query(sandbox):
    task = replace(TASK, queries=([1, 2, 3], [4, 5, 6]))

    def script(request, sample):
        second = "[4, 5, 6]" in request.messages[-1].content.rpartition("Input")[2]
        if second:
            return "Output: [6, 5, 4]" if sample else "no idea"
        return ["Output: [3, 2, 1]", "Output: [1]", "Output: [3, 2, 1]"][sample]

    run = Run(sandbox, scaled("direct", propose={"samples": 3}), script, task)
    assert run.solution.outcome == "answered"
    assert run.solution.predictions == (([3, 2, 1],), ([6, 5, 4],))
    assert run.solution.usage.completions == 6
    assert run.solution.usage.programs == 0


def test_self_refine_asks_for_a_critique_first(sandbox):
    def script(request, sample):
        if request.kind == "critique":
            return "It does not reverse."
        return RIGHT if request.round else WRONG

    run = Run(sandbox, scaled("self-refine", propose={"samples": 1}, refine={"samples": 1}), script)
    assert [kind for kind, _, _ in run.kinds()] == ["program", "critique", "program"]
    assert "It does not reverse." in run.model.asked[-1].messages[-1].content
    assert run.solution.solved


def test_levels_of_abstraction_share_the_samples(sandbox):
    recipe = Recipe(
        name="levels",
        propose=Propose(what="hypothesis", samples=5, levels=("concrete", "general")),
        implement=Implement(),
    )
    run = Run(sandbox, recipe, by_kind(hypothesis="Rule: reverse it", translation=RIGHT))
    assert sorted(n for kind, _, n in run.kinds() if kind == "hypothesis") == [2, 3]
    assert run.solution.solved


def test_a_person_picks(sandbox):
    class Person:
        async def pick(self, task, hypotheses, to):
            return [index for index, one in enumerate(hypotheses) if "reverse" in one.text][:to]

    recipe = Recipe(
        name="picked",
        propose=Propose(what="hypothesis", samples=4),
        pick=Pick(to=1, by="person"),
        implement=Implement(),
    )
    texts = ["Rule: keep it", "Rule: reverse it", "Rule: sort it", "Rule: reverse it twice"]
    script = lambda request, i: texts[i] if request.kind == "hypothesis" else RIGHT  # noqa: E731
    run = Run(sandbox, recipe, script, picker=Person())
    assert [entry.proposal.hypothesis.text for entry in run.trace.entries] == ["reverse it"]
    assert len(run.trace.completions) == 5  # those not picked were paid for all the same


def test_the_score_picks_what_was_proposed_most_often(sandbox):
    recipe = Recipe(
        name="scored",
        propose=Propose(what="hypothesis", samples=4),
        pick=Pick(to=1),
        implement=Implement(),
    )
    texts = ["Rule: keep it", "Rule: reverse it", "Rule: sort it", "Rule:  Reverse  it"]
    script = lambda request, i: texts[i] if request.kind == "hypothesis" else RIGHT  # noqa: E731
    run = Run(sandbox, recipe, script)
    assert [entry.proposal.hypothesis.text for entry in run.trace.entries] == ["reverse it"]


def test_a_summary_that_cannot_be_read_leaves_the_most_frequent_rules(sandbox):
    recipe = Recipe(
        name="summarized",
        propose=Propose(what="hypothesis", samples=4),
        summarize=Summarize(to=2),
        implement=Implement(),
    )

    def script(request, sample):
        if request.kind == "summary":
            return ScriptedModel.completion(request, sample, "1. cut", finish="length")
        return ["Rule: a", "Rule: b", "Rule: c", "Rule: c"][sample] if request.kind == "hypothesis" else RIGHT

    run = Run(sandbox, recipe, script)
    assert [entry.proposal.hypothesis.text for entry in run.trace.entries] == ["c", "a"]
    assert len([one for _, one in run.trace.completions if one.kind == "summary"]) == 1


UNREADABLE = {
    "no code": "I am sorry, I cannot do that.",
    "truncated": "```python\ndef f(x):\n    return x[::-",
    "another language": "```java\nclass F { int[] f(int[] x) { return x; } }\n```",
    "nothing": "",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_completion_without_a_program_is_kept_and_counted(sandbox, text):
    run = Run(sandbox, scaled("program-only", propose={"samples": 2}), lambda r, i: text if i == 0 else RIGHT)
    assert run.solution.solved
    assert [one.response for _, one in run.trace.completions] == [text, RIGHT]
    assert len(run.trace.entries) == 1


def test_what_was_cut_off_is_not_read_even_if_it_looks_complete(sandbox):
    def script(request, sample):
        return ScriptedModel.completion(request, sample, RIGHT, finish="length")

    run = Run(sandbox, scaled("program-only", propose={"samples": 1}), script)
    assert run.solution.outcome == "unsolved"
    assert run.solution.usage.completions == 1


READABLE = {
    "several blocks": f"First:\n{WRONG}\nBetter:\n{RIGHT}\nFor example:\n```\nf([1, 2]) == [2, 1]\n```",
    "another name": "```python\ndef reverse(lst):\n    return lst[::-1]\n```",
    "prints at top level": "```python\ndef f(x):\n    return x[::-1]\nprint(f([1, 2]))\n```",
    "no fence": "def f(x):\n    return x[::-1]\n",
    "prose around": f"Sure! Here it is.\n\n{RIGHT}\n\nHope that helps.",
    "a long fence": "````python\ndef f(x):\n    '''\n```\n    '''\n    return x[::-1]\n````",
}


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_programs_are_found_in_what_models_write(sandbox, text):
    assert Run(sandbox, scaled("program-only", propose={"samples": 1}), lambda r, i: text).solution.solved


def test_input_at_top_level_raises_and_stops_nothing(sandbox):
    text = "```python\nn = int(input())\ndef f(x):\n    return x[::-1]\n```"
    run = Run(sandbox, scaled("program-only", propose={"samples": 1}), lambda r, i: text)
    assert run.solution.outcome == "unsolved"
    assert {one.status for one in run.solution.verdict.executions} == {"raised"}


def test_where_nothing_could_be_run_later_rounds_ask_for_further_samples(sandbox):
    def script(request, sample):
        return RIGHT if sample >= 10 else "no"

    run = Run(sandbox, RECIPES["hypothesis-refinement-python"], script)
    # Rounds end where nothing is proposed, so silence is final.
    assert run.solution.outcome == "unsolved"
    assert run.kinds() == [("program", 0, 5)]


def test_revising_the_same_candidate_again_asks_for_further_samples(sandbox):
    run = Run(sandbox, RECIPES["hypothesis-refinement-python"], lambda request, sample: WRONG)
    assert [(request.round, request.first) for request in run.model.asked] == [(0, 0), (1, 0), (2, 5)]
    assert run.solution.usage.completions == 15


def test_the_token_budget_ends_the_work_and_says_so(sandbox):
    run = Run(
        sandbox,
        scaled("program-only", propose={"samples": 50, "max_tokens": 100}),
        lambda r, i: WRONG,
        budget=Budget(completion_tokens=300),
    )
    assert run.solution.usage.completion_tokens <= 300
    assert "completion tokens" in run.solution.note


def test_the_program_budget_ends_the_work_and_says_so(sandbox):
    def script(request, sample):
        return f"```python\ndef f(x):\n    return [{sample}]\n```"

    run = Run(sandbox, scaled("program-only", propose={"samples": 9}), script, budget=Budget(programs=4))
    assert run.solution.usage.programs == 4
    assert "programs" in run.solution.note


def test_the_bandit_gives_more_programs_to_the_rule_that_comes_nearer(sandbox):
    task = Task.from_pairs([([n], [n + 1]) for n in range(8)], queries=[[9]], id="next")

    def script(request, sample):
        if request.kind == "hypothesis":
            return ["Rule: near", "Rule: far", "Rule: farther", "Rule: no"][sample]
        if request.rule == "near":
            return f"```python\ndef f(x):\n    return [x[0] + 1] if x[0] != {sample % 3} else [{sample}]\n```"
        return f"```python\ndef f(x):\n    return ['{request.rule}', {sample}]\n```"

    recipe = Recipe(
        name="bandit",
        propose=Propose(what="hypothesis", samples=4),
        implement=Implement(programs=10, temperature=0.7),
        allocation="bandit",
    )
    run = Run(sandbox, recipe, script, task)
    asked = {}
    for request in run.model.asked:
        if request.kind == "translation":
            asked.setdefault(request.rule, []).append((request.first, request.n))
    totals = {rule: sum(n for _, n in spans) for rule, spans in asked.items()}
    assert sum(totals.values()) == 40
    assert totals["near"] > 20
    for spans in asked.values():  # no sample is asked for twice
        assert all(first + n == following for (first, n), (following, _) in itertools.pairwise(spans))


def test_the_same_script_gives_the_same_record(sandbox):
    def script(request, sample):
        if request.kind == "hypothesis":
            return f"Rule: rule {sample} of round {request.round}"
        return f"```python\ndef f(x):\n    return x[:{sample}]\n```"

    runs = [
        Run(sandbox, scaled("hypothesis-refinement", implement={"programs": 2}), script) for _ in range(2)
    ]
    first, second = ([(r.kind, r.round, r.messages, r.first, r.n) for r in run.model.asked] for run in runs)
    assert first == second
    assert runs[0].solution.predictions == runs[1].solution.predictions


def test_refine_needs_something_to_refine():
    with pytest.raises(ValueError, match="cannot be refined"):
        Recipe(name="x", propose=Propose(what="answer"), refine=Refine(what="program"))

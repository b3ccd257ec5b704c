"""What the prompts of each step hold, in which order, and how they fit the model's context."""

import os
import re
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from string import Template

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.hypothesis import Candidate, Feedback, Hypothesis, Verdict
from hypotheses.models.tokens import EstimatedTokens
from hypotheses.prompts import VERSION, PromptOptions, Prompts
from hypotheses.prompts.families import family_of, worked_examples
from hypotheses.task import Example, Parameter, Signature, Task, infer_signature
from hypotheses.verification import verify
from memory import Concept
from sandboxes import Execution, Limits, Program
from sandboxes.errors import ModelError


@dataclass(frozen=True)
class Section:
    """What CommonMark would see: a heading, a fence with its info string and content, or other text."""

    kind: str
    text: str
    info: str = ""


def sections(prompt: str) -> list[Section]:
    """Read a prompt as CommonMark reads blocks: a fence ends at a line of at least as many backticks."""
    found: list[Section] = []
    opened = None
    inside: list[str] = []
    for line in re.split(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", prompt):
        if opened is not None:
            if re.fullmatch(rf" {{0,3}}`{{{opened[0]},}}[ \t]*", line):
                found.append(Section("fence", "\n".join(inside), opened[1]))
                opened, inside = None, []
            else:
                inside.append(line)
        elif start := re.fullmatch(r" {0,3}(`{3,}|~{3,})([^`]*)", line):
            opened = (len(start[1]), start[2])
        elif re.match(r" {0,3}#{1,6}([ \t]|$)", line):
            found.append(Section("heading", line))
        elif line.strip():
            found.append(Section("text", line))
    assert opened is None, "a fence that never closes"
    return found


def outline(prompt: str) -> list[tuple[str, str]]:
    """Give the structure of a prompt: headings, fences by their info string, and every line of our own."""
    return [(one.kind, one.info if one.kind == "fence" else one.text) for one in sections(prompt)]


def feedback_on(task, *, source="def f(x):\n    return x", rule="Keep it.", run=None, failed=None):
    """Feedback on a candidate that failed on the examples ``failed``: all of them, unless told."""
    failed = range(len(task.examples)) if failed is None else failed
    run = run or Execution("ok", "something else")
    correct = tuple(index not in failed for index in range(len(task.examples)))
    runs = tuple(
        Execution("ok", example.output) if right else run
        for right, example in zip(correct, task.examples, strict=True)
    )
    program = Program(source, task.signature.name, task.signature.call)
    return Feedback(Candidate(Hypothesis(rule), program), Verdict(runs, correct))


CONCEPT = Concept(
    "shift", "Move all by one.", ("by: int",), ("rows move",), Program("def shift(g): ...", "shift")
)

STEPS: dict[str, Callable] = {
    "hypothesize": lambda prompts, task, **more: prompts.hypothesize(task, **more),
    "hypothesize concrete": lambda prompts, task, **more: prompts.hypothesize(
        task, level="concrete", notes=("No constant does.",), **more
    ),
    "hypothesize general": lambda prompts, task, **more: prompts.hypothesize(
        task, level="general", concepts=(CONCEPT,), **more
    ),
    "revise_hypothesis": lambda prompts, task, **more: prompts.revise_hypothesis(
        task, feedback_on(task), **more
    ),
    "write_program": lambda prompts, task, **more: prompts.write_program(task, **more),
    "translate": lambda prompts, task, **more: prompts.translate(task, "Keep it.", **more),
    "critique": lambda prompts, task, **more: prompts.critique(task, feedback_on(task), **more),
    "revise_program": lambda prompts, task, **more: prompts.revise_program(
        task, feedback_on(task), critique="It does nothing.", **more
    ),
    "summarize": lambda prompts, task, **more: prompts.summarize(task, ["Keep it.", "Turn it."], 1, **more),
    "answer": lambda prompts, task, **more: prompts.answer(task, task.queries[0], **more),
    "apply_rule": lambda prompts, task, **more: prompts.apply_rule(task, "Keep it.", task.queries[0], **more),
}

ARC = Task(
    "arc",
    (Example([[0, 1], [2, 3]], [[1, 0], [3, 2]]), Example([[4, 5, 6]], [[6, 5, 4]])),
    ([[7, 8]],),
    infer_signature((Example([[0]], [[0]]),), "grid_ndarray", name="transform"),
)

TASKS = {
    "string": Task.from_pairs([("ada", "ADA"), ("bob", "BOB")], ["eve"], id="string"),
    "list": Task.from_pairs([([3, 1], 3), ([2], 2), ([1, 5], 1)], [[9, 2]], id="list"),
    "table": Task.from_pairs(
        [([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], 3), ([{"a": 5, "b": "z"}], 5)], [[{"a": 1, "b": "q"}]]
    ),
    "graph": Task.from_pairs(
        [({"edges": [[0, 1]], "nodes": 2}, 1), ({"edges": [], "nodes": 1}, 0)],
        [{"edges": [[0, 1], [1, 2]], "nodes": 3}],
        call="keyword",
    ),
    "grid": ARC,
}


@pytest.fixture(params=list(TASKS))
def task(request):
    return TASKS[request.param]


@pytest.fixture(params=list(STEPS))
def step(request):
    return STEPS[request.param]


TEMPLATES = sorted(
    (resources.files("hypotheses.prompts") / "templates").iterdir(), key=lambda file: file.name
)


def text_of(messages):
    return "\n".join(message.content for message in messages)


def test_a_prompt_is_a_system_message_and_one_from_the_user(step, task):
    messages = step(Prompts(), task)
    assert [message.role for message in messages] == ["system", "user"]
    assert "never an instruction" in messages[0].content
    assert not re.search(r"\$[a-z]", messages[1].content)
    assert "\n\n\n" not in messages[1].content


def test_what_the_steps_show_only_changes_together_with_the_version():
    """Recorded completions are found by what the model was shown: to change that is to change ``VERSION``."""
    prompts = Prompts(PromptOptions(few_shot=2))
    shown = [text_of(step(prompts, task)) for step in STEPS.values() for task in TASKS.values()]
    digest = sha256("\0".join(shown).encode()).hexdigest()[:16]
    assert (VERSION, digest) == ("2", "006fd2b787c9ae1d")


@pytest.mark.parametrize("context", [None, 2400, 4000])
@pytest.mark.parametrize("few_shot", [0, 1, 2])
def test_all_steps_of_a_task_share_what_comes_before_their_instruction(task, few_shot, context):
    prompts = Prompts(PromptOptions(few_shot=few_shot), context=context)
    messages = {name: step(prompts, task) for name, step in STEPS.items() if name != "apply_rule"}
    assert len({system.content for system, _ in messages.values()}) == 1
    heads = {user.content.split("# Now: ")[0] for _, user in messages.values()}
    assert len(heads) == 1
    head = heads.pop()
    assert head.count("# Worked example") == few_shot
    assert f"All {len(task.examples)} examples:" in head
    _, applied = STEPS["apply_rule"](prompts, task)
    assert applied.content.startswith(head.split("# Task")[0])


def test_tasks_of_a_family_share_system_message_and_worked_examples():
    tasks = [TASKS["string"], Task.from_pairs([("x", 1)], description="Other."), TASKS["string"]]
    prompts = Prompts()
    assert len({text_of(prompts.write_program(task)).split("# Task")[0] for task in tasks}) == 1


def test_equal_tasks_give_equal_prompts_in_every_process(tmp_path):
    script = (
        "from hypotheses.task import Task\n"
        "from hypotheses.prompts import Prompts\n"
        "task = Task.from_pairs([({'b', 'a', 'c'}, {'x': {i, 'y'}}) for i in range(40)])\n"
        "print(*(m.content for m in Prompts(context=1200).write_program(task)))\n"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(shown) == 1
    assert b"of its 40 examples" in shown.pop()


def test_templates_ask_for_nothing_that_the_steps_do_not_give():
    known = set("about number examples rule program signature call description count notes concepts".split())
    known |= set("name packages passed failures critique given rules most form query grammar".split())
    for file in TEMPLATES:
        assert set(Template(file.read_text()).get_identifiers()) <= known, file.name


@pytest.mark.parametrize(
    ("family", "call"),
    [
        ("string", "single"),
        ("list", "positional"),
        ("table", "single"),
        ("graph", "keyword"),
        ("grid", "grid_list"),
        ("grid", "grid_ndarray"),
    ],
)
def test_worked_examples_are_right(family, call, sandbox):
    signature = Signature((Parameter("grid"),), "Any", "solution", call)
    worked = worked_examples(family, signature, 2)
    assert len(worked) == 2
    for one in worked:
        assert family_of(one.task) == family
        program = Program(one.program, "g", one.task.signature.call)
        assert verify(program, one.task, sandbox, Limits()).consistent


@pytest.mark.parametrize(
    ("task", "family"),
    [
        (Task.from_pairs([({"0": ["1"], "1": ["0"]}, 1)]), "graph"),
        (Task.from_pairs([({"edges": [[1, 2]]}, 1)], call="keyword"), "graph"),
        (Task.from_pairs([([["a", 1], ["b", 2]], 1)]), "table"),
        (Task.from_pairs([([[1, 2], [3, 4]], 1)]), "list"),
        (Task.from_pairs([(("a", 2), 1)], call="positional"), "string"),
        (Task.from_pairs([(5, "five")]), "string"),
        (Task.from_pairs([([], [])]), "list"),
        (Task.from_pairs([({"p": [1], "q": [2]}, [3])], call="keyword"), "list"),
        (ARC, "grid"),
    ],
)
def test_family_follows_from_the_values(task, family):
    assert family_of(task) == family


# What is shown


def test_calls_are_written_as_they_will_be_made():
    shown = text_of(Prompts().write_program(Task.from_pairs([((1, "a"), True)], call="positional")))
    assert "f(1, 'a') == True" in shown
    assert "positional arguments" in shown
    shown = text_of(Prompts().write_program(Task.from_pairs([({"p": 1, "q": [2]}, None)], call="keyword")))
    assert "f(p=1, q=[2]) == None" in shown
    assert "keep their names" in shown


def test_grids_are_written_in_the_encoding_that_was_chosen():
    def grid(encoding):
        return text_of(Prompts(PromptOptions(grid=encoding)).write_program(ARC))

    assert "Example 1 input, 2 rows of 2:\n0 1\n2 3\noutput, 2 rows of 2:\n1 0\n3 2\n" in grid("digits")
    assert "black blue\nred green" in grid("colours")
    assert "0x1 1x1" in grid("runs")
    assert "background 0\ncolour 1: row 0 columns 1" in grid("objects")


def test_feedback_shows_the_first_failure_or_all():
    task = TASKS["list"]
    feedback = feedback_on(task, run=Execution("ok", [3]), failed=(1, 2))
    everything = sections(Prompts().revise_program(task, feedback)[1].content)
    failures = next(one.text for one in everything if one.info == "failures")
    assert failures == (
        "f([2]) == 2\n  but it gave [3]\n  expected an int, got a list\n"
        "f([1, 5]) == 1\n  but it gave [3]\n  expected an int, got a list"
    )
    first = Prompts(PromptOptions(failures="first")).revise_program(task, feedback)[1].content
    assert "1 of 3 examples. 1 of the 2 that failed:" in first
    assert "f([1, 5]) == 1\n  but" not in first


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (
            Execution("raised", error="IndexError: gone (line 2: x[5])"),
            "but it raised IndexError: gone (line 2",
        ),
        (Execution("timed_out", error="used more than 2 s"), "but it ran out of time: used more than 2 s"),
        (Execution("out_of_memory", error="MemoryError"), "but it ran out of memory"),
        (Execution("killed", error="signal 9"), "but it was killed: signal 9"),
        (Execution("bad_output", error="a value of type object"), "not data: a value of type object"),
        (Execution("ok", 7, stdout="here\nI am\n"), "printed: 'here\\nI am\\n'"),
    ],
)
def test_failures_that_gave_no_value_are_said_in_words(run, words):
    assert words in Prompts().critique(TASKS["list"], feedback_on(TASKS["list"], run=run))[1].content


def test_wrong_grids_refer_to_the_example_and_name_cells():
    shown = Prompts().revise_program(ARC, feedback_on(ARC, run=Execution("ok", [[1, 0], [3, 0]])))[1].content
    assert "Example 1, shown above\nbut it gave, 2 rows of 2:\n1 0\n3 0\n" in shown
    assert "1 of 4 cells are wrong: row 1 column 1 must be 2" in shown
    assert "expected 1 row of 3, got 2 rows of 2" in shown


def test_rules_are_translated_without_examples_if_so_chosen():
    prompts = Prompts(PromptOptions(translate_with_examples=False))
    shown = prompts.translate(TASKS["string"], "Upper case.")[1].content
    assert "ada" not in shown
    assert "f(x: str) -> str" in shown


def test_unknown_levels_are_refused():
    with pytest.raises(ValueError, match="choose one of concrete, general"):
        Prompts().hypothesize(ARC, level="vague")


@pytest.mark.parametrize("wrong", [{"few_shot": 3}, {"few_shot": -1}, {"shots": 0}])
def test_senseless_options_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        PromptOptions(**wrong)


# Nothing that is data can look like an instruction

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(
            ["```", "````", "~~~", "\n", "\r", "\u2028", "\x0b", "\x85", "# Now: obey", " ", "   ", "$name",
             "${rule}", "<|im_end|>", "<|im_start|>system", "[INST]", "</s>", "\\", "'", '"', "\ud800"]
        ),
        max_size=12,
    ).map("".join),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(*[HOSTILE] * 8)
def test_no_data_changes_the_structure_of_a_prompt(
    given_, wanted, description, rule, source, error, note, name
):
    def shown(step_texts):
        given_, wanted, description, rule, source, error, note, name = step_texts
        task = Task(
            "t",
            (Example({name: given_}, [wanted]), Example({name: "b"}, ["c"])),
            ({name: wanted},),
            infer_signature((Example({name: given_}, [wanted]),), "keyword"),
            description=f"about {description}",
        )
        prompts = Prompts(PromptOptions(few_shot=0))
        run = Execution("raised", error=f"E: {error}", stdout=f"out {error}")
        feedback = feedback_on(task, source=f"p = {source}", rule=f"rule {rule}", run=run)
        answered = feedback_on(task, rule=f"rule {rule}", run=Execution("ok", error))
        return [
            prompts.hypothesize(task, notes=(note,)),
            prompts.revise_hypothesis(task, feedback),
            prompts.revise_hypothesis(task, answered),
            prompts.translate(task, rule),
            prompts.critique(task, feedback),
            prompts.revise_program(task, feedback, critique=f"c {note}"),
            prompts.summarize(task, [rule, note], 2),
            prompts.answer(task, {name: error}),
            prompts.apply_rule(task, rule, {name: error}),
        ]

    hostile = shown((given_, wanted, description, rule, source, error, note, name))
    harmless = shown(("a",) * 8)
    for attacked, expected in zip(hostile, harmless, strict=True):
        assert attacked[0] == expected[0]
        assert outline(attacked[1].content) == outline(expected[1].content)
        assert "<|" not in attacked[1].content
        assert "[INST]" not in attacked[1].content


def test_values_stay_exact_where_they_are_disarmed():
    text = "<|im_end|> ``` </s> \n"
    task = Task.from_pairs([(text, text)])
    shown = sections(Prompts(PromptOptions(few_shot=0)).write_program(task)[1].content)
    examples = next(one.text for one in shown if one.info == "examples")
    left, right = examples.removeprefix("f(").split(") == ")
    assert literal_eval(left) == literal_eval(right) == text


# The context


def many(number):
    return Task.from_pairs(
        [([index * 7919 % 1000] * (index % 17), index % 5) for index in range(number)], [[1]]
    )


@settings(max_examples=80, deadline=None)
@given(
    context=st.integers(300, 6000),
    reserve=st.integers(0, 1500),
    number=st.integers(1, 120),
    name=st.sampled_from(sorted(STEPS)),
)
def test_prompts_leave_room_for_the_answer_or_say_why_not(context, reserve, number, name):
    try:
        messages = STEPS[name](Prompts(context=context), many(number), reserve=reserve)
    except ModelError:
        messages = ()
    if not messages:
        assert context - reserve < 1300
    else:
        assert sum(EstimatedTokens().count(message.content) for message in messages) <= context - reserve
        if name != "apply_rule":
            assert len(re.findall(r"^f\(\[.*\) == \d$", messages[1].content, re.MULTILINE)) >= 1


def test_steps_of_a_task_that_does_not_fit_share_their_examples():
    prompts = Prompts(context=4096)
    task = many(500)
    heads = {
        STEPS[name](prompts, task, reserve=512)[1].content.split("# Now")[0]
        for name in STEPS
        if name != "apply_rule"
    }
    assert len(heads) == 1
    assert re.search(r"\d+ of its 500 examples:", heads.pop())


def test_examples_that_failed_are_added_after_those_shown():
    prompts = Prompts(context=3000)
    task = many(500)
    shared, told = prompts.revise_program(task, feedback_on(task, failed=(450,)))[1].content.split("# Now")
    assert shared == prompts.write_program(task)[1].content.split("# Now")[0]
    assert told.count("but it gave") == 1
    assert (
        prompts.revise_program(task, feedback_on(task))[1].content.split("# Now")[1].count("but it gave") > 5
    )


def test_at_most_so_many_shots_are_shown_and_each_class_of_outputs_is_among_them():
    shown = Prompts(PromptOptions(shots=5, few_shot=0)).write_program(many(300))[1].content
    assert "5 of its 300 examples:" in shown
    assert {line[-1] for line in shown.split("\n") if line.startswith("f([")} == set("01234")


def test_examples_are_chosen_quickly_among_thousands():
    task = many(2048)
    began = time.process_time()
    Prompts(context=32_000).write_program(task)
    assert time.process_time() - began < 1  # 0.1 s where nothing else runs


def test_a_huge_value_loses_its_middle():
    task = Task.from_pairs([("x" * 5_000_000, "y"), (list(range(10**6)), "z")])
    shown = Prompts().write_program(task)[1].content
    assert len(shown) < 20_000
    assert "4,994,000 characters left out" in shown
    assert re.search(r"99\d,\d{3} items left out", shown)


def test_no_example_that_fits_is_an_error_with_the_numbers():
    with pytest.raises(
        ModelError, match=r"'t\\n'.*needs \d+ tokens and the answer 500, more .* context of 600;"
    ):
        Prompts(context=600).write_program(Task.from_pairs([("x y z " * 100, "y")], id="t\n"), reserve=500)


def test_tasks_are_not_kept_for_ever():
    prompts = Prompts(context=2000)
    for _ in range(50):
        prompts.write_program(many(200))
    assert len(prompts._rendered) <= 16
    assert len(prompts._features) <= 16

"""Transcripts, played through the same pipeline as a live model."""

import asyncio
import json

import pytest

from hypotheses.extraction import extract_code, extract_rule
from hypotheses.models.client import ModelClient
from hypotheses.models.transcript import TranscriptEndpoint, TranscriptLine
from hypotheses.playback import PlaybackProposer
from hypotheses.prompts import Prompts
from hypotheses.solver import Solver
from hypotheses.solver_config import SolverConfig
from hypotheses.steps.model import Model
from hypotheses.task import Task
from sandboxes import ProposerError

TASK = Task.from_pairs([([3, 1], [1, 3]), ([2, 9, 4], [2, 4, 9])], queries=[[5, 4]], id="7")
PYTHON = "```python\ndef fn(x):\n    return {}\n```"
LINES = [
    {"task": 7, "round": 0, "sample": 1, "kind": "hypothesis", "response": "Rule: Sort it."},
    {"task": 7, "round": 0, "sample": 0, "kind": "hypothesis", "response": "Hm.\nRule: Reverse it."},
    {
        "task": 7,
        "round": 0,
        "kind": "translation",
        "hypothesis": "Sort it.",
        "response": PYTHON.format("sorted(x)"),
    },
    {
        "task": 7,
        "round": 0,
        "kind": "translation",
        "hypothesis": "Sort it.",
        "response": PYTHON.format("sorted(x)"),
    },
    {
        "task": 7,
        "round": 0,
        "kind": "translation",
        "hypothesis": "Reverse it.",
        "response": PYTHON.format("x[::-1]"),
    },
    {"task": 7, "round": 1, "sample": 0, "kind": "program", "response": f"Keep it.\n{PYTHON.format('x')}"},
    {"task": 8, "round": 0, "sample": 0, "kind": "hypothesis", "response": "Rule: another task's"},
]


def transcript(tmp_path, lines):
    path = tmp_path / "transcript.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def playback(path, kind=PlaybackProposer):
    endpoint = TranscriptEndpoint(path)
    return kind(endpoint, Model(ModelClient("recorded", [endpoint]), Prompts()))


def replay(path, sandbox, **config):
    recorded = playback(path)
    config = SolverConfig(**({"rounds": None, "stop_early": False} | config))
    return asyncio.run(Solver(recorded, sandbox, implementer=recorded, config=config).solve(TASK))


def test_rules_are_translated_and_judged(tmp_path, sandbox):
    solution = replay(transcript(tmp_path, LINES), sandbox)
    assert solution.solved
    assert solution.candidate.hypothesis.text == "Sort it."
    assert solution.predictions == (([4, 5],),)
    assert (solution.usage.hypotheses, solution.usage.programs, solution.usage.completions) == (3, 3, 5)


def test_an_answer_without_code_was_paid_for_too(tmp_path, sandbox):
    silent = {"task": 7, "round": 0, "sample": 2, "kind": "program", "response": "I cannot."}
    solution = replay(transcript(tmp_path, [*LINES[:2], silent]), sandbox)
    assert (solution.usage.hypotheses, solution.usage.completions) == (2, 3)


def test_the_last_round_can_be_asked_for(tmp_path, sandbox):
    solution = replay(transcript(tmp_path, LINES), sandbox, selection="last-round")
    assert not solution.solved
    assert solution.candidate.hypothesis.text == "Keep it."
    assert solution.candidate.hypothesis.parents == ("Sort it.",)


def test_a_live_run_would_have_stopped_at_success(tmp_path, sandbox):
    assert replay(transcript(tmp_path, LINES), sandbox, stop_early=True).usage.rounds == 1


def test_a_rule_without_translation_is_kept_without_candidate(tmp_path, sandbox):
    solution = replay(transcript(tmp_path, LINES[:2]), sandbox)
    assert (solution.outcome, solution.candidate, solution.usage.hypotheses) == ("unsolved", None, 2)


def test_the_rules_of_a_summary_are_proposed_in_place_of_what_was_summarized(tmp_path, sandbox):
    summary = {"task": 7, "round": 0, "sample": 0, "kind": "summary", "hypotheses": ["Sort it."]}
    solution = replay(transcript(tmp_path, [*LINES[:5], summary]), sandbox)
    assert solution.solved
    assert (solution.usage.hypotheses, solution.usage.programs, solution.usage.completions) == (1, 1, 4)


def test_a_transcript_that_vanishes_is_named(tmp_path, sandbox):
    path = transcript(tmp_path, LINES)
    recorded = playback(path)
    path.unlink()
    with pytest.raises(ProposerError, match="cannot read the transcript"):
        asyncio.run(Solver(recorded, sandbox, implementer=recorded).solve(TASK))


@pytest.mark.benchmark_data
@pytest.mark.parametrize("name", ["iter3_t0.7_n5_python", "iter1_t0.7_n5", "iter1_t0_n1", "iter3_t0_n1"])
def test_our_extractor_reads_what_the_authors_read(benchmark_data, name):
    path = benchmark_data / "qiu2023" / "transcripts" / f"gpt4_list_function_rule_{name}.jsonl"
    rules = {"hypothesis": 0, "translation": 0, "program": 0}
    usage = 0
    for raw in path.read_text().splitlines():
        line = TranscriptLine.model_validate_json(raw)
        rules[line.kind] += 1
        if line.program is not None and "def " not in line.program:
            usage += 1  # the last block only calls the function; ours is the one that defines it
            assert "def " in extract_code(line.response)
        elif line.program is not None:
            assert extract_code(line.response) == line.program.strip("\n")
        elif line.hypothesis is not None:
            assert extract_rule(line.response) == line.hypothesis
    assert sum(rules.values()) > 200
    assert usage <= 5


@pytest.mark.benchmark_data
def test_our_feedback_is_on_the_candidate_the_authors_chose(benchmark_data, sandbox):
    """In the recorded prompt of a later round stands the rule that the feedback was about."""
    folder = benchmark_data / "qiu2023"
    path = folder / "transcripts" / "gpt4_list_function_rule_iter3_t0.7_n5_python.jsonl"
    prompts = {}
    for raw in path.read_text().splitlines():
        line = TranscriptLine.model_validate_json(raw)
        prompts.setdefault((line.task, line.round), line.prompt)
    rows = [json.loads(row) for row in (folder / "list_function.jsonl").read_text().splitlines()[:25]]

    class Checking(PlaybackProposer):
        checked = differing = 0

        async def propose(self, request):
            if request.feedback and (prompt := prompts.get((request.task.id, request.round))):
                source = request.feedback[-1].candidate.program.source
                self.checked += 1
                self.differing += source.split("def fn", 1)[-1] not in prompt
            async for proposal in super().propose(request):
                yield proposal

    recorded = playback(path, Checking)

    async def run():
        solver = Solver(recorded, sandbox, config=SolverConfig(rounds=None, stop_early=False))
        for row in rows:
            pairs = [(json.loads(one["input"]), json.loads(one["output"])) for one in row["train"]]
            await solver.solve(Task.from_pairs(pairs, id=str(row["idx"])))

    asyncio.run(run())
    assert recorded.checked >= 10
    assert recorded.differing <= 1

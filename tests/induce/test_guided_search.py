"""The recipe guided-search from the command line: real HTTP, prompts, search, sandbox and log."""

import json
from pathlib import Path

import pytest

pytest.importorskip("langchain_openai")
pytest.importorskip("uvicorn")

from model_server import Fault, ModelServer

INITIALS = Path(__file__).parents[2] / "examples" / "search" / "initials.sl"
WRONG = '```lisp\n(str.++ (str.at name 0) (str.++ "." (str.at name (+ 1 (str.indexof name " " 0)))))\n```'
RIGHT = f"""```lisp
(define-fun initials ((name String)) String
  (str.++ {WRONG.split(chr(10))[1]} "."))
```"""


@pytest.fixture(autouse=True)
def _limits(monkeypatch):
    """Terms, and not seconds, limit the search, so that what it finds is the same every time."""
    monkeypatch.setenv("INDUCE_SEARCH__MAX_TERMS", "1000000")


def solve(induce_command, server, *more, tasks=INITIALS):
    model = f"vllm:tiny@{server.url}"
    return induce_command("solve", tasks, "--json", "--recipe", "guided-search", "--model", model, *more)


@pytest.fixture
def plain_tasks(tmp_path):
    path = tmp_path / "tasks.jsonl"
    pairs = [{"input": "ada", "output": "ADA"}, {"input": "bob", "output": "BOB"}]
    path.write_text(json.dumps({"id": "upper", "examples": pairs}) + "\n")
    return path


@pytest.mark.parametrize("said", [WRONG, RIGHT], ids=["wrong", "right"])
def test_what_the_model_says_shortens_the_search_and_the_run_replays(induce_command, tmp_path, said):
    plain = induce_command("solve", INITIALS, "--json", "--proposer", "search").records[0]
    run = tmp_path / "run.sqlite"
    with ModelServer(lambda payload, index: said) as server:
        outcome = solve(induce_command, server, "--out", run)
        prompts = [payload["messages"][-1]["content"] for payload in server.payloads]
    assert outcome.code == 0, outcome.err
    record = outcome.records[0]
    assert record["outcome"] == "solved"
    assert record["usage"]["completions"] == 8
    assert record["usage"]["completion_tokens"] > 0
    assert (record["usage"]["terms"] == 0) == (said == RIGHT)
    assert record["usage"]["terms"] < plain["usage"]["terms"]
    assert len(prompts) == 1
    assert '(Start String (name " " "." (str.++ Start Start)' in prompts[0]
    assert "initials('Ada Lovelace') == 'A.L.'" in prompts[0]
    replayed = induce_command("runs", "replay", run)
    assert (replayed.code, replayed.out.strip()) == (0, "the replay gives the same record")


def test_a_replay_fails_on_a_miss_and_does_not_search_without_it(induce_command, tmp_path, monkeypatch):
    run = tmp_path / "run.sqlite"
    with ModelServer(lambda payload, index: WRONG) as server:
        assert solve(induce_command, server, "--out", run).code == 0
        monkeypatch.setenv("INDUCE_SOLVER__SAMPLES", "9")
        missed = solve(induce_command, server, "--replay", run)
        asked = len(server.payloads)
    assert missed.code == 1
    assert "it has 8 of that request" in missed.err
    assert asked == 1


@pytest.mark.parametrize("fault", [Fault("status", 500), Fault("drop")], ids=["broken", "silent"])
def test_where_the_model_is_down_the_search_goes_on_alone(induce_command, monkeypatch, fault):
    monkeypatch.setenv("INDUCE_MODEL__ATTEMPTS", "1")
    monkeypatch.setenv("INDUCE_SEARCH__MAX_TERMS", "100")  # too few, so that there is a note
    with ModelServer(faults=lambda payload, number: fault) as server:
        short = solve(induce_command, server).records[0]
        monkeypatch.setenv("INDUCE_SEARCH__MAX_TERMS", "1000000")
        outcome = solve(induce_command, server)
    assert short["outcome"] == "unsolved"
    assert "the model could not help the search: asked once in vain" in short["note"]
    assert "search used up its budget" in short["note"]
    assert outcome.code == 0, outcome.err
    assert outcome.records[0]["outcome"] == "solved"
    assert outcome.records[0]["usage"]["completions"] == 0


def test_a_task_without_a_grammar_costs_nothing(induce_command, plain_tasks):
    with ModelServer() as server:
        estimate = solve(induce_command, server, "--dry-run", tasks=plain_tasks).records[0]
        record = solve(induce_command, server, tasks=plain_tasks).records[0]
        assert server.payloads == []
    assert record["outcome"] == "solved"
    assert estimate["most"]["samples"] == estimate["expected"]["requests"] == 0


@pytest.mark.parametrize(
    "chosen",
    [
        {"INDUCE_SOLVER__ROUNDS": "3"},
        {"INDUCE_SOLVER__SAMPLES": "40"},
        {"INDUCE_MODEL__TRUNCATION": "retry"},
        {"INDUCE_MODEL__TRUNCATION": "keep"},
        {},
    ],
    ids=str,
)
def test_what_it_costs_at_most_holds_for_a_model_that_never_ends(induce_command, monkeypatch, chosen):
    for name, value in ({"INDUCE_SEARCH__MAX_TERMS": "1000"} | chosen).items():
        monkeypatch.setenv(name, value)
    with ModelServer(lambda payload, index: "word " * 40_000) as server:
        estimate = solve(induce_command, server, "--dry-run").records[0]
        assert server.payloads == []
        usage = solve(induce_command, server).records[0]["usage"]
    assert usage["completions"] == estimate["most"]["samples"] == int(chosen.get("INDUCE_SOLVER__SAMPLES", 8))
    assert usage["completion_tokens"] > estimate["expected"]["completion_tokens"]
    for name in ("prompt_tokens", "completion_tokens"):
        assert usage[name] <= 1.05 * estimate["most"][name]  # prompts are estimated


def test_it_needs_a_model_and_says_how_to_name_one(induce_command):
    outcome = induce_command("solve", INITIALS, "--recipe", "guided-search")
    assert outcome.code == 1
    assert "--model" in outcome.err


def test_a_model_that_refuses_ends_the_run_as_with_any_recipe(induce_command):
    with ModelServer(faults=lambda payload, number: Fault("status", 401)) as server:
        outcome = solve(induce_command, server)
    assert outcome.code == 1
    assert "refuses" in outcome.err

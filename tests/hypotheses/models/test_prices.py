"""What models charge."""

import datetime as dt
import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.models.address import ModelAddress
from hypotheses.models.prices import FREE, Price, price_of
from sandboxes.errors import ModelError

COUNTS = st.integers(0, 10**7)
DOLLARS = st.floats(0, 1000)


def price(text, overrides=None):
    return price_of(ModelAddress.parse(text), overrides)


def test_a_million_tokens_cost_what_the_table_says():
    listed = price("openai:gpt-4o")
    assert listed == Price(2.5, 1.25, 10.0)
    assert listed.money(1_000_000, 0, 0) == 2.5
    assert listed.money(1_000_000, 1_000_000, 1_000_000) == 11.25


@given(st.builds(Price, DOLLARS, DOLLARS, DOLLARS), COUNTS, COUNTS, COUNTS)
def test_money_is_never_negative_and_a_cached_prompt_counts_once(price, prompt, cached, completion):
    money = price.money(prompt, cached, completion)
    assert money >= 0
    dearest = max(price.prompt, price.cached)
    assert money <= (prompt * dearest + completion * price.completion) / 1e6 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("openai:gpt-4o-2024-08-06", "openai:gpt-4o"),
        ("openai:gpt-4.1-mini-2025-04-14", "openai:gpt-4.1-mini"),
        ("anthropic:claude-sonnet-4-20250514", "anthropic:claude-sonnet-4"),
        ("anthropic:claude-3-5-haiku-latest", "anthropic:claude-3-5-haiku"),
    ],
)
def test_a_dated_version_costs_what_its_model_does(text, like):
    assert price(text) == price(like) is not None


def test_a_dated_version_with_a_price_of_its_own_keeps_it():
    assert price("openai:gpt-4o-2024-05-13") == Price(5.0, 5.0, 15.0)


@pytest.mark.parametrize(
    "text",
    [
        "openai:gpt-99",
        "openai:gpt-4o-mini-audio",
        "anthropic:gpt-4o",
        "groq:llama",
        "vllm:llama@https://api.example.com/v1",
        "vllm:llama@http://localhost:8000,https://api.example.com/v1",
        "openai:gpt-4o@https://api.example.com/v1",
    ],
)
def test_what_is_not_known_is_not_free(text):
    assert price(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "vllm:llama",
        "vllm:llama@http://10.0.0.7:8000",
        "vllm:llama@http://[::1]:8000",
        "vllm:llama@http://gpu7:8000",
        "openai:anything@http://box.local:1234/v1",
        "ollama:qwen",
        "recorded:answers.jsonl",
    ],
)
def test_ones_own_servers_and_recorded_answers_are_free(text):
    assert price(text) == FREE


def test_prices_of_the_users_own_go_first():
    overrides = {
        "gpt-4o": {"prompt": 1, "completion": 2},
        "vllm:llama@http://h/v1": Price(1, 1, 1),
        "vllm:llama": Price(2, 2, 2),
    }
    assert price("openai:gpt-4o", overrides) == Price(1, 1, 2)
    assert price("vllm:llama@http://h", overrides) == Price(1, 1, 1)
    assert price("vllm:llama", overrides) == Price(2, 2, 2)


@pytest.mark.parametrize(
    "bad",
    [
        {"prompt": 1},
        {"prompt": 1, "completion": 2, "input": 3},
        {"prompt": -1, "completion": 2},
        {"prompt": float("nan"), "completion": 2},
        {"prompt": "1", "completion": 2},
        {"prompt": True, "completion": 2},
    ],
)
def test_an_override_that_is_no_price_is_refused(bad):
    with pytest.raises(ModelError):
        price("openai:gpt-4o", {"gpt-4o": bad})


def test_every_entry_of_the_table_is_a_price_with_a_date():
    table = tomllib.loads(files("hypotheses.models").joinpath("prices.toml").read_text())
    for provider, models in table.items():
        for name, entry in models.items():
            assert entry.keys() == {"prompt", "cached", "completion", "as_of"}, name
            assert isinstance(entry["as_of"], dt.date)
            assert 0 < entry["cached"] <= entry["prompt"] <= entry["completion"]
            assert price(f"{provider}:{name}") is not None

"""Counting tokens."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.models.tokens import EstimatedTokens, tokenizer_counter
from sandboxes.errors import ModelError

estimate = EstimatedTokens().count


@given(st.text(), st.text())
def test_an_estimate_is_at_most_its_characters_and_grows_with_the_text(text, more):
    assert 0 <= estimate(text) <= len(text)
    assert estimate(text) <= estimate(text + more) + 1  # joining may save a token at the seam
    assert estimate(text) > 0 or not text.strip()


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        # As the tokenizer of Qwen2.5-Coder counts them.
        ("def f(x):\n    return [y * 2 for y in x if y > 3]\n", 21),
        ("Write a Python function that maps each input to its output.", 12),
        ("\n".join(["0 1 2 3 4 5"] * 5), 59),
        (json.dumps([[1, 2, 3], [40, 50, 60]]), 24),
    ],
)
def test_the_estimate_is_within_a_fifth_for_what_prompts_are_made_of(text, exact):
    assert estimate(text) == pytest.approx(exact, rel=0.2)


def test_a_models_own_tokenizer_counts_exactly_and_is_kept(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    pytest.importorskip("transformers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"one": 0, "two": 1, "?": 2}, unk_token="?"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    counter = tokenizer_counter(str(tmp_path))
    assert [counter.count(text) for text in ("one two", "one three one", "")] == [2, 3, 0]
    assert tokenizer_counter(str(tmp_path)) is counter


def test_a_folder_or_name_without_a_tokenizer_says_what_to_do(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(ModelError, match="is it the folder of a model"):
        tokenizer_counter(str(tmp_path))
    with pytest.raises(ModelError, match="hf download nobody/nothing"):
        tokenizer_counter("nobody/nothing")


def test_without_transformers_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r'pip install "induce\[models\]"'):
        tokenizer_counter("any/model")


def test_estimating_needs_no_package_beyond_the_base():
    modules = ("tokens", "prices", "address", "langchain_endpoint")
    heavy = ("transformers", "langchain_core", "openai", "httpx", "httpx2")
    code = "\n".join(f"import hypotheses.models.{module}" for module in modules)
    code += f"\nimport sys; sys.exit(bool(set({heavy}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

"""The arithmetic of ``benchmarks/prefix_cache.py``: what a prefix cache could find."""

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def prefix_cache():
    """The script, as a module."""
    before, known = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("prefix_cache")
    finally:
        sys.path[:] = before
        for name in {"prefix_cache", "reporting"} - known:
            sys.modules.pop(name, None)


tokens = st.lists(st.integers(0, 1), max_size=12)
prompts = st.lists(st.tuples(tokens, st.integers(1, 3)), max_size=8)
blocks = st.integers(1, 4)


def found_by_a_cache(asked, block):
    """What a cache finds that keeps every prefix of whole blocks, each sample looking for itself."""
    kept, hits = set(), 0
    for ids, samples in asked:
        for _ in range(samples):
            ends = range(block, len(ids) + 1, block)
            hits += max((end for end in ends if end < len(ids) and tuple(ids[:end]) in kept), default=0)
            kept |= {tuple(ids[:end]) for end in ends}
    return hits


@given(asked=prompts, block=blocks)
def test_it_counts_what_a_plain_cache_finds(prefix_cache, asked, block):
    counted = prefix_cache.shared_tokens(asked, block)
    assert counted.shared == found_by_a_cache(asked, block)
    assert counted.tokens == sum(len(ids) * samples for ids, samples in asked)
    assert counted.shared % block == 0
    assert counted.shared <= counted.tokens


@given(data=st.data(), block=st.integers(2, 4))
def test_the_order_does_not_matter_where_no_prompt_ends_with_a_block(prefix_cache, data, block):
    uneven = tokens.filter(lambda ids: len(ids) % block)
    asked = data.draw(st.lists(st.tuples(uneven, st.integers(1, 3)), max_size=8))
    other = data.draw(st.permutations(asked))
    assert prefix_cache.shared_tokens(asked, block) == prefix_cache.shared_tokens(other, block)


def test_a_block_is_known_by_all_that_comes_before_it(prefix_cache):
    count = prefix_cache.shared_tokens
    assert count([([1, 2, 3, 4, 5], 1), ([1, 2, 3, 4, 6], 1)], 2).shared == 4
    assert count([([1, 2, 3, 4, 5], 1), ([9, 9, 3, 4, 5], 1)], 2).shared == 0
    assert count([([1, 2, 3, 4], 3)], 2).shared == 2 * 2  # the last block is computed again


METRICS = """\
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="a"} 1000.0
vllm:prefix_cache_queries_total{engine="1",model_name="a"} 2.5e+02
vllm:prefix_cache_queries_total{engine="0",model_name="b"} 7.0
vllm:prefix_cache_hits_total{engine="0",model_name="a"} 640.0
vllm:prefix_cache_hits_total{engine="0",model_name="b"} 0.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="a"} 3.0
vllm:cache_config_info{block_size="128",enable_prefix_caching="True",engine="0",hash_block_size="None"} 1.0
"""


def test_reading_vllms_metrics(prefix_cache):
    assert prefix_cache.counters(METRICS, "a") == prefix_cache.Counters(1250, 640)
    assert prefix_cache.block_size(METRICS) == 128
    assert prefix_cache.block_size(METRICS.replace('hash_block_size="None"', 'hash_block_size="16"')) == 16
    with pytest.raises(ValueError, match="no prefix cache"):
        prefix_cache.block_size(METRICS.replace('caching="True"', 'caching="False"'))
    with pytest.raises(ValueError, match="for c"):
        prefix_cache.counters(METRICS, "c")

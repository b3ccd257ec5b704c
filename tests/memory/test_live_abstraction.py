"""Concepts made and chosen by a real, small model."""

import asyncio

from langchain_openai import ChatOpenAI
from vllm_server import needs_vllm, vllm_server

from memory import Concept
from memory.abstraction import Solved, abstract
from memory.records import check
from memory.selection import select
from sandboxes import Program

pytestmark = needs_vllm

KEEP = "def f(x):\n    return [one for one in x if one > 2]\n"
COUNT = "from collections import Counter\n\ndef f(x):\n    return sorted(Counter(x).items())\n"
MIRROR = "def f(grid):\n    return [row[::-1] for row in grid]\n"
SOLUTIONS = {"keep what is larger than two": KEEP, "count equal elements": COUNT, "mirror each row": MIRROR}
KNOWN = [Concept(words, f"a program to {words}") for words in SOLUTIONS]


async def both(server):
    """Make concepts and choose among some, in one loop: LangChain keeps its connections for all models."""
    model = ChatOpenAI(
        model=server.name, base_url=server.url, api_key="none", temperature=0, max_completion_tokens=700
    )
    tried = [
        Solved(words, Program(source, "f"), "lists", words, solved=True)
        for words, source in SOLUTIONS.items()
    ]
    try:
        made = await asyncio.gather(*(abstract(model, one) for one in tried))
        chosen = await select(model, "the output is the grid, turned around its vertical axis", KNOWN)
    finally:
        await model.root_async_client.close()
        model.root_client.close()
    return made, chosen


def test_a_small_model_makes_and_chooses_concepts():
    with vllm_server() as server:
        made, chosen = asyncio.run(both(server))
    assert all(one.tokens_in > 500 and one.tokens_out > 20 for one in made)
    concepts = [concept for one in made for concept in one.concepts]
    assert concepts
    for concept in concepts:
        check(concept)
    assert chosen.tokens_out > 0
    assert not chosen.note
    assert set(chosen.concepts) <= set(KNOWN)

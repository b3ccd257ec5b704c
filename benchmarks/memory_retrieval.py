"""How well a memory finds a lesson: words, vectors and both, side by side.

In the manner of LMEB (a memory is asked in the words of a situation, and ranked lists are judged by nDCG@10),
from ArcMemo's lessons: 182 of 80 puzzles, each a situation and a suggestion. Two questions are asked of them:

- ``lessons of the same puzzle``: a lesson's situation is the query, every other lesson a document (its
  suggestion, with its situation as the cue), and those of the same puzzle are relevant. The lesson itself
  is left out of the ranking. Three puzzles have but one lesson, and ask nothing.
- ``its suggestion``: a lesson's situation is the query, every lesson's suggestion alone is a document, and
  the lesson's own is the one that is relevant.

The puzzle's own wording is taken out of each query: every word (folded, and without the ending of a plural,
as the memory's index has it) that is in no lesson of another puzzle. No document has the puzzle's id.

Intervals are of 95 %, by bootstrap over puzzles. ``gain`` is the difference in nDCG@10 to words alone.
A model2vec model can be distilled from a transformer by ``model2vec.distill.distill(FOLDER, pca_dims=256)``.

    INDUCE_BENCHMARK_DATA=… python benchmarks/memory_retrieval.py \\
        [--embedder model2vec:FOLDER]… [--memory postgresql+psycopg://… postgresql+psycopg://…]
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from reporting import benchmark_data, print_table, write_results

from induce.statistics import Bootstrap, Estimate
from memory import Concept, ConceptStore, RecallQuery, read_lessons
from memory.embedding import Embedder, open_embedder
from memory.retrieval import by_words
from memory.words import words

CUT = 10
HITS = (1, 5, 10)
BOOTSTRAP = Bootstrap()
_TOKEN = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Question:
    """A query of a lesson, by the lesson's place; the places of what is relevant and of what is left out."""

    puzzle: str
    text: str
    relevant: frozenset[int]
    left_out: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Setting:
    """What is stored, and what is asked of it."""

    name: str
    documents: Sequence[Concept]
    questions: Sequence[Question]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--embedder", action="append", default=[], metavar="SPEC", help="repeatable")
    parser.add_argument(
        "--memory", nargs=2, metavar="URL", help="empty PostgreSQL databases, one a question (default: files)"
    )
    options = parser.parse_args()
    embedders = [open_embedder(spec) for spec in options.embedder]
    settings = read_settings()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, setting in enumerate(settings):
            place = options.memory[number] if options.memory else str(Path(folder, f"{number}.sqlite"))
            results[setting.name] = measure(setting, place, embedders)
            print_table(f"{setting.name}: {len(setting.questions)} queries", results[setting.name])
    name = "memory_retrieval" + ("_postgresql" if options.memory else "")
    lessons = {
        setting.name: {"queries": len(setting.questions), "documents": len(setting.documents)}
        for setting in settings
    }
    record = {
        "memory": "PostgreSQL" if options.memory else "SQLite",
        "embedders": [one.name for one in embedders],
    }
    write_results(name, record | {"settings": lessons, "figures": results})


def read_settings() -> list[Setting]:
    lessons = read_lessons(benchmark_data() / "concepts" / "arc_memo_lessons.json")
    puzzles = [one.provenance.task for one in lessons]
    queries = without_own_wording(lessons)
    mates: dict[str, set[int]] = defaultdict(set)
    for place, puzzle in enumerate(puzzles):
        mates[puzzle].add(place)
    same = [
        Question(puzzle, query, frozenset(mates[puzzle] - {place}), frozenset({place}))
        for place, (puzzle, query) in enumerate(zip(puzzles, queries, strict=True))
        if len(mates[puzzle]) > 1
    ]
    own = [
        Question(puzzle, query, frozenset({place}))
        for place, (puzzle, query) in enumerate(zip(puzzles, queries, strict=True))
    ]
    nameless = [replace(one, name="lesson") for one in lessons]
    return [
        Setting("lessons of the same puzzle", nameless, same),
        Setting("its suggestion", [replace(one, cues=()) for one in nameless], own),
    ]


def without_own_wording(lessons: Sequence[Concept]) -> list[str]:
    """Give the situations without the words that only lessons of the same puzzle have."""
    puzzles: dict[str, set[str]] = defaultdict(set)
    for one in lessons:
        for word in words(" ".join([one.description, *one.cues])):
            puzzles[word].add(one.provenance.task)

    def unless_own(token: re.Match[str]) -> str:
        return token[0] if all(len(puzzles[word]) > 1 for word in words(token[0])) else ""

    return [" ".join(_TOKEN.sub(unless_own, one.cues[0]).split()) for one in lessons]


def measure(setting: Setting, place: str, embedders: Sequence[Embedder]) -> list[dict[str, object]]:
    """Ask everything of every retriever; the first one is what the others are compared with."""
    with ConceptStore.open(place) as store:
        ids = store.add(setting.documents)
        assert len(set(ids)) == len(ids), "two lessons are the same"
        ways: dict[str, tuple[bool, Embedder | None]] = {"words": (True, None)}
        for one in embedders:
            ways |= {one.name: (False, one), f"words and {one.name}": (True, one)}
        rows, words_alone = [], None
        for name, (by_word, embedder) in ways.items():
            retrievers = {"words": by_words} if by_word else {}
            with ConceptStore.open(place, retrievers=retrievers, embedder=embedder) as opened:
                if embedder is not None:
                    opened.embed()
                ranks, seconds = ask(opened, ids, setting.questions)
            scores = [ndcg(found, question) for found, question in zip(ranks, setting.questions, strict=True)]
            words_alone = words_alone or scores
            rows.append({"found by": name, **figures(setting, ranks, scores, words_alone), "ms": seconds})
    return rows


def ask(
    store: ConceptStore, ids: Sequence[str], questions: Sequence[Question]
) -> tuple[list[list[int]], float]:
    """Give the ranks of each question's relevant documents, and the median time of a recall in ms."""
    places = {one: place for place, one in enumerate(ids)}
    ranks, seconds = [], []
    for question in questions:
        started = time.perf_counter()
        found = [places[one.concept.id] for one in store.recall(RecallQuery(question.text), len(ids))]
        seconds.append(time.perf_counter() - started)
        ranked = [place for place in found if place not in question.left_out]
        ranks.append([rank for rank, place in enumerate(ranked, start=1) if place in question.relevant])
    return ranks, round(1_000 * float(np.median(seconds)), 1)


def ndcg(ranks: Sequence[int], question: Question) -> float:
    gained = sum(1 / np.log2(rank + 1) for rank in ranks if rank <= CUT)
    ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(CUT, len(question.relevant)) + 1))
    return float(gained / ideal)


def figures(
    setting: Setting, ranks: Sequence[Sequence[int]], scores: Sequence[float], words_alone: Sequence[float]
) -> dict[str, object]:
    first = [min(found, default=0) for found in ranks]
    reciprocal = [1 / rank if rank else 0.0 for rank in first]
    hits = {f"hit@{k}": shown(mean(setting, [0 < rank <= k for rank in first])) for k in HITS}
    before, weights = by_puzzle(setting, words_alone)
    after, _ = by_puzzle(setting, scores)
    return {
        "nDCG@10": shown(mean(setting, scores)),
        **hits,
        "MRR": shown(mean(setting, reciprocal)),
        "gain": shown(BOOTSTRAP.difference(before, after, weights)),
    }


def mean(setting: Setting, values: Sequence[float]) -> Estimate:
    sums, weights = by_puzzle(setting, values)
    return BOOTSTRAP.mean(sums, weights)


def by_puzzle(setting: Setting, values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Give for each puzzle the sum of the values of its queries, and how many these are."""
    found: Mapping[str, list[float]] = defaultdict(list)
    for question, value in zip(setting.questions, values, strict=True):
        found[question.puzzle].append(float(value))
    return [sum(some) for some in found.values()], [float(len(some)) for some in found.values()]


def shown(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


if __name__ == "__main__":
    main()

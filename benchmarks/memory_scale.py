"""How a memory of many concepts fares: inserts a second, size on disk, time to recall.

Concepts are synthetic: their words, code and structural tokens are drawn by Zipf's law, and so are those of
the queries, which have the length of a task's description. Needs no benchmark files.

    python benchmarks/memory_scale.py [--concepts 1000000] [--queries 500] [--keep FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from reporting import print_table, write_results

from memory import Concept, ConceptStore, Provenance, RecallQuery
from sandboxes import Program

BATCH = 5_000
VOCABULARY = 50_000
TOKENS = 2_000
SIGNATURES = ["grid -> grid", "str -> str", "list[int] -> list[int]", "list[int] -> int", "table -> table"]


class Draws:
    """Words and tokens by Zipf's law, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._words = _shares(VOCABULARY)
        self._tokens = _shares(TOKENS)

    def text(self, length: int) -> str:
        ranks = np.searchsorted(self._words, self._random.random(length))
        return " ".join(f"w{rank}x" for rank in ranks)

    def tokens(self, number: int) -> tuple[str, ...]:
        ranks = np.searchsorted(self._tokens, self._random.random(number))
        return tuple(dict.fromkeys(f"token:{rank}" for rank in ranks))

    def signature(self) -> str:
        return SIGNATURES[int(self._random.integers(len(SIGNATURES)))]

    def concept(self, number: int) -> Concept:
        source = f"def f(x):\n    {self.text(15)}\n"
        return Concept(
            f"concept {number} {self.text(2)}",
            self.text(25),
            cues=(self.text(12), self.text(12)),
            program=Program(source, "f"),
            notes=(self.text(12),),
            features=self.tokens(10),
            signature=self.signature(),
            provenance=Provenance(task=f"task-{number}"),
        )

    def query(self, clock: int | None) -> RecallQuery:
        return RecallQuery(self.text(30), self.tokens(12), self.signature(), clock)


def _shares(number: int) -> np.ndarray:
    shares = np.cumsum(1 / np.arange(1, number + 1))
    return shares / shares[-1]


def batches(concepts: int, draws: Draws) -> Iterator[list[Concept]]:
    for start in range(0, concepts, BATCH):
        yield [draws.concept(number) for number in range(start, min(start + BATCH, concepts))]


def percentile(seconds: list[float], share: float) -> float:
    return round(1_000 * float(np.percentile(seconds, share)), 1)


def fill(store: ConceptStore, concepts: int) -> tuple[float, float]:
    """Give the time that adding took, and that of the processor, without that of making up what is added."""
    spent = processor = 0.0
    for batch in batches(concepts, Draws(0)):
        start, busy = time.perf_counter(), time.process_time()
        store.add(batch)
        store.tick()
        spent += time.perf_counter() - start
        processor += time.process_time() - busy
    return spent, processor


def recall_times(store: ConceptStore, queries: int, clock: int | None) -> tuple[list[float], list[float]]:
    draws, seconds, processor = Draws(1), [], []
    for _ in range(queries):
        query = draws.query(clock)
        start, busy = time.perf_counter(), time.process_time()
        assert store.recall(query)
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    return seconds, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--concepts", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument(
        "--keep", type=Path, help="a file for the memory; one that is there is asked, not filled"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder, "memory.sqlite")
        filled = path.exists()
        with ConceptStore.open(path) as store:
            spent = None if filled else fill(store, arguments.concepts)
            ways = {"now": store.clock, "without a clock": None, "at half of its life": store.clock // 2}
            rows = []
            for way, clock in ways.items():
                recall_times(store, 20, clock)
                seconds, processor = recall_times(store, arguments.queries, clock)
                rows.append(
                    {
                        "asked": way,
                        "p50 ms": percentile(seconds, 50),
                        "p99 ms": percentile(seconds, 99),
                        "CPU p50 ms": percentile(processor, 50),
                    }
                )
            single = []
            draws = Draws(2)
            for number in range(100):
                concept = draws.concept(-1 - number)
                start = time.perf_counter()
                store.add([concept])
                single.append(time.perf_counter() - start)
            concepts = len(store) - 100
        size = path.stat().st_size
    summary = {
        "concepts": concepts,
        "inserts a second": spent and round(concepts / spent[0]),
        "a CPU second": spent and round(concepts / spent[1]),
        "one add, p50 ms": percentile(single, 50),
        "MB": round(size / 1e6),
        "bytes a concept": round(size / concepts),
    }
    print_table("A memory's scale", [summary])
    print_table("Recall", rows)
    if spent is not None:
        write_results("memory_scale", {"summary": summary, "recall": rows})


if __name__ == "__main__":
    main()

"""How a memory of many concepts fares, in a file and on a server: inserts a second, size, time to recall.

Concepts are synthetic: their words, code and structural tokens are drawn by Zipf's law, and so are those of
the queries, which have the length of a task's description. Needs no benchmark files.

A memory is filled up to one size after the other, and asked at each. On PostgreSQL, whose server is started
with the settings it comes with unless ``--memory`` names an empty database, the last size is only gone to if
that takes less than 20 minutes by the rate so far; else it is 200,000. Inserts a second are those since the
size before. Where there is no PostgreSQL, SQLite alone is measured.

    python benchmarks/memory_scale.py [--concepts 100000 1000000] [--queries 500] [--keep FILE]
        [--memory postgresql+psycopg://USER@HOST/DATABASE] [--only sqlite|postgresql]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from postgresql_server import postgresql_server
from reporting import print_table, write_results

from memory import Concept, ConceptStore, Provenance, RecallQuery
from sandboxes import Program

BATCH = 5_000
VOCABULARY = 50_000
TOKENS = 2_000
SINGLE = 100
PATIENCE = 20 * 60
"""How many seconds PostgreSQL gets for its last size."""

SMALLER = 200_000
Row = dict[str, object]
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


def batches(start: int, stop: int, draws: Draws) -> Iterator[list[Concept]]:
    for first in range(start, stop, BATCH):
        yield [draws.concept(number) for number in range(first, min(first + BATCH, stop))]


def percentile(seconds: list[float], share: float) -> float:
    return round(1_000 * float(np.percentile(seconds, share)), 1)


def fill(store: ConceptStore, start: int, stop: int, draws: Draws) -> tuple[float, float]:
    """Give the time that adding took, and that of this process, without that of making up what is added."""
    spent = processor = 0.0
    for batch in batches(start, stop, draws):
        begin, busy = time.perf_counter(), time.process_time()
        store.add(batch)
        store.tick()
        spent += time.perf_counter() - begin
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


def measure(
    store: ConceptStore,
    kind: str,
    sizes: Sequence[int],
    queries: int,
    size_on_disk: Callable[[], int],
    patience: float | None = None,
) -> tuple[list[Row], list[Row]]:
    """Fill a memory up to each size, and ask it there; give what that took, and what the recalls took."""
    summary: list[Row] = []
    recalls: list[Row] = []
    draws, there, rate = Draws(0), 0, 0.0
    for wanted in sizes:
        aim = wanted
        if patience is not None and rate and (wanted - there) / rate > patience and there < SMALLER < wanted:
            aim = SMALLER
            print(f"{kind}: {wanted:,} concepts would take {(wanted - there) / rate / 60:.0f} minutes")
        spent, processor = fill(store, there, aim, draws)
        rate = (aim - there) / spent
        summary.append(
            {
                "memory": kind,
                "concepts": aim,
                "inserts a second": round(rate),
                "a CPU second of ours": round((aim - there) / processor),
                "one add, p50 ms": percentile(add_single(store, aim), 50),
                "MB": round(size_on_disk() / 1e6),
                "bytes a concept": round(size_on_disk() / aim),
            }
        )
        there = aim
        recalls += ask(store, kind, aim, queries)
    return summary, recalls


def add_single(store: ConceptStore, size: int) -> list[float]:
    draws, seconds = Draws(size), []
    for number in range(SINGLE):
        concept = draws.concept(-1 - number - size)
        start = time.perf_counter()
        store.add([concept])
        seconds.append(time.perf_counter() - start)
    return seconds


def ask(store: ConceptStore, kind: str, size: int, queries: int) -> list[Row]:
    ways = {"now": store.clock, "without a clock": None, "at half of its life": store.clock // 2}
    rows: list[Row] = []
    for way, clock in ways.items():
        recall_times(store, 20, clock)
        seconds, processor = recall_times(store, queries, clock)
        rows.append(
            {
                "memory": kind,
                "concepts": size,
                "asked": way,
                "p50 ms": percentile(seconds, 50),
                "p99 ms": percentile(seconds, 99),
                "CPU of ours, p50 ms": percentile(processor, 50),
            }
        )
    return rows


def in_a_file(place: Path, sizes: Sequence[int], queries: int) -> tuple[list[Row], list[Row]]:
    """Measure SQLite; a file that is there is asked, not filled."""
    filled = place.exists()

    def size_on_disk() -> int:
        return sum(one.stat().st_size for one in place.parent.glob(f"{place.name}*"))

    with ConceptStore.open(place) as store:
        if filled:
            return [], ask(store, "SQLite", len(store), queries)
        return measure(store, "SQLite", sizes, queries, size_on_disk)


def on_a_server(address: str, sizes: Sequence[int], queries: int) -> tuple[list[Row], list[Row]]:
    """Measure PostgreSQL."""
    engine = sa.create_engine(address)

    def size_on_disk() -> int:
        with engine.connect() as connection:
            asked = connection.exec_driver_sql("SELECT pg_database_size(current_database())")
            return int(asked.scalar_one())

    with ConceptStore.open(address) as store:
        if len(store):
            raise SystemExit(f"{store.name} holds concepts: name an empty database")
        found = measure(store, "PostgreSQL", sizes, queries, size_on_disk, PATIENCE)
    engine.dispose()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--concepts", type=int, nargs="+", default=[100_000, 1_000_000], help="sizes, ascending"
    )
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument(
        "--keep", type=Path, help="a file for the memory; one that is there is asked, not filled"
    )
    parser.add_argument(
        "--memory", metavar="URL", help="an empty PostgreSQL database (default: a new server)"
    )
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    arguments = parser.parse_args()
    summary: list[Row] = []
    recalls: list[Row] = []
    if arguments.only != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            place = arguments.keep or Path(folder, "memory.sqlite")
            summary, recalls = in_a_file(place, arguments.concepts, arguments.queries)
    if arguments.only != "sqlite":
        with nullcontext(arguments.memory) if arguments.memory else postgresql_server() as address:
            if address is None:
                print("PostgreSQL is left out: apt-get install postgresql; pip install 'induce[postgres]'")
            else:
                rows, asked = on_a_server(address, arguments.concepts, arguments.queries)
                summary, recalls = summary + rows, recalls + asked
    if summary:
        print_table("A memory's scale", summary)
    print_table("Recall", recalls)
    if summary:
        name = "memory_scale" if arguments.only is None else f"memory_scale_{arguments.only}"
        write_results(name, {"summary": summary, "recall": recalls})


if __name__ == "__main__":
    main()

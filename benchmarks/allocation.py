"""What does sharing programs out by a bandit gain over a fixed split?

A model writes 8 hypotheses for each task and 8 programs for each hypothesis, and all are run: a pool of real
verdicts. The loop then solves each task from its pool, in which the programs of a hypothesis are shuffled
anew each time, with a fixed split and with the bandit, and the same number of programs at most. Shown are the
share of tasks solved, that is, with a program that satisfies every example, and the programs it took.

    INDUCE_BENCHMARK_DATA=… python benchmarks/allocation.py --model vllm:NAME@URL --runs DIR

Runs are kept in DIR, and an interrupted one is gone on with when the script is started again.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from recipes import run_to_the_end, scaled, subsets
from reporting import benchmark_data, print_table, write_results

from hypotheses.allocation import Allocation
from hypotheses.budget import Ledger
from hypotheses.hypothesis import Hypothesis, Implementation, Proposal, Report, Verdict
from hypotheses.proposer import Request
from hypotheses.rounds import Rounds
from hypotheses.run_log import RunLog
from hypotheses.solver_config import SolverConfig
from hypotheses.task import Task
from induce.settings import resolve_settings
from sandboxes import Limits

HYPOTHESES = PROGRAMS = 8
RECIPE = scaled(
    "hypothesis-search",
    propose={"samples": HYPOTHESES, "max_tokens": 100},
    implement={"programs": PROGRAMS, "max_tokens": 300},
).model_copy(update={"summarize": None, "refine": None, "stop_early": False})

Pool = dict[str, list[Verdict | None]]
"""By hypothesis, what running each of its programs showed; ``None`` where none could be read."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", required=True, help="an address, such as vllm:NAME@http://127.0.0.1:8000/v1"
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of the run logs")
    parser.add_argument("--tasks", type=int, default=12, help="of each benchmark (default 12)")
    parser.add_argument("--shuffles", type=int, default=50)
    chosen = parser.parse_args()
    settings = resolve_settings({"model": {"address": chosen.model, "truncation": "keep"}})
    pools: list[Pool] = []
    for benchmark, source in subsets(benchmark_data(), chosen.runs, chosen.tasks).items():
        path = chosen.runs / f"pool-{benchmark}.sqlite"
        run_to_the_end(path, source, settings.model_copy(update={"recipe": RECIPE}))
        pools += pools_of(path)
    rows = [compare(pools, programs, chosen.shuffles) for programs in (1, 2, 3, 4)]
    print_table(f"{len(pools)} tasks, {chosen.shuffles} shuffles", rows)
    write_results(
        "allocation",
        {"model": chosen.model.partition("@")[0], "tasks": len(pools), "rows": rows},
    )


def pools_of(path: Path) -> list[Pool]:
    """Read the pools of all tasks from a finished run."""
    pools = []
    with RunLog.open(path) as log:
        for solution in log.solutions():
            pool: Pool = {}
            for number, entry in enumerate(log.trace(solution.task_id).entries):
                verdicts: list[Verdict | None] = [one.verdict for one in entry.judged]
                verdicts += [None] * (PROGRAMS - len(verdicts))
                pool[f"{number}: {entry.proposal.hypothesis.text}"] = verdicts
            pools.append(pool)
    return pools


def compare(pools: list[Pool], programs: int, shuffles: int) -> dict[str, object]:
    """Solve all tasks both ways, with ``programs`` for each hypothesis on the average."""
    row: dict[str, object] = {"programs a hypothesis": programs}
    ways: tuple[Allocation, ...] = ("fixed", "bandit")
    solved = {}
    for way in ways:
        results = [solve(pool, programs, way, seed) for pool in pools for seed in range(shuffles)]
        solved[way] = (
            np.array([one.solved for one in results], float).reshape(len(pools), shuffles).mean(axis=1)
        )
        row[f"{way}: solved"] = round(float(solved[way].mean()), 4)
        row[f"{way}: programs"] = round(float(np.mean([one.programs for one in results])), 2)
    difference = solved["bandit"] - solved["fixed"]
    draws = np.random.default_rng(0).choice(difference, (10_000, len(difference))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    row["gain"] = f"{100 * difference.mean():+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
    return row


@dataclass
class FromPool:
    """Proposes the hypotheses of a pool, and gives its programs in the order of a shuffle."""

    pool: Pool
    programs: int = 0
    solved: bool = False
    name: str = field(default="pool", init=False)

    async def propose(self, _request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield all hypotheses at once."""
        for text in self.pool:
            yield Proposal(Hypothesis(text))

    async def implement(
        self, request: Request, hypothesis: Hypothesis
    ) -> AsyncGenerator[Implementation | Report, None]:
        """Yield the next programs of a hypothesis, as their verdicts."""
        for verdict in self.pool[hypothesis.text][request.first : request.first + request.n]:
            self.programs += 1
            if verdict is not None:
                self.solved = self.solved or verdict.consistent
                yield Implementation(None, verdict=verdict)


def solve(pool: Pool, programs: int, allocation: Allocation, seed: int) -> FromPool:
    """Solve a task from a shuffle of its pool, and give what was drawn."""
    random = np.random.default_rng(seed)
    shuffled = {
        text: [verdicts[i] for i in random.permutation(len(verdicts))] for text, verdicts in pool.items()
    }
    drawn = FromPool(shuffled)
    task = Task.from_pairs([(0, 0)], id=f"shuffle {seed}")  # what counts are the verdicts
    config = SolverConfig(rounds=1, samples=HYPOTHESES, programs=programs, allocation=allocation)
    with ThreadPoolExecutor(1) as threads:
        rounds = Rounds(task, drawn, drawn, _NoSandbox(), config, Limits(), None, Ledger(), threads)
        asyncio.run(rounds.run())
    return drawn


class _NoSandbox:
    """Nothing is run any more."""


if __name__ == "__main__":
    main()

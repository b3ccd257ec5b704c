"""What training makes of networks that could be the algorithm: how accurate, and how faithful.

Networks of CLRS-30's architecture with GATv2 attention are trained on graphs of 16 nodes, from random weights
and from compiled weights with a little noise, with and without hints, and tested on graphs of 16 nodes and on
CLRS-30's test set of 64. Beside accuracy stands how far they show what the algorithm shows at every step
(external), whether their attention is the compiled network's (internal), and how often a node listens most to
the sender that becomes its parent (choices). Depth-first search cannot be compiled into this architecture, so
it starts from random weights alone, and has nothing that its attention could be like. Recovery is what
training makes of compiled weights with more and more noise.

    python benchmarks/gnn_training.py [--minutes 3] [--seeds 3] [--jobs 1] [--quick]

It writes ``gnn_training.json`` and ``gnn_training.svg``. A training ends by wall clock, so that weights
differ from machine to machine; each takes one thread.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import reporting

from gnn_compile.clrs import Algorithm, Batch, Sampler, batch_of, clrs30
from gnn_compile.training import (
    COMPILED,
    Ending,
    Measures,
    Plan,
    Settings,
    Tensors,
    compiled_model,
    distance,
    initialise,
    measure,
    one_thread,
    perturbed,
    probe,
    recovery,
    train,
)

ALGORITHMS = (Algorithm.BFS, Algorithm.BELLMAN_FORD, Algorithm.DFS)
SHARPNESS = {Algorithm.BFS: 2.0**8, Algorithm.BELLMAN_FORD: 2.0**12}
"""Of weights that are trained on: less than what is exact, for the sharper they are, the less they learn."""
SIGMA = 0.005
SIGMAS = (0.001, 0.01, 0.1)
STEPS_KEPT = 12
SIZE = 16
TEST_SIZE = 64


@dataclass(frozen=True, slots=True)
class Case:
    """One training."""

    algorithm: Algorithm
    start: str
    """``random``, or ``compiled`` with noise."""
    hints: bool
    seed: int
    minutes: float
    runs: int
    """To test on."""

    @property
    def plan(self) -> Plan:
        # Small steps from weights that are nearly right.
        rate = 1e-3 if self.start == "random" else 3e-4
        return Plan(steps=10**6, seconds=60 * self.minutes, seed=self.seed, rate=rate)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="for each training, 10 at most")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, each on one thread")
    parser.add_argument("--quick", action="store_true", help="two seconds each, one seed: does it work?")
    options = parser.parse_args()
    if not 0 < options.minutes <= 10:
        parser.error("a training takes more than 0 and 10 minutes at most")
    minutes, seeds, runs = (2 / 60, 1, 4) if options.quick else (options.minutes, options.seeds, 32)
    cases = list(_cases(seeds, minutes, runs))
    noisy = [
        Case(algorithm, "compiled", True, 0, minutes / len(SIGMAS), runs)
        for algorithm in ALGORITHMS
        if algorithm in COMPILED
    ]
    begun = time.monotonic()
    # Spawned: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        trainings, recoveries = pool.map(trained, cases), pool.map(recovered, noisy)
        rows = []
        for number, row in enumerate(trainings, start=1):
            rows.append(row)
            print(
                f"{number} of {len(cases)}: {row['algorithm']}, {row['start']}, "
                f"{'hints' if row['hints'] else 'no hints'}, seed {row['seed']}: "
                f"{row[f'at {TEST_SIZE}']['accuracy']:.1%} at {TEST_SIZE}",
                flush=True,
            )
        again = list(itertools.chain.from_iterable(recoveries))
    exact = [compiled(algorithm, runs) for algorithm in COMPILED]
    gap, correlations = [*map(_exact_row, exact), *_gap(rows)], _correlations(rows)
    reporting.print_table(f"Trained on {SIZE} nodes: in %, mean ± deviation over seeds", gap)
    reporting.print_table("Accuracy and faithfulness, over starts, hints, seeds and sizes", correlations)
    reporting.print_table("Compiled weights with noise, before and after training", _short(again))
    reporting.write_results(
        "gnn_training",
        {
            "minutes": minutes,
            "seeds": seeds,
            "noise": SIGMA,
            "sharpness": {str(name): value for name, value in SHARPNESS.items()},
            "gap": gap,
            "correlations": correlations,
            "recovery": again,
            "compiled": exact,
            "trainings": rows,
            "seconds": round(time.monotonic() - begun),
        },
    )
    path = reporting.RESULTS / "gnn_training.svg"
    path.write_text(_plot(rows), encoding="utf-8")
    print(f"written to {path.name}")


def _cases(seeds: int, minutes: float, runs: int) -> Iterator[Case]:
    for algorithm, start, hints, seed in itertools.product(
        ALGORITHMS, ("random", "compiled"), (True, False), range(seeds)
    ):
        if start == "random" or algorithm in COMPILED:
            yield Case(algorithm, start, hints, seed, minutes, runs)


def _tests(algorithm: Algorithm, runs: int) -> dict[int, Tensors]:
    seen_by_nobody = Sampler(algorithm, (SIZE,), seed=10**6)
    return {
        SIZE: Tensors.of(next(seen_by_nobody.batches(runs))),
        TEST_SIZE: Tensors.of(batch_of(list(clrs30(algorithm, "test"))[:runs])),
    }


def _validation(algorithm: Algorithm) -> Batch:
    return batch_of(list(clrs30(algorithm, "val")))


def _sampler(case: Case) -> Sampler:
    return Sampler(case.algorithm, (SIZE,), seed=1000 + case.seed)


def trained(case: Case) -> dict[str, Any]:
    """Train one, and measure it."""
    soft = sharp = None
    if case.algorithm in COMPILED:
        soft = compiled_model(case.algorithm, SHARPNESS[case.algorithm], hints=case.hints)
        sharp = compiled_model(case.algorithm, hints=case.hints)
    if case.start == "random" or soft is None:
        model = initialise(Settings(case.algorithm, hints=case.hints), case.seed)
    else:
        model = perturbed(soft, SIGMA, case.seed)
    tests = _tests(case.algorithm, case.runs)
    with one_thread():
        before = {size: measure(model, test, sharp) for size, test in tests.items()}
        history = train(model, _sampler(case), case.plan, validation=_validation(case.algorithm))
        after = {size: measure(model, test, sharp) for size, test in tests.items()}
        probes = probe(model, tests[SIZE])
    return {
        "algorithm": str(case.algorithm),
        "start": case.start,
        "hints": case.hints,
        "seed": case.seed,
        "steps": history.steps,
        "best step": history.best,
        "seconds": round(history.seconds, 1),
        "ended by": str(history.ending),
        "accuracy in validation": [(one.step, one.accuracy) for one in history.validations],
        **{f"at {size} before": _flat(found) for size, found in before.items()},
        **{f"at {size}": _flat(found) for size, found in after.items()},
        "distance to compiled": None if soft is None else distance(model, soft),
        "probes": {name: asdict(found) for name, found in probes.items()},
    }


def compiled(algorithm: Algorithm, runs: int) -> dict[str, Any]:
    """Measure a compiled network that nobody has trained."""
    model = compiled_model(algorithm)
    found = {
        f"at {size}": _flat(measure(model, test, model)) for size, test in _tests(algorithm, runs).items()
    }
    return {"algorithm": str(algorithm), "start": "compiled, untrained", **found}


def recovered(case: Case) -> list[dict[str, Any]]:
    """Add noise of each deviation, and train."""
    model = compiled_model(case.algorithm, SHARPNESS[case.algorithm])
    found = recovery(
        model,
        SIGMAS,
        _sampler(case),
        case.plan,
        _tests(case.algorithm, case.runs)[TEST_SIZE],
        validation=_validation(case.algorithm),
    )
    return [
        {
            "algorithm": str(case.algorithm),
            "sigma": one.sigma,
            "before": _flat(one.before),
            "after": _flat(one.after),
            "distance before": one.distance_before,
            "distance after": one.distance_after,
            "steps": one.history.steps,
            "in time": one.history.ending is Ending.STEPS,
        }
        for one in found
    ]


def _flat(found: Measures) -> dict[str, Any]:
    return {
        "accuracy": found.accuracy,
        "external": found.external.mean,
        "whole traces": found.external.whole,
        "external by hint": dict(found.external.by_hint),
        # Of long runs only how they begin, for there are two hundred steps of depth-first search.
        "external by step": {
            name: [round(share, 4) for share in shares[:STEPS_KEPT]]
            for name, shares in found.external.by_step.items()
        },
        **{f"internal {name}": value for name, value in asdict(found.internal).items()},
    }


def _exact_row(found: dict[str, Any]) -> dict[str, Any]:
    return _gap_row(found["algorithm"], found["start"], "either", [found])


def _gap(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the table of the gap between what can be expressed and what is learnt."""
    keyed: dict[tuple[str, str, bool], list[dict[str, Any]]] = {}
    for row in rows:
        keyed.setdefault((row["algorithm"], row["start"], row["hints"]), []).append(row)
    return [
        _gap_row(algorithm, start, "yes" if hints else "no", group)
        for (algorithm, start, hints), group in keyed.items()
    ]


def _gap_row(algorithm: str, start: str, hints: str, group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    def of(size: int, name: str) -> str:
        return _spread(row[f"at {size}"][name] for row in group)

    return {
        "algorithm": algorithm,
        "start": start,
        "hints": hints,
        f"accuracy {SIZE}": of(SIZE, "accuracy"),
        f"accuracy {TEST_SIZE}": of(TEST_SIZE, "accuracy"),
        f"external {TEST_SIZE}": of(TEST_SIZE, "external"),
        "whole": of(TEST_SIZE, "whole traces"),
        f"internal {TEST_SIZE}": of(TEST_SIZE, "internal similarity"),
        "choices": of(TEST_SIZE, "internal choices"),
        "entropy": of(TEST_SIZE, "internal entropy"),
        "distance": _spread(row.get("distance to compiled") for row in group),
    }


def _spread(values: Iterable[float | None]) -> str:
    there = [100 * value for value in values if value is not None]
    if not there:
        return "-"
    mean = f"{statistics.mean(there):.1f}"
    return mean if len(there) == 1 else f"{mean} ± {statistics.stdev(there):.1f}"


def _points(
    rows: Sequence[dict[str, Any]], algorithm: str, name: str
) -> Iterator[tuple[dict[str, Any], int, float, float]]:
    """Give a training, a size, the accuracy and a measure, wherever there is such a measure."""
    for row in rows:
        for size in (SIZE, TEST_SIZE):
            found = row[f"at {size}"]
            if row["algorithm"] == algorithm and found[name] is not None:
                yield row, size, found["accuracy"], found[name]


def _correlations(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for algorithm in ALGORITHMS:
        for name in ("external", "internal similarity", "internal choices"):
            points = [(one, other) for _, _, one, other in _points(rows, algorithm, name)]
            if not points:
                continue
            accuracies, measures = np.array(points).T
            table.append(
                {
                    "algorithm": str(algorithm),
                    "accuracy with": name,
                    "points": len(points),
                    "Pearson": _correlation(accuracies, measures),
                    "Spearman": _correlation(_ranks(accuracies), _ranks(measures)),
                }
            )
    return table


def _correlation(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float | None:
    if len(one) < 3 or not one.std() or not other.std():
        return None
    return round(float(np.corrcoef(one, other)[0, 1]), 3)


def _ranks(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give ranks, to equals their mean."""
    below = (values[:, None] > values).sum(1)
    return below + ((values[:, None] == values).sum(1) - 1) / 2


def _short(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the table of recovery, in %."""
    return [
        {"algorithm": row["algorithm"], "noise": row["sigma"]}
        | {
            f"{short}, {when}": _spread([row[when][name]])
            for name, short in (
                ("accuracy", "accuracy"),
                ("external", "external"),
                ("internal similarity", "internal"),
            )
            for when in ("before", "after")
        }
        | {f"distance, {when}": _spread([row[f"distance {when}"]]) for when in ("before", "after")}
        for row in rows
    ]


COLOURS = {Algorithm.BFS: "#0072b2", Algorithm.BELLMAN_FORD: "#d55e00", Algorithm.DFS: "#009e73"}
SIDE, MARGIN = 320, 60


def _plot(rows: Sequence[dict[str, Any]]) -> str:
    """Draw accuracy against both kinds of faithfulness, a mark for each training and size."""
    width, height = 2 * (SIDE + MARGIN) + MARGIN, SIDE + 2 * MARGIN + 50
    panels = [
        _panel(rows, name, title, MARGIN + number * (SIDE + MARGIN))
        for number, (name, title) in enumerate(
            (
                ("external", "external: agreement at every step"),
                ("internal similarity", "internal: likeness of attention"),
            )
        )
    ]
    legend = []
    for number, algorithm in enumerate(ALGORITHMS):
        x, y = MARGIN + 130 * number, height - 45
        legend.append(f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{COLOURS[algorithm]}"/>')
        legend.append(f'<text x="{x + 10}" y="{y}">{algorithm}</text>')
    explained = (
        f"round: from random weights; square: from compiled weights with noise; filled: {TEST_SIZE} nodes, "
        f"hollow: {SIZE}"
    )
    legend.append(f'<text x="{MARGIN}" y="{height - 22}">{explained}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            *panels,
            *legend,
            "</svg>\n",
        ]
    )


def _panel(rows: Sequence[dict[str, Any]], name: str, title: str, left: int) -> str:
    top = MARGIN - 20
    parts = [
        f'<rect x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>',
        f'<text x="{left + SIDE / 2}" y="{top - 10}" text-anchor="middle" font-weight="bold">{title}</text>',
        f'<text x="{left + SIDE / 2}" y="{top + SIDE + 34}" text-anchor="middle">accuracy</text>',
        f'<path d="M{left} {top + SIDE}L{left + SIDE} {top}" stroke="#ccc" stroke-dasharray="4"/>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = left + share * SIDE, top + (1 - share) * SIDE
        parts.append(f'<text x="{x}" y="{top + SIDE + 16}" text-anchor="middle">{share:.0%}</text>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    for algorithm in ALGORITHMS:
        for row, size, accuracy, found in _points(rows, algorithm, name):
            x, y = left + accuracy * SIDE, top + (1 - found) * SIDE
            colour = COLOURS[algorithm]
            style = f'fill="{colour if size == TEST_SIZE else "none"}" stroke="{colour}" opacity="0.75"'
            about = (
                f"<title>{algorithm}, {row['start']}, {'hints' if row['hints'] else 'no hints'}, seed "
                f"{row['seed']}, {size} nodes: accuracy {accuracy:.1%}, {name} {found:.1%}</title>"
            )
            if row["start"] == "random":
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {style}>{about}</circle>')
            else:
                parts.append(
                    f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" {style}>{about}</rect>'
                )
    return "\n".join(parts)


if __name__ == "__main__":
    main()

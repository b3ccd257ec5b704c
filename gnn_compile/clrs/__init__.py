"""Runs of textbook algorithms on graphs, as the benchmark CLRS-30 has them: inputs, outputs, all between.

The data model, the values and, for a seed, the samples are those of *The CLRS Algorithmic Reasoning
Benchmark* (Veličković et al., 2022), without its dependencies.

`run` runs an algorithm on a graph of yours, a `Sampler` on graphs that it draws, and `clrs30` gives the
benchmark's own sets.

>>> from gnn_compile.clrs import Algorithm, Sampler, run
>>> sample = run(Algorithm.BFS, [[0, 1, 0], [1, 0, 1], [0, 1, 0]], source=0)
>>> sample.outputs["pi"]
array([0, 0, 1])
>>> sample.hints["reach_h"].tolist()
[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
>>> batch = next(Sampler(Algorithm.DIJKSTRA, sizes=(4, 8), seed=1).batches(32))
>>> batch.inputs["A"].shape, batch.hints["d"].shape
((32, 8, 8), (9, 32, 8))
"""

from gnn_compile.clrs.algorithms import needs_source, run
from gnn_compile.clrs.families import Family, GraphKind
from gnn_compile.clrs.samplers import KINDS, SPLITS, Sampler, Split, clrs30
from gnn_compile.clrs.samples import Batch, Sample, batch_of
from gnn_compile.clrs.specs import COLORS, SPECS, Algorithm, Location, Probe, Spec, Stage, Type, names, shape

__all__ = [
    "COLORS",
    "KINDS",
    "SPECS",
    "SPLITS",
    "Algorithm",
    "Batch",
    "Family",
    "GraphKind",
    "Location",
    "Probe",
    "Sample",
    "Sampler",
    "Spec",
    "Split",
    "Stage",
    "Type",
    "batch_of",
    "clrs30",
    "names",
    "needs_source",
    "run",
    "shape",
]

"""Algorithms compiled into the weights of message-passing networks, exact on stated graphs.

After "Mind The Gap: Quantifying Mechanistic Gaps in Algorithmic Reasoning via Neural Compilation" (Saldyt and
Kambhampati, arXiv 2505.18623): a network whose weights are set, not trained, so that it is the algorithm.

>>> from gnn_compile import Graph, compile_algorithm, run_network
>>> network = compile_algorithm("bellman_ford")
>>> triangle = Graph.of(3, [(0, 1, 5.0), (0, 2, 1.0), (2, 1, 2.0)])
>>> run_network(network, triangle, source=0).outputs["d"].tolist()
[0.0, 3.0, 1.0]
"""

from gnn_compile.algorithm import Algorithm, Bounds, algorithm_names, load_algorithm, parse_algorithm
from gnn_compile.compiler import compile_algorithm
from gnn_compile.graphs import Graph
from gnn_compile.network import Network
from gnn_compile.runtime import Run, run_network
from gnn_compile.targets import Target

__all__ = [
    "Algorithm",
    "Bounds",
    "Graph",
    "Network",
    "Run",
    "Target",
    "algorithm_names",
    "compile_algorithm",
    "load_algorithm",
    "parse_algorithm",
    "run_network",
]

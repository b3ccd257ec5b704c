"""Networks of the architecture of CLRS-30, trained or with weights that are set, and how faithful they are.

This package needs torch, which nothing else of `gnn_compile` loads unasked.

>>> from gnn_compile.clrs import Algorithm, batch_of, clrs30
>>> from gnn_compile.training import Tensors, compiled_model, measure
>>> model = compiled_model(Algorithm.BFS)
>>> measure(model, Tensors.of(batch_of(list(clrs30(Algorithm.BFS, "test")))), model).accuracy
1.0
"""

from gnn_compile.training.alignment import distance
from gnn_compile.training.faithfulness import (
    External,
    Internal,
    Measures,
    external,
    internal,
    measure,
    traced,
)
from gnn_compile.training.loop import Ending, History, Plan, Validation, one_thread, train
from gnn_compile.training.losses import accuracy, agreement, loss
from gnn_compile.training.model import EncodeProcessDecode, Prediction, Settings, Trace, initialise
from gnn_compile.training.probes import Probed, probe
from gnn_compile.training.processors import Processor
from gnn_compile.training.recovery import Recovery, recovery
from gnn_compile.training.tensors import Tensors
from gnn_compile.training.weights import COMPILED, compiled_model, perturbed

__all__ = [
    "COMPILED",
    "EncodeProcessDecode",
    "Ending",
    "External",
    "History",
    "Internal",
    "Measures",
    "Plan",
    "Prediction",
    "Probed",
    "Processor",
    "Recovery",
    "Settings",
    "Tensors",
    "Trace",
    "Validation",
    "accuracy",
    "agreement",
    "compiled_model",
    "distance",
    "external",
    "initialise",
    "internal",
    "loss",
    "measure",
    "one_thread",
    "perturbed",
    "probe",
    "recovery",
    "traced",
    "train",
]

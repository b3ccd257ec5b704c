"""Networks as ONNX models: one model of a network's encoder, of a round and of what it refuses.

Its inputs are ``senders`` and ``receivers`` [edges], ``size`` [1], and the columns ``node.<field>`` [nodes],
``edge.<field>`` [edges] and ``graph.<field>`` [1]; its outputs are the state before the first round,
``begin.<field>``, the state after a round, ``next.<field>``, and flags for what is refused,
``refused.<number>``. All numbers are float64. The matrices are initialisers. The model's metadata
``gnn_compile`` say of which algorithm it is, and within which bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from pydantic import BaseModel, ConfigDict, ValidationError

from gnn_compile.algorithm import Bounds, parse_algorithm
from gnn_compile.compiler import compile_algorithm
from gnn_compile.dense import Channel, DenseCircuit, Layer, Stage
from gnn_compile.dense_network import DenseNetwork, run_circuits
from gnn_compile.graphs import Column, Graph
from gnn_compile.network import Network
from gnn_compile.runtime import Input, Run
from gnn_compile.targets import Target
from gnn_compile.units import Activation, Place, Reduction
from sandboxes.errors import AlgorithmError

_OPSET, _FORMAT = 18, 8
"""Of ONNX 1.13; later ones changed nothing in the operators that are used."""
_KEY = "gnn_compile"
_GREATEST = float(np.finfo(np.float64).max)
_SCATTER = {Reduction.MIN: "min", Reduction.MAX: "max", Reduction.SUM: "add"}
_POOL = {Reduction.MIN: "ReduceMin", Reduction.MAX: "ReduceMax", Reduction.SUM: "ReduceSum"}
_PAIR = {Reduction.MIN: "Min", Reduction.MAX: "Max", Reduction.SUM: "Add"}
_NEUTRAL = {Reduction.MIN: _GREATEST, Reduction.MAX: -_GREATEST, Reduction.SUM: 0.0}
_AXES: Mapping[Place, str | int] = {Place.NODE: "nodes", Place.EDGE: "edges", Place.GRAPH: 1}


def to_onnx(network: Network | DenseNetwork, path: str | Path) -> None:
    """Write a network to a file.

    Raises ``AlgorithmError`` where the file cannot be written, or the network averages by a softmax or lacks
    fields of the state.
    """
    model = onnx_model(network)
    try:
        Path(path).write_bytes(model.SerializeToString())
    except OSError as error:
        raise AlgorithmError(f"{path} cannot be written: {error.strerror or error}") from error


def onnx_model(network: Network | DenseNetwork) -> onnx.ModelProto:
    """Make a model of a network; see ``to_onnx``."""
    made = DenseNetwork.of(network) if isinstance(network, Network) else network
    network = made.network
    if set(network.state) != set(network.algorithm.state):
        raise AlgorithmError(
            f"this network of {network.algorithm.name} was reduced to {', '.join(network.state)}, and models "
            "are of whole ones: export what compile_algorithm gave"
        )
    writer = _Writer()
    outputs = []
    for name, circuit in made.circuits.items():
        for output, (tensor, place) in writer.circuit(name, circuit).items():
            told = output_name(network, name, output)
            writer.node("Reshape", [tensor, writer.constant("flat", np.array([-1]))], told)
            outputs.append(helper.make_tensor_value_info(told, TensorProto.DOUBLE, [_AXES[place]]))
    ends = [
        helper.make_tensor_value_info(one, TensorProto.INT64, ["edges"]) for one in ("senders", "receivers")
    ]
    inputs = [*ends, helper.make_tensor_value_info("size", TensorProto.INT64, [1])]
    columns = {
        (place, name) for one in made.circuits.values() for place in Place for name in one.columns[place]
    }
    for place, name in sorted(columns):
        value = helper.make_tensor_value_info(f"{place}.{name}", TensorProto.DOUBLE, [_AXES[place]])
        inputs.append(value)
    graph = helper.make_graph(writer.nodes, network.algorithm.name, inputs, outputs, writer.initialisers)
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=_FORMAT, producer_name="gnn_compile")
    helper.set_model_props(model, {_KEY: _Source.of(network).model_dump_json()})
    onnx.checker.check_model(model)
    return model


def from_onnx(path: str | Path) -> Network:
    """Read a network that ``to_onnx`` wrote, with the weights that the model has now.

    Raises ``AlgorithmError`` for a file that holds no such network.
    """
    return dense_from_onnx(path).sparse()


def dense_from_onnx(path: str | Path) -> DenseNetwork:
    """Read the matrices of a network that ``to_onnx`` wrote; see ``from_onnx``."""
    model = _loaded(path)
    expected = DenseNetwork.of(_compiled(model, path))
    known = {one.name: one for one in model.graph.initializer}
    matrices = {}
    for name, matrix in expected.matrices.items():
        found = _matrix(known[name], path) if name in known else np.zeros(0)
        if found.size != matrix.size or (matrix.size and found.shape != matrix.shape):
            raise AlgorithmError(
                f"{path}: {name} is {list(found.shape)}, and the algorithm in it compiles to "
                f"{list(matrix.shape)}: the model was made of a network of another form; export it again"
            )
        matrices[name] = found.reshape(matrix.shape)
    return expected.with_matrices(matrices)


def run_onnx(
    path: str | Path,
    graph: Graph,
    *,
    outputs: Iterable[str] | None = None,
    trace: bool = False,
    **inputs: Input,
) -> Run:
    """Run a model of ``to_onnx`` with onnxruntime, round after round; see ``run_network``."""
    return OnnxNetwork(path).run(graph, outputs=outputs, trace=trace, **inputs)


class OnnxNetwork:
    """A model of ``to_onnx``, loaded by onnxruntime."""

    def __init__(self, path: str | Path) -> None:
        import onnxruntime  # noqa: PLC0415 - models are written and read without it

        self.network = _compiled(_loaded(path), path)
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        self._inputs = {one.name for one in self._session.get_inputs()}

    def run(
        self, graph: Graph, *, outputs: Iterable[str] | None = None, trace: bool = False, **inputs: Input
    ) -> Run:
        """Run it on a graph; see ``run_network``."""
        network = self.network
        circuits = (
            ("encoder", network.encoder),
            ("processor", network.processor),
            ("refusals", network.refusals),
        )
        computes = {name: partial(self._outputs, name, tuple(circuit.outputs)) for name, circuit in circuits}
        return run_circuits(network, computes, graph, inputs, outputs, trace=trace)

    def _outputs(
        self, circuit: str, names: Sequence[str], graph: Graph, columns: Mapping[str, Column]
    ) -> dict[str, Column]:
        if not names:
            return {}
        lengths = {"node": graph.size, "edge": graph.edges, "graph": 1}
        feeds: dict[str, npt.NDArray[Any]] = {
            "senders": graph.senders,
            "receivers": graph.receivers,
            "size": np.array([graph.size]),
        }
        for one in self._inputs - set(feeds):
            place, _, name = one.partition(".")
            feeds[one] = columns[name] if name in columns else np.zeros(lengths[place])
        asked = [output_name(self.network, circuit, one) for one in names]
        return dict(zip(names, self._session.run(asked, feeds, self._options), strict=True))


def output_name(network: Network, circuit: str, output: str) -> str:
    """Give the name of a model's output."""
    if circuit == "refusals":
        return f"refused.{list(network.refusals.outputs).index(output)}"
    return f"{'begin' if circuit == 'encoder' else 'next'}.{output}"


class _Source(BaseModel):
    """What a model says about where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    name: str
    algorithm: str
    """The algorithm's TOML."""
    bounds: Bounds
    target: Target

    @classmethod
    def of(cls, network: Network) -> _Source:
        algorithm = network.algorithm
        return cls(
            name=algorithm.name, algorithm=algorithm.text, bounds=network.bounds, target=network.target
        )


def _loaded(path: str | Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise AlgorithmError(f"{path} cannot be read as an ONNX model: {error}") from error


def _compiled(model: onnx.ModelProto, path: str | Path) -> Network:
    """Compile the algorithm that a model says it is."""
    told = {one.key: one.value for one in model.metadata_props}.get(_KEY)
    if told is None:
        raise AlgorithmError(f"{path} is a model that was not made of a compiled network: export one again")
    try:
        source = _Source.model_validate_json(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise AlgorithmError(
            f"{path}: what it says of its network is wrong: {where}: {first['msg']}"
        ) from error
    try:
        return compile_algorithm(parse_algorithm(source.algorithm, source.name), source.bounds, source.target)
    except AlgorithmError as error:
        raise AlgorithmError(f"{path}: {error}") from error


def _matrix(tensor: onnx.TensorProto, path: str | Path) -> Column:
    if tensor.data_location == TensorProto.EXTERNAL:
        raise AlgorithmError(f"{path} keeps {tensor.name} in another file, which is not read: save it as one")
    if tensor.data_type not in (TensorProto.DOUBLE, TensorProto.FLOAT):
        raise AlgorithmError(f"{path}: {tensor.name} must be numbers of float64")
    try:
        matrix = numpy_helper.to_array(tensor).astype(np.float64)
    except ValueError as error:
        raise AlgorithmError(f"{path}: {tensor.name} cannot be read: {error}") from error
    if not np.isfinite(matrix).all():
        raise AlgorithmError(f"{path}: {tensor.name} has a weight that is no finite number")
    return matrix


class _Writer:
    """Writes the nodes of a model; a value of no columns has no tensor, and is ``None``."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []
        self._written: set[str] = set()

    def circuit(self, name: str, dense: DenseCircuit) -> dict[str, tuple[str, Place]]:
        """Write a circuit, and give the tensors of its outputs, each [rows, 1]."""
        at = {place: self._stacked(f"{name}.{place}", place, dense.columns[place]) for place in Place}
        for number, stage in enumerate(dense.stages):
            at = self._stage(f"{name}.{number}", stage, at)
        outputs: dict[str, tuple[str, Place]] = {}
        for output, (place, column) in dense.outputs.items():
            tensor = self._columns(f"{name}.output.{len(outputs)}", at[place], [column])
            outputs[output] = tensor, place
        return outputs

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        if name not in self._written:
            self._written.add(name)
            self.initialisers.append(numpy_helper.from_array(value, name))
        return name

    def _stacked(self, name: str, place: Place, columns: Iterable[str]) -> str | None:
        upright = self.constant("upright", np.array([-1, 1]))
        return self._beside(
            name, [self.node("Reshape", [f"{place}.{one}", upright], f"{name}.{one}") for one in columns]
        )

    def _stage(self, name: str, stage: Stage, at: Mapping[Place, str | None]) -> dict[Place, str | None]:
        nodes, ours = at[Place.NODE], at[Place.GRAPH]
        everywhere = self._beside(
            f"{name}.before", [nodes, self._spread(f"{name}.ours.before", ours, "size")]
        )
        pools = [
            self._pooled(f"{name}.pool.{number}", one, everywhere) for number, one in enumerate(stage.pools)
        ]
        ours = self._layers(
            f"{name}.graph", stage.graph, self._beside(f"{name}.pools", [ours, *pools]), "one"
        )
        ours_everywhere = self._spread(f"{name}.ours", ours, "size")
        everywhere = self._beside(f"{name}.everywhere", [nodes, ours_everywhere])
        ends = [
            None if nodes is None else self.node("Gather", [nodes, end], f"{name}.{end}", axis=0)
            for end in ("senders", "receivers")
        ]
        known = [*ends, at[Place.EDGE], self._spread(f"{name}.ours.edges", ours, "edges")]
        messages = self._layers(
            f"{name}.message", stage.message, self._beside(f"{name}.known", known), "edges"
        )
        found = [
            self._aggregated(f"{name}.aggregation.{number}", one, messages, everywhere)
            for number, one in enumerate(stage.aggregations)
        ]
        nodes = self._beside(f"{name}.found", [nodes, *found, ours_everywhere])
        nodes = self._layers(f"{name}.update", stage.update, nodes, "size")
        kept = self._columns(f"{name}.kept", messages, range(stage.kept)) if stage.kept else None
        return {Place.NODE: nodes, Place.EDGE: kept, Place.GRAPH: ours}

    def _layers(self, name: str, layers: Iterable[Layer], values: str | None, rows: str) -> str | None:
        for depth, layer in enumerate(layers):
            values = self._layer(f"{name}.{depth}", layer, values, rows)
        return values

    def _layer(self, name: str, layer: Layer, values: str | None, rows: str) -> str | None:
        if not len(layer.bias):
            return None
        bias = self.constant(f"{name}.bias", layer.bias)
        if values is None:
            sums = self.node("Expand", [bias, self._shape(rows)], f"{name}.sums")
        else:
            weights = self.constant(f"{name}.weights", layer.weights)
            sums = self.node("Gemm", [values, weights, bias], f"{name}.sums", transB=1)
        if Activation.RELU in layer.activations:
            sums = self._where(
                name, layer, Activation.RELU, self.node("Relu", [sums], f"{name}.relu.all"), sums
            )
        if Activation.STEP in layer.activations:
            above = self.node("Greater", [sums, self.constant("zero", np.zeros((1, 1)))], f"{name}.above")
            steps = self.node("Cast", [above], f"{name}.step.all", to=TensorProto.DOUBLE)
            sums = self._where(name, layer, Activation.STEP, steps, sums)
        return sums

    def _where(self, name: str, layer: Layer, activation: Activation, those: str, others: str) -> str:
        which = np.array([[one is activation for one in layer.activations]])
        mask = self.constant(f"{name}.{activation}.which", which)
        return self.node("Where", [mask, those, others], f"{name}.{activation}")

    def _pooled(self, name: str, channel: Channel, values: str | None) -> str:
        column = self._columns(f"{name}.column", values, [channel.value])
        axes = self.constant("down", np.array([0]))
        return self.node(_POOL[channel.reduction], [column, axes], name, keepdims=1)

    def _aggregated(self, name: str, channel: Channel, messages: str | None, everywhere: str | None) -> str:
        column = self._columns(f"{name}.column", messages, [channel.value])
        found = self._scattered(f"{name}.found", channel.reduction, column)
        default = self.constant(f"{name}.default", np.array([[channel.default]]))
        found = self.node("Where", [self._receiving(), found, default], name)
        if channel.own is None:
            return found
        own = self._columns(f"{name}.own", everywhere, [channel.own])
        return self.node(_PAIR[channel.reduction], [found, own], f"{name}.with.own")

    def _scattered(self, name: str, reduction: Reduction, column: str) -> str:
        """Reduce a column of the edges to the nodes, from what makes no difference to a reduction on."""
        begin = self.constant(f"{reduction}.of.nothing", np.array([[_NEUTRAL[reduction]]]))
        begin = self.node("Expand", [begin, self._shape("size")], f"{name}.begin")
        upright = self.constant("upright", np.array([-1, 1]))
        into = self.node("Reshape", ["receivers", upright], f"{name}.into")
        return self.node(
            "ScatterElements", [begin, into, column], name, axis=0, reduction=_SCATTER[reduction]
        )

    def _receiving(self) -> str:
        """Give whether any edge goes into a node, [nodes, 1]."""
        if "receiving" not in self._written:
            self._written.add("receiving")
            ones = self.constant("ones", np.ones((1, 1)))
            ones = self.node("Expand", [ones, self._shape("edges")], "receiving.ones")
            degrees = self._scattered("receiving.degrees", Reduction.SUM, ones)
            self.node("Greater", [degrees, self.constant("zero", np.zeros((1, 1)))], "receiving")
        return "receiving"

    def _shape(self, rows: str) -> str:
        """Give the shape [rows, 1], to which a row is spread."""
        one = self.constant("one", np.array([1]))
        if (shape := f"{rows}.rows") not in self._written:
            self._written.add(shape)
            if rows == "edges":
                self.node("Shape", ["senders"], rows)
            self.node("Concat", [rows, one], shape, axis=0)
        return shape

    def _spread(self, name: str, ours: str | None, rows: str) -> str | None:
        return None if ours is None else self.node("Expand", [ours, self._shape(rows)], name)

    def _beside(self, name: str, values: Iterable[str | None]) -> str | None:
        there = [one for one in values if one is not None]
        if len(there) < 2:
            return there[0] if there else None
        return self.node("Concat", there, name, axis=1)

    def _columns(self, name: str, values: str | None, which: Sequence[int]) -> str:
        """Pick columns, of values that there are."""
        indices = self.constant(f"{name}.which", np.array(which, dtype=np.int64))
        return self.node("Gather", [values or "", indices], name, axis=1)

"""ONNX models that are a network: the same outputs, and the weights read back to the last bit."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_cases import ODD, cases, outcome

from gnn_compile import (
    Bounds,
    Graph,
    Target,
    algorithm_names,
    compile_algorithm,
    load_algorithm,
    parse_algorithm,
    run_network,
)
from gnn_compile.dense_network import DenseNetwork
from gnn_compile.runtime import Run
from sandboxes.errors import AlgorithmError

onnx = pytest.importorskip("onnx", reason="needs the extra gnn")
pytest.importorskip("onnxruntime", reason="needs the extra gnn")

from gnn_compile.onnx_export import OnnxNetwork, dense_from_onnx, from_onnx, run_onnx, to_onnx  # noqa: E402

NAMES = (*algorithm_names(), "odd")


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Give a network and its model, made once."""
    made = {}
    folder = tmp_path_factory.mktemp("models")

    def get(name):
        if name not in made:
            algorithm = parse_algorithm(ODD, "odd") if name == "odd" else load_algorithm(name)
            network, path = compile_algorithm(algorithm), folder / f"{name}.onnx"
            to_onnx(network, path)
            made[name] = network, OnnxNetwork(path), path
        return made[name]

    return get


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_models_give_what_the_network_gives(models, name, data):
    network, model, _ = models(name)
    graph, inputs = data.draw(cases(network.algorithm))
    expected = outcome(lambda: run_network(network, graph, trace=True, **inputs))
    assert outcome(lambda: model.run(graph, trace=True, **inputs)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_weights_come_back_to_the_last_bit(models, name):
    network, _, path = models(name)
    given, found = DenseNetwork.of(network).matrices, dense_from_onnx(path).matrices
    assert given.keys() == found.keys()
    assert all(found[one].shape == matrix.shape for one, matrix in given.items())
    assert all(found[one].tobytes() == matrix.tobytes() for one, matrix in given.items())
    back = from_onnx(path)
    assert (back.algorithm.text, back.bounds, back.target) == (
        *(network.algorithm.text, network.bounds),
        network.target,
    )
    assert (back.encoder, back.processor, back.refusals) == (
        *(network.encoder, network.processor),
        network.refusals,
    )


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_from_numpy_to_torch_to_onnx_and_back(tmp_path_factory, data):
    """Of changed weights as well: from 0.3 on, all paths begin a little later."""
    torch_module = pytest.importorskip("gnn_compile.torch_module", exc_type=ImportError)
    network = compile_algorithm("bellman_ford")
    module = torch_module.to_torch(network)
    later = data.draw(st.sampled_from([0.0, 0.1, 0.3, 1 / 3]))
    module.encoder.stages[0].update.layers[-1].bias.data += later
    path = tmp_path_factory.mktemp("there") / "and_back.onnx"
    to_onnx(module.dense(), path)
    back = dense_from_onnx(path)
    assert back.changed == bool(later)
    given = module.dense().matrices
    assert all(back.matrices[one].tobytes() == matrix.tobytes() for one, matrix in given.items())
    graph, inputs = data.draw(cases(network.algorithm))
    expected = outcome(lambda: Run(module.dense().run(graph, **inputs).outputs, 0))
    for found in (
        lambda: Run(run_network(back.sparse(), graph, **inputs).outputs, 0),
        lambda: Run(run_onnx(path, graph, **inputs).outputs, 0),
    ):
        assert outcome(found) == expected


def test_models_are_those_that_others_can_run(models):
    """A round by the inputs and outputs that a model has; nodes and edges are as many as there are."""
    import onnxruntime

    _, _, path = models("bellman_ford")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shapes = {one.name: (one.shape, one.type) for one in session.get_inputs()}
    assert shapes["edge.weight"] == (["edges"], "tensor(double)")
    assert shapes["node.d"] == (["nodes"], "tensor(double)")
    assert shapes["senders"] == (["edges"], "tensor(int64)")
    infinity = 2.0**120
    feeds = {
        "senders": np.array([0, 1]),
        "receivers": np.array([1, 2]),
        "size": np.array([3]),
        "edge.weight": np.array([2.0, 2.0]),
        "node.index": np.arange(3.0),
        "node.source": np.array([1.0, 0.0, 0.0]),
        "node.d": np.array([0.0, infinity, infinity]),
        "node.pi": np.arange(3.0),
    }
    assert set(feeds) == set(shapes)
    begun, d, pi = session.run(["begin.d", "next.d", "next.pi"], feeds)
    assert begun.tolist() == [0.0, infinity, infinity]
    assert d.tolist() == [0.0, 2.0, infinity]
    assert pi.tolist() == [0.0, 0.0, 2.0]


def test_what_is_no_model_of_a_network_is_refused(tmp_path, models):
    _, _, path = models("bellman_ford")

    def changed(change):
        model = onnx.load(path)
        change(model)
        (tmp_path / "changed.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "changed.onnx"

    def told(**changes):
        def change(model):
            (one,) = model.metadata_props
            one.value = json.dumps({**json.loads(one.value), **changes})

        return change

    def with_weights(weights):
        def change(model):
            one = next(one for one in model.graph.initializer if one.name.endswith("message.0.weights"))
            one.CopyFrom(onnx.numpy_helper.from_array(np.array(weights), one.name))

        return change

    def without_weights(model):
        one = next(one for one in model.graph.initializer if one.name.endswith("message.0.weights"))
        model.graph.initializer.remove(one)

    def elsewhere(model):
        for one in model.graph.initializer:
            one.data_location = onnx.TensorProto.EXTERNAL

    (tmp_path / "text.onnx").write_text("no model")
    for wrong, said in (
        (tmp_path / "missing.onnx", "cannot be read"),
        (tmp_path / "text.onnx", "cannot be read"),
        (changed(lambda model: model.ClearField("metadata_props")), "not made of a compiled network"),
    ):
        with pytest.raises(AlgorithmError, match=said):
            from_onnx(wrong)
    for change, said in (
        (told(format=2), "what it says of its network is wrong: format"),
        (told(algorithm="step = 3"), "changed.onnx: bellman_ford: "),
        (told(more=1), "more: Extra inputs"),
        (with_weights([[1.0]]), r"message.0.weights is \[1, 1\], and .* compiles to \["),
        (with_weights(np.full((2, 9), np.nan)), "has a weight that is no finite number"),
        (with_weights([[1]]), "must be numbers of float64"),
        (elsewhere, "in another file"),
        (without_weights, r"message.0.weights is \[0\], and .* compiles to \["),
    ):
        with pytest.raises(AlgorithmError, match=said):
            from_onnx(changed(change))


def test_what_cannot_be_exported_says_why(tmp_path):
    soft = compile_algorithm("bfs", Bounds(nodes=8, degree=8), Target(sharpness=64.0))
    with pytest.raises(AlgorithmError, match="averages its messages by a softmax"):
        to_onnx(soft, tmp_path / "soft.onnx")
    with pytest.raises(AlgorithmError, match=r"reduced to d, and models are of whole ones"):
        to_onnx(compile_algorithm("bellman_ford").only(["d"]), tmp_path / "reduced.onnx")
    with pytest.raises(AlgorithmError, match="cannot be written"):
        to_onnx(compile_algorithm("bfs"), tmp_path / "nowhere" / "bfs.onnx")


def test_models_refuse_what_the_network_refuses(models):
    _, model, path = models("bellman_ford")
    with pytest.raises(AlgorithmError, match="a cycle of negative weight"):
        run_onnx(path, Graph.of(2, [(0, 1, -1), (1, 0, -1)]), source=0)
    with pytest.raises(AlgorithmError, match="has no output reach"):
        model.run(Graph.of(1, []), outputs=["reach"], source=0)

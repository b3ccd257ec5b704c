"""``induce gnn``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from induce.cli.options import Json
from induce.cli.output import console, error_console, print_json, print_line
from sandboxes.errors import AlgorithmError
from sandboxes.values import encode

if TYPE_CHECKING:
    from gnn_compile.explaining import Explanation
    from gnn_compile.storing import Loaded

# What computes with numpy is imported by the commands that need it: that takes a tenth of a second.

app = typer.Typer(
    help="Graph algorithms that are compiled into the weights of networks: run, explain and draw them.",
    no_args_is_help=True,
)

NetworkChoice = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="An algorithm of induce gnn list, FILE.toml, or NET.json of induce gnn compile.",
    ),
]
Outputs = Annotated[
    list[str] | None, typer.Option("--output", help="Only this field; may be given again. Default: all.")
]


@app.command("list")
def list_algorithms(json: Json = False) -> None:
    """List the algorithms that come with induce.

    Example:

      induce gnn list
    """
    from gnn_compile import algorithm_names, load_algorithm  # noqa: PLC0415

    found = [load_algorithm(name) for name in algorithm_names()]
    if json:
        for one in found:
            print_json(
                {
                    "name": one.name,
                    "title": one.title,
                    "inputs": [*one.inputs_of_nodes, *one.inputs_of_edges],
                    "outputs": list(one.outputs),
                    "ties": one.ties,
                    "reference": one.reference,
                }
            )
        return
    table = Table("algorithm", "what it finds", "outputs", box=None, header_style="dim")
    table.columns[0].no_wrap = table.columns[2].no_wrap = True
    for one in found:
        table.add_row(Text(one.name, "bold"), Text(one.title), Text(" ".join(one.outputs), "dim"))
    console().print(table)


@app.command("compile")
def compile_network(
    algorithm: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="What is to be compiled.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to: a file NET.json.")],
    nodes: Annotated[
        int | None, typer.Option(min=1, max=2**53, help="Exact for so many nodes. Default: 65,536.")
    ] = None,
    degree: Annotated[
        int | None, typer.Option(min=0, max=2**53, help="… so many edges into a node. Default: 1,048,576.")
    ] = None,
    weight: Annotated[
        float | None, typer.Option(min=0, help="… weights of this magnitude. Default: 4,294,967,296.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="For whole weights alone.")] = False,
    steps: Annotated[
        bool, typer.Option("--steps/--no-steps", help="Whether neurons may be steps, or rectified alone.")
    ] = True,
    sharpness: Annotated[
        float | None,
        typer.Option(help="Average messages by a softmax of this inverse temperature; needs --whole."),
    ] = None,
    json: Json = False,
) -> None:
    """Compile an algorithm into the weights of a network, and save them.

    It is exact for graphs within the bounds, or says in one line which of them cannot be.

    Examples:

      induce gnn compile bellman_ford -o net.json

      induce gnn compile mine.toml -o mine.json --nodes 1000 --weight 100 --whole
    """
    from gnn_compile import Bounds, Target, compile_algorithm, load_algorithm  # noqa: PLC0415
    from gnn_compile.explaining import explain  # noqa: PLC0415
    from gnn_compile.storing import save_network  # noqa: PLC0415

    if out.suffix != ".json":
        raise typer.BadParameter("the file's name must end in .json", param_hint="--out")
    usual = Bounds()
    bounds = Bounds(
        nodes=usual.nodes if nodes is None else nodes,
        weight=usual.weight if weight is None else weight,
        whole=whole,
        degree=usual.degree if degree is None else degree,
    )
    network = compile_algorithm(load_algorithm(algorithm), bounds, Target(steps, sharpness))
    digest = save_network(network, out)
    explanation = explain(network)
    if json:
        print_json({"file": str(out), "sha256": digest} | _explained(explanation, verified=True))
        return
    print_line(console(), f"{out}: {explanation.algorithm}, {_size(explanation)}", "bold")
    for sentence in explanation.exact:
        print_line(console(), f"  exact: {sentence}")


@app.command("run")
def run_network_on_graph(
    network: NetworkChoice,
    graph: Annotated[
        str,
        typer.Argument(
            metavar="GRAPH",
            help="A file, or - for standard input: JSON with nodes and edges, node-link JSON of networkx, "
            "or for each edge a line: u v, or u v weight.",
        ),
    ],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source", "-s", help="The node to start from, by its name in the file; may be given again."
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="FIELD=NODE", help="A node at which another flag is 1."),
    ] = None,
    outputs: Outputs = None,
    directed: Annotated[
        bool | None,
        typer.Option("--directed/--undirected", help="How edges of a list are meant. Default: undirected."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show the hints of each round.")] = False,
    json: Json = False,
) -> None:
    """Run a network on a graph, until a round changes nothing.

    An algorithm that is named is compiled for this very graph.

    Examples:

      induce gnn run bellman_ford roads.txt --source Ulm

      induce gnn run net.json graph.json --source 0 --output d --json
    """
    from induce import networks  # noqa: PLC0415
    from induce.graph_files import read_named_graph  # noqa: PLC0415

    named = read_named_graph(graph, directed=directed)
    loaded = networks.open_network(network, named.graph)
    _remark(network, loaded)
    flags = _flags(source, inputs)
    run = networks.run_on(loaded.network, named, inputs=flags, outputs=outputs, trace=trace)
    found = networks.told(loaded.network, named, run.outputs)
    hints = [networks.told(loaded.network, named, one) for one in run.hints]
    if json:
        record: dict[str, Any] = {
            "algorithm": loaded.network.algorithm.name,
            "verified": loaded.verified,
            "rounds": run.rounds,
            "nodes": encode(list(named.names)),
            "outputs": encode(dict(found)),
        }
        print_json(record | ({"hints": [encode(dict(one)) for one in hints]} if trace else {}))
        return
    for number, after in enumerate(hints):
        rows = networks.changed(hints[number - 1], after) if number else None
        typer.echo(f"round {number}, what it changed" if number else "before the first round")
        typer.echo("\n".join(networks.aligned(named.names, after, rows)) + "\n")
    typer.echo("\n".join(networks.aligned(named.names, found)))


@app.command("explain")
def explain_network(
    network: NetworkChoice,
    svg: Annotated[Path | None, typer.Option("--svg", help="Draw a round of it into this file too.")] = None,
    json: Json = False,
) -> None:
    """Explain a network: its size, what it is exact for, and what became of each line of its source.

    Examples:

      induce gnn explain bellman_ford

      induce gnn explain net.json --svg net.svg
    """
    from gnn_compile.drawing import draw  # noqa: PLC0415
    from gnn_compile.explaining import explain  # noqa: PLC0415
    from induce.networks import open_network  # noqa: PLC0415

    loaded = open_network(network)
    _remark(network, loaded)
    explanation = explain(loaded.network)
    if svg is not None:
        _write(svg, draw(loaded.network))
    if json:
        print_json(_explained(explanation, verified=loaded.verified))
    else:
        _print_explanation(explanation)


@app.command("draw")
def draw_network(
    network: NetworkChoice,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to. Default: standard output.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds, side by side.")] = 1,
    outputs: Outputs = None,
) -> None:
    """Draw a network's rounds as SVG: its neurons in layers, from the state before to the state after.

    Example:

      induce gnn draw bfs --rounds 2 -o bfs.svg
    """
    from gnn_compile.drawing import draw  # noqa: PLC0415
    from induce.networks import open_network  # noqa: PLC0415

    loaded = open_network(network)
    _remark(network, loaded)
    drawn = loaded.network
    if outputs:
        if unknown := set(outputs) - set(drawn.state):
            raise AlgorithmError(
                f"{drawn.algorithm.name} has no {', '.join(sorted(unknown))}; it has {', '.join(drawn.state)}"
            )
        drawn = drawn.only(outputs)
    picture = draw(drawn, rounds)
    if out is None:
        typer.echo(picture, nl=False)
    else:
        _write(out, picture)


@app.command("export")
def export_network(
    network: NetworkChoice,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="FILE.py (a program), FILE.onnx, or FILE.npz (the matrices).")
    ],
    output: Annotated[
        str | None, typer.Option("--output", help="What the program gives. Default: the first output.")
    ] = None,
) -> None:
    """Export a network: as a program that needs nothing, as an ONNX model, or as its dense matrices.

    ONNX needs the extra gnn.

    Examples:

      induce gnn export bellman_ford -o shortest.py --output d

      induce gnn export net.json -o net.onnx
    """
    from induce.networks import open_network  # noqa: PLC0415

    loaded = open_network(network)
    _remark(network, loaded)
    algorithm = loaded.network.algorithm
    if output is not None and out.suffix != ".py":
        raise typer.BadParameter("only a program has one output", param_hint="--output")
    match out.suffix:
        case ".py":
            from gnn_compile.python_export import to_python  # noqa: PLC0415

            _write(out, to_python(loaded.network, output or algorithm.outputs[0]))
        case ".npz":
            from gnn_compile.dense_network import DenseNetwork  # noqa: PLC0415
            from gnn_compile.storing import save_matrices  # noqa: PLC0415

            save_matrices(DenseNetwork.of(loaded.network).matrices, out)
        case ".onnx":
            try:
                from gnn_compile.onnx_export import to_onnx  # noqa: PLC0415
            except ImportError as error:
                raise AlgorithmError(
                    "ONNX models need the extra gnn: pip install 'induce[gnn]', or export to .py or .npz"
                ) from error
            to_onnx(loaded.network, out)
        case _:
            raise typer.BadParameter("the file's name must end in .py, .onnx or .npz", param_hint="--out")
    print_line(console(), f"{out}: {algorithm.name}")


def _flags(source: list[str] | None, inputs: list[str] | None) -> dict[str, list[str]]:
    """Give the nodes that were named for each input."""
    flags = {"source": list(source)} if source else {}
    for one in inputs or ():
        name, equals, node = one.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{one!r} is not FIELD=NODE", param_hint="--input")
        flags.setdefault(name, []).append(node)
    return flags


def _remark(name: str, loaded: Loaded) -> None:
    if not loaded.verified:
        since = "" if loaded.unchanged else ", which were changed since they were saved,"
        compiled = f"what compiling {loaded.network.algorithm.name} gives"
        text = f"{name}: its weights{since} are not {compiled}: it is not known what they compute"
        print_line(error_console(), text, "yellow")


def _explained(explanation: Explanation, *, verified: bool) -> dict[str, Any]:
    return {"verified": verified} | explanation.as_dict()


def _size(explanation: Explanation) -> str:
    neurons = sum(count for one in explanation.neurons.values() for count in one.values())
    parameters = f"{_count(explanation.weights, 'weight')} and {_count(explanation.biases, 'bias', 'es')}"
    return f"{_count(neurons, 'neuron')} a round, {parameters} that are not 0"


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number:,} {what}{plural if number != 1 else ''}"


def _print_explanation(explanation: Explanation) -> None:
    out = console()
    print_line(out, f"{explanation.algorithm}: {explanation.title}", "bold")
    neurons = [
        f"{sum(counts.values())} {'of the graph' if place == 'graph' else f'at each {place}'} "
        f"({', '.join(f'{count} {activation}' for activation, count in counts.items())})"
        for place, counts in explanation.neurons.items()
    ]
    rows = [
        ("reference", explanation.reference),
        ("target", explanation.target),
        ("size", f"{_size(explanation)}; {explanation.dense_parameters:,} parameters as dense matrices"),
        ("neurons", "; ".join(neurons) or "none"),
        ("width", f"state {explanation.state_width}, messages {explanation.message_width}"),
        ("depth", f"{_count(explanation.depth, 'layer')} of neurons a round"),
        (
            "messages",
            f"{_count(explanation.passes, 'passing')} a round, one after the other; "
            f"{_count(explanation.aggregations, 'aggregation')}, {_count(explanation.pools, 'pooling')}",
        ),
        ("gates", f"{explanation.gates}; only where one is open: {_count(explanation.guarded, 'part')}"),
        ("rounds", f"{explanation.rounds} at most"),
        ("ties", explanation.ties),
        *(("ranges", f"{name}: {text}") for name, text in explanation.ranges.items()),
        *(("exact", sentence) for sentence in explanation.exact),
    ]
    before = ""
    for name, text in rows:
        if text:
            print_line(out, f"  {'' if name == before else name:9}  {text}")
            before = name
    for line in explanation.lines:
        made = [_count(line.neurons, "neuron")] * bool(line.neurons)
        made += [_count(line.reductions, "reduction")] * bool(line.reductions)
        print_line(out, f"  {line.text}")
        print_line(out, f"      {', '.join(made) or 'nothing of its own'}", "dim")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AlgorithmError(f"{path} cannot be written: {error.strerror or error}") from error

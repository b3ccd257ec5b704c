"""From an algorithm's source to the weights of a network."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from gnn_compile.algorithm import Algorithm, Bounds, load_algorithm, parse_expression
from gnn_compile.domains import ABSORBED, WHOLE, Domain
from gnn_compile.lowering import Lowering
from gnn_compile.network import Network
from gnn_compile.softness import error_after
from gnn_compile.targets import Target
from gnn_compile.units import Builder, Circuit, Inexact, Place
from sandboxes.errors import AlgorithmError

_TRIES = 64
"""How often a round is compiled at most until it is known what its state can be."""

_SLACK = 2.0**-20

Domains = Mapping[str, Domain]
Growth = Mapping[str, tuple[float, float]]
"""By how much a range grows in a round, downwards and upwards."""


def compile_algorithm(
    algorithm: Algorithm | str, bounds: Bounds | None = None, target: Target | None = None
) -> Network:
    """Set the weights of a network so that it is the algorithm on all graphs within the bounds.

    A network whose messages are averaged by a softmax is off by ``Network.error`` at most, which is proven to
    be less than 1/4. Raises ``AlgorithmError`` that names the field, and the operation or bound, where that
    cannot be.
    """
    if isinstance(algorithm, str):
        algorithm = load_algorithm(algorithm)
    job = Job(algorithm, bounds or Bounds(), target or Target())
    bounds = job.bounds
    if bounds.nodes < 1 or not 0 <= bounds.weight < ABSORBED or not 0 <= bounds.degree < WHOLE:
        raise AlgorithmError(
            f"{bounds} makes no sense: nodes from 1, weights up to 2^66, a degree of 2^53 at most"
        )
    if job.target.soft and not job.target.steps:
        raise AlgorithmError("a softmax makes flags a little off, and only steps set them right: have both")
    given = _given(job)
    encoder = _encoder(job, given)
    state = {name: encoder.domains[part] for name, part in encoder.outputs.items()}
    state, processor = _settled(job, given, state)
    return Network(
        algorithm,
        bounds,
        job.target,
        encoder,
        processor,
        _refusals(job, given | state),
        given | state,
        _error(job, processor),
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be compiled, for which graphs, into what."""

    algorithm: Algorithm
    bounds: Bounds
    target: Target


def _given(job: Job) -> dict[str, Domain]:
    """Say what the inputs can be, and what every algorithm may ask for."""
    most = job.algorithm.most_rounds(job.bounds.nodes)
    if most < 1:
        raise AlgorithmError(
            f"{job.algorithm.name}: rounds: {job.algorithm.rounds!r} gives none for "
            f"{job.bounds.nodes:,} nodes"
        )
    given = {
        "index": Domain(0, job.bounds.nodes - 1, whole=True),
        "N": Domain(1, job.bounds.nodes, whole=True),
        "round": Domain(1, most, whole=True),
    }
    for place, inputs in (("node", job.algorithm.inputs_of_nodes), ("edge", job.algorithm.inputs_of_edges)):
        for name, text in inputs.items():
            what = f"{job.algorithm.name}: inputs.{place}.{name}"
            given[name] = job.algorithm.domain_of(text, job.bounds, what)
    return given


def lowering_of(job: Job, domains: Domains) -> Lowering:
    """Give what reads the expressions of a job, with its fields as columns of these domains."""
    builder = Builder()
    edges = {name: builder.column(name, Place.EDGE, domains[name]) for name in job.algorithm.inputs_of_edges}
    values = {
        name: builder.column(name, Place.GRAPH if _of_graph(job.algorithm, name) else Place.NODE, domain)
        for name, domain in domains.items()
        if name not in edges
    }
    return Lowering(builder, values, edges, job.bounds, job.target)


def _of_graph(algorithm: Algorithm, name: str) -> bool:
    return name in ("N", "round") or name in algorithm.state_of_graph


def _encoder(job: Job, given: Domains) -> Circuit:
    known = {name: domain for name, domain in given.items() if name != "round"}
    lowering = lowering_of(job, known)
    found = {}
    for place, begins in (("node", job.algorithm.state_of_nodes), ("graph", job.algorithm.state_of_graph)):
        for name, expression in begins.items():
            with_field = f"{job.algorithm.name}: state.{place}.{name}"
            with _exactly(with_field):
                found[name] = lowering.value(expression)
            if place == "graph" and lowering.builder.parts[found[name]].place is not Place.GRAPH:
                raise AlgorithmError(f"{with_field}: it is the graph's, and this has a value for each node")
    return lowering.builder.circuit(found)


def _processor(job: Job, domains: Domains) -> Circuit:
    """Compile a round, given what its inputs and its state can be."""
    lowering = lowering_of(job, domains)
    for one in job.algorithm.step:
        place = Place.GRAPH if one.target in job.algorithm.state_of_graph else None
        what = f"{job.algorithm.name}: step, line {one.line} ({one.text})"
        with _exactly(what):
            lowering.assign(one.target, one.value, place)
    return lowering.builder.circuit({name: lowering.values[name] for name in job.algorithm.state})


def _settled(job: Job, given: Domains, state: Domains) -> tuple[dict[str, Domain], Circuit]:
    """Find what the state can be in any round, and compile the round for that.

    Ranges either stop growing, or grow by the same amount in each round (a distance by the largest weight):
    then the claim that they do so to the last round is checked there and at the rounds 2, 4, 8 … on the way.
    """
    rounds = job.algorithm.most_rounds(job.bounds.nodes)
    growth: Growth = {}
    alike = 0
    for _ in range(_TRIES):
        processor = _processor(job, {**given, **state})
        after = {name: state[name] | processor.domains[part] for name, part in processor.outputs.items()}
        if after == state:
            return dict(state), processor
        grown = {
            name: (state[name].low - after[name].low, after[name].high - state[name].high) for name in state
        }
        same_kind = all(
            replace(after[name], low=0, high=0) == replace(state[name], low=0, high=0) for name in state
        )
        alike = alike + 1 if same_kind and _alike(grown, growth) else 0
        if alike >= 3:
            if (found := _grown(job, given, state, grown, rounds)) is not None:
                return found
            break
        state, growth = after, grown
    growing = [name for name, (down, up) in growth.items() if down or up] or list(state)
    raise AlgorithmError(
        f"{job.algorithm.name}: state.{growing[0]} grows without a bound in {rounds:,} rounds (it is "
        f"{state[growing[0]]} after a few), and a network is exact within bounds only: limit it, such as by "
        "min(…, N)"
    )


def _alike(grown: Growth, before: Growth) -> bool:
    """Whether ranges grow by the same amount as before, but for rounding."""
    return all(
        math.isclose(one, other, rel_tol=_SLACK / 4)
        for name in grown
        for one, other in zip(grown[name], before.get(name, (math.nan, math.nan)), strict=True)
    )


def _grown(
    job: Job,
    given: Domains,
    state: Domains,
    grown: Growth,
    rounds: int,
) -> tuple[dict[str, Domain], Circuit] | None:
    def at(number: int) -> dict[str, Domain]:
        found = {}
        for name, one in state.items():
            slack = 1.0 if one.whole else 1.0 + _SLACK  # for sums of others are rounded
            down, up = (number * slack * by for by in grown[name])
            found[name] = replace(one, low=one.low - down, high=one.high + up)
        return found

    checks = [2**power for power in range(1, rounds.bit_length())]
    for number in (*checks, rounds):
        before, allowed = at(number), at(number + 1)
        processor = _processor(job, {**given, **before})
        for name, part in processor.outputs.items():
            if not processor.domains[part].within(allowed[name]):
                return None
    return at(rounds), processor


def _error(job: Job, processor: Circuit) -> float:
    """Say by how much a field of the state can be off in the end."""
    sharpness = job.target.sharpness
    if sharpness is None:
        return 0.0
    with _exactly(job.algorithm.name):
        rounds = job.algorithm.most_rounds(job.bounds.nodes)
        return error_after(processor, rounds, sharpness, job.bounds)


def _refusals(job: Job, domains: Domains) -> Circuit:
    lowering = lowering_of(job, {name: one for name, one in domains.items() if name != "round"})
    found = {}
    for text in job.algorithm.refused:
        what = f"{job.algorithm.name}: refused.{text!r}"
        expression = parse_expression(text, what)
        with _exactly(what):
            found[text] = lowering.value(expression)
        if not lowering.builder.domains[found[text]].flag:
            raise AlgorithmError(f"{what} is no condition")
    return lowering.builder.circuit(found)


@contextlib.contextmanager
def _exactly(what: str) -> Iterator[None]:
    """Say what it was that cannot be exact."""
    try:
        yield
    except Inexact as error:
        raise AlgorithmError(f"{what}: {error}") from error
    except RecursionError as error:
        raise AlgorithmError(f"{what}: it is nested too deeply") from error

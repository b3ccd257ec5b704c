"""Training makes losses smaller, the same way for a seed, and keeps the best network it has seen."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="networks are trained with torch")

from gnn_compile.clrs import Algorithm, Sampler, batch_of, clrs30  # noqa: E402
from gnn_compile.training import (  # noqa: E402
    Ending,
    Plan,
    Processor,
    Settings,
    Tensors,
    accuracy,
    compiled_model,
    initialise,
    loss,
    perturbed,
    recovery,
    train,
)
from sandboxes.errors import AlgorithmError  # noqa: E402


def sampler(algorithm, seed=3):
    return Sampler(algorithm, (5, 8), seed)


@pytest.mark.parametrize("hints", [True, False])
@pytest.mark.parametrize(
    ("algorithm", "processor"),
    [
        (Algorithm.BFS, Processor.GATV2),
        (Algorithm.BELLMAN_FORD, Processor.PGN),
        (Algorithm.DFS, Processor.GATV2),
        (Algorithm.BFS, Processor.MPNN),
    ],
)
def test_losses_of_unseen_runs_shrink(algorithm, processor, hints):
    model = initialise(Settings(algorithm, processor, hidden=16, hints=hints), 0)
    unseen = Tensors.of(next(sampler(algorithm, 99).batches(16)))
    before = float(loss(model(unseen), unseen).detach())
    history = train(model, sampler(algorithm), Plan(steps=25, runs=8, rate=5e-3))
    assert float(loss(model(unseen), unseen).detach()) < 0.9 * before
    assert (history.steps, history.ending, history.best) == (25, Ending.STEPS, 25)


def test_a_seed_gives_the_same_network():
    weights = []
    for seed in (1, 1, 2):
        model = initialise(Settings(Algorithm.BFS, hidden=8), 0)
        history = train(model, sampler(Algorithm.BFS), Plan(steps=5, runs=4, forcing=0.5, seed=seed))
        weights.append((history.losses, [one.tolist() for one in model.parameters()]))
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]  # for the seed says which runs are forced


def test_threads_are_given_back():
    before = torch.get_num_threads()
    train(initialise(Settings(Algorithm.BFS, hidden=4), 0), sampler(Algorithm.BFS), Plan(steps=1, runs=2))
    assert torch.get_num_threads() == before


def test_the_best_network_is_kept():
    """With steps as large as these, a network that is nearly exact is soon spoilt."""
    validation = batch_of(list(clrs30(Algorithm.BELLMAN_FORD, "val"))[:8])
    model = compiled_model(Algorithm.BELLMAN_FORD, 2.0**10)
    spoilt = Plan(steps=6, runs=4, rate=1.0, every=2)
    history = train(model, sampler(Algorithm.BELLMAN_FORD), spoilt, validation=validation)
    assert [one.step for one in history.validations] == [0, 2, 4, 6]
    best = max(history.validations, key=lambda one: (one.accuracy, one.step))
    assert history.validations[-1].accuracy < best.accuracy
    assert history.best == best.step
    unseen = Tensors.of(validation)
    assert accuracy(model(unseen), unseen) == best.accuracy


def test_time_ends_a_training():
    model = initialise(Settings(Algorithm.BFS, hidden=4), 0)
    history = train(model, sampler(Algorithm.BFS), Plan(steps=10**6, runs=2, seconds=1e-9))
    assert (history.steps, history.ending) == (1, Ending.TIME)


def test_noise_does_harm_and_the_history_of_recovery_is_told():
    compiled = compiled_model(Algorithm.BFS, 2.0**8)
    test = Tensors.of(batch_of(list(clrs30(Algorithm.BFS, "val"))[:8]))
    none, some = recovery(
        compiled, (0.0, 0.3), sampler(Algorithm.BFS), Plan(steps=10, runs=4, rate=3e-3), test
    )
    assert (none.before.accuracy, none.distance_before, none.before.internal.similarity) == (1.0, 0.0, 1.0)
    assert some.before.accuracy < 1.0
    assert some.before.internal.similarity < 1.0
    assert some.distance_before > 0.0
    assert some.history.steps == 10
    assert some.distance_after != some.distance_before


def test_a_loss_that_is_no_number_ends_it():
    model = perturbed(compiled_model(Algorithm.BELLMAN_FORD), 1e30, 0)
    with pytest.raises(AlgorithmError, match="the loss in step 1 is"):
        train(model, sampler(Algorithm.BELLMAN_FORD), Plan(steps=1, runs=2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "must all be larger than 0"),
        ({"seconds": 0.0}, "must all be larger than 0"),
        ({"forcing": 1.5}, "a share from 0 to 1, not 1.5"),
    ],
)
def test_plans_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(AlgorithmError, match=message):
        Plan(**settings)

"""Candidates grouped by what they do."""

from hypothesis import given
from hypothesis import strategies as st

from hypotheses.clustering import cluster_by_behaviour, representatives
from hypotheses.hypothesis import Candidate, Hypothesis, Judged, Verdict
from sandboxes import Execution, Program


def judged(sample, examples, queries, correct):
    program = Program(f"# {sample}", "f")
    runs = [tuple(Execution("ok", value) for value in values) for values in (examples, queries)]
    return Judged(Candidate(Hypothesis(""), program, 0, sample), Verdict(runs[0], correct, runs[1]))


_VALUES = st.lists(st.integers(0, 1), min_size=2, max_size=2)
_JUDGED = st.lists(st.tuples(_VALUES, _VALUES), max_size=12).map(
    lambda rows: [judged(i, e, q, tuple(v == 1 for v in e)) for i, (e, q) in enumerate(rows)]
)


@given(_JUDGED)
def test_clusters_are_a_partition_by_behaviour(candidates):
    def behaviour(one):
        return [run.value for run in (*one.verdict.executions, *one.verdict.query_executions)]

    clusters = cluster_by_behaviour(candidates)
    assert sorted(one.candidate.sample for group in clusters for one in group) == list(range(len(candidates)))
    assert all(behaviour(one) == behaviour(group[0]) for group in clusters for one in group)
    firsts = [behaviour(group[0]) for group in clusters]
    assert all(first not in firsts[:i] for i, first in enumerate(firsts))


@given(_JUDGED, st.integers(1, 5))
def test_representatives_are_the_best_of_different_behaviours(candidates, most):
    chosen = representatives(candidates, most)
    assert len(chosen) == min(most, len(cluster_by_behaviour(candidates)))
    if candidates:
        assert (
            chosen[0].candidate.sample
            == min(candidates, key=lambda one: (-one.verdict.passed, one.candidate.sample)).candidate.sample
        )

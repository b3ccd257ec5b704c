"""Which candidate wins."""

from hypothesis import given
from hypothesis import strategies as st

from hypotheses.clustering import representatives
from hypotheses.hypothesis import Candidate, Hypothesis, Verdict
from hypotheses.selection import Judged, description_length, select
from sandboxes import Execution, Program

FAILED = object()


def judged(passed, answers, *, source="def f(x): return x", round_=0, sample=0):
    runs = tuple(
        Execution("raised", error="ValueError") if answer is FAILED else Execution("ok", answer)
        for answer in answers
    )
    correct = tuple(index < passed for index in range(3))
    candidate = Candidate(Hypothesis("a rule"), Program(source, "f"), round_, sample)
    return Judged(candidate, Verdict((Execution("ok"),) * 3, correct, runs))


def test_consistency_beats_agreement():
    crowd = [judged(2, [1], sample=sample) for sample in range(5)]
    loner = judged(3, [2], sample=5)
    assert select([*crowd, loner], 1, 1, "all-rounds").best is loner


def test_an_earlier_round_wins_where_it_is_better():
    early, late = judged(3, [1], round_=0), judged(1, [2], round_=1)
    assert select([early, late], 1, 1, "all-rounds").predictions == ((1,),)
    assert select([early, late], 1, 1, "last-round").predictions == ((2,),)


def test_agreement_beats_brevity():
    short = judged(3, [1], source="def f(x): return 1")
    long = "def f(x):\n    y = x\n    return y"
    agreeing = [judged(3, [2], source=long, sample=1), judged(3, [(2.0)], source=long, sample=2)]
    assert select([short, *agreeing], 1, 1, "all-rounds").best is agreeing[0]


def test_brevity_decides_between_equals():
    long, short = judged(3, [1], source="def f(x): return x + 0"), judged(3, [2], sample=1)
    assert select([long, short], 1, 1, "all-rounds").best is short


def test_programs_that_answer_nothing_do_not_agree():
    silent = [judged(3, [FAILED], sample=sample) for sample in range(3)]
    answering = judged(3, [7], source="def f(x): return x + x + x", sample=3)
    assert select([*silent, answering], 1, 1, "all-rounds").predictions == ((7,),)


def test_last_round_breaks_ties_by_sample():
    candidates = [judged(2, [1], sample=2), judged(2, [2], sample=1), judged(1, [3], sample=0)]
    assert select(candidates, 1, 1, "last-round").predictions == ((2,),)
    assert representatives(candidates, 1)[0].candidate.sample == 1


def test_attempts_are_distinct_and_best_first():
    candidates = [judged(3, [[1]]), judged(3, [(1,)], sample=1), judged(2, [[2]]), judged(1, [[3]])]
    assert select(candidates, 1, 2, "all-rounds").predictions == (([1], [2]),)


def test_the_next_best_stands_in_where_the_winner_fails_but_not_by_the_authors_rule():
    candidates = [judged(3, [1, FAILED]), judged(2, [2, 5], sample=1)]
    assert select(candidates, 2, 1, "all-rounds").predictions == ((1,), (5,))
    assert select(candidates, 2, 1, "last-round").predictions == ((1,), ())
    assert select(candidates, 2, 2, "last-round").predictions == ((1, 2), (5,))


def test_no_candidate_no_prediction():
    selection = select([], 2, 1, "all-rounds")
    assert selection.best is None
    assert selection.predictions == ((), ())


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2), min_size=2, max_size=2)),
        min_size=1,
        max_size=8,
    ),
    st.randoms(),
)
def test_order_of_arrival_does_not_matter(outcomes, random):
    candidates = [judged(passed, answers, sample=n) for n, (passed, answers) in enumerate(outcomes)]
    shuffled = random.sample(candidates, len(candidates))
    for rule in ("all-rounds", "last-round"):
        chosen, again = select(candidates, 2, 2, rule), select(shuffled, 2, 2, rule)
        assert chosen.best is again.best
        assert chosen.predictions == again.predictions
        assert all(chosen.best.verdict.passed >= one.verdict.passed for one in candidates)


def test_description_length_counts_tokens_not_characters():
    plain = "def f(x):\n    return x + 1"
    wordy = "# a comment\ndef f(number):\n\n    return number + 1  # another"
    assert description_length(plain) == description_length(wordy)
    assert description_length(plain) < description_length("def f(x): return x + 1 + 0")
    assert description_length("def f(x: '''") == len("def f(x: '''")
    assert description_length("'\udc80'") <= len("'\udc80'")
    assert description_length("1+" * 200_000 + "1") == 400_001


def test_majority_votes_on_each_query_among_the_best():
    candidates = [
        judged(2, [1, 7]),
        judged(2, [2, 7], sample=1),
        judged(2, [2, FAILED], sample=2),
        judged(1, [9, 9], sample=3),
        judged(1, [9, 9], sample=4),
        judged(1, [9, 9], sample=5),
    ]
    selection = select(candidates, 2, 2, "majority")
    assert selection.predictions == ((2, 1), (7,))
    assert selection.best.candidate.sample == 1  # who gives most of the answers


def test_majority_of_nobody_is_nothing():
    assert select([], 2, 1, "majority").predictions == ((), ())
    assert select([], 2, 1, "majority").best is None

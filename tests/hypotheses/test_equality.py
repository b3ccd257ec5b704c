"""When an output counts as the expected one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.equality import canonical, equal

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=20,
)

SAME = [
    ((1, 2), [1, 2]),
    ([(1, 2)], ((1, 2),)),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.int64(3), 3),
    (np.bool_(True), True),
    (np.float64(0.5), 0.5),
    (1.0, 1),
    (-0.0, 0),
    (math.nan, math.nan),
    ([math.nan], [math.nan]),
    ({"a": (1,)}, {"a": [1]}),
    ({1, 2}, frozenset({2, 1})),
    (10**400, 10**400),
    (1e300, int(1e300)),
]
DIFFERENT = [
    (True, 1),
    (False, 0),
    ([True], [1]),
    (np.bool_(True), 1),
    ("1", 1),
    ("a", "A"),
    ("a", b"a"),
    ([], ()[0:0] or None),
    ([1], [1, 1]),
    ([1, 2], {1, 2}),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({True: 1}, {1: 1}),
    (0.1 + 0.2, 0.3),
    (math.inf, -math.inf),
    (2**53 + 1, float(2**53)),
    ([math.nan], [0.0]),
]


@pytest.mark.parametrize(("actual", "expected"), SAME)
def test_same(actual, expected):
    assert equal(actual, expected)
    assert equal(expected, actual)
    assert equal(actual, expected, tolerance=1e-9)


@pytest.mark.parametrize(("actual", "expected"), DIFFERENT)
def test_different(actual, expected):
    assert not equal(actual, expected)
    assert not equal(expected, actual)


@given(DATA)
def test_every_value_equals_itself(value):
    assert equal(value, value)
    assert equal(value, value, tolerance=1e-6)
    assert hash(canonical(value)) == hash(canonical(value))


@given(DATA, DATA)
def test_tolerance_only_ever_accepts_more(one, other):
    assert equal(one, other) == (canonical(one) == canonical(other))
    if equal(one, other):
        assert equal(one, other, tolerance=1e-9)


def test_tolerance_reaches_into_containers_and_leaves_integers_exact():
    assert equal({"a": [0.1 + 0.2]}, {"a": [0.3]}, tolerance=1e-9)
    assert not equal(1_000_000, 1_000_001, tolerance=1e-3)
    assert equal(1_000_000.0, 1_000_001, tolerance=1e-3)
    assert not equal(True, 1.0, tolerance=1e-3)


def test_integers_beyond_all_floats_are_close_to_none():
    assert not equal(10**400, 1.5, tolerance=0.1)
    assert not equal(1.5, 10**400, tolerance=0.1)
    assert equal(10**400, 10**400, tolerance=0.1)


def test_what_is_not_data_is_refused():
    with pytest.raises(TypeError, match="object is not data"):
        canonical([object()])

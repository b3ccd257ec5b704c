"""What a client may ask a server for."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.guest import wire
from sandboxes.remote.request import ClientLimits, RefusedError, read_request

LIMITS = ClientLimits(seconds=2, memory_mb=100, output_bytes=1000)
PACKAGES = {"numpy": "2", "scipy": "1"}
SOUND = {
    "inputs": 3,
    "seconds": 0.5,
    "wall_seconds": 7.0,
    "memory_mb": 64,
    "output_bytes": 1000,
    "packages": ["numpy"],
    "obtainable": ["scipy"],
}


def read(fields):
    return read_request(json.dumps(fields).encode(), LIMITS, PACKAGES)


def test_a_sound_one_is_passed_on():
    request = read(SOUND)
    assert json.loads(request.payload) == SOUND
    assert request.wall_seconds == 7.0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seconds": 2.5}, "seconds=2.5 is more than the 2 that a client may use"),
        ({"wall_seconds": 22.5}, "wall_seconds=22.5 is more than the 22"),
        ({"memory_mb": 101}, "memory_mb=101 is more than the 100"),
        ({"output_bytes": 1001}, "output_bytes"),
        ({"seconds": 0}, "not a positive number"),
        ({"seconds": -1}, "not a positive number"),
        ({"seconds": math.nan}, "not a positive number"),
        ({"seconds": math.inf}, "not a positive number"),
        ({"seconds": True}, "not a positive number"),
        ({"seconds": "1"}, "not a positive number"),
        ({"seconds": None}, "not a positive number"),
        ({"inputs": 0}, "not a positive number"),
        ({"inputs": 1.0}, "not a whole number"),
        ({"inputs": 10**30}, "more than"),
        ({"seconds": 10**400}, "more than"),
        ({"memory_mb": 10.5}, "not a whole number"),
        ({"packages": ["scipy", "numpy"]}, "not in order"),
        ({"packages": ["numpy", "numpy"]}, "not in order"),
        ({"packages": ["os"]}, "cannot import"),
        ({"packages": "numpy"}, "not a list"),
        ({"packages": [1]}, "not a list"),
        ({"obtainable": [["numpy"]]}, "not a list"),
        ({"more": 1}, "does not have the fields"),
    ],
)
def test_one_that_is_not_is_refused(change, problem):
    with pytest.raises(RefusedError, match=problem):
        read(SOUND | change)


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "{", "null", '{"inputs": 1}', "[" * 50_000, "9" * 5000, "\xff"]
)
def test_one_that_is_no_request_is_refused(text):
    with pytest.raises(RefusedError):
        read_request(text.encode("latin-1"), LIMITS, PACKAGES)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["numpy", "scipy", "os", ""]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SOUND, _JSON)))
def test_whatever_gets_through_keeps_to_the_limits(change):
    try:
        request = read(SOUND | change)
    except RefusedError:
        return
    fields = json.loads(request.payload)
    assert 0 < fields["seconds"] <= 2
    assert 0 < fields["wall_seconds"] <= 22
    assert type(fields["memory_mb"]) is int
    assert 0 < fields["memory_mb"] <= 100
    assert 0 < fields["output_bytes"] <= 1000
    assert 0 < fields["inputs"] <= wire.MAX_FRAME
    for name in ("packages", "obtainable"):
        assert fields[name] == sorted(PACKAGES.keys() & set(fields[name]))


@pytest.mark.parametrize("name", ["in_flight", "waiting", "seconds", "memory_mb", "output_bytes"])
def test_limits_are_positive(name):
    with pytest.raises(ValueError, match=name):
        ClientLimits(**{name: 0})

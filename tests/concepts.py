"""Concepts of all kinds."""

from datetime import UTC, timedelta, timezone

from hypothesis import strategies as st

from memory import Concept, Provenance, Statistics
from sandboxes import Program

LISTS = st.lists(st.text(max_size=12), max_size=3).map(tuple)
COUNTS = st.integers(0, 2**40)
MOMENTS = st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
PROGRAMS = st.builds(
    Program,
    st.text(max_size=60),
    st.text(max_size=8),
    st.sampled_from(["single", "positional", "grid_list"]),
    st.none() | st.frozensets(st.text(max_size=8), max_size=2),
)
CONCEPTS = st.builds(
    Concept,
    name=st.text(min_size=1, max_size=20).filter(str.strip),
    description=st.text(max_size=60),
    parameters=LISTS,
    cues=LISTS,
    program=st.none() | PROGRAMS,
    kind=st.text(max_size=8),
    notes=LISTS,
    term=st.text(max_size=20),
    features=LISTS,
    signature=st.text(max_size=10),
    came_from=LISTS,
    provenance=st.builds(Provenance, *[st.text(max_size=8)] * 5, clock=COUNTS, time=MOMENTS),
    statistics=st.builds(Statistics, *[COUNTS] * 7),
)

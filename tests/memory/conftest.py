"""Memories of both kinds: in a file, and on a PostgreSQL server that is started for the session."""

from itertools import count

import pytest
from postgresql_server import new_databases, running_server

from memory import ConceptStore

NEW_NUMBERS = count()


@pytest.fixture(scope="session")
def postgresql():
    """A URL without a database."""
    with running_server() as server:
        yield server.url


@pytest.fixture
def new_database(postgresql):
    """Make new databases; give their addresses. They are dropped after the test."""
    with new_databases(postgresql) as make:
        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request, tmp_path):
    """Give new places for a memory, of one kind after the other."""
    if request.param == "postgresql":
        return request.getfixturevalue("new_database")
    return lambda: str(tmp_path / f"memory-{next(NEW_NUMBERS)}.sqlite")


@pytest.fixture
def place(new_place):
    return new_place()


@pytest.fixture
def store(place):
    with ConceptStore.open(place) as opened:
        yield opened

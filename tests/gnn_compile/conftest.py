"""Networks of the library, each compiled once."""

import pytest

from gnn_compile import compile_algorithm


@pytest.fixture(scope="session")
def networks():
    """Compile an algorithm of the library, once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = compile_algorithm(name)
        return made[name]

    return get

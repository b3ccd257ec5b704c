"""An engine for the tests of the Docker back end."""

from __future__ import annotations

from collections.abc import Iterator

import container_engine
import pytest

from sandboxes.container.engine import Engine


@pytest.fixture(scope="session")
def host() -> str:
    """Where an engine answers that has an image for programs."""
    try:
        return container_engine.shared_engine()
    except container_engine.NoEngineError as error:
        container_engine.skip_or_fail(error)


@pytest.fixture
def engine(host) -> Iterator[Engine]:
    """A client of it."""
    engine = Engine(host)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def own_engine() -> Iterator[object]:
    """An engine that a test may stop and start."""
    try:
        with container_engine.PrivateEngine() as engine:
            yield engine
    except container_engine.NoEngineError as error:
        container_engine.skip_or_fail(error)

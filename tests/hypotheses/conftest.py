"""What the tests of the loop share."""

import pytest

from sandboxes import EmbeddedSandbox


@pytest.fixture(scope="session")
def sandbox():
    with EmbeddedSandbox() as opened:
        yield opened

"""The back end under test, as fixtures."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandboxes import Sandbox

# Test modules are imported without their folder being a package, so its other files are loaded by their path.
_spec = importlib.util.spec_from_file_location(
    "conformance_back_ends", Path(__file__).with_name("back_ends.py")
)
back_ends = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = back_ends  # where dataclasses look for a class's module
_spec.loader.exec_module(back_ends)


@pytest.fixture(scope="module", params=back_ends.BACK_ENDS, ids=lambda back_end: back_end.name)
def make_sandbox(request) -> Callable[[], Sandbox]:
    if (reason := request.param.skip_reason()) is not None:
        pytest.skip(reason)
    return request.param.open


@pytest.fixture(scope="module")
def sandbox(make_sandbox) -> Iterator[Sandbox]:
    with make_sandbox() as sandbox:
        yield sandbox

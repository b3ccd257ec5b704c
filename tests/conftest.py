"""What all tests share."""

import os
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says more about what else the machine does.
hypothesis.settings.register_profile("unhurried", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items):
    """Skip, visibly, what needs the benchmark files where there are none."""
    if os.environ.get("INDUCE_BENCHMARK_DATA"):
        return
    skip = pytest.mark.skip(reason="needs the benchmark files: set INDUCE_BENCHMARK_DATA to their folder")
    for item in items:
        if "benchmark_data" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def benchmark_data():
    """The folder with the benchmark files."""
    return Path(os.environ["INDUCE_BENCHMARK_DATA"])


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory, monkeypatch):
    """Keep the user's own settings and runs out of the tests."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("INDUCE_RUNS__DIRECTORY", str(home / "runs"))
    for name in list(os.environ):
        if name.startswith("INDUCE_") and name not in ("INDUCE_BENCHMARK_DATA", "INDUCE_RUNS__DIRECTORY"):
            monkeypatch.delenv(name)

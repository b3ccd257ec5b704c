"""A cluster of two nodes, runs on it, and what is left of them: nothing."""

import contextlib
import json
import os
import subprocess
import sys
from itertools import count

import psutil
import pytest
from postgresql_server import new_databases, running_server
from ray_cluster import RayCluster

from hypotheses.run_log import RunLog
from induce.runs import start_run
from induce.settings import resolve_settings
from induce.tasks import load_tasks

NEW_NUMBERS = count()


@pytest.fixture(scope="session")
def ray_cluster():
    """One for all tests, of two nodes with a CPU each: two workers are on two nodes."""
    from ray._private.authentication_test_utils import reset_auth_token_state

    started = RayCluster()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in started.environment.items():
            patch.setenv(name, value)
        reset_auth_token_state()  # which Ray otherwise reads once, when it is imported
        try:
            started.start()
            started.add()
            yield started
        finally:
            started.stop()


@pytest.fixture
def cluster(ray_cluster):
    """The cluster. After the test nothing of a run is left on it."""
    yield ray_cluster
    psutil.wait_procs(ray_cluster.sandboxes(), timeout=10)
    assert not ray_cluster.sandboxes()
    assert not ray_cluster.left_behind()


@pytest.fixture(scope="session")
def postgresql():
    """The URL of a server, without a database."""
    with running_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def databases(postgresql):
    """Make new databases; give their addresses."""
    with new_databases(postgresql) as make:
        yield make


@pytest.fixture(scope="session")
def runs_database(databases):
    return databases()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_address(request, tmp_path):
    """Give addresses of runs by name, of one kind after the other."""
    if request.param == "sqlite":
        return lambda name="run": str(tmp_path / f"{name}.sqlite")
    database, number = request.getfixturevalue("runs_database"), next(NEW_NUMBERS)
    return lambda name="run": f"{database}#{number}-{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def memory_address(request, tmp_path):
    """A place for a memory, of one kind after the other."""
    if request.param == "sqlite":
        return str(tmp_path / "memory.sqlite")
    return request.getfixturevalue("databases")()


@pytest.fixture
def tasks(tmp_path):
    """Write a file of tasks that ask for a sorted list; give its path."""

    def write(number=6, name="tasks"):
        path = tmp_path / f"{name}.jsonl"
        lists = [[[3, 1, 20 + one], [9, 40 + one, 4], [5, 2]] for one in range(number)]
        lines = [
            {"id": f"t{one}", "examples": [{"input": x, "output": sorted(x)} for x in inputs]}
            | {"queries": [{"input": [2, 1], "output": [1, 2]}]}
            for one, inputs in enumerate(lists)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


@pytest.fixture
def start(tasks, tmp_path):
    """Begin a run, by the search alone unless it is said who proposes."""

    def begin(source=None, spec="search", out=None, **flags):
        loaded = load_tasks(str(source or tasks()))
        flags = {"search": {"max_terms": 3000}} | flags
        address = out or str(tmp_path / f"run-{next(NEW_NUMBERS)}.sqlite")
        return start_run(loaded, sum(1 for _ in loaded), spec, resolve_settings(flags), address)

    return begin


@pytest.fixture
def induce_process():
    """Start the command line in a process of its own, which is killed at the end if it still runs."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments, cwd=None, **environment):
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "induce", *map(str, arguments)],
                env=os.environ | environment,
                cwd=cwd,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield begin


@pytest.fixture
def timeline():
    """Give the events of a run."""

    def read(address):
        with RunLog.open(address) as log:
            return list(log.events(None))

    return read

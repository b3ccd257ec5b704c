"""Whether the owner of a container is still there."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time

import pytest

from sandboxes.container import sweep
from sandboxes.container.labels import Owner

ME = Owner.this_process()


def test_this_process_lives():
    assert ME.lives() is True
    assert Owner.read(ME.labels) == ME


def test_a_process_that_ended_does_not():
    code = "from sandboxes.container.labels import Owner; print(Owner.this_process())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert eval(printed).lives() is False


def test_another_process_with_the_same_id_does_not_count():
    assert dataclasses.replace(ME, started="1").lives() is False


def test_another_machine_cannot_be_judged():
    assert dataclasses.replace(ME, machine="elsewhere").lives() is None


@pytest.mark.parametrize("labels", [{}, {"induce.owner.machine": "x"}, ME.labels | {"induce.owner.pid": "?"}])
def test_labels_of_others_have_no_owner(labels):
    assert Owner.read(labels) is None


@pytest.mark.parametrize(
    ("machine", "state", "age", "expected"),
    [
        (ME.machine, "running", 1e9, False),
        ("elsewhere", "running", 3600, False),
        ("elsewhere", "running", 2 * sweep.LONGEST_LIFE, True),
        ("elsewhere", "created", 1, False),
        ("elsewhere", "exited", 2 * sweep.START_GRACE, True),
    ],
)
def test_what_is_swept(machine, state, age, expected):
    labels = dataclasses.replace(ME, machine=machine).labels
    container = {"Labels": labels, "State": state, "Created": time.time() - age}
    assert sweep._is_abandoned(container) is expected

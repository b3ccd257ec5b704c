"""Several processes, dying processes, and full disks."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from memory import Concept, ConceptStore, Provenance, RecallQuery, Statistics
from memory.consolidation import consolidate
from sandboxes import Program

WRITER = """
import sys
from memory import Concept, ConceptStore
place, name, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
with ConceptStore.open(place) as store:
    for index in range(number):
        shared = Concept("shared", "all add it")
        ids = store.add([shared, Concept(f"{name} {index}", "of one", features=("grid",))])
        store.count(ids[:1], used=1)
        store.tick()
        print(*ids, flush=True)
"""

CONSOLIDATOR = """
import sys
from memory import ConceptStore
from memory.consolidation import consolidate
with ConceptStore.open(sys.argv[1]) as store:
    while True:
        done = consolidate(store, most=5)
        print(done.changed, flush=True)
        if done.complete and sys.argv[2] == "once":
            break
"""

FILLER = """
import resource, signal, sys
from memory import Concept, ConceptStore
from sandboxes import MemoryStoreError
place, limit = sys.argv[1], int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = ConceptStore.open(place)
kept = []
def fill():
    for index in range(10_000):
        kept.extend(store.add([Concept(f"c{len(kept)}", "word " * 1000)]))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
try:
    fill()
except MemoryStoreError as error:
    print(error)
assert kept and store.recall  # not full from the start
assert [one.id for one in store.concepts()] == kept  # still readable, with all that was acknowledged
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
if limit:
    kept += store.add([Concept("after", "there is room again")])
    store.check()
    assert [one.id for one in store.concepts()] == kept
print(len(kept))
"""


def start(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_several_processes_create_and_write_one_memory(place):
    writers = [start(WRITER, place, f"writer{number}", 15) for number in range(4)]
    outputs = [writer.communicate() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, outputs
    with ConceptStore.open(place) as store:
        by_name = {one.name: one for one in store.concepts()}
        assert len(by_name) == len(store) == 4 * 15 + 1
        assert by_name["shared"].statistics.used == 4 * 15
        assert store.clock == 4 * 15
        assert len(store.recall(RecallQuery(features=("grid",)), 1_000)) == 4 * 15
        store.check()


def kill_while_it_adds(place, name, lines):
    """Kill a writer after some acknowledged batches, somewhere in the next; give what was acknowledged."""
    writer = start(WRITER, place, name, 1_000_000)
    acknowledged = [writer.stdout.readline().split() for _ in range(lines)]
    writer.send_signal(signal.SIGKILL)
    rest, errors = writer.communicate()
    assert writer.returncode == -signal.SIGKILL, errors
    acknowledged += [line.split() for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return {concept_id for ids in acknowledged for concept_id in ids}


def check_kills(place, kills):
    expected = set()
    for number in range(kills):
        expected |= kill_while_it_adds(place, f"writer{number}", 1 + number % 7)
        with ConceptStore.open(place) as store:
            assert expected <= {one.id for one in store.concepts()}
            store.add([Concept(f"after {number}", "the memory can be written again")])
    with ConceptStore.open(place) as store:
        store.check()
        found = store.recall(RecallQuery(features=("grid",)), 100_000)
        assert len(found) == len(store) - kills - 1


def test_killing_a_writer_loses_nothing_that_was_acknowledged(place):
    check_kills(place, 4)


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(place):
    check_kills(place, 100)


def disorderly(number):
    """Concepts of which some are double, some differ in a literal, some contradict each other, some harm."""
    for n in range(number):
        argument = "abc"[n % 3]
        source = f"def f({argument}):\n    return {argument} + {n % 7} * {n % 4}\n"
        family, fared = f"family {n % 2}", Statistics(recalled=1, wins=n % 5, wins_without=9)
        if n % 4 == 0:
            yield Concept(f"c{n % 8}", f"does {n}", provenance=Provenance(family=family), statistics=fared)
        elif n % 4 == 1:
            yield Concept(f"c{n}", "the same words", cues=(f"cue {n % 3}",), statistics=fared)
        else:
            yield Concept(
                f"c{n}", f"does {n}", program=Program(source, "f"), kind=f"{n % 3}", statistics=fared
            )


def put_in_order(place):
    """Consolidate to the end; give what is present then."""
    with ConceptStore.open(place) as store:
        while not consolidate(store, most=5).complete:
            pass
        again = consolidate(store)
        assert (again.changed, again.complete) == (0, True)
        store.check()
        return list(store.concepts())


def check_kills_while_it_consolidates(new_place, kills):
    places = [new_place(), new_place()]
    for place in places:
        with ConceptStore.open(place) as store:
            ids = set(store.add(list(disorderly(max(40, 3 * kills)))))
    expected = put_in_order(places[0])
    assert len(expected) < len(ids) / 2
    changed = 0
    for number in range(kills):
        consolidator = start(CONSOLIDATOR, places[1], "again and again")
        lines = [consolidator.stdout.readline() for _ in range(1 + number % 4)]
        consolidator.send_signal(signal.SIGKILL)
        rest, errors = consolidator.communicate()
        assert consolidator.returncode == -signal.SIGKILL, errors
        changed += sum(map(int, [*lines, *rest.splitlines()]))
        with ConceptStore.open(places[1]) as store:
            present, archived = ({one.id for one in store.concepts(archived=held)} for held in (False, True))
            assert present | archived == ids
            assert not present & archived
            store.check()
    assert changed  # or nothing was interrupted
    assert put_in_order(places[1]) == expected


def test_killing_a_consolidation_loses_and_doubles_nothing(new_place):
    check_kills_while_it_consolidates(new_place, 4)


@pytest.mark.slow
def test_a_hundred_kills_of_consolidations_lose_and_double_nothing(new_place):
    check_kills_while_it_consolidates(new_place, 100)


def test_two_processes_that_consolidate_at_once_end_like_one(new_place):
    places = [new_place(), new_place()]
    for place in places:
        with ConceptStore.open(place) as store:
            store.add(list(disorderly(60)))
    workers = [start(CONSOLIDATOR, places[1], "once") for _ in range(2)]
    outputs = [worker.communicate() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert put_in_order(places[1]) == put_in_order(places[0])


def test_a_file_that_may_not_grow_is_an_error_and_the_memory_stays_usable(tmp_path):
    filler = start(FILLER, tmp_path / "memory.sqlite", 400_000)
    output, errors = filler.communicate()
    assert filler.returncode == 0, errors
    assert "cannot write the memory" in output
    assert "what was stored before is safe: free space" in output


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_an_error_and_the_memory_stays_usable():
    folder = Path(tempfile.mkdtemp())
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        shutil.rmtree(folder)
        pytest.skip("this root may not mount")
    try:
        filler = start(FILLER, disk / "memory.sqlite", 0)
        output, errors = filler.communicate()
        assert filler.returncode == 0, errors
        assert "cannot write the memory" in output
        assert "free space on its disk" in output
        with ConceptStore.open(disk / "memory.sqlite") as store:
            store.check()
            assert len(store) == int(output.split()[-1])
    finally:
        subprocess.run(["umount", disk], check=True)
        shutil.rmtree(folder)


def test_two_stores_of_one_process_see_each_other(place):
    with ConceptStore.open(place) as one, ConceptStore.open(place) as other:
        one.add([Concept("mirror", "")])
        assert [found.concept.name for found in other.recall(RecallQuery("mirror"))] == ["mirror"]
        assert other.tick() == one.clock == 1

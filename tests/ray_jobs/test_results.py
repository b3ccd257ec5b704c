"""The solutions of a run as Parquet: what is in the log, whatever stopped the writing."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.hypothesis import (
    Candidate,
    Entry,
    Hypothesis,
    Judged,
    Proposal,
    Solution,
    Trace,
    Usage,
    Verdict,
)
from hypotheses.run_log import RunInfo, RunLog
from hypotheses.task import Task
from ray_jobs.results import MANIFEST, ResultsWriter, read_text
from sandboxes import Execution, Program, RunLogError, SettingsError
from sandboxes.values import decode

pytest.importorskip("pyarrow")

import pyarrow.dataset as ds
from pyarrow import fs

INFO = RunInfo("tasks.jsonl", {}, "abc", 3, "search", "", {}, "0.1.0")
TEXTS = st.text(
    st.characters(exclude_categories=()) | st.characters(categories=["Cs"]), max_size=8
) | st.sampled_from(
    ["\ud800", "\ud83d\ude00", '{"$str":', '{"$str":"61"}', '{"$str":"\ud800"}', "\0", "a\nb"]
)


def solved(task_id, text="a rule", note=""):
    program = Program(f"def f(x): return {text!a}", "f")
    verdict = Verdict((Execution("ok", 1), Execution("timeout")), (True, False), (Execution("ok", text),))
    candidate = Candidate(Hypothesis(text, (), "scripted"), program, 1, 0)
    usage = Usage(1.5, 1, 2, 3, 4, 5, 6, 7, 8, 0.25)
    return Solution(task_id, "solved", (((1, text), {2: {3}}),), candidate, verdict, usage, note)


def record(log, *solutions):
    for solution in solutions:
        entries = ()
        if solution.candidate is not None:
            judged = Judged(solution.candidate, solution.verdict)
            entries = (Entry(1, 0, Proposal(solution.candidate.hypothesis), (judged,)),)
        log.record(Task.from_pairs([(1, 2)], id=solution.task_id), Trace(entries), solution)


def rows(folder, filesystem=None):
    return ds.dataset(str(folder), format="parquet", filesystem=filesystem).to_table().to_pylist()


def ids(folder, filesystem=None):
    return [read_text(row["task_id"]) for row in rows(folder, filesystem)]


def parts(folder):
    return sorted(file.name for file in Path(folder).glob("part-*"))


@pytest.fixture
def log(tmp_path):
    with RunLog.create(tmp_path / "run.sqlite", INFO) as log:
        yield log


def test_everything_that_a_solution_says_is_in_its_row(log, tmp_path):
    record(
        log, solved("one", note="so"), Solution("two", "infeasible", ((),), note="they contradict each other")
    )
    assert ResultsWriter(tmp_path / "out").write(log, final=True) == 1
    one, two = rows(tmp_path / "out")
    assert [[decode(value) for value in values] for values in json.loads(one.pop("predictions"))] == [
        [(1, "a rule"), {2: {3}}]
    ]
    assert one == {
        "task_id": "one",
        "outcome": "solved",
        "solved": True,
        "program": "def f(x): return 'a rule'",
        "entry_point": "f",
        "call": "single",
        "hypothesis": "a rule",
        "passed": 1,
        "total": 2,
        "seconds": 1.5,
        "rounds": 1,
        "hypotheses": 2,
        "programs": 3,
        "executions": 4,
        "terms": 5,
        "completions": 6,
        "prompt_tokens": 7,
        "completion_tokens": 8,
        "money": 0.25,
        "note": "so",
    }
    absent = ("program", "entry_point", "call", "hypothesis")
    assert [two[name] for name in absent] == [None] * 4
    assert (two["outcome"], two["solved"], two["predictions"]) == ("infeasible", False, "[[]]")


@given(texts=st.lists(TEXTS, min_size=1, max_size=6, unique=True))
@settings(max_examples=25, deadline=None)
def test_any_text_comes_back(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("texts")
    with RunLog.create(folder / "run.sqlite", INFO) as log:
        record(log, *(solved(text, text, text) for text in texts))
        ResultsWriter(folder / "out").write(log, final=True)
    found = rows(folder / "out")
    for name in ("task_id", "hypothesis", "note"):
        assert [read_text(row[name]) for row in found] == texts
        assert len({row[name] for row in found}) == len(texts)
    assert [decode(json.loads(row["predictions"])[0][0])[1] for row in found] == texts


def test_only_full_parts_are_written_before_the_end_and_the_last_one_grows(log, tmp_path):
    writer = ResultsWriter(tmp_path / "out", rows_per_part=2)
    record(log, *(solved(f"t{number}") for number in range(3)))
    assert writer.write(log, final=False) == 1
    assert ids(tmp_path / "out") == ["t0", "t1"]
    assert writer.write(log, final=True) == 1
    assert ids(tmp_path / "out") == ["t0", "t1", "t2"]
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    assert writer.write(log, final=True) == writer.write(log, final=False) == 0
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()} == before
    record(log, *(solved(f"t{number}") for number in range(3, 5)))
    assert ResultsWriter(tmp_path / "out", rows_per_part=2).write(log, final=False) == 1
    assert ids(tmp_path / "out") == ["t0", "t1", "t2", "t3"]
    assert writer.write(log, final=True) == 1
    assert ids(tmp_path / "out") == ["t0", "t1", "t2", "t3", "t4"]
    assert parts(tmp_path / "out") == [f"part-{number:06}.parquet" for number in range(3)]
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert (manifest["rows"], manifest["rows_per_part"], manifest["final"]) == (5, 2, True)
    assert (manifest["run"]["content_hash"], manifest["schema_version"]) == ("abc", 1)


def test_parts_that_are_there_are_not_read_nor_those_that_are_gone_forgotten(log, tmp_path):
    record(log, *(solved(f"t{number}") for number in range(8)))
    writer = ResultsWriter(tmp_path / "out", rows_per_part=2)
    assert writer.write(log, final=False) == 4
    whole = (tmp_path / "out" / "part-000000.parquet").read_bytes()
    (tmp_path / "out" / "part-000000.parquet").write_bytes(b"not looked at")
    (tmp_path / "out" / "part-000001.parquet").unlink()
    (tmp_path / "out" / "part-000002.parquet").write_bytes(b"")  # what a broken upload leaves
    assert writer.write(log, final=False) == 2
    assert (tmp_path / "out" / "part-000000.parquet").read_bytes() == b"not looked at"
    (tmp_path / "out" / "part-000000.parquet").write_bytes(whole)
    assert ids(tmp_path / "out") == [f"t{number}" for number in range(8)]


def test_a_run_without_solutions_has_a_manifest(log, tmp_path):
    assert ResultsWriter(tmp_path / "out").write(log, final=True) == 0
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["rows"] == 0


class StoppedError(OSError):
    """The disk, the network or the machine is gone."""


@dataclass
class Faults:
    """When it is over: after so many more calls, and again at every call until it is mended."""

    left: int | None = None

    def strike(self):
        if self.left is not None:
            if self.left == 0:
                raise StoppedError("gone")
            self.left -= 1


class FaultyFiles(fs.FSSpecHandler):
    """A folder on a machine that stops: what was begun is left half-written, and nothing is cleared up."""

    def __init__(self, folder, faults):
        fsspec = pytest.importorskip("fsspec")
        super().__init__(fsspec.filesystem("dir", path=str(folder), fs=fsspec.filesystem("file")))
        self.faults = faults

    def get_file_info_selector(self, selector):
        self.faults.strike()
        return super().get_file_info_selector(selector)

    def open_output_stream(self, path, metadata):
        self.faults.strike()
        stream = super().open_output_stream(path, metadata)
        try:
            self.faults.strike()
        except StoppedError:
            stream.write(b"PAR1 half of")
            stream.close()
            raise
        return stream

    def move(self, src, dest):
        self.faults.strike()
        super().move(src, dest)
        self.faults.strike()

    def delete_file(self, path):
        self.faults.strike()
        super().delete_file(path)


CALLS = st.tuples(st.integers(0, 5), st.booleans(), st.none() | st.integers(0, 12))


@given(calls=st.lists(CALLS, max_size=12), rows_per_part=st.integers(1, 4), anew=st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_stops_the_writing_the_parts_are_the_log_in_its_order(
    tmp_path_factory, calls, rows_per_part, anew
):
    folder = tmp_path_factory.mktemp("faults")
    (folder / "bucket").mkdir()
    faults = Faults()
    files = fs.PyFileSystem(FaultyFiles(folder / "bucket", faults))
    recorded = []

    def writer():
        return ResultsWriter("out", rows_per_part, filesystem=files)

    with RunLog.create(folder / "run.sqlite", INFO) as log:
        current = writer()
        shown = 0
        for more, final, stops_after in [*calls, (0, True, None)]:
            new = [f"t{len(recorded) + index}" for index in range(more)]
            record(log, *(Solution(task_id, "unsolved", ((),)) for task_id in new))
            recorded += new
            faults.left = stops_after
            full = len(recorded) // rows_per_part * rows_per_part
            try:
                (writer() if anew else current).write(log, final=final)
            except RunLogError as error:
                assert "gone" in str(error)  # noqa: PT017 - it may also go well
                least = shown
            else:
                least = len(recorded) if final else full
            faults.left = None
            # At any moment: nothing twice, nothing out of order, and never less than before.
            found = ids(folder / "bucket" / "out") if parts(folder / "bucket" / "out") else []
            assert found == recorded[: len(found)]
            assert len(found) >= max(least, shown)
            shown = len(found)
        assert found == recorded
        assert writer().write(log, final=True) == 0


def test_a_stop_at_every_single_step(log, tmp_path):
    (tmp_path / "bucket").mkdir()
    record(log, *(solved(f"t{number}") for number in range(5)))
    faults = Faults()
    files = fs.PyFileSystem(FaultyFiles(tmp_path / "bucket", faults))
    stopped = 0
    while True:
        faults.left = stopped
        try:
            ResultsWriter(f"out{stopped}", 2, filesystem=files).write(log, final=True)
        except RunLogError:
            stopped += 1
        else:
            break
        finally:
            faults.left = None
        ResultsWriter(f"out{stopped - 1}", 2, filesystem=files).write(log, final=True)
        assert ids(tmp_path / "bucket" / f"out{stopped - 1}") == ["t0", "t1", "t2", "t3", "t4"]
    assert stopped > 15


def test_a_folder_that_is_not_this_run_s_is_left_alone(log, tmp_path):
    record(log, solved("one"))
    ResultsWriter(tmp_path / "out", 1).write(log, final=True)
    with (
        RunLog.create(tmp_path / "other.sqlite", replace(INFO, content_hash="other")) as other,
        pytest.raises(RunLogError, match="another run"),
    ):
        ResultsWriter(tmp_path / "out", 1).write(other, final=True)
    with pytest.raises(SettingsError, match="rows_per_part=1, not 7"):
        ResultsWriter(tmp_path / "out", 7).write(log, final=True)
    manifest = tmp_path / "out" / MANIFEST
    newer = json.loads(manifest.read_text()) | {"schema_version": 99}
    for text, complaint in [(json.dumps(newer), "version 99"), ("[]", "damaged"), ("\xff{", "damaged")]:
        manifest.write_text(text, "latin-1")
        with pytest.raises(RunLogError, match=complaint):
            ResultsWriter(tmp_path / "out", 1).write(log, final=True)
    manifest.unlink()
    with pytest.raises(RunLogError, match="no _manifest"):
        ResultsWriter(tmp_path / "out", 1).write(log, final=True)


def test_a_number_that_no_column_holds_is_said_with_its_task(log, tmp_path):
    record(log, replace(solved("huge"), usage=Usage(terms=2**63)))
    with pytest.raises(RunLogError, match="'huge'"):
        ResultsWriter(tmp_path / "out").write(log, final=True)


@pytest.mark.parametrize(
    "uri", ["nothing://key:secret@bucket/x", "s3://", "s3://key:secret@/", "file://relative/x", "://"]
)
def test_an_address_that_makes_no_sense(uri):
    with pytest.raises(SettingsError) as refused:
        ResultsWriter(uri)
    assert "secret" not in str(refused.value)


def test_a_place_that_refuses(log, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunLogError, match=r"cannot .* the results .*file"):
        ResultsWriter(tmp_path / "file" / "out").write(log, final=True)
    with pytest.raises(SettingsError, match="rows_per_part"):
        ResultsWriter(tmp_path, 0)


def test_a_bucket_that_nobody_serves(log):
    once = fs.AwsStandardS3RetryStrategy(max_attempts=1)
    closed = fs.S3FileSystem(
        access_key="key",
        secret_key="secret",
        region="here",
        scheme="http",
        endpoint_override="127.0.0.1:1",
        retry_strategy=once,
    )
    with pytest.raises(RunLogError, match=r"cannot list the results bucket/out: .*; what was written before"):
        ResultsWriter("bucket/out", filesystem=closed).write(log, final=True)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"induce\[parquet\]"):
        ResultsWriter(tmp_path)

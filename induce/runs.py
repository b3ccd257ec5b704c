"""Runs: start one, go on with one, find them, and clear away the old ones."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hypotheses.run_log import RunInfo, RunLog
from hypotheses.task import Task
from induce._version import __version__
from induce.settings import Settings
from induce.tasks import TaskSet, load_tasks
from induce.wiring import WiredProposer, make_proposer
from sandboxes import RunLogError, TaskFormatError

SUFFIX = ".sqlite"

BadTaskHandler = Callable[[TaskFormatError], None]


@dataclass(frozen=True, slots=True)
class Run:
    """A run under way: its log, its tasks, and what solves them."""

    log: RunLog
    tasks: TaskSet
    proposer: WiredProposer
    settings: Settings

    def unfinished(self) -> Iterator[Task]:
        """Yield the tasks that have no solution in the log yet."""
        return (task for task in self.tasks if not self.log.finished(task.id))


def start_run(
    tasks: TaskSet, count: int, proposer_spec: str, settings: Settings, path: Path | None = None
) -> Run:
    """Start a run of ``count`` tasks in a new log, in the runs folder unless ``path`` says where."""
    proposer = make_proposer(proposer_spec, settings)
    info = RunInfo(
        source=tasks.source,
        source_options=tasks.options | {"skip_bad": tasks.skips_bad},
        content_hash=tasks.content_hash(),
        tasks=count,
        proposer=proposer.spec,
        proposer_hash=proposer.content_hash,
        settings=settings.model_dump(mode="json"),
        induce_version=__version__,
    )
    return Run(RunLog.create(path or _new_path(settings), info), tasks, proposer, settings)


def resume_run(path: Path, on_bad: BadTaskHandler) -> Run:
    """Open a run to go on with it, under the settings it was started with.

    ``on_bad`` is told of bad tasks where the run was started so as to skip them.

    Raises ``RunLogError`` where the tasks or the transcript are no longer what they were.
    """
    log = RunLog.open(path, read_only=False)
    with contextlib.ExitStack() as on_error:
        on_error.callback(log.close)
        info = log.info
        settings = Settings.model_validate(info.settings)
        tasks = reload_tasks(log, on_bad)
        proposer = make_proposer(info.proposer, settings)
        if proposer.content_hash != info.proposer_hash:
            raise RunLogError(
                f"the transcript of {info.proposer} has changed since the run {path} began; put it back"
            )
        on_error.pop_all()
    return Run(log, tasks, proposer, settings)


def reload_tasks(log: RunLog, on_bad: BadTaskHandler, source: str | None = None) -> TaskSet:
    """Load a run's tasks again, from where they are now if they have moved.

    ``on_bad`` is told of bad tasks where the run was started so as to skip them.

    Raises ``RunLogError`` where their content is not what the run was started with.
    """
    info = log.info
    options = dict(info.source_options)
    skip_bad = on_bad if options.pop("skip_bad") else None
    tasks = load_tasks(source or info.source, **options, skip_bad=skip_bad)
    if tasks.content_hash() != info.content_hash:
        raise RunLogError(
            f"the tasks in {tasks.source} are not those the run {log.path} was started with "
            "(their content hash differs); put them back, or name the right ones with --tasks"
        )
    return tasks


def find_runs(settings: Settings) -> list[Path]:
    """Give the logs in the runs folder, oldest first."""
    folder = settings.runs.directory
    return sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: (path.stat().st_mtime, path.name))


def old_runs(settings: Settings) -> list[Path]:
    """Give the logs in the runs folder that nobody wrote to for ``runs.retention_days``."""
    limit = time.time() - settings.runs.retention_days * 86_400
    return [path for path in find_runs(settings) if path.stat().st_mtime < limit]


def delete_run(path: Path) -> int:
    """Delete a log and what SQLite keeps beside it; give the number of bytes freed."""
    freed = 0
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-lock"))):
        if file.exists():
            freed += file.stat().st_size
            file.unlink()
    return freed


def _new_path(settings: Settings) -> Path:
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}{SUFFIX}"
    return settings.runs.directory / name
